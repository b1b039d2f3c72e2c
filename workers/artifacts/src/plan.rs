//! Plans as the store keeps them: the prompts of each generation with the outcome of its pilot.
//!
//! Which prompts a plan has is its strategy's business, so that they are kept by name.

use std::collections::BTreeMap;

use agoge_crds::lineage::Outcome;
use agoge_store::{Digest, canonical_json};
use serde::{Deserialize, Serialize};

use crate::attempt::Gate;
use crate::format::{Format, Stored};

/// Prompt texts by name.
pub type Prompts = BTreeMap<String, String>;

/// The prompts of a plan pair: those that write instances, and those that judge them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanPair {
    /// Prompts that write instances.
    pub synthesis: Prompts,
    /// Prompts that judge them.
    pub evaluation: Prompts,
}

/// One part of an instance and the prompt that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanPart {
    /// The name that reflection uses.
    pub name: &'static str,
    /// The prompt's name.
    pub prompt: &'static str,
    /// True if the prompt belongs to the evaluation plan.
    pub evaluation: bool,
    /// The gate at which a wrong part is rejected.
    pub gate: Gate,
}

impl PlanPart {
    /// A part whose prompt belongs to the synthesis plan.
    #[must_use]
    pub const fn synthesis(name: &'static str, prompt: &'static str, gate: Gate) -> Self {
        Self {
            name,
            prompt,
            evaluation: false,
            gate,
        }
    }

    /// A part whose prompt belongs to the evaluation plan.
    #[must_use]
    pub const fn evaluation(name: &'static str, prompt: &'static str, gate: Gate) -> Self {
        Self {
            name,
            prompt,
            evaluation: true,
            gate,
        }
    }
}

impl PlanPair {
    /// Returns a pair of these prompts.
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

/// The figures of one pilot, under the fixed qualification.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pilot {
    /// Instances attempted.
    pub attempted: u64,
    /// Instances that were valid: gold executes, the checker qualifies, nothing is duplicated.
    pub valid: u64,
    /// Tokens spent, prompts and answers.
    pub tokens: u64,
    /// Distinct scenario categories among the valid instances.
    pub coverage: u64,
}

impl Pilot {
    /// Returns the valid instances per thousand tokens.
    #[must_use]
    pub fn per_kilotoken(&self) -> f64 {
        if self.tokens == 0 {
            0.0
        } else {
            1000.0 * self.valid as f64 / self.tokens as f64
        }
    }
}

/// One generation's plan pair and its outcome.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PlanRecord {
    /// The pair's digest.
    pub digest: String,
    /// The digest of the pair it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The generation that piloted it.
    pub generation: u32,
    /// The change, in a sentence.
    pub change: String,
    /// The outcome of its generation.
    pub outcome: Outcome,
    /// Its prompts.
    #[serde(flatten)]
    pub pair: PlanPair,
    /// The figures of its pilot.
    pub pilot: Pilot,
    /// The probability that its yield is above its parent's, once both are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub better: Option<f64>,
}

/// All plan pairs of a job, oldest first: the artifact `plans`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plans {
    /// One entry for each generation.
    pub plans: Vec<PlanRecord>,
}

impl Plans {
    /// The kind of the artifact.
    pub const KIND: &str = "plans";
}

impl Stored for Plans {
    const FORMAT: Format = Format {
        name: "agoge-plans",
        current: 2,
    };

    /// Version 1 was the list alone.
    fn of_version(version: u32, bytes: &[u8]) -> Result<Self, serde_json::Error> {
        match version {
            1 => Ok(Self {
                plans: serde_json::from_slice(bytes)?,
            }),
            _ => serde_json::from_slice(bytes),
        }
    }
}
