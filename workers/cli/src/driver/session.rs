//! A run's folder while somebody drives it: one driver at a time, how long it has been driven, and when it was last alive.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agoge_crds::Timestamp;
use agoge_store::FileLock;
use agoge_store::write_atomic;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Time between two signs of life of a driver.
const BEAT: Duration = Duration::from_secs(5);

/// The lock on a run's folder. It goes with the process, whatever ends it.
#[derive(Debug)]
pub struct Session {
    _lock: FileLock,
    file: PathBuf,
    before: f64,
    begun: Instant,
    beaten: Instant,
    /// When a driver was last alive here, if there ever was one.
    pub last_alive: Option<Timestamp>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Driven {
    seconds: f64,
}

/// Now, in whole seconds.
#[must_use]
pub fn now() -> Timestamp {
    at(SystemTime::now())
}

fn at(time: SystemTime) -> Timestamp {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    Timestamp::from_second(i64::try_from(seconds).unwrap_or_default()).unwrap_or_default()
}

impl Session {
    /// Takes the folder, and makes it where it is missing.
    ///
    /// # Errors
    /// When another driver has it, or the folder cannot be made.
    pub fn begin(out: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(out).map_err(Failure::file("make the folder", out))?;
        let mut lock = lock_file(out).map_err(Failure::file("open", &out.join(LOCK)))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                let holder = holder.trim();
                return Err(Failure::Input(format!(
                    "{} is being driven by {}; wait for it, stop it, or choose another folder with --out",
                    out.display(),
                    if holder.is_empty() {
                        "another process"
                    } else {
                        holder
                    }
                )));
            }
            Err(TryLockError::Error(error)) => {
                return Err(Failure::file("lock", &out.join(LOCK))(error));
            }
        }
        // The text only names the holder for people; the kernel's lock decides.
        let named = lock.set_len(0).and_then(|()| lock.rewind());
        let _ = named.and_then(|()| write!(lock, "process {}", std::process::id()));
        let file = out.join("driver.json");
        let driven: Driven = std::fs::read(&file)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let last_alive = std::fs::metadata(&file)
            .and_then(|meta| meta.modified())
            .ok()
            .map(at);
        let mut session = Self {
            _lock: FileLock(lock),
            file,
            before: driven.seconds,
            begun: Instant::now(),
            beaten: Instant::now(),
            last_alive,
        };
        session.write()?;
        Ok(session)
    }

    /// Seconds for which this folder has been driven, over all drivers.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.before + self.begun.elapsed().as_secs_f64()
    }

    /// Says that the driver lives, now and then.
    ///
    /// # Errors
    /// A full disk.
    pub fn beat(&mut self) -> Result<(), Failure> {
        if self.beaten.elapsed() < BEAT {
            Ok(())
        } else {
            self.write()
        }
    }

    /// Says so now.
    ///
    /// # Errors
    /// A full disk.
    pub fn write(&mut self) -> Result<(), Failure> {
        self.beaten = Instant::now();
        let text = serde_json::to_vec(&Driven {
            seconds: self.seconds(),
        })
        .unwrap_or_default();
        Ok(write_atomic(&self.file, text)?)
    }
}

const LOCK: &str = ".lock";

fn lock_file(out: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(out.join(LOCK))
}

/// Returns true if a driver holds this folder now.
#[must_use]
pub fn driven(out: &Path) -> bool {
    let lock = File::open(out.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
