//! The objective of an update: loss of tokens, off-policy correction and aggregation, with the penalty for leaving a
//! reference policy and the entropy bonus, over the columns of a micro-batch.

use agoge_crds::grpo_run::GrpoSpec;
use tch::{Kind, Tensor};

use crate::aggregation::{Aggregation, Totals, aggregation};
use crate::batch::{Columns, Entropy};
use crate::correction::{Correction, correction};
use crate::loss::{Loss, Terms, loss, reference_kl};

/// The objective that a spec asks for.
pub struct Objective {
    loss: Box<dyn Loss>,
    correction: Box<dyn Correction>,
    aggregation: Box<dyn Aggregation>,
    kl_coefficient: f64,
    entropy_coefficient: f64,
}

/// Sums over a micro-batch, which add up over micro-batches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts {
    /// The micro-batch's share of the update's loss.
    pub loss: f64,
    /// Tokens whose loss is clipped.
    pub clipped: f64,
    /// Sum over tokens of the k3 estimate of KL(old, new): `exp(d) - d - 1` with `d = new - old`.
    pub kl: f64,
    /// The micro-batch's share of the penalty for leaving the reference policy, before its coefficient.
    pub reference: f64,
}

impl Objective {
    /// Returns the objective of a spec.
    #[must_use]
    pub fn of(spec: &GrpoSpec) -> Self {
        let objective = &spec.objective;
        Self {
            loss: loss(objective),
            correction: correction(objective),
            aggregation: aggregation(objective.aggregation, spec.max_trajectory_tokens),
            kl_coefficient: objective.kl_coefficient,
            entropy_coefficient: objective.entropy_coefficient,
        }
    }

    /// Returns true if log-probabilities under a reference policy are needed.
    #[must_use]
    pub fn needs_reference(&self) -> bool {
        self.kl_coefficient > 0.0
    }

    /// Returns true if log-probabilities under the policy at the beginning of the step are needed.
    #[must_use]
    pub fn needs_proximal(&self) -> bool {
        self.correction.needs_proximal()
    }

    /// Returns true if a trajectory with advantage 0 has a gradient all the same.
    #[must_use]
    pub fn moves_without_advantage(&self) -> bool {
        self.kl_coefficient > 0.0 || self.entropy_coefficient > 0.0
    }

    /// Returns the use that the objective makes of the entropy.
    #[must_use]
    pub fn entropy(&self) -> Entropy {
        match self.entropy_coefficient > 0.0 {
            true => Entropy::Gradient,
            false => Entropy::Figure,
        }
    }

    /// Returns a micro-batch's share of the update's loss, a scalar with gradient, and its parts. `entropy` is the sum over
    /// the tokens; the bonus is its mean over all tokens of the update, whatever the aggregation.
    pub fn evaluate(
        &self,
        columns: &Columns<'_>,
        entropy: &Tensor,
        totals: &Totals,
    ) -> (Tensor, Parts) {
        let Terms { loss, clipped } = self.loss.terms(columns);
        let weighted = match self.correction.weights(columns) {
            Some(weights) => loss * weights,
            None => loss,
        };
        let mut loss = self.aggregation.reduce(&weighted, columns, totals);
        let mut parts = Parts {
            clipped: clipped.sum(Kind::Float).double_value(&[]),
            kl: tch::no_grad(|| {
                let log_ratio = columns.log_ratio();
                let each = log_ratio.exp() - &log_ratio - 1.0;
                each.sum(Kind::Float).double_value(&[])
            }),
            ..Parts::default()
        };
        if let Some(reference) = columns.reference {
            let each = reference_kl(columns.new, reference);
            let penalty = self.aggregation.reduce(&each, columns, totals);
            parts.reference = penalty.double_value(&[]);
            loss += penalty * self.kl_coefficient;
        }
        if self.entropy_coefficient > 0.0 {
            loss -= entropy * (self.entropy_coefficient / totals.tokens);
        }
        parts.loss = loss.double_value(&[]);
        (loss, parts)
    }
}

#[cfg(test)]
mod tests {
    use agoge_crds::grpo_run::{AggregationKind, CorrectionKind, LossKind, ObjectiveSpec};
    use agoge_dialogue::Transcript;
    use proptest::prelude::*;

    use super::*;
    use crate::batch::{Batch, Sequence};

    /// Numbers that look random and are the same everywhere.
    fn noise(n: usize, scale: f32) -> Vec<f32> {
        (0..n)
            .map(|i| scale * ((i as f32 + 1.0) * 12.9898).sin())
            .collect()
    }

    fn batch() -> (Batch, Vec<f32>, Totals) {
        let transcripts: Vec<Transcript> = (0..9usize)
            .map(|i| {
                let said: Vec<u32> = (0..5 + i as u32 * 3).collect();
                let mut transcript = Transcript::default();
                transcript.push_context(&[1, 2]);
                let logprobs: Vec<f32> = noise(said.len(), 0.4).iter().map(|x| x - 1.0).collect();
                transcript.push_sampled(&said, &logprobs, 0);
                transcript
            })
            .collect();
        let sequences: Vec<Sequence<'_>> = transcripts
            .iter()
            .enumerate()
            .map(|(i, transcript)| Sequence {
                advantage: f64::from(noise(9, 0.8)[i]),
                group: i / 3,
                ..Sequence::of(transcript)
            })
            .collect();
        let batch = Batch::pack(&sequences, 0);
        let totals = Totals::of(batch.spans.iter().map(|span| (span.group, span.tokens)));
        let new = noise(batch.trained(), 0.9)
            .iter()
            .map(|x| x - 1.1)
            .collect();
        (batch, new, totals)
    }

    fn gradient(spec: ObjectiveSpec) -> (f64, Parts, Vec<f32>) {
        let (batch, new, totals) = batch();
        let new = Tensor::from_slice(&new).set_requires_grad(true);
        let objective = Objective::of(&GrpoSpec {
            objective: spec,
            ..GrpoSpec::default()
        });
        let columns = batch.columns(&new, None);
        let (loss, parts) = objective.evaluate(&columns, &Tensor::from(0.0f32), &totals);
        loss.backward();
        let gradient = Vec::<f32>::try_from(new.grad()).unwrap();
        (loss.double_value(&[]), parts, gradient)
    }

    /// The default objective written as one expression, as it was before it had parts.
    #[test]
    fn the_default_objective_is_the_clipped_loss_of_the_token_mean_bit_for_bit() {
        let (batch, values, totals) = batch();
        let (loss, parts, slopes) = gradient(ObjectiveSpec::default());
        let new = Tensor::from_slice(&values).set_requires_grad(true);
        let columns = batch.columns(&new, None);
        let log_ratio = (&new - columns.old).clamp(-20.0, 20.0);
        let ratio = log_ratio.exp();
        let free = &ratio * columns.advantage;
        let cut = ratio.clamp(1.0 - 0.2, 1.0 + 0.28) * columns.advantage;
        let want = -free.minimum(&cut).sum(Kind::Float) / totals.tokens;
        want.backward();
        assert_eq!(loss.to_bits(), want.double_value(&[]).to_bits());
        assert_eq!(slopes, Vec::<f32>::try_from(new.grad()).unwrap());
        let clipped = cut.lt_tensor(&free).sum(Kind::Float).double_value(&[]);
        let kl = (&ratio - &log_ratio - 1.0)
            .sum(Kind::Float)
            .double_value(&[]);
        assert_eq!((parts.clipped, parts.kl), (clipped, kl));
        assert!(clipped > 0.0 && clipped < totals.tokens);
    }

    #[test]
    fn on_policy_the_gradient_is_minus_the_advantage_over_the_token_count() {
        let (batch, _, totals) = batch();
        let new = tch::no_grad(|| batch.columns(&batch.targets, None).sampled.copy())
            .set_requires_grad(true);
        let columns = batch.columns(&new, None);
        let objective = Objective::of(&GrpoSpec::default());
        let (loss, _) = objective.evaluate(&columns, &Tensor::from(0.0f32), &totals);
        loss.backward();
        let far = (new.grad() * totals.tokens + columns.advantage).abs().max();
        assert!(far.double_value(&[]) < 1e-6);
    }

    proptest! {
        /// A step against the gradient lowers every objective by what its gradient says.
        #[test]
        fn the_gradient_of_every_combination_is_that_of_its_loss(
            loss in prop_oneof![Just(LossKind::PpoClip), Just(LossKind::DualClip)],
            aggregation in prop_oneof![
                Just(AggregationKind::TokenMean), Just(AggregationKind::SeqMeanTokenMean),
                Just(AggregationKind::SeqMeanTokenSum), Just(AggregationKind::SeqMeanTokenSumNorm),
                Just(AggregationKind::PromptMean)],
            correction in prop_oneof![Just(CorrectionKind::None), Just(CorrectionKind::Tis)],
        ) {
            let spec = GrpoSpec {
                objective: ObjectiveSpec { loss, aggregation, correction, ..ObjectiveSpec::default() },
                ..GrpoSpec::default()
            };
            let objective = Objective::of(&spec);
            let (batch, values, totals) = batch();
            let at = |step: f64, slopes: Option<&Tensor>| {
                let mut new = Tensor::from_slice(&values).to_kind(Kind::Double);
                if let Some(slopes) = slopes {
                    new -= slopes * step;
                }
                let new = new.set_requires_grad(true);
                let columns = batch.columns(&new, None);
                let (loss, _) = objective.evaluate(&columns, &Tensor::from(0.0f32), &totals);
                (loss, new)
            };
            let (loss, new) = at(0.0, None);
            loss.backward();
            let slopes = new.grad();
            let step = 1e-3 / slopes.abs().max().double_value(&[]);
            let (lower, _) = at(step, Some(&slopes));
            let (higher, _) = at(-step, Some(&slopes));
            let fall = (higher.double_value(&[]) - lower.double_value(&[])) / (2.0 * step);
            let want = slopes.square().sum(Kind::Double).double_value(&[]);
            prop_assert!((fall - want).abs() < 0.05 * want, "{fall} {want}");
        }
    }
}
