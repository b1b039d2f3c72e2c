//! The finished episodes of an evaluation, on disk: each is a line that is flushed before the next one counts, and what the
//! model answered in unfinished ones is kept beside them. An evaluation that was stopped goes on from there; one that was
//! finished is set aside when it is asked for again.

use std::path::{Path, PathBuf};

use agoge_llm::Recordings;
use agoge_store::{Digest, Ledger, LedgerError};
use agoge_world::Task;

use crate::failure::Failure;

/// The key of the line that says that the evaluation came to its end.
const DONE: &str = "done";

/// The folder of one evaluation.
pub struct Kept {
    folder: PathBuf,
    ledger: Ledger,
}

impl Kept {
    /// Opens the evaluation of this identity below a folder. `keys` are its episodes.
    ///
    /// # Errors
    /// When the folder cannot be read or written, or somebody else writes it.
    pub fn open(base: &Path, identity: &str, keys: &[String]) -> Result<Self, Failure> {
        let folder = base.join(Digest::of(identity.as_bytes()).short());
        let path = folder.join("episodes.jsonl");
        let mut ledger = Ledger::open(&path).map_err(unusable)?;
        if ledger.contains(DONE) && keys.iter().all(|key| ledger.contains(key)) {
            drop(ledger);
            set_aside(&folder)?;
            ledger = Ledger::open(&path).map_err(unusable)?;
        }
        Ok(Self { folder, ledger })
    }

    /// Returns the key of a trial: the task as it is, whatever its id is called.
    #[must_use]
    pub fn key(task: &Task, trial: u32) -> String {
        let text = serde_json::to_string(task).unwrap_or_default();
        format!(
            "{}#{trial} {}",
            task.id,
            Digest::of(text.as_bytes()).short()
        )
    }

    /// Returns the number of episodes that are kept.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ledger.len() - usize::from(self.ledger.contains(DONE))
    }

    /// Returns the file of episodes.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join("episodes.jsonl")
    }

    /// Opens the model's answers.
    ///
    /// # Errors
    /// When they cannot be read or made.
    pub fn answers(&self) -> Result<Recordings, Failure> {
        Recordings::record(&self.folder.join("answers")).map_err(Failure::input)
    }

    /// Returns the ledger, which holds one finished episode a line.
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Notes that the evaluation came to its end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.ledger.append(DONE, &true).map_err(Failure::input)?;
        Ok(())
    }
}

fn unusable(error: LedgerError) -> Failure {
    Failure::Input(format!("{error}; --keep DIR names another folder"))
}

/// Renames the folder of a finished evaluation to the first name that is free.
fn set_aside(folder: &Path) -> Result<(), Failure> {
    let name = |n: u32| {
        let mut name = folder.as_os_str().to_owned();
        name.push(format!(".{n}"));
        PathBuf::from(name)
    };
    let free = (1..=u32::MAX).map(name).find(|path| !path.exists());
    let to = free.unwrap_or_else(|| name(0));
    std::fs::rename(folder, &to).map_err(Failure::file("rename", folder))
}

#[cfg(test)]
mod tests {
    use agoge_artifacts::evaluation::Episode;
    use agoge_dialogue::Message;
    use agoge_world::End;

    use super::*;

    fn episode(trial: u32) -> Episode {
        Episode {
            task: "t".into(),
            trial,
            branch: "b".into(),
            reward: Some(1.0),
            end: End::Closed,
            verdict: None,
            messages: vec![Message::user("hi")],
            tokens: 7,
            unread: None,
        }
    }

    #[test]
    fn an_evaluation_that_was_stopped_goes_on_and_a_finished_one_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ["t#0".to_owned(), "t#1".to_owned()];
        let open = || Kept::open(dir.path(), "identity", &keys).unwrap();
        let mut kept = open();
        kept.ledger().append(&keys[0], &episode(0)).unwrap();
        drop(kept);
        let mut kept = open();
        assert_eq!(kept.count(), 1);
        let first: Option<Episode> = kept.ledger().get(&keys[0]).unwrap();
        assert_eq!(first, Some(episode(0)));
        let second: Option<Episode> = kept.ledger().get(&keys[1]).unwrap();
        assert_eq!(second, None);
        kept.ledger().append(&keys[1], &episode(1)).unwrap();
        drop(kept);
        let mut kept = open();
        assert_eq!(kept.count(), 2, "it was stopped before its end was told");
        kept.finish().unwrap();
        drop(kept);
        assert_eq!(open().count(), 0);
        let other = Kept::open(dir.path(), "another", &keys).unwrap();
        assert_eq!(other.count(), 0);
    }
}
