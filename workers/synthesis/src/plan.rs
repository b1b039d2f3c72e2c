//! A plan pair: how instances are written (the synthesis plan) and how they are judged (the evaluation plan).
//!
//! Prompts are data: the built-in pair is the files in `sea/prompts`, a child is its parent with a sentence more. What no
//! plan can change is the qualification of `agoge-checker`, and so a pair never grades itself.

use agoge_crds::lineage::Outcome;
use agoge_store::{Digest, canonical_json};
use serde::{Deserialize, Serialize};

use crate::evolution::Pilot;

/// How scenario and gold are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SynthesisPlan {
    /// What every stage begins with: the tools (`{tools}`) and the form of each part. The same for every item, so that an
    /// endpoint's prompt cache reads it once.
    pub system: String,
    /// Asks for the scenario; `{rules}` and `{records}` are filled in.
    pub scenario: String,
    /// Asks for the gold calls; `{words}` is the bold words of the policy's section.
    pub gold: String,
    /// Asks for a part again; `{reason}` and `{part}` are filled in.
    pub again: String,
}

/// How an instance is judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluationPlan {
    /// Asks for the checker; `{changes}` is what gold changed, `{count}` how many values.
    pub checker: String,
}

/// Both, as one thing with one digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanPair {
    /// How scenario and gold are written.
    pub synthesis: SynthesisPlan,
    /// How they are judged.
    pub evaluation: EvaluationPlan,
}

/// The part of an instance that a sentence of a plan is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// The scenario.
    Request,
    /// The gold calls.
    Calls,
    /// The checker: this changes the evaluation plan.
    Checker,
}

impl PlanPair {
    /// The pair that the strategy begins with when a job names none.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            synthesis: SynthesisPlan {
                system: include_str!("sea/prompts/system.md").into(),
                scenario: include_str!("sea/prompts/scenario.md").into(),
                gold: include_str!("sea/prompts/gold.md").into(),
                again: include_str!("sea/prompts/again.md").into(),
            },
            evaluation: EvaluationPlan {
                checker: include_str!("sea/prompts/checker.md").into(),
            },
        }
    }

    /// `sha256:` over its prompts.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let value = serde_json::to_value(self).unwrap_or_default();
        Digest::of(canonical_json(&value).as_bytes())
    }

    /// A child: this pair with a sentence more for one part.
    #[must_use]
    pub fn with_sentence(&self, part: Part, sentence: &str) -> Self {
        let mut child = self.clone();
        let prompt = match part {
            Part::Request => &mut child.synthesis.scenario,
            Part::Calls => &mut child.synthesis.gold,
            Part::Checker => &mut child.evaluation.checker,
        };
        *prompt = format!("{}\n- {}\n", prompt.trim_end(), sentence.trim());
        child
    }
}

/// One generation's plan pair with what became of it: an entry of the `plans` artifact.
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
    /// What was changed, in a sentence.
    pub change: String,
    /// How its generation ended.
    pub outcome: Outcome,
    /// Its prompts.
    #[serde(flatten)]
    pub pair: PlanPair,
    /// What its pilot came to.
    pub pilot: Pilot,
    /// The chance that its yield is above its parent's, once both are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better: Option<f64>,
}

/// Fills `{name}`s of a prompt. Only these names: braces of examples stay.
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
        let parent = PlanPair::built_in();
        let child = parent.with_sentence(Part::Checker, "Count the changes.");
        assert_ne!(parent.digest(), child.digest());
        assert_eq!(parent.synthesis, child.synthesis);
        assert!(
            child
                .evaluation
                .checker
                .ends_with("\n- Count the changes.\n")
        );
        assert_eq!(parent.digest(), PlanPair::built_in().digest());
    }

    #[test]
    fn filling_leaves_braces_and_filled_in_braces_alone() {
        let filled = fill(r#"{"a": {rules}} {x}"#, &[("rules", "{x}"), ("x", "1")]);
        assert_eq!(filled, r#"{"a": {x}} 1"#);
    }
}
