//! Truncated importance sampling: `min(exp(old - sampled), cap)`, where `old` is the policy at the beginning of the step and
//! `sampled` the one that sampled the token.

use tch::Tensor;

use super::Correction;
use crate::batch::Columns;

pub(super) struct Tis {
    pub(super) cap: f64,
}

impl Correction for Tis {
    fn needs_proximal(&self) -> bool {
        true
    }

    fn weights(&self, columns: &Columns<'_>) -> Option<Tensor> {
        let log_ratio = (columns.old - columns.sampled).clamp(-20.0, 20.0);
        Some(log_ratio.exp().clamp_max(self.cap))
    }
}

#[cfg(test)]
mod tests {
    use agoge_dialogue::Transcript;

    use super::*;
    use crate::batch::{Batch, Sequence};

    #[test]
    fn a_token_weighs_as_the_step_s_policy_sampled_it_up_to_the_cap() {
        let mut transcript = Transcript::default();
        transcript.push_context(&[1]);
        transcript.push_sampled(&[2, 3, 4], &[-1.0, -1.0, -1.0], 0);
        let proximal = [-1.0, -1.5, 0.0];
        let batch = Batch::pack(
            &[Sequence {
                proximal: Some(&proximal),
                ..Sequence::of(&transcript)
            }],
            0,
        );
        let new = Tensor::from_slice(&[0.0f32; 3]);
        let weights = Tis { cap: 2.0 }.weights(&batch.columns(&new, None));
        let weights = Vec::<f32>::try_from(weights.unwrap()).unwrap();
        assert!(
            (weights[0] - 1.0).abs() < 1e-6 && (weights[1] - (-0.5f32).exp()).abs() < 1e-6,
            "{weights:?}"
        );
        assert_eq!(weights[2], 2.0, "e^1 is cut");
    }
}
