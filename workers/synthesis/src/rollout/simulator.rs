//! The user of an evaluation: a model that plays the task's scenario over the whole dialogue.
//!
//! It reads the dialogue from its side: the agent's words are what it is told, its own words and calls are its answers. It sees
//! no tool traffic of the agent. Where the domain gives the user tools, they are offered by the API's `tools`. It ends the
//! dialogue by one of three tokens, of which `###OUT-OF-SCOPE###` says that the scenario, not the agent, is at fault.

use agoge_dialogue::{Message, Role};
use agoge_llm::{Client, Finish, Request};
use agoge_world::{Domain, Fault, Speaker, Task, Turn, View};
use async_trait::async_trait;

use super::parties::UserCalls;
use super::speakers::Asker;

const GUIDE: &str = include_str!("user-simulator.md");
const TOOLS: &str = include_str!("user-simulator-tools.md");
const END: &str = include_str!("user-simulator-end.md");

/// The agent's first words, as a user model is told of them. The agent itself does not see them.
pub const GREETING: &str = "Hi! How can I help you today?";

/// A user model with the words that it is greeted with.
#[derive(Clone, Copy, Debug)]
pub struct Simulator<'a> {
    /// The model.
    pub client: &'a Client,
    /// The greeting before its first turn; [`GREETING`] unless the evaluation has another.
    pub greeting: &'a str,
}

/// Returns the part of a user model's prompt that all tasks of a domain share: how a user behaves (the domain's own guide where
/// it has one), its tools, and how it ends a dialogue.
#[must_use]
pub fn simulator_prompt(domain: &Domain) -> String {
    let guide = domain.user_guide.as_deref().unwrap_or(GUIDE);
    let mut parts = vec![guide.trim()];
    if !domain.user_tools.is_empty() {
        parts.push(TOOLS.trim());
    }
    parts.push(END.trim());
    parts.join("\n\n")
}

/// A user behind an endpoint.
#[derive(Debug)]
pub struct SimulatedUser<'a> {
    /// The endpoint and its cost.
    pub asker: Asker<'a>,
    system: String,
    greeting: &'a str,
    temperature: f64,
    seed: u64,
}

impl<'a> SimulatedUser<'a> {
    /// The user of a task.
    #[must_use]
    pub fn new(
        asker: Asker<'a>,
        (domain, task): (&Domain, &Task),
        greeting: &'a str,
        temperature: f64,
        seed: u64,
    ) -> Self {
        Self {
            asker,
            system: format!("{}\n\n{}", simulator_prompt(domain), scenario(task)),
            greeting,
            temperature,
            seed,
        }
    }

    /// Returns the dialogue as its model reads it.
    fn side(&self, messages: &[Message]) -> Vec<Message> {
        let own = UserCalls::of(messages);
        let mut side = vec![Message::system(&self.system), Message::user(self.greeting)];
        side.extend(messages.iter().filter_map(|message| match message.role {
            Role::User if own.has(message) => Some(Message::calls(message.tool_calls.clone())),
            Role::User => Some(Message::assistant(&message.content)),
            Role::Tool if own.has(message) => Some(message.clone()),
            Role::Assistant
                if !message.content.trim().is_empty() && message.tool_calls.is_empty() =>
            {
                Some(Message::user(&message.content))
            }
            _ => None,
        }));
        side
    }
}

/// Returns the part of the prompt that is the task's own.
fn scenario(task: &Task) -> String {
    let mut text = String::from("# Scenario\n");
    if !task.user.persona.trim().is_empty() {
        text.push_str(&format!("\nYou are: {}\n", task.user.persona.trim()));
    }
    text.push_str(&format!("\n{}\n", task.user.instruction.trim()));
    text
}

#[async_trait(?Send)]
impl Speaker for SimulatedUser<'_> {
    async fn turn(&mut self, view: View<'_>) -> Result<Turn, Fault> {
        let request = Request {
            tools: view.tools.to_vec(),
            temperature: self.temperature,
            seed: Some(self.seed),
            ..Request::new(self.side(view.messages), view.rules.max_user_tokens)
        };
        let answer = self.asker.ask(&request).await?;
        if let Some(stopped) = answer.stopped() {
            return Err(Fault::User(stopped.to_string()));
        }
        if answer.finish == Finish::Length {
            return Ok(Turn::Truncated);
        }
        if view.tools.is_empty() {
            return Ok(Turn::Message(Message::user(answer.written().trim())));
        }
        let parsed = answer.parse(view.tools);
        Ok(match parsed.calls {
            Ok(calls) if calls.is_empty() => Turn::Message(Message::user(parsed.said.trim())),
            Ok(calls) => Turn::Message(Message {
                tool_calls: calls,
                ..Message::user("")
            }),
            Err(error) => Turn::Malformed {
                text: None,
                reason: error.to_string(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use agoge_dialogue::{ToolCall, ToolSpec};
    use agoge_llm::Meter;
    use agoge_world::{Rules, UserScript};
    use parking_lot::Mutex;
    use serde_json::{Map, json};

    use super::*;

    fn domain() -> Domain {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
        Domain::load(&dir).unwrap()
    }

    fn task() -> Task {
        Task {
            id: "7".into(),
            user: UserScript {
                persona: "You are in a hurry.".into(),
                instruction: "You want your parcel 41212 held.".into(),
                ..UserScript::default()
            },
            ..Task::default()
        }
    }

    fn call(id: &str, name: &str) -> ToolCall {
        ToolCall {
            id: id.into(),
            ..ToolCall::new(name, Map::new())
        }
    }

    /// Asks a user model for its turn; returns the turn and the request that the model got.
    async fn turn(messages: &[Message], tools: &[ToolSpec], says: &'static str) -> (Turn, Request) {
        let seen = Arc::new(Mutex::new(Request::default()));
        let kept = seen.clone();
        let client = Client::scripted(Arc::new(Meter::default()), move |_, request| {
            *kept.lock() = request.clone();
            says.to_owned()
        });
        let client = client.unwrap();
        let asker = Asker::new(&client, "7/user".into());
        let domain = domain();
        let mut user = SimulatedUser::new(asker, (&domain, &task()), GREETING, 0.0, 0);
        let view = View {
            messages,
            tools,
            turns: 0,
            rules: &Rules::default(),
        };
        let turn = user.turn(view).await.unwrap();
        let request = seen.lock().clone();
        (turn, request)
    }

    #[tokio::test]
    async fn a_user_model_reads_its_own_side_of_the_dialogue_after_the_greeting() {
        let dialogue = [
            Message::user("Hold my parcel."),
            Message::calls(vec![call("1", "find")]),
            Message::tool_result("1", "a secret of the agent's"),
            Message::assistant("Please look at your door."),
            Message {
                tool_calls: vec![call("2", "look")],
                ..Message::user("")
            },
            Message::tool_result("2", "a note is there"),
        ];
        let (said, request) = turn(&dialogue, &[], "A note is there. ###STOP###").await;
        assert_eq!(
            said,
            Turn::Message(Message::user("A note is there. ###STOP###"))
        );
        let roles: Vec<(Role, &str)> = request
            .messages
            .iter()
            .map(|m| (m.role, m.content.as_str()))
            .collect();
        let wanted = [
            (Role::User, GREETING),
            (Role::Assistant, "Hold my parcel."),
            (Role::User, "Please look at your door."),
            (Role::Assistant, ""),
            (Role::Tool, "a note is there"),
        ];
        assert_eq!(roles[1..], wanted);
        assert_eq!(request.messages[4].tool_calls[0].id, "2");
        let system = &request.messages[0].content;
        for part in [
            "in a hurry",
            "41212",
            "###STOP###",
            "###TRANSFER###",
            "###OUT-OF-SCOPE###",
        ] {
            assert!(system.contains(part), "{part}: {system}");
        }
    }

    #[tokio::test]
    async fn a_user_with_tools_calls_them_and_says_nothing_beside_the_call() {
        let look = ToolSpec {
            name: "look".into(),
            description: "Looks at the door.".into(),
            parameters: json!({"type": "object", "properties": {}}),
        };
        let says = "I look.\n```json\n{\"name\": \"look\", \"arguments\": {}}\n```";
        let (said, request) = turn(&[], &[look], says).await;
        assert_eq!(request.tools.len(), 1);
        let Turn::Message(message) = said else {
            panic!("{said:?}")
        };
        assert_eq!((message.role, message.content.as_str()), (Role::User, ""));
        assert_eq!(message.tool_calls[0].name, "look");
    }
}
