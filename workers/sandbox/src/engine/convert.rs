//! JSON values to Python's and back.

use monty_types::MontyObject;
use serde_json::{Map, Number, Value};

/// A Python value.
pub(super) fn to_python(value: &Value) -> MontyObject {
    match value {
        Value::Null => MontyObject::None,
        Value::Bool(flag) => MontyObject::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => MontyObject::Int(int),
            (None, float) => MontyObject::Float(float.unwrap_or(f64::NAN)),
        },
        Value::String(text) => MontyObject::String(text.clone()),
        Value::Array(items) => MontyObject::List(items.iter().map(to_python).collect()),
        Value::Object(map) => {
            let pairs: Vec<_> = map
                .iter()
                .map(|(k, v)| (MontyObject::String(k.clone()), to_python(v)))
                .collect();
            MontyObject::dict(pairs)
        }
    }
}

/// Returns a Python value as JSON, or the reason why it is not data.
pub(super) fn to_json(object: &MontyObject) -> Result<Value, String> {
    Ok(match object {
        MontyObject::None => Value::Null,
        MontyObject::Bool(flag) => Value::Bool(*flag),
        MontyObject::Int(int) => Value::from(*int),
        MontyObject::Float(float) => {
            Value::Number(Number::from_f64(*float).ok_or("a float that is not finite is not data")?)
        }
        MontyObject::String(text) => Value::String(text.clone()),
        MontyObject::List(items) | MontyObject::Tuple(items) => {
            Value::Array(items.iter().map(to_json).collect::<Result<_, _>>()?)
        }
        MontyObject::Dict(pairs) => {
            let mut map = Map::new();
            for (key, value) in pairs {
                let MontyObject::String(key) = key else {
                    return Err("keys of data must be strings".into());
                };
                map.insert(key.clone(), to_json(value)?);
            }
            Value::Object(map)
        }
        other => return Err(format!("a {} is not data", other.type_name())),
    })
}
