//! Plays a task by its gold: the agent asks for the facts that are held back, makes the gold calls and says the answer;
//! the scripted user answers.

use agoge_dialogue::{Message, ToolCall};

use crate::episode::{Episode, World};
use crate::replay::GoldError;
use crate::task::Task;
use crate::user::ScriptedUser;

/// The errors of playing a task by its gold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DemoError {
    /// A gold call fails.
    #[error(transparent)]
    Gold(#[from] GoldError),
    /// The user does not answer as its script expects.
    #[error("{0}")]
    User(String),
}

/// A task played by its gold.
#[derive(Clone, Debug, PartialEq)]
pub struct Demonstration {
    /// The dialogue, from the user's opening to its closing, without a system message. Call ids count from 1.
    pub messages: Vec<Message>,
    /// The calls with what they changed.
    pub episode: Episode,
}

/// Plays a task by its gold.
///
/// # Errors
/// [`DemoError`], for a domain's author.
pub fn demonstrate(world: &mut World, task: &Task) -> Result<Demonstration, DemoError> {
    let mut user = ScriptedUser::new(task);
    let mut messages = vec![Message::user(&user.open())];
    for fact in task.user.facts.iter().filter(|fact| fact.held) {
        let Some(question) = task.agent.ask.get(&fact.name) else {
            continue;
        };
        messages.push(Message::assistant(question));
        let turn = user.reply(question);
        if turn.done || turn.text != fact.answer {
            let said = format!(
                "the question {question:?} does not ask for `{}`: it is answered by {:?}",
                fact.name, turn.text
            );
            return Err(DemoError::User(said));
        }
        messages.push(Message::user(&turn.text));
    }
    let mut episode = Episode::default();
    for (n, gold) in task.gold.iter().enumerate() {
        let id = (n + 1).to_string();
        let result = world.call(&mut episode, gold);
        if result.error {
            return Err(GoldError {
                number: n + 1,
                name: gold.name.clone(),
                message: result.content,
            }
            .into());
        }
        messages.push(Message::calls(vec![ToolCall {
            id: id.clone(),
            ..gold.clone()
        }]));
        messages.push(Message::tool_result(&id, &result.content));
    }
    messages.push(Message::assistant(&task.agent.answer));
    let turn = user.reply(&task.agent.answer);
    if !turn.done {
        let said = format!(
            "the answer {:?} does not end the dialogue: the user reads a question in it",
            task.agent.answer
        );
        return Err(DemoError::User(said));
    }
    messages.push(Message::user(&turn.text));
    Ok(Demonstration { messages, episode })
}
