//! The gold of every branch and of every task as given, played: it works, it writes what the schema allows, and a refusal
//! changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use agoge_sandbox::Names;

use super::candidates::Examples;
use super::mistake::placed;
use super::shared::Shared;
use super::trace::{Trace, TracedCall, trace};
use super::writes::Rules;
use super::{BUSY, PLAYED, line_of_branch, line_of_tool};
use crate::demonstrate::{DemoError, demonstrate};
use crate::domain::Domain;
use crate::draw::Cell;
use crate::episode::World;
use crate::problem::{Findings, Problem, line_of};
use crate::replay::{GoldError, replay};
use crate::said::mentions;
use crate::task::{Split, Task};

/// Tasks as given that are played.
const GIVEN: usize = 400;
/// Letters by which two words are taken for forms of one.
const STEM: usize = 4;

/// The gold as it was played.
pub(super) struct Played {
    pub findings: Findings,
    /// One instance of each branch.
    pub branches: Vec<Trace>,
    /// The arguments of every tool's calls.
    pub examples: Examples,
}

/// Plays a few instances of every branch in every split, and the tasks as given.
pub(super) fn play_all(
    world: &mut World,
    shared: &Shared<'_>,
    names: &Names,
    rules: &Rules<'_>,
) -> Played {
    let domain = world.domain().clone();
    let mut play = Play {
        domain: &domain,
        names,
        rules,
        seen: BTreeSet::new(),
        stopped: BTreeSet::new(),
        played: Played {
            findings: Findings::default(),
            branches: Vec::new(),
            examples: Examples::new(),
        },
    };
    if !domain.templates.is_empty() {
        play.templates(world, shared);
    }
    play.given(world);
    play.played
}

struct Play<'a> {
    domain: &'a Arc<Domain>,
    names: &'a Names,
    rules: &'a Rules<'a>,
    /// The findings there are, each once.
    seen: BTreeSet<String>,
    /// Tools that a limit of the sandbox stopped: each such call takes seconds, so they are not traced again.
    stopped: BTreeSet<String>,
    played: Played,
}

impl Play<'_> {
    fn templates(&mut self, world: &mut World, shared: &Shared<'_>) {
        let mut splits = vec![Split::Heldout, Split::TrainSft, Split::TrainRl];
        if self.domain.templates.iter().any(|template| template.unseen) {
            splits.push(Split::Unseen);
        }
        let mut failed = Vec::new();
        let domain = self.domain;
        for split in splits {
            match shared.cells(split) {
                Ok(cells) => {
                    for cell in cells {
                        failed.extend(self.branch(world, cell, split));
                    }
                }
                Err(error) => {
                    let folder = domain.dir.join("templates");
                    let remedy = "every branch needs records on every side";
                    failed.push(Problem::new(&folder, error.to_string(), remedy));
                }
            }
        }
        failed.dedup_by(|a, b| a.file == b.file && a.line == b.line);
        self.played.findings.problems.extend(failed);
    }

    /// Plays a few instances of one branch by their gold, and returns the first that fails.
    fn branch(&mut self, world: &mut World, cell: &Cell<'_>, split: Split) -> Option<Problem> {
        let domain = self.domain;
        let line = line_of_branch(cell);
        let file = domain.template_file(cell.template);
        let mut drawn = Vec::new();
        if let Err(error) = cell.draw(domain, split, 0, PLAYED, &mut drawn) {
            let problem = Problem::new(&file, error.to_string(), "correct the template");
            return Some(problem.at(line));
        }
        for task in &drawn {
            if task
                .gold
                .iter()
                .any(|call| self.stopped.contains(&call.name))
            {
                continue;
            }
            if let Ok(trace) = trace(world, task) {
                let stopped = trace.calls.iter().filter(|call| call.stopped);
                self.stopped.extend(stopped.map(|call| call.name.clone()));
                self.held(&trace, &Place { file: &file, line });
                let branches = &mut self.played.branches;
                if !branches.iter().any(|one| one.branch == trace.branch) {
                    branches.push(trace);
                }
            }
        }
        let failed = drawn.iter().find_map(|task| {
            let error = demonstrate(world, task).err()?;
            let remedy = match &error {
                DemoError::Gold(GoldError::Lost(_)) => BUSY,
                DemoError::Gold(_) => "correct the branch's `gold` or `where`, or the tool",
                DemoError::User(_) => {
                    "correct the fact's `question` or `asked`, or the branch's `say`"
                }
            };
            let raised = match &error {
                DemoError::Gold(GoldError::Refused { number, .. }) => raised(world, task, *number),
                _ => None,
            };
            let raised = raised.map(|at| format!(" ({at})")).unwrap_or_default();
            Some((format!("task {}: {error}{raised}", task.id), remedy))
        });
        let (message, remedy) = failed?;
        Some(Problem::new(&file, message, remedy).at(line))
    }

    /// Plays the tasks of tasks.jsonl.
    fn given(&mut self, world: &mut World) {
        let domain = self.domain;
        let file = domain.dir.join("tasks.jsonl");
        let text = match domain.tasks.is_empty() {
            true => return,
            false => std::fs::read_to_string(&file).unwrap_or_default(),
        };
        let mut idle = 0;
        for task in domain.tasks.iter().take(GIVEN) {
            let line = line_of(&text, &format!("\"{}\"", task.id), 1);
            if let Err(error) = replay(world, task) {
                let remedy = match &error {
                    GoldError::Lost(_) => BUSY,
                    _ => "correct the task's `gold`, or mark the call by `\"fails\": true`",
                };
                let message = format!("task {}: {error}", task.id);
                let problem = Problem::new(&file, message, remedy).at(line);
                self.played.findings.problems.push(problem);
                continue;
            }
            if let Ok(trace) = trace(world, task) {
                let asks =
                    !task.outputs.is_empty() || !task.asserts.is_empty() || !task.calls.is_empty();
                idle +=
                    usize::from(!asks && trace.calls.iter().all(|call| call.changes.is_empty()));
                self.held(&trace, &Place { file: &file, line });
            }
        }
        if idle > 0 {
            let played = domain.tasks.len().min(GIVEN);
            let message = format!("an agent that does nothing passes {idle} of {played} tasks");
            self.played
                .findings
                .notes
                .push(Problem::new(&file, message, ""));
        }
    }

    /// Holds the calls of a task against the rules.
    fn held(&mut self, trace: &Trace, place: &Place<'_>) {
        let task = &trace.task;
        for call in &trace.calls {
            if !call.worked {
                continue;
            }
            let examples = self.played.examples.entry(call.name.clone()).or_default();
            examples.push(call.arguments.clone());
            self.written(call, trace);
            self.unmentioned(call);
        }
        let acts = trace.calls.iter().find(|call| !call.changes.is_empty());
        let branch = match trace.branch.is_empty() {
            true => format!("task {task}"),
            false => format!("branch `{}`", trace.branch),
        };
        match acts {
            Some(call) if trace.refusal => {
                let message = format!(
                    "{branch} is a refusal, and its gold acts: `{}` changes records",
                    call.name
                );
                let remedy = "leave the call out, or drop `refusal: true`";
                self.problem(&format!("acts {branch}"), place, message, remedy);
            }
            None if !trace.refusal && trace.calls.iter().all(|call| call.worked) => {
                let writer = trace
                    .calls
                    .iter()
                    .find(|call| self.names.writers.contains(&call.name));
                if let Some(call) = writer {
                    let message = format!(
                        "the gold of {branch} changes nothing, although it calls `{}` (task {task})",
                        call.name
                    );
                    let remedy = "correct the tool, or choose other records in `where`";
                    self.warning(&format!("idle {branch}"), place, message, remedy);
                }
            }
            _ => {}
        }
    }

    /// Holds the records that a call wrote against the schema.
    fn written(&mut self, call: &TracedCall, trace: &Trace) {
        for write in &call.writes {
            for fault in self.rules.faults(write) {
                let of = match trace.branch.is_empty() {
                    true => &trace.task,
                    false => &trace.branch,
                };
                let message = format!(
                    "`{}` in the gold of {of} writes {}",
                    call.name, fault.message
                );
                let remedy = "correct the tool, or schema.json";
                let (file, line) = self.domain.place(line_of_tool(self.domain, &call.name));
                let place = Place { file: &file, line };
                self.problem(
                    &format!("{} {}", call.name, fault.key),
                    &place,
                    message,
                    remedy,
                );
            }
        }
    }

    /// Warns about a field that a call changes and no text of the domain speaks of.
    fn unmentioned(&mut self, call: &TracedCall) {
        for change in &call.changes {
            let (collection, field) = (&change.collection, &change.field);
            let key = format!("unmentioned {} {collection}.{field}", call.name);
            if field == "*" || !self.seen.insert(key) || self.is_mentioned(field) {
                continue;
            }
            let message = format!(
                "`{}` changes `{collection}.{field}`, of which neither policy.md nor a docstring speaks",
                call.name
            );
            let remedy = "correct the tool, or name the field in its docstring";
            let (file, line) = self.domain.place(line_of_tool(self.domain, &call.name));
            let warning = Problem::new(&file, message, remedy).at(line);
            self.played.findings.warnings.push(warning);
        }
    }

    /// Returns true when a text that the agent reads has a word of a field's name, in any form.
    fn is_mentioned(&self, field: &str) -> bool {
        let tools = self.domain.tools.iter().chain(&self.domain.user_tools);
        let texts = tools.flat_map(|tool| [tool.name.as_str(), tool.description.as_str()]);
        let texts = texts.chain([self.domain.policy.as_str()]);
        let texts: Vec<String> = texts.map(str::to_lowercase).collect();
        let words = field.split(['_', '.', '-']).filter(|word| !word.is_empty());
        let mut words = words.map(|word| word.to_lowercase());
        words.any(|word| {
            let stem: String = word.chars().take(STEM).collect();
            texts.iter().any(|text| {
                let mut parts = text.split(|c: char| !c.is_alphanumeric());
                parts.any(|part| part.starts_with(&stem)) || mentions(text, &word)
            })
        })
    }

    fn problem(&mut self, key: &str, place: &Place<'_>, message: String, remedy: &str) {
        if self.seen.insert(key.to_owned()) {
            let problem = Problem::new(place.file, message, remedy).at(place.line);
            self.played.findings.problems.push(problem);
        }
    }

    fn warning(&mut self, key: &str, place: &Place<'_>, message: String, remedy: &str) {
        if self.seen.insert(key.to_owned()) {
            let warning = Problem::new(place.file, message, remedy).at(place.line);
            self.played.findings.warnings.push(warning);
        }
    }
}

/// A line of a file.
struct Place<'a> {
    file: &'a std::path::Path,
    line: Option<u32>,
}

/// Returns the exception of a gold call, by its number from 1, with its place.
fn raised(world: &mut World, task: &Task, number: usize) -> Option<String> {
    let domain = world.domain().clone();
    let trace = trace(world, task).ok()?;
    let raised = trace.calls.get(number.checked_sub(1)?)?.raised.as_ref()?;
    Some(placed(&domain, raised))
}
