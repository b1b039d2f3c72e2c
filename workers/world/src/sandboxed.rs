//! The sandbox as a tool backend: the domain's Python tools over shared data, a copy-on-write overlay for each session.

use std::borrow::BorrowMut;
use std::sync::Arc;

use agoge_dialogue::{Message, ToolCall, ToolSpec};
use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};

use crate::backend::{Capabilities, Party, Session, StateView, ToolBackend};
use crate::domain::Domain;
use crate::end::Fault;
use crate::episode::{Episode, ToolResult, World, unknown};
use crate::task::Task;

impl World {
    /// Calls a tool for a party, as [`World::call`] does. A tool of the other side is no tool of this one: nobody made such a
    /// call, so it is not recorded.
    pub fn call_by(&mut self, party: Party, episode: &mut Episode, call: &ToolCall) -> ToolResult {
        let domain = self.domain();
        let owner = domain.party(&call.name);
        if owner.map_or(party == Party::User, |owner| owner != party) {
            let message = unknown(domain, party, &call.name);
            return ToolResult::failed(&domain.error_text, message);
        }
        self.call(episode, call)
    }
}

/// One sandbox process that many sessions share. It is locked only while a call or a checker runs.
#[derive(Debug)]
pub struct SandboxBackend<W = World> {
    domain: Arc<Domain>,
    world: Mutex<W>,
}

impl<W: BorrowMut<World>> SandboxBackend<W> {
    /// A backend that plays in this world, owned or borrowed.
    pub fn new(mut world: W) -> Self {
        Self {
            domain: world.borrow_mut().domain().clone(),
            world: Mutex::new(world),
        }
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }

    /// Opens a session in the initial state of a task.
    ///
    /// # Errors
    /// [`Fault::Infra`]: the task cannot begin, or the sandbox gave no result.
    pub fn session(&self, task: &Task) -> Result<SandboxSession<'_, W>, Fault> {
        let begun = (*self.lock()).borrow_mut().begin(task);
        let episode = begun
            .map_err(|error| Fault::Infra(format!("task {} cannot begin: {error}", task.id)))?;
        Ok(self.resume(task, episode))
    }

    /// Opens a session of a task that has begun.
    pub(crate) fn resume(&self, task: &Task, episode: Episode) -> SandboxSession<'_, W> {
        SandboxSession {
            backend: self,
            episode,
            history: task.history.clone(),
        }
    }

    /// Locks the world, for a checker over a finished episode or a replay.
    pub fn lock(&self) -> MutexGuard<'_, W> {
        self.world.lock()
    }
}

#[async_trait(?Send)]
impl<W: BorrowMut<World>> ToolBackend for SandboxBackend<W> {
    fn capabilities(&self) -> Capabilities {
        self.domain.capabilities()
    }

    fn tools(&self, party: Party) -> &[ToolSpec] {
        self.domain.tools_of(party)
    }

    async fn open(&self, task: &Task) -> Result<Box<dyn Session + '_>, Fault> {
        Ok(Box::new(self.session(task)?))
    }
}

/// A session in the sandbox. A clone is a fork: both continue from the same state.
#[derive(Debug)]
pub struct SandboxSession<'a, W = World> {
    backend: &'a SandboxBackend<W>,
    episode: Episode,
    history: Vec<Message>,
}

impl<W> Clone for SandboxSession<'_, W> {
    fn clone(&self) -> Self {
        Self {
            backend: self.backend,
            episode: self.episode.clone(),
            history: self.history.clone(),
        }
    }
}

impl<W> SandboxSession<'_, W> {
    /// The calls and the state of the finished session.
    #[must_use]
    pub fn into_episode(self) -> Episode {
        self.episode
    }
}

#[async_trait(?Send)]
impl<W: BorrowMut<World>> Session for SandboxSession<'_, W> {
    fn tools(&self, party: Party) -> &[ToolSpec] {
        self.backend.domain.tools_of(party)
    }

    fn history(&self) -> &[Message] {
        &self.history
    }

    async fn call(&mut self, party: Party, call: &ToolCall) -> Result<ToolResult, Fault> {
        let Self {
            backend, episode, ..
        } = self;
        Ok((*backend.lock()).borrow_mut().call_by(party, episode, call))
    }

    async fn state(&mut self) -> Result<Option<StateView>, Fault> {
        Ok(Some(StateView {
            fingerprint: self.episode.fingerprint(&self.backend.domain),
            diff: self.episode.diff(&self.backend.domain),
        }))
    }

    fn episode(&self) -> Option<&Episode> {
        Some(&self.episode)
    }
}
