//! Plays a task by its gold: the agent asks for the facts that are held back, makes the gold calls and says the answer;
//! the scripted user answers, and makes the gold calls that are its own.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use agoge_dialogue::Message;

use crate::backend::Party;
use crate::domain::Domain;
use crate::end::End;
use crate::episode::{Episode, World};
use crate::history;
use crate::play::{Played, play};
use crate::replay::GoldError;
use crate::rules::Rules;
use crate::sandboxed::SandboxBackend;
use crate::speaker::{Script, View};
use crate::task::{DONE, Fact, Task};
use crate::user::{ScriptedUser, request};

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
    let domain = world.domain().clone();
    let turns = turns(&domain, task);
    let rules = Rules {
        max_turns: u32::try_from(turns.len()).unwrap_or(u32::MAX),
        unknown_tools_are_unusable: false,
        ..Rules::default()
    };
    let mut agent = Script(|view: View<'_>| turns[view.turns as usize].clone());
    let mut user = ScriptedUser::new(task, &domain.error_text);
    let backend = SandboxBackend::new(world);
    // The same error as that of a replay, which tells a lost sandbox from a task that cannot begin.
    let begun = backend.lock().begin(task).map_err(GoldError::from)?;
    let mut session = backend.resume(task, begun);
    let played = at_once(play(&mut session, &mut agent, &mut user, &rules));
    let episode = session.into_episode();
    answered(task, &played.messages)?;
    worked(&episode, task)?;
    obeyed(&domain, &episode, task)?;
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

/// Returns the agent's turns: its questions, the gold calls one by one, the answer. For a gold call of the user the agent
/// asks.
fn turns(domain: &Domain, task: &Task) -> Vec<Message> {
    let asked = questions(task).map(|(_, question)| Message::assistant(question));
    let called = task.gold.iter().map(|call| match domain.party(&call.name) {
        Some(Party::User) => {
            let own = task.agent.ask.get(&call.name).cloned();
            Message::assistant(&own.unwrap_or_else(|| request(call)))
        }
        _ => Message::calls(vec![call.clone()]),
    });
    let last = Message::assistant(&answer(task));
    asked.chain(called).chain([last]).collect()
}

/// Returns the agent's last text: that of the task, else the outputs as they are.
fn answer(task: &Task) -> String {
    if !task.agent.answer.trim().is_empty() {
        return task.agent.answer.clone();
    }
    match task.outputs.is_empty() {
        true => "Done.".to_owned(),
        false => format!("{}.", task.outputs.join(", ")),
    }
}

/// Refuses a dialogue in which a question was not answered by its fact. After the history and the user's opening,
/// questions and the user's turns alternate.
fn answered(task: &Task, messages: &[Message]) -> Result<(), DemoError> {
    let opens = usize::from(history::next(&task.history) == Party::User);
    let first = task.history.len() + opens + 1;
    let replies = messages.iter().skip(first).step_by(2);
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

/// Refuses an episode in which a gold call did not go as the task says.
fn worked(episode: &Episode, task: &Task) -> Result<(), GoldError> {
    (1..)
        .zip(&episode.calls)
        .try_for_each(|(number, (call, result))| GoldError::check_in(task, number, call, result))
}

/// Refuses an episode in which the user did not make a call of its own when it was asked to.
fn obeyed(domain: &Domain, episode: &Episode, task: &Task) -> Result<(), DemoError> {
    let missing = task.gold.get(episode.calls.len());
    match missing.filter(|call| domain.party(&call.name) == Some(Party::User)) {
        None => Ok(()),
        Some(call) => Err(DemoError::User(format!(
            "the user does not call `{}` when it is asked to; say a word of its name in `ask`",
            call.name
        ))),
    }
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
