//! Plan pairs: the prompts by which instances are written (the synthesis plan) and judged (the evaluation plan).
//!
//! Prompts are data: a strategy's built-in pair is its prompt folder, a child is its parent with one more sentence. No plan
//! can change the qualification of `agoge-checker`, and so a pair never grades itself.

use std::collections::BTreeMap;

use agoge_crds::lineage::Outcome;
use agoge_store::{Digest, canonical_json};
use serde::{Deserialize, Serialize};

use crate::evolution::Pilot;
use crate::instance::Gate;

/// Prompts by name.
pub type Prompts = BTreeMap<String, String>;

/// A synthesis plan and an evaluation plan, as one thing with one digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanPair {
    /// The prompts by which instances are written.
    pub synthesis: Prompts,
    /// The prompts by which their checkers are written.
    pub evaluation: Prompts,
}

/// The evolving prompts of a strategy.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The pair that a job begins with when it names none.
    pub built_in: PlanPair,
    /// The prompt that asks for a change. Filled in are the prompt of each part by its name, `{attempted}`, `{valid}` and
    /// `{failures}`; the answer is `{"part": .., "sentence": ..}`.
    pub reflection: &'static str,
    /// The parts of an instance that a sentence can be about, in the order of their gates.
    pub parts: &'static [PlanPart],
}

/// One part of an instance and the prompt that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanPart {
    /// The name that reflection uses.
    pub name: &'static str,
    /// The prompt's name.
    pub prompt: &'static str,
    /// Whether the prompt belongs to the evaluation plan.
    pub evaluation: bool,
    /// The gate at which a wrong part is rejected.
    pub gate: Gate,
}

impl PlanPair {
    /// A pair of these prompts.
    #[must_use]
    pub fn of(synthesis: &[(&str, &str)], evaluation: &[(&str, &str)]) -> Self {
        let prompts = |named: &[(&str, &str)]| {
            let owned = named
                .iter()
                .map(|(name, text)| ((*name).into(), (*text).into()));
            owned.collect()
        };
        Self {
            synthesis: prompts(synthesis),
            evaluation: prompts(evaluation),
        }
    }

    /// Returns `sha256:` over its prompts.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let value = serde_json::to_value(self).unwrap_or_default();
        Digest::of(canonical_json(&value).as_bytes())
    }

    /// Returns the prompt of a part.
    #[must_use]
    pub fn prompt(&self, part: &PlanPart) -> &str {
        let prompts = if part.evaluation {
            &self.evaluation
        } else {
            &self.synthesis
        };
        prompts.get(part.prompt).map_or("", String::as_str)
    }

    /// Returns a child: this pair with one more sentence for one part.
    #[must_use]
    pub fn with_sentence(&self, part: &PlanPart, sentence: &str) -> Self {
        let text = format!("{}\n- {}\n", self.prompt(part).trim_end(), sentence.trim());
        let mut child = self.clone();
        let prompts = if part.evaluation {
            &mut child.evaluation
        } else {
            &mut child.synthesis
        };
        prompts.insert(part.prompt.into(), text);
        child
    }
}

/// The plan pair of one generation with its outcome: an entry of the `plans` artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanRecord {
    /// The pair's digest.
    pub digest: String,
    /// The digest of the pair it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The generation that piloted it.
    pub generation: u32,
    /// The change, in a sentence.
    pub change: String,
    /// The end of its generation.
    pub outcome: Outcome,
    /// Its prompts.
    #[serde(flatten)]
    pub pair: PlanPair,
    /// The result of its pilot.
    pub pilot: Pilot,
    /// The chance that its yield is above its parent's, once both are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better: Option<f64>,
}

/// Fills in the `{name}`s of a prompt. Other braces stay as they are.
#[must_use]
pub fn fill(prompt: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(prompt.len());
    let mut rest = prompt;
    while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let named = values.iter().find(|(name, _)| {
            rest[1..].starts_with(name) && rest[1 + name.len()..].starts_with('}')
        });
        match named {
            Some((name, value)) => {
                text.push_str(value);
                rest = &rest[name.len() + 2..];
            }
            None => {
                text.push('{');
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_differs_in_one_prompt_and_in_its_digest() {
        let parent = PlanPair::of(
            &[("gold", "Write calls.\n")],
            &[("checker", "Write a checker.")],
        );
        let part = PlanPart {
            name: "checker",
            prompt: "checker",
            evaluation: true,
            gate: Gate::Checker,
        };
        let child = parent.with_sentence(&part, "Count the changes.");
        assert_ne!(parent.digest(), child.digest());
        assert_eq!(parent.synthesis, child.synthesis);
        assert_eq!(
            child.prompt(&part),
            "Write a checker.\n- Count the changes.\n"
        );
    }

    #[test]
    fn filling_leaves_braces_and_filled_in_braces_alone() {
        let filled = fill(r#"{"a": {rules}} {x}"#, &[("rules", "{x}"), ("x", "1")]);
        assert_eq!(filled, r#"{"a": {x}} 1"#);
    }
}
