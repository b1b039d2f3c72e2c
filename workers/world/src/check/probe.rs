//! Tools tried with arguments that the gold does not have, so that rare paths are reached: exceptions by mistake, runs
//! without end, and writes that the schema forbids.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use agoge_dialogue::ToolSpec;
use agoge_sandbox::{Names, Outcome};
use serde_json::Value;

use super::candidates::{Examples, Trial, Unlike, trials};
use super::mistake::{is_mistake, placed};
use super::trace::Raised;
use super::writes::{Rules, writes};
use super::{BUSY, line_of_tool};
use crate::domain::Domain;
use crate::episode::{Episode, World};
use crate::problem::{Findings, Problem};
use crate::schema;

/// Calls of all tools together, about.
const CALLS: usize = 2000;
/// Calls of one tool: at least, and at most.
const OF_TOOL: (usize, usize) = (32, 160);
/// Runs without end of one tool, after which it is left.
const KILLED: usize = 2;
/// The time after which no further call is made.
const TIME: Duration = Duration::from_secs(30);

/// Tries every tool, and returns what is found: a problem where the arguments are such as right calls have, else a warning.
pub(super) fn findings(
    world: &mut World,
    names: &Names,
    rules: &Rules<'_>,
    examples: &Examples,
) -> Findings {
    let domain = world.domain().clone();
    let began = Instant::now();
    let mut probe = Probe {
        domain: &domain,
        names,
        rules,
        seen: BTreeSet::new(),
        found: Findings::default(),
    };
    let mut unlike = Unlike::default();
    let tools: Vec<&ToolSpec> = domain.tools.iter().chain(&domain.user_tools).collect();
    let share = (CALLS / tools.len().max(1)).clamp(OF_TOOL.0, OF_TOOL.1);
    for tool in tools {
        // A tool of a server is no function of the tools' source.
        if domain.function(&tool.name).is_none() {
            continue;
        }
        let mut killed = 0;
        for trial in trials(&domain, tool, examples, &mut unlike)
            .iter()
            .take(share)
        {
            if began.elapsed() > TIME {
                let message = format!(
                    "trying the tools took too long and ended with `{}`",
                    tool.name
                );
                let file = domain.dir.join("tools.py");
                probe.found.notes.push(Problem::new(&file, message, ""));
                return probe.found;
            }
            match probe.attempt(world, tool, trial) {
                Ended::Well => {}
                Ended::Killed => killed += 1,
                Ended::Lost(reason) => {
                    let problem = Problem::new(&domain.dir, reason, BUSY);
                    probe.found.problems.push(problem);
                    return probe.found;
                }
            }
            if killed >= KILLED {
                break;
            }
        }
    }
    probe.found
}

enum Ended {
    Well,
    Killed,
    Lost(String),
}

struct Probe<'a> {
    domain: &'a Domain,
    names: &'a Names,
    rules: &'a Rules<'a>,
    /// The findings there are, each once.
    seen: BTreeSet<String>,
    found: Findings,
}

impl Probe<'_> {
    fn attempt(&mut self, world: &mut World, tool: &ToolSpec, trial: &Trial) -> Ended {
        let Ok(arguments) = schema::arguments(tool, &trial.arguments) else {
            return Ended::Well;
        };
        let mut episode = Episode::default();
        let called = format!("{}({})", tool.name, shown(&arguments));
        match world.run(&mut episode, &tool.name, &arguments) {
            Outcome::Value(_) => {
                for write in writes(
                    &self.domain.state,
                    &Episode::default().overlay,
                    &episode.overlay,
                ) {
                    for fault in self.rules.faults(&write) {
                        let message = format!("{called} writes {}", fault.message);
                        let remedy = "correct the tool, or schema.json";
                        let line = line_of_tool(self.domain, &tool.name);
                        self.add(
                            &format!("{} {}", tool.name, fault.key),
                            trial,
                            line,
                            message,
                            remedy,
                        );
                    }
                }
                Ended::Well
            }
            Outcome::Raised {
                kind,
                message,
                line,
            } => {
                let raised = Raised {
                    kind,
                    message,
                    line,
                };
                if is_mistake(self.names, &raised) {
                    let place = placed(self.domain, &raised);
                    let message = format!("{called} breaks: {place}: {}", raised.message);
                    let remedy = "correct it, or refuse the call by `raise ValueError(..)`";
                    self.add(&place, trial, raised.line, message, remedy);
                }
                Ended::Well
            }
            Outcome::Killed(reason) => {
                let message = format!("{called} does not end: {reason}");
                let remedy = "correct the loop, or search less";
                let line = line_of_tool(self.domain, &tool.name);
                self.add(
                    &format!("{} killed", tool.name),
                    trial,
                    line,
                    message,
                    remedy,
                );
                Ended::Killed
            }
            Outcome::Lost(reason) => Ended::Lost(format!("{called} gave no result: {reason}")),
        }
    }

    fn add(&mut self, key: &str, trial: &Trial, line: Option<u32>, message: String, remedy: &str) {
        if !self.seen.insert(key.to_owned()) {
            return;
        }
        let (file, line) = self.domain.place(line);
        let problem = Problem::new(&file, message, remedy).at(line);
        match trial.odd {
            true => self.found.warnings.push(problem),
            false => self.found.problems.push(problem),
        }
    }
}

fn shown(arguments: &serde_json::Map<String, Value>) -> String {
    let each = arguments
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    each.collect::<Vec<_>>().join(", ")
}
