//! The cases that a template tells apart: branches that overlap, and combinations of records and facts that fit none.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::Value;

use super::line_of_named;
use super::shared::Shared;
use crate::bound::{Bound, text};
use crate::domain::Domain;
use crate::draw::{calls, outputs};
use crate::problem::{Findings, Problem};
use crate::template::{Branch, Condition, FactSpec, Template};

/// Values of a fact that are looked at.
const VALUES: i64 = 200;
/// Values of a fact that stand for all of their kind.
const OF_KIND: usize = 4;
/// Combinations that are looked at.
const MOST: usize = 20_000;
/// Kinds of uncovered combinations of one template that are reported.
const SHOWN: usize = 5;

/// Values of a template's facts, for many alike.
#[derive(Clone)]
pub(super) struct Binding<'a> {
    /// Each fact with its value.
    pub facts: Vec<(&'a str, Value)>,
    /// The number of combinations that it stands for.
    pub stands_for: u64,
    /// For each branch, the conditions that hold.
    holds: Vec<Vec<bool>>,
}

impl Binding<'_> {
    /// Returns true when a branch, by its number, is the one for these facts.
    pub(super) fn fits(&self, branch: usize) -> bool {
        self.holds[branch].iter().all(|holds| *holds)
    }

    fn shown(&self) -> String {
        let facts = self.facts.iter();
        let facts: Vec<String> = facts
            .map(|(name, value)| format!("{name} {}", text(value)))
            .collect();
        facts.join(", ")
    }
}

/// Returns the combinations of a template's facts, one for each kind that its conditions tell apart.
pub(super) fn bindings<'a>(domain: &'a Domain, template: &'a Template) -> Vec<Binding<'a>> {
    let mut all = vec![(Vec::new(), 1_u64)];
    for (name, spec) in &template.facts {
        let kinds = kinds(domain, template, name, spec);
        // Several of a kind show conditions between facts; too many combinations leave one of each.
        let of_kind = match all.len() * kinds.len() * OF_KIND > MOST {
            true => 1,
            false => OF_KIND,
        };
        let mut next = Vec::new();
        for (facts, count) in &all {
            for (values, of) in &kinds {
                let shown = values.len().min(of_kind);
                for value in values.iter().take(of_kind) {
                    let mut facts: Vec<(&'a str, Value)> = facts.clone();
                    facts.push((name.as_str(), value.clone()));
                    let share = (of / shown as u64).max(1);
                    next.push((facts, count.saturating_mul(share)));
                }
            }
        }
        next.truncate(MOST);
        all = next;
    }
    let bound = |(facts, stands_for): (Vec<(&'a str, Value)>, u64)| {
        let bound = Bound::new(domain, template, facts);
        let holds = holding(&bound, template);
        Binding {
            facts: bound.facts,
            stands_for,
            holds,
        }
    };
    all.into_iter().map(bound).collect()
}

/// Returns the values of a fact, a few of each kind that the conditions tell apart, with the number of all.
fn kinds(
    domain: &Domain,
    template: &Template,
    name: &str,
    spec: &FactSpec,
) -> Vec<(Vec<Value>, u64)> {
    let mut kinds: BTreeMap<Vec<bool>, (Vec<Value>, u64)> = BTreeMap::new();
    for value in values(domain, spec) {
        let bound = Bound::new(domain, template, vec![(name, value.clone())]);
        let kind = holding(&bound, template).concat();
        let (some, count) = kinds.entry(kind).or_default();
        *count += 1;
        if some.len() < OF_KIND {
            some.push(value);
        }
    }
    kinds.into_values().collect()
}

/// Returns the values that a fact may have.
fn values(domain: &Domain, spec: &FactSpec) -> Vec<Value> {
    match (&spec.record, &spec.one_of, spec.between, spec.digits) {
        (Some(collection), ..) => domain.state.ids(collection).map(Value::from).collect(),
        (_, Some(values), ..) => values.clone(),
        (_, _, Some([low, high]), _) => {
            let step = high
                .saturating_sub(low)
                .checked_div(VALUES)
                .unwrap_or(0)
                .max(0);
            let step = usize::try_from(step)
                .unwrap_or(usize::MAX)
                .saturating_add(1);
            let mut values: Vec<Value> = (low..=high).step_by(step).map(Value::from).collect();
            if low < high {
                values.push(Value::from(high));
            }
            values
        }
        (_, _, _, Some(digits)) => vec![Value::from("1".repeat(digits.min(64) as usize))],
        _ => Vec::new(),
    }
}

/// Returns for each branch of a template the conditions that hold.
fn holding(bound: &Bound<'_>, template: &Template) -> Vec<Vec<bool>> {
    let of = |branch: &Branch| -> Vec<bool> {
        let bound = bound.in_branch(branch);
        // A condition without an answer is a problem of its own.
        branch
            .conditions
            .iter()
            .map(|c| c.holds(&bound).unwrap_or(false))
            .collect()
    };
    template.branches.iter().map(of).collect()
}

/// Returns the overlaps and the holes of all templates. `acts` tells the tools whose calls count.
pub(super) fn findings(shared: &Shared<'_>, acts: &dyn Fn(&str) -> bool) -> Findings {
    let domain = shared.domain;
    let mut found = Findings::default();
    for (template, bindings) in shared.bindings() {
        found
            .problems
            .extend(overlaps(domain, template, bindings, acts));
        holes(domain, template, bindings, &mut found);
    }
    found
}

/// Returns a problem for each two branches that fit one combination and disagree about what is right.
fn overlaps(
    domain: &Domain,
    template: &Template,
    bindings: &[Binding<'_>],
    acts: &dyn Fn(&str) -> bool,
) -> Vec<Problem> {
    let mut found = Vec::new();
    let branches = &template.branches;
    for (a, one) in branches.iter().enumerate() {
        for (b, other) in branches.iter().enumerate().skip(a + 1) {
            let differs = |binding: &&Binding<'_>| {
                binding.fits(a) && binding.fits(b) && {
                    let right = |branch| right(domain, template, binding, branch, acts);
                    right(one) != right(other)
                }
            };
            if let Some(binding) = bindings.iter().find(differs) {
                let message = format!(
                    "branches `{}` and `{}` both fit {}, and have other gold or outputs",
                    one.name,
                    other.name,
                    binding.shown()
                );
                let remedy =
                    "exclude the one in the `where` of the other, as the policy's order says";
                let line = line_of_named(template, &other.name);
                found.push(Problem::new(&domain.template_file(template), message, remedy).at(line));
            }
        }
    }
    found
}

/// Returns the right calls and texts of a branch, in a form that can be compared. Calls that only inform do not count.
fn right(
    domain: &Domain,
    template: &Template,
    binding: &Binding<'_>,
    branch: &Branch,
    acts: &dyn Fn(&str) -> bool,
) -> (Vec<String>, Vec<String>) {
    let bound = Bound::new(domain, template, binding.facts.clone());
    let gold = calls(domain, branch, &branch.gold, &bound, true).unwrap_or_default();
    let acting = gold.iter().filter(|call| acts(&call.name));
    let acting =
        acting.map(|call| format!("{} {}", call.name, Value::from(call.arguments.clone())));
    (
        acting.collect(),
        outputs(branch, &bound).unwrap_or_default(),
    )
}

/// Adds the combinations that fit no branch: a warning where the records decide, a note where the user's wish does.
fn holes(domain: &Domain, template: &Template, bindings: &[Binding<'_>], found: &mut Findings) {
    let scope = Scope::of(template);
    let mut kinds: BTreeMap<(usize, Vec<usize>), (u64, &Binding<'_>)> = BTreeMap::new();
    for binding in bindings {
        let covered = (0..template.branches.len()).any(|branch| binding.fits(branch));
        if covered || !scope.has(binding) {
            continue;
        }
        if let Some(nearest) = nearest(template, binding) {
            let (count, _) = kinds.entry(nearest).or_insert((0, binding));
            *count = count.saturating_add(binding.stands_for);
        }
    }
    let file = domain.template_file(template);
    for ((branch, failing), (count, example)) in kinds.into_iter().take(SHOWN) {
        let branch = &template.branches[branch];
        let missed: Vec<String> = failing
            .iter()
            .map(|n| format!("`{}`", branch.conditions[*n].text()))
            .collect();
        let message = format!(
            "{count} combinations fit no branch, such as {} ({}): nearest is `{}`, but for {}",
            example.shown(),
            values_of(domain, template, example),
            branch.name,
            missed.join(" and ")
        );
        let line = line_of_named(template, &branch.name);
        let wished = failing
            .iter()
            .all(|n| is_wish(template, &branch.conditions[*n]));
        if wished {
            found.notes.push(Problem::new(&file, message, "").at(line));
        } else {
            let remedy = "add a branch for them, or widen the `where` of one";
            found
                .warnings
                .push(Problem::new(&file, message, remedy).at(line));
        }
    }
}

/// Returns the branch that fails least, with its conditions that do not hold; of two, the one that fails by the user's wish,
/// then the one of which more conditions hold.
fn nearest(template: &Template, binding: &Binding<'_>) -> Option<(usize, Vec<usize>)> {
    let failing = |branch: usize| -> Vec<usize> {
        let holds = binding.holds[branch].iter().enumerate();
        holds
            .filter(|(_, holds)| !**holds)
            .map(|(n, _)| n)
            .collect()
    };
    let all = template.branches.iter().enumerate().map(|(n, branch)| {
        let failing = failing(n);
        let wished = failing
            .iter()
            .all(|n| is_wish(template, &branch.conditions[*n]));
        let held = branch.conditions.len() - failing.len();
        (failing.len(), !wished, Reverse(held), n, failing)
    });
    all.min().map(|(.., branch, failing)| (branch, failing))
}

/// Returns true for a condition on what the user wants: on a fact that is no record.
fn is_wish(template: &Template, condition: &Condition) -> bool {
    let wished = |name: &&str| {
        let fact = template.facts.get(*name);
        fact.is_some_and(|fact| fact.record.is_none())
    };
    condition.names().iter().all(wished)
}

/// Returns the values on which the conditions of a template are, such as `loan.renewals 2, book.waiting 1`.
fn values_of(domain: &Domain, template: &Template, binding: &Binding<'_>) -> String {
    let bound = Bound::new(domain, template, binding.facts.clone());
    let mut shown: Vec<String> = Vec::new();
    let conditions = template
        .branches
        .iter()
        .flat_map(|branch| &branch.conditions);
    for path in conditions.flat_map(Condition::paths) {
        let value = bound
            .get(path)
            .map_or_else(|| "missing".to_owned(), |value| text(&value));
        let value = format!("{path} {value}");
        if !shown.contains(&value) {
            shown.push(value);
        }
    }
    shown.join(", ")
}

/// The combinations that a template is about: on each path that every branch has conditions on, some branch allows the
/// value. Others are another template's matter, or nobody's.
struct Scope {
    /// For each such path, the numbers of its conditions in each branch.
    paths: Vec<Vec<Vec<usize>>>,
}

impl Scope {
    fn of(template: &Template) -> Self {
        let conditions = template
            .branches
            .iter()
            .flat_map(|branch| &branch.conditions);
        let mut names: Vec<&str> = conditions
            .map(|condition| condition.path.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        let on = |branch: &Branch, path: &str| -> Vec<usize> {
            let all = branch.conditions.iter().enumerate();
            all.filter(|(_, condition)| condition.path == path)
                .map(|(n, _)| n)
                .collect()
        };
        let paths = names.iter().map(|path| {
            let branches = template.branches.iter();
            branches.map(|branch| on(branch, path)).collect::<Vec<_>>()
        });
        Self {
            paths: paths
                .filter(|path| path.iter().all(|on| !on.is_empty()))
                .collect(),
        }
    }

    fn has(&self, binding: &Binding<'_>) -> bool {
        self.paths.iter().all(|path| {
            let mut branches = path.iter().zip(&binding.holds);
            branches.any(|(on, holds)| on.iter().all(|n| holds[*n]))
        })
    }
}
