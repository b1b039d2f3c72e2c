//! Mean over groups of the mean over their tokens: every task weighs the same, whatever the length of its trajectories.

use tch::{Kind, Tensor};

use super::{Aggregation, Totals};
use crate::batch::Columns;

pub(super) struct PromptMean;

impl Aggregation for PromptMean {
    fn reduce(&self, terms: &Tensor, columns: &Columns<'_>, totals: &Totals) -> Tensor {
        let tokens = |group: usize| totals.of_group.get(group).copied().unwrap_or(1.0);
        let weights = columns.per_token(|sequence| 1.0 / tokens(sequence.group));
        (terms * weights).sum(Kind::Float) / totals.groups
    }
}
