//! Our side of `make bench`: a tiny policy and work for it, then one measured repetition a line of standard input
//! (`decode`, `sft`, `grpo`). `tests/bench/bench.py` asks, and does the same work in transformers and TRL.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use agoge_crds::grpo_run::{Algorithm, GrpoSpec};
use agoge_dialogue::{Transcript, Vocab};
use agoge_learner::adamw::{AdamW, Settings};
use agoge_learner::advantage::advantages;
use agoge_learner::aggregation::Totals;
use agoge_learner::batch::{Batch, Entropy, Sequence, micro_batches, score};
use agoge_learner::gradient::gradient;
use agoge_learner::objective::Objective;
use agoge_learner::parallel::Parallelism;
use agoge_learner::sft::{Sft, SftConfig};
use agoge_model::{
    Decoder, Engine, Generation, ModelConfig, Request, SampleKey, Sampling, Tokenizer,
};
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

const SLOTS: usize = 256;
const PROMPT: usize = 40;
const NEW: usize = 96;
const TRANSCRIPTS: u64 = 128;
const BATCH: usize = 16;
const GROUPS: usize = 16;
const GROUP: usize = 8;
const COMPLETION: usize = 64;
const MICRO_BATCH_TOKENS: usize = 4096;

fn main() -> Result<(), Failure> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("usage: bench DIR")?);
    let threads = usize::try_from(tch::get_num_threads())?;
    let work = Work::make(&dir)?;
    let config = SftConfig {
        parallelism: Parallelism::repeatable(threads, 2),
        batch: BATCH,
        micro_batch_tokens: MICRO_BATCH_TOKENS,
        ..SftConfig::default()
    };
    let mut sft = Sft::new(&work.decoder, config);
    let mut adam = AdamW::new(work.decoder.parameters(), Settings::default());
    println!(
        "{}",
        json!({"ready": true, "threads": threads, "parameters": work.decoder.parameter_count()})
    );
    for (step, line) in (0..).zip(std::io::stdin().lock().lines()) {
        let started = Instant::now();
        let tokens = match line?.as_str() {
            "decode" => work.decode(step)?,
            "sft" => {
                sft.epoch(&work.transcripts, &[]);
                work.transcripts.iter().map(|t| t.ids.len()).sum()
            }
            "grpo" => work.grpo(step, threads, &mut adam)?,
            other => {
                return Err(format!("`{other}` is no benchmark; decode, sft and grpo are").into());
            }
        };
        println!(
            "{}",
            json!({"seconds": started.elapsed().as_secs_f64(), "tokens": tokens})
        );
        std::io::stdout().flush()?;
    }
    Ok(())
}

struct Work {
    decoder: Decoder,
    stop: u32,
    /// Decoding: equal lengths, nothing shared.
    prompts: Vec<Vec<u32>>,
    transcripts: Vec<Transcript>,
    /// GRPO: one a group.
    questions: Vec<Vec<u32>>,
}

impl Work {
    /// Makes policy and work, and writes both for the peer.
    fn make(dir: &Path) -> Result<Self, Failure> {
        let texts: Vec<String> = (0..600).map(|n| sentence(n, 30)).collect();
        let vocab = Tokenizer::train(&texts, 2048, &["<|end|>", "<|pad|>"])?;
        let config = ModelConfig {
            vocab_size: vocab.size(),
            ..ModelConfig::default()
        };
        let decoder = Decoder::fresh(config, 1)?;
        decoder.save(&dir.join("policy"))?;
        vocab.save(&dir.join("policy"))?;
        let size = vocab.size() as u64 - 2;
        let id = |n: u64, at: u64| (2 + random(n, at) % size) as u32;
        let prompts: Vec<Vec<u32>> = (0..SLOTS as u64)
            .map(|n| (0..PROMPT as u64).map(|at| id(n, at)).collect())
            .collect();
        let transcripts: Vec<Transcript> = (0..TRANSCRIPTS)
            .map(|n| {
                // Dialogues of 60 to 220 tokens; turns of ten, of which every third is the trained role's.
                let mut transcript = Transcript::default();
                for at in 0..60 + random(n, 1 << 20) % 161 {
                    let token = [id(1000 + n, at)];
                    if at / 10 % 3 == 2 {
                        transcript.push_sampled(&token, &[0.0], 0)
                    } else {
                        transcript.push_context(&token)
                    }
                }
                transcript
            })
            .collect();
        let asked: Vec<String> = (0..GROUPS as u64).map(|n| sentence(5000 + n, 12)).collect();
        let questions = asked.iter().map(|text| vocab.encode(text)).collect();
        let sft: Vec<_> = transcripts
            .iter()
            .map(|t| json!({"ids": t.ids, "mask": t.mask}))
            .collect();
        let work = json!({
            "decode": {"prompts": prompts, "new": NEW},
            "sft": {"transcripts": sft, "batch": BATCH},
            "grpo": {"questions": asked, "group": GROUP, "new": COMPLETION},
        });
        std::fs::write(dir.join("work.json"), work.to_string())?;
        let stop = vocab
            .special("<|end|>")
            .ok_or("the tokenizer was trained with this token")?;
        Ok(Self {
            decoder,
            stop,
            prompts,
            transcripts,
            questions,
        })
    }

    fn decode(&self, step: u64) -> Result<usize, Failure> {
        let mut engine = Engine::new(SLOTS, PROMPT + NEW);
        let requests: Vec<Request> = self
            .prompts
            .iter()
            .enumerate()
            .map(|(slot, prompt)| {
                let key = SampleKey {
                    step,
                    group: slot as u64,
                    ..SampleKey::default()
                };
                Request {
                    slot,
                    append: prompt.clone(),
                    key,
                    max_new: NEW,
                }
            })
            .collect();
        let said = engine.generate(
            &self.decoder,
            &requests,
            &Sampling {
                temperature: 1.0,
                stop: Vec::new(),
            },
        )?;
        Ok(said.iter().map(|g| g.ids.len()).sum())
    }

    /// One step: groups of completions, a reward for each, advantages, one clipped update.
    fn grpo(&self, step: u64, threads: usize, adam: &mut AdamW) -> Result<usize, Failure> {
        let longest = self.questions.iter().map(Vec::len).max().unwrap_or(0);
        let mut engine = Engine::new(GROUPS * GROUP, longest + COMPLETION);
        let requests: Vec<Request> = (0..GROUPS * GROUP)
            .map(|slot| {
                let (group, member) = (slot / GROUP, slot % GROUP);
                let key = SampleKey {
                    step,
                    group: group as u64,
                    member: member as u64,
                    ..SampleKey::default()
                };
                Request {
                    slot,
                    append: self.questions[group].clone(),
                    key,
                    max_new: COMPLETION,
                }
            })
            .collect();
        let sampling = Sampling {
            temperature: 1.0,
            stop: vec![self.stop],
        };
        let said = engine.generate(&self.decoder, &requests, &sampling)?;
        let of_group = |group: &[Generation]| {
            let rewards: Vec<_> = group.iter().map(|g| Some(reward(g))).collect();
            advantages(Algorithm::Grpo, &rewards)
        };
        let advantages: Vec<f64> = said.chunks(GROUP).flat_map(of_group).collect();
        let transcripts: Vec<Transcript> = requests
            .iter()
            .zip(&said)
            .map(|(request, generation)| {
                let mut transcript = Transcript::default();
                transcript.push_context(&request.append);
                transcript.push_sampled(&generation.ids, &generation.logprobs, 0);
                transcript
            })
            .collect();
        let tokens: usize = said.iter().map(|g| g.ids.len()).sum();
        let used: Vec<usize> = (0..said.len()).filter(|i| advantages[*i] != 0.0).collect();
        let lengths: Vec<usize> = used.iter().map(|i| transcripts[*i].ids.len()).collect();
        let micros = micro_batches(&lengths, MICRO_BATCH_TOKENS, 2);
        let parallelism = Parallelism::repeatable(threads, 2);
        let objective = Objective::of(&GrpoSpec::default());
        let lengths = said.iter().map(|g| g.ids.len());
        let totals = Totals::of(lengths.enumerate().map(|(at, n)| (at / GROUP, n)));
        let (gradients, _) = gradient(&self.decoder, parallelism, micros, |decoder, micro| {
            let sequence = |at: &usize| Sequence {
                advantage: advantages[used[*at]],
                ..Sequence::of(&transcripts[used[*at]])
            };
            let batch = Batch::pack(&micro.iter().map(sequence).collect::<Vec<_>>(), 0);
            let scores = score(decoder, &batch, 1.0, Entropy::Figure);
            let columns = batch.columns(&scores.logprobs, None);
            objective.evaluate(&columns, &scores.entropy, &totals)
        });
        adam.step(&gradients, 2e-4);
        Ok(tokens)
    }
}

/// Returns 1 if most ids are even: members of a group differ in that.
fn reward(generation: &Generation) -> f64 {
    let even = generation.ids.iter().filter(|id| **id % 2 == 0).count();
    if 2 * even > generation.ids.len() {
        1.0
    } else {
        0.0
    }
}

/// Words of made-up syllables.
fn sentence(seed: u64, words: u64) -> String {
    let word = |n: u64| -> String {
        let rank = random(seed, n) % 1500;
        (0..1 + rank % 3)
            .map(|s| {
                [
                    "ka", "lo", "mi", "ter", "vun", "sha", "pel", "dro", "qui", "nax",
                ][(random(rank, s) % 10) as usize]
            })
            .collect()
    };
    (0..words).map(word).collect::<Vec<_>>().join(" ")
}

fn random(a: u64, b: u64) -> u64 {
    (SampleKey {
        seed: a,
        step: b,
        ..SampleKey::default()
    }
    .uniform(0)
        * (1u64 << 40) as f64) as u64
}
