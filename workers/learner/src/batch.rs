//! Transcripts as micro-batches, and the log-probabilities of the tokens that are trained.

use agoge_dialogue::Transcript;
use agoge_model::Decoder;
use tch::{Kind, Tensor};

use crate::parallel::PIECES;

/// Transcripts end to end, without padding. `N` is the number of trained tokens over all of them, in order of transcript
/// and position.
#[derive(Debug)]
pub struct Batch {
    /// `[T]` int64 token ids, each transcript up to its last trained one.
    pub ids: Tensor,
    /// Tokens of each transcript; they sum to `T`.
    pub lengths: Vec<i64>,
    /// `[N]` int64: for each trained token, the position in `ids` of the token *before* it.
    pub before: Tensor,
    /// `[N]` int64: the trained tokens.
    pub targets: Tensor,
    /// Trained tokens of each transcript; they sum to `N`.
    pub counts: Vec<usize>,
}

impl Batch {
    /// Packs transcripts. A trained first token has nothing to be predicted from and is left out.
    #[must_use]
    pub fn pack(transcripts: &[&Transcript]) -> Self {
        let (mut ids, mut lengths) = (Vec::new(), Vec::new());
        let (mut before, mut targets, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for transcript in transcripts {
            let length = needed(transcript);
            if length == 0 {
                counts.push(0);
                continue;
            }
            let (start, first) = (ids.len(), targets.len());
            ids.extend(transcript.ids[..length].iter().map(|id| i64::from(*id)));
            lengths.push(length as i64);
            for column in (1..length).filter(|column| transcript.mask[*column]) {
                before.push((start + column - 1) as i64);
                targets.push(i64::from(transcript.ids[column]));
            }
            counts.push(targets.len() - first);
        }
        Self {
            ids: Tensor::from_slice(&ids),
            lengths,
            before: Tensor::from_slice(&before),
            targets: Tensor::from_slice(&targets),
            counts,
        }
    }

    /// Number of trained tokens.
    #[must_use]
    pub fn trained(&self) -> usize {
        self.counts.iter().sum()
    }
}

/// Tokens of a transcript up to its last trained one: nothing is to be predicted from what comes after.
#[must_use]
pub fn needed(transcript: &Transcript) -> usize {
    transcript
        .mask
        .iter()
        .rposition(|trained| *trained)
        .map_or(0, |last| last + 1)
}

/// Trained tokens of a transcript that a batch can score: those with a token before them.
#[must_use]
pub fn trainable(transcript: &Transcript) -> usize {
    transcript.mask.iter().skip(1).filter(|m| **m).count()
}

/// Splits transcripts of these lengths into micro-batches of at most `budget` tokens, longest first, so that those of one
/// length are neighbours, and into at least [`PIECES`] where there are so many transcripts. Indices into `lengths`; each
/// appears once; a transcript longer than the budget goes with as few others as can be.
#[must_use]
pub fn micro_batches(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(lengths[*i]), *i));
    let total: usize = lengths.iter().sum();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    // A cut falls on the transcript nearest to it, so that a batch is larger than its share by one transcript at most.
    let count = total
        .div_ceil(budget.saturating_sub(longest).max(1))
        .clamp(PIECES, lengths.len().max(PIECES));
    let mut batches: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut before = 0;
    for index in order {
        let middle = before + lengths[index] / 2;
        before += lengths[index];
        batches[(middle * count / total.max(1)).min(count - 1)].push(index);
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}

/// What is wanted of the entropy beside the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entropy {
    /// Nothing: it costs a pass over all logits.
    Skip,
    /// The figure.
    Figure,
    /// The figure, with gradient.
    Gradient,
}

/// Scores of a batch's trained tokens.
#[derive(Debug)]
pub struct Scores {
    /// `[N]` float32 with gradient: log-probability of each trained token at the given temperature.
    pub logprobs: Tensor,
    /// Scalar: sum over tokens of the entropy of the distribution, in nats; 0 when it was skipped.
    pub entropy: Tensor,
}

/// Log-probabilities of the trained tokens under `decoder`, at the temperature they were sampled at (1 for SFT).
#[must_use]
pub fn score(decoder: &Decoder, batch: &Batch, temperature: f64, entropy: Entropy) -> Scores {
    let chosen = decoder.hidden_at(&batch.ids, &batch.lengths, &batch.before);
    let logits = decoder.head(&chosen).to_kind(Kind::Float);
    let logits = if temperature == 1.0 {
        logits
    } else {
        logits / temperature
    };
    let all = logits.log_softmax(-1, Kind::Float);
    let logprobs = all
        .gather(1, &batch.targets.unsqueeze(1), false)
        .squeeze_dim(1);
    let sum = || -(all.exp() * &all).sum(Kind::Float);
    let entropy = match entropy {
        Entropy::Skip => Tensor::from(0.0f32),
        Entropy::Figure => tch::no_grad(sum),
        Entropy::Gradient => sum(),
    };
    Scores { logprobs, entropy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn micro_batches_hold_every_transcript_once_within_the_budget(
            lengths in proptest::collection::vec(1usize..300, 0..60), budget in 600usize..4000
        ) {
            let batches = micro_batches(&lengths, budget);
            let mut seen: Vec<usize> = batches.concat();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for batch in batches {
                prop_assert!(batch.iter().map(|i| lengths[*i]).sum::<usize>() <= budget);
            }
        }
    }

    #[test]
    fn a_trained_token_is_scored_from_the_token_before_it() {
        let mut a = Transcript::default();
        a.push_context(&[1, 2]);
        a.push_sampled(&[3, 4], &[-0.1, -0.2], 0);
        let mut b = Transcript::default();
        b.push_context(&[5]);
        b.push_sampled(&[6], &[-0.3], 0);
        let batch = Batch::pack(&[&a, &b]);
        assert_eq!(
            Vec::<i64>::try_from(&batch.ids).unwrap(),
            [1, 2, 3, 4, 5, 6]
        );
        assert_eq!(
            (batch.lengths.as_slice(), batch.ids.size()[0]),
            ([4, 2].as_slice(), 6)
        );
        assert_eq!(Vec::<i64>::try_from(&batch.before).unwrap(), [1, 2, 4]);
        assert_eq!(Vec::<i64>::try_from(&batch.targets).unwrap(), [3, 4, 6]);
        assert_eq!(batch.counts, [2, 1]);
    }
}
