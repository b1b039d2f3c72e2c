//! The sandbox as a tool backend: the domain's Python tools over shared data, a copy-on-write overlay for each session.

use std::borrow::BorrowMut;
use std::sync::Arc;

use agoge_dialogue::{ToolCall, ToolSpec};
use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};

use crate::backend::{Capabilities, Party, Session, StateView, ToolBackend};
use crate::domain::Domain;
use crate::episode::{Episode, ToolResult, World};
use crate::play::Fault;
use crate::task::Task;

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

    /// Opens a session in the initial state.
    #[must_use]
    pub fn session(&self) -> SandboxSession<'_, W> {
        SandboxSession {
            backend: self,
            episode: Episode::default(),
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
        World::CAPABILITIES
    }

    fn tools(&self, party: Party) -> &[ToolSpec] {
        tools(&self.domain, party)
    }

    async fn open(&self, _task: &Task) -> Result<Box<dyn Session + '_>, Fault> {
        Ok(Box::new(self.session()))
    }
}

fn tools(domain: &Domain, party: Party) -> &[ToolSpec] {
    match party {
        Party::Agent => &domain.tools,
        Party::User => &[],
    }
}

/// A session in the sandbox. A clone is a fork: both continue from the same state.
#[derive(Debug)]
pub struct SandboxSession<'a, W = World> {
    backend: &'a SandboxBackend<W>,
    episode: Episode,
}

impl<W> Clone for SandboxSession<'_, W> {
    fn clone(&self) -> Self {
        Self {
            backend: self.backend,
            episode: self.episode.clone(),
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
        tools(&self.backend.domain, party)
    }

    async fn call(&mut self, party: Party, call: &ToolCall) -> Result<ToolResult, Fault> {
        if party == Party::User {
            return Ok(ToolResult::error(format!(
                "there is no tool `{}` for a user",
                call.name
            )));
        }
        let Self { backend, episode } = self;
        Ok((*backend.lock()).borrow_mut().call(episode, call))
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
