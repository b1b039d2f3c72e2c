//! `kubectl agoge explain`: what a field means, what it takes and which rules it obeys, from the API's own schema; and what
//! a reason, a phase or a condition means and what to do, from the status contract. Asks no cluster.

use clap::Args;
use serde_json::Value;

use super::cluster;
use crate::failure::Failure;
use crate::table;

/// The status contract, for people and for programs alike.
const CONTRACT: &str = include_str!("../../../../docs/status.md");

/// Says what a field is (`synthesisjob.spec.evolution`), or what a reason means (`ImagePullBackOff`). Asks no cluster.
#[derive(Debug, Args)]
pub struct Explain {
    /// KIND, KIND.field.path, or a reason, phase or condition as a status says it.
    #[arg(value_name = "FIELD|REASON")]
    pub what: String,
}

/// The meaning of a word of the status contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Of what it is a word: a phase, a condition, or the reason of certain conditions.
    pub on: String,
    /// The event.
    pub happened: String,
    /// The suggested fix; may be empty.
    pub remedy: String,
}

/// Runs it.
///
/// # Errors
/// Neither a field nor a word of the contract.
pub fn explain(explain: &Explain) -> Result<(), Failure> {
    let text = about(&explain.what).map_err(Failure::Input)?;
    print!("{text}");
    Ok(())
}

/// The text about a field or a word.
///
/// # Errors
/// When the word is not known; the message lists those that are.
pub fn about(what: &str) -> Result<String, String> {
    let mut parts = what.split('.');
    let first = parts.next().unwrap_or_default();
    if let Some(kind) = cluster::kind(first) {
        let path: Vec<String> = parts
            .map(|part| part.split('[').next().unwrap_or_default().to_owned())
            .collect();
        return field(kind.as_str(), &path);
    }
    let meanings = reasons(what);
    if meanings.is_empty() {
        return Err(format!(
            "{what} is neither a field (synthesisjob, checkersuite or grporun, then .spec and so on) nor a reason of the status contract"
        ));
    }
    let mut text = String::new();
    for meaning in meanings {
        text.push_str(&format!(
            "{what} ({})\n  {}\n",
            meaning.on, meaning.happened
        ));
        if !meaning.remedy.is_empty() {
            text.push_str(&format!("  what to do: {}\n", meaning.remedy));
        }
    }
    Ok(text)
}

/// Returns the meaning of a word, wherever the contract has it.
#[must_use]
pub fn reasons(word: &str) -> Vec<Meaning> {
    let mut found = vec![];
    let mut section = "";
    for line in CONTRACT.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        let Some(row) = line
            .strip_prefix('|')
            .and_then(|row| row.trim_end().strip_suffix('|'))
        else {
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let named = cells.first().is_some_and(|first| {
            first
                .split(',')
                .any(|name| name.trim() == format!("`{word}`"))
        });
        if !named {
            continue;
        }
        let cell = |n: usize| cells.get(n).copied().unwrap_or_default().to_owned();
        found.push(match cells.len() {
            2 => Meaning {
                on: section.trim_end_matches('s').to_lowercase(),
                happened: cell(1),
                remedy: String::new(),
            },
            _ => Meaning {
                on: format!("reason of {}", cell(1)),
                happened: cell(2),
                remedy: cell(3),
            },
        });
    }
    found
}

/// A field of a kind.
fn field(kind: &str, path: &[String]) -> Result<String, String> {
    let schema = schema(kind);
    let (mut at, mut whole) = (&schema, kind.to_lowercase());
    // Rules of those above that speak of a field below them: the schema and how far down it lies.
    let mut above: Vec<&Value> = vec![];
    let mut required = false;
    for name in path {
        let object = inside(at);
        above.push(object);
        let next = object["properties"].get(name).or_else(|| {
            // Any name will do.
            object
                .get("additionalProperties")
                .filter(|any| any.is_object())
        });
        let Some(next) = next else {
            let known: Vec<&str> = object["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.as_str())
                .collect();
            return Err(if known.is_empty() {
                format!("{whole} has no fields")
            } else {
                format!("{whole} has no field {name}; it has {}", known.join(", "))
            });
        };
        required = names(&object["required"]).any(|required| required == name);
        whole = format!("{whole}.{name}");
        at = next;
    }
    Ok(described(&whole, at, required, &rules(at, path, &above)))
}

/// The schema of a kind's first version.
fn schema(kind: &str) -> Value {
    let crd = agoge_crds::crds()
        .into_iter()
        .find(|crd| crd.spec.names.kind == kind);
    let version = crd.and_then(|crd| crd.spec.versions.into_iter().next());
    let schema = version.and_then(|version| version.schema?.open_api_v3_schema);
    serde_json::to_value(schema).unwrap_or_default()
}

/// Returns the schema of a list's or a map's items, else the schema itself.
fn inside(schema: &Value) -> &Value {
    let items = schema.get("items").filter(|items| items.is_object());
    items.map_or(schema, inside)
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Returns the rules about a field: its own, its items', and those of fields above that point at it.
fn rules(at: &Value, path: &[String], above: &[&Value]) -> Vec<String> {
    let list = |schema: &Value| {
        schema["x-kubernetes-validations"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let message = |rule: &Value| {
        rule["message"]
            .as_str()
            .or_else(|| rule["rule"].as_str())
            .map(str::to_owned)
    };
    let mut found: Vec<String> = list(at).iter().filter_map(message).collect();
    if inside(at) != at {
        found.extend(list(inside(at)).iter().filter_map(message));
    }
    for (depth, schema) in above.iter().enumerate() {
        let below = format!(".{}", path[depth..].join("."));
        let pointed = list(schema)
            .into_iter()
            .filter(|rule| rule["fieldPath"] == below.as_str());
        found.extend(pointed.filter_map(|rule| message(&rule)));
    }
    found.dedup();
    found
}

fn described(whole: &str, at: &Value, required: bool, rules: &[String]) -> String {
    let object = inside(at);
    let mut text = format!(
        "{whole} <{}>{}\n",
        type_of(at),
        if required { " required" } else { "" }
    );
    let description = at["description"]
        .as_str()
        .or_else(|| object["description"].as_str());
    for line in description.into_iter().flat_map(str::lines) {
        text.push_str(&format!("  {line}\n"));
    }
    for (word, value) in bounds(at) {
        text.push_str(&format!("  {word}: {value}\n"));
    }
    if inside(at) != at {
        for (word, value) in bounds(object) {
            text.push_str(&format!("  each {word}: {value}\n"));
        }
    }
    if !rules.is_empty() {
        text.push_str("\nrefused when\n");
        for rule in rules {
            text.push_str(&format!("  {rule}\n"));
        }
    }
    let Some(fields) = object["properties"].as_object() else {
        return text;
    };
    let rows: Vec<[String; 3]> = fields
        .iter()
        .map(|(name, field)| {
            let must = names(&object["required"]).any(|required| required == name);
            let first = field["description"]
                .as_str()
                .and_then(|text| text.lines().next())
                .unwrap_or_default();
            [
                name.clone(),
                format!(
                    "<{}>{}",
                    type_of(field),
                    if must { " required" } else { "" }
                ),
                first.to_owned(),
            ]
        })
        .collect();
    text.push_str("\nfields\n");
    for line in table::columns(&rows).lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

fn type_of(schema: &Value) -> String {
    match schema["type"].as_str() {
        Some("array") => format!("[]{}", type_of(inside(schema))),
        Some("object") => match schema
            .get("additionalProperties")
            .filter(|any| any.is_object())
        {
            Some(any) => format!("map of {}", type_of(any)),
            None => "object".to_owned(),
        },
        Some(name) => name.to_owned(),
        None if schema["x-kubernetes-int-or-string"] == true => "integer or string".to_owned(),
        None if is_quantity(schema) => "quantity".to_owned(),
        None => "any".to_owned(),
    }
}

/// Tells whether a schema is one of quantities: numbers, and texts that look like one.
fn is_quantity(schema: &Value) -> bool {
    schema["type"].is_null() && schema["pattern"].is_string()
}

/// Default and bounds, in words.
fn bounds(schema: &Value) -> Vec<(&'static str, String)> {
    let mut found = vec![];
    let plain = |value: &Value| {
        let text = value.to_string();
        text.strip_suffix(".0")
            .map_or_else(|| text.clone(), str::to_owned)
    };
    let known: Vec<&str> = names(&schema["enum"]).collect();
    if !known.is_empty() {
        found.push(("one of", known.join(", ")));
    }
    for (key, word) in [
        ("default", "default"),
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "characters, at least"),
        ("maxLength", "characters, at most"),
        ("minItems", "items, at least"),
        ("maxItems", "items, at most"),
        ("maxProperties", "entries, at most"),
        ("pattern", "looks like"),
    ] {
        // The bounds of a quantity say what it is not: a map, a list, or nonsense.
        if is_quantity(schema) && key != "default" {
            continue;
        }
        if let Some(value) = schema.get(key) {
            found.push((word, plain(value)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_its_type_its_bounds_and_its_rules() {
        let text = about("synth.spec.evolution.confidence").unwrap();
        assert!(
            text.starts_with("synthesisjob.spec.evolution.confidence <number>"),
            "{text}"
        );
        assert!(
            text.contains("at least: 0.5") && text.contains("at most: 0.9999"),
            "{text}"
        );
        let text = about("synthesisjob.spec.strategies[0].name").unwrap();
        assert!(
            text.contains("one of: template, sea") && text.contains("required"),
            "{text}"
        );
    }

    #[test]
    fn rules_are_told_where_they_are_made_and_where_they_point() {
        let text = about("synthesisjob.spec.models").unwrap();
        assert!(text.contains("a model and there is none"), "{text}");
        let text = about("grporun.spec.policy").unwrap();
        assert!(text.contains("set fresh or path"), "{text}");
    }

    #[test]
    fn every_field_of_every_kind_can_be_explained() {
        fn walk(at: &Value, path: &str, count: &mut usize) {
            for (name, field) in inside(at)["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{name}");
                about(&path).unwrap();
                *count += 1;
                walk(field, &path, count);
            }
        }
        let mut count = 0;
        for kind in ["SynthesisJob", "CheckerSuite", "GRPORun"] {
            let schema = schema(kind);
            walk(&schema, &kind.to_lowercase(), &mut count);
        }
        assert!(count > 200, "{count}");
    }

    #[test]
    fn a_wrong_field_is_told_what_there_is() {
        let error = about("checkersuite.spec.sourc").unwrap_err();
        assert!(
            error.contains("has no field sourc") && error.contains("source"),
            "{error}"
        );
    }

    #[test]
    fn every_reason_of_the_api_is_in_the_contract() {
        let text = include_str!("../../../../crds/src/conditions.rs");
        let words = text
            .lines()
            .filter(|line| line.starts_with("    pub const"))
            .filter_map(|line| line.split('"').nth(1));
        let mut count = 0;
        for word in words {
            assert!(!reasons(word).is_empty(), "{word} is not in docs/status.md");
            count += 1;
        }
        assert!(count >= 29, "{count}");
        let meaning = &reasons("BackingOff")[0];
        assert!(meaning.on.contains("Progressing") && meaning.happened.contains("next attempt"));
        assert_eq!(reasons("Waiting")[0].on, "phase");
    }
}
