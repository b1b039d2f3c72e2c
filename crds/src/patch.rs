//! Patches over manifests, as `agoge up --patch` reads them: the same files with a few fields changed.
//!
//! A patch is a document with `kind` and `metadata.name`; its other fields are merged over the manifest of that kind and
//! name as a JSON merge patch does it (RFC 7386): maps field by field, `null` removes, all else is replaced.

use serde::Deserialize;
use serde_json::Value;

/// A patch that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The text is not YAML.
    #[error("{file}: not YAML: {reason}")]
    Yaml {
        /// The file.
        file: String,
        /// The parser's message.
        reason: String,
    },
    /// The patch matches no manifest.
    #[error(
        "{file}: patches {kind} {name}, which is not one of the manifests; correct kind or metadata.name"
    )]
    NoTarget {
        /// The file.
        file: String,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
}

/// Merges every patch into the text. File names are used in errors only.
///
/// # Errors
/// [`PatchError`]
pub fn patch(
    text: &str,
    file: &str,
    patches: &str,
    patch_file: &str,
) -> Result<String, PatchError> {
    let mut documents = documents(text, file)?;
    for change in self::documents(patches, patch_file)? {
        let (kind, name) = identity(&change);
        let target = documents
            .iter_mut()
            .find(|document| identity(document) == (kind.clone(), name.clone()));
        match target {
            Some(target) => merge(target, change),
            None => {
                return Err(PatchError::NoTarget {
                    file: patch_file.to_owned(),
                    kind,
                    name,
                });
            }
        }
    }
    let texts = documents.iter().map(|document| {
        serde_yaml::to_string(document).map_err(|error| PatchError::Yaml {
            file: file.to_owned(),
            reason: error.to_string(),
        })
    });
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join("---\n"))
}

fn documents(text: &str, file: &str) -> Result<Vec<Value>, PatchError> {
    let yaml = |error: &dyn std::fmt::Display| PatchError::Yaml {
        file: file.to_owned(),
        reason: error.to_string(),
    };
    let mut found = vec![];
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = Value::deserialize(document).map_err(|error| yaml(&error))?;
        if !value.is_null() {
            found.push(value);
        }
    }
    Ok(found)
}

fn identity(document: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&document["kind"]), text(&document["metadata"]["name"]))
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

    const BASE: &str = "kind: A\nmetadata: {name: x}\nspec: {keep: 1, change: {a: 1, b: 2}, drop: 3}\n---\nkind: B\nmetadata: {name: x}\n";

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let change = "kind: A\nmetadata: {name: x}\nspec: {change: {b: [5]}, drop: null}\n";
        let merged = documents(&patch(BASE, "base", change, "patch").unwrap(), "merged").unwrap();
        assert_eq!(
            merged[0]["spec"],
            serde_json::json!({"keep": 1, "change": {"a": 1, "b": [5]}})
        );
        assert_eq!(merged[1], documents(BASE, "base").unwrap()[1]);
    }

    #[test]
    fn a_patch_of_nothing_is_an_error_that_names_it() {
        let error =
            patch(BASE, "base", "kind: A\nmetadata: {name: y}\n", "patch.yaml").unwrap_err();
        assert!(
            error.to_string().contains("patch.yaml: patches A y"),
            "{error}"
        );
    }
}
