//! Work shared among threads of our own, each with one torch thread: for matrices as small as a tiny policy's, several
//! batches side by side are faster than one batch on all cores, and a thread needs to wait for no other.
//!
//! The bits of a result depend on the pieces that the work is cut into and never on the number of threads. A repeatable run
//! therefore fixes the number of pieces ([`Parallelism::repeatable`]); any other follows the cores.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use agoge_crds::grpo_run::DEFAULT_LANES;
use parking_lot::Mutex;

/// Time between two calls of `watch` in [`run_watched`] at most.
const TICK: Duration = Duration::from_millis(100);

/// The threads that work may keep busy and the pieces that it is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parallelism {
    threads: usize,
    pieces: usize,
    repeatable: bool,
}

impl Default for Parallelism {
    /// One thread, repeatable, with the lanes of a run that names no other number.
    fn default() -> Self {
        Self::repeatable(1, DEFAULT_LANES as usize)
    }
}

impl Parallelism {
    /// As many pieces as threads.
    #[must_use]
    pub fn of_cores(threads: usize) -> Self {
        let threads = threads.max(1);
        Self {
            threads,
            pieces: threads,
            repeatable: false,
        }
    }

    /// A fixed number of pieces, so that the bits are the same on any number of threads.
    #[must_use]
    pub fn repeatable(threads: usize, pieces: usize) -> Self {
        Self {
            threads: threads.max(1),
            pieces: pieces.max(1),
            repeatable: true,
        }
    }

    /// The same threads for work that is not cut, such as a gradient too large to be held twice.
    #[must_use]
    pub fn in_one_piece(self) -> Self {
        Self { pieces: 1, ..self }
    }

    /// The threads that work may keep busy.
    #[must_use]
    pub fn threads(self) -> usize {
        self.threads
    }

    /// The pieces that work is cut into, where there is enough of it.
    #[must_use]
    pub fn pieces(self) -> usize {
        self.pieces
    }

    /// Returns true when the bits must not depend on threads or time.
    #[must_use]
    pub fn is_repeatable(self) -> bool {
        self.repeatable
    }
}

/// Runs `work` on every item, on up to `threads` threads. Results come in the order of the items.
///
/// # Panics
/// When `work` does.
pub fn run<T: Send, R: Send>(
    threads: usize,
    items: Vec<T>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    // One item alone has torch's own threads. Several have one torch thread each, also when they come one after the other:
    // on some processors a product's last bits depend on how many threads make it.
    if items.len() <= 1 {
        return items.into_iter().map(work).collect();
    }
    run_watched(threads, items, work, || {})
}

/// The same, always on threads of their own with one torch thread each; `watch` is called on this thread from time to time.
///
/// # Panics
/// When `work` does.
pub fn run_watched<T: Send, R: Send>(
    threads: usize,
    items: Vec<T>,
    work: impl Fn(T) -> R + Sync,
    mut watch: impl FnMut(),
) -> Vec<R> {
    let count = items.len();
    let before = tch::get_num_threads();
    let queue = Mutex::new(items.into_iter().enumerate());
    let (finished, ends) = channel::<()>();
    let worker = |finished: std::sync::mpsc::Sender<()>| {
        // Dropped when the thread ends, also by a panic.
        let _finished = finished;
        tch::set_num_threads(1);
        let mut done = Vec::new();
        loop {
            let next = queue.lock().next();
            match next {
                Some((index, item)) => done.push((index, work(item))),
                None => return done,
            }
        }
    };
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let worker = &worker;
        let workers: Vec<_> = (0..threads.clamp(1, count.max(1)))
            .map(|_| {
                let finished = finished.clone();
                scope.spawn(move || worker(finished))
            })
            .collect();
        drop(finished);
        while let Err(RecvTimeoutError::Timeout) = ends.recv_timeout(TICK) {
            watch();
        }
        watch();
        let joined = workers.into_iter().map(|w| {
            w.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.flatten().collect()
    });
    // A thread's setting is also the default of some of torch's libraries.
    tch::set_num_threads(before);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_on_any_number_of_threads() {
        for threads in [1, 2, 5] {
            let results = run(threads, (0..40u64).collect(), |n| {
                std::thread::sleep(Duration::from_micros((40 - n) * 20));
                n * n
            });
            assert_eq!(results, (0..40).map(|n| n * n).collect::<Vec<_>>());
        }
    }
}
