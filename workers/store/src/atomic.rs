//! Files that are either the old one or the new one, never half of either.
use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The reasons why a file could not be written. In every case the old file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// No space, or the quota is used up.
    #[error(
        "disk full while writing {path}: what was there before is untouched; free some space and run the same command again"
    )]
    DiskFull { path: PathBuf },
    /// Anything else; `doing` is the step that failed.
    #[error("cannot {doing} {path}: {source}; check that the folder exists and may be written")]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl WriteError {
    /// Names the operation, and tells a full disk from the rest.
    pub(crate) fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError {
        let path = path.to_owned();
        move |source| {
            if is_full(&source) {
                WriteError::DiskFull { path }
            } else {
                WriteError::Io {
                    doing,
                    path,
                    source,
                }
            }
        }
    }
}

/// Returns true when an error says that there is no room left.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// Writes a file so that a reader, or a restart after a kill at any moment, sees all of the old content or all of the new.
///
/// 1. writes a temporary file in the same folder (made if missing), 2. fsyncs it, 3. renames it over `path`, 4. fsyncs the folder.
pub fn write_atomic(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<(), WriteError> {
    let path = path.as_ref();
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(WriteError::at("make the folder", folder))?;
    let mut staged = tempfile::Builder::new()
        .prefix(".tmp-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(WriteError::at("make a temporary file beside", path))?;
    staged
        .write_all(bytes.as_ref())
        .map_err(WriteError::at("write", path))?;
    staged
        .as_file()
        .sync_all()
        .map_err(WriteError::at("flush", path))?;
    staged
        .persist(path)
        .map_err(|e| WriteError::at("rename to", path)(e.error))?;
    sync_folder(folder)
}

/// Makes renames and new names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), WriteError> {
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(WriteError::at("flush the folder", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_write_replaces_the_file_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/status.json");
        write_atomic(&path, "one").unwrap();
        write_atomic(&path, "two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o444,
            0o444
        );
    }

    #[test]
    fn a_full_device_is_told_as_a_full_disk() {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let error = (&full).write_all(b"x").unwrap_err();
        let error = WriteError::at("write", Path::new("out/status.json"))(error);
        assert!(
            error
                .to_string()
                .starts_with("disk full while writing out/status.json"),
            "{error}"
        );
    }

    /// A file system of 64 KiB where the test may mount one; without that right the test above is the whole proof.
    struct Tiny(tempfile::TempDir);
    impl Tiny {
        fn mount() -> Option<Tiny> {
            let dir = tempfile::tempdir().unwrap();
            let done = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=64k", "none"])
                .arg(dir.path())
                .output()
                .is_ok_and(|o| o.status.success());
            done.then_some(Tiny(dir))
        }
    }
    impl Drop for Tiny {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0.path()).status();
        }
    }

    #[test]
    fn on_a_full_disk_the_old_file_is_untouched_and_no_rest_stays() {
        let Some(tiny) = Tiny::mount() else {
            eprintln!("not allowed to mount: skipped");
            return;
        };
        let path = tiny.0.path().join("status.json");
        write_atomic(&path, "old").unwrap();
        let error = write_atomic(&path, vec![b'x'; 1 << 20]).unwrap_err();
        assert!(matches!(error, WriteError::DiskFull { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(tiny.0.path()).unwrap().count(), 1);

        let ledger_path = tiny.0.path().join("items.jsonl");
        let mut ledger = crate::Ledger::open(&ledger_path).unwrap();
        ledger.append("a", &"small").unwrap();
        let error = ledger.append("b", &"x".repeat(1 << 20)).unwrap_err();
        assert!(error.to_string().contains("disk full"), "{error}");
        ledger.append("c", &"fits again").unwrap();
        drop(ledger);
        let ledger = crate::Ledger::open(&ledger_path).unwrap();
        assert!(ledger.torn().is_none());
        assert_eq!(ledger.keys().collect::<Vec<_>>(), ["a", "c"]);

        let store = crate::Store::open(tiny.0.path().join("store")).unwrap();
        let error = store.put(&vec![b'y'; 1 << 20]).unwrap_err();
        assert!(error.to_string().contains("disk full"), "{error}");
    }
}
