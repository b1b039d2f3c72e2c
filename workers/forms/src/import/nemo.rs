//! Rows of NeMo Gym: the `input` of a task, and the `output` of a response where the row is a rollout.

use agoge_dialogue::{Message, ToolCall};
use agoge_world::Domain;
use serde_json::Value;

use super::{Given, Reader, chat};

/// The reader.
pub struct Nemo;

impl Reader for Nemo {
    fn name(&self) -> &'static str {
        "nemo-gym"
    }

    fn fits(&self, row: &Value) -> bool {
        row["responses_create_params"].is_object()
    }

    fn read(&self, row: &Value, _domain: &Domain) -> Result<Given, String> {
        let input = &row["responses_create_params"]["input"];
        let mut messages = match input {
            Value::String(text) => vec![Message::user(text)],
            input => items(input, "responses_create_params.input")?,
        };
        messages.extend(items(&row["response"]["output"], "response.output")?);
        let id = row["task_id"].as_str().map(str::to_owned);
        Ok(Given {
            id: id.or_else(|| chat::id(row)),
            messages,
            reward: row["reward"].as_f64(),
            task: None,
        })
    }
}

/// Reads items of the Responses API. Calls in a row are made by one message.
fn items(list: &Value, field: &str) -> Result<Vec<Message>, String> {
    let mut messages: Vec<Message> = Vec::new();
    for (n, item) in list.as_array().into_iter().flatten().enumerate() {
        let wrong = |problem: &str| format!("`{field}[{n}]`: {problem}");
        let id = item["call_id"].as_str().unwrap_or_default();
        match item["type"].as_str().unwrap_or("message") {
            "function_call" => {
                let name = item["name"]
                    .as_str()
                    .ok_or_else(|| wrong("a call has no `name`"))?;
                let arguments = chat::arguments(&item["arguments"])
                    .ok_or_else(|| wrong("the arguments are no object"))?;
                let call = ToolCall {
                    id: id.to_owned(),
                    ..ToolCall::new(name, arguments)
                };
                match messages.last_mut() {
                    Some(last) if !last.tool_calls.is_empty() => last.tool_calls.push(call),
                    _ => messages.push(Message::calls(vec![call])),
                }
            }
            "function_call_output" => {
                let output = chat::text(&item["output"]).map_err(|error| wrong(&error))?;
                messages.push(Message::tool_result(id, &output));
            }
            "reasoning" => {}
            "message" => {
                let content = chat::text(&item["content"]).map_err(|error| wrong(&error))?;
                messages.push(match item["role"].as_str() {
                    Some("system" | "developer") => Message::system(&content),
                    Some("user") => Message::user(&content),
                    Some("assistant") => Message::assistant(&content),
                    _ => return Err(wrong("it has no role that is known")),
                });
            }
            other => return Err(wrong(&format!("there is no place for an item `{other}`"))),
        }
    }
    Ok(messages)
}
