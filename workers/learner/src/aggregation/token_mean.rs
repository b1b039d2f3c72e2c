//! Mean over all trained tokens of the update (DAPO, arXiv 2503.14476).

use tch::{Kind, Tensor};

use super::{Aggregation, Totals};
use crate::batch::Columns;

pub(super) struct TokenMean;

impl Aggregation for TokenMean {
    fn reduce(&self, terms: &Tensor, _: &Columns<'_>, totals: &Totals) -> Tensor {
        terms.sum(Kind::Float) / totals.tokens
    }
}
