//! The objective of a policy update: advantage, loss, aggregation and off-policy correction. The learner reads the same
//! type that the manifest is checked against, so a default exists once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The objective of a policy update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectiveSpec {
    /// Advantage of a trajectory from the rewards of its group.
    pub algorithm: Algorithm,
    /// Loss of a token.
    pub loss: LossKind,
    /// The ratio is clipped at 1 - clipLow.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub clip_low: f64,
    /// The ratio is clipped at 1 + clipHigh.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub clip_high: f64,
    /// `loss: dualClip` bounds the loss of a token with a negative advantage at this many times the advantage.
    #[schemars(range(min = 1.0, max = 100.0))]
    pub dual_clip: f64,
    /// Mean over tokens, sequences or groups.
    pub aggregation: AggregationKind,
    /// Weight of a token that another policy sampled: an older version, or an engine with other rounding.
    pub correction: CorrectionKind,
    /// `correction: tis` cuts the weight of a token here.
    #[schemars(range(min = 1.0, max = 100.0))]
    pub correction_cap: f64,
    /// Policy versions between sampling and training, at most. Surplus groups of a step are carried to the next one and are
    /// then 1 version old; 0 discards them. Rollouts are not generated ahead of the trainer yet, so 1 is the largest value.
    #[schemars(range(min = 0, max = 1))]
    pub max_staleness: u32,
    /// Weight of the KL divergence from the policy as it was before GRPO; 0 loads no reference policy.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub kl_coefficient: f64,
    /// Weight of the entropy bonus.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub entropy_coefficient: f64,
}

impl Default for ObjectiveSpec {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::GroupMean,
            loss: LossKind::PpoClip,
            clip_low: 0.2,
            clip_high: 0.28,
            dual_clip: 3.0,
            aggregation: AggregationKind::TokenMean,
            correction: CorrectionKind::None,
            correction_cap: 2.0,
            max_staleness: 1,
            kl_coefficient: 0.0,
            entropy_coefficient: 0.0,
        }
    }
}

/// Advantage of a trajectory from the rewards of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Algorithm {
    /// Reward minus the group's mean.
    #[default]
    GroupMean,
    /// The same, divided by the group's standard deviation.
    Grpo,
    /// Reward minus the mean of the others.
    Rloo,
}

/// Loss of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LossKind {
    /// Clipped policy-gradient loss of PPO.
    #[default]
    PpoClip,
    /// The same, bounded where the advantage is negative.
    DualClip,
}

/// Mean that makes one loss of the tokens' losses. A trajectory is one sequence here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AggregationKind {
    /// Mean over all trained tokens.
    #[default]
    TokenMean,
    /// Mean over trajectories of the mean over their tokens: every trajectory weighs the same.
    SeqMeanTokenMean,
    /// Mean over trajectories of the sum over their tokens.
    SeqMeanTokenSum,
    /// The same, divided by maxTrajectoryTokens.
    SeqMeanTokenSumNorm,
    /// Mean over groups of the mean over their tokens: every task weighs the same.
    PromptMean,
}

/// Weight of a token that another policy sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CorrectionKind {
    /// 1. The loss takes its ratio to the policy that sampled.
    #[default]
    None,
    /// Truncated importance sampling: the ratio of the policy at the beginning of the step to the one that sampled, cut at
    /// correctionCap. The loss takes its ratio to the policy at the beginning of the step.
    Tis,
}
