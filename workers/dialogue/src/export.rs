//! Dialogues as trainers take them, one JSON object a line.
//!
//! [`sft_row`] and [`rl_row`] are for libraries that render a model's own chat template (transformers, TRL): `tools` is a list
//! of schemas and the `arguments` of a call are an object, because templates write both as JSON themselves. [`openai_row`] is
//! for OpenAI's fine-tuning, where arguments are a JSON string. Every dialogue ends with the agent's turn, has no turn that
//! could not be read, and gives each call an id of its own.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use crate::{Message, Role, ToolSpec, agent_view, usable, user_view};

/// Returns a row of the `sft` split: a whole dialogue. `trainable` says which messages carry loss. `None` when the agent says
/// nothing in it.
#[must_use]
pub fn sft_row(id: &str, system: &str, tools: &[ToolSpec], messages: &[Message]) -> Option<Value> {
    let dialogue = Exported::of_agent(system, messages)?;
    let trainable: Vec<bool> = dialogue
        .roles()
        .map(|role| role == Role::Assistant)
        .collect();
    let messages = dialogue.structured();
    Some(json!({"id": id, "messages": messages, "tools": schemas(tools), "trainable": trainable}))
}

/// Returns a row of the `rl` split: what opens the dialogue, and what the checkers need as a JSON string. `begun` is the
/// dialogue before the first word.
#[must_use]
pub fn rl_row(
    id: &str,
    system: &str,
    (begun, opening): (&[Message], &str),
    tools: &[ToolSpec],
    task: &Value,
) -> Value {
    let prompt = Exported::opening(system, begun, opening).structured();
    json!({"id": id, "prompt": prompt, "tools": schemas(tools), "task": task.to_string()})
}

/// Returns a line of a training file for OpenAI's fine-tuning; `None` when the agent says nothing in the dialogue.
#[must_use]
pub fn openai_row(system: &str, tools: &[ToolSpec], messages: &[Message]) -> Option<Value> {
    let dialogue = Exported::of_agent(system, messages)?;
    let several = dialogue
        .messages()
        .any(|message| message.tool_calls.len() > 1);
    let mut row = json!({"messages": dialogue.as_api()});
    if !tools.is_empty() {
        row["tools"] = schemas(tools);
        row["parallel_tool_calls"] = several.into();
    }
    Some(row)
}

/// Returns tools as OpenAI's API has them.
#[must_use]
pub fn schemas(tools: &[ToolSpec]) -> Value {
    tools.iter().map(ToolSpec::to_openai).collect()
}

/// A dialogue as one side's model reads it: a system message, the words of both sides, and its own calls with their results.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported(Vec<Shown>);

impl Exported {
    /// Returns the agent's dialogue up to its last turn, or `None` when the agent says nothing. The user's own calls are not
    /// seen.
    #[must_use]
    pub fn of_agent(system: &str, messages: &[Message]) -> Option<Self> {
        let seen = usable(&agent_view(messages));
        let last = seen.iter().rposition(|m| m.role == Role::Assistant)?;
        Some(Self(shown(system, &seen[..=last])))
    }

    /// Returns the user's dialogue up to its last turn, for a model that plays the user: its turns are those of the
    /// assistant, and the agent's those of the user. `None` when the user says nothing.
    #[must_use]
    pub fn of_user(instruction: &str, messages: &[Message]) -> Option<Self> {
        let mut seen = user_view(messages);
        for message in &mut seen {
            message.role = match message.role {
                Role::User => Role::Assistant,
                Role::Assistant => Role::User,
                other => other,
            };
        }
        let last = seen.iter().rposition(|m| m.role == Role::Assistant)?;
        Some(Self(shown(instruction, &seen[..=last])))
    }

    /// Returns the beginning of an agent's dialogue: what was said before the first word, and the user's opening where it is
    /// the user's turn.
    #[must_use]
    pub fn opening(system: &str, history: &[Message], opening: &str) -> Self {
        let mut seen = usable(&agent_view(history));
        let heard = seen
            .last()
            .is_some_and(|message| message.role == Role::User);
        if !heard && !opening.is_empty() {
            seen.push(Message::user(opening));
        }
        Self(shown(system, &seen))
    }

    /// The messages, the system message first.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.0.iter().map(|shown| &shown.message)
    }

    /// The role of each message.
    pub fn roles(&self) -> impl Iterator<Item = Role> {
        self.messages().map(|message| message.role)
    }

    /// Returns the messages with arguments as objects, for chat templates.
    #[must_use]
    pub fn structured(&self) -> Vec<Value> {
        self.0.iter().map(Shown::structured).collect()
    }

    /// Returns the messages as OpenAI's API has them: arguments are a JSON string, and there is no reasoning.
    #[must_use]
    pub fn as_api(&self) -> Vec<Value> {
        self.0.iter().map(Shown::as_api).collect()
    }
}

/// A message of an exported dialogue.
#[derive(Clone, Debug, PartialEq)]
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

/// Returns messages under this system message. Each call has a new id, and a result without a call is left out.
fn shown(system: &str, messages: &[Message]) -> Vec<Shown> {
    let mut all = vec![Shown {
        message: Message::system(system),
        tool: None,
    }];
    let mut calls = 0;
    // Old id, new id and tool of the calls that have no result yet.
    let mut open: VecDeque<(String, String, String)> = VecDeque::new();
    for mut message in messages.iter().cloned() {
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
    all
}

/// Returns the id of a dialogue's call: nine letters and digits, the only form that every template takes.
fn call_id(number: usize) -> String {
    format!("call{number:05}")
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
    fn a_users_own_calls_are_in_its_own_dialogue_and_not_in_the_agents() {
        let users = Message {
            role: Role::User,
            ..Message::calls(vec![call("1", "unplug", json!({}))])
        };
        let all = [
            Message::user("It is offline."),
            Message::assistant("Unplug it, please."),
            users,
            Message::tool_result("1", "unplugged"),
            Message::user("Done. ###"),
        ];
        let roles = |dialogue: &Exported| dialogue.roles().map(Role::name).collect::<Vec<_>>();
        let agent = Exported::of_agent("policy", &all).unwrap();
        assert_eq!(roles(&agent), ["system", "user", "assistant"]);
        let user = Exported::of_user("You are Ann.", &all).unwrap();
        assert_eq!(
            roles(&user),
            [
                "system",
                "assistant",
                "user",
                "assistant",
                "tool",
                "assistant"
            ]
        );
        let structured = user.structured();
        assert_eq!(
            structured[4]["tool_call_id"],
            structured[3]["tool_calls"][0]["id"]
        );
        // The prompt of a task goes on where its history ends.
        assert_eq!(
            roles(&Exported::opening("policy", &all[..2], "Hello?")),
            ["system", "user", "assistant", "user"]
        );
        assert_eq!(
            roles(&Exported::opening("policy", &all[..1], "Hello?")),
            ["system", "user"]
        );
    }
}
