//! What a `sea` job is asked to do, and who plays which part.

use std::time::{Duration, Instant};

use agoge_checker::Thresholds;
use agoge_crds::lineage::Decision;
use agoge_crds::shared::Budget;
use agoge_crds::synthesis_job::{Evolution, StrategySpec};
use agoge_llm::Client;

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

impl SeaConfig {
    /// Returns the settings for what a manifest asks, and the seconds that are left.
    #[must_use]
    pub fn new(
        strategy: &StrategySpec,
        evolution: Evolution,
        budget: &Budget,
        decision: Option<Decision>,
        time_left: Option<f64>,
    ) -> Self {
        let parameters = &strategy.parameters;
        let left = time_left
            .filter(|s| s.is_finite())
            .map(|s| Duration::from_secs_f64(s.clamp(0.0, 1e8)));
        Self {
            seed: parameters.seed,
            target: strategy.target.accepted,
            rollouts: parameters.rollouts.unwrap_or(ROLLOUTS),
            evolution,
            tokens_per_instance: budget.tokens_per_instance.unwrap_or(TOKENS_PER_INSTANCE),
            deadline: left.map(|left| Instant::now() + left),
            decision,
            thresholds: Thresholds::default(),
            temperature: 0.4,
        }
    }
}
