//! A trainer restored from its checkpoint goes on bit for bit, in SFT and in GRPO on a real domain.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agoge_crds::grpo_run::{FilterRule, FilterSpec, GrpoSpec, ObjectiveSpec};
use agoge_dialogue::{ByteVocab, Renderer, Role, Transcript, Vocab, renderer, supervise};
use agoge_learner::LearnerError;
use agoge_learner::arena::Arena;
use agoge_learner::checkpoint;
use agoge_learner::grpo::{Grpo, GrpoState, Setup, Step, check_room};
use agoge_learner::parallel::Parallelism;
use agoge_learner::players::LocalRollouts;
use agoge_learner::rollout::{Player, User};
use agoge_learner::sft::{Sft, SftConfig, SftState, snapshot};
use agoge_learner::source::Synchronous;
use agoge_model::{Decoder, ModelConfig};
use agoge_sandbox::Limits;
use agoge_world::{Domain, Mix, Rules, Split, Task, World, demonstrate, tasks};

struct Stage {
    domain: Arc<Domain>,
    tasks: Vec<Task>,
    renderer: Box<dyn Renderer>,
    vocab: ByteVocab,
}

impl Stage {
    fn new() -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
        let domain = Arc::new(Domain::load(&dir).unwrap());
        let renderer = renderer("compact").unwrap();
        let vocab = ByteVocab::new(renderer.specials());
        let mut stage = Self {
            domain,
            tasks: Vec::new(),
            renderer,
            vocab,
        };
        stage.tasks = tasks(&mut stage.world(), Split::TrainRl, Mix::EvenBranches, 7, 12).unwrap();
        stage
    }

    fn world(&self) -> World {
        World::open(self.domain.clone(), Limits::default()).unwrap()
    }

    fn decoder(&self) -> Decoder {
        let config = ModelConfig {
            vocab_size: 256 + self.renderer.specials().len(),
            hidden_size: 16,
            intermediate_size: 32,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            num_key_value_heads: Some(1),
            ..ModelConfig::default()
        };
        Decoder::fresh(config, 5).unwrap()
    }

    fn demonstrations(&self) -> Vec<Transcript> {
        let mut world = self.world();
        let vocab: &dyn Vocab = &self.vocab;
        let read = |task: &Task| {
            let messages = demonstrate(&mut world, task).unwrap().messages;
            supervise(
                self.renderer.as_ref(),
                vocab,
                &self.domain.prompt,
                &[],
                &messages,
                Role::Assistant,
            )
        };
        self.tasks.iter().map(read).collect()
    }
}

fn same(a: &Decoder, b: &Decoder) {
    for ((name, a), (_, b)) in snapshot(a).into_iter().zip(snapshot(b)) {
        assert_eq!(a, b, "{name}");
    }
}

fn file(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("x.ckpt")
}

#[test]
fn sft_goes_on_bit_for_bit_from_a_checkpoint() {
    let stage = Stage::new();
    let all = stage.demonstrations();
    let (train, validation) = all.split_at(8);
    let config = SftConfig {
        batch: 3,
        max_epochs: 4,
        parallelism: Parallelism::repeatable(2, 2),
        ..SftConfig::default()
    };
    let whole = stage.decoder();
    let mut sft = Sft::new(&whole, config.clone());
    while !sft.state.done {
        sft.epoch(train, validation);
    }
    let dir = tempfile::tempdir().unwrap();
    let cut = stage.decoder();
    let mut first = Sft::new(&cut, config.clone());
    first.epoch(train, validation);
    checkpoint::save(&file(&dir), &first.tensors(), &first.state).unwrap();
    first.epoch(train, validation);
    let resumed = stage.decoder();
    let mut second = Sft::new(&resumed, config);
    let (tensors, state): (_, SftState) = checkpoint::load(&file(&dir)).unwrap();
    second.restore(&tensors, state).unwrap();
    while !second.state.done {
        second.epoch(train, validation);
    }
    let losses = |sft: &Sft<'_>| {
        sft.state
            .epochs
            .iter()
            .map(|e| (e.loss, e.validation))
            .collect::<Vec<_>>()
    };
    assert_eq!(losses(&sft), losses(&second));
    same(&whole, &resumed);
}

#[test]
fn grpo_goes_on_bit_for_bit_from_a_checkpoint_and_trains_on_the_tokens_it_sampled() {
    let stage = Stage::new();
    // A policy that knows nothing is never rewarded; the entropy bonus moves its weights all the same.
    let config = Setup {
        parallelism: Parallelism::repeatable(2, 2),
        ..Setup::of(GrpoSpec {
            group_size: 2,
            groups_per_step: 3,
            filter: FilterSpec {
                rule: FilterRule::None,
                ..FilterSpec::default()
            },
            objective: ObjectiveSpec {
                entropy_coefficient: 0.05,
                ..ObjectiveSpec::default()
            },
            ..GrpoSpec::default()
        })
    };
    let rules = Rules::training(3, 12, 300);
    let arena = || {
        let parallelism = Parallelism::repeatable(2, 2);
        Arena::open(|| Ok(stage.world()), parallelism, 4, &rules, 1).unwrap()
    };
    let step = |grpo: &mut Grpo<'_>, arena: &mut Arena, decoder: &Decoder| -> Step {
        let policy = Player {
            decoder,
            vocab: &stage.vocab,
            renderer: stage.renderer.as_ref(),
            temperature: 1.0,
            version: 0,
        };
        let user = User::Scripted;
        let mut local = LocalRollouts {
            arena,
            policy,
            user,
        };
        grpo.step(&mut Synchronous::new(&mut local), &stage.tasks, |_| Ok(()))
            .unwrap()
            .0
            .timeless()
    };
    let whole = stage.decoder();
    let mut grpo = Grpo::new(&whole, None, config.clone());
    let mut uncut = arena();
    let trace: Vec<Step> = (0..3)
        .map(|_| step(&mut grpo, &mut uncut, &whole))
        .collect();
    assert!(
        trace
            .iter()
            .all(|s| s.trained_tokens > 0 && s.logp_diff < 1e-3),
        "{trace:?}"
    );

    let dir = tempfile::tempdir().unwrap();
    let cut = stage.decoder();
    let mut first = Grpo::new(&cut, None, config.clone());
    step(&mut first, &mut arena(), &cut);
    checkpoint::save(&file(&dir), &first.tensors(), &first.state).unwrap();
    let resumed = stage.decoder();
    let mut second = Grpo::new(&resumed, None, config);
    let (tensors, state): (_, GrpoState) = checkpoint::load(&file(&dir)).unwrap();
    second.restore(&tensors, state).unwrap();
    let mut fresh = arena();
    let rest: Vec<Step> = (0..2)
        .map(|_| step(&mut second, &mut fresh, &resumed))
        .collect();
    assert_eq!(rest, trace[1..]);
    same(&whole, &resumed);
}

#[test]
fn a_prompt_without_room_for_a_turn_is_refused_with_both_numbers() {
    let stage = Stage::new();
    let check = |limit| {
        let (renderer, tasks) = (stage.renderer.as_ref(), &stage.tasks);
        check_room(renderer, &stage.vocab, &stage.domain, tasks, limit)
    };
    let Err(LearnerError::NoRoom { prompt, limit: 16 }) = check(16) else {
        panic!("16 tokens are less than any prompt");
    };
    let message = check(16).unwrap_err().to_string();
    assert!(
        message.contains("maxTrajectoryTokens is 16") && message.contains(&prompt.to_string()),
        "{message}"
    );
    let exact = u32::try_from(prompt).unwrap();
    assert!(check(exact).is_err() && check(exact + 1).is_ok());
}
