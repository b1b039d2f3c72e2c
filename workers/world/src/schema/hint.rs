//! The schema of a tool, derived from the signature of its function: type hints, and docstrings.

use agoge_dialogue::ToolSpec;
use agoge_sandbox::{Class, ClassKind, Field, Format, Hint, Signature, Types};
use serde_json::{Map, Value, json};

use super::doc;

/// Types within types beyond this are a circle.
const DEEPEST: usize = 16;
const CIRCLE: &str = "which contains itself";

/// Returns the tool of a function's signature. `types` are the classes and aliases that its hints may name; in format 1
/// descriptions stay as written and a `dict[..]` is any object.
///
/// # Errors
/// The problem and its remedy.
pub(crate) fn tool(
    signature: &Signature,
    types: &Types,
    format: Format,
) -> Result<ToolSpec, (String, String)> {
    let names: Vec<&str> = (signature.parameters.iter())
        .map(|parameter| parameter.name.as_str())
        .collect();
    let read = doc::read(&signature.doc, &names, format);
    let reader = Reader { types, format };
    let mut properties = Map::new();
    let mut required = Vec::new();
    for parameter in &signature.parameters {
        if !parameter.ty.is_empty() {
            let mut schema = reader.of_text(&parameter.ty).map_err(|flaw| {
                let message = format!(
                    "`{}` of `{}` has the type `{}`, {}",
                    parameter.name, signature.name, parameter.ty, flaw.message
                );
                (message, flaw.remedy)
            })?;
            if let Some(map) = schema.as_object_mut() {
                if let Some(default) = &parameter.default {
                    map.insert("default".into(), default.clone());
                }
                if let Some(text) = read.parameters.get(&parameter.name) {
                    map.insert("description".into(), json!(text));
                }
            }
            properties.insert(parameter.name.clone(), schema);
        }
        if !parameter.optional {
            required.push(parameter.name.clone());
        }
    }
    Ok(ToolSpec {
        name: signature.name.clone(),
        description: read.description,
        parameters: json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false
        }),
    })
}

/// The reason why a hint has no schema.
struct Flaw {
    message: String,
    remedy: String,
}

impl Flaw {
    fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    fn unknown() -> Self {
        Self::new(
            "which JSON does not have",
            "use str, int, float, bool, list, dict, tuple, date, datetime, Literal[..], a TypedDict, a dataclass, or \
             a union of them such as `int | None`",
        )
    }
}

/// Reads hints that name these types.
struct Reader<'a> {
    types: &'a Types,
    format: Format,
}

impl Reader<'_> {
    fn of_text(&self, text: &str) -> Result<Value, Flaw> {
        let hint = Hint::parse(text).ok_or_else(Flaw::unknown)?;
        self.of(&hint, DEEPEST)
    }

    fn of(&self, hint: &Hint, depth: usize) -> Result<Value, Flaw> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(Flaw::new(
                CIRCLE,
                "write a schema that ends, with `dict` or `list` at the innermost level",
            ));
        };
        match hint {
            Hint::None => Ok(json!({"type": "null"})),
            Hint::Rest => Err(Flaw::unknown()),
            Hint::Literal(values) => Ok(choice(values.clone())),
            Hint::Described(inner, text) => {
                let mut schema = self.of(inner, depth)?;
                if let Some(map) = schema.as_object_mut() {
                    map.insert("description".into(), json!(text));
                }
                Ok(schema)
            }
            Hint::Union(parts) => self.union(parts, depth),
            Hint::Name(name) => self.named(name, depth),
            Hint::Of(name, arguments) => self.generic(name, arguments, depth),
        }
    }

    fn union(&self, parts: &[Hint], depth: usize) -> Result<Value, Flaw> {
        let some = parts.iter().filter(|part| **part != Hint::None);
        let schemas: Result<Vec<Value>, Flaw> = some.map(|part| self.of(part, depth)).collect();
        let mut schemas = schemas?;
        let one = match schemas.len() {
            0 => return Ok(json!({"type": "null"})),
            1 => schemas.remove(0),
            _ => match plain_types(&schemas) {
                Some(types) => json!({"type": types}),
                None => json!({"anyOf": schemas}),
            },
        };
        Ok(match parts.contains(&Hint::None) {
            true => nullable(one),
            false => one,
        })
    }

    fn named(&self, name: &str, depth: usize) -> Result<Value, Flaw> {
        if let Some(schema) = scalar(name) {
            return Ok(schema);
        }
        if let Some(alias) = self.types.aliases.get(name) {
            let hint = Hint::parse(alias).ok_or_else(Flaw::unknown)?;
            return self.of(&hint, depth);
        }
        match self.types.classes.get(name) {
            Some(class) => self.class(class, depth),
            None => Err(Flaw::unknown()),
        }
    }

    fn generic(&self, name: &str, arguments: &[Hint], depth: usize) -> Result<Value, Flaw> {
        match (name, arguments) {
            ("list" | "List" | "Sequence", [item]) => {
                Ok(json!({"type": "array", "items": self.of(item, depth)?}))
            }
            ("dict" | "Dict" | "Mapping", _) if self.format == Format::One => {
                Ok(json!({"type": "object"}))
            }
            ("dict" | "Dict" | "Mapping", [key, value]) => {
                if self.of(key, depth)?["type"] != "string" {
                    return Err(Flaw::new(
                        "whose keys are no texts, which JSON does not have",
                        "use dict[str, ..]",
                    ));
                }
                Ok(json!({"type": "object", "additionalProperties": self.of(value, depth)?}))
            }
            ("tuple" | "Tuple", [item, Hint::Rest]) => {
                Ok(json!({"type": "array", "items": self.of(item, depth)?}))
            }
            ("tuple" | "Tuple", items) => {
                let schemas: Result<Vec<Value>, Flaw> =
                    items.iter().map(|item| self.of(item, depth)).collect();
                Ok(
                    json!({"type": "array", "prefixItems": schemas?, "items": false,
                    "minItems": items.len(), "maxItems": items.len()}),
                )
            }
            ("Required" | "NotRequired", [inner]) => self.of(inner, depth),
            _ => Err(Flaw::unknown()),
        }
    }

    fn class(&self, class: &Class, depth: usize) -> Result<Value, Flaw> {
        if class.kind == ClassKind::Plain {
            return Err(Flaw::new(
                "a class without declared fields",
                "make it a TypedDict or a dataclass; a tool receives a dict either way",
            ));
        }
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for field in self.fields(class, depth) {
            let hint = Hint::parse(&field.ty).ok_or_else(Flaw::unknown)?;
            let mut schema = self.of(&hint, depth).map_err(|flaw| {
                if flaw.message == CIRCLE {
                    return flaw;
                }
                let at = format!("whose `{}` is `{}`, {}", field.name, field.ty, flaw.message);
                Flaw::new(at, flaw.remedy)
            })?;
            if let Some(map) = schema.as_object_mut() {
                if let Some(default) = &field.default {
                    map.insert("default".into(), default.clone());
                }
                if !field.doc.is_empty() {
                    map.insert("description".into(), json!(field.doc));
                }
            }
            properties.insert(field.name.clone(), schema);
            let marked = |mark: &str| matches!(&hint, Hint::Of(name, _) if name == mark);
            if marked("Required") || !(field.optional || marked("NotRequired")) {
                required.push(field.name.clone());
            }
        }
        let mut schema = json!({"type": "object", "properties": properties, "required": required,
            "additionalProperties": false});
        if let (false, Some(map)) = (class.doc.is_empty(), schema.as_object_mut()) {
            map.insert("description".into(), json!(class.doc));
        }
        Ok(schema)
    }

    /// The fields of a class, those of its bases first; a later one of the same name replaces an earlier one.
    fn fields(&self, class: &Class, depth: usize) -> Vec<Field> {
        let mut all: Vec<Field> = Vec::new();
        if let Some(depth) = depth.checked_sub(1) {
            let bases = class.bases.iter();
            for base in bases.filter_map(|base| self.types.classes.get(base)) {
                all.extend(self.fields(base, depth));
            }
        }
        all.retain(|field| class.fields.iter().all(|own| own.name != field.name));
        all.extend(class.fields.iter().cloned());
        all
    }
}

fn scalar(name: &str) -> Option<Value> {
    Some(match name {
        "str" => json!({"type": "string"}),
        "int" => json!({"type": "integer"}),
        "float" => json!({"type": "number"}),
        "bool" => json!({"type": "boolean"}),
        "dict" | "Dict" | "Mapping" => json!({"type": "object"}),
        "list" | "List" | "Sequence" | "tuple" | "Tuple" => json!({"type": "array"}),
        "date" => json!({"type": "string", "format": "date"}),
        "datetime" => json!({"type": "string", "format": "date-time"}),
        "Any" | "object" => json!({}),
        _ => return None,
    })
}

/// The types of schemas that say nothing but a type.
fn plain_types(schemas: &[Value]) -> Option<Vec<&str>> {
    let plain = |schema: &Value| schema.as_object().is_some_and(|map| map.len() == 1);
    let all = schemas.iter().map(|schema| match plain(schema) {
        true => schema["type"].as_str(),
        false => None,
    });
    all.collect()
}

/// Returns the schema of one of these values, with their type where they have one in common.
fn choice(values: Vec<Value>) -> Value {
    let kind = |value: &Value| match value {
        Value::String(_) => Some("string"),
        Value::Bool(_) => Some("boolean"),
        Value::Number(number) if !number.is_f64() => Some("integer"),
        _ => None,
    };
    let first = values.first().and_then(kind);
    match first.filter(|first| values.iter().all(|value| kind(value) == Some(*first))) {
        Some(kind) => json!({"type": kind, "enum": values}),
        None => json!({"enum": values}),
    }
}

/// Returns a schema that takes null as well.
fn nullable(mut schema: Value) -> Value {
    let Some(map) = schema.as_object_mut() else {
        return schema;
    };
    match map.get("type").cloned() {
        Some(Value::Array(mut types)) => {
            types.push(json!("null"));
            map.insert("type".into(), Value::Array(types));
        }
        Some(ty) => {
            map.insert("type".into(), json!([ty, "null"]));
        }
        None => {}
    }
    if let Some(values) = map.get_mut("enum").and_then(Value::as_array_mut) {
        values.push(Value::Null);
    }
    if let Some(choices) = map.get_mut("anyOf").and_then(Value::as_array_mut) {
        choices.push(json!({"type": "null"}));
    }
    schema
}

#[cfg(test)]
mod tests;
