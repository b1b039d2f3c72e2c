//! Types and bounds: an OpenAPI schema read as JSON schema.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{ValidationError, Validator};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value, json};

use super::Finding;

/// The value of a label.
const LABEL_VALUE: &str = "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";
/// The name of a namespace.
const NAMESPACE: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// Returns the schema of a definition's first version, for metadata and spec: manifests carry no status.
pub(super) fn of(crd: &CustomResourceDefinition) -> Value {
    let schema = crd
        .spec
        .versions
        .first()
        .and_then(|v| v.schema.as_ref())
        .and_then(|s| s.open_api_v3_schema.as_ref());
    let mut schema = schema
        .and_then(|s| serde_json::to_value(s).ok())
        .unwrap_or_else(|| json!({}));
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.retain(|name, _| name == "spec");
        properties.insert("metadata".into(), metadata());
    }
    schema
}

/// Returns the schema of `metadata`, which no definition has: of the fields that people write. Its name is judged by itself.
fn metadata() -> Value {
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let label = json!({ "type": "string", "maxLength": 63, "pattern": LABEL_VALUE });
    let known = super::fields::METADATA
        .iter()
        .map(|field| ((*field).to_owned(), json!({})));
    let mut properties: Map<String, Value> = known.collect();
    for (field, schema) in [
        (
            "namespace",
            json!({ "type": "string", "maxLength": 63, "pattern": NAMESPACE }),
        ),
        (
            "labels",
            json!({ "type": "object", "additionalProperties": label }),
        ),
        ("annotations", texts),
        (
            "finalizers",
            json!({ "type": "array", "items": { "type": "string" } }),
        ),
    ] {
        properties.insert(field.into(), schema);
    }
    json!({ "type": "object", "properties": properties })
}

/// Finds every violation of the schema.
pub(crate) fn violations(value: &Value, schema: &Value) -> Vec<Finding> {
    match Validator::new(schema) {
        Ok(validator) => validator
            .iter_errors(value)
            .map(|error| finding(&error, schema))
            .collect(),
        Err(error) => vec![Finding::new(
            "",
            format!("the schema itself is broken: {error}"),
            "report this as a defect",
        )],
    }
}

/// `/spec/strategies/0/name` as `spec.strategies[0].name`.
fn path(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            path.push_str(&format!("[{part}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part);
        }
    }
    path
}

fn finding(error: &ValidationError<'_>, schema: &Value) -> Finding {
    let field = path(error.instance_path().as_str());
    let is = short(error.instance());
    let (message, remedy) = match error.kind() {
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let field = if field.is_empty() {
                name.to_owned()
            } else {
                format!("{field}.{name}")
            };
            return Finding::new(field, "is missing", "add it");
        }
        Kind::Type { kind } => (
            format!("{is} is not {}", types(kind)),
            other_type(error, kind, schema),
        ),
        Kind::Not { .. } => (
            format!("{is} is not a quantity"),
            looks(crate::resource::QUANTITY),
        ),
        Kind::Enum { options } => {
            let known: Vec<&str> = options
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            (
                format!("{is} is none of {}", known.join(", ")),
                nearest(error.instance(), &known),
            )
        }
        Kind::Minimum { limit } => (
            format!("{is} is too small"),
            format!("use at least {}", number(limit)),
        ),
        Kind::Maximum { limit } => (
            format!("{is} is too large"),
            format!("use at most {}", number(limit)),
        ),
        Kind::MinLength { limit } => (
            format!("{is} is too short"),
            format!("use at least {limit} characters"),
        ),
        Kind::MaxLength { limit } => (
            format!("{is} is too long"),
            format!("use at most {limit} characters"),
        ),
        Kind::MinItems { limit } => (
            "has too few items".to_owned(),
            format!("list at least {limit}"),
        ),
        Kind::MaxItems { limit } => (
            "has too many items".to_owned(),
            format!("list at most {limit}"),
        ),
        Kind::MaxProperties { limit } => (
            "has too many entries".to_owned(),
            format!("use at most {limit}"),
        ),
        Kind::Pattern { pattern } => (format!("{is} does not look right"), looks(pattern)),
        _ => (error.to_string(), "compare it with an example".to_owned()),
    };
    Finding::new(field, message, remedy)
}

/// A bound without the `.0` that schemas write behind whole numbers.
fn number(limit: &Value) -> String {
    let text = limit.to_string();
    text.strip_suffix(".0")
        .map_or_else(|| text.clone(), str::to_owned)
}

fn short(value: &Value) -> String {
    crate::conditions::shorten(&value.to_string(), 60)
}

fn types(kind: &TypeKind) -> String {
    let word = |name: &str| match name {
        "integer" => "a whole number".to_owned(),
        "number" => "a number".to_owned(),
        "string" => "a text".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => "a list".to_owned(),
        "object" => "a map".to_owned(),
        other => other.to_owned(),
    };
    match kind {
        TypeKind::Single(name) => word(&name.to_string()),
        TypeKind::Multiple(names) => {
            let words: Vec<String> = names
                .iter()
                .map(|n| n.to_string())
                .filter(|n| n != "null")
                .map(|n| word(&n))
                .collect();
            words.join(" or ")
        }
    }
}

fn nearest(value: &Value, known: &[&str]) -> String {
    value.as_str().map_or_else(
        || "use one of them".to_owned(),
        |text| super::fields::suggest(text, known),
    )
}

/// Suggests how to write a value of the wrong type. What was meant as a text lacks its quotes, and what was meant as a number has
/// too many.
fn other_type(error: &ValidationError<'_>, kind: &TypeKind, schema: &Value) -> String {
    let wanted = types(kind);
    let keyword = error.schema_path().as_str();
    let node = keyword
        .strip_suffix("/type")
        .and_then(|at| schema.pointer(at));
    let pattern = node.and_then(|node| node.get("pattern")?.as_str());
    match (&**error.instance(), pattern) {
        (_, Some(pattern)) if pattern == crate::quantity::SPAN => looks(pattern),
        (Value::Number(_) | Value::Bool(_), _) if wanted == "a text" => {
            format!("quote it: \"{}\"", error.instance())
        }
        (Value::String(text), _) if is_written_as(text, &wanted) => {
            "take the quotes away".to_owned()
        }
        _ => format!("write {wanted}"),
    }
}

fn is_written_as(text: &str, wanted: &str) -> bool {
    match wanted {
        "a whole number" => text.parse::<i64>().is_ok(),
        "a number" => text.parse::<f64>().is_ok_and(f64::is_finite),
        "true or false" => matches!(text, "true" | "false"),
        _ => false,
    }
}

/// Describes a pattern in words.
fn looks(pattern: &str) -> String {
    if pattern == crate::rules::NAME || pattern == NAMESPACE {
        "use lower-case letters, digits, - and . only, and begin and end with a letter or digit"
            .to_owned()
    } else if pattern == crate::rules::DIGEST {
        "write sha256: and 64 hexadecimal digits, or leave it out to accept any".to_owned()
    } else if pattern == crate::quantity::SPAN {
        "write a duration, such as 90s, 15m or 1h30m".to_owned()
    } else if pattern == crate::resource::QUANTITY {
        "write a quantity as Kubernetes does, such as 2, 500m, 256Mi or 2Gi".to_owned()
    } else if pattern == LABEL_VALUE {
        "use letters, digits, -, _ and . only, and begin and end with a letter or digit".to_owned()
    } else {
        format!("it must match {pattern}")
    }
}
