//! The sessions of a server: begun, found, used, and closed when they are done or idle.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use agoge_dialogue::Message;
use agoge_sandbox::Limits;
use agoge_world::{Domain, Party, Split, ToolResult, WorldError};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::catalog::{Catalog, Choice, Entry};
use crate::crew::{Crew, Seat};
use crate::limits::ServerLimits;
use crate::play::{Play, Reply, Reward, Stage, StateOf};
use crate::refused::Refused;
use crate::session::SessionId;

/// All sessions of a server, over one domain.
#[derive(Debug)]
pub struct Hall {
    domain: Arc<Domain>,
    catalog: Catalog,
    crew: Crew,
    limits: Arc<ServerLimits>,
    seats: Mutex<HashMap<SessionId, Arc<Seat>>>,
}

/// A session that has begun.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Opened {
    /// The session's id. Whoever knows it can use the session.
    pub session: String,
    /// The task's id.
    pub task: String,
    /// The part of the data.
    pub split: Split,
    /// The user's request; empty when the client plays the user.
    pub opening: String,
    /// The dialogue so far: the one before the task, and the request.
    pub messages: Vec<Message>,
}

impl Hall {
    /// Opens so many worlds of a domain for the sessions of this catalog. `sandbox` limits each call.
    ///
    /// # Errors
    /// [`WorldError`], when the domain's tools do not start.
    pub fn open(
        domain: Arc<Domain>,
        catalog: Catalog,
        worlds: usize,
        sandbox: &Limits,
        limits: ServerLimits,
    ) -> Result<Self, WorldError> {
        let crew = Crew::open(&domain, sandbox, worlds, limits.waiting)?;
        Ok(Self {
            domain,
            catalog,
            crew,
            limits: Arc::new(limits),
            seats: Mutex::default(),
        })
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }

    /// The tasks.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &ServerLimits {
        &self.limits
    }

    /// The number of sessions held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.seats.lock().len()
    }

    /// Returns true when there is a session of this id.
    #[must_use]
    pub fn has(&self, id: SessionId) -> bool {
        self.seats.lock().contains_key(&id)
    }

    /// Begins a session of the chosen task.
    ///
    /// # Errors
    /// [`Refused::NoTask`], [`Refused::Full`], or a task that cannot begin.
    pub async fn begin(&self, choice: &Choice) -> Result<Opened, Refused> {
        let entry = self.catalog.choose(choice)?;
        let (id, seat) = self.take_seat(Instant::now())?;
        let begun = self.enter(id, &seat, entry).await;
        if begun.is_err() {
            self.seats.lock().remove(&id);
        }
        begun
    }

    /// Puts a session back to its beginning, or to that of another task. It costs no more than the task's own start.
    ///
    /// # Errors
    /// [`Refused::NoSession`], [`Refused::NoTask`], or a task that cannot begin.
    pub async fn reset(&self, id: SessionId, choice: Option<&Choice>) -> Result<Opened, Refused> {
        let seat = self.seat(id)?;
        let entry = match choice {
            Some(choice) => self.catalog.choose(choice)?,
            None => {
                let of = |_: &mut Stage, play: &mut Play| Ok(play.entry().clone());
                self.on(&seat, of).await?
            }
        };
        self.enter(id, &seat, entry).await
    }

    /// Runs a call of a party.
    ///
    /// # Errors
    /// [`Refused`]; the tool's own errors are results.
    pub async fn call(
        &self,
        id: SessionId,
        party: Party,
        name: &str,
        arguments: Map<String, Value>,
    ) -> Result<ToolResult, Refused> {
        let seat = self.seat(id)?;
        let (name, limits) = (name.to_owned(), self.limits.clone());
        let call = move |stage: &mut Stage, play: &mut Play| {
            play.call(stage, party, &name, arguments, &limits)
        };
        self.on(&seat, call).await
    }

    /// Says a text of the agent to the scripted user.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn say(&self, id: SessionId, text: String) -> Result<Reply, Refused> {
        let seat = self.seat(id)?;
        let limits = self.limits.clone();
        let say = move |stage: &mut Stage, play: &mut Play| play.say(stage, &text, &limits);
        self.on(&seat, say).await
    }

    /// Keeps a text of a user whom the client plays itself.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn hear(&self, id: SessionId, text: String) -> Result<(), Refused> {
        let seat = self.seat(id)?;
        let limits = self.limits.clone();
        let hear = move |_: &mut Stage, play: &mut Play| play.hear(&text, &limits);
        self.on(&seat, hear).await
    }

    /// Judges a session. `said` are the agent's texts that the session has not been shown.
    ///
    /// # Errors
    /// [`Refused`], when there is no verdict about the agent.
    pub async fn verify(&self, id: SessionId, said: Vec<String>) -> Result<Reward, Refused> {
        let seat = self.seat(id)?;
        let verify = move |stage: &mut Stage, play: &mut Play| play.verify(stage, &said);
        let reward = self.on(&seat, verify).await?;
        seat.verified.store(true, Ordering::Relaxed);
        Ok(reward)
    }

    /// Returns the state of a session.
    ///
    /// # Errors
    /// [`Refused::NoSession`]
    pub async fn state(&self, id: SessionId) -> Result<StateOf, Refused> {
        let seat = self.seat(id)?;
        let state = |stage: &mut Stage, play: &mut Play| Ok(play.state(stage));
        self.on(&seat, state).await
    }

    /// Closes a session. Returns false when there is none.
    pub fn close(&self, id: SessionId) -> bool {
        self.seats.lock().remove(&id).is_some()
    }

    /// Closes the sessions that have been idle for too long, and returns their number.
    pub fn sweep(&self, now: Instant) -> usize {
        let mut seats = self.seats.lock();
        let before = seats.len();
        seats.retain(|_, seat| !seat.idle_for(self.limits.idle, now));
        before - seats.len()
    }

    fn seat(&self, id: SessionId) -> Result<Arc<Seat>, Refused> {
        let seat = self.seats.lock().get(&id).cloned();
        let seat = seat.ok_or(Refused::NoSession)?;
        seat.touch(Instant::now());
        Ok(seat)
    }

    /// A seat with an id of its own. Sessions that have their verdict make room.
    fn take_seat(&self, now: Instant) -> Result<(SessionId, Arc<Seat>), Refused> {
        let id = SessionId::draw()?;
        let mut seats = self.seats.lock();
        if seats.len() >= self.limits.sessions {
            seats.retain(|_, seat| !seat.verified.load(Ordering::Relaxed));
        }
        if seats.len() >= self.limits.sessions {
            return Err(Refused::Full(self.limits.sessions));
        }
        let seat = Arc::new(Seat::new(now));
        seats.insert(id, seat.clone());
        Ok((id, seat))
    }

    /// Begins the task on a seat.
    async fn enter(
        &self,
        id: SessionId,
        seat: &Arc<Seat>,
        entry: Arc<Entry>,
    ) -> Result<Opened, Refused> {
        seat.verified.store(false, Ordering::Relaxed);
        let begin = move |stage: &mut Stage, play: &mut Option<Play>| {
            let begun = Play::begin(stage, entry)?;
            let task = &begun.entry().task;
            let opened = Opened {
                session: id.to_string(),
                task: task.id.clone(),
                split: begun.entry().split,
                opening: task.user.opening.clone(),
                messages: begun.messages().to_vec(),
            };
            *play = Some(begun);
            Ok(opened)
        };
        self.crew.run(seat, begin).await
    }

    async fn on<T: Send + 'static>(
        &self,
        seat: &Arc<Seat>,
        job: impl FnOnce(&mut Stage, &mut Play) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let job = move |stage: &mut Stage, play: &mut Option<Play>| match play {
            Some(play) => job(stage, play),
            None => Err(Refused::NoSession),
        };
        self.crew.run(seat, job).await
    }
}
