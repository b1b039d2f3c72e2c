//! Models behind endpoints as speakers of an episode.
//!
//! The agent reads policy and tools first and the dialogue after them, so that all episodes of a domain share the
//! beginning of their prompt and an endpoint with a prompt cache reads it once. Requests are a function of the dialogue
//! alone: recordings find their answers by the request's digest.

use agoge_dialogue::{Message, ParsedOutput, Role, ToolCall, call_of, user_view};
use agoge_llm::{Answer, Client, Finish, LlmError, Request, Spent, Stopped};
use agoge_world::{DONE, Domain, Fault, Speaker, Task, Turn, View};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::Calls;
use super::parties::UserCalls;
use super::tools::tool_list;

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

    pub(super) async fn ask(&mut self, request: &Request) -> Result<Answer, Fault> {
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
    /// The beginning of the first turn that looks like calls and was read as words.
    pub unread: Option<String>,
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
            unread: None,
        }
    }

    /// Appends the messages since the last turn to the request.
    fn read(&mut self, messages: &[Message]) {
        let native = self.calls == Calls::Native;
        let mut results = Vec::new();
        let of_user = UserCalls::of(messages);
        for message in &messages[self.seen..] {
            if of_user.has(message) {
                continue;
            }
            let next = match message.role {
                Role::Assistant if !message.tool_calls.is_empty() && !native => {
                    Message::assistant(&std::mem::take(&mut self.written))
                }
                // The reason why a message was unusable.
                Role::Tool if message.tool_call_id.is_none() => Message::user(&message.content),
                Role::Tool if !native => {
                    let name = call_of(message, messages).map_or("", |call| call.name.as_str());
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

#[async_trait(?Send)]
impl Speaker for EndpointAgent<'_> {
    async fn turn(&mut self, view: View<'_>) -> Result<Turn, Fault> {
        self.read(view.messages);
        self.request.max_tokens = view.rules.max_agent_tokens;
        let mut answer = self.asker.ask(&self.request).await?;
        if let Some(stopped) = answer.stopped() {
            return Err(match stopped {
                Stopped::Reasoning(why) => Fault::Reasoning(why),
                Stopped::Filtered(why) => Fault::Filtered(why),
                Stopped::Refused(why) => Fault::Refused(why),
            });
        }
        let most = view.rules.max_trajectory_tokens.map(u64::from);
        if answer.finish == Finish::Length || most.is_some_and(|most| answer.usage.total() > most) {
            return Ok(Turn::Truncated);
        }
        before_stop(&mut answer.text, &self.request.stop);
        let ParsedOutput {
            said,
            calls,
            reasoning,
            written,
            unread,
            ..
        } = answer.parse(view.tools);
        if unread && self.unread.is_none() {
            let beginning = said.trim().chars().take(UNREAD_SHOWN).collect();
            self.unread = Some(beginning);
        }
        Ok(match calls {
            Ok(calls) if calls.is_empty() && said.is_empty() => Turn::Malformed {
                text: None,
                reason: "the agent said nothing".into(),
            },
            Ok(calls) => {
                self.written = if answer.tool_calls.is_empty() {
                    written
                } else {
                    in_fences(&said, &calls)
                };
                Turn::Message(Message {
                    content: said,
                    reasoning,
                    ..Message::calls(calls)
                })
            }
            Err(error) => Turn::Malformed {
                text: Some(as_it_came(written, &answer.tool_calls)),
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
        if let Some(stopped) = answer.stopped() {
            return Err(Fault::User(stopped.to_string()));
        }
        // Only its first line counts, so that one is whole when another begins.
        let text = answer.written();
        if answer.finish == Finish::Length && !text.trim().contains('\n') {
            return Ok(Turn::Truncated);
        }
        Ok(Turn::Message(Message::user(&line(&text))))
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
/// Characters of an unread turn that a warning shows.
const UNREAD_SHOWN: usize = 60;
/// The helpdesk's greeting, before a user model speaks first.
const GREETING: &str = "Hello, how can I help you?";

/// Ends a text before the first line that begins with a stop text, for endpoints that do not know `stop`.
fn before_stop(text: &mut String, stops: &[String]) {
    let begins = |stop: &String| {
        let line = text.find(&format!("\n{stop}"));
        if text.starts_with(stop) {
            Some(0)
        } else {
            line
        }
    };
    if let Some(end) = stops.iter().filter_map(begins).min() {
        text.truncate(end);
    }
}

/// Words and native calls that were not offered, in the form that calls were asked for.
fn in_fences(said: &str, calls: &[ToolCall]) -> String {
    let words = (!said.is_empty()).then(|| said.to_owned());
    let fence = |call: &ToolCall| {
        let call = json!({"name": call.name, "arguments": call.arguments});
        format!("```json\n{call}\n```")
    };
    let turn: Vec<String> = words.into_iter().chain(calls.iter().map(fence)).collect();
    turn.join("\n")
}

/// The text of a turn whose calls cannot be read, with those that came apart from it, unchanged.
fn as_it_came(written: String, calls: &[Value]) -> String {
    let words = (!written.trim().is_empty()).then_some(written);
    let call = |call: &Value| call.get("function").unwrap_or(call).to_string();
    let turn: Vec<String> = words.into_iter().chain(calls.iter().map(call)).collect();
    turn.join("\n")
}

/// The dialogue as the user's model reads it: a transcript to which it writes the next line, because a small model that
/// gets the helpdesk's words as a user's messages answers like a helpdesk. Rules come first, the task's own after them,
/// the growing part last.
fn user_side(task: &Task, messages: &[Message]) -> Vec<Message> {
    let persona = task.user.persona.trim();
    let persona = if persona.is_empty() {
        String::new()
    } else {
        format!("{persona}\n")
    };
    let system = format!("{}\n{persona}{}", USER.trim(), task.user.instruction);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_does_not_know_stop_texts_is_cut_at_their_line() {
        let stops = [RESULT.to_owned()];
        for (written, kept) in [
            ("I look.\nResult of find: moving", "I look."),
            ("Result of find: moving", ""),
            ("The Result of this is good.", "The Result of this is good."),
        ] {
            let mut text = written.to_owned();
            before_stop(&mut text, &stops);
            assert_eq!(text, kept);
        }
    }

    #[test]
    fn a_turn_goes_back_with_all_that_its_model_wrote() {
        let call = ToolCall::new("find", serde_json::Map::new());
        let fence = "```json\n{\"name\":\"find\",\"arguments\":{}}\n```";
        assert_eq!(
            in_fences("I look.", std::slice::from_ref(&call)),
            format!("I look.\n{fence}")
        );
        assert_eq!(in_fences("", &[call]), fence);
        let broken = json!({"id": "a", "function": {"name": "find", "arguments": "[4]"}});
        let written = as_it_came(String::new(), &[broken]);
        assert_eq!(written, "{\"name\":\"find\",\"arguments\":\"[4]\"}");
    }
}
