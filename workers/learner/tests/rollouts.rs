//! The bits of rollouts are a function of seats and weights: not of the threads, and not of the process that plays them.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agoge_dialogue::{ByteVocab, Message, Renderer, SampleKey, renderer};
use agoge_learner::LearnerError;
use agoge_learner::arena::Arena;
use agoge_learner::parallel::Parallelism;
use agoge_learner::rollout::{Agent, Player, Seat, Trajectory, User};
use agoge_learner::tasks::shares;
use agoge_model::{Decoder, ModelConfig};
use agoge_sandbox::Limits;
use agoge_world::{Domain, Mix, Rules, Split, Task, World, tasks};

const PIECES: usize = 2;
const SLOTS: usize = 3;

struct Stage {
    domain: Arc<Domain>,
    tasks: Vec<Task>,
    renderer: Box<dyn Renderer>,
    vocab: ByteVocab,
    decoder: Decoder,
}

impl Stage {
    fn new() -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
        let domain = Arc::new(Domain::load(&dir).unwrap());
        let renderer = renderer("compact").unwrap();
        let vocab = ByteVocab::new(renderer.specials());
        let config = ModelConfig {
            vocab_size: 256 + renderer.specials().len(),
            hidden_size: 16,
            intermediate_size: 32,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            num_key_value_heads: Some(1),
            ..ModelConfig::default()
        };
        let mut world = World::open(domain.clone(), Limits::default()).unwrap();
        Self {
            tasks: tasks(&mut world, Split::TrainRl, Mix::EvenBranches, 7, 6).unwrap(),
            decoder: Decoder::fresh(config, 5).unwrap(),
            domain,
            renderer,
            vocab,
        }
    }

    /// An untrained policy seldom samples the stop token, so its turns have lengths from 1 to their limit.
    fn arena(&self, parallelism: Parallelism) -> Arena {
        let open = || World::open(self.domain.clone(), Limits::default());
        let rules = Rules::training(3, 120, 400);
        Arena::open(open, parallelism, SLOTS * parallelism.pieces(), &rules, 1).unwrap()
    }

    fn seats(&self) -> Vec<Seat<'_>> {
        let groups = (0..).zip(&self.tasks);
        groups
            .flat_map(|(group, task)| {
                (0..3).map(move |member| Seat {
                    task,
                    group,
                    member,
                })
            })
            .collect()
    }

    fn play(&self, arena: &mut Arena, seats: &[Seat<'_>]) -> Vec<Trajectory> {
        let player = Player {
            decoder: &self.decoder,
            vocab: &self.vocab,
            renderer: self.renderer.as_ref(),
            temperature: 1.0,
            version: 7,
        };
        let agent = Agent::Policy(player);
        let played = arena.play(seats, agent, User::Scripted, 1, |_| Ok(()));
        let played = played.unwrap();
        for (one, seat) in played.iter().zip(seats) {
            assert_eq!((one.group, one.member), (seat.group, seat.member));
            let columns = one.transcript.mask.iter().zip(&one.transcript.versions);
            assert!(
                columns
                    .into_iter()
                    .all(|(s, v)| *v == if *s { 7 } else { 0 })
            );
        }
        played
    }
}

fn text(played: &[Trajectory]) -> String {
    serde_json::to_string(played).unwrap()
}

#[test]
fn the_bits_do_not_depend_on_threads_or_on_the_process_that_plays_a_piece() {
    let stage = Stage::new();
    let seats = stage.seats();
    let whole = stage.play(&mut stage.arena(Parallelism::repeatable(1, PIECES)), &seats);
    let mut many = stage.arena(Parallelism::repeatable(3, PIECES));
    for _ in 0..2 {
        assert_eq!(text(&stage.play(&mut many, &seats)), text(&whole));
    }
    // A rollout server plays each piece at a table of its own.
    let mut server = stage.arena(Parallelism::repeatable(1, 1));
    server.set_slots(SLOTS);
    let apart: Vec<Trajectory> = shares(seats.len(), PIECES)
        .flat_map(|share| stage.play(&mut server, &seats[share]))
        .collect();
    assert_eq!(text(&apart), text(&whole));
    let lengths = whole.iter().map(|one| one.transcript.ids.len());
    let lengths: std::collections::BTreeSet<usize> = lengths.collect();
    assert!(
        lengths.len() > 3,
        "places are not taken again one by one: {lengths:?}"
    );
}

#[test]
fn a_play_ends_soon_after_it_is_cancelled() {
    let stage = Stage::new();
    let seats = stage.seats();
    let mut arena = stage.arena(Parallelism::of_cores(2));
    let turns = AtomicUsize::new(0);
    let script = |_: &Task, _: &[Message], _: &SampleKey| {
        turns.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(60));
        Message::assistant("What is the number of the parcel?")
    };
    let agent = Agent::Script(&script);
    let ended = arena.play(&seats, agent, User::Scripted, 1, |_| {
        Err(LearnerError::Stopped)
    });
    assert!(matches!(ended, Err(LearnerError::Stopped)));
    // The whole play has three turns for each seat.
    let turns = turns.into_inner();
    assert!(turns < 2 * seats.len(), "{turns} turns");
}
