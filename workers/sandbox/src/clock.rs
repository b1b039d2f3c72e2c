//! Processor time: of this thread, and of another process.

use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// Returns the processor time that this thread has used so far.
#[must_use]
pub fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Returns the processor time that a process has used so far; `None` where the system does not say.
pub(crate) fn of_process(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let millis = ticks(&stat)?.checked_mul(1000)? / clock_ticks_per_second().max(1);
    Some(Duration::from_millis(millis))
}

/// User and system time in a line of `/proc/<pid>/stat`: `pid (name) state ppid ...`. The name may hold any character.
fn ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut times = after_name.split(' ').skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_times_are_read_whatever_the_name_of_the_process() {
        let line = "71 (a) (b 9) S 1 71 71 0 -1 4194304 90 0 0 0 12 30 0 0 20 0 1 0 5 9 9";
        assert_eq!(ticks(line), Some(42));
        assert_eq!(ticks("71 (a) S 1"), None);
    }

    #[test]
    fn work_takes_processor_time_and_sleep_takes_none() {
        let before = processor_time();
        std::thread::sleep(Duration::from_millis(60));
        let slept = processor_time() - before;
        let mut sum = 0u64;
        while processor_time() - before - slept < Duration::from_millis(60) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(slept < Duration::from_millis(50), "{slept:?}");
        assert!(of_process(std::process::id()).is_some());
    }
}
