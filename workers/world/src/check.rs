//! The check of a domain's folder before anything is run with it: it loads, it is complete, its parts agree with each other,
//! its gold works and writes what the schema allows, and its tools survive unusual calls.

mod accident;
mod advice;
mod candidates;
mod clock;
mod cover;
mod expressions;
mod guard;
mod leak;
mod mistake;
mod names;
mod played;
mod probe;
mod shared;
mod template;
mod trace;
mod words;
mod writes;

use std::path::Path;
use std::sync::Arc;

use agoge_sandbox::{Limits, Names, Source};
use serde::Serialize;

use crate::domain::Domain;
use crate::draw::Cell;
use crate::episode::{World, WorldError};
use crate::problem::{Findings, Problem, Problems, line_of};
use crate::template::Template;
use shared::Shared;
use template::flaws;
use writes::Rules;

pub use trace::{Raised, Trace, TracedCall, trace, trace_call};

/// The suggested fix where the sandbox was not let finish.
const BUSY: &str = "run the check again when the machine is less busy";
/// Instances of each branch that are played.
const PLAYED: usize = 4;

/// Everything that a check found out about a domain, with one instance of each branch as its gold plays it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Review {
    /// The findings.
    #[serde(flatten)]
    pub findings: Findings,
    /// One instance of each branch, in the order of the templates.
    pub branches: Vec<Trace>,
}

impl Domain {
    /// Returns every problem of a folder: what must be fixed before it is used.
    #[must_use]
    pub fn check(dir: &Path) -> Vec<Problem> {
        match Self::load(dir) {
            Ok(domain) => Arc::new(domain).review().findings.problems,
            Err(Problems(problems)) => problems,
        }
    }

    /// Returns every finding about a domain that could be loaded: problems, warnings and notes.
    #[must_use]
    pub fn review(self: &Arc<Self>) -> Review {
        let shared = Shared::of(self);
        let mut found = Findings {
            problems: missing(self),
            ..Findings::default()
        };
        found.problems.extend(contradictions(self));
        let playable = found.problems.is_empty();
        let names = agoge_sandbox::names(&self.tools_source).unwrap_or_default();
        found.extend(unplayed(&shared, &names));
        let unserved = self.servers.is_some() && self.foreign.is_none();
        if unserved {
            let head = self.dir.join("domain.yaml");
            let message = "its tools are on servers that were not started, so nothing was played";
            found.notes.push(Problem::new(&head, message, ""));
        }
        let branches = match playable && !unserved {
            true => played(self, &shared, &names, &mut found),
            false => Vec::new(),
        };
        Review {
            findings: found,
            branches,
        }
    }

    /// Returns the warnings that need no run of the tools.
    #[must_use]
    pub fn warnings(&self) -> Vec<Problem> {
        warnings(&Shared::of(self), leak::references(self))
    }
}

/// Returns the warnings that need no run of the tools; `leaks` are those of [`leak::references`].
fn warnings(shared: &Shared<'_>, leaks: Vec<Problem>) -> Vec<Problem> {
    let mut found = accident::warnings(shared);
    found.extend(words::unheard(shared.domain));
    found.extend(leaks);
    found
}

/// Returns what is found without running the tools.
fn unplayed(shared: &Shared<'_>, names: &Names) -> Findings {
    let domain = shared.domain;
    let mut found = Findings::default();
    found.problems.extend(clock::unreadable(domain));
    found.problems.extend(names::in_tools(domain, names));
    found.problems.extend(pitfalls(domain));
    found.problems.extend(names::in_templates(domain));
    // Where the source of a tool is not here, every call counts.
    let acts = |tool: &str| names.writers.contains(tool) || domain.function(tool).is_none();
    found.extend(cover::findings(shared, &acts));
    let leaks = leak::references(domain);
    let leaking = !leaks.is_empty();
    found.notes.extend(advice::limits(shared));
    found.notes.extend(advice::format(domain, leaking));
    found.warnings.extend(warnings(shared, leaks));
    found
}

/// Returns the problems in the tools' Python that fail only where they are reached.
fn pitfalls(domain: &Domain) -> Vec<Problem> {
    let found = agoge_sandbox::pitfalls(&domain.tools_source, Source::Tools).into_iter();
    let placed = found.map(|lint| {
        let (file, line) = domain.place(Some(lint.line));
        Problem::new(&file, lint.message, lint.remedy).at(line)
    });
    placed.collect()
}

/// Returns one instance of each branch, and adds what is found by running the tools.
fn played(
    domain: &Arc<Domain>,
    shared: &Shared<'_>,
    names: &Names,
    found: &mut Findings,
) -> Vec<Trace> {
    let mut world = match opened(domain) {
        Ok(world) => world,
        Err(problem) => {
            found.problems.push(problem);
            return Vec::new();
        }
    };
    let rules = Rules::of(domain);
    let played = played::play_all(&mut world, shared, names, &rules);
    found.extend(played.findings);
    found.extend(probe::findings(&mut world, names, &rules, &played.examples));
    found.notes.extend(guard::open_doors(&mut world, shared));
    played.branches
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
        error @ WorldError::Unserved(_) => {
            let remedy = "use `agoge domain check`, which starts them";
            Problem::new(&domain.dir, error.to_string(), remedy)
        }
        error @ WorldError::Start { .. } => {
            let remedy = "build the whole workspace, or name the binary in AGOGE_SANDBOX";
            Problem::new(&domain.dir, error.to_string(), remedy)
        }
    })
}

/// The line of a branch in its template's file.
fn line_of_branch(cell: &Cell<'_>) -> Option<u32> {
    line_of_named(cell.template, &cell.branch.name)
}

/// The line of the branch of this name in its template's file.
fn line_of_named(template: &Template, branch: &str) -> Option<u32> {
    let from = line_of(&template.text, "branches:", 1).unwrap_or(1);
    line_of(&template.text, &format!("name: {branch}"), from)
}

/// The line of a tool in the tools' source.
fn line_of_tool(domain: &Domain, tool: &str) -> Option<u32> {
    let found = agoge_sandbox::signatures(&domain.tools_source).ok()?;
    found
        .iter()
        .find(|one| one.name == tool)
        .map(|one| one.line)
}
