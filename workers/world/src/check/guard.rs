//! Refusals that the policy asks for and the tools do not: an agent that acts against the policy succeeds.

use agoge_dialogue::ToolCall;

use super::cover::Binding;
use super::line_of_named;
use super::shared::Shared;
use crate::bound::Bound;
use crate::domain::Domain;
use crate::draw::calls;
use crate::episode::{Episode, World};
use crate::problem::Problem;
use crate::template::{Branch, Template};

/// Cases of a refusal that are tried.
const TRIED: usize = 16;

/// Returns a note for each template with the refusals in which the calls of another branch succeed. Many domains leave it to
/// the agent to refuse; where a tool should refuse too, its guard is missing.
pub(super) fn open_doors(world: &mut World, shared: &Shared<'_>) -> Vec<Problem> {
    let domain = shared.domain;
    let mut found = Vec::new();
    for (template, cases) in shared.bindings() {
        if !template.branches.iter().any(|branch| branch.refusal) {
            continue;
        }
        let mut open: Vec<String> = Vec::new();
        let mut first = None;
        for (n, branch) in template.branches.iter().enumerate() {
            let tools = match branch.refusal {
                true => opened(world, domain, template, cases, n),
                false => Ok(Vec::new()),
            };
            let Ok(tools) = tools else {
                return found;
            };
            if !tools.is_empty() {
                open.push(format!("`{}` ({})", branch.name, tools.join(", ")));
                first = first.or_else(|| line_of_named(template, &branch.name));
            }
        }
        if !open.is_empty() {
            let message = format!(
                "the tools do not refuse what these branches refuse: {}",
                open.join(", ")
            );
            found.push(Problem::new(&domain.template_file(template), message, "").at(first));
        }
    }
    found
}

/// A call that a limit of the sandbox stopped, or that gave no result: going on would take long.
struct Stopped;

/// Returns the tools that act when the calls of other branches are made in a case that this branch refuses.
fn opened(
    world: &mut World,
    domain: &Domain,
    template: &Template,
    cases: &[Binding<'_>],
    refusal: usize,
) -> Result<Vec<String>, Stopped> {
    let mut tools = Vec::new();
    for case in cases.iter().filter(|case| case.fits(refusal)).take(TRIED) {
        let bound = Bound::new(domain, template, case.facts.clone());
        let others = template.branches.iter().filter(|branch| !branch.refusal);
        for branch in others {
            if let Some(tool) = acts(world, domain, branch, &bound)?
                && !tools.contains(&tool)
            {
                tools.push(tool);
            }
        }
    }
    Ok(tools)
}

/// Returns the first tool of a branch's gold that changes records, when every call of the gold works.
fn acts(
    world: &mut World,
    domain: &Domain,
    branch: &Branch,
    bound: &Bound<'_>,
) -> Result<Option<String>, Stopped> {
    // Gold that cannot be filled in for these facts is not made for them.
    let gold: Vec<ToolCall> = calls(domain, branch, &branch.gold, bound, true).unwrap_or_default();
    let mut episode = Episode::default();
    let mut acted = None;
    for call in &gold {
        let before = episode.overlay.clone();
        let result = world.call(&mut episode, call);
        if result.killed {
            return Err(Stopped);
        }
        if !result.worked() {
            return Ok(None);
        }
        if acted.is_none() && episode.overlay != before {
            acted = Some(call.name.clone());
        }
    }
    Ok(acted)
}
