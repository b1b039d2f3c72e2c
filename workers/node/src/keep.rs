//! Keeps the work folder in the store while a role runs: a thread that copies what changed, every few seconds.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use agoge_store::{Kept, Store, StoreError};

use crate::failure::Failure;
use crate::stop::Stop;

/// Files that a resume does not need, or gets anew.
const SKIP: [&str; 6] = [
    "assignment.json",
    "progress.json",
    "result.json",
    "domain",
    "inputs",
    "model",
];
/// Seconds between two copies; `AGOGE_KEEP_SECONDS` says otherwise.
const EVERY: f64 = 5.0;
/// A copy that takes long is made less often, so that it costs no more than a tenth of the time.
const SHARE: u32 = 10;

/// The thread.
pub struct Keeper {
    end: SyncSender<()>,
    thread: JoinHandle<Kept>,
    work: PathBuf,
}

impl Keeper {
    /// Restores the work folder from the copy of this name, and begins to keep it. When another worker takes the copy over,
    /// this one is asked to stop.
    ///
    /// # Errors
    /// When the store or the folder cannot be used.
    pub fn start(store: &Store, name: &str, work: &Path, stop: &Stop) -> Result<Self, Failure> {
        let mut kept = Kept::claim(store, name, &SKIP)?;
        let files = kept.restore(work)?;
        tracing::info!(name, files, "restored what was kept of this work");
        let every = std::env::var("AGOGE_KEEP_SECONDS").ok();
        let every = every.and_then(|text| text.parse().ok()).unwrap_or(EVERY);
        let every = Duration::try_from_secs_f64(every).unwrap_or_default();
        let (end, ended) = sync_channel::<()>(1);
        let (folder, stop) = (work.to_owned(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("keep".into())
            .spawn(move || {
                let mut pause = every;
                while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    let begun = Instant::now();
                    match kept.keep(&folder) {
                        Ok(_) => {}
                        Err(error @ StoreError::TakenOver { .. }) => {
                            tracing::error!("{error}");
                            stop.ask();
                            break;
                        }
                        Err(error) => {
                            tracing::warn!("the work was not kept, and goes on: {error}");
                        }
                    }
                    pause = every.max(begun.elapsed() * SHARE);
                }
                kept
            })
            .map_err(Failure::infra)?;
        Ok(Self {
            end,
            thread,
            work: work.to_owned(),
        })
    }

    /// Ends it: a last copy, or none at all when the work is done.
    ///
    /// # Errors
    /// When the store cannot be written, or another worker has taken the copy over.
    pub fn end(self, done: bool) -> Result<(), Failure> {
        let _ = self.end.try_send(());
        let mut kept = self
            .thread
            .join()
            .map_err(|_| Failure::Infra("the thread that keeps the work ended early".into()))?;
        if done {
            kept.clear()?;
        } else {
            kept.keep(&self.work)?;
        }
        Ok(())
    }
}
