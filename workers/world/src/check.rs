//! The check of a domain's folder before anything is run with it: loading, completeness, contradictions in templates, and
//! gold that does not work.

mod accident;
mod template;

use std::path::Path;
use std::sync::Arc;

use agoge_sandbox::Limits;

use crate::demonstrate::{DemoError, demonstrate};
use crate::domain::Domain;
use crate::draw::{Cell, cells};
use crate::episode::{World, WorldError};
use crate::problem::{Problem, Problems, line_of};
use crate::replay::GoldError;
use crate::task::Split;
use template::flaws;

/// The suggested fix where the sandbox was not let finish.
const BUSY: &str = "run the check again when the machine is less busy";
/// Instances of each branch that are played.
const PLAYED: usize = 4;

impl Domain {
    /// Returns every problem of a folder: it loads, it is complete, its templates contradict nothing, its gold works.
    #[must_use]
    pub fn check(dir: &Path) -> Vec<Problem> {
        let domain = match Self::load(dir) {
            Ok(domain) => Arc::new(domain),
            Err(Problems(problems)) => return problems,
        };
        let mut problems = missing(&domain);
        problems.extend(contradictions(&domain));
        if problems.is_empty() {
            problems.extend(played(&domain));
        }
        problems
    }
}

/// Returns what a folder lacks although it can be loaded.
fn missing(domain: &Domain) -> Vec<Problem> {
    let mut problems = Vec::new();
    if domain.prompt.is_empty() {
        let head = domain.dir.join("domain.yaml");
        let remedy =
            "add one, such as the desk's name; small policies learn the rest in their weights";
        problems.push(Problem::new(&head, "it has no `prompt`", remedy));
    }
    if domain.policy.trim().is_empty() {
        let file = domain.dir.join("policy.md");
        problems.push(Problem::new(&file, "it is empty", "write the policy there"));
    }
    problems
}

/// Returns the contradictions in all templates.
fn contradictions(domain: &Domain) -> Vec<Problem> {
    let mut problems = Vec::new();
    for template in &domain.templates {
        let file = domain.template_file(template);
        for flaw in flaws(domain, template) {
            problems.push(Problem::new(&file, flaw.message, flaw.remedy).at(flaw.line));
        }
    }
    problems
}

/// Plays a few instances of every branch in every split.
fn played(domain: &Arc<Domain>) -> Vec<Problem> {
    if domain.templates.is_empty() {
        return opened(domain).err().into_iter().collect();
    }
    let mut world = match opened(domain) {
        Ok(world) => world,
        Err(problem) => return vec![problem],
    };
    let mut problems = Vec::new();
    let mut splits = vec![Split::Heldout, Split::TrainSft, Split::TrainRl];
    if domain.templates.iter().any(|template| template.unseen) {
        splits.push(Split::Unseen);
    }
    for split in splits {
        match cells(domain, split) {
            Ok(cells) => {
                let played = cells
                    .iter()
                    .filter_map(|cell| play(&mut world, cell, split));
                problems.extend(played);
            }
            Err(error) => {
                let folder = domain.dir.join("templates");
                let remedy = "every branch needs records on every side";
                problems.push(Problem::new(&folder, error.to_string(), remedy));
            }
        }
    }
    problems.dedup_by(|a, b| a.file == b.file && a.line == b.line);
    problems
}

fn opened(domain: &Arc<Domain>) -> Result<World, Problem> {
    World::open(domain.clone(), Limits::default()).map_err(|error| match error {
        WorldError::Import {
            file,
            line,
            message,
        } => {
            let message = format!("it fails at import: {message}");
            Problem::new(&file, message, "correct the module's top level").at(line)
        }
        error @ WorldError::Lost(_) => Problem::new(&domain.dir, error.to_string(), BUSY),
        error @ WorldError::Start { .. } => {
            let remedy = "build the whole workspace, or name the binary in AGOGE_SANDBOX";
            Problem::new(&domain.dir, error.to_string(), remedy)
        }
    })
}

/// Plays a few instances of one branch by their gold, and returns the first problem.
fn play(world: &mut World, cell: &Cell<'_>, split: Split) -> Option<Problem> {
    let domain = world.domain().clone();
    let mut drawn = Vec::new();
    let failed = match cell.draw(&domain, split, 0, PLAYED, &mut drawn) {
        Err(error) => Some((error.to_string(), "correct the template")),
        Ok(()) => drawn.iter().find_map(|task| {
            let error = demonstrate(world, task).err()?;
            let remedy = match &error {
                DemoError::Gold(GoldError::Lost(_)) => BUSY,
                DemoError::Gold(_) => "correct the branch's `gold` or `where`, or the tool",
                DemoError::User(_) => {
                    "correct the fact's `question` or `asked`, or the branch's `say`"
                }
            };
            Some((format!("task {}: {error}", task.id), remedy))
        }),
    };
    let (message, remedy) = failed?;
    let line = line_of_branch(cell);
    Some(Problem::new(&domain.template_file(cell.template), message, remedy).at(line))
}

/// The line of a branch in its template's file.
fn line_of_branch(cell: &Cell<'_>) -> Option<u32> {
    let text = &cell.template.text;
    let from = line_of(text, "branches:", 1).unwrap_or(1);
    line_of(text, &format!("name: {}", cell.branch.name), from)
}
