//! Lists whose order means nothing. A schema declares them by `"x-agoge-unordered": true`, and states that differ in nothing
//! but their order are the same.

use agoge_digest::canonical_numbers;
use agoge_sandbox::{Change, Format, Shape, Shapes, property};
use serde_json::{Map, Value};

/// The mark of a list's schema. `false` says that the order matters.
pub(crate) const MARK: &str = "x-agoge-unordered";

/// The lists that a domain's schema declares as unordered.
#[derive(Clone, Debug, Default)]
pub struct Unordered {
    schema: Value,
    /// The forms of the collections that the schema describes.
    shapes: Shapes,
    declared: bool,
}

impl Unordered {
    /// Reads the marks of the schema of a state whose collections have these shapes.
    #[must_use]
    pub fn of(schema: &Value, shapes: &Shapes) -> Self {
        fn marked(schema: &Value) -> bool {
            match schema {
                Value::Object(map) => {
                    map.get(MARK) == Some(&Value::Bool(true)) || map.values().any(marked)
                }
                Value::Array(items) => items.iter().any(marked),
                _ => false,
            }
        }
        Self {
            declared: marked(schema),
            schema: schema.clone(),
            shapes: shapes.clone(),
        }
    }

    /// Returns true when no list is declared as unordered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.declared
    }

    /// Sorts the unordered lists of a record, at every depth.
    pub fn sort(&self, collection: &str, id: &str, record: &mut Value) {
        self.sorted([collection, id], record, false);
    }

    /// Sorts every list of a record whose order the schema does not declare to matter.
    pub fn sort_undeclared(&self, collection: &str, id: &str, record: &mut Value) {
        self.sorted([collection, id], record, true);
    }

    /// Returns true when two values of a changed field differ in nothing but the order of unordered lists.
    #[must_use]
    pub fn alike(&self, change: &Change, one: &Value, other: &Value) -> bool {
        let text = |value: &Value| {
            let mut value = value.clone();
            match change.field.as_str() {
                "*" => self.sort(&change.collection, &change.id, &mut value),
                field => {
                    let mut record = Value::Object(Map::from_iter([(field.to_owned(), value)]));
                    self.sort(&change.collection, &change.id, &mut record);
                    value = record;
                }
            }
            canonical_numbers(&value)
        };
        text(one) == text(other)
    }

    fn sorted(&self, [collection, id]: [&str; 2], value: &mut Value, undeclared: bool) {
        let root = &self.schema;
        let top = meant([root], root).into_iter();
        let collections = meant(top.filter_map(|schema| child(schema, collection)), root);
        let shape = self.shapes.get(collection).unwrap_or(&Shape::Records);
        let records = collections.into_iter().filter_map(|schema| match shape {
            Shape::Records => child(schema, id),
            Shape::List(_) => schema.get("items"),
            Shape::Singleton => Some(schema),
        });
        sort(root, &meant(records, root), value, undeclared);
    }
}

/// Sorts the lists of a value that these schemas describe, those within others first.
fn sort(root: &Value, schemas: &[&Value], value: &mut Value, undeclared: bool) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let inner = schemas.iter().copied();
                let inner = inner.filter_map(|schema| child(schema, key));
                sort(root, &meant(inner, root), value, undeclared);
            }
        }
        Value::Array(items) => {
            let inner = schemas.iter().filter_map(|schema| schema.get("items"));
            let inner = meant(inner, root);
            for item in items.iter_mut() {
                sort(root, &inner, item, undeclared);
            }
            let mark = schemas
                .iter()
                .find_map(|schema| schema.get(MARK)?.as_bool());
            if mark.unwrap_or(undeclared) {
                items.sort_by_cached_key(canonical_numbers);
            }
        }
        _ => {}
    }
}

/// Returns the schema of a key of an object.
fn child<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    property(schema, key, Format::Two)
}

/// Returns the schemas with those that they refer to, combine or choose from, each once.
fn meant<'a>(schemas: impl IntoIterator<Item = &'a Value>, root: &'a Value) -> Vec<&'a Value> {
    let mut all: Vec<&Value> = schemas.into_iter().collect();
    let mut at = 0;
    while let Some(schema) = all.get(at).copied() {
        at += 1;
        let target = schema.get("$ref").and_then(Value::as_str);
        let target = target.and_then(|target| root.pointer(target.strip_prefix('#')?));
        let parts = ["allOf", "anyOf", "oneOf"].into_iter();
        let parts = parts.filter_map(|keyword| schema.get(keyword)?.as_array());
        for next in target.into_iter().chain(parts.flatten()) {
            if !all.iter().any(|seen| std::ptr::eq(*seen, next)) {
                all.push(next);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape;
    use serde_json::json;

    fn of(schema: &Value) -> Unordered {
        Unordered::of(schema, &shape::shapes(schema).unwrap())
    }

    fn unordered() -> Unordered {
        of(&json!({
            "properties": {"carts": {"additionalProperties": {"$ref": "#/$defs/cart"}}},
            "$defs": {
                "names": {"type": "array", MARK: true},
                "cart": {"properties": {
                    "tags": {"$ref": "#/$defs/names"},
                    "stops": {"type": "array", MARK: false},
                    "log": {"type": "array"},
                    "boxes": {"anyOf": [{"type": "null"}, {"type": "array", MARK: true, "items":
                        {"properties": {"lines": {"type": "array", MARK: true}}}}]},
                }},
            },
        }))
    }

    fn sorted(by: fn(&Unordered, &str, &str, &mut Value), record: Value) -> Value {
        let mut record = record;
        by(&unordered(), "carts", "1", &mut record);
        record
    }

    #[test]
    fn declared_lists_are_sorted_at_every_depth_and_no_others() {
        let record = json!({"tags": ["b", "a"], "stops": [2, 1], "log": [2, 1],
            "boxes": [{"lines": [3, 1]}, {"lines": [2.0, 1]}]});
        assert_eq!(
            sorted(Unordered::sort, record.clone()),
            json!({"tags": ["a", "b"], "stops": [2, 1], "log": [2, 1],
                "boxes": [{"lines": [1, 2.0]}, {"lines": [1, 3]}]})
        );
        let all = sorted(Unordered::sort_undeclared, record);
        assert_eq!(
            (&all["log"], &all["stops"]),
            (&json!([1, 2]), &json!([2, 1]))
        );
        assert!(!unordered().is_empty());
        assert!(of(&json!({"items": {MARK: false}})).is_empty());
    }

    #[test]
    fn lists_within_the_records_of_every_shape_are_sorted() {
        let tags = json!({"properties": {"tags": {"type": "array", MARK: true}}});
        let unordered = of(&json!({"properties": {
            "lines": {"type": "array", "items": tags, shape::LIST: "id"},
            "phone": {"$ref": "#/$defs/phone", shape::SINGLETON: true},
            "carts": {"additionalProperties": tags, shape::SINGLETON: false},
        }, "$defs": {"phone": tags}}));
        for (collection, id) in [("lines", "L1"), ("phone", ""), ("carts", "1")] {
            let mut record = json!({"tags": [2, 1]});
            unordered.sort(collection, id, &mut record);
            assert_eq!(record, json!({"tags": [1, 2]}), "{collection}");
        }
    }

    #[test]
    fn a_circle_of_references_ends() {
        let schema =
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a", MARK: true}}});
        let mut record = json!({"x": [2, 1]});
        of(&schema).sort("c", "1", &mut record);
        assert_eq!(record, json!({"x": [2, 1]}));
    }

    #[test]
    fn changes_alike_are_no_difference() {
        let change = |field: &str| Change {
            collection: "carts".into(),
            id: "1".into(),
            field: field.into(),
            before: Value::Null,
            after: Value::Null,
        };
        let unordered = unordered();
        assert!(unordered.alike(&change("tags"), &json!(["a", "b"]), &json!(["b", "a"])));
        assert!(!unordered.alike(&change("tags"), &json!(["a"]), &json!(["a", "a"])));
        assert!(!unordered.alike(&change("log"), &json!([1, 2]), &json!([2, 1])));
        let whole = |tags: Value| json!({"tags": tags, "stops": []});
        assert!(unordered.alike(&change("*"), &whole(json!([1, 2])), &whole(json!([2, 1.0]))));
    }
}
