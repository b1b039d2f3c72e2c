//! Plays a task by its gold: the agent asks for the facts that are held back, makes the gold calls and says the answer;
//! the scripted user answers.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use agoge_dialogue::Message;

use crate::episode::{Episode, World};
use crate::play::{End, Played, Rules, play};
use crate::replay::GoldError;
use crate::sandboxed::SandboxBackend;
use crate::speaker::{Script, View};
use crate::task::{DONE, Fact, Task};
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
    let turns = turns(task);
    let rules = Rules {
        max_turns: u32::try_from(turns.len()).unwrap_or(u32::MAX),
        unknown_tools_are_unusable: false,
        ..Rules::default()
    };
    let mut agent = Script(|view: View<'_>| turns[view.turns as usize].clone());
    let mut user = ScriptedUser::new(task);
    let backend = SandboxBackend::new(world);
    let mut session = backend.session();
    let played = at_once(play(&mut session, &mut agent, &mut user, &rules));
    let episode = session.into_episode();
    answered(task, &played.messages)?;
    worked(&episode, task.refusal)?;
    closed(task, &played)?;
    Ok(Demonstration {
        messages: played.messages,
        episode,
    })
}

/// Returns the facts that are held back and have a question, each with its question.
fn questions(task: &Task) -> impl Iterator<Item = (&Fact, &String)> {
    let held = task.user.facts.iter().filter(|fact| fact.held);
    held.filter_map(|fact| Some((fact, task.agent.ask.get(&fact.name)?)))
}

/// Returns the agent's turns: its questions, the gold calls one by one, the answer.
fn turns(task: &Task) -> Vec<Message> {
    let asked = questions(task).map(|(_, question)| Message::assistant(question));
    let called = task
        .gold
        .iter()
        .map(|call| Message::calls(vec![call.clone()]));
    let last = Message::assistant(&task.agent.answer);
    asked.chain(called).chain([last]).collect()
}

/// Refuses a dialogue in which a question was not answered by its fact. It begins with the user's opening; then questions
/// and the user's turns alternate.
fn answered(task: &Task, messages: &[Message]) -> Result<(), DemoError> {
    let replies = messages.iter().skip(2).step_by(2);
    for ((fact, question), reply) in questions(task).zip(replies) {
        if reply.content != fact.answer || reply.content.contains(DONE) {
            let said = format!(
                "the question {question:?} does not ask for `{}`: it is answered by {:?}",
                fact.name, reply.content
            );
            return Err(DemoError::User(said));
        }
    }
    Ok(())
}

/// Refuses an episode in which a gold call did not work.
fn worked(episode: &Episode, refusal: bool) -> Result<(), GoldError> {
    (1..)
        .zip(&episode.calls)
        .try_for_each(|(number, (call, result))| GoldError::check(number, call, result, refusal))
}

/// Refuses a dialogue that the user did not close after the agent's answer.
fn closed(task: &Task, played: &Played) -> Result<(), DemoError> {
    let said = match &played.end {
        End::Closed if played.messages.len() > 1 => return Ok(()),
        End::Closed => "the opening closes the dialogue".to_owned(),
        End::User(reason) => reason.clone(),
        _ => format!(
            "the answer {:?} does not end the dialogue: the user replies {:?}",
            task.agent.answer,
            played
                .messages
                .last()
                .map_or("", |last| last.content.as_str()),
        ),
    };
    Err(DemoError::User(said))
}

/// Runs a future that waits for nothing outside itself: here both speakers are scripts, and the sandbox answers at once.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
    }
}
