//! Values in the form that a JSON schema gives them: kinds of numbers, and defaults.

use serde_json::{Map, Number, Value, json};

use crate::Shape;

/// The form of a domain that a schema belongs to. See `docs/domain.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Numbers take the kind of a plain `type`.
    One,
    /// Beside that, missing properties take their `default`, and `allOf`, `anyOf`, `oneOf`, `patternProperties`,
    /// `prefixItems` and lists of types are followed.
    Two,
}

impl Format {
    /// The format that `format:` of `domain.yaml` names.
    #[must_use]
    pub fn of(number: u8) -> Self {
        match number {
            0 | 1 => Self::One,
            _ => Self::Two,
        }
    }
}

/// Normalises a value by its schema: an int where a `number` belongs becomes a float, a whole float where an `integer`
/// belongs becomes an int; see [`Format`]. A second time changes nothing. `root` resolves `$ref`.
pub fn normalise(root: &Value, schema: &Value, value: &mut Value, format: Format) {
    let schema = resolve(root, schema);
    if format == Format::Two {
        defaults(root, schema, value);
        for part in list(schema, "allOf") {
            normalise(root, part, value, format);
        }
        for choice in ["anyOf", "oneOf"] {
            chosen(root, list(schema, choice), value);
        }
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if let Some(inner) = property(schema, key, format) {
                    normalise(root, inner, value, format);
                }
            }
        }
        Value::Array(items) => {
            let first: &[Value] = match format {
                Format::One => &[],
                Format::Two => list(schema, "prefixItems"),
            };
            for (n, item) in items.iter_mut().enumerate() {
                if let Some(inner) = first.get(n).or_else(|| schema.get("items")) {
                    normalise(root, inner, item, format);
                }
            }
        }
        Value::Number(_) => number(schema, value, format),
        _ => {}
    }
}

/// Returns the schema of the records of a collection, of the one with this id where the schema tells them apart.
#[must_use]
pub fn record_schema<'a>(
    root: &'a Value,
    shape: &Shape,
    collection: &str,
    id: &str,
) -> Option<&'a Value> {
    let collections = resolve(root, root);
    let schema = resolve(root, property(collections, collection, Format::Two)?);
    match shape {
        Shape::Records => property(schema, id, Format::Two),
        Shape::List(_) => schema.get("items"),
        Shape::Singleton => Some(schema),
    }
}

/// Normalises a record of a collection by a schema of format 2.
pub fn normalise_record(
    root: &Value,
    shape: &Shape,
    collection: &str,
    id: &str,
    record: &mut Value,
) {
    if let Some(schema) = record_schema(root, shape, collection, id) {
        normalise(root, schema, record, Format::Two);
    }
}

/// Tells whether a schema allows a collection of this name.
pub(crate) fn has_collection(root: &Value, collection: &str) -> bool {
    let schema = property(resolve(root, root), collection, Format::Two);
    schema.is_some_and(|schema| *schema != Value::Bool(false))
}

/// Follows `$ref` within `root`.
#[must_use]
pub fn resolve<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    // A chain of references longer than this is a circle.
    for _ in 0..32 {
        let target = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|r| r.strip_prefix('#'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// Returns the schema of a property. Of patterns, the only one is taken.
#[must_use]
pub fn property<'a>(schema: &'a Value, key: &str, format: Format) -> Option<&'a Value> {
    let named = schema.get("properties").and_then(|p| p.get(key));
    let patterned = || {
        let all = schema.get("patternProperties")?.as_object()?;
        let only = all.values().next()?;
        (format == Format::Two && all.len() == 1).then_some(only)
    };
    named
        .or_else(patterned)
        .or_else(|| schema.get("additionalProperties"))
}

fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    let list = schema.get(key).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// Gives the missing properties of an object their defaults.
fn defaults(root: &Value, schema: &Value, value: &mut Value) {
    let Value::Object(map) = value else { return };
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        if map.contains_key(name) {
            continue;
        }
        let own = property.get("default");
        if let Some(default) = own.or_else(|| resolve(root, property).get("default")) {
            map.insert(name.clone(), default.clone());
        }
    }
}

/// Normalises a value by the first of these schemas that it fits. A default can make it fit an earlier one.
fn chosen(root: &Value, choices: &[Value], value: &mut Value) {
    let mut last = None;
    for _ in choices {
        let first = (choices.iter()).position(|choice| fits(resolve(root, choice), value));
        let Some(n) = first.filter(|n| last != Some(*n)) else {
            return;
        };
        normalise(root, &choices[n], value, Format::Two);
        last = Some(n);
    }
}

/// Tells whether a value has the kind that a schema asks for: its type, its `enum` or `const`, its required properties,
/// and the properties that are a `const` or an `enum`.
fn fits(schema: &Value, value: &Value) -> bool {
    let types = types(schema);
    let typed = types.is_empty() || types.iter().any(|ty| is(ty, value));
    let listed = |schema: &Value, value: &Value| {
        let allowed = schema.get("enum").and_then(Value::as_array);
        allowed.is_none_or(|allowed| allowed.contains(value))
            && schema.get("const").is_none_or(|only| only == value)
    };
    let empty = Map::new();
    let map = value.as_object().unwrap_or(&empty);
    let required = list(schema, "required")
        .iter()
        .filter_map(Value::as_str)
        .all(|name| !value.is_object() || map.contains_key(name));
    let properties = schema.get("properties").and_then(Value::as_object);
    let told = properties
        .into_iter()
        .flatten()
        .all(|(name, inner)| map.get(name).is_none_or(|value| listed(inner, value)));
    typed && listed(schema, value) && required && told
}

fn is(ty: &str, value: &Value) -> bool {
    match ty {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => whole(value.clone()).is_i64() || value.is_u64(),
        _ => false,
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(ty)) => vec![ty],
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn number(schema: &Value, value: &mut Value, format: Format) {
    let types = match format {
        Format::One => Vec::from_iter(schema.get("type").and_then(Value::as_str)),
        Format::Two => types(schema),
    };
    let (number, integer) = (types.contains(&"number"), types.contains(&"integer"));
    let Value::Number(given) = &*value else {
        return;
    };
    match (number, integer, given.as_f64()) {
        (true, false, Some(float)) if is_exact(given) => *value = json!(float),
        (false, true, Some(_)) => *value = whole(value.clone()),
        _ => {}
    }
}

/// Tells whether a whole number is the same as a float. A larger one stays as it is written.
fn is_exact(number: &Number) -> bool {
    number
        .as_i64()
        .is_some_and(|whole| whole.unsigned_abs() <= 1 << 53)
}

/// A whole float as an int; anything else as it is.
fn whole(value: Value) -> Value {
    match value.as_f64() {
        Some(float) if value.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
            json!(float as i64)
        }
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_take_the_types_of_the_schema() {
        let schema = json!({"additionalProperties": {"additionalProperties": {"$ref": "#/$defs/r"}},
            "$defs": {"r": {"properties": {"f": {"type": "number"}, "i": {"type": "integer"},
                "l": {"items": {"type": "number"}}}}}});
        for format in [Format::One, Format::Two] {
            let mut state = json!({"c": {"1": {"f": 3, "i": 4.0, "l": [1, 2.5]}}});
            normalise(&schema, &schema, &mut state, format);
            assert_eq!(
                state.to_string(),
                r#"{"c":{"1":{"f":3.0,"i":4,"l":[1.0,2.5]}}}"#
            );
            let wide = json!({"c": {"1": {"f": 9_007_199_254_740_993_i64}}});
            let mut state = wide.clone();
            normalise(&schema, &schema, &mut state, format);
            assert_eq!(state, wide, "a number that a float would round is kept");
        }
    }

    fn nested() -> Value {
        json!({
            "$defs": {"fee": {"type": ["number", "null"]}, "tags": {"items": {"type": "string"}, "default": []}},
            "properties": {
                "fee": {"$ref": "#/$defs/fee", "default": 0},
                "tags": {"$ref": "#/$defs/tags"},
                "plan": {"properties": {"days": {"type": "integer", "default": 30}}},
                "pay": {"anyOf": [
                    {"type": "null"},
                    {"required": ["kind"], "properties": {"kind": {"const": "card"}, "limit": {"type": "number", "default": 5}}},
                    {"required": ["kind"], "properties": {"kind": {"enum": ["gift"]}, "left": {"type": "number", "default": 1}}},
                ]},
            },
            "patternProperties": {"^x": {"type": "number"}},
        })
    }

    #[test]
    fn format_two_gives_defaults_at_every_depth_and_format_one_gives_none() {
        let schema = nested();
        let given = json!({"plan": {}, "pay": {"kind": "gift"}, "x1": 2});
        let mut one = given.clone();
        normalise(&schema, &schema, &mut one, Format::One);
        assert_eq!(one.to_string(), given.to_string());
        let mut two = given;
        normalise(&schema, &schema, &mut two, Format::Two);
        assert_eq!(
            two.to_string(),
            r#"{"plan":{"days":30},"pay":{"kind":"gift","left":1.0},"x1":2.0,"fee":0.0,"tags":[]}"#
        );
    }

    #[test]
    fn the_schema_of_a_record_is_found_through_each_shape() {
        let root = json!({"properties": {
            "a": {"additionalProperties": {"$ref": "#/$defs/a"}},
            "l": {"items": {"title": "item"}},
            "s": {"title": "one"},
        }, "$defs": {"a": {"title": "record"}}});
        let of = |shape: Shape, collection: &str| {
            let schema = record_schema(&root, &shape, collection, "1")?;
            resolve(&root, schema)["title"].as_str()
        };
        assert_eq!(of(Shape::Records, "a"), Some("record"));
        assert_eq!(of(Shape::List("id".into()), "l"), Some("item"));
        assert_eq!(of(Shape::Singleton, "s"), Some("one"));
        assert_eq!(of(Shape::Records, "none"), None);
        assert!(has_collection(&root, "l") && !has_collection(&root, "none"));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-4i64..4).prop_map(Value::from),
            (-4i64..4).prop_map(|n| json!(n as f64 / 2.0)),
            "(card|gift|a)".prop_map(Value::from),
        ];
        let key = "(fee|tags|plan|days|pay|kind|limit|left|x1|y)";
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..5)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn normalising_again_changes_nothing(value in value()) {
            let schema = nested();
            for format in [Format::One, Format::Two] {
                let mut once = value.clone();
                normalise(&schema, &schema, &mut once, format);
                let mut twice = once.clone();
                normalise(&schema, &schema, &mut twice, format);
                prop_assert_eq!(once.to_string(), twice.to_string());
            }
        }
    }
}
