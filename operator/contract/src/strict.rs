//! The comparison of a document with what was understood of it: nothing may be lost, and nothing may be filled in.

use serde_json::Value;

/// Returns the fields that one document has and the other lacks, with a word for each. A field that is null counts as
/// absent; values are left to the types that read them.
pub fn differences(given: &Value, understood: &Value) -> Vec<String> {
    let mut found = vec![];
    compare("", given, understood, &mut found);
    found
}

fn compare(path: &str, given: &Value, understood: &Value, found: &mut Vec<String>) {
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => {
            let at = |key: &str| match path {
                "" => key.to_owned(),
                path => format!("{path}.{key}"),
            };
            for (key, value) in given {
                match understood.get(key).filter(|known| !known.is_null()) {
                    Some(known) => compare(&at(key), value, known, found),
                    None if value.is_null() => {}
                    None => found.push(format!("the field {} is unknown", at(key))),
                }
            }
            let absent = |key: &str| given.get(key).is_none_or(Value::is_null);
            for (key, value) in understood {
                if absent(key) && !value.is_null() {
                    found.push(format!("the field {} is missing", at(key)));
                }
            }
        }
        (Value::Array(given), Value::Array(understood)) => {
            for (n, (given, understood)) in given.iter().zip(understood).enumerate() {
                compare(&format!("{path}[{n}]"), given, understood, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_unknown_or_missing_is_named_at_any_depth_and_null_is_absence() {
        let given = json!({ "a": { "b": [{ "c": 1 }, { "d": 2 }] }, "e": null, "g": 1 });
        let understood =
            json!({ "a": { "b": [{ "c": 1 }, { "c": 0 }] }, "f": null, "g": 1.0, "h": 7 });
        assert_eq!(
            differences(&given, &understood),
            [
                "the field a.b[1].d is unknown",
                "the field a.b[1].c is missing",
                "the field h is missing"
            ]
        );
        assert!(differences(&understood, &understood).is_empty());
    }
}
