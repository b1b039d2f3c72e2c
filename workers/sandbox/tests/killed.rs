//! Sandboxes whose process is killed or stopped from outside, by a person or a node short of memory. Each test kills every
//! sandbox that this test process started, so they take turns.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use agoge_sandbox::{CheckInput, Limits, Outcome, Overlay, Program, Sandbox, State};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, json};

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The children of this process, each with the ticks of processor time that it used.
fn children() -> Vec<(Pid, u64)> {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let found = entries.filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // `pid (name) state ppid ...`
        let (_, rest) = stat.rsplit_once(") ")?;
        let words: Vec<&str> = rest.split(' ').collect();
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        (*words.get(1)? == own).then_some((Pid::from_raw(pid)?, words.get(11)?.parse().ok()?))
    });
    found.collect()
}

fn signal_children(signal: Signal) -> usize {
    let all = children();
    let sent = all
        .iter()
        .filter(|(pid, _)| kill_process(*pid, signal).is_ok());
    sent.count()
}

const ADD: &str = "def add() -> int:\n    t = db_get(\"things\", \"1\")\n    t[\"n\"] = t[\"n\"] + 1\n    db_put(\"things\", \"1\", t)\n    return t[\"n\"]\n";

fn sandbox(cpu: Duration) -> Sandbox {
    let state = State::from_json(json!({"things": {"1": {"n": 1}}})).unwrap();
    let program = Program {
        state,
        tools: ADD.into(),
        schema: None,
    };
    let limits = Limits {
        cpu,
        ..Limits::default()
    };
    Sandbox::spawn(program, limits).unwrap()
}

/// Runs a check that counts to this number.
fn count_to(sandbox: &mut Sandbox, most: u32) -> Outcome {
    let source = format!(
        "def check(calls, messages):\n    n = 0\n    while n < {most}:\n        n = n + 1\n    return True\n"
    );
    let overlay = Overlay::default();
    let input = CheckInput {
        initial: &overlay,
        last: &overlay,
        calls: &json!([]),
        messages: &json!([]),
        now: "",
    };
    sandbox.check(&source, "check", input)
}

const LONG: u32 = 5_000_000;

#[test]
fn a_run_whose_process_was_killed_from_outside_is_played_again() {
    let _turn = turn();
    let mut sandbox = sandbox(Duration::from_secs(2));
    let (first, overlay) = sandbox.call(&Overlay::default(), "", "add", &Map::new(), None);
    assert_eq!(first, Outcome::Value(json!(2)));
    assert!(signal_children(Signal::KILL) > 0);
    let (second, after) = sandbox.call(&overlay, "", "add", &Map::new(), None);
    assert_eq!(
        second,
        Outcome::Value(json!(3)),
        "neither lost nor done twice"
    );
    assert_ne!(after, overlay);
}

#[test]
fn a_check_that_is_killed_in_its_middle_ends_as_if_nothing_had_been() {
    let _turn = turn();
    let mut sandbox = sandbox(Duration::from_secs(60));
    let over = AtomicBool::new(false);
    let (outcome, killed) = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if children().iter().any(|(_, ticks)| *ticks >= 5) {
                    return signal_children(Signal::KILL);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            0
        });
        let outcome = count_to(&mut sandbox, LONG);
        over.store(true, Ordering::Relaxed);
        (outcome, killer.join().unwrap())
    });
    assert_eq!(outcome, Outcome::Value(json!(true)));
    assert!(killed > 0, "the check was over before it could be killed");
}

#[test]
fn a_check_that_is_killed_each_time_is_lost_and_the_next_one_is_judged() {
    let _turn = turn();
    let mut sandbox = sandbox(Duration::from_secs(60));
    let over = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                signal_children(Signal::KILL);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let outcome = count_to(&mut sandbox, LONG);
        over.store(true, Ordering::Relaxed);
        outcome
    });
    assert!(matches!(outcome, Outcome::Lost(_)), "{outcome}");
    assert_eq!(count_to(&mut sandbox, 10), Outcome::Value(json!(true)));
}

#[test]
fn a_check_whose_process_stands_still_for_longer_than_its_time_is_not_over_time() {
    let _turn = turn();
    let cpu = Duration::from_millis(300);
    let mut sandbox = sandbox(cpu);
    assert!(signal_children(Signal::STOP) > 0);
    let begun = Instant::now();
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(cpu * 4);
            signal_children(Signal::CONT);
        });
        count_to(&mut sandbox, 1_000)
    });
    assert_eq!(outcome, Outcome::Value(json!(true)));
    assert!(begun.elapsed() >= cpu * 3, "it did not stand still");
}
