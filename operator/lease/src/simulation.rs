//! A simulation of candidates under any order of events: requests and answers delayed or lost, processes paused, killed and
//! restarted, clocks that differ, the lease emptied by hand. No two candidates ever lead at the same time.

use super::{Candidate, LeaseState, Step};
use proptest::prelude::*;
use std::time::Duration;

const CANDIDATES: usize = 3;

/// The next event. Candidates and messages are chosen by number, modulo their count.
#[derive(Clone, Debug)]
enum Event {
    /// Time passes for everyone.
    Pass(u64),
    /// A candidate takes its next step, unless it waits for an answer. One that is not chosen for a long time is paused.
    Run(usize),
    /// A request reaches the API server and is carried out.
    Arrive(usize),
    /// An answer reaches its candidate, if it still waits for it.
    Answer(usize),
    /// An answer is lost.
    Lose(usize),
    /// A candidate gives up on its request, which may still arrive.
    GiveUp(usize),
    /// A candidate ends regularly, and its lease is to be released.
    Resign(usize),
    /// A candidate is killed, and another process takes its place.
    Restart(usize),
    /// Somebody empties the lease by hand.
    Empty,
    /// Everybody runs, and everything under way arrives and is answered: the normal case.
    Calm,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1_u64..2_000).prop_map(Event::Pass),
        3 => (2_000_u64..20_000).prop_map(Event::Pass),
        8 => any::<usize>().prop_map(Event::Run),
        8 => any::<usize>().prop_map(Event::Arrive),
        8 => any::<usize>().prop_map(Event::Answer),
        2 => any::<usize>().prop_map(Event::Lose),
        3 => any::<usize>().prop_map(Event::GiveUp),
        1 => any::<usize>().prop_map(Event::Resign),
        1 => any::<usize>().prop_map(Event::Restart),
        1 => Just(Event::Empty),
        6 => Just(Event::Calm),
    ]
}

#[derive(Clone, Debug)]
struct Request {
    from: usize,
    number: u64,
    sent: Duration,
    step: Step,
    /// Identity and duration of the sender: another candidate may have replaced it when the request arrives.
    identity: String,
    duration: Duration,
}

enum Reply {
    Found(Option<LeaseState>),
    Wrote(String),
    Refused,
}

struct Process {
    candidate: Candidate,
    identity: String,
    /// The offset of its clock in milliseconds, and the clock's rate in thousandths.
    offset: u64,
    rate: u64,
    duration: Duration,
    waiting: Option<u64>,
    lives: u32,
}

struct World {
    now: u64,
    version: u64,
    lease: Option<LeaseState>,
    processes: Vec<Process>,
    under_way: Vec<Request>,
    answers: Vec<(Request, Reply)>,
    requests: u64,
    /// The number of times that somebody began to lead: a simulation without leaders would prove nothing.
    terms: u64,
}

impl World {
    fn new(clocks: &[(u64, u64, u64)]) -> Self {
        let processes = clocks
            .iter()
            .enumerate()
            .map(|(index, &(offset, rate, seconds))| {
                let duration = Duration::from_secs(seconds);
                let identity = format!("{index}");
                Process {
                    candidate: Candidate::new(&identity, duration),
                    identity,
                    offset,
                    rate,
                    duration,
                    waiting: None,
                    lives: 0,
                }
            });
        Self {
            now: 0,
            version: 0,
            lease: None,
            processes: processes.collect(),
            under_way: Vec::new(),
            answers: Vec::new(),
            requests: 0,
            terms: 0,
        }
    }

    fn clock(&self, process: usize) -> Duration {
        let Process { offset, rate, .. } = self.processes[process];
        Duration::from_millis(offset + self.now * rate / 1000)
    }

    fn leaders(&self) -> Vec<usize> {
        (0..self.processes.len())
            .filter(|&index| self.processes[index].candidate.leads(self.clock(index)))
            .collect()
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Pass(milliseconds) => self.now += milliseconds,
            Event::Run(index) => self.run(index % self.processes.len()),
            Event::Arrive(index) => self.arrive(index),
            Event::Answer(index) => self.answer(index),
            Event::Lose(index) => {
                if !self.answers.is_empty() {
                    self.answers.swap_remove(index % self.answers.len());
                }
            }
            Event::GiveUp(index) => {
                let index = index % self.processes.len();
                let now = self.clock(index);
                if self.processes[index].waiting.take().is_some() {
                    self.processes[index].candidate.outcome_unknown(now, 0.5);
                }
            }
            Event::Resign(index) => {
                let index = index % self.processes.len();
                let now = self.clock(index);
                let process = &mut self.processes[index];
                if process.waiting.take().is_some() {
                    process.candidate.outcome_unknown(now, 0.5);
                }
                process.candidate.resign();
            }
            Event::Restart(index) => {
                let index = index % self.processes.len();
                let process = &mut self.processes[index];
                process.lives += 1;
                process.identity = format!("{index}_{}", process.lives);
                process.candidate = Candidate::new(&process.identity, process.duration);
                process.waiting = None;
            }
            Event::Empty => {
                self.version += 1;
                if let Some(lease) = &mut self.lease {
                    lease.version = self.version.to_string();
                    lease.holder.clear();
                    lease.released = false;
                }
            }
            Event::Calm => {
                self.now += 100;
                for process in 0..self.processes.len() {
                    self.run(process);
                }
                while !self.under_way.is_empty() {
                    self.arrive(0);
                }
                while !self.answers.is_empty() {
                    self.answer(0);
                }
            }
        }
    }

    fn run(&mut self, index: usize) {
        let now = self.clock(index);
        let process = &mut self.processes[index];
        if process.waiting.is_some() {
            return;
        }
        let step = process.candidate.step(now);
        match &step {
            Step::Wait(_) | Step::Done => return,
            Step::Read => {}
            Step::Acquire(_) | Step::Release(_) => process.candidate.outcome_unknown(now, 0.5),
        }
        self.requests += 1;
        process.waiting = Some(self.requests);
        self.under_way.push(Request {
            from: index,
            number: self.requests,
            sent: now,
            step,
            identity: process.identity.clone(),
            duration: process.duration,
        });
    }

    fn arrive(&mut self, index: usize) {
        if self.under_way.is_empty() {
            return;
        }
        let request = self.under_way.remove(index % self.under_way.len());
        let current = self.lease.as_ref().map(|lease| lease.version.clone());
        let reply = match &request.step {
            Step::Acquire(over) if *over == current => {
                self.write(&request.identity, false, request.duration);
                Reply::Wrote(self.version.to_string())
            }
            Step::Release(over) if Some(over) == current.as_ref() => {
                self.write("", true, request.duration);
                Reply::Wrote(self.version.to_string())
            }
            Step::Read => Reply::Found(self.lease.clone()),
            _ => Reply::Refused,
        };
        self.answers.push((request, reply));
    }

    fn write(&mut self, holder: &str, released: bool, duration: Duration) {
        self.version += 1;
        let version = self.version.to_string();
        self.lease = Some(LeaseState {
            version,
            holder: holder.to_owned(),
            released,
            duration,
        });
    }

    fn answer(&mut self, index: usize) {
        if self.answers.is_empty() {
            return;
        }
        let (request, reply) = self.answers.remove(index % self.answers.len());
        let now = self.clock(request.from);
        let process = &mut self.processes[request.from];
        if process.waiting != Some(request.number) {
            return;
        }
        process.waiting = None;
        let led = process.candidate.leads(now);
        match (reply, request.step) {
            (Reply::Found(lease), _) => process.candidate.was_read(now, lease, 0.5),
            (Reply::Wrote(_), Step::Release(_)) => process.candidate.released(),
            (Reply::Wrote(version), _) => process.candidate.acquired(request.sent, version, 0.5),
            (Reply::Refused, _) => process.candidate.outcome_unknown(now, 0.5),
        }
        self.terms += u64::from(!led && process.candidate.leads(now));
    }
}

/// A clock up to 20 s off, up to a tenth slow or fast, and the lease's duration: replicas may be set differently.
fn clocks() -> impl Strategy<Value = Vec<(u64, u64, u64)>> {
    prop::collection::vec(
        (
            0_u64..40_000,
            900_u64..1_100,
            prop_oneof![Just(15_u64), Just(4), Just(30)],
        ),
        CANDIDATES,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_two_candidates_lead_at_the_same_time(clocks in clocks(), events in prop::collection::vec(event(), 1..400)) {
        let mut world = World::new(&clocks);
        for event in &events {
            world.happen(event);
            prop_assert!(world.leaders().len() <= 1, "{:?} lead after {event:?}", world.leaders());
        }
    }

    #[test]
    fn a_leader_is_elected_soon_when_nothing_fails(clocks in clocks(), events in prop::collection::vec(event(), 1..100)) {
        let mut world = World::new(&clocks);
        for event in events.iter().filter(|event| !matches!(event, Event::Resign(_))) {
            world.happen(event);
        }
        world.answers.clear();
        world.under_way.clear();
        for index in 0..CANDIDATES {
            world.happen(&Event::GiveUp(index));
        }
        // 40 s: the longest lease by the slowest clock, and some reads.
        for _ in 0..400 {
            world.happen(&Event::Calm);
        }
        prop_assert_eq!(world.leaders().len(), 1);
    }
}

/// Claims that last longer than others wait overlap; the simulation must be able to find that.
#[test]
fn the_simulation_finds_claims_that_are_too_long() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut overlaps, mut terms) = (0, 0);
    for _ in 0..500 {
        let Ok(events) = prop::collection::vec(event(), 1..400).new_tree(&mut runner) else {
            continue;
        };
        let mut world = World::new(&[(0, 1000, 15), (20_000, 1000, 15)]);
        for process in &mut world.processes {
            process.candidate.claim_for = Duration::from_secs(25);
        }
        let events = events.current();
        let split = events.iter().any(|event| {
            world.happen(event);
            world.leaders().len() > 1
        });
        overlaps += u32::from(split);
        terms += world.terms;
    }
    assert!(overlaps > 10, "only {overlaps} of 500 worlds found it");
    assert!(terms > 500, "only {terms} terms in 500 worlds");
}
