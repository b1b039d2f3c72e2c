//! The format of a scenario template, one YAML file each. `docs/domain.md` describes it for domain authors.

use std::fmt;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

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
    /// The right calls, each `{tool: {argument: value}}`.
    pub gold: Vec<IndexMap<String, serde_json::Map<String, Value>>>,
    /// The texts that the agent must say.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// The calls that the agent must have made, each with the arguments that matter.
    #[serde(default)]
    pub calls: Vec<IndexMap<String, serde_json::Map<String, Value>>>,
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

/// `fact.field op value`: `==`, `!=`, `<`, `<=`, `>`, `>=` or `in a, b, c`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Condition {
    /// `fact`, `fact.field` or `linked.field`.
    pub path: String,
    op: Op,
    values: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    In,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl TryFrom<String> for Condition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut parts = text.splitn(3, ' ');
        let (path, op, value) = (parts.next(), parts.next(), parts.next());
        let (Some(path), Some(op), Some(value)) = (path, op, value) else {
            return Err(format!(
                "`{text}` is not a condition; write it as `parcel.status == new`"
            ));
        };
        let op = match op {
            "==" | "in" => Op::In,
            "!=" => Op::NotEqual,
            "<" => Op::Less,
            "<=" => Op::AtMost,
            ">" => Op::More,
            ">=" => Op::AtLeast,
            _ => return Err(format!("`{op}` in `{text}` is none of == != < <= > >= in")),
        };
        let literal = |text: &str| {
            let text = text.trim();
            serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
        };
        let values: Vec<Value> = value.split(',').map(literal).collect();
        let ordered = matches!(op, Op::Less | Op::AtMost | Op::More | Op::AtLeast);
        if ordered && !values.iter().all(Value::is_number) {
            return Err(format!("`{text}` orders a value that is not a number"));
        }
        Ok(Self {
            path: path.into(),
            op,
            values,
        })
    }
}

impl Condition {
    /// Returns true when it holds for the value at its path.
    #[must_use]
    pub fn holds(&self, value: &Value) -> bool {
        let equal = |other: &Value| {
            value == other || (value.is_number() && value.as_f64() == other.as_f64())
        };
        let (Some(first), number) = (self.values.first(), value.as_f64()) else {
            return false;
        };
        let ordered = |by: fn(&f64, &f64) -> bool| match (number, first.as_f64()) {
            (Some(number), Some(bound)) => by(&number, &bound),
            _ => false,
        };
        match self.op {
            Op::In => self.values.iter().any(equal),
            Op::NotEqual => !equal(first),
            Op::Less => ordered(f64::lt),
            Op::AtMost => ordered(f64::le),
            Op::More => ordered(f64::gt),
            Op::AtLeast => ordered(f64::ge),
        }
    }
}

/// A problem of a template: line, message and suggested fix.
pub(crate) struct Flaw {
    pub line: Option<u32>,
    pub message: String,
    pub remedy: &'static str,
}

impl Template {
    /// Reads a file's text.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, serde_yaml::Error> {
        let mut template: Self = serde_yaml::from_str(text)?;
        if template.intent.is_empty() {
            template.intent = template.name.clone();
        }
        template.file = file.to_owned();
        template.text = text.to_owned();
        Ok(template)
    }

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

/// The part of a path before its first point.
pub(crate) fn first(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

/// The placeholders of a text, in order.
pub(crate) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a condition on {}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_hold_for_the_values_they_name() {
        let holds =
            |text: &str, value: Value| Condition::try_from(text.to_owned()).unwrap().holds(&value);
        assert!(
            holds("p.s in new, sorted", json!("sorted"))
                && !holds("p.s in new, sorted", json!("out"))
        );
        assert!(holds("p.a == true", json!(true)) && !holds("p.a == true", json!("true")));
        assert!(holds("p.v >= 500", json!(500.0)) && !holds("p.v > 500", json!(500.0)));
        assert!(holds("p.n == 0", json!(0)) && holds("p.n != 0", json!(3)));
        for bad in ["p.s", "p.s ~ x", "p.s < new"] {
            assert!(Condition::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
