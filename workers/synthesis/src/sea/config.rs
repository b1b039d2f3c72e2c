//! What a `sea` job is asked to do, and who plays which part.

use std::time::{Duration, Instant};

use agoge_checker::Thresholds;
use agoge_crds::shared::Budget;
use agoge_crds::synthesis_job::{Evolution, StrategySpec};
use agoge_llm::Client;
use serde::Deserialize;
use serde_json::Value;

/// Generated tokens of an instance, where the job sets no bound.
const TOKENS_PER_INSTANCE: u32 = 450;
/// Rollouts after a pilot, where the job sets no number.
const ROLLOUTS: u32 = 3;

/// A job's settings.
#[derive(Clone, Debug)]
pub struct SeaConfig {
    /// Seed of what is drawn and sampled.
    pub seed: u64,
    /// Accepted instances at which it ends.
    pub target: u64,
    /// Rollouts after a pilot, at most.
    pub rollouts: u32,
    /// How plan pairs evolve.
    pub evolution: Evolution,
    /// Generated tokens of an instance over scenario, gold and checker.
    pub tokens_per_instance: u32,
    /// When it ends with what there is.
    pub deadline: Option<Instant>,
    /// What a person decided about a plan pair that waited.
    pub decision: Option<Decision>,
    /// The qualification, fixed for all plans of the job.
    pub thresholds: Thresholds,
    /// Sampling temperature of the writer.
    pub temperature: f64,
}

/// A person's decision about a plan pair.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Decision {
    /// The pair.
    pub digest: String,
    /// Whether it is promoted, or rolled back.
    pub promote: bool,
}

/// Clients by part. They share a meter, which holds the job's budget in tokens and dollars.
#[derive(Clone, Debug)]
pub struct Seats {
    /// Writes scenario, gold and checker.
    pub writer: Client,
    /// Plays the agent.
    pub agent: Client,
    /// Plays the user.
    pub user: Client,
    /// Reflects on failures.
    pub reflector: Client,
}

impl Seats {
    /// One client in all parts.
    #[must_use]
    pub fn all(client: &Client) -> Self {
        Self {
            writer: client.clone(),
            agent: client.clone(),
            user: client.clone(),
            reflector: client.clone(),
        }
    }
}

/// The arguments of a `Synthesize` child, as far as they matter here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arguments {
    strategy: StrategySpec,
    #[serde(default)]
    evolution: Option<Evolution>,
    #[serde(default)]
    budget: Budget,
    #[serde(default)]
    decision: Option<Decision>,
}

impl SeaConfig {
    /// From the arguments of a `Synthesize` child and the seconds it has left.
    ///
    /// # Errors
    /// The field that is not what it should be.
    pub fn from_arguments(
        arguments: &Value,
        time_left: Option<f64>,
    ) -> Result<Self, serde_json::Error> {
        let arguments = Arguments::deserialize(arguments)?;
        let parameters = &arguments.strategy.parameters;
        let left = time_left
            .filter(|s| s.is_finite())
            .map(|s| Duration::from_secs_f64(s.clamp(0.0, 1e8)));
        Ok(Self {
            seed: parameters.seed,
            target: arguments.strategy.target.accepted,
            rollouts: parameters.rollouts.unwrap_or(ROLLOUTS),
            evolution: arguments.evolution.unwrap_or_default(),
            tokens_per_instance: arguments
                .budget
                .tokens_per_instance
                .unwrap_or(TOKENS_PER_INSTANCE),
            deadline: left.map(|left| Instant::now() + left),
            decision: arguments.decision,
            thresholds: Thresholds::default(),
            temperature: 0.4,
        })
    }
}
