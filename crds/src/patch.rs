//! Patches over manifests, as `agoge up --patch` reads them: the same files with a few fields changed.
//!
//! A patch is a document with `kind` and `metadata.name`; its other fields are merged over the manifest of that kind and
//! name as a JSON merge patch does it (RFC 7386): maps field by field, `null` removes, all else is replaced.

use serde_json::Value;

use crate::check::Document;

/// A patch that matches no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("patches {kind} {name}, which is not among the manifests")]
pub struct NoTarget {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// Merges a change into the documents of its kind and name.
///
/// # Errors
/// [`NoTarget`]
pub fn patch<'a>(
    documents: impl IntoIterator<Item = &'a mut Document>,
    change: &Value,
) -> Result<(), NoTarget> {
    let (kind, name) = identity(change);
    let mut found = false;
    for document in documents {
        if identity(&document.value) == (kind, name) {
            merge(&mut document.value, change.clone());
            found = true;
        }
    }
    let target = || NoTarget {
        kind: kind.to_owned(),
        name: name.to_owned(),
    };
    found.then_some(()).ok_or_else(target)
}

fn identity(document: &Value) -> (&str, &str) {
    let text = |pointer: &str| {
        let value = document.pointer(pointer);
        value.and_then(Value::as_str).unwrap_or_default()
    };
    (text("/kind"), text("/metadata/name"))
}

fn merge(target: &mut Value, change: Value) {
    let Value::Object(change) = change else {
        *target = change;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(fields) = target else {
        return;
    };
    for (key, value) in change {
        if value.is_null() {
            fields.remove(&key);
        } else {
            merge(fields.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::documents;
    use serde_json::json;

    const BASE: &str = "kind: A\nmetadata: {name: x}\nspec: {keep: \"yes\", change: {a: 1, b: 2}, drop: 3}\n---\nkind: B\nmetadata: {name: x}\n";

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let mut all = documents(BASE, "base");
        let change = json!({"kind": "A", "metadata": {"name": "x"}, "spec": {"change": {"b": [5]}, "drop": null}});
        patch(&mut all, &change).unwrap();
        assert_eq!(
            all[0].value["spec"],
            json!({"keep": "yes", "change": {"a": 1, "b": [5]}})
        );
        assert_eq!(all[1], documents(BASE, "base")[1]);
    }

    #[test]
    fn a_patch_of_nothing_is_an_error_that_names_it() {
        let change = json!({"kind": "A", "metadata": {"name": "y"}});
        let error = patch(&mut documents(BASE, "base"), &change).unwrap_err();
        assert!(error.to_string().contains("patches A y"), "{error}");
    }
}
