//! The threads of a server that play: each at a table of its own, all with the same weights.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use agoge_dialogue::Renderer;
use agoge_learner::players::{Here, Players as _, each};
use agoge_learner::rollout::{Arena, Bounds, Player, Seat, Trajectory, User};
use agoge_model::{Decoder, Tokenizer};
use agoge_world::{Task, World};
use tokio::sync::oneshot;

use super::wire::Play;
use crate::stop::Stop;
use crate::train::USER_TEMPERATURE;
use crate::train::policy::Policy;

/// A piece on its way to a table.
pub struct Piece {
    /// What is to be played.
    pub play: Play,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Answer>,
}

/// What comes of a piece.
pub enum Answer {
    /// Its trajectories.
    Played(Vec<Trajectory>),
    /// These weights are not here.
    Stale,
    /// It cannot be played here.
    Refused(String),
    /// It was not played.
    Failed(String),
}

/// All there is to play with.
pub struct Set {
    /// The policy's shape, format and tokenizer.
    pub policy: Policy,
    /// The user model, if there is one.
    pub user: Option<Policy>,
    /// What may be asked for.
    pub tasks: Vec<Task>,
    /// A world for each table.
    pub worlds: Vec<World>,
    /// Of an episode.
    pub bounds: Bounds,
    /// Of all randomness.
    pub seed: u64,
    /// Episodes at a time at all tables.
    pub slots: usize,
}

/// A model that may go to another thread with its own handle on the weights.
struct Speaker {
    decoder: Decoder,
    voice: Arc<(Tokenizer, Box<dyn Renderer>)>,
}

/// What the threads share.
struct Shared {
    /// Held for reading by who plays, for writing by who changes the weights.
    playing: RwLock<()>,
    /// The digest of the weights.
    held: Mutex<Option<String>>,
    tasks: HashMap<String, Task>,
    episodes: AtomicU64,
    stop: Stop,
}

/// The tables.
pub struct Tables {
    shared: Arc<Shared>,
    decoder: Mutex<Decoder>,
    queue: Sender<Piece>,
}

/// Their threads.
pub struct Threads(Vec<JoinHandle<()>>);

impl Tables {
    /// Sets them up, on up to `threads` threads. They end when the tables are dropped.
    pub fn start(set: Set, threads: usize, stop: Stop) -> std::io::Result<(Self, Threads)> {
        let (queue, pieces) = channel();
        let pieces = Arc::new(Mutex::new(pieces));
        let policy = Speaker::of(set.policy);
        let user = set.user.map(Speaker::of);
        let tasks = set.tasks.into_iter().map(|task| (task.id.clone(), task));
        let shared = Arc::new(Shared {
            playing: RwLock::new(()),
            held: Mutex::new(None),
            tasks: tasks.collect(),
            episodes: AtomicU64::new(0),
            stop,
        });
        let slots = each(set.slots, set.worlds.len());
        let worlds = set.worlds.into_iter().take(threads.max(1));
        let threads = worlds.map(|world| {
            let arena = Arena::new(vec![world], 1, slots, &set.bounds, set.seed);
            let mut table = Table {
                arena,
                policy: policy.share(),
                user: user.as_ref().map(Speaker::share),
                shared: shared.clone(),
            };
            let pieces = pieces.clone();
            std::thread::Builder::new()
                .name("table".into())
                .spawn(move || table.serve(&pieces))
        });
        let threads = threads.collect::<std::io::Result<_>>()?;
        let tables = Self {
            shared,
            decoder: Mutex::new(policy.decoder),
            queue,
        };
        Ok((tables, Threads(threads)))
    }

    /// Takes over weights of this digest, once nobody plays with the old ones.
    ///
    /// # Errors
    /// When they do not fit; the old ones are then still there.
    pub fn take_over(&self, digest: &str, content: &[u8]) -> Result<(), String> {
        let _nobody_plays = self
            .shared
            .playing
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        lock(&self.decoder)
            .take_over(content)
            .map_err(|e| e.to_string())?;
        *lock(&self.shared.held) = Some(digest.to_owned());
        Ok(())
    }

    /// The digest of the weights that are here.
    pub fn held(&self) -> Option<String> {
        lock(&self.shared.held).clone()
    }

    /// Episodes played.
    pub fn episodes(&self) -> u64 {
        self.shared.episodes.load(Ordering::Relaxed)
    }

    /// Has a piece played.
    pub async fn play(&self, play: Play) -> Answer {
        let (reply, answer) = oneshot::channel();
        let gone = || Answer::Failed("its tables are gone; it is started again".into());
        if self.queue.send(Piece { play, reply }).is_err() {
            return gone();
        }
        answer.await.unwrap_or_else(|_| gone())
    }
}

impl Threads {
    /// Whether one has ended, which it does not by itself.
    pub fn broken(&self) -> bool {
        self.0.iter().any(JoinHandle::is_finished)
    }

    /// Waits for their end.
    pub fn join(self) {
        for thread in self.0 {
            if thread.join().is_err() {
                tracing::error!("a table ended by a panic");
            }
        }
    }
}

impl Speaker {
    fn of(policy: Policy) -> Self {
        Self {
            decoder: policy.decoder,
            voice: Arc::new((policy.tokenizer, policy.renderer)),
        }
    }

    fn share(&self) -> Self {
        Self {
            decoder: self.decoder.share(),
            voice: self.voice.clone(),
        }
    }

    fn player(&self, temperature: f64) -> Player<'_> {
        Player {
            decoder: &self.decoder,
            vocab: &self.voice.0,
            renderer: self.voice.1.as_ref(),
            temperature,
            version: 0,
        }
    }
}

/// What one thread has.
struct Table {
    arena: Arena,
    policy: Speaker,
    user: Option<Speaker>,
    shared: Arc<Shared>,
}

impl Table {
    fn serve(&mut self, pieces: &Mutex<Receiver<Piece>>) {
        // As each table of an arena that has several.
        tch::set_num_threads(1);
        loop {
            let next = lock(pieces).recv();
            let Ok(Piece { play, reply }) = next else {
                return;
            };
            // Who asked may have gone.
            if !reply.is_closed() {
                let _ = reply.send(self.answer(&play));
            }
        }
    }

    fn answer(&mut self, play: &Play) -> Answer {
        let shared = self.shared.clone();
        if shared.stop.asked() {
            return Answer::Failed("it is stopping".into());
        }
        let _weights_stay = shared
            .playing
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if lock(&shared.held).as_ref() != Some(&play.weights) {
            return Answer::Stale;
        }
        let seats: Option<Vec<Seat<'_>>> = play
            .seats
            .iter()
            .map(|place| {
                Some(Seat {
                    task: shared.tasks.get(&place.task)?,
                    group: place.group,
                    member: place.member,
                })
            })
            .collect();
        let Some(seats) = seats else {
            return Answer::Refused("the suite has no such task".into());
        };
        let user = self.user.as_ref().map_or(User::Scripted, |user| {
            User::Model(user.player(USER_TEMPERATURE))
        });
        let mut here = Here {
            arena: &mut self.arena,
            policy: self.policy.player(play.temperature),
            user,
        };
        match here.play(&seats, play.step, &mut |_| Ok(())) {
            Ok(played) => {
                let episodes = played.len() as u64;
                shared.episodes.fetch_add(episodes, Ordering::Relaxed);
                Answer::Played(played)
            }
            Err(error) => Answer::Failed(error.to_string()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
