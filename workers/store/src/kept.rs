//! A work folder kept in the store while its worker runs, so that a lost machine loses only what was in flight.
//!
//! Expected flow of a worker:
//! 1. [`Kept::claim`] takes the kept copy over, [`Kept::restore`] makes the folder what it holds.
//! 2. [`Kept::keep`] every few seconds and at the end copies what has changed.
//! 3. [`Kept::clear`] when the work's artifact is in the store.
//!
//! Guarantees: a restore gives the folder as it was at one moment. All files are opened and looked at twice within
//! microseconds, and the copy is taken only if none changed between; a ledger that grows meanwhile is read up to the length
//! it had then, and a file that is replaced is read from the old one's handle. Contents lie in pieces under their digests;
//! the manifest that names them is written last.
//!
//! Assumption: files are only appended to or replaced as a whole, as ledgers and checkpoints are. Of two workers the one
//! that claimed last goes on; the other finds out before it writes again.
use crate::atomic::WriteError;
use crate::error::StoreError;
use crate::objects::Store;
use agoge_digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// Under this folder of the store lie all kept copies.
pub(crate) const TOP: &str = "kept";
const FORMAT: &str = "agoge-kept/1";
/// A file is kept in pieces of this size, so that a ledger that grows is not copied anew as a whole.
const PIECE: usize = 4 << 20;
/// A copy that nothing changes is signed again this often: a collection then sees that its worker lives.
const SIGN: Duration = Duration::from_secs(300);
/// The number of tries to find a moment without a writer.
const LOOKS: u32 = 100;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Manifest {
    format: String,
    /// The writer that claimed it last.
    writer: String,
    files: BTreeMap<String, Content>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Content {
    size: u64,
    pieces: Vec<Digest>,
}

/// The facts by which a changed file is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(meta: &std::fs::Metadata) -> Self {
        Self {
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        }
    }
}

/// A kept work folder, claimed by this process.
pub struct Kept {
    store: Store,
    prefix: String,
    skip: Vec<String>,
    writer: String,
    manifest: Manifest,
    stamps: BTreeMap<String, Stamp>,
    signed: Instant,
}

/// A file as it was at one moment: its name, how it looked, and the open file.
type Shot = (String, Stamp, File);

impl Kept {
    /// Takes the copy of this name over, or begins one. Hidden files, lock files and the names in `skip`, which are
    /// those of files or folders at the top, are never kept.
    ///
    /// # Errors
    /// When the store cannot be used, or the name is no path.
    pub fn claim(store: &Store, name: &str, skip: &[&str]) -> Result<Self, StoreError> {
        let parts = name.split('/');
        if parts.clone().any(|p| p.is_empty() || p == "." || p == "..") {
            return Err(StoreError::Name(name.to_owned()));
        }
        let mut kept = Self {
            store: store.clone(),
            prefix: format!("{TOP}/{name}"),
            skip: skip.iter().map(|s| (*s).to_owned()).collect(),
            writer: unique(),
            manifest: Manifest::default(),
            stamps: BTreeMap::new(),
            signed: Instant::now(),
        };
        kept.manifest = kept.read()?.unwrap_or_default();
        kept.sign(kept.manifest.files.clone())?;
        let alive = pieces(&kept.manifest.files);
        for left in store.list(&format!("{}/pieces", kept.prefix))? {
            if !alive.iter().any(|digest| left.path.ends_with(digest.hex())) {
                store.delete(&left.path)?;
            }
        }
        Ok(kept)
    }

    /// Makes a folder what was kept, and says how many files that are. When nothing was, the folder stays as it is.
    ///
    /// A copy that does not fit together is let go with a warning: the work starts anew.
    ///
    /// # Errors
    /// When the store or the folder cannot be used.
    pub fn restore(&mut self, dir: &Path) -> Result<usize, StoreError> {
        if self.manifest.files.is_empty() {
            return Ok(0);
        }
        let files = self.manifest.files.clone();
        for (name, content) in &files {
            match self.fetch(dir, name, content) {
                Err(StoreError::KeptDamaged { path, why }) => {
                    tracing::warn!(path, why, "the kept work is damaged; it starts anew");
                    self.stamps.clear();
                    self.sign(BTreeMap::new())?;
                    self.tidy(dir)?;
                    return Ok(0);
                }
                other => other?,
            }
        }
        self.tidy(dir)?;
        Ok(files.len())
    }

    /// Copies what has changed; `false` when nothing had, or no moment was quiet: then the next call does.
    ///
    /// # Errors
    /// When the folder cannot be read, the store not be written, or another worker has claimed the copy.
    pub fn keep(&mut self, dir: &Path) -> Result<bool, StoreError> {
        let Some(shots) = self.photograph(dir)? else {
            tracing::debug!("no quiet moment to keep the work folder; the next one will do");
            return Ok(false);
        };
        let before = pieces(&self.manifest.files);
        let mut sent = BTreeSet::new();
        let (mut files, mut stamps) = (BTreeMap::new(), BTreeMap::new());
        for (name, stamp, file) in shots {
            let known = self.manifest.files.get(&name);
            let content = match known {
                Some(known) if self.stamps.get(&name) == Some(&stamp) => known.clone(),
                _ => match self.send(dir, &name, stamp, file, &before, &mut sent)? {
                    Some(content) => content,
                    None => return Ok(false),
                },
            };
            files.insert(name.clone(), content);
            stamps.insert(name, stamp);
        }
        self.stamps = stamps;
        if files == self.manifest.files && self.signed.elapsed() < SIGN {
            return Ok(false);
        }
        match self.read()? {
            Some(found) if found.writer != self.writer => {
                let path = self.store.describe(&self.prefix);
                return Err(StoreError::TakenOver { path });
            }
            Some(_) => {}
            None => {
                // Somebody deleted it: what it had is to be sent again.
                self.stamps.clear();
                self.manifest = Manifest::default();
                self.sign(BTreeMap::new())?;
                return Ok(false);
            }
        }
        self.sign(files)?;
        let after = pieces(&self.manifest.files);
        for gone in before.difference(&after) {
            self.store.delete(&self.piece(gone))?;
        }
        Ok(true)
    }

    /// Deletes the copy: the work is done and its artifact in the store.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn clear(self) -> Result<(), StoreError> {
        self.store.delete(&self.head())?;
        let Some(root) = self.store.folder() else {
            for file in self.store.list(&self.prefix)? {
                self.store.delete(&file.path)?;
            }
            return Ok(());
        };
        // A worker that was killed while it wrote leaves a staged file, which no listing shows: the folder goes whole.
        let folder = root.join(&self.prefix);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(WriteError::at("remove the folder", &folder)(error).into())
            }
            _ => Ok(()),
        }
    }

    fn head(&self) -> String {
        format!("{}/manifest.json", self.prefix)
    }

    fn piece(&self, digest: &Digest) -> String {
        format!("{}/pieces/{}", self.prefix, digest.hex())
    }

    fn read(&self) -> Result<Option<Manifest>, StoreError> {
        let Some(bytes) = self.store.read(&self.head())? else {
            return Ok(None);
        };
        let manifest: Result<Manifest, _> = serde_json::from_slice(&bytes);
        match manifest {
            Ok(manifest) if manifest.format == FORMAT => Ok(Some(manifest)),
            // Of another version, which resumes nothing that this one understands.
            _ => Ok(None),
        }
    }

    fn sign(&mut self, files: BTreeMap<String, Content>) -> Result<(), StoreError> {
        let manifest = Manifest {
            format: FORMAT.into(),
            writer: self.writer.clone(),
            files,
        };
        let text = serde_json::to_vec(&manifest).map_err(|source| StoreError::Manifest {
            path: self.head(),
            source,
        })?;
        self.store.write(&self.head(), text)?;
        self.manifest = manifest;
        self.signed = Instant::now();
        Ok(())
    }

    /// Every file of the folder, opened, all as of one moment.
    fn photograph(&self, dir: &Path) -> Result<Option<Vec<Shot>>, StoreError> {
        for _ in 0..LOOKS {
            let mut shots = Vec::new();
            let mut names = self.names(dir)?;
            names.sort();
            let opened = names.into_iter().try_for_each(|name| {
                let file = File::open(dir.join(&name))?;
                let stamp = Stamp::of(&file.metadata()?);
                shots.push((name, stamp, file));
                io::Result::Ok(())
            });
            if let Err(source) = opened {
                if source.kind() != io::ErrorKind::NotFound {
                    let path = dir.to_owned();
                    return Err(StoreError::Read { path, source });
                }
                continue;
            }
            let quiet = self.names(dir)?.len() == shots.len()
                && shots.iter().all(|(name, stamp, _)| {
                    std::fs::symlink_metadata(dir.join(name))
                        .is_ok_and(|meta| Stamp::of(&meta) == *stamp)
                });
            if quiet {
                return Ok(Some(shots));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(None)
    }

    /// Names of the files to keep.
    fn names(&self, dir: &Path) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        let mut folders = vec![(dir.to_owned(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => {
                    return Err(StoreError::Read {
                        path: folder,
                        source,
                    });
                }
            };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let skipped = prefix.is_empty() && self.skip.contains(&name);
                if skipped || name.starts_with('.') || name.ends_with(".lock") {
                    continue;
                }
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => {
                        folders.push((entry.path(), format!("{prefix}{name}/")));
                    }
                    Ok(kind) if kind.is_file() => found.push(format!("{prefix}{name}")),
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    /// Sends the pieces of a file that the store does not have; `None` when it was cut meanwhile.
    fn send(
        &self,
        dir: &Path,
        name: &str,
        stamp: Stamp,
        file: File,
        before: &BTreeSet<Digest>,
        sent: &mut BTreeSet<Digest>,
    ) -> Result<Option<Content>, StoreError> {
        let (mut file, mut left) = (file.take(stamp.size), stamp.size);
        let mut content = Content {
            size: stamp.size,
            pieces: Vec::new(),
        };
        while left > 0 {
            let mut piece = Vec::new();
            (&mut file)
                .take(PIECE as u64)
                .read_to_end(&mut piece)
                .map_err(|source| StoreError::Read {
                    path: dir.join(name),
                    source,
                })?;
            if piece.is_empty() {
                return Ok(None);
            }
            left -= piece.len() as u64;
            let digest = Digest::of(&piece);
            if !before.contains(&digest) && sent.insert(digest.clone()) {
                self.store.write(&self.piece(&digest), piece)?;
            }
            content.pieces.push(digest);
        }
        Ok(Some(content))
    }

    /// Writes one kept file, whole and verified.
    fn fetch(&self, dir: &Path, name: &str, content: &Content) -> Result<(), StoreError> {
        let inside = Path::new(name)
            .components()
            .all(|c| matches!(c, Component::Normal(_)));
        if name.is_empty() || !inside {
            return Err(StoreError::Name(name.to_owned()));
        }
        let damaged = |why: String| StoreError::KeptDamaged {
            path: self.store.describe(&self.prefix),
            why,
        };
        let path = dir.join(name);
        let folder = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder).map_err(WriteError::at("make the folder", folder))?;
        let mut staged = tempfile::Builder::new()
            .prefix(".tmp-")
            .tempfile_in(folder)
            .map_err(WriteError::at("make a temporary file beside", &path))?;
        let mut size = 0;
        for digest in &content.pieces {
            let piece = self.store.read(&self.piece(digest))?;
            let piece = piece.ok_or_else(|| damaged(format!("a piece of {name} is missing")))?;
            if Digest::of(&piece) != *digest {
                return Err(damaged(format!("a piece of {name} is not what it was")));
            }
            size += piece.len() as u64;
            staged
                .write_all(&piece)
                .map_err(WriteError::at("write", &path))?;
        }
        if size != content.size {
            return Err(damaged(format!("{name} is too short")));
        }
        staged
            .persist(&path)
            .map_err(|e| WriteError::at("rename to", &path)(e.error))?;
        Ok(())
    }

    /// Removes what the folder has and the copy has not.
    fn tidy(&self, dir: &Path) -> Result<(), StoreError> {
        for name in self.names(dir)? {
            if !self.manifest.files.contains_key(&name) {
                let path: PathBuf = dir.join(name);
                std::fs::remove_file(&path).map_err(WriteError::at("remove", &path))?;
            }
        }
        Ok(())
    }
}

fn pieces(files: &BTreeMap<String, Content>) -> BTreeSet<Digest> {
    files.values().flat_map(|c| c.pieces.clone()).collect()
}

/// A name that no other writer has: the standard library's hash keys differ from call to call.
pub(crate) fn unique() -> String {
    use std::hash::{BuildHasher, RandomState};
    let hash = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", hash(), hash())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Place;
    use crate::{Ledger, write_atomic};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn memory() -> Store {
        let inner = Arc::new(object_store::memory::InMemory::new());
        Store::over(inner, Place::Bucket("memory://test".into())).unwrap()
    }

    fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
        let store = memory();
        let kept = Kept::claim(&store, "x", &["result.json"]).unwrap();
        let mut names = kept.names(dir).unwrap();
        names.sort();
        let read = |name: String| (name.clone(), std::fs::read(dir.join(name)).unwrap());
        names.into_iter().map(read).collect()
    }

    #[test]
    fn a_folder_comes_back_as_it_was_kept_and_nothing_is_left_once_it_is_cleared() {
        let (store, from, to) = (
            memory(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let at = |name: &str| from.path().join(name);
        write_atomic(at("a.jsonl"), vec![b'a'; PIECE + 10]).unwrap();
        write_atomic(at("arms/sft.json"), "{}").unwrap();
        write_atomic(at("gone.ckpt"), "old").unwrap();
        write_atomic(at("result.json"), "not kept").unwrap();
        write_atomic(at("a.jsonl.lock"), "not kept").unwrap();
        let mut kept = Kept::claim(&store, "run/0", &["result.json"]).unwrap();
        assert!(kept.keep(from.path()).unwrap());
        assert!(!kept.keep(from.path()).unwrap(), "nothing had changed");
        std::fs::remove_file(at("gone.ckpt")).unwrap();
        write_atomic(at("a.jsonl"), vec![b'a'; PIECE + 20]).unwrap();
        assert!(kept.keep(from.path()).unwrap());
        // The first piece of the ledger, its second, and the arm.
        assert_eq!(store.list("kept/run/0/pieces").unwrap().len(), 3);

        write_atomic(to.path().join("other.ckpt"), "of another attempt").unwrap();
        let mut next = Kept::claim(&store, "run/0", &["result.json"]).unwrap();
        assert_eq!(next.restore(to.path()).unwrap(), 2);
        assert_eq!(files(to.path()), files(from.path()));

        write_atomic(at("late.ckpt"), "of a worker that was thought dead").unwrap();
        let late = kept.keep(from.path()).unwrap_err();
        assert!(matches!(late, StoreError::TakenOver { .. }), "{late}");
        next.clear().unwrap();
        assert!(store.list(TOP).unwrap().is_empty());
    }

    #[test]
    fn a_copy_taken_while_files_are_written_is_always_of_one_moment() {
        let (store, dir) = (memory(), tempfile::tempdir().unwrap());
        let work = dir.path().join("work");
        let stop = Arc::new(AtomicBool::new(false));
        // What the checkpoint says is always in the ledger, and never more than one item behind it.
        let writer = {
            let (work, stop) = (work.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut ledger = Ledger::open(work.join("items.jsonl")).unwrap();
                for n in 0.. {
                    ledger.append(&n.to_string(), &"x".repeat(100)).unwrap();
                    write_atomic(work.join("count.ckpt"), n.to_string()).unwrap();
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::sleep(Duration::from_micros(500));
                }
            })
        };
        let mut kept = Kept::claim(&store, "w", &[]).unwrap();
        let mut copies = 0;
        while copies < 20 {
            if !kept.keep(&work).unwrap() {
                continue;
            }
            copies += 1;
            let to = dir.path().join(format!("to-{copies}"));
            let files = kept.manifest.files.clone();
            for (name, content) in &files {
                kept.fetch(&to, name, content).unwrap();
            }
            let lines = Ledger::read(to.join("items.jsonl")).unwrap().len();
            let Ok(count) = std::fs::read_to_string(to.join("count.ckpt")) else {
                continue;
            };
            let behind = lines - count.parse::<usize>().unwrap();
            assert!((1..=2).contains(&behind), "{lines} lines at {count}");
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    }

    #[test]
    fn a_staged_file_of_a_killed_writer_goes_with_the_copy() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        let work = dir.path().join("work");
        write_atomic(work.join("a.jsonl"), "line").unwrap();
        let mut kept = Kept::claim(&store, "run/0", &[]).unwrap();
        kept.keep(&work).unwrap();
        let copy = store.folder().unwrap().join("kept/run/0");
        std::fs::write(copy.join("manifest.json#1"), "half").unwrap();
        kept.clear().unwrap();
        assert!(!copy.exists());
    }

    #[test]
    fn kept_work_that_lost_a_piece_starts_anew() {
        let (store, dir) = (memory(), tempfile::tempdir().unwrap());
        write_atomic(dir.path().join("a.ckpt"), "state").unwrap();
        let mut kept = Kept::claim(&store, "w", &[]).unwrap();
        kept.keep(dir.path()).unwrap();
        let piece = store.list("kept/w/pieces").unwrap().remove(0);
        store.delete(&piece.path).unwrap();
        let mut next = Kept::claim(&store, "w", &[]).unwrap();
        assert_eq!(next.restore(dir.path()).unwrap(), 0);
        assert!(!dir.path().join("a.ckpt").exists());
        write_atomic(dir.path().join("a.ckpt"), "state").unwrap();
        assert!(next.keep(dir.path()).unwrap());
    }
}
