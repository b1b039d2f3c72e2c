//! Losses over sampled tokens. All tensors are `[N]` float32, one entry a trained token, in any order.
//!
//! The denominator is passed in, because a step is split into micro-batches and every one must divide by the token
//! count of the *whole* step.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Clipping of the policy ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Clip {
    /// Lower half-width: the ratio is clipped at `1 - low`.
    pub low: f64,
    /// Upper half-width: the ratio is clipped at `1 + high`.
    pub high: f64,
}

impl Default for Clip {
    fn default() -> Self {
        Self {
            low: 0.2,
            high: 0.28,
        }
    }
}

/// A loss with what a reader of the curves wants beside it. Sums, not means: they add up over micro-batches.
#[derive(Debug)]
pub struct PolicyLoss {
    /// Scalar with gradient: the micro-batch's share of the step's mean.
    pub loss: Tensor,
    /// Tokens whose clipped term was the active one.
    pub clipped: f64,
    /// Sum over tokens of `exp(d) - d - 1`, `d = new - old`: the k3 estimate of KL(old, new).
    pub kl_sum: f64,
}

/// Clipped policy-gradient loss, `mean over tokens of -min(r A, clip(r, 1 - low, 1 + high) A)` with `r = exp(new - old)`
/// and `new - old` cut at ±20 (PPO, arXiv 1707.06347; asymmetric clip, arXiv 2503.14476).
///
/// `new` carries the gradient; `old` and `advantages` do not. `tokens` is the step's number of trained tokens.
#[must_use]
pub fn ppo_clip(
    new: &Tensor,
    old: &Tensor,
    advantages: &Tensor,
    clip: Clip,
    tokens: f64,
) -> PolicyLoss {
    let log_ratio = (new - old).clamp(-20.0, 20.0);
    let ratio = log_ratio.exp();
    let free = &ratio * advantages;
    let cut = ratio.clamp(1.0 - clip.low, 1.0 + clip.high) * advantages;
    let loss = -free.minimum(&cut).sum(Kind::Float) / tokens;
    let (clipped, kl_sum) = tch::no_grad(|| {
        let clipped = cut.lt_tensor(&free).sum(Kind::Float).double_value(&[]);
        let kl = (&ratio - &log_ratio - 1.0)
            .sum(Kind::Float)
            .double_value(&[]);
        (clipped, kl)
    });
    PolicyLoss {
        loss,
        clipped,
        kl_sum,
    }
}

/// Penalty for leaving a reference policy: the k3 estimate of KL(policy, reference), `mean over tokens of
/// exp(d) - d - 1` with `d = reference - new` cut at ±20 (GRPO, arXiv 2402.03300). Scalar with gradient through `new`.
pub fn reference_kl(new: &Tensor, reference: &Tensor, tokens: f64) -> Tensor {
    let gap = (reference - new).clamp(-20.0, 20.0);
    (gap.exp() - &gap - 1.0).sum(Kind::Float) / tokens
}

/// Supervised loss: minus the mean log-probability of the trained tokens; `tokens` is the step's count of them.
pub fn cross_entropy(logprobs: &Tensor, tokens: f64) -> Tensor {
    -logprobs.sum(Kind::Float) / tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_and_gradient(new: &[f32], old: &[f32], adv: &[f32]) -> (f64, Vec<f32>) {
        let new = Tensor::from_slice(new).set_requires_grad(true);
        let n = new.numel() as f64;
        let old = Tensor::from_slice(old);
        let out = ppo_clip(&new, &old, &Tensor::from_slice(adv), Clip::default(), n);
        out.loss.backward();
        let gradient = Vec::<f32>::try_from(new.grad()).expect("a gradient per token");
        (out.loss.double_value(&[]), gradient)
    }

    #[test]
    fn on_policy_the_gradient_is_minus_the_advantage_over_the_token_count() {
        let (value, gradient) = value_and_gradient(&[-1.0, -2.0], &[-1.0, -2.0], &[0.5, -0.5]);
        assert!(value.abs() < 1e-6);
        assert!((gradient[0] + 0.25).abs() < 1e-6 && (gradient[1] - 0.25).abs() < 1e-6);
    }

    #[test]
    fn the_reference_penalty_is_zero_at_the_reference_and_pulls_back_to_it() {
        let reference = Tensor::from_slice(&[-1.0f32, -1.0, -1.0]);
        let new = Tensor::from_slice(&[-1.0f32, -0.5, -1.5]).set_requires_grad(true);
        let penalty = reference_kl(&new, &reference, 1.0);
        penalty.backward();
        let pull = Vec::<f32>::try_from(new.grad()).unwrap();
        assert!(penalty.double_value(&[]) > 0.0);
        assert!(pull[0] == 0.0 && pull[1] > 0.0 && pull[2] < 0.0, "{pull:?}");
    }

    #[test]
    fn a_token_beyond_the_clip_in_the_direction_of_its_advantage_gets_no_gradient() {
        // ratio e^0.5 = 1.65 > 1.28 with a positive advantage, and 0.61 < 0.8 with a negative one
        let (_, gradient) = value_and_gradient(&[0.0, -0.5], &[-0.5, 0.0], &[1.0, -1.0]);
        assert_eq!(gradient, [0.0, 0.0]);
        // against its advantage the same ratio is not clipped
        let (_, gradient) = value_and_gradient(&[0.0], &[-0.5], &[-1.0]);
        assert!(gradient[0] > 1.0);
    }
}
