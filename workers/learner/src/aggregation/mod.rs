//! Aggregations: the mean that makes one loss of the losses of tokens, one small file each.
//!
//! An update is split into micro-batches, and each adds its share: denominators are those of the whole update, over all
//! micro-batches and ranks, trajectories without a gradient included.

mod prompt_mean;
mod seq_mean_token_mean;
mod seq_mean_token_sum;
mod token_mean;

use agoge_crds::grpo_run::AggregationKind;
use tch::Tensor;

use crate::batch::Columns;

/// A mean over the tokens of an update.
pub trait Aggregation: Send + Sync {
    /// Returns the share of `terms`, `[N]`, in the update's loss: a scalar.
    fn reduce(&self, terms: &Tensor, columns: &Columns<'_>, totals: &Totals) -> Tensor;
}

/// Denominators of one update.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Trained tokens.
    pub tokens: f64,
    /// Trajectories with trained tokens.
    pub sequences: f64,
    /// Groups with trained tokens.
    pub groups: f64,
    /// Trained tokens of each group, by its index.
    pub of_group: Vec<f64>,
}

impl Totals {
    /// Counts trajectories, each given as the index of its group and the number of its trained tokens.
    #[must_use]
    pub fn of(trajectories: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut totals = Self::default();
        for (group, tokens) in trajectories {
            if tokens == 0 {
                continue;
            }
            if totals.of_group.len() <= group {
                totals.of_group.resize(group + 1, 0.0);
            }
            totals.tokens += tokens as f64;
            totals.sequences += 1.0;
            totals.of_group[group] += tokens as f64;
        }
        totals.groups = totals.of_group.iter().filter(|n| **n > 0.0).count() as f64;
        totals
    }
}

/// Returns an aggregation; `longest` is the number of tokens of a trajectory at most.
#[must_use]
pub fn aggregation(kind: AggregationKind, longest: u32) -> Box<dyn Aggregation> {
    match kind {
        AggregationKind::TokenMean => Box::new(token_mean::TokenMean),
        AggregationKind::SeqMeanTokenMean => Box::new(seq_mean_token_mean::SeqMeanTokenMean),
        AggregationKind::SeqMeanTokenSum => {
            Box::new(seq_mean_token_sum::SeqMeanTokenSum { norm: 1.0 })
        }
        AggregationKind::SeqMeanTokenSumNorm => Box::new(seq_mean_token_sum::SeqMeanTokenSum {
            norm: f64::from(longest.max(1)),
        }),
        AggregationKind::PromptMean => Box::new(prompt_mean::PromptMean),
    }
}

#[cfg(test)]
mod tests {
    use agoge_dialogue::Transcript;
    use proptest::prelude::*;

    use super::*;
    use crate::batch::{Batch, Sequence};

    const ALL: [AggregationKind; 5] = [
        AggregationKind::TokenMean,
        AggregationKind::SeqMeanTokenMean,
        AggregationKind::SeqMeanTokenSum,
        AggregationKind::SeqMeanTokenSumNorm,
        AggregationKind::PromptMean,
    ];
    const LONGEST: u32 = 50;

    type Trajectory = (usize, Vec<f32>);

    fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
        let values: Vec<f64> = values.into_iter().collect();
        values.iter().sum::<f64>() / values.len() as f64
    }

    /// The definition, over all trajectories at once.
    fn formula(kind: AggregationKind, all: &[Trajectory]) -> f64 {
        let sums = || {
            all.iter()
                .map(|(_, terms)| terms.iter().map(|t| f64::from(*t)).sum())
        };
        let groups: std::collections::BTreeSet<usize> = all.iter().map(|(g, _)| *g).collect();
        let tokens_of = |group: usize| {
            let of_group = all.iter().filter(move |(g, _)| *g == group);
            of_group.flat_map(|(_, terms)| terms.iter().map(|t| f64::from(*t)))
        };
        match kind {
            AggregationKind::TokenMean => mean(
                all.iter()
                    .flat_map(|(_, t)| t.iter().map(|t| f64::from(*t))),
            ),
            AggregationKind::SeqMeanTokenMean => mean(
                all.iter()
                    .map(|(_, terms)| mean(terms.iter().map(|t| f64::from(*t)))),
            ),
            AggregationKind::SeqMeanTokenSum => mean(sums()),
            AggregationKind::SeqMeanTokenSumNorm => mean(sums()) / f64::from(LONGEST),
            AggregationKind::PromptMean => mean(groups.into_iter().map(|g| mean(tokens_of(g)))),
        }
    }

    fn share(kind: AggregationKind, part: &[Trajectory], totals: &Totals) -> f64 {
        let transcripts: Vec<Transcript> = part
            .iter()
            .map(|(_, terms)| {
                let mut transcript = Transcript::default();
                transcript.push_context(&[1]);
                transcript.push_sampled(&vec![2; terms.len()], &[], 0);
                transcript
            })
            .collect();
        let sequences: Vec<Sequence<'_>> = part
            .iter()
            .zip(&transcripts)
            .map(|((group, _), transcript)| Sequence {
                group: *group,
                ..Sequence::of(transcript)
            })
            .collect();
        let batch = Batch::pack(&sequences, 0);
        let terms: Vec<f32> = part.iter().flat_map(|(_, terms)| terms.clone()).collect();
        let terms = Tensor::from_slice(&terms);
        let columns = batch.columns(&terms, None);
        aggregation(kind, LONGEST)
            .reduce(&terms, &columns, totals)
            .double_value(&[])
    }

    proptest! {
        #[test]
        fn micro_batches_add_up_to_the_definition(
            all in proptest::collection::vec(
                (0usize..5, proptest::collection::vec(-3.0..3.0f32, 1..12)), 1..12),
            cut in 0usize..12,
        ) {
            let totals = Totals::of(all.iter().map(|(group, terms)| (*group, terms.len())));
            let (first, second) = all.split_at(cut.min(all.len()));
            for kind in ALL {
                let mut got = 0.0;
                for part in [first, second] {
                    if !part.is_empty() {
                        got += share(kind, part, &totals);
                    }
                }
                let want = formula(kind, &all);
                prop_assert!((got - want).abs() < 1e-4, "{kind:?}: {got} {want}");
            }
        }
    }
}
