//! A file's lock as a value.
use std::fs::File;

/// Holds a lock that was taken on this file, and gives it back when it is dropped.
///
/// Closing the file would not do: a process that another thread is just starting holds a duplicate of the descriptor until
/// it is executed, and the lock with it.
#[derive(Debug)]
pub struct FileLock(pub File);

impl Drop for FileLock {
    fn drop(&mut self) {
        // A lock that cannot be given back goes with the last descriptor.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_although_a_child_that_is_being_started_has_its_descriptor() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::open(file.path()).unwrap();
        let lock = FileLock(open());
        lock.0.try_lock().unwrap();
        let of_a_child = lock.0.try_clone().unwrap();
        assert!(open().try_lock().is_err());
        drop(lock);
        assert!(open().try_lock().is_ok());
        drop(of_a_child);
    }
}
