//! The life cycle that the three kinds share: clock, failures and retries, suspension, the end, and the conditions.

use std::time::Duration;

use agoge_backoff::Backoff;
use agoge_contract::ChildState;
use agoge_crds::conditions::{self as c, is_true, reason, set};
use agoge_crds::shared::RunPolicy;
use agoge_crds::{Phase, RunStatus, Time, Timestamp};

use crate::child::Child;
use crate::observed::{Observed, Seen};

/// The pauses after failures.
const RETRY: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(600));
/// Bytes of a failure's message in the message of a pause, so that the time of the next attempt still fits.
const MESSAGE: usize = 400;
/// Conditions that exist only while they are True.
const PASSING: [&str; 5] = [
    c::SUSPENDED,
    c::COMPLETE,
    c::FAILED,
    c::RECONCILING,
    c::STALLED,
];
/// Bytes of a digest at most: a digest has 71; anything longer that a worker reports is cut.
pub(crate) const DIGEST_BYTES: usize = 80;

/// A reason and a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cause {
    pub reason: String,
    pub message: String,
}

impl Cause {
    pub fn new(reason: &str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// The next thing to do.
pub(crate) enum Verdict {
    /// Something it refers to is not there yet.
    Wait(Cause),
    /// These children should run; the text says what they do. `look` is when time alone changes the answer.
    Run {
        children: Vec<Child>,
        doing: String,
        look: Option<Duration>,
    },
    /// Nothing should run until something outside happens.
    Hold(Cause),
    /// Children that still run should stop; what they made is kept.
    Drain(Cause),
    /// `runPolicy.suspend`.
    Suspend,
    /// Complete.
    Done(Cause),
    /// Failed.
    Fail(Cause),
}

/// The life cycle's part of a plan.
pub(crate) struct Outcome {
    pub children: Vec<Child>,
    pub requeue: Option<Duration>,
    pub delete: bool,
}

/// The object's life cycle while one plan is made.
pub(crate) struct Life<'a> {
    pub policy: &'a RunPolicy,
    pub generation: Option<i64>,
    pub observed: &'a Observed,
    pub now: Timestamp,
}

/// Returns the time in whole seconds, as a status holds it.
pub(crate) fn whole(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn after(now: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    now.as_second()
        .checked_add(seconds)
        .and_then(|at| Timestamp::from_second(at).ok())
        .unwrap_or(Timestamp::MAX)
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(at.as_second() - now.as_second()).unwrap_or(0))
}

/// The sooner of two times to look again, where there are any.
#[must_use]
pub fn sooner(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl Life<'_> {
    /// Returns the rest of the life of an object that is Complete or Failed: its time to live. `None` if it is neither.
    pub fn over(&self, run: &mut RunStatus) -> Option<Outcome> {
        if !is_true(&run.conditions, c::COMPLETE) && !is_true(&run.conditions, c::FAILED) {
            return None;
        }
        run.observed_generation = self.generation;
        for condition in &mut run.conditions {
            condition.observed_generation = self.generation;
        }
        Some(self.rest(run))
    }

    /// No child, no clock, and the time to live.
    fn rest(&self, run: &mut RunStatus) -> Outcome {
        self.stop_clock(run);
        let ended = run.completion_time.get_or_insert(Time(self.now)).0;
        let ttl = self.policy.ttl_seconds_after_finished;
        let left = ttl.map(|ttl| until(after(ended, u64::from(ttl)), self.now));
        let delete = left.is_some_and(|left| left.is_zero());
        Outcome {
            children: vec![],
            requeue: left.filter(|_| !delete),
            delete,
        }
    }

    /// Starts and stops the clock, and counts failures. Returns the cause if they end the whole.
    pub fn observe(&self, run: &mut RunStatus) -> Option<Cause> {
        if self.observed.anything_runs() {
            run.start_time.get_or_insert(Time(self.now));
            run.active_since.get_or_insert(Time(self.now));
        } else {
            self.stop_clock(run);
        }
        let mut end = None;
        for (key, seen) in &self.observed.children {
            let attempts = run.attempts.get(key).map_or(0, |a| a.current);
            if seen.attempt > attempts {
                // The status was lost or is old: what exists is the truth.
                run.attempts.entry(key.clone()).or_default().current = seen.attempt;
            } else if seen.attempt < attempts {
                continue;
            }
            if let ChildState::Failed {
                exit_code,
                reason,
                message,
                retryable,
                disrupted,
            } = &seen.state
            {
                let message = describe(key, *exit_code, reason, message);
                if !retryable && !disrupted {
                    let reason = if is_reason(reason) {
                        reason
                    } else {
                        c::reason::CHILD_FAILED
                    };
                    end = Some(Cause::new(reason, message));
                }
                self.count(run, key, reason, *disrupted);
            }
        }
        if end.is_none() && run.failures() > self.policy.backoff_limit {
            let last = self.last_failure();
            let message = format!(
                "{} failures, {} allowed; {last}",
                run.failures(),
                self.policy.backoff_limit
            );
            end = Some(Cause::new(c::reason::BACKOFF_LIMIT_EXCEEDED, message));
        }
        let deadline = self.policy.active_deadline_seconds.map(u64::from);
        if end.is_none() && deadline.is_some_and(|limit| run.active(self.now).as_secs() >= limit) {
            let message = format!("active for {} s", run.active(self.now).as_secs());
            end = Some(Cause::new(c::reason::DEADLINE_EXCEEDED, message));
        }
        end
    }

    fn stop_clock(&self, run: &mut RunStatus) {
        if run.active_since.is_some() {
            run.active_seconds = run.active(self.now).as_secs();
            run.active_since = None;
        }
    }

    /// One more attempt; a disruption is not held against it.
    fn count(&self, run: &mut RunStatus, key: &str, reason: &str, disrupted: bool) {
        let failures = run.failures();
        let attempts = run.attempts.entry(key.to_owned()).or_default();
        attempts.current = attempts.current.saturating_add(1);
        attempts.reason = Some(c::shorten(reason, 64));
        attempts.retry_at = None;
        if !disrupted {
            attempts.failures = attempts.failures.saturating_add(1);
            let pause = RETRY.pause(failures.saturating_add(1));
            attempts.retry_at = Some(Time(after(self.now, pause.as_secs())));
        }
    }

    /// Returns how the attempt before this one failed, with its message as long as that is observed.
    fn failure(&self, child: &Child, reason: &str) -> String {
        let seen = self.observed.children.get(&child.key);
        seen.filter(|seen| seen.attempt + 1 == child.attempt)
            .and_then(|seen| failed(&child.key, seen))
            .map_or_else(
                || format!("{} failed ({reason})", child.key),
                |message| c::shorten(&message, MESSAGE),
            )
    }

    fn last_failure(&self) -> String {
        let mut children = self.observed.children.iter();
        let failed = children.find_map(|(key, seen)| failed(key, seen));
        failed.unwrap_or_else(|| "see the children's logs".to_owned())
    }

    /// Active time that is left of a bound.
    pub fn left(&self, run: &RunStatus, bound: Option<Duration>) -> Option<Duration> {
        bound.map(|bound| bound.saturating_sub(run.active(self.now)))
    }

    /// Writes conditions and phase, and says which children may run now.
    pub fn conclude(&self, run: &mut RunStatus, verdict: Verdict) -> Outcome {
        let mut outcome = Outcome {
            children: vec![],
            requeue: None,
            delete: false,
        };
        let mut say = Say {
            run,
            generation: self.generation,
            now: self.now,
        };
        let runs = self.observed.anything_runs();
        match verdict {
            Verdict::Fail(why) => {
                say.ended(false, &why);
                outcome = self.rest(say.run);
            }
            Verdict::Done(why) => {
                say.ended(true, &why);
                outcome = self.rest(say.run);
            }
            Verdict::Suspend if runs => say.going(
                c::reason::STOPPING,
                "suspending: children are asked to stop",
                false,
            ),
            Verdict::Suspend => say.suspended(),
            Verdict::Wait(why) => say.waiting(&why),
            Verdict::Hold(why) if runs => say.going(c::reason::STOPPING, &why.message, false),
            Verdict::Hold(why) => say.going(&why.reason, &why.message, false),
            Verdict::Drain(why) => say.going(
                c::reason::STOPPING,
                &format!("{}; children are asked to stop", why.message),
                false,
            ),
            Verdict::Run {
                children,
                doing,
                look,
            } => {
                outcome.requeue = look;
                self.run(&mut say, children, &doing, &mut outcome);
            }
        }
        run.observed_generation = self.generation;
        run.phase = Phase::of(&run.conditions);
        outcome
    }

    fn run(&self, say: &mut Say<'_>, children: Vec<Child>, doing: &str, outcome: &mut Outcome) {
        let deadline = self
            .policy
            .active_deadline_seconds
            .map(|s| Duration::from_secs(u64::from(s)));
        if self.observed.anything_runs() {
            outcome.requeue = sooner(outcome.requeue, self.left(say.run, deadline));
        } else {
            // Bounds of active time do not come nearer while nothing runs.
            outcome.requeue = None;
        }
        let (mut pausing, mut blocked) = (vec![], None);
        for child in children {
            let attempts = say.run.attempts.get(&child.key);
            let wait = attempts
                .and_then(|a| a.retry_at.as_ref())
                .map(|at| until(at.0, self.now))
                .filter(|w| !w.is_zero());
            match (wait, self.observed.state(&child.key, child.attempt)) {
                (Some(wait), ChildState::Absent) => {
                    outcome.requeue = sooner(outcome.requeue, Some(wait));
                    let why = attempts.and_then(|a| a.reason.clone()).unwrap_or_default();
                    let at = attempts
                        .and_then(|a| a.retry_at.as_ref())
                        .map(|t| t.0.to_string())
                        .unwrap_or_default();
                    pausing.push(format!(
                        "{}; attempt {} begins at {at}",
                        self.failure(&child, &why),
                        child.attempt + 1
                    ));
                    continue;
                }
                (
                    _,
                    ChildState::Pending {
                        reason: Some(reason),
                        message,
                    },
                ) => {
                    blocked = Some(Cause::new(reason, format!("{}: {message}", child.name)));
                }
                _ => {}
            }
            outcome.children.push(child);
        }
        let first = say.run.start_time.is_none();
        match (outcome.children.is_empty(), blocked) {
            (true, _) if !pausing.is_empty() => {
                say.going(c::reason::BACKING_OFF, &pausing.join("; "), false)
            }
            (_, Some(why)) => say.going(
                if is_reason(&why.reason) {
                    &why.reason
                } else {
                    c::reason::STARTING
                },
                &why.message,
                first,
            ),
            _ if first => say.going(c::reason::STARTING, doing, true),
            _ => say.going(
                c::reason::RUNNING,
                &[&[doing.to_owned()], pausing.as_slice()]
                    .concat()
                    .join("; "),
                false,
            ),
        }
    }
}

/// Describes the failure of a child that failed.
fn failed(key: &str, seen: &Seen) -> Option<String> {
    match &seen.state {
        ChildState::Failed {
            exit_code,
            reason,
            message,
            ..
        } => Some(describe(key, *exit_code, reason, message)),
        _ => None,
    }
}

fn describe(key: &str, exit_code: Option<i32>, reason: &str, message: &str) -> String {
    let code = exit_code
        .map(|code| format!(", exit code {code}"))
        .unwrap_or_default();
    c::shorten(
        &format!("{key} failed ({reason}{code}): {message}"),
        c::MAX_MESSAGE,
    )
}

/// Returns true if a word may be the reason of a condition.
fn is_reason(word: &str) -> bool {
    word.len() <= 64
        && word.starts_with(|b: char| b.is_ascii_uppercase())
        && word.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Writes all conditions at once, so that they never contradict each other.
struct Say<'a> {
    run: &'a mut RunStatus,
    generation: Option<i64>,
    now: Timestamp,
}

impl Say<'_> {
    fn set(&mut self, type_: &str, status: bool, reason: &str, message: &str) {
        set(
            &mut self.run.conditions,
            (type_, status, reason, message),
            self.generation,
            self.now,
        );
    }

    /// Accepted unless it waits, and of what is there only while it is so no more than `states`.
    fn common(&mut self, waits: Option<&Cause>, states: &[&str]) {
        self.run.conditions.retain(|c| {
            let type_ = c.type_.as_str();
            !PASSING.contains(&type_) || states.contains(&type_)
        });
        match waits {
            None => self.set(c::ACCEPTED, true, reason::ACCEPTED, ""),
            Some(why) => self.set(c::ACCEPTED, false, &why.reason, &why.message),
        }
    }

    fn going(&mut self, why: &str, message: &str, bringing_up: bool) {
        if bringing_up {
            self.common(None, &[c::RECONCILING]);
            self.set(c::RECONCILING, true, why, "");
        } else {
            self.common(None, &[]);
        }
        self.set(c::PROGRESSING, true, why, message);
    }

    fn waiting(&mut self, why: &Cause) {
        self.common(Some(why), &[c::RECONCILING]);
        self.set(c::PROGRESSING, false, &why.reason, "");
        self.set(c::RECONCILING, true, &why.reason, "");
    }

    fn suspended(&mut self) {
        self.common(None, &[c::SUSPENDED]);
        self.set(
            c::SUSPENDED,
            true,
            reason::SUSPENDED,
            "nothing runs and the clock stands still",
        );
        self.set(c::PROGRESSING, false, reason::SUSPENDED, "");
    }

    fn ended(&mut self, well: bool, why: &Cause) {
        let states: &[&str] = match well {
            true => &[c::COMPLETE],
            false => &[c::FAILED, c::STALLED],
        };
        self.common(None, states);
        for state in states {
            self.set(state, true, &why.reason, &why.message);
        }
        self.set(c::PROGRESSING, false, reason::FINISHED, "");
    }
}
