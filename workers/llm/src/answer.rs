//! A model's answer: its text, its calls, the reason why it ended, its tokens.

use agoge_dialogue::{ModelOutput, ParsedOutput, ToolSpec, normalise};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fields::{self, Fields};

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
    /// Reasoning used up `max_tokens`: nothing was said and nothing called.
    Reasoning,
    /// The provider's content filter stopped it, or took no prompt.
    Filtered,
    /// The provider refused to answer.
    Refused,
    /// Anything else.
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
    /// Calls in the API's own form, as they came; read them with [`Answer::parse`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<Value>,
    /// Reasoning that the endpoint sends apart from the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The reason why it ended.
    pub finish: Finish,
    /// Tokens.
    pub usage: Usage,
    /// Live or replayed.
    #[serde(skip)]
    pub source: Source,
}

impl Answer {
    /// Reads reasoning, words and calls apart. `tools` are those that the model was offered, natively or in its prompt.
    #[must_use]
    pub fn parse(&self, tools: &[ToolSpec]) -> ParsedOutput {
        let output = ModelOutput {
            text: &self.text,
            calls: &self.tool_calls,
            reasoning: self.reasoning.as_deref(),
            cut: matches!(self.finish, Finish::Length | Finish::Reasoning),
            ended_with_calls: self.finish == Finish::ToolCalls,
        };
        normalise(&output, tools)
    }

    /// Returns the text as the model wrote it, without the reasoning in it.
    #[must_use]
    pub fn written(&self) -> String {
        self.parse(&[]).written
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
            Finish::Length | Finish::Reasoning => "length",
            Finish::ToolCalls => "tool_calls",
            Finish::Filtered => "content_filter",
            Finish::Refused => "refusal",
            Finish::Other => "other",
        };
        let mut message = json!({"role": "assistant", "content": self.text});
        if !self.tool_calls.is_empty() {
            message["tool_calls"] = json!(self.tool_calls);
        }
        if let Some(reasoning) = &self.reasoning {
            message["reasoning_content"] = json!(reasoning);
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
        let Fields {
            text,
            reasoning,
            tool_calls,
        } = fields::read(message)?;
        let finish = match choice.get("finish_reason").and_then(Value::as_str) {
            Some("stop") | None => Finish::Stop,
            Some("length") => Finish::Length,
            Some("tool_calls" | "function_call") => Finish::ToolCalls,
            Some("content_filter") => Finish::Filtered,
            Some("refusal") => Finish::Refused,
            Some(_) => Finish::Other,
        };
        let count = |name: &str| {
            let count = response.pointer(&format!("/usage/{name}"))?;
            // Some servers write whole numbers as floats.
            count.as_u64().or_else(|| count.as_f64().map(|n| n as u64))
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
            reasoning,
            finish,
            usage,
            source: Source::Live,
        })
    }
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
                reasoning: Some("which parcel?".into()),
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
    fn calls_are_read_natively_and_in_the_text_and_reasoning_is_neither() {
        let native = Answer {
            tool_calls: vec![
                json!({"id": "a", "type": "function", "function": {"name": "find", "arguments": "{\"parcel\": \"1\"}"}}),
            ],
            ..Answer::default()
        };
        let text = |text: &str| Answer {
            text: text.into(),
            reasoning: Some("First find it.".into()),
            ..Answer::default()
        };
        let call = r#"{"name": "find", "arguments": {"parcel": "1"}}"#;
        for answer in [
            native,
            text(&format!("I look.\n```json\n{call}\n```")),
            text(&format!("<tool_call>\n{call}\n</tool_call>")),
            text(call),
        ] {
            let calls = answer.parse(&[]).calls.unwrap();
            assert_eq!((calls.len(), calls[0].name.as_str()), (1, "find"));
            assert_eq!(calls[0].arguments["parcel"], "1");
        }
        assert!(
            text("<tool_call>{oops</tool_call>")
                .parse(&[])
                .calls
                .is_err()
        );
        let question = text("<think>{x}</think>\nWhich parcel is it?");
        assert_eq!(question.written(), "Which parcel is it?");
        let read = question.parse(&[]);
        assert_eq!(
            (read.said.as_str(), read.calls),
            ("Which parcel is it?", Ok(vec![]))
        );
        assert_eq!(read.reasoning.as_deref(), Some("First find it.\n\n{x}"));
    }
}
