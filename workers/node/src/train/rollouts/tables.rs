//! The threads of a rollout server: each plays one piece at a time at a table of its own, all with the same weights.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use agoge_dialogue::Renderer;
use agoge_learner::arena::Arena;
use agoge_learner::players::{LocalRollouts, Players as _};
use agoge_learner::rollout::{Player, Seat, Trajectory, User};
use agoge_model::{Decoder, Tokenizer};
use agoge_world::Task;
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use super::wire::Play;
use crate::stop::Stop;
use crate::train::USER_TEMPERATURE;
use crate::train::policy::Policy;

/// A piece on its way to a table.
pub struct Piece {
    /// The seats to play.
    pub play: Play,
    /// The receiver of the answer.
    pub reply: oneshot::Sender<Answer>,
}

/// The outcome of a piece.
pub enum Answer {
    /// Its trajectories.
    Played(Vec<Trajectory>),
    /// This server holds other weights.
    Stale,
    /// The piece cannot be played here.
    Refused(String),
    /// The piece was not played.
    Failed(String),
}

/// The models, tasks and tables of a server.
pub struct Set {
    /// The policy's shape, format and tokenizer.
    pub policy: Policy,
    /// The user model; `None` when the task's script plays the user.
    pub user: Option<Policy>,
    /// Tasks that may be asked for.
    pub tasks: Vec<Task>,
    /// One arena per table.
    pub arenas: Vec<Arena>,
}

/// A model with a handle of its own on the weights, so that it may move to another thread.
struct Model {
    decoder: Decoder,
    voice: Arc<(Tokenizer, Box<dyn Renderer>)>,
}

/// State that all threads share.
struct Shared {
    /// Held for reading while a piece is played, for writing while weights change.
    playing: RwLock<()>,
    /// The digest of the weights.
    held: Mutex<Option<String>>,
    tasks: HashMap<String, Task>,
    episodes: AtomicU64,
    stop: Stop,
}

/// The tables.
pub struct Tables {
    count: usize,
    shared: Arc<Shared>,
    decoder: Mutex<Decoder>,
    queue: Sender<Piece>,
}

/// Their threads.
pub struct Threads(Vec<JoinHandle<()>>);

impl Tables {
    /// Starts one thread per arena. The threads end when the tables are dropped.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(set: Set, stop: Stop) -> std::io::Result<(Self, Threads)> {
        let (queue, pieces) = channel();
        let pieces = Arc::new(Mutex::new(pieces));
        let policy = Model::of(set.policy);
        let user = set.user.map(Model::of);
        let tasks = set.tasks.into_iter().map(|task| (task.id.clone(), task));
        let shared = Arc::new(Shared {
            playing: RwLock::new(()),
            held: Mutex::new(None),
            tasks: tasks.collect(),
            episodes: AtomicU64::new(0),
            stop,
        });
        let count = set.arenas.len();
        let threads = set.arenas.into_iter().map(|arena| {
            let mut table = Table {
                arena,
                policy: policy.share(),
                user: user.as_ref().map(Model::share),
                shared: shared.clone(),
            };
            let pieces = pieces.clone();
            std::thread::Builder::new()
                .name("table".into())
                .spawn(move || table.serve(&pieces))
        });
        let threads = threads.collect::<std::io::Result<_>>()?;
        let tables = Self {
            count,
            shared,
            decoder: Mutex::new(policy.decoder),
            queue,
        };
        Ok((tables, Threads(threads)))
    }

    /// Loads weights of this digest, once no table plays with the old ones.
    ///
    /// # Errors
    /// When they do not fit; the old ones then stay.
    pub fn load(&self, digest: &str, content: &[u8]) -> Result<(), String> {
        let _nobody_plays = self.shared.playing.write();
        self.decoder
            .lock()
            .take_over(content)
            .map_err(|e| e.to_string())?;
        *self.shared.held.lock() = Some(digest.to_owned());
        Ok(())
    }

    /// Returns the number of pieces that are played at a time.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the digest of the loaded weights.
    pub fn held(&self) -> Option<String> {
        self.shared.held.lock().clone()
    }

    /// Returns the number of episodes played.
    pub fn episodes(&self) -> u64 {
        self.shared.episodes.load(Ordering::Relaxed)
    }

    /// Waits until a piece is played.
    pub async fn play(&self, play: Play) -> Answer {
        let (reply, answer) = oneshot::channel();
        let gone = || Answer::Failed("its tables have ended; the server restarts".into());
        if self.queue.send(Piece { play, reply }).is_err() {
            return gone();
        }
        answer.await.unwrap_or_else(|_| gone())
    }
}

impl Threads {
    /// Returns true when a thread has ended, which happens only by a panic.
    pub fn broken(&self) -> bool {
        self.0.iter().any(JoinHandle::is_finished)
    }

    /// Waits until every thread has ended.
    pub fn join(self) {
        for thread in self.0 {
            if thread.join().is_err() {
                tracing::error!("a table ended by a panic");
            }
        }
    }
}

impl Model {
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

/// The table of one thread.
struct Table {
    arena: Arena,
    policy: Model,
    user: Option<Model>,
    shared: Arc<Shared>,
}

impl Table {
    fn serve(&mut self, pieces: &Mutex<Receiver<Piece>>) {
        loop {
            let next = pieces.lock().recv();
            let Ok(Piece { play, reply }) = next else {
                return;
            };
            // The trainer may have given up on the answer.
            if !reply.is_closed() {
                let _ = reply.send(self.answer(&play));
            }
        }
    }

    fn answer(&mut self, play: &Play) -> Answer {
        let shared = self.shared.clone();
        if shared.stop.asked() {
            return Answer::Failed("the server is stopping".into());
        }
        let _weights_stay = shared.playing.read();
        if shared.held.lock().as_ref() != Some(&play.weights) {
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
        self.arena.set_slots(play.slots);
        let mut local = LocalRollouts {
            arena: &mut self.arena,
            policy: self.policy.player(play.temperature),
            user,
        };
        match local.play(&seats, play.step, &mut |_| Ok(())) {
            Ok(played) => {
                let episodes = played.len() as u64;
                shared.episodes.fetch_add(episodes, Ordering::Relaxed);
                Answer::Played(played)
            }
            Err(error) => Answer::Failed(error.to_string()),
        }
    }
}
