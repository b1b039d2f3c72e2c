//! Models behind endpoints as speakers of an episode.
//!
//! The agent reads policy and tools first and the dialogue after them, so that all episodes of a domain share the
//! beginning of their prompt and an endpoint with a prompt cache reads it once. Requests are a function of the dialogue
//! alone: recordings find their answers by the request's digest.

use agoge_dialogue::{Message, Role, ToolCall, ToolSpec, user_view};
use agoge_llm::{Answer, Client, Finish, LlmError, Request, Spent};
use agoge_world::{DONE, Domain, Fault, Speaker, Task, Turn, View};
use async_trait::async_trait;
use serde_json::json;

use super::Calls;

/// An endpoint with the item it is asked for, and the account of what it cost.
#[derive(Debug)]
pub struct Asker<'a> {
    client: &'a Client,
    item: String,
    /// The cost so far.
    pub spent: Spent,
    /// The error that ended the episode, if one did.
    pub failure: Option<LlmError>,
}

impl<'a> Asker<'a> {
    /// Asks on behalf of `item`, the name under which recordings keep the answers.
    #[must_use]
    pub fn new(client: &'a Client, item: String) -> Self {
        Self {
            client,
            item,
            spent: Spent::default(),
            failure: None,
        }
    }

    async fn ask(&mut self, request: &Request) -> Result<Answer, Fault> {
        match self.client.ask(&self.item, request).await {
            Ok(answer) => {
                let usd = self.client.cost(&answer.usage);
                self.spent.add(&answer.usage, usd);
                Ok(answer)
            }
            Err(error) => {
                let fault = Fault::Infra(error.to_string());
                self.failure = Some(error);
                Err(fault)
            }
        }
    }
}

/// An agent behind an endpoint.
#[derive(Debug)]
pub struct EndpointAgent<'a> {
    /// The endpoint and its cost.
    pub asker: Asker<'a>,
    /// The next request: settings, and the agent's side of the dialogue as its model wrote and reads it.
    request: Request,
    calls: Calls,
    /// Messages of the dialogue that are in the request already.
    seen: usize,
    /// The agent's last calls as its model wrote them.
    written: String,
}

impl<'a> EndpointAgent<'a> {
    /// An agent whose first request has the settings of `request` and its messages before the dialogue's.
    #[must_use]
    pub fn new(asker: Asker<'a>, request: Request, calls: Calls) -> Self {
        Self {
            asker,
            request,
            calls,
            seen: 0,
            written: String::new(),
        }
    }

    /// Appends the messages since the last turn to the request.
    fn read(&mut self, messages: &[Message]) {
        let native = self.calls == Calls::Native;
        let mut results = Vec::new();
        for message in &messages[self.seen..] {
            let next = match message.role {
                Role::Assistant if !message.tool_calls.is_empty() && !native => {
                    Message::assistant(&std::mem::take(&mut self.written))
                }
                // The reason why a message was unusable.
                Role::Tool if message.tool_call_id.is_none() => Message::user(&message.content),
                Role::Tool if !native => {
                    let name = called(messages, message);
                    results.push(format!("{RESULT} {name}: {}", message.content));
                    continue;
                }
                _ => message.clone(),
            };
            self.request.messages.push(next);
        }
        if !results.is_empty() {
            let text = format!("{}\n{}", results.join("\n"), AGENT_NEXT.trim());
            self.request.messages.push(Message::user(&text));
        }
        self.seen = messages.len();
    }
}

/// The name of the tool that a result belongs to.
fn called<'m>(messages: &'m [Message], result: &Message) -> &'m str {
    let id = result.tool_call_id.as_deref().unwrap_or_default();
    let mut calls = messages.iter().rev().flat_map(|m| &m.tool_calls);
    calls
        .find(|call| call.id == id)
        .map_or("", |call| call.name.as_str())
}

#[async_trait(?Send)]
impl Speaker for EndpointAgent<'_> {
    async fn turn(&mut self, view: View<'_>) -> Result<Turn, Fault> {
        self.read(view.messages);
        self.request.max_tokens = view.rules.max_agent_tokens;
        let answer = self.asker.ask(&self.request).await?;
        let most = view.rules.max_trajectory_tokens.map(u64::from);
        if answer.finish == Finish::Length || most.is_some_and(|most| answer.usage.total() > most) {
            return Ok(Turn::Truncated);
        }
        Ok(match answer.calls() {
            Ok(calls) if calls.is_empty() && answer.text.trim().is_empty() => Turn::Malformed {
                text: None,
                reason: "the agent said nothing".into(),
            },
            Ok(calls) if calls.is_empty() => Turn::Message(Message::assistant(answer.text.trim())),
            Ok(calls) => {
                self.written = written(&answer, &calls);
                Turn::Message(Message::calls(calls))
            }
            Err(error) => Turn::Malformed {
                text: Some(answer.text),
                reason: error.to_string(),
            },
        })
    }
}

/// A user behind an endpoint. It sees no tool traffic.
#[derive(Debug)]
pub struct EndpointUser<'a> {
    /// The endpoint and its cost.
    pub asker: Asker<'a>,
    task: &'a Task,
    temperature: f64,
    seed: u64,
}

impl<'a> EndpointUser<'a> {
    /// The user of a task.
    #[must_use]
    pub fn new(asker: Asker<'a>, task: &'a Task, temperature: f64, seed: u64) -> Self {
        Self {
            asker,
            task,
            temperature,
            seed,
        }
    }
}

#[async_trait(?Send)]
impl Speaker for EndpointUser<'_> {
    async fn turn(&mut self, view: View<'_>) -> Result<Turn, Fault> {
        let messages = user_side(self.task, view.messages);
        let request = Request {
            temperature: self.temperature,
            seed: Some(self.seed),
            ..Request::new(messages, view.rules.max_user_tokens)
        };
        let answer = self.asker.ask(&request).await?;
        // Only its first line counts, so that one is whole when another begins.
        if answer.finish == Finish::Length && !answer.text.trim().contains('\n') {
            return Ok(Turn::Truncated);
        }
        Ok(Turn::Message(Message::user(&line(&answer.text))))
    }
}

/// The agent's system prompt: the same for every task of a domain, with the tools unless they are offered natively.
#[must_use]
pub fn agent_prompt(domain: &Domain, calls: Calls) -> String {
    let mut text = format!("{}\n", domain.policy.trim());
    if calls == Calls::Fenced {
        text.push_str("\n# Tools\n\n");
        text.push_str(&tool_list(&domain.tools));
    }
    text.push_str(&format!("\nIt is {}.\n\n# How to answer\n\n", domain.now));
    match calls {
        Calls::Fenced => text.push_str(AGENT_FENCED),
        Calls::Native => text.push_str(AGENT_NATIVE),
    }
    text
}

const AGENT_FENCED: &str = include_str!("agent-fenced.md");
const AGENT_NEXT: &str = include_str!("agent-next.md");
const AGENT_NATIVE: &str = include_str!("agent-native.md");
const USER: &str = include_str!("user.md");
const USER_FIRST: &str = include_str!("user-first.md");
const USER_NEXT: &str = include_str!("user-next.md");
/// The beginning of a line of results; a model that writes it itself is stopped there.
pub(super) const RESULT: &str = "Result of";
/// The helpdesk's greeting, before a user model speaks first.
const GREETING: &str = "Hello, how can I help you?";

/// The tools as signatures, one a line.
#[must_use]
pub fn tool_list(tools: &[ToolSpec]) -> String {
    let mut text = String::new();
    for tool in tools {
        let parameters = tool.parameters["properties"].as_object();
        let signature: Vec<String> = parameters
            .into_iter()
            .flatten()
            .map(|(name, schema)| format!("{name}: {}", schema["type"].as_str().unwrap_or("any")))
            .collect();
        text.push_str(&format!(
            "- {}({}): {}\n",
            tool.name,
            signature.join(", "),
            tool.description
        ));
    }
    text
}

/// The calls as the model wrote them; native ones that were not offered, in the form it was asked for.
fn written(answer: &Answer, calls: &[ToolCall]) -> String {
    if !answer.text.is_empty() {
        return answer.text.clone();
    }
    let fence = |call: &ToolCall| {
        let call = json!({"name": call.name, "arguments": call.arguments});
        format!("```json\n{call}\n```")
    };
    calls.iter().map(fence).collect::<Vec<_>>().join("\n")
}

/// The dialogue as the user's model reads it: a transcript to which it writes the next line, because a small model that
/// gets the helpdesk's words as a user's messages answers like a helpdesk. Rules come first, the task's own after them,
/// the growing part last.
fn user_side(task: &Task, messages: &[Message]) -> Vec<Message> {
    let system = format!("{}\n{}", USER.trim(), task.user.instruction);
    let mut transcript = format!("Helpdesk: {GREETING}\n");
    for message in user_view(messages) {
        let speaker = if message.role == Role::User {
            "Customer"
        } else {
            "Helpdesk"
        };
        transcript.push_str(&format!("{speaker}: {}\n", message.content.trim()));
    }
    let asked = if messages.is_empty() {
        USER_FIRST
    } else {
        USER_NEXT
    };
    transcript.push_str(&format!("\n{}", asked.trim().replace("{done}", DONE)));
    vec![Message::system(&system), Message::user(&transcript)]
}

/// A user model's line without the speaker's name that it may have written before it.
fn line(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix("Customer:").unwrap_or(text).trim();
    text.lines()
        .next()
        .unwrap_or_default()
        .trim_matches('"')
        .trim()
        .to_owned()
}
