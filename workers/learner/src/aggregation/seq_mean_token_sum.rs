//! Mean over trajectories of the sum over their tokens, divided by a constant: a long trajectory is not diluted
//! (Dr. GRPO, arXiv 2503.20783, divides by the largest length).

use tch::{Kind, Tensor};

use super::{Aggregation, Totals};
use crate::batch::Columns;

pub(super) struct SeqMeanTokenSum {
    pub(super) norm: f64,
}

impl Aggregation for SeqMeanTokenSum {
    fn reduce(&self, terms: &Tensor, _: &Columns<'_>, totals: &Totals) -> Tensor {
        terms.sum(Kind::Float) / (totals.sequences * self.norm)
    }
}
