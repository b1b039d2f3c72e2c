//! Rows of ShareGPT: `conversations` of `from` and `value`.

use agoge_dialogue::{Message, ToolCall};
use agoge_world::Domain;
use serde_json::Value;

use super::{Given, Reader, chat};

/// The reader.
pub struct ShareGpt;

impl Reader for ShareGpt {
    fn name(&self) -> &'static str {
        "sharegpt"
    }

    fn fits(&self, row: &Value) -> bool {
        row["conversations"].is_array()
    }

    fn read(&self, row: &Value, _domain: &Domain) -> Result<Given, String> {
        let turns = row["conversations"].as_array();
        let mut messages: Vec<Message> = Vec::new();
        let mut calls = 0_u32;
        // The ids of the calls whose results come next.
        let mut open: Vec<String> = Vec::new();
        for (n, turn) in turns.into_iter().flatten().enumerate() {
            let wrong = |problem: &str| format!("`conversations[{n}]`: {problem}");
            let value = turn["value"]
                .as_str()
                .ok_or_else(|| wrong("`value` must be a text"))?;
            match turn["from"].as_str().unwrap_or_default() {
                "system" => messages.push(Message::system(value)),
                "human" | "user" => messages.push(Message::user(value)),
                "gpt" | "assistant" => messages.push(Message::assistant(value)),
                "function_call" => {
                    let made = made(value)
                        .ok_or_else(|| wrong("`value` is no call with `name` and `arguments`"))?;
                    let mut numbered = Vec::new();
                    for call in made {
                        calls = calls.saturating_add(1);
                        numbered.push(ToolCall {
                            id: calls.to_string(),
                            ..call
                        });
                    }
                    open = numbered.iter().map(|call| call.id.clone()).collect();
                    messages.push(Message::calls(numbered));
                }
                "observation" | "tool" => {
                    let results = results(value, open.len());
                    if open.is_empty() || results.len() != open.len() {
                        return Err(wrong(
                            "it does not follow a call, or has not one result for each",
                        ));
                    }
                    let answered = open.drain(..).zip(results);
                    messages
                        .extend(answered.map(|(id, result)| Message::tool_result(&id, &result)));
                }
                other => return Err(wrong(&format!("there is no speaker `{other}`"))),
            }
        }
        Ok(Given {
            id: chat::id(row),
            messages,
            reward: None,
            task: None,
        })
    }
}

/// Reads one call or a list of calls.
fn made(value: &str) -> Option<Vec<ToolCall>> {
    let calls = match serde_json::from_str(value).ok()? {
        Value::Array(calls) => calls,
        call => vec![call],
    };
    let read = |call: &Value| {
        let arguments = chat::arguments(&call["arguments"])?;
        Some(ToolCall::new(call["name"].as_str()?, arguments))
    };
    calls.iter().map(read).collect()
}

/// Reads the results of so many calls: of several, a JSON list of texts.
fn results(value: &str, calls: usize) -> Vec<String> {
    match calls {
        1 => vec![value.to_owned()],
        _ => serde_json::from_str(value).unwrap_or_default(),
    }
}
