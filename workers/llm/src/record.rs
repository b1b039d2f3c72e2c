//! Recorded answers: a folder of JSONL files, one a model, each line naming model, date and the digest of what was asked.
//!
//! An answer is found by the digest of its request, the item that asked, and how many answers to that request the item
//! had before (its ordinal): so that the same question gets other answers for other items, and a second answer when it
//! is asked twice. A line with the key of an earlier one replaces it: an item that was cut off and made anew counts once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Source};

/// The errors of recordings.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// No space, or the quota is used up.
    #[error(
        "disk full while writing the recordings {path}: what was there before is kept; free some space and run the same command again"
    )]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// A file or the folder.
    #[error("cannot {doing} the recordings {path}: {source}")]
    Io {
        /// The step.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A line that is not a recording.
    #[error("line {line} of {path} is not a recorded answer: {why}; remove it, or record again")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The cause.
        why: String,
    },
    /// The recording ended before this item.
    #[error("the recording in {path} ends before item {item}; record anew to go further")]
    Ended {
        /// The item.
        item: String,
        /// The folder.
        path: PathBuf,
    },
    /// Nothing was recorded for this question.
    #[error(
        "no answer is recorded for item {item} (answer {ordinal} to the request {digest}) in {path}: prompts, domain, \
         manifest or model differ from when it was recorded; record anew, or run with a live endpoint"
    )]
    Missing {
        /// The item.
        item: String,
        /// The request.
        digest: String,
        /// The number of the answer to it, from 0.
        ordinal: u32,
        /// The folder.
        path: PathBuf,
    },
}

impl RecordError {
    /// Returns its `error.code` in the answers of an endpoint that replays, where it is about one request.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Ended { .. } => Some(ENDED),
            Self::Missing { .. } => Some(MISSING),
            _ => None,
        }
    }

    /// Returns the error that such a code stands for.
    pub(crate) fn of_code(code: &str, item: &str, ordinal: u32, url: &str) -> Option<Self> {
        let (item, path) = (item.to_owned(), PathBuf::from(url));
        if code.eq_ignore_ascii_case(ENDED) {
            return Some(Self::Ended { item, path });
        }
        code.eq_ignore_ascii_case(MISSING).then(|| Self::Missing {
            item,
            digest: String::from("as it was asked"),
            ordinal,
            path,
        })
    }

    /// A write that failed.
    fn write(path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::DiskFull { path },
            _ => Self::Io {
                doing: "write",
                path,
                source,
            },
        }
    }
}

const ENDED: &str = "recordingEnded";
const MISSING: &str = "recordingMissing";

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    model: String,
    date: String,
    prompt: String,
    item: String,
    ordinal: u32,
    answer: Answer,
}

type Key = (String, String, u32);

/// A folder of recorded answers, being written or being read.
#[derive(Debug)]
pub struct Recordings {
    folder: PathBuf,
    recording: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    answers: HashMap<Key, Answer>,
    /// Keys of the answers to a request, in the order in which they were recorded.
    order: HashMap<String, Vec<Key>>,
    items: HashSet<String>,
    asked: HashMap<(String, String), u32>,
    /// Answers of items that began again: they were charged before.
    charged: HashSet<Key>,
    files: BTreeMap<PathBuf, File>,
}

impl Recordings {
    /// Answers from the recordings of a folder; nobody is asked.
    ///
    /// # Errors
    /// When the folder cannot be read, or a line of it.
    pub fn replay(folder: &Path) -> Result<Self, RecordError> {
        Self::load(folder, false)
    }

    fn load(folder: &Path, recording: bool) -> Result<Self, RecordError> {
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| RecordError::Io {
                doing,
                path,
                source,
            }
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(io("list", folder))? {
            let path = entry.map_err(io("list", folder))?.path();
            if path.extension().is_some_and(|e| e == "jsonl") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut answers = HashMap::new();
        let mut order: HashMap<String, Vec<Key>> = HashMap::new();
        let mut items = HashSet::new();
        for path in paths {
            let text = std::fs::read_to_string(&path).map_err(io("read", &path))?;
            // A last line without its end was being written when the recording was killed.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            for (n, line) in whole.lines().enumerate() {
                let line: Line = serde_json::from_str(line).map_err(|e| RecordError::Line {
                    path: path.clone(),
                    line: n + 1,
                    why: e.to_string(),
                })?;
                items.insert(line.item.clone());
                let key = (line.prompt, line.item, line.ordinal);
                if answers.insert(key.clone(), line.answer).is_none() {
                    order.entry(key.0.clone()).or_default().push(key);
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            recording,
            inner: Mutex::new(Inner {
                answers,
                order,
                items,
                ..Inner::default()
            }),
        })
    }

    /// Keeps every answer in a folder, which is made if it is missing. What it answers already is not asked again, so
    /// that a recording that was stopped goes on.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn record(folder: &Path) -> Result<Self, RecordError> {
        std::fs::create_dir_all(folder).map_err(|source| RecordError::Io {
            doing: "make the folder of",
            path: folder.to_owned(),
            source,
        })?;
        Self::load(folder, true)
    }

    /// Returns true when answers come from the recordings alone.
    #[must_use]
    pub fn replays(&self) -> bool {
        !self.recording
    }

    /// The ordinal of the item's next answer to this request.
    pub(crate) fn next(&self, digest: &str, item: &str) -> u32 {
        let mut inner = self.inner.lock();
        let asked = inner
            .asked
            .entry((digest.to_owned(), item.to_owned()))
            .or_default();
        let ordinal = *asked;
        *asked += 1;
        ordinal
    }

    /// Takes back the ordinal of a request that got no answer, so that ordinals count answers.
    pub(crate) fn unanswered(&self, digest: &str, item: &str, ordinal: u32) {
        let mut inner = self.inner.lock();
        let asked = inner.asked.get_mut(&(digest.to_owned(), item.to_owned()));
        if let Some(asked) = asked
            && *asked == ordinal + 1
        {
            *asked = ordinal;
        }
    }

    /// Lets all items whose names begin like this begin again: their requests are answered as they were before.
    pub(crate) fn rewind(&self, item: &str) -> Result<(), RecordError> {
        let kept = match self.recording {
            true => Self::load(&self.folder, true)?.inner.into_inner().answers,
            false => HashMap::new(),
        };
        let mut inner = self.inner.lock();
        for (key, answer) in kept {
            if key.1.starts_with(item) {
                inner.items.insert(key.1.clone());
                inner.answers.insert(key, answer);
            }
        }
        let Inner { asked, charged, .. } = &mut *inner;
        for ((digest, name), answers) in asked.iter_mut() {
            if name.starts_with(item) {
                let ordinals = 0..std::mem::take(answers);
                charged.extend(ordinals.map(|ordinal| (digest.clone(), name.clone(), ordinal)));
            }
        }
        Ok(())
    }

    /// Returns true when an answer was charged before its item began again.
    pub(crate) fn is_charged(&self, digest: &str, item: &str, ordinal: u32) -> bool {
        let inner = self.inner.lock();
        let key = || (digest.to_owned(), item.to_owned(), ordinal);
        !inner.charged.is_empty() && inner.charged.contains(&key())
    }

    /// The recorded answer for a client of another process. One that names no item gets the answers to its request in the
    /// order of the recording, whoever asked then.
    ///
    /// # Errors
    /// [`RecordError::Ended`] or [`RecordError::Missing`].
    pub fn answer(
        &self,
        digest: &str,
        item: Option<&str>,
        ordinal: Option<u32>,
    ) -> Result<Answer, RecordError> {
        let Some(item) = item else {
            let ordinal = self.next(digest, "");
            let inner = self.inner.lock();
            let keys = inner.order.get(digest);
            let key = keys.and_then(|keys| keys.get(ordinal as usize)).cloned();
            let found = key.and_then(|key| inner.answers.get(&key).cloned());
            return found.ok_or_else(|| RecordError::Missing {
                item: "(none named)".to_owned(),
                digest: digest.to_owned(),
                ordinal,
                path: self.folder.clone(),
            });
        };
        let ordinal = ordinal.unwrap_or_else(|| self.next(digest, item));
        self.find(digest, item, ordinal)
    }

    pub(crate) fn find(
        &self,
        digest: &str,
        item: &str,
        ordinal: u32,
    ) -> Result<Answer, RecordError> {
        let inner = self.inner.lock();
        if !inner.items.contains(item) {
            return Err(RecordError::Ended {
                item: item.to_owned(),
                path: self.folder.clone(),
            });
        }
        let key = (digest.to_owned(), item.to_owned(), ordinal);
        let found = inner.answers.get(&key).cloned();
        let mut answer = found.ok_or_else(|| RecordError::Missing {
            item: key.1,
            digest: key.0,
            ordinal,
            path: self.folder.clone(),
        })?;
        answer.source = Source::Replayed;
        Ok(answer)
    }

    pub(crate) fn keep(
        &self,
        model: &str,
        digest: &str,
        item: &str,
        ordinal: u32,
        answer: &Answer,
    ) -> Result<(), RecordError> {
        let path = self.folder.join(format!("{}.jsonl", file_name(model)));
        let io = |doing| {
            let path = path.clone();
            move |source| RecordError::Io {
                doing,
                path,
                source,
            }
        };
        let line = Line {
            model: model.to_owned(),
            date: today(),
            prompt: digest.to_owned(),
            item: item.to_owned(),
            ordinal,
            answer: answer.clone(),
        };
        let mut text = serde_json::to_string(&line)
            .map_err(std::io::Error::other)
            .map_err(io("write"))?;
        text.push('\n');
        let mut inner = self.inner.lock();
        if !inner.files.contains_key(&path) {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(&path)
                .map_err(io("open"))?;
            let before = std::fs::read(&path).map_err(io("read"))?;
            let whole = before
                .iter()
                .rposition(|b| *b == b'\n')
                .map_or(0, |at| at + 1);
            if whole < before.len() {
                file.set_len(whole as u64)
                    .map_err(io("cut a half-written line off"))?;
            }
            inner.files.insert(path.clone(), file);
        }
        let Some(file) = inner.files.get_mut(&path) else {
            return Ok(());
        };
        let before = file.metadata().map_err(io("read"))?.len();
        file.write_all(text.as_bytes()).map_err(|source| {
            // Half a line before others could not be read again.
            let _ = file.set_len(before);
            RecordError::write(&path, source)
        })
    }
}

fn file_name(model: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
            c
        } else {
            '-'
        }
    };
    let name: String = model.chars().map(safe).collect();
    name.trim_start_matches('.').to_owned()
}

/// The date in UTC, `YYYY-MM-DD`.
fn today() -> String {
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut words = date.split(' ').skip(1);
    let (day, month, year) = (words.next(), words.next(), words.next());
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = month
        .and_then(|m| months.find(m))
        .map_or(0, |at| at / 3 + 1);
    format!(
        "{}-{month:02}-{}",
        year.unwrap_or_default(),
        day.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Answer {
        Answer {
            text: text.into(),
            ..Answer::default()
        }
    }

    #[test]
    fn an_item_that_begins_again_is_answered_as_before_and_others_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let tape = Recordings::record(dir.path()).unwrap();
        for item in ["a/agent", "b/agent"] {
            let ordinal = tape.next("sha256:x", item);
            assert!(tape.find("sha256:x", item, ordinal).is_err());
            tape.keep("m", "sha256:x", item, ordinal, &said(item))
                .unwrap();
        }
        tape.rewind("a/").unwrap();
        let again = tape.next("sha256:x", "a/agent");
        assert_eq!(again, 0);
        assert_eq!(
            tape.find("sha256:x", "a/agent", again).unwrap().text,
            "a/agent"
        );
        assert!(tape.is_charged("sha256:x", "a/agent", 0));
        assert_eq!(tape.next("sha256:x", "b/agent"), 1);
        assert!(!tape.is_charged("sha256:x", "b/agent", 0));
    }

    #[test]
    fn a_request_without_an_answer_leaves_its_ordinal_to_the_next_try() {
        let dir = tempfile::tempdir().unwrap();
        let tape = Recordings::record(dir.path()).unwrap();
        let ordinal = tape.next("sha256:x", "a");
        tape.unanswered("sha256:x", "a", ordinal);
        assert_eq!(tape.next("sha256:x", "a"), ordinal);
    }

    #[test]
    fn answers_come_back_by_request_item_and_ordinal_and_the_last_of_a_key_counts() {
        let dir = tempfile::tempdir().unwrap();
        let tape = Recordings::record(dir.path()).unwrap();
        for (item, ordinal, text) in [
            ("a", 0, "cut off"),
            ("b", 0, "other item"),
            ("a", 0, "first"),
            ("a", 1, "second"),
        ] {
            tape.keep("org/model", "sha256:x", item, ordinal, &said(text))
                .unwrap();
        }
        let tape = Recordings::replay(dir.path()).unwrap();
        let next = |item: &str| {
            let ordinal = tape.next("sha256:x", item);
            tape.find("sha256:x", item, ordinal)
        };
        assert_eq!(next("a").unwrap().text, "first");
        assert_eq!(next("b").unwrap().text, "other item");
        let second = next("a").unwrap();
        assert_eq!(
            (second.text.as_str(), second.source),
            ("second", Source::Replayed)
        );
        let missing = next("a").unwrap_err().to_string();
        let ended = next("c").unwrap_err();
        assert!(matches!(ended, RecordError::Ended { .. }), "{ended}");
        assert!(
            missing.contains("item a") && missing.contains("record anew"),
            "{missing}"
        );
        let file = std::fs::read_to_string(dir.path().join("org-model.jsonl")).unwrap();
        assert!(
            file.contains("\"model\":\"org/model\"") && file.contains("\"date\":\"20"),
            "{file}"
        );
    }
}
