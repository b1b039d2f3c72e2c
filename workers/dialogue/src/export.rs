//! Dialogues as trainers take them, one JSON object a line.
//!
//! [`sft_row`] and [`rl_row`] are for libraries that render a model's own chat template (transformers, TRL): `tools` is a list
//! of schemas and the `arguments` of a call are an object, because templates write both as JSON themselves. [`openai_row`] is
//! for OpenAI's fine-tuning, where arguments are a JSON string. Every dialogue ends with the agent's turn, has no turn that
//! could not be read, and gives each call an id of its own.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::{Message, Role, ToolSpec, usable};

/// Returns a row of the `sft` split: a whole dialogue. `trainable` says which messages carry loss. `None` when the agent says
/// nothing in it.
#[must_use]
pub fn sft_row(id: &str, system: &str, tools: &[ToolSpec], messages: &[Message]) -> Option<Value> {
    let shown = shown(system, messages)?;
    let trainable: Vec<bool> = shown
        .iter()
        .map(|shown| shown.message.role == Role::Assistant)
        .collect();
    let messages: Vec<Value> = shown.iter().map(Shown::structured).collect();
    Some(json!({"id": id, "messages": messages, "tools": schemas(tools), "trainable": trainable}))
}

/// Returns a row of the `rl` split: what opens the dialogue, and what the checkers need as a JSON string.
#[must_use]
pub fn rl_row(id: &str, system: &str, opening: &str, tools: &[ToolSpec], task: &Value) -> Value {
    let prompt = [
        json!({"role": Role::System, "content": system}),
        json!({"role": Role::User, "content": opening}),
    ];
    json!({"id": id, "prompt": prompt, "tools": schemas(tools), "task": task.to_string()})
}

/// Returns a line of a training file for OpenAI's fine-tuning; `None` when the agent says nothing in the dialogue.
#[must_use]
pub fn openai_row(system: &str, tools: &[ToolSpec], messages: &[Message]) -> Option<Value> {
    let shown = shown(system, messages)?;
    let several = shown.iter().any(|shown| shown.message.tool_calls.len() > 1);
    let messages: Vec<Value> = shown.iter().map(Shown::as_api).collect();
    let mut row = json!({"messages": messages});
    if !tools.is_empty() {
        row["tools"] = schemas(tools);
        row["parallel_tool_calls"] = several.into();
    }
    Some(row)
}

/// A message of an exported dialogue.
struct Shown {
    message: Message,
    /// The tool whose result it is.
    tool: Option<String>,
}

impl Shown {
    /// Returns the message with arguments as an object. Keys without a value are left out: some templates look only for the
    /// key.
    fn structured(&self) -> Value {
        let Message {
            role,
            content,
            tool_calls,
            tool_call_id,
            reasoning,
        } = &self.message;
        let mut out = Map::new();
        out.insert("role".into(), json!(role));
        out.insert("content".into(), json!(content));
        // The name that templates of reasoning models look for; others do not know it.
        if let Some(reasoning) = reasoning {
            out.insert("reasoning_content".into(), json!(reasoning));
        }
        if !tool_calls.is_empty() {
            let calls = tool_calls.iter().map(|call| {
                let function = json!({"name": call.name, "arguments": call.arguments});
                json!({"id": call.id, "type": "function", "function": function})
            });
            out.insert("tool_calls".into(), calls.collect());
        }
        if let Some(id) = tool_call_id {
            out.insert("tool_call_id".into(), json!(id));
        }
        if let Some(tool) = &self.tool {
            out.insert("name".into(), json!(tool));
        }
        Value::Object(out)
    }

    /// Returns the message as OpenAI's API has it.
    fn as_api(&self) -> Value {
        let mut value = self.message.to_openai();
        let silent = self.message.content.is_empty() && !self.message.tool_calls.is_empty();
        if let (Value::Object(map), true) = (&mut value, silent) {
            map.remove("content");
        }
        value
    }
}

/// Returns the dialogue under this system message, up to the agent's last turn; `None` when there is no such turn.
fn shown(system: &str, messages: &[Message]) -> Option<Vec<Shown>> {
    let mut usable = usable(messages);
    let last = usable.iter().rposition(|m| m.role == Role::Assistant)?;
    usable.truncate(last + 1);
    let mut all = vec![Shown {
        message: Message::system(system),
        tool: None,
    }];
    let mut calls = 0;
    // Old id, new id and tool of the calls that have no result yet.
    let mut open: VecDeque<(String, String, String)> = VecDeque::new();
    for mut message in usable {
        if message.role == Role::System {
            continue;
        }
        if message.role == Role::Assistant {
            open.clear();
        }
        let mut tool = None;
        if message.role == Role::Tool {
            let id = message.tool_call_id.as_deref();
            let at = open
                .iter()
                .position(|(old, ..)| id.is_none_or(|id| id == old));
            let Some((_, new, name)) = at.and_then(|at| open.remove(at)) else {
                continue;
            };
            message.tool_call_id = Some(new);
            tool = Some(name);
        }
        for call in &mut message.tool_calls {
            calls += 1;
            let new = call_id(calls);
            open.push_back((
                std::mem::replace(&mut call.id, new.clone()),
                new,
                call.name.clone(),
            ));
        }
        all.push(Shown { message, tool });
    }
    Some(all)
}

/// Returns the id of a dialogue's call: nine letters and digits, the only form that every template takes.
fn call_id(number: usize) -> String {
    format!("call{number:05}")
}

fn schemas(tools: &[ToolSpec]) -> Value {
    tools.iter().map(ToolSpec::to_openai).collect()
}

/// The content of a dataset's card.
#[derive(Clone, Debug, Default)]
pub struct Card {
    /// The domain's name.
    pub domain: String,
    /// Rows of the split `sft`; 0 when there is no such file.
    pub sft: usize,
    /// Rows of the split `rl`; 0 when there is no such file.
    pub rl: usize,
    /// Where it came from, one line each: strategies, digests, models.
    pub origin: Vec<String>,
}

impl Card {
    /// Returns the dataset's `README.md`. A file that was not written is not named.
    #[must_use]
    pub fn text(&self) -> String {
        let splits = [
            (
                "sft",
                self.sft,
                "dialogues (`messages`, `tools`, `trainable`)",
            ),
            (
                "rl",
                self.rl,
                "tasks (`prompt`, `tools`, `task`: gold calls, outputs, checker)",
            ),
        ];
        let there = || splits.iter().filter(|(_, rows, _)| *rows > 0);
        let mut out = String::from("---\nconfigs:\n");
        for (name, ..) in there() {
            let _ = write!(
                out,
                "- config_name: {name}\n  data_files:\n  - split: train\n    path: data/{name}.jsonl\n"
            );
        }
        let _ = write!(
            out,
            "---\n\n# {}: tool-use dialogues with executable checkers\n\n",
            self.domain
        );
        for (name, rows, what) in there() {
            let _ = writeln!(out, "- `{name}`: {rows} {what}");
        }
        out.push_str(
            "\nEvery row loads as it is with `datasets` 5. A version without the feature type `Json` fills the keys that a message does \
             not have with nulls; read the lines with `json` there.\n\nMade with Agoge from:\n",
        );
        for line in &self.origin {
            let _ = writeln!(out, "- {line}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ToolCall;

    fn call(id: &str, name: &str, arguments: Value) -> ToolCall {
        ToolCall {
            id: id.into(),
            ..ToolCall::new(name, arguments.as_object().cloned().unwrap())
        }
    }

    /// A dialogue with an unreadable turn, words beside calls, two calls at once and ids that occur twice.
    fn dialogue() -> Vec<Message> {
        vec![
            Message::user("Extend the loan of 4711."),
            Message::assistant("{\"name\": get}"),
            Message::tool_result("", "error: no JSON"),
            Message {
                content: "One moment.".into(),
                reasoning: Some("Both need a look.".into()),
                ..Message::calls(vec![
                    call("1", "get", json!({"id": "4711"})),
                    call("2", "owner", json!({"id": "4711", "deep": {"n": 1}})),
                ])
            },
            Message::tool_result("2", "owner 8"),
            Message::tool_result("1", "due in May"),
            Message::calls(vec![call("1", "extend", json!({"id": "4711", "days": 7}))]),
            Message::tool_result("1", "ok"),
            Message::assistant("It is extended."),
            Message::user("Thank you. ###"),
        ]
    }

    fn tools() -> Vec<ToolSpec> {
        vec![ToolSpec {
            name: "get".into(),
            description: "Look it up.".into(),
            parameters: json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}),
        }]
    }

    #[test]
    fn a_row_for_templates_has_structured_arguments_matched_ids_and_ends_with_the_agent() {
        let row = sft_row("t", "policy", &tools(), &dialogue()).unwrap();
        let messages = row["messages"].as_array().unwrap();
        let roles: Vec<&str> = messages.iter().filter_map(|m| m["role"].as_str()).collect();
        assert_eq!(
            roles,
            [
                "system",
                "user",
                "assistant",
                "tool",
                "tool",
                "assistant",
                "tool",
                "assistant"
            ]
        );
        let trainable: Vec<bool> = roles.iter().map(|role| *role == "assistant").collect();
        assert_eq!(row["trainable"], json!(trainable));
        assert_eq!(messages[2]["content"], "One moment.");
        assert_eq!(messages[2]["reasoning_content"], "Both need a look.");
        assert!(messages[5].get("reasoning_content").is_none());
        let second = &messages[2]["tool_calls"][1];
        assert_eq!(second["function"]["arguments"]["deep"], json!({"n": 1}));
        assert_eq!(
            (&messages[3]["tool_call_id"], &messages[3]["name"]),
            (&second["id"], &json!("owner"))
        );
        assert_eq!(
            messages[6]["tool_call_id"],
            messages[5]["tool_calls"][0]["id"]
        );
        assert_ne!(messages[6]["tool_call_id"], messages[4]["tool_call_id"]);
        // A template that asks for the key finds it only where there are calls.
        assert!(messages[7].get("tool_calls").is_none());
        assert_eq!(row["tools"][0]["function"]["parameters"]["type"], "object");
    }

    #[test]
    fn a_line_for_fine_tuning_has_arguments_as_text_and_says_when_calls_are_parallel() {
        let row = openai_row("policy", &tools(), &dialogue()).unwrap();
        let calls = &row["messages"][2]["tool_calls"];
        let arguments = calls[0]["function"]["arguments"].as_str().unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(arguments).unwrap(),
            json!({"id": "4711"})
        );
        assert_eq!(row["messages"][7]["content"], "It is extended.");
        assert_eq!(row["messages"].as_array().unwrap().len(), 8);
        assert!(row["messages"][5].get("content").is_none());
        assert!(!row.to_string().contains("need a look"));
        assert_eq!(row["parallel_tool_calls"], true);
        let one = openai_row("policy", &tools(), &dialogue()[6..]).unwrap();
        assert_eq!(one["parallel_tool_calls"], false);
        let bare = openai_row("policy", &[], &[Message::assistant("Hello.")]).unwrap();
        assert!(bare.get("tools").is_none() && bare.get("parallel_tool_calls").is_none());
    }

    #[test]
    fn a_dialogue_in_which_the_agent_says_nothing_is_no_row() {
        let silent = [Message::user("Hello?")];
        assert_eq!(sft_row("t", "policy", &[], &silent), None);
        assert_eq!(openai_row("policy", &[], &silent), None);
    }

    #[test]
    fn a_card_names_only_the_files_that_are_there() {
        let card = Card {
            rl: 3,
            ..Card::default()
        };
        let text = card.text();
        assert!(
            text.contains("data/rl.jsonl") && !text.contains("sft"),
            "{text}"
        );
    }
}
