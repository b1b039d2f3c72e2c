//! Append-only JSONL of finished items, each exactly once by its key, that survives a kill at any byte.
//!
//! A line is `{"sum":"<16 hex>","n":<index>,"key":<key>,"record":<record>}`; the sum is over the bytes that follow it. A line that
//! a kill left half-written is at the end: it is cut off with a warning. A bad line with good lines after it is no torn write, and is refused.
use crate::atomic::{WriteError, sync_folder};
use crate::lock::FileLock;
use agoge_digest::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const HEAD: &str = "{\"sum\":\"";
const SUM: usize = 16;

/// The errors of a ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file could not be written; what was there before is kept.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The file could not be read.
    #[error("cannot read the ledger {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// Somebody else writes it.
    #[error(
        "the ledger {path} is being written by {owner}: wait for that run to end, or end it, then run the same command again"
    )]
    Locked { path: PathBuf, owner: String },
    /// A bad line with good lines after it.
    #[error(
        "line {line} of the ledger {path} is damaged, and good lines follow it, so this is no interrupted write: restore the file, or remove that line to have its item made again"
    )]
    Damaged { path: PathBuf, line: usize },
    /// A line holds another type than the caller asks for.
    #[error(
        "the record {key:?} of the ledger {path} is not what this version writes: {source}; start with an empty output folder"
    )]
    Record {
        path: PathBuf,
        key: String,
        source: serde_json::Error,
    },
    /// An earlier append failed and could not be undone.
    #[error("the ledger {path} could not be brought back to its last whole line: open it again")]
    Poisoned { path: PathBuf },
}

/// The half-written end that was found (and, by [`Ledger::open`], cut off).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Bytes after the last whole line.
    pub bytes: u64,
    /// Whole lines before them.
    pub whole_lines: usize,
}

/// One finished item.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: String,
    pub record: Value,
}

/// The single writer of one ledger file; the lock goes when it is dropped or its process dies.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    _lock: FileLock,
    index: HashMap<String, usize>,
    entries: Vec<Entry>,
    length: u64,
    torn: Option<Torn>,
    poisoned: bool,
}

#[derive(Deserialize)]
struct Line {
    n: usize,
    key: String,
    record: Value,
}

#[derive(Serialize)]
struct LineBody<'a, T> {
    n: usize,
    key: &'a str,
    record: &'a T,
}

impl Ledger {
    /// Opens or makes a ledger for writing: takes its lock, cuts a torn end off with a warning.
    pub fn open(path: impl AsRef<Path>) -> Result<Ledger, LedgerError> {
        let path = path.as_ref().to_owned();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(WriteError::at("make the folder", folder))?;
        }
        let lock = lock_writer(&path)?;
        let fresh = !path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(WriteError::at("open", &path))?;
        let scan = scan(&path, &mut file)?;
        if let Some(torn) = &scan.torn {
            tracing::warn!(path = %path.display(), bytes = torn.bytes, whole_lines = torn.whole_lines,
                "cut a half-written line off the ledger; its item will be made again");
            file.set_len(scan.length)
                .map_err(WriteError::at("cut", &path))?;
            file.sync_all().map_err(WriteError::at("flush", &path))?;
        }
        file.seek(SeekFrom::Start(scan.length))
            .map_err(WriteError::at("seek in", &path))?;
        if fresh && let Some(folder) = path.parent() {
            sync_folder(if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            })?;
        }
        let mut index = HashMap::new();
        for (i, entry) in scan.entries.iter().enumerate() {
            index.entry(entry.key.clone()).or_insert(i);
        }
        Ok(Ledger {
            path,
            file,
            _lock: lock,
            index,
            entries: scan.entries,
            length: scan.length,
            torn: scan.torn,
            poisoned: false,
        })
    }

    /// Reads a ledger that somebody else may be writing: no lock, a torn end is left out and left alone; a missing file is empty.
    pub fn read(path: impl AsRef<Path>) -> Result<Vec<Entry>, LedgerError> {
        let path = path.as_ref();
        match File::open(path) {
            Ok(mut file) => Ok(scan(path, &mut file)?.entries),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(LedgerError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Adds an item durably; `false` when the key is there already (the first record stays).
    pub fn append(&mut self, key: &str, record: &impl Serialize) -> Result<bool, LedgerError> {
        Ok(self.append_all([(key, record)])? == 1)
    }

    /// Adds several items with one flush, all or none; says how many were new.
    pub fn append_all<'a, T: Serialize + 'a>(
        &mut self,
        items: impl IntoIterator<Item = (&'a str, &'a T)>,
    ) -> Result<usize, LedgerError> {
        if self.poisoned {
            return Err(LedgerError::Poisoned {
                path: self.path.clone(),
            });
        }
        let mut text = String::new();
        let mut added: Vec<Entry> = Vec::new();
        let mut seen = HashSet::new();
        for (key, record) in items {
            if self.index.contains_key(key) || !seen.insert(key) {
                continue;
            }
            let wrong = |source| LedgerError::Record {
                path: self.path.clone(),
                key: key.to_owned(),
                source,
            };
            let n = self.entries.len() + added.len();
            let body = serde_json::to_string(&LineBody { n, key, record }).map_err(wrong)?;
            let rest = &body[1..];
            text.push_str(HEAD);
            text.push_str(&checksum(rest.as_bytes()));
            text.push_str("\",");
            text.push_str(rest);
            text.push('\n');
            let record = serde_json::to_value(record).map_err(wrong)?;
            added.push(Entry {
                key: key.to_owned(),
                record,
            });
        }
        if added.is_empty() {
            return Ok(0);
        }
        let written = self
            .file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            let undone = self.file.set_len(self.length);
            let undone = undone.and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            self.poisoned = undone.is_err();
            return Err(WriteError::at("append to", &self.path)(error).into());
        }
        self.length += text.len() as u64;
        let count = added.len();
        for entry in added {
            self.index.insert(entry.key.clone(), self.entries.len());
            self.entries.push(entry);
        }
        Ok(count)
    }

    /// Returns true when the key's item is finished.
    pub fn contains(&self, key: &str) -> bool {
        self.index.contains_key(key)
    }

    /// The record of a key, as the type it was written with.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, LedgerError> {
        let Some(&i) = self.index.get(key) else {
            return Ok(None);
        };
        T::deserialize(&self.entries[i].record)
            .map(Some)
            .map_err(|source| LedgerError::Record {
                path: self.path.clone(),
                key: key.to_owned(),
                source,
            })
    }

    /// All items in the order they were written.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All keys in the order they were written.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|e| e.key.as_str())
    }

    /// Returns the number of items.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true when there is no item yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The half-written end that opening cut off, for the run's log.
    pub fn torn(&self) -> Option<&Torn> {
        self.torn.as_ref()
    }

    /// Digest over all keys and records in key order: the same for two runs that finished the same items in any order.
    pub fn digest(&self) -> Digest {
        let mut items: Vec<&Entry> = self.entries.iter().collect();
        items.sort_by(|a, b| a.key.cmp(&b.key));
        let text: String = items
            .iter()
            .map(|e| {
                format!(
                    "{} {}\n",
                    Value::from(e.key.as_str()),
                    agoge_digest::canonical_json(&e.record)
                )
            })
            .collect();
        Digest::of(text.as_bytes())
    }
}

fn lock_writer(path: &Path) -> Result<FileLock, LedgerError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(WriteError::at("open", &lock_path))?;
    match lock.try_lock() {
        Ok(()) => {
            // Who holds it is a courtesy for the message; the lock itself is the kernel's.
            let _ = lock
                .set_len(0)
                .and_then(|()| write!(lock, "process {}", std::process::id()));
            Ok(FileLock(lock))
        }
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let _ = lock.read_to_string(&mut owner);
            let owner = if owner.is_empty() {
                "another process".to_owned()
            } else {
                owner
            };
            Err(LedgerError::Locked {
                path: path.to_owned(),
                owner,
            })
        }
        Err(TryLockError::Error(e)) => Err(WriteError::at("lock", &lock_path)(e).into()),
    }
}

struct Scan {
    entries: Vec<Entry>,
    length: u64,
    torn: Option<Torn>,
}

fn scan(path: &Path, file: &mut File) -> Result<Scan, LedgerError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|source| LedgerError::Read {
            path: path.to_owned(),
            source,
        })?;
    let mut entries = Vec::new();
    let mut good = 0;
    let mut rest = bytes.as_slice();
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        match parse(&rest[..end], entries.len()) {
            Some(entry) => entries.push(entry),
            None => break,
        }
        good += end + 1;
        rest = &rest[end + 1..];
    }
    if rest.is_empty() {
        return Ok(Scan {
            entries,
            length: good as u64,
            torn: None,
        });
    }
    let later_is_good = rest
        .split(|b| *b == b'\n')
        .skip(1)
        .any(|line| body(line).is_some());
    // A whole line with a good sum but the wrong place in the file also means that lines were lost.
    let misplaced =
        rest.split(|b| *b == b'\n').next().and_then(body).is_some() && rest.contains(&b'\n');
    if later_is_good || misplaced {
        return Err(LedgerError::Damaged {
            path: path.to_owned(),
            line: entries.len() + 1,
        });
    }
    let torn = Torn {
        bytes: rest.len() as u64,
        whole_lines: entries.len(),
    };
    Ok(Scan {
        entries,
        length: good as u64,
        torn: Some(torn),
    })
}

/// The bytes under the checksum, when the checksum is right.
fn body(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(HEAD.as_bytes())?;
    let (sum, rest) = rest.split_at_checked(SUM)?;
    let rest = rest.strip_prefix(b"\",")?;
    (checksum(rest).as_bytes() == sum).then_some(rest)
}

fn parse(line: &[u8], n: usize) -> Option<Entry> {
    let rest = body(line)?;
    let mut json = Vec::with_capacity(rest.len() + 1);
    json.push(b'{');
    json.extend_from_slice(rest);
    let line: Line = serde_json::from_slice(&json).ok()?;
    (line.n == n).then_some(Entry {
        key: line.key,
        record: line.record,
    })
}

fn checksum(bytes: &[u8]) -> String {
    Digest::of(bytes).hex()[..SUM].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cut_at_any_byte_every_whole_line_survives_and_the_rest_can_be_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole.jsonl");
        let items: Vec<(String, Value)> = (0..6)
            .map(|i| {
                (
                    format!("item-{i}"),
                    json!({"text": "zwölf\n\"€\"".repeat(i), "n": i as f64 / 3.0}),
                )
            })
            .collect();
        let mut ledger = Ledger::open(&whole).unwrap();
        for (key, record) in &items {
            assert!(ledger.append(key, record).unwrap());
            assert!(!ledger.append(key, &json!("another")).unwrap());
        }
        let digest = ledger.digest();
        drop(ledger);
        let bytes = std::fs::read(&whole).unwrap();
        let path = dir.path().join("cut.jsonl");
        for cut in 0..=bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let lines = bytes[..cut].iter().filter(|b| **b == b'\n').count();
            let at_line_end = cut == 0 || bytes[cut - 1] == b'\n';
            assert_eq!(Ledger::read(&path).unwrap().len(), lines);
            let mut ledger = Ledger::open(&path).unwrap();
            assert_eq!(ledger.len(), lines, "cut at {cut}");
            assert_eq!(ledger.torn().is_none(), at_line_end, "cut at {cut}");
            for (key, record) in &items {
                ledger.append(key, record).unwrap();
            }
            assert_eq!(ledger.digest(), digest);
            drop(ledger);
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_is_never_read_as_a_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.jsonl");
        let mut ledger = Ledger::open(&path).unwrap();
        for i in 0..3 {
            ledger.append(&format!("k{i}"), &i).unwrap();
        }
        drop(ledger);
        let bytes = std::fs::read(&path).unwrap();
        let last_line = bytes[..bytes.len() - 1]
            .iter()
            .rposition(|b| *b == b'\n')
            .unwrap()
            + 1;
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            match Ledger::read(&path) {
                // The newline before the last line makes one long bad line of the last two.
                Ok(entries) => assert_eq!(
                    (at + 1 >= last_line, entries.len()),
                    (true, if at < last_line { 1 } else { 2 })
                ),
                Err(LedgerError::Damaged { .. }) => {}
                Err(other) => panic!("byte {at}: {other}"),
            }
        }
    }

    #[test]
    fn a_lost_line_in_the_middle_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.jsonl");
        let mut ledger = Ledger::open(&path).unwrap();
        ledger
            .append_all([("a", &1), ("b", &2), ("a", &9), ("c", &3)])
            .unwrap();
        assert_eq!(ledger.get::<i64>("a").unwrap(), Some(1));
        drop(ledger);
        let text = std::fs::read_to_string(&path).unwrap();
        let without: String = text
            .split_inclusive('\n')
            .filter(|l| !l.contains("\"b\""))
            .collect();
        std::fs::write(&path, without).unwrap();
        let error = Ledger::open(&path).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && error.contains("l.jsonl"),
            "{error}"
        );
    }

    #[test]
    fn only_one_writer_and_the_message_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.jsonl");
        let first = Ledger::open(&path).unwrap();
        let error = Ledger::open(&path).unwrap_err().to_string();
        assert!(
            error.contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        drop(first);
        Ledger::open(&path).unwrap();
    }
}
