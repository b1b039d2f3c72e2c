//! The form of each collection in `state.json`, read from marks in `schema.json`: a list of records, or a single one.

pub(crate) use agoge_sandbox::Shapes;
use agoge_sandbox::{Shape, resolve};
use serde_json::Value;

/// The mark of a collection that is an array; its value names the field of the records' id.
pub(crate) const LIST: &str = "x-agoge-list";
/// The mark of a collection that is one object.
pub(crate) const SINGLETON: &str = "x-agoge-singleton";

/// Returns the shapes of the collections that a schema marks.
///
/// # Errors
/// The mistakes in marks, each with its suggested fix.
pub(crate) fn shapes(schema: &Value) -> Result<Shapes, Vec<(String, String)>> {
    let (mut shapes, mut flaws) = (Shapes::new(), Vec::new());
    let top = resolve(schema, schema);
    let collections = top.get("properties").and_then(Value::as_object);
    for (name, own) in collections.into_iter().flatten() {
        let inner = resolve(schema, own);
        match shape(own, inner) {
            Ok(Shape::Records) => {}
            Ok(shape) => {
                shapes.insert(name.clone(), shape);
            }
            Err((message, remedy)) => {
                flaws.push((format!("collection `{name}`: {message}"), remedy));
            }
        }
    }
    let read = shapes.len() + flaws.len();
    if read < marks(schema) && flaws.is_empty() {
        flaws.push((
            format!("`{LIST}` or `{SINGLETON}` marks something that is no collection"),
            "write it beside the collection's schema, in `properties` of the top".into(),
        ));
    }
    match flaws.is_empty() {
        true => Ok(shapes),
        false => Err(flaws),
    }
}

fn shape(own: &Value, inner: &Value) -> Result<Shape, (String, String)> {
    let mark = |name: &str| own.get(name).or_else(|| inner.get(name));
    let flaw = |message: &str, remedy: &str| Err((message.to_owned(), remedy.to_owned()));
    match (mark(LIST), mark(SINGLETON)) {
        (None, None | Some(Value::Bool(false))) => Ok(Shape::Records),
        (None, Some(Value::Bool(true))) => Ok(Shape::Singleton),
        (Some(Value::String(field)), None | Some(Value::Bool(false))) if !field.is_empty() => {
            Ok(Shape::List(field.clone()))
        }
        (Some(_), None | Some(Value::Bool(false))) => flaw(
            "`x-agoge-list` must name the field of the records' id",
            "write it as \"x-agoge-list\": \"id\"",
        ),
        (None, Some(_)) => flaw(
            "`x-agoge-singleton` must be true",
            "write true, or remove it",
        ),
        (Some(_), Some(_)) => flaw(
            "it is marked both as a list and as a singleton",
            "keep one mark",
        ),
    }
}

/// The number of marks anywhere in a schema; a definition that several collections share counts once.
fn marks(schema: &Value) -> usize {
    match schema {
        Value::Object(map) => {
            let own = map.contains_key(LIST) || map.get(SINGLETON) == Some(&Value::Bool(true));
            usize::from(own) + map.values().map(marks).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(marks).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn marks_are_read_beside_a_reference_and_behind_it() {
        let schema = json!({
            "properties": {
                "users": {"additionalProperties": {}},
                "lines": {"type": "array", LIST: "line_id"},
                "phone": {"$ref": "#/$defs/phone"},
                "room": {"$ref": "#/$defs/room", SINGLETON: true},
            },
            "$defs": {"phone": {SINGLETON: true}, "room": {}},
        });
        let expected = [
            ("lines".to_owned(), Shape::List("line_id".into())),
            ("phone".to_owned(), Shape::Singleton),
            ("room".to_owned(), Shape::Singleton),
        ];
        assert_eq!(shapes(&schema).unwrap(), Shapes::from(expected));
    }

    #[test]
    fn a_wrong_mark_names_its_collection_and_the_fix() {
        let of =
            |collection: Value| shapes(&json!({"properties": {"lines": collection}})).unwrap_err();
        for (wrong, words) in [
            (json!({LIST: true}), "must name the field"),
            (json!({SINGLETON: "yes"}), "must be true"),
            (
                json!({LIST: "id", SINGLETON: true}),
                "both as a list and as a singleton",
            ),
            (json!({"items": {LIST: "id"}}), "no collection"),
        ] {
            let flaws = of(wrong);
            assert!(
                flaws[0].0.contains(words) && !flaws[0].1.is_empty(),
                "{flaws:?}"
            );
        }
    }
}
