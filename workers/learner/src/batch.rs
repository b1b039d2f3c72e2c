//! Transcripts as micro-batches: every column that a loss reads is built here, once, from the same tokens.

use agoge_dialogue::Transcript;
use agoge_model::Decoder;
use tch::{Kind, Tensor};

/// A transcript as part of a batch, with what its trained tokens share.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// Tokens, mask, log-probabilities and versions as sampled.
    pub transcript: &'a Transcript,
    /// Advantage of the trajectory.
    pub advantage: f64,
    /// Index of its group in the step.
    pub group: usize,
    /// Log-probabilities of its trained tokens under the policy at the beginning of the step, where they were computed.
    pub proximal: Option<&'a [f32]>,
}

impl<'a> Sequence<'a> {
    /// Returns a transcript on its own: advantage 1, group 0.
    #[must_use]
    pub fn of(transcript: &'a Transcript) -> Self {
        Self {
            transcript,
            advantage: 1.0,
            group: 0,
            proximal: None,
        }
    }
}

/// Sequences end to end, without padding. `T` is the number of their tokens, `N` of the trained ones, in order of sequence
/// and position. The loss mask is resolved here: the columns of `[N]` hold trained tokens only.
#[derive(Debug)]
pub struct Batch {
    /// `[T]` int64 token ids, each sequence up to its last trained one.
    pub ids: Tensor,
    /// Tokens of each sequence; they sum to `T`.
    pub lengths: Vec<i64>,
    /// `[N]` int64: for each trained token, the position in `ids` of the token *before* it.
    pub before: Tensor,
    /// `[N]` int64: the trained tokens.
    pub targets: Tensor,
    /// Length and group of each sequence.
    pub spans: Vec<Span>,
    /// `[N]` float32: log-probabilities under the policy that sampled.
    sampled: Tensor,
    /// `[N]` float32: log-probabilities under the policy that the loss takes its ratio to.
    old: Tensor,
    /// `[N]` float32.
    advantage: Tensor,
    /// `N` policy versions between sampling and training.
    age: Vec<u32>,
}

/// The trained tokens of one sequence of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Number of trained tokens; they sum to `N`.
    pub tokens: usize,
    /// Index of the group in the step.
    pub group: usize,
}

/// The columns of a batch as a loss reads them, one entry per trained token. Only `new` carries a gradient.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// `[N]` float32: log-probabilities under the policy that is trained.
    pub new: &'a Tensor,
    /// `[N]` float32: log-probabilities that the ratio is taken to.
    pub old: &'a Tensor,
    /// `[N]` float32: log-probabilities as sampled.
    pub sampled: &'a Tensor,
    /// `[N]` float32: log-probabilities under the reference policy, if there is one.
    pub reference: Option<&'a Tensor>,
    /// `[N]` float32: advantages.
    pub advantage: &'a Tensor,
    /// `N` policy versions between sampling and training.
    pub age: &'a [u32],
    /// Sequences, in order.
    pub spans: &'a [Span],
}

impl Batch {
    /// Packs sequences for training at this policy version. A trained first token has nothing to be predicted from and is in
    /// no column.
    #[must_use]
    pub fn pack(sequences: &[Sequence<'_>], version: u32) -> Self {
        let (mut ids, mut lengths, mut spans) = (Vec::new(), Vec::new(), Vec::new());
        let (mut before, mut targets, mut age) = (Vec::new(), Vec::new(), Vec::new());
        let (mut sampled, mut old, mut advantage) = (Vec::new(), Vec::new(), Vec::new());
        for sequence in sequences {
            let transcript = sequence.transcript;
            let length = needed(transcript);
            let (start, first) = (ids.len(), targets.len());
            if length > 0 {
                ids.extend(transcript.ids[..length].iter().map(|id| i64::from(*id)));
                lengths.push(length as i64);
            }
            for column in (1..length).filter(|column| transcript.mask[*column]) {
                let logprob = transcript.logprobs[column];
                let proximal = sequence.proximal.map(|all| all[targets.len() - first]);
                before.push((start + column - 1) as i64);
                targets.push(i64::from(transcript.ids[column]));
                sampled.push(logprob);
                old.push(proximal.unwrap_or(logprob));
                advantage.push(sequence.advantage as f32);
                age.push(version.saturating_sub(transcript.versions[column]));
            }
            spans.push(Span {
                tokens: targets.len() - first,
                group: sequence.group,
            });
        }
        Self {
            ids: Tensor::from_slice(&ids),
            lengths,
            before: Tensor::from_slice(&before),
            targets: Tensor::from_slice(&targets),
            spans,
            sampled: Tensor::from_slice(&sampled),
            old: Tensor::from_slice(&old),
            advantage: Tensor::from_slice(&advantage),
            age,
        }
    }

    /// Returns the number of trained tokens.
    #[must_use]
    pub fn trained(&self) -> usize {
        self.spans.iter().map(|span| span.tokens).sum()
    }

    /// Returns the columns of the batch, with the log-probabilities that were just scored.
    #[must_use]
    pub fn columns<'a>(&'a self, new: &'a Tensor, reference: Option<&'a Tensor>) -> Columns<'a> {
        Columns {
            new,
            old: &self.old,
            sampled: &self.sampled,
            reference,
            advantage: &self.advantage,
            age: &self.age,
            spans: &self.spans,
        }
    }
}

impl Columns<'_> {
    /// Returns `new - old`, cut at ±20.
    pub fn log_ratio(&self) -> Tensor {
        (self.new - self.old).clamp(-20.0, 20.0)
    }

    /// Returns a value of each sequence at each of its tokens: `[N]` float32 without gradient.
    pub fn per_token(&self, value: impl Fn(&Span) -> f64) -> Tensor {
        let repeated = |span: &Span| std::iter::repeat_n(value(span) as f32, span.tokens);
        let values: Vec<f32> = self.spans.iter().flat_map(repeated).collect();
        Tensor::from_slice(&values)
    }

    /// Returns the largest difference between a token's log-probability as sampled and as scored now, over the tokens that
    /// the current policy version sampled.
    #[must_use]
    pub fn gap(&self) -> f64 {
        let fresh = |age: &u32| f32::from(u8::from(*age == 0));
        let fresh: Vec<f32> = self.age.iter().map(fresh).collect();
        if fresh.is_empty() {
            return 0.0;
        }
        let gaps = (self.new.detach() - self.sampled).abs() * Tensor::from_slice(&fresh);
        gaps.max().double_value(&[])
    }
}

/// Returns the number of tokens up to the last trained one: nothing is predicted from what comes after.
#[must_use]
pub fn needed(transcript: &Transcript) -> usize {
    let last = transcript.mask.iter().rposition(|trained| *trained);
    last.map_or(0, |last| last + 1)
}

/// Returns the number of trained tokens that a batch can score: those with a token before them.
#[must_use]
pub fn trainable(transcript: &Transcript) -> usize {
    transcript.mask.iter().skip(1).filter(|m| **m).count()
}

/// Splits transcripts of these lengths into micro-batches of at most `budget` tokens, longest first, so that those of one
/// length are neighbours, and into at least `pieces` where there are so many transcripts. Indices into `lengths`; each
/// appears once; a transcript longer than the budget goes with as few others as can be.
#[must_use]
pub fn micro_batches(lengths: &[usize], budget: usize, pieces: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(lengths[*i]), *i));
    let total: usize = lengths.iter().sum();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    // A cut falls on the transcript nearest to it, so that a batch is larger than its share by one transcript at most.
    let count = total
        .div_ceil(budget.saturating_sub(longest).max(1))
        .clamp(pieces.max(1), lengths.len().max(pieces).max(1));
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

/// Use of the entropy beside the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entropy {
    /// Not computed: it costs a pass over all logits.
    Skip,
    /// A figure.
    Figure,
    /// A figure with gradient.
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
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One trained token.
    #[derive(Clone, Debug)]
    pub struct Token {
        pub new: f32,
        pub sampled: f32,
        pub advantage: f64,
    }

    /// A batch of one sequence per token.
    pub fn columns_of(tokens: &[Token]) -> Batch {
        let transcripts: Vec<Transcript> = tokens
            .iter()
            .map(|token| {
                let mut transcript = Transcript::default();
                transcript.push_context(&[1]);
                transcript.push_sampled(&[2], &[token.sampled], 0);
                transcript
            })
            .collect();
        let sequences: Vec<Sequence<'_>> = tokens
            .iter()
            .zip(&transcripts)
            .map(|(token, transcript)| Sequence {
                advantage: token.advantage,
                ..Sequence::of(transcript)
            })
            .collect();
        Batch::pack(&sequences, 0)
    }

    proptest! {
        #[test]
        fn micro_batches_hold_every_transcript_once_within_the_budget(
            lengths in proptest::collection::vec(1usize..300, 0..60), budget in 600usize..4000
        ) {
            let batches = micro_batches(&lengths, budget, 2);
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
        let batch = Batch::pack(&[Sequence::of(&a), Sequence::of(&b)], 0);
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
    }

    fn transcript() -> impl Strategy<Value = Transcript> {
        let tokens = (0u32..9, -5.0..0.0f32, any::<bool>(), 0u32..4);
        proptest::collection::vec(tokens, 0..12).prop_map(|tokens| {
            let mut transcript = Transcript::default();
            for (id, logprob, trained, version) in tokens {
                match trained {
                    true => transcript.push_sampled(&[id], &[logprob], version),
                    false => transcript.push_context(&[id]),
                }
            }
            transcript
        })
    }

    proptest! {
        #[test]
        fn all_columns_are_of_the_same_tokens_also_where_the_first_one_is_trained(
            all in proptest::collection::vec((transcript(), -1.0..1.0f64, 0usize..3), 0..6)
        ) {
            let sequences: Vec<Sequence<'_>> = all
                .iter()
                .map(|(transcript, advantage, group)| Sequence {
                    transcript, advantage: *advantage, group: *group, proximal: None,
                })
                .collect();
            let batch = Batch::pack(&sequences, 3);
            let mut rows = Vec::new();
            for (transcript, advantage, _) in &all {
                for at in (1..transcript.ids.len()).filter(|at| transcript.mask[*at]) {
                    rows.push((transcript.ids[at], transcript.logprobs[at], *advantage as f32, 3 - transcript.versions[at]));
                }
            }
            let n = rows.len();
            let new = Tensor::from_slice(&vec![0.0f32; n]);
            let columns = batch.columns(&new, None);
            prop_assert_eq!(batch.trained(), n);
            for (span, (transcript, _, group)) in batch.spans.iter().zip(&all) {
                prop_assert_eq!((span.tokens, span.group), (trainable(transcript), *group));
            }
            prop_assert_eq!(Vec::<i64>::try_from(&batch.targets).unwrap(), rows.iter().map(|r| i64::from(r.0)).collect::<Vec<_>>());
            for column in [columns.old, columns.sampled] {
                prop_assert_eq!(Vec::<f32>::try_from(column).unwrap(), rows.iter().map(|r| r.1).collect::<Vec<_>>());
            }
            prop_assert_eq!(Vec::<f32>::try_from(columns.advantage).unwrap(), rows.iter().map(|r| r.2).collect::<Vec<_>>());
            prop_assert_eq!(columns.age, rows.iter().map(|r| r.3).collect::<Vec<_>>());
        }
    }
}
