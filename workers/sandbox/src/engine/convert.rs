//! JSON values to Python's and back. A value crosses as one flat graph, whose nodes come after those that they hold.

use monty_types::unstable::{MontyGraph, MontyNode, NodeId, child, node, object_from_graph};
use monty_types::{MontyObject, ObjectRef};
use serde_json::{Map, Number, Value};

/// A Python value.
pub(super) fn to_python(value: &Value) -> MontyObject {
    let mut graph = MontyGraph::with_capacity(nodes(value));
    let root = push(value, &mut graph);
    object_from_graph(graph, root).expect("the root is the node that was pushed last")
}

/// The number of nodes that a value takes.
fn nodes(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(nodes).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(|value| 1 + nodes(value)).sum::<usize>(),
        _ => 1,
    }
}

/// Adds a value to a graph, after what it holds: building each level as a value of its own would copy it once per level.
fn push(value: &Value, graph: &mut MontyGraph) -> NodeId {
    let node = match value {
        Value::Null => MontyNode::None,
        Value::Bool(flag) => MontyNode::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => MontyNode::Int(int),
            (None, float) => MontyNode::Float(float.unwrap_or(f64::NAN)),
        },
        Value::String(text) => MontyNode::String(text.clone()),
        Value::Array(items) => {
            MontyNode::List(items.iter().map(|item| push(item, graph)).collect())
        }
        Value::Object(map) => {
            let pair = |(key, value): (&String, &Value)| {
                let key = graph.push(MontyNode::String(key.clone()));
                (key, push(value, graph))
            };
            MontyNode::Dict(map.iter().map(pair).collect())
        }
    };
    graph.push(node)
}

/// Returns a Python value as JSON, or the reason why it is not data.
pub(super) fn to_json(object: ObjectRef<'_>) -> Result<Value, String> {
    Ok(match node(object) {
        MontyNode::None => Value::Null,
        MontyNode::Bool(flag) => Value::Bool(*flag),
        MontyNode::Int(int) => Value::from(*int),
        MontyNode::BigInt(_) => {
            return Err("a whole number of more than 64 bits is not data".into());
        }
        MontyNode::Float(float) => {
            Value::Number(Number::from_f64(*float).ok_or("a float that is not finite is not data")?)
        }
        MontyNode::String(text) => Value::String(text.clone()),
        MontyNode::List(items) | MontyNode::Tuple(items) => {
            let items = items.iter().map(|item| to_json(child(object, *item)));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        // Of a class instance, such as a dataclass, the attributes are data.
        MontyNode::Dict(pairs) | MontyNode::ClassInstance { attrs: pairs, .. } => {
            let mut map = Map::new();
            for (key, value) in pairs {
                let MontyNode::String(key) = node(child(object, *key)) else {
                    return Err("keys of data must be strings".into());
                };
                map.insert(key.clone(), to_json(child(object, *value))?);
            }
            Value::Object(map)
        }
        MontyNode::Decimal(_) => {
            return Err("a Decimal is not data: return `str(x)` or `float(x)`".into());
        }
        _ => return Err(format!("a {} is not data", object.type_name())),
    })
}
