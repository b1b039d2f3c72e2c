//! Transcripts as micro-batches, and the log-probabilities of the tokens that are trained.

use agoge_dialogue::Transcript;
use agoge_model::Decoder;
use tch::{Kind, Tensor};

use crate::parallel::PIECES;

/// Transcripts end to end, without padding. `N` is the number of trained tokens over all of them, in order of transcript
/// and position.
#[derive(Debug)]
pub struct Batch {
    /// `[T]` int64 token ids.
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
        let (mut ids, mut before, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        let (mut lengths, mut counts) = (Vec::new(), Vec::new());
        for transcript in transcripts.iter().filter(|t| !t.ids.is_empty()) {
            let (start, scored) = (ids.len(), targets.len());
            for (column, (id, trained)) in transcript.ids.iter().zip(&transcript.mask).enumerate() {
                ids.push(i64::from(*id));
                if *trained && column > 0 {
                    before.push((start + column - 1) as i64);
                    targets.push(i64::from(*id));
                }
            }
            lengths.push(transcript.ids.len() as i64);
            counts.push(targets.len() - scored);
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

/// Trained tokens of a transcript that a batch can score: those with a token before them.
#[must_use]
pub fn trainable(transcript: &Transcript) -> usize {
    transcript.mask.iter().skip(1).filter(|m| **m).count()
}

/// Splits transcripts of these lengths into micro-batches of at most `budget` tokens, longest first, so that those of one
/// length are neighbours, and into at least [`PIECES`] where there are so many transcripts. Indices into `lengths`; each
/// appears once; a transcript longer than the budget goes alone.
#[must_use]
pub fn micro_batches(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(lengths[*i]), *i));
    let share = lengths.iter().sum::<usize>().div_ceil(PIECES);
    let budget = budget.min(share);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for index in order {
        match batches.last_mut() {
            Some(batch) if lengths[index] <= room => batch.push(index),
            _ => {
                batches.push(vec![index]);
                room = budget.max(lengths[index]);
            }
        }
        room -= lengths[index];
    }
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
    let logits = if temperature == 1.0 { logits } else { logits / temperature };
    let all = logits.log_softmax(-1, Kind::Float);
    let logprobs = all.gather(1, &batch.targets.unsqueeze(1), false).squeeze_dim(1);
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
            lengths in proptest::collection::vec(1usize..300, 0..60), budget in 300usize..4000
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
        assert_eq!(Vec::<i64>::try_from(&batch.ids).unwrap(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(batch.lengths, [4, 2]);
        assert_eq!(Vec::<i64>::try_from(&batch.before).unwrap(), [1, 2, 4]);
        assert_eq!(Vec::<i64>::try_from(&batch.targets).unwrap(), [3, 4, 6]);
        assert_eq!(batch.counts, [2, 1]);
    }
}
