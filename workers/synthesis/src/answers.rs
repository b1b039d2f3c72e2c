//! Reads what models write: objects, calls, outputs and programs, each with the reason when it cannot be used.
//!
//! The reasons are read by models, which are asked again with them, and by people in reports.

use agoge_dialogue::json::{json_in_text, values_in_text};
use agoge_dialogue::{CallError, ToolCall, ToolSpec, python_defining};
use agoge_llm::{Answer, Finish};
use agoge_sandbox::Change;
use agoge_world::{Domain, ToolResult};
use serde_json::{Map, Value, json};

/// The longest text that an agent can be required to say, in characters and words.
const LONGEST_OUTPUT: (usize, usize) = (24, 3);
/// The function that a checker defines.
const CHECK: &str = "check";

/// Reads the JSON object of an answer: of all that stand in it, reasoning left out, the first that has the form which `read`
/// asks for.
///
/// # Errors
/// The reason why none can be used: that of the first, or that there is no JSON.
pub fn object<T>(
    answer: &Answer,
    read: impl Fn(&Map<String, Value>) -> Result<T, String>,
) -> Result<T, String> {
    let (text, cut) = (answer.written(), answer.finish == Finish::Length);
    let mut first = None;
    for found in values_in_text(&text, cut) {
        let made = match &found.value {
            Value::Object(map) => read(map),
            _ => Err("the JSON must be one object".into()),
        };
        match made {
            Ok(made) => return Ok(made),
            Err(why) => first = first.or(Some(why)),
        }
    }
    Err(first.unwrap_or_else(|| match json_in_text(&text, cut) {
        Ok(_) => "the JSON cannot be used".into(),
        Err(error) => error.to_string(),
    }))
}

/// Reads a field that must hold text.
///
/// # Errors
/// The reason it cannot be used.
pub fn text(map: &Map<String, Value>, name: &str) -> Result<String, String> {
    match map.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err(format!("{name} is missing or no text")),
    }
}

/// Reads a field that maps names to texts or numbers. Empty values are left out: they say nothing.
///
/// # Errors
/// The reason it cannot be used.
pub fn facts(map: &Map<String, Value>, field: &str) -> Result<Vec<(String, String)>, String> {
    let Some(Value::Object(values)) = map.get(field) else {
        return Err(format!("{field} is missing or no object"));
    };
    let mut facts = Vec::new();
    for (name, value) in values {
        let value = match value {
            Value::String(value) => value.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return Err(format!("{field}.{name} must be a text or a number")),
        };
        if !value.is_empty() {
            facts.push((name.clone(), value));
        }
    }
    Ok(facts)
}

/// Reads calls of the domain's tools.
///
/// # Errors
/// The reason they cannot be used.
pub fn calls(domain: &Domain, value: Option<&Value>) -> Result<Vec<ToolCall>, String> {
    let Some(Value::Array(items)) = value else {
        return Err("calls is missing or no list".into());
    };
    if items.is_empty() {
        return Err("calls is empty".into());
    }
    let read = |item: &Value| {
        let name = item
            .get("name")
            .and_then(Value::as_str)
            .ok_or(CallError::NoName)?;
        match item.get("arguments") {
            Some(Value::Object(arguments)) => Ok(ToolCall::new(name, arguments.clone())),
            _ => Err(CallError::Arguments(name.into())),
        }
    };
    let calls: Result<Vec<ToolCall>, CallError> = items.iter().map(read).collect();
    let calls = calls.map_err(|e| e.to_string())?;
    match calls.iter().find(|call| domain.tool(&call.name).is_none()) {
        Some(call) => Err(format!("there is no tool {}", call.name)),
        None => Ok(calls),
    }
}

/// Reads the short texts that an agent must say.
///
/// # Errors
/// The reason they cannot be used.
pub fn outputs(value: Option<&Value>) -> Result<Vec<String>, String> {
    let items = match value {
        None => return Err("say is missing".into()),
        Some(Value::Array(items)) => items.as_slice(),
        Some(_) => return Err("say is no list".into()),
    };
    let mut say = Vec::new();
    for item in items {
        let output = match item {
            Value::String(text) => text.trim().trim_matches('*').to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return Err("say must hold words and numbers".into()),
        };
        let (chars, words) = LONGEST_OUTPUT;
        if output.is_empty() {
            return Err("say holds an empty text".into());
        }
        if output.chars().count() > chars || output.split_whitespace().count() > words {
            return Err(format!(
                "say holds a sentence, {output:?}, not a word or number"
            ));
        }
        say.push(output);
    }
    Ok(say)
}

/// Reads the program of an answer: the fenced block that defines the check, whatever its label, or the whole text.
///
/// # Errors
/// The reason it cannot be used.
pub fn python(answer: &Answer) -> Result<String, String> {
    if answer.finish == Finish::Length {
        return Err("the checker was cut off by its token limit".into());
    }
    match python_defining(&answer.written(), CHECK) {
        Some(source) => Ok(format!("{source}\n")),
        None => Err(format!("there is no function {CHECK} in the answer")),
    }
}

/// Returns true when a text is the id of a record.
#[must_use]
pub fn is_id(domain: &Domain, text: &str) -> bool {
    domain
        .state
        .collections()
        .any(|collection| domain.state.get(collection, text).is_some())
}

/// Requires that every id and every text with digits among the arguments is in `known` or in the result of an earlier call, so
/// that an agent can know it.
///
/// # Errors
/// The first argument that an agent cannot know.
pub fn grounded(
    domain: &Domain,
    known: &[&str],
    calls: &[(ToolCall, ToolResult)],
) -> Result<(), String> {
    let mut known = known.to_vec();
    for (n, (call, result)) in calls.iter().enumerate() {
        for (name, value) in &call.arguments {
            let Some(text) = value.as_str() else { continue };
            let given = text.chars().any(|c| c.is_ascii_digit()) || is_id(domain, text);
            if given && !known.iter().any(|known| known.contains(text)) {
                return Err(format!(
                    "call {} ({}): the agent cannot know {name} {text}; no look-up before shows it, and the customer does not say it",
                    n + 1,
                    call.name
                ));
            }
        }
        known.push(&result.content);
    }
    Ok(())
}

/// Writes changes as checkers see them.
#[must_use]
pub fn changes_in_words(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "nothing".into();
    }
    let each: Vec<String> = changes
        .iter()
        .map(|c| {
            format!(
                "{}/{} {}: {} -> {}",
                c.collection, c.id, c.field, c.before, c.after
            )
        })
        .collect();
    each.join("; ")
}

/// The schema of an object with these properties and no others.
#[must_use]
pub fn object_schema(properties: &Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// The schema of a list of one to four calls of these tools.
#[must_use]
pub fn calls_schema(tools: &[ToolSpec]) -> Value {
    let call = |tool: &ToolSpec| {
        object_schema(
            &json!({"name": {"const": tool.name}, "arguments": tool.parameters}),
            &["name", "arguments"],
        )
    };
    let calls: Vec<Value> = tools.iter().map(call).collect();
    json!({"type": "array", "items": {"anyOf": calls}, "minItems": 1, "maxItems": 4})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Answer {
        Answer {
            text: text.into(),
            ..Answer::default()
        }
    }

    fn wants(answer: &Answer) -> Result<String, String> {
        object(answer, |map| text(map, "wants"))
    }

    #[test]
    fn the_object_of_the_asked_form_is_found_among_drafts_reasoning_and_words() {
        let good = r#"{"wants": "renew", "knows": {}}"#;
        for written in [
            good.to_owned(),
            format!(
                "<think>\nThe form is {{wants, knows}}; a draft: {{\"wants\": \"no\"}}.\n</think>\n{good}"
            ),
            format!("I fill {{wants, knows}}.</think>{good}"),
            format!("As in {{\"example\": 1}}: {good} and {{\"wants\": \"later\"}}"),
            format!("A draft {{\"wants\": \"draft\"}}, then\n```JSON\n{good}\n```"),
            format!("~~~\n{good}\n~~~"),
        ] {
            assert_eq!(wants(&said(&written)).as_deref(), Ok("renew"), "{written}");
        }
        assert_eq!(
            wants(&said("{\"a\": 1}")).unwrap_err(),
            "wants is missing or no text"
        );
        assert!(
            wants(&said("<think>{\"wants\": \"x\"}</think>"))
                .unwrap_err()
                .contains("no JSON")
        );
        assert!(
            wants(&said("{\"wants\": \"x"))
                .unwrap_err()
                .contains("too early")
        );
    }

    #[test]
    fn a_checker_is_the_block_that_defines_it_outside_of_reasoning() {
        let source = "def check(calls, messages):\n    return True\n";
        for written in [
            format!(
                "<think>\nI compare {{after}}.\n```python\ndef check(a, b): pass\n```\n</think>\n```python\n{source}```"
            ),
            format!("```py\n{source}```\nUse it:\n```python\nprint(check([], []))\n```"),
        ] {
            assert_eq!(python(&said(&written)).as_deref(), Ok(source), "{written}");
        }
        assert!(python(&said("```python\nx = 1\n```")).is_err());
    }
}
