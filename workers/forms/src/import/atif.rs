//! Trajectories of Harbor (ATIF 1.0 and later): the steps of user and agent, with calls and their results.

use agoge_dialogue::{Message, ToolCall};
use agoge_world::Domain;
use serde_json::Value;

use super::{Given, Reader, chat};

/// The reader.
pub struct Atif;

impl Reader for Atif {
    fn name(&self) -> &'static str {
        "atif"
    }

    fn fits(&self, row: &Value) -> bool {
        let version = row["schema_version"].as_str();
        row["steps"].is_array() && version.is_some_and(|version| version.starts_with("ATIF-"))
    }

    fn read(&self, row: &Value, _domain: &Domain) -> Result<Given, String> {
        let mut messages = Vec::new();
        for (n, step) in row["steps"].as_array().into_iter().flatten().enumerate() {
            let step = read(step).map_err(|problem| format!("`steps[{n}]`: {problem}"))?;
            messages.extend(step);
        }
        let task = row["extra"]["task_id"].as_str();
        let id = task
            .or_else(|| row["session_id"].as_str())
            .map(str::to_owned);
        Ok(Given {
            id,
            messages,
            reward: row["extra"]["reward"].as_f64(),
            task: None,
        })
    }
}

/// Reads a step: a message, and the results of its calls.
fn read(step: &Value) -> Result<Vec<Message>, String> {
    let text = chat::text(&step["message"])?;
    let message = match step["source"].as_str() {
        Some("user") => Message::user(&text),
        Some("system") => Message::system(&text),
        Some("agent") => Message {
            content: text,
            reasoning: step["reasoning_content"].as_str().map(str::to_owned),
            ..Message::calls(calls(&step["tool_calls"])?)
        },
        _ => return Err("`source` must be user, agent or system".into()),
    };
    let mut messages = vec![message];
    for result in step["observation"]["results"]
        .as_array()
        .into_iter()
        .flatten()
    {
        // One without a call says why the turn could not be read.
        let id = result["source_call_id"].as_str().unwrap_or_default();
        messages.push(Message::tool_result(id, &chat::text(&result["content"])?));
    }
    Ok(messages)
}

fn calls(list: &Value) -> Result<Vec<ToolCall>, String> {
    let read = |call: &Value| {
        let name = call["function_name"]
            .as_str()
            .ok_or("a call has no `function_name`")?;
        let arguments = chat::arguments(&call["arguments"]);
        Ok(ToolCall {
            id: call["tool_call_id"].as_str().unwrap_or_default().to_owned(),
            ..ToolCall::new(
                name,
                arguments.ok_or_else(|| format!("the arguments of `{name}` are no object"))?,
            )
        })
    };
    list.as_array().into_iter().flatten().map(read).collect()
}
