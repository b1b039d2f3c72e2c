//! Rollouts a second of a small courier policy: `rollouts DIR THREADS EPISODES REPETITIONS [SLOTS [PIECES]]`.
//!
//! The first call trains the policy on demonstrations and keeps it in DIR; later ones, also of other builds, play with the
//! same weights. Each repetition prints one line.
//! PIECES makes the run repeatable, with exactly SLOTS live episodes; without it a table is played by each thread, and the
//! model's size bounds a table's slots. `rollouts DIR 1 256 3 256 1` and `rollouts DIR 1 256 3 64 1` compare their number.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use agoge_dialogue::{Renderer, Role, Vocab, renderer, supervise};
use agoge_learner::arena::Arena;
use agoge_learner::parallel::Parallelism;
use agoge_learner::rollout::{Agent, Player, Seat, User};
use agoge_learner::sft::{Sft, SftConfig};
use agoge_model::{Decoder, ModelConfig, Tokenizer};
use agoge_sandbox::Limits;
use agoge_world::{Domain, Mix, Rules, Split, Task, World, demonstrate, tasks};

type Failure = Box<dyn std::error::Error>;

/// A vocabulary that remembers the texts it is asked to encode.
#[derive(Default)]
struct Corpus(Mutex<Vec<String>>);

impl Vocab for Corpus {
    fn encode(&self, text: &str) -> Vec<u32> {
        if let Ok(mut texts) = self.0.lock() {
            texts.push(text.to_owned());
        }
        Vec::new()
    }

    fn decode(&self, _: &[u32]) -> String {
        String::new()
    }

    fn special(&self, _: &str) -> Option<u32> {
        Some(0)
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize, default: usize| -> Result<usize, Failure> {
        Ok(arguments.get(at).map_or(Ok(default), |text| text.parse())?)
    };
    let dir = PathBuf::from(
        arguments
            .get(1)
            .ok_or("usage: rollouts DIR THREADS EPISODES REPETITIONS")?,
    );
    let (threads, episodes, repetitions) = (number(2, 1)?, number(3, 256)?, number(4, 3)?);
    let slots = number(5, 256)?;
    tch::set_num_threads(1);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    let domain = Arc::new(Domain::load(&folder)?);
    let renderer = renderer("compact").ok_or("the format is built in")?;
    let open = || World::open(domain.clone(), Limits::default());
    if !dir.join("config.json").exists() {
        train(&dir, &domain, renderer.as_ref(), threads)?;
    }
    let (decoder, vocab) = (Decoder::load(&dir)?, Tokenizer::load(&dir)?);
    let practice = tasks(
        &mut open()?,
        Split::TrainRl,
        Mix::EvenBranches,
        7,
        episodes.div_ceil(8),
    )?;
    let seats: Vec<Seat<'_>> = (0..)
        .zip(&practice)
        .flat_map(|(group, task)| {
            (0..8).map(move |member| Seat {
                task,
                group,
                member,
            })
        })
        .collect();
    let parallelism = match number(6, 0)? {
        0 => Parallelism::of_cores(threads),
        pieces => Parallelism::repeatable(threads, pieces),
    };
    let mut arena = Arena::open(open, parallelism, slots, &Rules::training(12, 64, 300), 1)?;
    for step in 0..repetitions as u64 {
        let player = Player {
            decoder: &decoder,
            vocab: &vocab,
            renderer: renderer.as_ref(),
            temperature: 1.0,
            version: 0,
        };
        let began = Instant::now();
        let played = arena.play(&seats, Agent::Policy(player), User::Scripted, step, |_| {
            Ok(())
        })?;
        let seconds = began.elapsed().as_secs_f64();
        let sampled: usize = played
            .iter()
            .map(|one| one.transcript.trained_tokens())
            .sum();
        let passed = played.iter().filter(|one| one.reward == Some(1.0)).count();
        println!(
            "episodes {} passed {passed} tokens {sampled} seconds {seconds:.3} episodes/s {:.1}",
            played.len(),
            played.len() as f64 / seconds
        );
    }
    Ok(())
}

/// Trains a policy of the default shape until it follows the domain's format.
fn train(
    dir: &Path,
    domain: &Arc<Domain>,
    renderer: &dyn Renderer,
    threads: usize,
) -> Result<(), Failure> {
    let mut world = World::open(domain.clone(), Limits::default())?;
    let tasks: Vec<Task> = tasks(&mut world, Split::TrainSft, Mix::EvenBranches, 3, 240)?;
    let mut dialogues = Vec::new();
    for task in &tasks {
        dialogues.push(demonstrate(&mut world, task)?.messages);
    }
    let corpus = Corpus::default();
    let read = |vocab: &dyn Vocab, messages: &[_]| {
        supervise(
            renderer,
            vocab,
            &domain.prompt,
            &domain.tools,
            messages,
            Role::Assistant,
        )
    };
    for messages in &dialogues {
        read(&corpus, messages);
    }
    let texts = corpus.0.into_inner()?;
    let vocab = Tokenizer::train(&texts, 2048, renderer.specials())?;
    let config = ModelConfig {
        vocab_size: vocab.size(),
        hidden_size: 160,
        intermediate_size: 448,
        num_hidden_layers: 4,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        max_position_embeddings: 512,
        initializer_range: 0.06,
        ..ModelConfig::default()
    };
    let decoder = Decoder::fresh(config, 1)?;
    let transcripts: Vec<_> = dialogues
        .iter()
        .map(|messages| read(&vocab, messages))
        .collect();
    let (validation, training) = transcripts.split_at(24);
    let config = SftConfig {
        parallelism: Parallelism::repeatable(threads, 2),
        max_epochs: 24,
        ..SftConfig::default()
    };
    let mut sft = Sft::new(&decoder, config);
    while !sft.state.done {
        sft.epoch(training, validation);
        eprintln!("{:?}", sft.state.epochs.last());
    }
    decoder.save(dir)?;
    vocab.save(dir)?;
    Ok(())
}
