//! The seam to tools: a backend holds a domain's tools and data, a session is one episode's use of them.
//!
//! An episode neither knows nor cares where its tools live. A backend says with [`Capabilities`] what it can do beyond
//! answering calls, so that whoever needs more can name what is missing.

use agoge_dialogue::{Message, ToolCall, ToolSpec};
use agoge_sandbox::Change;
use async_trait::async_trait;

use crate::end::Fault;
use crate::episode::{Episode, ToolResult};
use crate::task::Task;

/// A side of the dialogue, each with its own tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// The agent, which helps.
    Agent,
    /// The user, which is helped.
    User,
}

/// A set of abilities of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u8);

impl Capabilities {
    /// A session can be copied with its state.
    pub const FORK: Self = Self(1);
    /// A session shows its changes to the initial state.
    pub const DIFF: Self = Self(1 << 1);
    /// Recorded calls can be run again from the initial state.
    pub const REPLAY: Self = Self(1 << 2);
    /// The same calls give the same results and the same state.
    pub const DETERMINISTIC: Self = Self(1 << 3);

    const NAMES: [(Self, &'static str); 4] = [
        (Self::FORK, "fork"),
        (Self::DIFF, "diff"),
        (Self::REPLAY, "replay"),
        (Self::DETERMINISTIC, "deterministic"),
    ];

    /// The abilities of both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns true when this set has every ability of the other.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the abilities of `needed` that this set lacks, for a message.
    #[must_use]
    pub fn missing(self, needed: Self) -> Vec<&'static str> {
        Self::NAMES
            .into_iter()
            .filter(|(one, _)| needed.has(*one) && !self.has(*one))
            .map(|(_, name)| name)
            .collect()
    }
}

/// The abilities that a backend lacks for a purpose.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{purpose} needs abilities that this tool backend lacks: {}; use a domain whose tools run in the sandbox",
    .missing.join(", ")
)]
pub struct MissingAbilities {
    /// The purpose.
    pub purpose: &'static str,
    /// The names of the abilities.
    pub missing: Vec<&'static str>,
}

/// The tools and data of a domain, wherever they live.
#[async_trait(?Send)]
pub trait ToolBackend {
    /// The abilities that every session of this backend has.
    fn capabilities(&self) -> Capabilities;

    /// Checks that this backend has the abilities that a purpose needs.
    ///
    /// # Errors
    /// [`MissingAbilities`], which names those it lacks.
    fn require(&self, purpose: &'static str, needed: Capabilities) -> Result<(), MissingAbilities> {
        let missing = self.capabilities().missing(needed);
        match missing.is_empty() {
            true => Ok(()),
            false => Err(MissingAbilities { purpose, missing }),
        }
    }

    /// The tools that a party may call.
    fn tools(&self, party: Party) -> &[ToolSpec];

    /// Opens a session in the initial state of a task.
    ///
    /// # Errors
    /// [`Fault::Infra`] when the backend cannot be reached or does not start.
    async fn open(&self, task: &Task) -> Result<Box<dyn Session + '_>, Fault>;
}

/// The tools of one episode, with the state that its calls change.
#[async_trait(?Send)]
pub trait Session {
    /// The tools that a party may call.
    fn tools(&self, party: Party) -> &[ToolSpec];

    /// The dialogue before the first word, whose calls have been made.
    fn history(&self) -> &[Message] {
        &[]
    }

    /// Runs a call. An unknown tool, bad arguments and an exception are results; a call that fails changes nothing.
    ///
    /// # Errors
    /// [`Fault::Infra`] when the backend gave no result.
    async fn call(&mut self, party: Party, call: &ToolCall) -> Result<ToolResult, Fault>;

    /// The state after the calls so far; `None` without the ability [`Capabilities::DIFF`].
    ///
    /// # Errors
    /// [`Fault::Infra`] when the backend gave no answer.
    async fn state(&mut self) -> Result<Option<StateView>, Fault>;

    /// The calls and the state in the form that the checkers read; `None` where the state does not lie in this process.
    fn episode(&self) -> Option<&Episode> {
        None
    }
}

/// The state of a session, as far as a backend shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct StateView {
    /// A digest that is equal for equal states of one domain.
    pub fingerprint: String,
    /// The differences from the initial state.
    pub diff: Vec<Change>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_names_the_abilities_it_lacks() {
        let has = Capabilities::DIFF.and(Capabilities::REPLAY);
        let needed = Capabilities::REPLAY
            .and(Capabilities::FORK)
            .and(Capabilities::DETERMINISTIC);
        assert_eq!(has.missing(needed), ["fork", "deterministic"]);
        assert!(has.missing(has).is_empty() && has.has(Capabilities::DIFF) && !has.has(needed));
    }
}
