//! Corrections for tokens that another policy sampled, one small file each.

mod none;
mod tis;

use agoge_crds::grpo_run::{CorrectionKind, ObjectiveSpec};
use tch::Tensor;

use crate::batch::Columns;

/// An off-policy correction.
pub trait Correction: Send + Sync {
    /// Returns true if the loss takes its ratio to the policy at the beginning of the step, whose log-probabilities then have
    /// to be computed, and false if it takes it to the policy that sampled.
    fn needs_proximal(&self) -> bool;

    /// Returns the weight of each token's loss, `[N]` float32 without gradient; `None` weighs every token 1.
    fn weights(&self, columns: &Columns<'_>) -> Option<Tensor>;
}

/// Returns the correction that a spec asks for.
#[must_use]
pub fn correction(spec: &ObjectiveSpec) -> Box<dyn Correction> {
    match spec.correction {
        CorrectionKind::None => Box::new(none::None),
        CorrectionKind::Tis => Box::new(tis::Tis {
            cap: spec.correction_cap,
        }),
    }
}
