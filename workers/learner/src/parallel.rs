//! Work shared among threads of our own, each with one torch thread: for matrices as small as a tiny policy's, two
//! batches side by side are faster than one batch on two cores.
//!
//! How work is cut into items is the caller's and must not depend on the number of threads; results come in the order of
//! the items. So the outcome is the same, bit for bit, on any number of threads.

use std::sync::{Mutex, PoisonError};

/// Pieces that work is cut into at least, where it can be: a constant, so that results do not depend on the machine.
pub const PIECES: usize = 2;

/// Runs `work` on every item, on up to `threads` threads.
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
    let count = items.len();
    let queue = Mutex::new(items.into_iter().enumerate());
    let worker = || {
        tch::set_num_threads(1);
        let mut done = Vec::new();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            match next {
                Some((index, item)) => done.push((index, work(item))),
                None => return done,
            }
        }
    };
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.clamp(1, count))
            .map(|_| scope.spawn(worker))
            .collect();
        let joined = workers.into_iter().map(|w| {
            w.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.flatten().collect()
    });
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
                std::thread::sleep(std::time::Duration::from_micros((40 - n) * 20));
                n * n
            });
            assert_eq!(results, (0..40).map(|n| n * n).collect::<Vec<_>>());
        }
    }
}
