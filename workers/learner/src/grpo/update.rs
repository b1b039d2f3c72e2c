//! The training half of a step: the clipped loss over its trajectories, in micro-batches, and the optimiser's updates.

use agoge_c10d::{Ranks, RanksError};
use agoge_model::Decoder;
use tch::Tensor;

use super::{Group, Grpo, GrpoConfig, Step};
use crate::batch::{Batch, Entropy, micro_batches, needed, score, trainable};
use crate::gradient::gradient;
use crate::loss::{ppo_clip, reference_kl};
use crate::ranks::whole_gradient;
use crate::rollout::Trajectory;
use crate::shuffle::shuffled;

impl Grpo<'_> {
    /// The optimiser updates of one step. Without a penalty or bonus of its own, a trajectory whose advantage is 0 adds
    /// nothing to the gradient, so only its token count enters, as part of the denominator.
    pub(super) fn try_update(
        &mut self,
        groups: &[Group],
        step: &mut Step,
    ) -> Result<(), RanksError> {
        let (mut all, mut shares): (Vec<(&Trajectory, f64)>, Vec<bool>) = (Vec::new(), Vec::new());
        for (index, group) in groups.iter().enumerate() {
            let members = group.members.iter().zip(&group.rewards);
            for ((member, reward), advantage) in members.zip(&group.advantages) {
                if reward.is_some() {
                    all.push((member, *advantage));
                    shares.push(self.ranks.mine(index));
                }
            }
        }
        let rewards: Vec<f64> = all.iter().filter_map(|(member, _)| member.reward).collect();
        step.reward_effective = rewards.iter().sum::<f64>() / rewards.len().max(1) as f64;
        let parts = self.config.minibatches.max(1);
        let every = self.config.kl_coefficient > 0.0 || self.config.entropy_coefficient > 0.0;
        let order = shuffled(all.len(), self.config.seed ^ 0x5eed, step.step);
        let mut sums = Sums::default();
        let mut norms = Vec::new();
        for (number, part) in order.chunks(all.len().div_ceil(parts).max(1)).enumerate() {
            let tokens: usize = part.iter().map(|i| trainable(&all[*i].0.transcript)).sum();
            step.trained_tokens += tokens as u64;
            let counts = |i: &&usize| {
                let (member, advantage) = &all[**i];
                (every || *advantage != 0.0) && trainable(&member.transcript) > 0
            };
            let anything = part.iter().any(|i| counts(&i));
            let used: Vec<(&Trajectory, f64)> = part
                .iter()
                .filter(counts)
                .filter(|i| shares[**i])
                .map(|i| all[*i])
                .collect();
            let lengths: Vec<usize> = used
                .iter()
                .map(|(member, _)| needed(&member.transcript))
                .collect();
            let items: Vec<Item> = micro_batches(&lengths, self.config.micro_batch_tokens)
                .into_iter()
                .map(|micro| Item {
                    micro,
                    reference: self.reference.map(Decoder::share),
                })
                .collect();
            let config = &self.config;
            let (gradient, found) =
                gradient(self.decoder, config.threads, items, |decoder, item| {
                    item.loss(config, decoder, &used, tokens as f64, step.step)
                });
            for one in found {
                if number == 0 {
                    step.logp_diff = step.logp_diff.max(one.gap);
                }
                sums.add(&one, 1.0 / parts as f64);
            }
            // Every rank knows whether there is anything to exchange.
            let gradient = match anything {
                true => whole_gradient(&self.ranks, self.decoder, gradient)?,
                false => gradient,
            };
            norms.push(self.adam.step(&gradient, self.rate()));
        }
        let mut gap = [step.logp_diff];
        self.ranks.max_figures("comparing figures", &mut gap)?;
        step.logp_diff = gap[0];
        let sums = sums.over(&self.ranks)?;
        let scored = f64::max(sums.scored, 1.0);
        step.loss = sums.loss;
        step.clip_share = sums.clipped / scored;
        step.kl = sums.kl / scored;
        step.reference_kl = sums.reference;
        step.entropy = sums.entropy / scored;
        step.grad_norm = norms.iter().sum::<f64>() / norms.len().max(1) as f64;
        Ok(())
    }
}

/// One micro-batch of an update.
struct Item {
    micro: Vec<usize>,
    reference: Option<Decoder>,
}

/// Figures of micro-batches, summed.
#[derive(Default)]
struct Sums {
    scored: f64,
    loss: f64,
    clipped: f64,
    kl: f64,
    reference: f64,
    entropy: f64,
    gap: f64,
}

impl Sums {
    /// Those of all ranks.
    fn over(self, ranks: &Ranks) -> Result<Self, RanksError> {
        let mut all = [
            self.scored,
            self.loss,
            self.clipped,
            self.kl,
            self.reference,
            self.entropy,
        ];
        ranks.sum_figures("summing figures", &mut all)?;
        let [scored, loss, clipped, kl, reference, entropy] = all;
        Ok(Self {
            scored,
            loss,
            clipped,
            kl,
            reference,
            entropy,
            ..self
        })
    }

    fn add(&mut self, one: &Self, share: f64) {
        self.scored += one.scored;
        self.loss += one.loss * share;
        self.clipped += one.clipped;
        self.kl += one.kl;
        self.reference += one.reference * share;
        self.entropy += one.entropy;
    }
}

impl Item {
    fn loss(
        &self,
        config: &GrpoConfig,
        decoder: &Decoder,
        used: &[(&Trajectory, f64)],
        tokens: f64,
        step: u64,
    ) -> (Tensor, Sums) {
        let picked: Vec<_> = self.micro.iter().map(|i| &used[*i].0.transcript).collect();
        let batch = Batch::pack(&picked);
        let old = sampled_side(&self.micro, used);
        let wanted = if config.entropy_coefficient > 0.0 {
            Entropy::Gradient
        } else {
            Entropy::Figure
        };
        let scores = score(decoder, &batch, config.temperature, wanted);
        let out = ppo_clip(
            &scores.logprobs,
            &old.logprobs,
            &old.advantages,
            config.clip,
            tokens,
        );
        let mut loss = out.loss;
        let mut sums = Sums {
            scored: batch.trained() as f64,
            clipped: out.clipped,
            kl: out.kl_sum,
            entropy: scores.entropy.double_value(&[]),
            gap: old.gap(&scores.logprobs, step),
            ..Sums::default()
        };
        if let Some(reference) = &self.reference {
            let theirs = tch::no_grad(|| {
                score(reference, &batch, config.temperature, Entropy::Skip).logprobs
            });
            let penalty = reference_kl(&scores.logprobs, &theirs, tokens);
            sums.reference = penalty.double_value(&[]);
            loss += penalty * config.kl_coefficient;
        }
        if config.entropy_coefficient > 0.0 {
            loss -= scores.entropy * (config.entropy_coefficient / tokens);
        }
        sums.loss = loss.double_value(&[]);
        (loss, sums)
    }
}

/// What a batch's trained tokens were sampled with; one entry a token.
struct Sampled {
    logprobs: Tensor,
    advantages: Tensor,
    versions: Vec<f32>,
}

impl Sampled {
    /// The largest difference to `scored` over the tokens that the policy of this step sampled.
    fn gap(&self, scored: &Tensor, step: u64) -> f64 {
        let fresh: Vec<f32> = self
            .versions
            .iter()
            .map(|v| f32::from(u8::from(*v == step as f32)))
            .collect();
        let gaps = (scored.detach() - &self.logprobs).abs() * Tensor::from_slice(&fresh);
        if gaps.numel() == 0 {
            0.0
        } else {
            gaps.max().double_value(&[])
        }
    }
}

fn sampled_side(micro: &[usize], used: &[(&Trajectory, f64)]) -> Sampled {
    let (mut logprobs, mut advantages, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for index in micro {
        let (member, advantage) = used[*index];
        let transcript = &member.transcript;
        for (column, trained) in transcript.mask.iter().enumerate() {
            if *trained && column > 0 {
                logprobs.push(transcript.logprobs[column]);
                advantages.push(advantage as f32);
                versions.push(transcript.versions[column] as f32);
            }
        }
    }
    Sampled {
        logprobs: Tensor::from_slice(&logprobs),
        advantages: Tensor::from_slice(&advantages),
        versions,
    }
}

#[cfg(test)]
mod tests {
    use agoge_dialogue::Transcript;
    use agoge_model::ModelConfig;

    use super::*;
    use crate::rollout::End;
    use crate::sft::snapshot;

    fn tiny() -> Decoder {
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

    fn played(said: &[u32], reward: Option<f64>) -> Trajectory {
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
            &Batch::pack(&[&one.transcript]),
            1.0,
            Entropy::Skip,
        );
        scores.logprobs.mean(tch::Kind::Float).double_value(&[])
    }

    /// `n` updates on one group; gives the trainer's last figures.
    fn train(decoder: &Decoder, config: GrpoConfig, n: u64, members: &[Trajectory]) -> Step {
        let mut grpo = Grpo::new(
            decoder,
            None,
            GrpoConfig {
                learning_rate: 1e-2,
                ..config
            },
        );
        let mut figures = Step::default();
        for step in 1..=n {
            figures = Step {
                step,
                ..Step::default()
            };
            let group = grpo.group(members.to_vec());
            grpo.update(&[group], &mut figures);
        }
        figures
    }

    impl Grpo<'_> {
        fn update(&mut self, groups: &[Group], step: &mut Step) {
            self.try_update(groups, step)
                .expect("a rank alone has none to lose");
        }
    }

    const GOOD: [u32; 3] = [7, 8, 9];
    const BAD: [u32; 3] = [10, 11, 12];

    #[test]
    fn what_was_rewarded_becomes_likelier_and_what_was_not_less_likely() {
        let decoder = tiny();
        let before = (logprob(&decoder, &GOOD), logprob(&decoder, &BAD));
        train(
            &decoder,
            GrpoConfig::default(),
            3,
            &[played(&GOOD, Some(1.0)), played(&BAD, Some(0.0))],
        );
        assert!(logprob(&decoder, &GOOD) > before.0 + 0.05);
        assert!(logprob(&decoder, &BAD) < before.1 - 0.05);
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
        let config = GrpoConfig {
            micro_batch_tokens: 6,
            ..GrpoConfig::default()
        };
        let figures = (
            train(&with, config.clone(), 2, &all),
            train(&without, config, 2, &rest),
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
        train(&decoder, GrpoConfig::default(), 1, &members);
        assert_eq!(moved(), 0.0);
        train(
            &decoder,
            GrpoConfig {
                entropy_coefficient: 0.1,
                ..GrpoConfig::default()
            },
            1,
            &members,
        );
        assert!(moved() > 0.0);
    }

    #[test]
    fn the_update_is_the_same_on_any_number_of_threads() {
        let weights = |threads: usize| {
            let decoder = tiny();
            let members: Vec<Trajectory> = (0..12u32)
                .map(|i| played(&[i, i + 1, i + 2], Some(f64::from(i % 2))))
                .collect();
            train(
                &decoder,
                GrpoConfig {
                    threads,
                    micro_batch_tokens: 12,
                    ..GrpoConfig::default()
                },
                3,
                &members,
            );
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
        train(&free, GrpoConfig::default(), 6, &members);
        let config = GrpoConfig {
            learning_rate: 1e-2,
            kl_coefficient: 10.0,
            ..GrpoConfig::default()
        };
        let mut grpo = Grpo::new(&held, Some(&reference), config);
        for step in 1..=6 {
            let mut figures = Step {
                step,
                ..Step::default()
            };
            let group = grpo.group(members.to_vec());
            grpo.update(&[group], &mut figures);
            assert!(figures.reference_kl >= 0.0 && (step == 1 || figures.reference_kl > 0.0));
        }
        assert!(logprob(&held, &GOOD) < logprob(&free, &GOOD) - 0.05);
    }
}
