//! The local driver: carries out the plans of all objects with processes and files, until nothing is left to do.
//!
//! Expected flow, for each object in turn, again and again:
//! 1. Observe its children, and the objects it refers to.
//! 2. Ask its plan ([`agoge_plan::Plannable`]) what should be.
//! 3. Write the object when its status differs, and tell a person of transitions.
//! 4. Start children that should run; ask those that should not to stop.
//!
//! Guarantees: one driver a folder; no worker outlives its driver or runs beside another on the same work; an object's
//! file is the old one or the new one. What is told is told once; what waits says what for.

pub mod changed;
pub mod children;
pub mod objects;
pub mod origin;
pub mod session;
pub mod show;
mod spawn;
pub mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agoge_contract::Resolved;
use agoge_crds::{Manifest, Phase};
use agoge_plan::events;
use agoge_store::Store;

use crate::failure::Failure;
use children::{Children, Told};
use objects::Object;
use session::{Session, now};
use show::Show;

/// Time between two checks for ended children.
const LOOK: Duration = Duration::from_millis(50);
/// Time between two plans while no child ends.
const PLAN: Duration = Duration::from_millis(1000);

/// An object with what its names stand for.
pub struct Driven {
    /// The object.
    pub object: Object,
    /// Its names, resolved.
    pub resolved: Resolved,
    /// Where relative names of its manifest begin.
    pub folder: PathBuf,
}

/// The local driver.
pub struct Driver {
    /// The run's folder.
    pub out: PathBuf,
    /// The objects it drives.
    pub driven: Vec<Driven>,
    /// Objects of earlier runs in the same folder, for reference only.
    pub others: Vec<Object>,
    /// The processes.
    pub children: Children,
    /// The display.
    pub show: Show,
    /// The lock.
    pub session: Session,
}

/// Signals that asked this process to end, counted.
#[derive(Clone, Debug, Default)]
pub struct Interrupts(Arc<AtomicUsize>);

impl Interrupts {
    /// Counts SIGINT, SIGTERM and SIGHUP from now on; a limit on the size of files no longer ends the process.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn listen() -> Result<Self, Failure> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        spawn::survive_limits();
        let count = Self::default();
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
        let counted = count.clone();
        std::thread::spawn(move || {
            for _ in signals.forever() {
                counted.0.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(count)
    }

    /// Returns how many arrived.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The outcome of one round over all objects.
#[derive(Default)]
struct Round {
    /// A status changed, or a child was started.
    moved: bool,
    /// Something runs, should run, or will be due by time alone.
    alive: bool,
}

impl Driver {
    /// Drives until every object is Complete or Failed, or nothing can move any more.
    ///
    /// # Errors
    /// An interruption, a full disk, or a worker that cannot be started. Children are stopped first.
    pub fn run(&mut self, interrupts: &Interrupts) -> Result<(), Failure> {
        let store = Store::open(self.out.join("store"))?;
        // Held so that `agoge gc` takes nothing that a stage in flight has put and not yet named.
        let _hold = store.hold("agoge up")?;
        for driven in self.driven.iter().filter(|d| d.object.is_apart()) {
            self.show.say(&format!(
                "{}: on one machine the trainer plays its own rollouts, whatever spec.topology says",
                driven.object.id()
            ));
        }
        let ended = self.rounds(interrupts);
        self.show.clear();
        if ended.is_err() {
            self.stop(interrupts);
        }
        self.session.write()?;
        ended
    }

    fn rounds(&mut self, interrupts: &Interrupts) -> Result<(), Failure> {
        loop {
            if interrupts.count() > 0 {
                return Err(Failure::Interrupted);
            }
            self.session.beat()?;
            let round = self.round()?;
            let running = self.children.running();
            self.show.update(&running);
            if self
                .driven
                .iter()
                .all(|driven| driven.object.phase().is_terminal())
            {
                return Ok(());
            }
            if round.moved {
                // What one object came to may be what another waits for.
                continue;
            }
            if !round.alive && running.is_empty() {
                return Ok(());
            }
            self.rest(interrupts, running.len());
        }
    }

    /// Waits until a child ends, a signal comes, or it is time to look again.
    fn rest(&mut self, interrupts: &Interrupts, running: usize) {
        let began = Instant::now();
        while began.elapsed() < PLAN && interrupts.count() == 0 {
            std::thread::sleep(LOOK);
            for told in self.children.watch() {
                self.tell("", told);
            }
            if self.children.running().len() != running {
                return;
            }
        }
    }

    fn round(&mut self) -> Result<Round, Failure> {
        let mut round = Round::default();
        for index in 0..self.driven.len() {
            let id = self.driven[index].object.id();
            let all: Vec<&Manifest> = self.driven.iter().map(|d| &d.object.manifest).collect();
            let others = self.others.iter().map(|other| &other.manifest);
            let all: Vec<&Manifest> = all.into_iter().chain(others).collect();
            let mut observed = objects::references(&self.driven[index].object.manifest, &all);
            observed.children = self.children.observe(&id)?;
            let driven = &mut self.driven[index];
            let next = driven.object.plan(&observed, now());
            if next.manifest != driven.object.manifest {
                let told = events(&driven.object.run(), &objects::run_of(&next.manifest));
                driven.object.manifest = next.manifest;
                driven.object.write()?;
                round.moved = true;
                for event in told {
                    // That one object waits for another is how it should be.
                    let waits = event.reason.ends_with("NotReady");
                    let mark = if event.warning && !waits { "! " } else { "" };
                    let colon = if event.message.is_empty() { "" } else { ": " };
                    self.show.say(&format!(
                        "{mark}{id} {}{colon}{}",
                        event.reason, event.message
                    ));
                }
            }
            let driven = &self.driven[index];
            let told =
                self.children
                    .follow(&id, &next.children, &driven.resolved, &driven.folder)?;
            round.moved |= told.iter().any(|told| matches!(told, Told::Started(_)));
            for told in told {
                self.tell(&format!("{id} "), told);
            }
            round.alive |= next.requeue || !next.children.is_empty();
            if next.delete {
                let file = &self.driven[index].object.file;
                std::fs::remove_file(file).map_err(Failure::file("delete", file))?;
            }
        }
        Ok(round)
    }

    fn tell(&self, whose: &str, told: Told) {
        match told {
            Told::Started(what) => self.show.say(&format!("{whose}started {what}")),
            Told::Done(what) => self.show.say(&format!("{whose}{what}")),
            Told::Warning(what) => self.show.say(&format!("! {whose}{what}")),
        }
    }

    /// Stops every child, and writes what that makes of each status: the clock stands still while nobody drives.
    fn stop(&mut self, interrupts: &Interrupts) {
        let before = interrupts.count();
        if !self.children.running().is_empty() {
            self.show
                .say("asking workers to stop; once more to kill them");
        }
        self.children
            .stop_all(|| interrupts.count() > before.max(1));
        for index in 0..self.driven.len() {
            let driven = &mut self.driven[index];
            driven.object.wake(now());
            if let Err(failure) = driven.object.write() {
                self.show.say(&format!("! {failure}"));
            }
        }
    }

    /// Objects that did not come to their good end, with the reason and what to do.
    #[must_use]
    pub fn unfinished(&self) -> Vec<(&Object, String, String)> {
        let unfinished = self
            .driven
            .iter()
            .filter(|driven| driven.object.phase() != Phase::Complete);
        unfinished
            .map(|driven| {
                let (reason, message) = driven.object.why();
                (&driven.object, reason, message)
            })
            .collect()
    }
}

/// The folder of a run, when none is named: `out/` and the name of the manifests' folder.
#[must_use]
pub fn default_out(first: &Path) -> PathBuf {
    let folder = if first.is_dir() {
        first.to_owned()
    } else {
        crate::manifest::folder_of(first).to_owned()
    };
    let whole = folder.canonicalize().unwrap_or(folder);
    Path::new("out").join(whole.file_name().unwrap_or_else(|| "run".as_ref()))
}
