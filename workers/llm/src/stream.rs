//! Puts a streamed answer together, for endpoints that stream without being asked to.

use serde_json::{Map, Value, json};

/// The parts of a streamed answer so far.
#[derive(Debug, Default)]
struct Parts {
    message: Map<String, Value>,
    calls: Vec<Value>,
    finish: Option<Value>,
    usage: Option<Value>,
    seen: bool,
    done: bool,
}

/// Returns true when a body is a stream of events.
pub(crate) fn is_stream(kind: &str, text: &str) -> bool {
    kind.starts_with("text/event-stream") || text.starts_with("data:") || text.starts_with("event:")
}

/// Returns the response that a whole stream stands for, or the error that came in it.
///
/// # Errors
/// The stream has no end.
pub(crate) fn assemble(text: &str) -> Result<Value, String> {
    let mut parts = Parts::default();
    for line in text.lines() {
        let Some(data) = line.trim().strip_prefix("data:") else {
            continue;
        };
        let data = data.trim();
        if data == "[DONE]" {
            parts.done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data)
            .map_err(|_| format!("the stream holds {:?}", crate::trouble::beginning(data, 60)))?;
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            return Ok(chunk);
        }
        parts.add(&chunk);
    }
    if parts.finish.is_none() && !(parts.done && parts.seen) {
        return Err("the stream has no end".to_owned());
    }
    Ok(parts.response())
}

impl Parts {
    fn add(&mut self, chunk: &Value) {
        if let Some(usage) = chunk.get("usage").filter(|usage| !usage.is_null()) {
            self.usage = Some(usage.clone());
        }
        let Some(choice) = chunk.pointer("/choices/0") else {
            return;
        };
        self.seen = true;
        let finish = choice.get("finish_reason");
        if let Some(finish) = finish.filter(|finish| !finish.is_null()) {
            self.finish = Some(finish.clone());
        }
        let delta = choice.get("delta").or_else(|| choice.get("message"));
        for (name, value) in delta.and_then(Value::as_object).into_iter().flatten() {
            match (name.as_str(), value) {
                ("tool_calls", Value::Array(calls)) => {
                    calls.iter().for_each(|call| self.call(call));
                }
                ("role", _) | (_, Value::Null) => {}
                (_, Value::String(more)) => append(&mut self.message, name, more),
                _ => {
                    self.message.insert(name.clone(), value.clone());
                }
            }
        }
    }

    /// Adds a part of a call to the call of its index.
    fn call(&mut self, part: &Value) {
        let index = part.get("index").and_then(Value::as_u64);
        let at = index
            .and_then(|index| self.calls.iter().position(|call| call["index"] == index))
            .unwrap_or(self.calls.len());
        if at == self.calls.len() {
            self.calls
                .push(json!({"index": index, "type": "function", "function": {}}));
        }
        let call = &mut self.calls[at];
        if let Some(id) = part.get("id").filter(|id| id.is_string()) {
            call["id"] = id.clone();
        }
        let function = part.get("function").and_then(Value::as_object);
        let Some(own) = call["function"].as_object_mut() else {
            return;
        };
        for (name, value) in function.into_iter().flatten() {
            if let Some(more) = value.as_str() {
                append(own, name, more);
            }
        }
    }

    fn response(mut self) -> Value {
        self.message.insert("role".into(), json!("assistant"));
        self.message.entry("content").or_insert(Value::Null);
        if !self.calls.is_empty() {
            self.message
                .insert("tool_calls".into(), Value::Array(self.calls));
        }
        json!({
            "choices": [{"index": 0, "message": self.message, "finish_reason": self.finish}],
            "usage": self.usage,
        })
    }
}

/// Appends to a text of an object.
fn append(object: &mut Map<String, Value>, name: &str, more: &str) {
    match object.get_mut(name) {
        Some(Value::String(text)) => text.push_str(more),
        _ => {
            object.insert(name.to_owned(), Value::String(more.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_put_together_and_one_without_an_end_is_refused() {
        let text = concat!(
            ": a comment\n",
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"he\"},\"finish_reason\":null}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"llo\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"look\",\"arguments\":\"{\\\"x\\\"\"}}]}}]}\n",
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\": 1}\"}}]}}]}\n",
        );
        assert!(assemble(text).is_err());
        let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":1}}\ndata: [DONE]\n";
        let whole = assemble(&format!("{text}{end}")).unwrap();
        let choice = &whole["choices"][0];
        assert_eq!(choice["message"]["content"], "hello");
        let function = &choice["message"]["tool_calls"][0]["function"];
        assert_eq!(
            (&function["name"], &function["arguments"]),
            (&json!("look"), &json!("{\"x\": 1}"))
        );
        assert_eq!(
            (&choice["finish_reason"], &whole["usage"]["prompt_tokens"]),
            (&json!("tool_calls"), &json!(1))
        );
    }

    #[test]
    fn an_error_in_a_stream_is_the_answer() {
        let text = "data: {\"choices\":[{\"delta\":{\"content\":\"he\"}}]}\ndata: {\"error\":{\"message\":\"gone\"}}\n";
        assert_eq!(assemble(text).unwrap()["error"]["message"], "gone");
    }
}
