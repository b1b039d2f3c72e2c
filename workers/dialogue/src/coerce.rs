//! Values in the types that a schema asks for, converted where nothing is lost.

use serde_json::{Map, Number, Value, json};

use crate::json::whole;

mod format;

/// Significant digits that every number of 64 bits keeps.
const DIGITS: usize = 15;

/// Schemas within schemas beyond this are a circle, and are not followed.
const DEEPEST: usize = 64;
/// Forms of a choice that an error explains.
const EXPLAINED: usize = 3;

/// Returns a value in the type of its JSON schema, at any depth. `place` names the value in an error, such as `items[0]`.
///
/// Beside a value of the type itself these are read, because nothing is lost:
/// - a whole number with a fraction of 0 for an `integer`, a whole number for a `number`;
/// - a text for a number, a boolean or null if it is that value as JSON writes it, and one for a list or an object;
/// - a whole number or a boolean for a text.
///
/// A text with a leading zero is no number, and a number with a fraction no text: `"007"` and `12.50` would lose a digit. A
/// schema without `type` and `enum` takes every value. Of `anyOf` the first form is taken that the value has as it is, else
/// the first that it can be read as. Members of an object that are missing take their `default`.
///
/// # Errors
/// A sentence that the model reads: the place, and what must stand there.
pub fn coerce(place: &str, schema: &Value, value: &Value) -> Result<Value, String> {
    coerce_in(schema, place, schema, value)
}

/// Does as [`coerce`] with a part of a schema; `$ref` points into `root`.
///
/// # Errors
/// Those of [`coerce`].
pub fn coerce_in(
    root: &Value,
    place: &str,
    schema: &Value,
    value: &Value,
) -> Result<Value, String> {
    Reader { root }.read(place, schema, value, DEEPEST)
}

/// Reads values by the schemas within this one.
struct Reader<'a> {
    root: &'a Value,
}

impl Reader<'_> {
    fn read(
        &self,
        place: &str,
        schema: &Value,
        value: &Value,
        depth: usize,
    ) -> Result<Value, String> {
        let Some(depth) = depth.checked_sub(1) else {
            return Ok(value.clone());
        };
        let target = schema.get("$ref").and_then(Value::as_str);
        if let Some(target) = target.and_then(|at| self.root.pointer(at.strip_prefix('#')?)) {
            return self.read(place, target, value, depth);
        }
        let mut read = self.typed(place, schema, value, depth)?;
        for part in list(schema, "allOf") {
            read = self.read(place, part, &read, depth)?;
        }
        for choice in ["anyOf", "oneOf"] {
            let forms = list(schema, choice);
            if !forms.is_empty() {
                read = self.one_form(place, forms, &read, depth)?;
            }
        }
        Ok(read)
    }

    /// Reads a value by the schema's own `enum`, `const`, `type` and members.
    fn typed(
        &self,
        place: &str,
        schema: &Value,
        value: &Value,
        depth: usize,
    ) -> Result<Value, String> {
        let only = schema.get("const").map(std::slice::from_ref);
        let allowed = schema.get("enum").and_then(Value::as_array);
        if let Some(allowed) = allowed.map(Vec::as_slice).or(only) {
            let found = one_of(allowed, value);
            return found.ok_or_else(|| {
                format!(
                    "`{place}` must be one of {}",
                    Value::Array(allowed.to_vec())
                )
            });
        }
        let types = types(schema);
        if types.is_empty() {
            return self.within(place, schema, value.clone(), depth);
        }
        let same = types.iter().find_map(|ty| fitting(ty, value));
        let found = same.or_else(|| types.iter().find_map(|ty| converted(ty, value)));
        let found = found.ok_or_else(|| {
            format!(
                "`{place}` must be of type {}, not {value}",
                types.join(" or ")
            )
        })?;
        self.within(place, schema, found, depth)
    }

    /// Reads a value by the form that it has, or can be read as.
    fn one_form(
        &self,
        place: &str,
        forms: &[Value],
        value: &Value,
        depth: usize,
    ) -> Result<Value, String> {
        let mut first = None;
        let mut errors: Vec<String> = Vec::new();
        for form in forms {
            match self.read(place, form, value, depth) {
                Ok(read) if same(value, &read) => return Ok(read),
                Ok(read) => first = first.or(Some(read)),
                Err(error) => {
                    // An error deeper in the value comes of the form that was meant.
                    if !errors.contains(&error) {
                        errors.push(error);
                    }
                }
            }
        }
        if let Some(read) = first {
            return Ok(read);
        }
        let shallow = format!("`{place}` must be of type ");
        if errors.iter().any(|error| !error.starts_with(&shallow)) {
            errors.retain(|error| !error.starts_with(&shallow));
        }
        errors.truncate(EXPLAINED);
        Err(errors.join("; or "))
    }

    /// The members of a list or an object in the types of their schemas.
    fn within(
        &self,
        place: &str,
        schema: &Value,
        value: Value,
        depth: usize,
    ) -> Result<Value, String> {
        match value {
            Value::Array(items) => self.items(place, schema, &items, depth).map(Value::Array),
            Value::Object(map) => self.members(place, schema, map, depth).map(Value::Object),
            Value::String(text) => match schema.get("format").and_then(Value::as_str) {
                Some(name) if !format::holds(name, &text) => Err(format!(
                    "`{place}` must be a {name} such as {}, not {text:?}",
                    format::example(name)
                )),
                _ => Ok(Value::String(text)),
            },
            scalar => Ok(scalar),
        }
    }

    fn items(
        &self,
        place: &str,
        schema: &Value,
        items: &[Value],
        depth: usize,
    ) -> Result<Vec<Value>, String> {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        let count = items.len() as u64;
        let (least, most) = (bound("minItems"), bound("maxItems"));
        if least.is_some_and(|least| count < least) || most.is_some_and(|most| count > most) {
            let wanted = match (least, most) {
                (Some(least), Some(most)) if least == most => format!("exactly {least}"),
                (Some(least), _) if count < least => format!("at least {least}"),
                (_, most) => format!("at most {}", most.unwrap_or_default()),
            };
            return Err(format!("`{place}` must have {wanted} items, not {count}"));
        }
        let first = list(schema, "prefixItems");
        let mut taken = Vec::with_capacity(items.len());
        for (n, item) in items.iter().enumerate() {
            taken.push(match first.get(n).or_else(|| schema.get("items")) {
                Some(inner) => self.read(&format!("{place}[{n}]"), inner, item, depth)?,
                None => item.clone(),
            });
        }
        Ok(taken)
    }

    fn members(
        &self,
        place: &str,
        schema: &Value,
        mut map: Map<String, Value>,
        depth: usize,
    ) -> Result<Map<String, Value>, String> {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        let properties = properties.unwrap_or(&empty);
        let rest = schema.get("additionalProperties");
        for (name, member) in &mut map {
            match (properties.get(name), rest) {
                (None, Some(Value::Bool(false))) => {
                    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                    return Err(match known.is_empty() {
                        true => format!("`{place}` takes no members, so no `{name}`"),
                        false => format!("`{place}` takes no `{name}`, only {}", known.join(", ")),
                    });
                }
                (Some(inner), _) | (None, Some(inner)) => {
                    *member = self.read(&format!("{place}.{name}"), inner, member, depth)?;
                }
                (None, None) => {}
            }
        }
        for (name, property) in properties {
            if let (false, Some(default)) = (map.contains_key(name), property.get("default")) {
                let read = self.read(&format!("{place}.{name}"), property, default, depth);
                map.insert(name.clone(), read.unwrap_or_else(|_| default.clone()));
            }
        }
        let mut required = list(schema, "required").iter().filter_map(Value::as_str);
        match required.find(|name| !map.contains_key(*name)) {
            Some(missing) => Err(format!("`{place}` needs `{missing}`")),
            None => Ok(map),
        }
    }
}

fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    let list = schema.get(key).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// Tells whether a value was read as it is: its numbers may have another kind, and defaults may have been added.
fn same(value: &Value, read: &Value) -> bool {
    match (value, read) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => a
            .iter()
            .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b))),
        (a, b) => a == b,
    }
}

/// Returns the value that a text stands for where a form of calls writes every argument as text.
pub(crate) fn of_text(schema: &Value, text: &str) -> Value {
    let types = types(schema);
    let bare = text.trim();
    if types.contains(&"null") && is_null(bare) {
        return Value::Null;
    }
    if types.is_empty() && schema.get("enum").is_none() {
        let value = whole(bare).filter(|value| !value.is_number() && !value.is_string());
        return value.unwrap_or_else(|| json!(text));
    }
    coerce("", schema, &json!(text))
        .or_else(|_| coerce("", schema, &json!(bare)))
        .unwrap_or_else(|_| json!(text))
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(ty)) => vec![ty],
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A value that has the type already; numbers take the form that the type has in JSON.
fn fitting(ty: &str, value: &Value) -> Option<Value> {
    match (ty, value) {
        ("string", Value::String(_))
        | ("boolean", Value::Bool(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_))
        | ("null", Value::Null) => Some(value.clone()),
        ("integer", Value::Number(number)) => integer(number),
        ("number", Value::Number(number)) => number.as_f64().map(|float| json!(float)),
        _ => None,
    }
}

/// A value of another type that says the same.
fn converted(ty: &str, value: &Value) -> Option<Value> {
    match (ty, value) {
        ("string", Value::Number(number)) if !number.is_f64() => Some(json!(number.to_string())),
        ("string", Value::Bool(flag)) => Some(json!(flag.to_string())),
        ("integer", Value::String(text)) => integer(&number_of(text)?),
        ("number", Value::String(text)) => {
            let digits = significant(text);
            let float = number_of(text).filter(|_| digits <= DIGITS)?.as_f64()?;
            Some(json!(float))
        }
        ("boolean", Value::String(text)) => boolean_of(text).map(Value::Bool),
        ("null", Value::String(text)) => is_null(text.trim()).then_some(Value::Null),
        ("array" | "object", Value::String(text)) => {
            whole(text).filter(|value| fitting(ty, value).is_some())
        }
        _ => None,
    }
}

/// The one of the allowed values that a value is or says.
fn one_of(allowed: &[Value], value: &Value) -> Option<Value> {
    if allowed.contains(value) {
        return Some(value.clone());
    }
    let says = |wanted: &&Value| match (wanted, value) {
        (Value::String(wanted), Value::String(text)) => wanted == text.trim(),
        (Value::String(wanted), Value::Number(number)) => {
            !number.is_f64() && *wanted == number.to_string()
        }
        (Value::String(wanted), Value::Bool(flag)) => boolean_of(wanted) == Some(*flag),
        (Value::Number(wanted), Value::Number(number)) => wanted.as_f64() == number.as_f64(),
        (Value::Number(wanted), Value::String(text)) => {
            number_of(text).is_some_and(|number| wanted.as_f64() == number.as_f64())
        }
        (Value::Bool(wanted), Value::String(text)) => boolean_of(text) == Some(*wanted),
        (Value::Null, Value::String(text)) => is_null(text.trim()),
        _ => false,
    };
    allowed.iter().find(says).cloned()
}

/// A whole number, also one that is written with a fraction of 0.
fn integer(number: &Number) -> Option<Value> {
    match number.as_f64() {
        _ if !number.is_f64() => Some(Value::Number(number.clone())),
        Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => Some(json!(float as i64)),
        _ => None,
    }
}

/// The number that a text is as JSON writes it: without a leading zero or a sign of plus.
fn number_of(text: &str) -> Option<Number> {
    serde_json::from_str(text.trim()).ok()
}

/// The digits of a number's text that decide its value.
fn significant(text: &str) -> usize {
    let mantissa = text.trim().split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.trim_start_matches(['-', '0', '.']);
    let digits = if mantissa.contains('.') {
        digits.trim_end_matches('0')
    } else {
        digits
    };
    digits.chars().filter(char::is_ascii_digit).count()
}

fn boolean_of(text: &str) -> Option<bool> {
    let is = |word: &str| text.trim().eq_ignore_ascii_case(word);
    match (is("true"), is("false")) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "null" | "None")
}

#[cfg(test)]
mod tests;
