//! A model's answer: its text, its calls, the reason why it ended, its tokens.

use agoge_dialogue::{CallError, Message, ToolCall, calls_in_text};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The reason why generation ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Finish {
    /// The model was done.
    #[default]
    Stop,
    /// `max_tokens` cut it off.
    Length,
    /// It called tools.
    ToolCalls,
    /// Anything else, such as a content filter.
    Other,
}

/// Tokens of one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of the prompt.
    pub prompt: u64,
    /// Generated.
    pub completion: u64,
    /// The endpoint gave no counts; these are a quarter of the characters.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

impl Usage {
    /// A quarter of the characters.
    fn estimate(prompt_chars: usize, text: &str) -> Self {
        Self {
            prompt: prompt_chars.div_ceil(4) as u64,
            completion: text.chars().count().div_ceil(4) as u64,
            estimated: true,
        }
    }

    /// Prompt and answer.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.prompt + self.completion
    }
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The endpoint, just now.
    #[default]
    Live,
    /// A recording.
    Replayed,
}

/// A model's answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Its text; may be empty beside native calls.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Calls in the API's own form, as they came; read them with [`Answer::calls`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<Value>,
    /// The reason why it ended.
    pub finish: Finish,
    /// Tokens.
    pub usage: Usage,
    /// Live or replayed.
    #[serde(skip)]
    pub source: Source,
}

impl Answer {
    /// Its calls: native ones, else those written in the text as fenced or bare JSON or between `<tool_call>` tags.
    ///
    /// # Errors
    /// When something is written as a call and cannot be read as one. Nothing is guessed.
    pub fn calls(&self) -> Result<Vec<ToolCall>, CallError> {
        if !self.tool_calls.is_empty() {
            return self.tool_calls.iter().map(native).collect();
        }
        if !self.text.contains("<tool_call>") {
            return calls_in_text(&self.text);
        }
        let mut calls = Vec::new();
        for part in self.text.split("<tool_call>").skip(1) {
            let body = part.split("</tool_call>").next().unwrap_or(part).trim();
            let found = calls_in_text(body)?;
            if found.is_empty() {
                return Err(CallError::Json("nothing readable between the tags".into()));
            }
            calls.extend(found);
        }
        Ok(calls)
    }

    /// The answer as a message of the dialogue: calls if it has any, else its text.
    ///
    /// # Errors
    /// As [`Answer::calls`].
    pub fn message(&self) -> Result<Message, CallError> {
        let calls = self.calls()?;
        Ok(if calls.is_empty() {
            Message::assistant(&self.text)
        } else {
            Message::calls(calls)
        })
    }

    /// A plain text that cost so much.
    pub(crate) fn of_text(text: String, prompt_chars: usize) -> Self {
        Self {
            usage: Usage::estimate(prompt_chars, &text),
            text,
            ..Self::default()
        }
    }

    /// The API's response that gives this answer; it reads back as the same.
    #[must_use]
    pub fn to_response(&self, model: &str) -> Value {
        let finish = match self.finish {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::ToolCalls => "tool_calls",
            Finish::Other => "content_filter",
        };
        let mut message = json!({"role": "assistant", "content": self.text});
        if !self.tool_calls.is_empty() {
            message["tool_calls"] = json!(self.tool_calls);
        }
        let mut response = json!({"id": "recorded", "object": "chat.completion", "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}]});
        if !self.usage.estimated {
            response["usage"] = json!({"prompt_tokens": self.usage.prompt,
                "completion_tokens": self.usage.completion, "total_tokens": self.usage.total()});
        }
        response
    }

    /// Reads the API's response.
    pub(crate) fn from_response(response: &Value, prompt_chars: usize) -> Result<Self, String> {
        if let Some(error) = response.get("error").filter(|e| !e.is_null()) {
            let said = error.get("message").and_then(Value::as_str);
            return Err(said.map_or_else(|| error.to_string(), str::to_owned));
        }
        let choice = response
            .pointer("/choices/0")
            .ok_or("there is no `choices[0]`")?;
        let message = choice
            .get("message")
            .and_then(Value::as_object)
            .ok_or("there is no `choices[0].message`")?;
        let text = match message.get("content") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(_) => return Err("`choices[0].message.content` is not text".into()),
        };
        let tool_calls = match message.get("tool_calls") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(calls)) => calls.clone(),
            Some(_) => return Err("`choices[0].message.tool_calls` is not a list".into()),
        };
        let finish = match choice.get("finish_reason").and_then(Value::as_str) {
            Some("stop") | None => Finish::Stop,
            Some("length") => Finish::Length,
            Some("tool_calls" | "function_call") => Finish::ToolCalls,
            Some(_) => Finish::Other,
        };
        let count = |name: &str| {
            response
                .pointer(&format!("/usage/{name}"))
                .and_then(Value::as_u64)
        };
        let usage = match (count("prompt_tokens"), count("completion_tokens")) {
            (Some(prompt), Some(completion)) => Usage {
                prompt,
                completion,
                estimated: false,
            },
            _ => Usage::estimate(prompt_chars, &text),
        };
        Ok(Self {
            text,
            tool_calls,
            finish,
            usage,
            source: Source::Live,
        })
    }
}

fn native(value: &Value) -> Result<ToolCall, CallError> {
    let function = value.get("function").unwrap_or(value);
    let name = function
        .get("name")
        .and_then(Value::as_str)
        .ok_or(CallError::NoName)?;
    let arguments = match function.get("arguments") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(map)) => map.clone(),
        Some(Value::String(text)) if text.trim().is_empty() => Map::new(),
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|_| CallError::Arguments(name.to_owned()))?
        }
        Some(_) => return Err(CallError::Arguments(name.to_owned())),
    };
    let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
    Ok(ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_back_from_the_response_that_gives_it() {
        for finish in [
            Finish::Stop,
            Finish::Length,
            Finish::ToolCalls,
            Finish::Other,
        ] {
            let answer = Answer {
                text: "a \"text\"".into(),
                tool_calls: vec![json!({"function": {"name": "find"}})],
                finish,
                usage: Usage {
                    prompt: 7,
                    completion: 3,
                    estimated: false,
                },
                source: Source::Live,
            };
            let back = Answer::from_response(&answer.to_response("m"), 0).unwrap();
            assert_eq!(back, answer);
        }
    }

    #[test]
    fn calls_are_read_natively_fenced_and_between_tags() {
        let native = Answer {
            tool_calls: vec![
                json!({"id": "a", "type": "function", "function": {"name": "find", "arguments": "{\"parcel\": \"1\"}"}}),
            ],
            ..Answer::default()
        };
        let text = |text: &str| Answer {
            text: text.into(),
            ..Answer::default()
        };
        let call = r#"{"name": "find", "arguments": {"parcel": "1"}}"#;
        for answer in [
            native,
            text(&format!("I look.\n```json\n{call}\n```")),
            text(&format!("<tool_call>\n{call}\n</tool_call>")),
            text(call),
        ] {
            let calls = answer.calls().unwrap();
            assert_eq!((calls.len(), calls[0].name.as_str()), (1, "find"));
            assert_eq!(calls[0].arguments["parcel"], "1");
        }
        assert!(text("<tool_call>{oops</tool_call>").calls().is_err());
        assert!(text("Which parcel is it?").calls().unwrap().is_empty());
    }
}
