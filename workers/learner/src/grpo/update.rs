//! The training half of a step: the objective over its trajectories, in micro-batches, and the optimiser's updates.

use agoge_c10d::{Ranks, RanksError};
use agoge_model::Decoder;
use tch::Tensor;

use super::{Group, Grpo, Step, version};
use crate::aggregation::Totals;
use crate::batch::{Batch, Entropy, Sequence, micro_batches, needed, score, trainable};
use crate::gradient::gradient;
use crate::objective::{Objective, Parts};
use crate::parallel;
use crate::ranks::whole_gradient;
use crate::rollout::Trajectory;
use crate::shuffle::shuffled;

impl Grpo<'_> {
    /// Makes the optimiser updates of one step, and completes its figures.
    pub(super) fn update(&mut self, groups: &[Group], step: &mut Step) -> Result<(), RanksError> {
        let mut members = members(groups, &self.ranks);
        self.score_at_start(&mut members);
        let mut sums = Sums::default();
        let mut norms = Vec::new();
        let parts = self.setup.spec.minibatches.max(1) as usize;
        let order = shuffled(members.len(), self.setup.seed ^ 0x5eed, step.step);
        for (number, part) in order
            .chunks(members.len().div_ceil(parts).max(1))
            .enumerate()
        {
            let part: Vec<&Member<'_>> = part.iter().map(|index| &members[*index]).collect();
            let totals = Totals::of(part.iter().map(|member| (member.group, member.tokens)));
            step.trained_tokens += totals.tokens as u64;
            let (gradient, found) = self.gradient_of(&part, &totals, step.step)?;
            for one in found {
                if number == 0 {
                    sums.gap = sums.gap.max(one.gap);
                }
                sums.add(&one, 1.0 / parts as f64);
            }
            let norm = self.adam.step(&gradient, self.rate());
            if norm.is_finite() {
                norms.push(norm);
            } else {
                step.skipped_updates += 1;
            }
        }
        let rewards: Vec<f64> = members.iter().filter_map(|m| m.trajectory.reward).collect();
        step.reward_effective = rewards.iter().sum::<f64>() / rewards.len().max(1) as f64;
        step.grad_norm = norms.iter().sum::<f64>() / norms.len().max(1) as f64;
        sums.over(&self.ranks)?.enter(step);
        Ok(())
    }

    /// Cuts members of these lengths into micro-batches.
    fn micro_batches(&self, lengths: &[usize]) -> Vec<Vec<usize>> {
        let setup = &self.setup;
        micro_batches(
            lengths,
            setup.micro_batch_tokens,
            setup.parallelism.pieces(),
        )
    }

    /// Computes the log-probabilities of this rank's members before the first update, where the objective needs them.
    fn score_at_start(&self, members: &mut [Member<'_>]) {
        if !self.objective.needs_proximal() {
            return;
        }
        let own: Vec<usize> = (0..members.len())
            .filter(|at| members[*at].own && self.moves(&members[*at]))
            .collect();
        let lengths: Vec<usize> = own.iter().map(|at| members[*at].length()).collect();
        let items: Vec<(Decoder, Vec<usize>)> = self
            .micro_batches(&lengths)
            .into_iter()
            .map(|micro| (self.decoder.share(), micro))
            .collect();
        let threads = self.setup.parallelism.threads();
        let temperature = self.setup.spec.temperature;
        let shared: &[Member<'_>] = members;
        let scored = parallel::run(threads, items, |(decoder, micro)| {
            let at: Vec<usize> = micro.iter().map(|index| own[*index]).collect();
            let picked: Vec<Sequence<'_>> = at
                .iter()
                .map(|at| Sequence::of(&shared[*at].trajectory.transcript))
                .collect();
            let batch = Batch::pack(&picked, 0);
            let scores = tch::no_grad(|| score(&decoder, &batch, temperature, Entropy::Skip));
            let mut flat = Vec::<f32>::try_from(&scores.logprobs)
                .unwrap_or_default()
                .into_iter();
            let cut = |tokens: usize| flat.by_ref().take(tokens).collect::<Vec<f32>>();
            let each: Vec<Vec<f32>> = batch.spans.iter().map(|s| s.tokens).map(cut).collect();
            at.into_iter().zip(each).collect::<Vec<_>>()
        });
        for (at, logprobs) in scored.into_iter().flatten() {
            members[at].proximal = Some(logprobs);
        }
    }

    /// Returns true if a member has a gradient. Without a penalty or bonus of its own, a trajectory whose advantage is 0 has
    /// none: only its token count enters, as part of the denominators.
    fn moves(&self, member: &Member<'_>) -> bool {
        (self.objective.moves_without_advantage() || member.advantage != 0.0) && member.tokens > 0
    }

    /// Returns the gradient of an update over all ranks, and the sums of this rank's micro-batches. The gradient is empty
    /// where no member of any rank has one.
    fn gradient_of(
        &self,
        part: &[&Member<'_>],
        totals: &Totals,
        step: u64,
    ) -> Result<(Vec<Tensor>, Vec<Sums>), RanksError> {
        // Every rank knows whether there is anything to exchange.
        let anything = part.iter().any(|member| self.moves(member));
        let used: Vec<&Member<'_>> = part
            .iter()
            .filter(|member| self.moves(member) && member.own)
            .copied()
            .collect();
        let lengths: Vec<usize> = used.iter().map(|member| member.length()).collect();
        let items: Vec<Item> = self
            .micro_batches(&lengths)
            .into_iter()
            .map(|micro| Item {
                micro,
                reference: self.reference.map(Decoder::share),
            })
            .collect();
        let (objective, temperature) = (&self.objective, self.setup.spec.temperature);
        let parallelism = self.setup.parallelism;
        let (gradient, found) = gradient(self.decoder, parallelism, items, |decoder, item| {
            let picked: Vec<Sequence<'_>> =
                item.micro.iter().map(|at| used[*at].sequence()).collect();
            let batch = Batch::pack(&picked, version(step));
            let reference = item.reference.as_ref();
            loss(objective, decoder, reference, &batch, totals, temperature)
        });
        let gradient = match anything {
            true => whole_gradient(&self.ranks, self.decoder, gradient)?,
            false => gradient,
        };
        Ok((gradient, found))
    }
}

/// A trajectory that a step trains on.
struct Member<'a> {
    trajectory: &'a Trajectory,
    advantage: f64,
    /// Index of its group in the step.
    group: usize,
    /// Trained tokens.
    tokens: usize,
    /// This rank trains it.
    own: bool,
    proximal: Option<Vec<f32>>,
}

impl Member<'_> {
    fn length(&self) -> usize {
        needed(&self.trajectory.transcript)
    }

    fn sequence(&self) -> Sequence<'_> {
        Sequence {
            transcript: &self.trajectory.transcript,
            advantage: self.advantage,
            group: self.group,
            proximal: self.proximal.as_deref(),
        }
    }
}

/// Returns the members with a reward, in order.
fn members<'a>(groups: &'a [Group], ranks: &Ranks) -> Vec<Member<'a>> {
    let mut all = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let members = group.members.iter().zip(&group.rewards);
        for ((trajectory, reward), advantage) in members.zip(&group.advantages) {
            if reward.is_some() {
                all.push(Member {
                    trajectory,
                    advantage: *advantage,
                    group: index,
                    tokens: trainable(&trajectory.transcript),
                    own: ranks.mine(index),
                    proximal: None,
                });
            }
        }
    }
    all
}

/// One micro-batch of an update.
struct Item {
    micro: Vec<usize>,
    reference: Option<Decoder>,
}

/// Returns the loss of a micro-batch and its sums.
fn loss(
    objective: &Objective,
    decoder: &Decoder,
    reference: Option<&Decoder>,
    batch: &Batch,
    totals: &Totals,
    temperature: f64,
) -> (Tensor, Sums) {
    let scores = score(decoder, batch, temperature, objective.entropy());
    let reference = reference.map(|reference| {
        tch::no_grad(|| score(reference, batch, temperature, Entropy::Skip).logprobs)
    });
    let columns = batch.columns(&scores.logprobs, reference.as_ref());
    let (loss, parts) = objective.evaluate(&columns, &scores.entropy, totals);
    let sums = Sums {
        scored: batch.trained() as f64,
        parts,
        entropy: scores.entropy.double_value(&[]),
        gap: columns.gap(),
    };
    (loss, sums)
}

/// Figures of micro-batches, summed.
#[derive(Default)]
struct Sums {
    scored: f64,
    parts: Parts,
    entropy: f64,
    gap: f64,
}

impl Sums {
    /// Adds a micro-batch of an update that is `share` of the step's updates.
    fn add(&mut self, one: &Self, share: f64) {
        self.scored += one.scored;
        self.parts.loss += one.parts.loss * share;
        self.parts.clipped += one.parts.clipped;
        self.parts.kl += one.parts.kl;
        self.parts.reference += one.parts.reference * share;
        self.entropy += one.entropy;
    }

    /// Returns the sums of all ranks.
    fn over(self, ranks: &Ranks) -> Result<Self, RanksError> {
        let mut gap = [self.gap];
        ranks.max_figures("comparing figures", &mut gap)?;
        let Parts {
            loss,
            clipped,
            kl,
            reference,
        } = self.parts;
        let mut all = [self.scored, loss, clipped, kl, reference, self.entropy];
        ranks.sum_figures("summing figures", &mut all)?;
        let [scored, loss, clipped, kl, reference, entropy] = all;
        Ok(Self {
            scored,
            parts: Parts {
                loss,
                clipped,
                kl,
                reference,
            },
            entropy,
            gap: gap[0],
        })
    }

    /// Enters the sums into a step's figures.
    fn enter(&self, step: &mut Step) {
        let scored = f64::max(self.scored, 1.0);
        step.loss = self.parts.loss;
        step.clip_share = self.parts.clipped / scored;
        step.kl = self.parts.kl / scored;
        step.reference_kl = self.parts.reference;
        step.entropy = self.entropy / scored;
        step.logp_diff = self.gap;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use agoge_crds::grpo_run::{
        AggregationKind, CorrectionKind, GrpoSpec, LossKind, ObjectiveSpec,
    };
    use agoge_dialogue::Transcript;
    use agoge_model::ModelConfig;

    use super::*;
    use crate::grpo::Setup;
    use crate::parallel::Parallelism;
    use crate::rollout::End;
    use crate::sft::snapshot;

    pub fn tiny() -> Decoder {
        let config = ModelConfig {
            vocab_size: 32,
            hidden_size: 16,
            intermediate_size: 32,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            num_key_value_heads: Some(1),
            ..ModelConfig::default()
        };
        Decoder::fresh(config, 3).unwrap()
    }

    pub fn played(said: &[u32], reward: Option<f64>) -> Trajectory {
        let mut transcript = Transcript::default();
        transcript.push_context(&[1, 2, 3]);
        // As a fresh decoder samples: nearly evenly over its 32 tokens, so that no ratio is clipped at first.
        transcript.push_sampled(said, &vec![-32f32.ln(); said.len()], 1);
        Trajectory {
            task: "t".into(),
            group: 0,
            member: 0,
            transcript,
            messages: Vec::new(),
            end: End::Closed,
            verdict: None,
            reward,
            user_faults: Vec::new(),
            turns: 1,
            calls: 0,
            failed_calls: 0,
        }
    }

    fn logprob(decoder: &Decoder, said: &[u32]) -> f64 {
        let one = played(said, None);
        let scores = score(
            decoder,
            &Batch::pack(&[Sequence::of(&one.transcript)], 0),
            1.0,
            Entropy::Skip,
        );
        scores.logprobs.mean(tch::Kind::Float).double_value(&[])
    }

    /// A setup with a learning rate that shows in a few updates.
    fn setup(objective: ObjectiveSpec) -> Setup {
        Setup::of(GrpoSpec {
            objective,
            learning_rate: 1e-2,
            weight_decay: 0.0,
            ..GrpoSpec::default()
        })
    }

    /// Makes `n` updates on one group and returns the trainer's last figures.
    fn train(decoder: &Decoder, setup: Setup, n: u64, members: &[Trajectory]) -> Step {
        let mut grpo = Grpo::new(decoder, None, setup);
        let mut figures = Step::default();
        for step in 1..=n {
            figures = Step {
                step,
                ..Step::default()
            };
            let group = grpo.group(members.to_vec());
            grpo.update(&[group], &mut figures)
                .expect("a rank alone has none to lose");
        }
        figures
    }

    const GOOD: [u32; 3] = [7, 8, 9];
    const BAD: [u32; 3] = [10, 11, 12];

    #[test]
    fn every_objective_makes_likelier_what_was_rewarded_and_less_likely_what_was_not() {
        let plain = ObjectiveSpec::default();
        for objective in [
            plain,
            ObjectiveSpec {
                loss: LossKind::DualClip,
                ..plain
            },
            ObjectiveSpec {
                correction: CorrectionKind::Tis,
                ..plain
            },
            ObjectiveSpec {
                aggregation: AggregationKind::SeqMeanTokenMean,
                ..plain
            },
            ObjectiveSpec {
                aggregation: AggregationKind::PromptMean,
                ..plain
            },
        ] {
            let decoder = tiny();
            let before = (logprob(&decoder, &GOOD), logprob(&decoder, &BAD));
            let members = [played(&GOOD, Some(1.0)), played(&BAD, Some(0.0))];
            train(&decoder, setup(objective), 3, &members);
            assert!(logprob(&decoder, &GOOD) > before.0 + 0.05, "{objective:?}");
            assert!(logprob(&decoder, &BAD) < before.1 - 0.05, "{objective:?}");
        }
    }

    /// On tokens that another policy sampled the correction weighs each token: here the weight is cut at 2 for all of them.
    #[test]
    fn a_correction_scales_the_gradient_of_stale_tokens_by_its_weight() {
        let norm = |correction| {
            let mut members = [played(&GOOD, Some(1.0)), played(&BAD, Some(0.0))];
            for member in &mut members {
                member
                    .transcript
                    .logprobs
                    .iter_mut()
                    .for_each(|l| *l -= 3.0);
            }
            let objective = ObjectiveSpec {
                correction,
                clip_high: 10.0,
                ..ObjectiveSpec::default()
            };
            train(&tiny(), setup(objective), 1, &members).grad_norm
        };
        let (fresh, corrected) = (
            train(
                &tiny(),
                setup(ObjectiveSpec::default()),
                1,
                &[played(&GOOD, Some(1.0)), played(&BAD, Some(0.0))],
            )
            .grad_norm,
            norm(CorrectionKind::Tis),
        );
        assert!((corrected / fresh - 2.0).abs() < 0.1, "{corrected} {fresh}");
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_skipped_and_counted() {
        let decoder = tiny();
        let before = snapshot(&decoder);
        let members = [played(&GOOD, Some(f64::NAN)), played(&BAD, Some(0.0))];
        let step = train(&decoder, setup(ObjectiveSpec::default()), 1, &members);
        assert_eq!((step.skipped_updates, step.grad_norm), (1, 0.0));
        assert!(step.loss.is_nan());
        for ((name, a), (_, b)) in before.into_iter().zip(snapshot(&decoder)) {
            assert_eq!(a, b, "{name}");
        }
    }

    #[test]
    fn an_errored_member_leaves_no_trace_in_weights_or_figures() {
        let (with, without) = (tiny(), tiny());
        let rest = [played(&GOOD, Some(1.0)), played(&BAD, Some(0.0))];
        let errored = Trajectory {
            end: End::Infra("sandbox".into()),
            ..played(&[20, 21, 22, 23, 24, 25], None)
        };
        let all = [rest[0].clone(), errored, rest[1].clone()];
        // The order of members decides the order of a sum, so both sides are given the same number of micro-batches.
        let setup = Setup {
            micro_batch_tokens: 6,
            ..setup(ObjectiveSpec::default())
        };
        let figures = (
            train(&with, setup.clone(), 2, &all),
            train(&without, setup, 2, &rest),
        );
        assert_eq!(figures.0.trained_tokens, figures.1.trained_tokens);
        assert!((figures.0.loss - figures.1.loss).abs() < 1e-6);
        for ((name, a), (_, b)) in snapshot(&with).into_iter().zip(snapshot(&without)) {
            assert!((a - b).abs().max().double_value(&[]) < 1e-6, "{name}");
        }
    }

    #[test]
    fn equal_rewards_move_nothing_unless_entropy_is_rewarded() {
        let decoder = tiny();
        let before = snapshot(&decoder);
        let members = [played(&GOOD, Some(1.0)), played(&BAD, Some(1.0))];
        let moved = || -> f64 {
            let after = snapshot(&decoder);
            let far = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
            before
                .iter()
                .zip(&after)
                .map(|((_, a), (_, b))| far(a, b))
                .fold(0.0, f64::max)
        };
        train(&decoder, setup(ObjectiveSpec::default()), 1, &members);
        assert_eq!(moved(), 0.0);
        let entropy = ObjectiveSpec {
            entropy_coefficient: 0.1,
            ..ObjectiveSpec::default()
        };
        train(&decoder, setup(entropy), 1, &members);
        assert!(moved() > 0.0);
    }

    #[test]
    fn the_update_is_the_same_on_any_number_of_threads() {
        let weights = |threads: usize| {
            let decoder = tiny();
            let members: Vec<Trajectory> = (0..12u32)
                .map(|i| played(&[i, i + 1, i + 2], Some(f64::from(i % 2))))
                .collect();
            let tis = ObjectiveSpec {
                correction: CorrectionKind::Tis,
                ..ObjectiveSpec::default()
            };
            let setup = Setup {
                parallelism: Parallelism::repeatable(threads, 2),
                micro_batch_tokens: 12,
                ..setup(tis)
            };
            train(&decoder, setup, 3, &members);
            snapshot(&decoder)
        };
        for ((name, a), (_, b)) in weights(1).into_iter().zip(weights(3)) {
            assert_eq!(a, b, "{name}");
        }
    }

    #[test]
    fn a_reference_holds_the_policy_back() {
        let (free, held, reference) = (tiny(), tiny(), tiny());
        let members = [played(&GOOD, Some(1.0)), played(&BAD, Some(0.0))];
        train(&free, setup(ObjectiveSpec::default()), 6, &members);
        let pulled = ObjectiveSpec {
            kl_coefficient: 10.0,
            ..ObjectiveSpec::default()
        };
        let mut grpo = Grpo::new(&held, Some(&reference), setup(pulled));
        for step in 1..=6 {
            let mut figures = Step {
                step,
                ..Step::default()
            };
            let group = grpo.group(members.to_vec());
            grpo.update(&[group], &mut figures).unwrap();
            assert!(figures.reference_kl >= 0.0 && (step == 1 || figures.reference_kl > 0.0));
        }
        assert!(logprob(&held, &GOOD) < logprob(&free, &GOOD) - 0.05);
    }
}
