//! The solution that a template's policy gives for a task's facts, derived anew. An audit holds it against the task.

use std::collections::HashMap;

use agoge_dialogue::ToolCall;
use serde_json::Value;

use crate::bound::{Bound, text};
use crate::domain::Domain;
use crate::draw::{calls, outputs};
use crate::identity::Identities;
use crate::task::{Fact, Task};
use crate::template::{Branch, FactSpec, Template};

/// The solution of one branch of a template.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// The branch's name, without its template.
    pub branch: String,
    /// True when the agent must change nothing and say why.
    pub refusal: bool,
    /// The right calls.
    pub gold: Vec<ToolCall>,
    /// The texts that the agent must say.
    pub outputs: Vec<String>,
    /// The calls that the agent must have made.
    pub calls: Vec<ToolCall>,
}

/// The solutions that the policy of a domain's templates gives for tasks.
pub struct Solutions<'a> {
    domain: &'a Domain,
    /// By collection and fields: the records that users know by these fields instead of their ids.
    known: HashMap<(&'a str, &'a [String]), Identities<'a>>,
}

impl<'a> Solutions<'a> {
    /// Reads a domain's records once, for all tasks.
    #[must_use]
    pub fn new(domain: &'a Domain) -> Self {
        let mut known = HashMap::new();
        let templates = domain.templates.iter();
        for spec in templates.flat_map(|template| template.facts.values()) {
            if let Some((collection, by)) = known_by(spec) {
                known
                    .entry((collection, by))
                    .or_insert_with(|| Identities::of(domain, collection, by));
            }
        }
        Self { domain, known }
    }

    /// Returns the solutions of the branches whose conditions hold for a task's facts; several where branches overlap.
    ///
    /// Returns nothing where that cannot be derived: the task is of no template of the domain, lacks one of its facts, or
    /// begins with other records than the domain's.
    #[must_use]
    pub fn of(&self, task: &Task) -> Vec<Expected> {
        let domain = self.domain;
        let changed =
            !task.records.is_empty() || !task.start.is_empty() || !task.history.is_empty();
        let named = |template: &&Template| template.name == task.template;
        let Some(template) = domain.templates.iter().find(named).filter(|_| !changed) else {
            return Vec::new();
        };
        let mut facts = Vec::new();
        for (name, spec) in &template.facts {
            let Some(fact) = task.user.facts.iter().find(|fact| fact.name == *name) else {
                return Vec::new();
            };
            let Some(value) = self.value(spec, fact) else {
                return Vec::new();
            };
            facts.push((name.as_str(), value));
        }
        let bound = Bound::new(domain, template, facts);
        let holds = |branch: &&Branch| {
            let bound = bound.in_branch(branch);
            let mut conditions = branch.conditions.iter();
            conditions.all(|one| one.holds(&bound).unwrap_or(false))
        };
        let branches = template.branches.iter().filter(holds);
        branches
            .filter_map(|branch| solution(domain, branch, &bound))
            .collect()
    }

    /// Returns the value of a fact that a task keeps as it is said; `None` where the user knows the record by fields that
    /// no record, or more than one, has so.
    fn value(&self, spec: &FactSpec, fact: &Fact) -> Option<Value> {
        if let Some(fields) = known_by(spec) {
            let told = match fact.parts.is_empty() {
                true => vec![fact.value.clone()],
                false => fact.parts.clone(),
            };
            return self.known.get(&fields)?.find(&told).map(Value::from);
        }
        let said = |value: &&Value| text(value) == fact.value;
        if let Some(one) = spec.one_of.iter().flatten().find(said) {
            return Some(one.clone());
        }
        let whole = fact
            .value
            .parse::<i64>()
            .ok()
            .filter(|_| spec.between.is_some());
        Some(whole.map_or_else(|| Value::from(fact.value.as_str()), Value::from))
    }
}

/// Returns the collection and the fields by which the user knows the record of a fact.
fn known_by(spec: &FactSpec) -> Option<(&str, &[String])> {
    let collection = spec.record.as_deref()?;
    Some((collection, spec.by.0.as_slice())).filter(|(_, by)| !by.is_empty())
}

fn solution(domain: &Domain, branch: &Branch, bound: &Bound<'_>) -> Option<Expected> {
    Some(Expected {
        branch: branch.name.clone(),
        refusal: branch.refusal,
        gold: calls(domain, branch, &branch.gold, bound, true).ok()?,
        outputs: outputs(branch, bound).ok()?,
        calls: calls(domain, branch, &branch.calls, bound, false).ok()?,
    })
}
