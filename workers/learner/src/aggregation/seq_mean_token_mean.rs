//! Mean over trajectories of the mean over their tokens: every trajectory weighs the same (GRPO, arXiv 2402.03300).

use tch::{Kind, Tensor};

use super::{Aggregation, Totals};
use crate::batch::Columns;

pub(super) struct SeqMeanTokenMean;

impl Aggregation for SeqMeanTokenMean {
    fn reduce(&self, terms: &Tensor, columns: &Columns<'_>, totals: &Totals) -> Tensor {
        let weights = columns.per_token(|sequence| 1.0 / sequence.tokens as f64);
        (terms * weights).sum(Kind::Float) / totals.sequences
    }
}
