//! The format of a scenario template, one YAML file each. `docs/domain.md` describes it for domain authors.

mod condition;
mod read;
mod step;
mod written;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use crate::compare::Compare;

pub(crate) use crate::expression::first;
pub use condition::Condition;
pub(crate) use step::Each;
pub use step::{Output, Step};
pub(crate) use written::Written;

/// A scenario: an intent of the user, the cases of the policy, and the wordings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Unique in its domain.
    pub name: String,
    /// The user's intent; the name when left out.
    #[serde(default)]
    pub intent: String,
    /// Keeps the whole template out of training.
    #[serde(default)]
    pub unseen: bool,
    /// Words of which every opening has one.
    pub topic: Vec<String>,
    /// The facts that the user knows. Instances differ by the first one with a `record`.
    pub facts: IndexMap<String, FactSpec>,
    /// Records found through those of the facts.
    #[serde(default)]
    pub linked: IndexMap<String, Link>,
    /// Values computed from those of the facts, by name; each may use those before it.
    #[serde(default)]
    pub(crate) compute: IndexMap<String, Written>,
    /// The comparisons of arguments that are not compared as they are, by `argument` or `tool.argument`.
    #[serde(default)]
    pub compare: BTreeMap<String, Compare>,
    /// A check in Python of the branches that have none of their own: the source, or a file of the templates folder.
    #[serde(default)]
    pub checker: Option<String>,
    /// The cases that the policy tells apart.
    pub branches: Vec<Branch>,
    /// The ways of asking.
    pub wordings: Vec<Wording>,
    /// The user's last turns; each must contain the closing token.
    #[serde(default = "closings")]
    pub closings: Vec<String>,
    /// The user's yes.
    #[serde(default = "confirm")]
    pub confirm: String,
    /// The user's answer to a question that it cannot answer.
    #[serde(default = "unknown")]
    pub unknown: String,
    /// The user's answer to a statement that does not finish the task; a plain yes when left out.
    #[serde(default)]
    pub go_on: String,
    /// The file's name.
    #[serde(skip)]
    pub file: String,
    /// The file's text, to find the lines of problems.
    #[serde(skip)]
    pub(crate) text: String,
}

fn closings() -> Vec<String> {
    ["thanks. ###", "ok, thank you. ###", "good. ###"]
        .map(str::to_owned)
        .to_vec()
}

pub(crate) fn confirm() -> String {
    "yes.".into()
}

pub(crate) fn unknown() -> String {
    "i do not know.".into()
}

/// A fact: the source of its values, and the wordings that ask for it and tell it. It has exactly one source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FactSpec {
    /// The id of a record of this collection.
    pub record: Option<String>,
    /// The fields by which the user knows the record, instead of its id. No other record has the same values in them.
    pub by: Fields,
    /// One of these.
    pub one_of: Option<Vec<Value>>,
    /// A whole number from the first to the second.
    pub between: Option<[i64; 2]>,
    /// A string of so many digits.
    pub digits: Option<u32>,
    /// Words of a question that ask for it.
    pub asked: Vec<String>,
    /// Questions of a demonstration's agent.
    pub question: Vec<String>,
    /// Answers, with the fact as a placeholder.
    pub answers: Vec<String>,
}

/// Fields of a record: one, or several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "OneOrMany")]
pub struct Fields(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Fields {
    fn from(fields: OneOrMany) -> Self {
        match fields {
            OneOrMany::One(field) => Self(vec![field]),
            OneOrMany::Many(fields) => Self(fields),
        }
    }
}

/// A record found by a field of another.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The collection.
    pub record: String,
    /// `fact.field`, which holds the id.
    pub by: String,
}

/// A case of the policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// Unique in its template.
    pub name: String,
    /// The frequency in real life, relative to the other branches.
    #[serde(default = "one")]
    pub weight: f64,
    /// Marks a case that is rare in real life.
    #[serde(default)]
    pub corner: bool,
    /// Marks a case in which the agent must do nothing and say why.
    #[serde(default)]
    pub refusal: bool,
    /// The conditions on its records, all of which hold.
    #[serde(default, rename = "where")]
    pub conditions: Vec<Condition>,
    /// Values computed from those of the facts, by name; each may use those before it and those of the template.
    #[serde(default)]
    pub(crate) compute: IndexMap<String, Written>,
    /// The comparisons of arguments that are not compared as they are, before those of the template.
    #[serde(default)]
    pub compare: BTreeMap<String, Compare>,
    /// A check in Python, instead of the template's: the source, or a file of the templates folder.
    #[serde(default)]
    pub checker: Option<String>,
    /// The right calls.
    pub gold: Vec<Step>,
    /// The texts that the agent must say.
    #[serde(default)]
    pub outputs: Vec<Output>,
    /// The calls that the agent must have made, each with the arguments that matter.
    #[serde(default)]
    pub calls: Vec<Step>,
    /// Final answers of a demonstration's agent.
    pub say: Vec<String>,
}

fn one() -> f64 {
    1.0
}

/// A way of asking.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// Unique in its template.
    pub name: String,
    /// Facts that are told only when asked for.
    #[serde(default)]
    pub hold: Vec<String>,
    /// First turns.
    pub open: Vec<String>,
}

/// A problem of a template: line, message and suggested fix.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub line: Option<u32>,
    pub message: String,
    pub remedy: &'static str,
}

impl Template {
    /// The fact by which instances differ.
    pub(crate) fn primary(&self) -> Option<usize> {
        self.facts.values().position(|fact| fact.record.is_some())
    }

    /// The fact that the first word of a path leads to, through links.
    pub(crate) fn root<'a>(&'a self, path: &'a str) -> Option<&'a str> {
        let mut name = first(path);
        // A chain longer than the number of links is a circle.
        for _ in 0..=self.linked.len() {
            if self.facts.contains_key(name) {
                return Some(name);
            }
            name = first(&self.linked.get(name)?.by);
        }
        None
    }

    /// Adds the facts that a name leads to: a fact itself, that of a linked record, those that a computed value uses.
    pub(crate) fn lead<'a>(
        &'a self,
        branch: Option<&'a Branch>,
        name: &str,
        found: &mut Vec<&'a str>,
    ) {
        let computed = branch.and_then(|branch| branch.compute.get(name));
        if let Some(written) = computed.or_else(|| self.compute.get(name)) {
            // It uses only those before it, so that this ends.
            for name in written.expression().iter().flat_map(|one| &one.names) {
                self.lead(branch, name, found);
            }
            return;
        }
        let fact = self
            .root(name)
            .and_then(|fact| self.facts.get_key_value(fact));
        if let Some((fact, _)) = fact.filter(|(fact, _)| !found.contains(&fact.as_str())) {
            found.push(fact);
        }
    }

    /// Returns the facts on which a condition of a branch is.
    pub(crate) fn facts_of<'a>(
        &'a self,
        branch: &'a Branch,
        condition: &Condition,
    ) -> Vec<&'a str> {
        let mut found = Vec::new();
        for name in condition.names() {
            self.lead(Some(branch), name, &mut found);
        }
        found
    }

    /// Returns true for the name of a fact, a linked record that leads to one, or a computed value.
    pub(crate) fn knows(&self, branch: Option<&Branch>, name: &str) -> bool {
        self.root(name).is_some()
            || self.compute.contains_key(name)
            || branch.is_some_and(|branch| branch.compute.contains_key(name))
    }

    /// The collection of the records that a name stands for.
    pub(crate) fn collection(&self, name: &str) -> Option<&str> {
        match self.facts.get(name) {
            Some(fact) => fact.record.as_deref(),
            None => self.linked.get(name).map(|link| link.record.as_str()),
        }
    }

    /// Returns true when a combination of a branch and a wording is kept for evaluation: one wording of each branch, a
    /// different one for each, so that every branch and (almost) every wording is trained, but not this pair of them. With
    /// more held out, the wording predicts the branch in training and nowhere else: with one in three, GRPO learnt that.
    pub(crate) fn held_out(&self, branch: usize, wording: usize) -> bool {
        (branch + wording).is_multiple_of(self.wordings.len().max(1))
    }
}

/// The placeholders of a text, in order.
pub(crate) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}
