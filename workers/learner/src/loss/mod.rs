//! Losses of single tokens, one small file each. All tensors are `[N]` float32, one entry per trained token of a batch.

mod dual_clip;
mod ppo_clip;
mod reference_kl;

use agoge_crds::grpo_run::{LossKind, ObjectiveSpec};
use tch::{Kind, Tensor};

use crate::batch::Columns;

pub use reference_kl::reference_kl;

/// A policy loss.
pub trait Loss: Send + Sync {
    /// Returns the loss of each token.
    fn terms(&self, columns: &Columns<'_>) -> Terms;
}

/// The losses of a batch's tokens.
#[derive(Debug)]
pub struct Terms {
    /// `[N]` float32 with gradient.
    pub loss: Tensor,
    /// `[N]` bool: the token's loss is the clipped one, and has no gradient.
    pub clipped: Tensor,
}

/// Returns the loss that a spec asks for.
#[must_use]
pub fn loss(spec: &ObjectiveSpec) -> Box<dyn Loss> {
    let clip = ppo_clip::PpoClip {
        low: spec.clip_low,
        high: spec.clip_high,
    };
    match spec.loss {
        LossKind::PpoClip => Box::new(clip),
        LossKind::DualClip => Box::new(dual_clip::DualClip {
            clip,
            bound: spec.dual_clip,
        }),
    }
}

/// Supervised loss: minus the mean log-probability of the trained tokens; `tokens` is the step's count of them.
pub fn cross_entropy(logprobs: &Tensor, tokens: f64) -> Tensor {
    -logprobs.sum(Kind::Float) / tokens
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::tests::{Token, columns_of};

    fn spec(loss: LossKind) -> ObjectiveSpec {
        ObjectiveSpec {
            loss,
            ..ObjectiveSpec::default()
        }
    }

    /// The losses of tokens, their gradients, and which are clipped.
    fn found(spec: &ObjectiveSpec, tokens: &[Token]) -> (Vec<f32>, Vec<f32>, Vec<bool>) {
        let new: Vec<f32> = tokens.iter().map(|token| token.new).collect();
        let new = Tensor::from_slice(&new).set_requires_grad(true);
        let batch = columns_of(tokens);
        let terms = loss(spec).terms(&batch.columns(&new, None));
        terms.loss.sum(Kind::Float).backward();
        (
            Vec::try_from(terms.loss.detach()).unwrap(),
            Vec::try_from(new.grad()).unwrap(),
            Vec::try_from(terms.clipped).unwrap(),
        )
    }

    /// The formula of one token in double precision: its loss, and the derivative of it.
    fn formula(spec: &ObjectiveSpec, token: &Token) -> (f64, f64) {
        let advantage = f64::from(token.advantage as f32);
        let ratio = f64::from(token.new - token.sampled)
            .clamp(-20.0, 20.0)
            .exp();
        let cut = ratio.clamp(1.0 - spec.clip_low, 1.0 + spec.clip_high);
        let (free, clipped) = (-ratio * advantage, -cut * advantage);
        let (mut value, mut slope) = if clipped > free {
            (clipped, 0.0)
        } else {
            (free, free)
        };
        let bound = -spec.dual_clip * advantage;
        if spec.loss == LossKind::DualClip && advantage < 0.0 && value > bound {
            (value, slope) = (bound, 0.0);
        }
        (value, slope)
    }

    fn token() -> impl Strategy<Value = Token> {
        (-6.0..0.0f32, -6.0..0.0f32, -2.0..2.0f64).prop_map(|(new, sampled, advantage)| Token {
            new,
            sampled,
            advantage,
        })
    }

    proptest! {
        #[test]
        fn every_loss_and_its_gradient_follow_their_formula(
            tokens in proptest::collection::vec(token(), 1..20)
        ) {
            for kind in [LossKind::PpoClip, LossKind::DualClip] {
                let spec = spec(kind);
                let (losses, slopes, clipped) = found(&spec, &tokens);
                for (at, token) in tokens.iter().enumerate() {
                    let (value, slope) = formula(&spec, token);
                    let near = |got: f32, want: f64| {
                        (f64::from(got) - want).abs() <= 1e-5 * want.abs().max(1.0)
                    };
                    // Next to a corner of the formula float32 may lie on its other side.
                    let ratio = f64::from(token.new - token.sampled).exp();
                    let corners = [0.8, 1.28, 3.0].iter().any(|corner| (ratio - corner).abs() < 1e-4);
                    prop_assert!(near(losses[at], value), "{kind:?} {token:?}: {} {value}", losses[at]);
                    if !corners && token.advantage.abs() > 1e-6 {
                        prop_assert!(near(slopes[at], slope), "{kind:?} {token:?}: {} {slope}", slopes[at]);
                        prop_assert_eq!(clipped[at], slope == 0.0, "{:?}", token);
                    }
                }
            }
        }
    }

    #[test]
    fn a_dual_clip_bounds_only_tokens_with_a_negative_advantage() {
        let far = |advantage: f64| Token {
            new: 0.0,
            sampled: -4.0,
            advantage,
        };
        let (losses, slopes, _) = found(&spec(LossKind::DualClip), &[far(-1.0), far(1.0)]);
        assert_eq!((losses[0], slopes[0]), (3.0, 0.0));
        let (plain, _, _) = found(&spec(LossKind::PpoClip), &[far(-1.0), far(1.0)]);
        assert!(plain[0] > 50.0, "e^4 without the bound: {}", plain[0]);
        assert_eq!(losses[1], plain[1]);
    }
}
