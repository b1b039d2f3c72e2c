//! GRPO: the policy learns from its own rollouts, rewarded by the suite's checkers. The same stage without dynamic
//! filtering is an arm for comparison.

use std::path::Path;

use agoge_contract::TrainStage;
use agoge_crds::grpo_run::{Algorithm, FilterRule, FilterSpec, GrpoSpec, OnInsufficient};
use agoge_learner::LearnerError;
use agoge_learner::advantage::Estimator;
use agoge_learner::evaluate::evaluate;
use agoge_learner::filter::{Insufficient, Rule};
use agoge_learner::grpo::{Decay, Group, Grpo, GrpoConfig, GrpoState, Step};
use agoge_learner::loss::Clip;
use agoge_learner::players::{Here, Players};
use agoge_learner::rollout::{Agent, Arena, Bounds, User};
use agoge_world::Task;

use super::policy::Policy;
use super::ranks::asked_to_stop;
use super::rollouts::Remote;
use super::samples::Sample;
use super::{Record, Stage, USER_TEMPERATURE, trace};
use crate::failure::Failure;
use crate::job::Job;

/// Held-out tasks that are none of the evaluation's: the curve of pass^1 is drawn over them.
const PROBE: usize = 96;

/// Trains the policy.
pub fn perform(
    stage: &Stage,
    job: &mut Job,
    spec: &GrpoSpec,
    evaluated: usize,
) -> Result<(Record, Option<f64>), Failure> {
    let plan = Plan::of(stage, job, spec)?;
    let policy = stage.model(job, TrainStage::AgentSft)?;
    let threads = policy.threads(job.threads());
    let reference = match spec.kl_coefficient > 0.0 {
        true => Some(stage.model(job, TrainStage::AgentSft)?),
        false => None,
    };
    let user = stage.user(job)?;
    let tasks = stage.suite.practice();
    let probe: Vec<Task> = stage
        .suite
        .heldout(evaluated)
        .1
        .into_iter()
        .take(PROBE)
        .collect();
    let slots = slots(spec);
    let mut servers = match &stage.arguments.rollouts {
        Some(at) => {
            tracing::info!(servers = at.servers, hosts = ?at.hosts, "rollout servers play");
            let decoder = &policy.decoder;
            Some(Remote::new(stage, spec, at, decoder, slots)?)
        }
        None => None,
    };
    let mut arena = Arena::new(
        stage.worlds()?,
        threads,
        slots,
        &bounds(spec),
        stage.arguments.seed,
    );
    let config = GrpoConfig {
        threads,
        ..plan.config.clone()
    };
    let mut grpo = Grpo::new(
        &policy.decoder,
        reference.as_ref().map(|r| &r.decoder),
        config,
    );
    let ranks = &stage.ranks;
    let leads = ranks.leads();
    let file = job.assignment.work.join("grpo.ckpt");
    if leads {
        resume(&mut grpo, &file)?;
    }
    let mut grpo = grpo.among(ranks.clone())?;
    let speaker = user.as_ref().map_or(User::Scripted, |user| {
        User::Model(user.player(USER_TEMPERATURE))
    });
    let mut samples = Vec::new();
    job.progress.stage(plan.title, plan.unit(), plan.total());
    // Ranks hear it before each step; one of many cannot leave the others in the middle of an evaluation.
    let several = ranks.world() > 1;
    let probed = probe.len() as f64;
    let probe: Vec<Task> = (0..)
        .zip(probe)
        .filter_map(|(at, task)| ranks.mine(at).then_some(task))
        .collect();
    while !plan.spent(&grpo.state) {
        if several && asked_to_stop(job, ranks)? {
            if leads {
                trace::save(&file, &grpo.tensors(), &grpo.state)?;
            }
            return Err(Failure::Stopped);
        }
        let before = grpo.state.clone();
        let stop = job.stop.clone();
        let mut here = Here {
            arena: &mut arena,
            policy: policy.player(plan.config.temperature),
            user: speaker,
        };
        let players: &mut dyn Players = match &mut servers {
            Some(servers) => servers,
            None => &mut here,
        };
        let played = grpo.step(players, &tasks, |_| stop.check());
        let (step, groups) = match played {
            Ok(played) => played,
            Err(LearnerError::Stopped) => {
                // The weights are as after the last whole step, and so is this state.
                if leads {
                    trace::save(&file, &grpo.tensors(), &before)?;
                }
                return Err(Failure::Stopped);
            }
            Err(error) => return Err(error.into()),
        };
        let due = step
            .step
            .is_multiple_of(u64::from(spec.checkpoint_every.max(1)))
            || plan.spent(&grpo.state);
        if due && probed > 0.0 {
            let card = evaluate(
                &mut arena,
                &probe,
                1,
                Agent::Policy(policy.player(0.0)),
                speaker,
                |_| if several { Ok(()) } else { stop.check() },
            )?;
            ranks.barrier("evaluating")?;
            let pass = card.pass.first().map_or(0.0, |estimate| estimate.value);
            let pass = if several {
                let mut passed = [if probe.is_empty() {
                    0.0
                } else {
                    pass * probe.len() as f64
                }];
                ranks.sum_figures("counting what passed", &mut passed)?;
                passed[0] / probed
            } else {
                pass
            };
            grpo.note_pass(pass);
        }
        if due && leads {
            trace::save(&file, &grpo.tensors(), &grpo.state)?;
        }
        if due {
            job.progress.figure("checkpoint", step.step);
        }
        if leads {
            trace::write(
                &job.assignment.work,
                &curve(&grpo.state.steps, stage.arguments.deterministic),
            )?;
        }
        log(plan.title, grpo.state.steps.last().unwrap_or(&step));
        show(job, &plan, &grpo.state);
        samples = shown(&groups, &step, &tasks, &policy);
    }
    let entries = curve(&grpo.state.steps, stage.arguments.deterministic);
    let record = Record {
        steps: grpo.state.steps.len() as u64,
        trained_tokens: grpo
            .state
            .steps
            .iter()
            .map(|step| step.trained_tokens)
            .sum(),
        curve: entries
            .iter()
            .map(serde_json::to_value)
            .collect::<Result<_, _>>()
            .map_err(Failure::infra)?,
        model: stage.left(job, &policy)?,
        samples,
        ..Record::default()
    };
    Ok((record, grpo.state.steps.last().map(|step| step.seconds)))
}

/// What decides about the stage, and when it ends.
struct Plan {
    title: &'static str,
    config: GrpoConfig,
    /// Steps at most; 0: no bound.
    steps: u64,
    /// Seconds at most.
    seconds: f64,
}

impl Plan {
    fn of(stage: &Stage, job: &Job, spec: &GrpoSpec) -> Result<Self, Failure> {
        let filtered = stage.arguments.stage() == TrainStage::Grpo;
        let deterministic = stage.arguments.deterministic;
        let (mut steps, mut seconds) = (
            spec.steps,
            spec.wall_clock.map_or(f64::INFINITY, |s| s.as_secs_f64()),
        );
        if !filtered {
            // It gets what GRPO had: its time, or in a deterministic run its steps.
            seconds = stage.arguments.settings.seconds().unwrap_or(seconds);
            steps = if deterministic {
                stage.earlier(job, TrainStage::Grpo)?.steps
            } else {
                0
            };
        }
        if deterministic {
            seconds = f64::INFINITY;
            if steps == 0 {
                let message = "stages.grpo.steps: a deterministic run is not ended by the clock; set the number of steps";
                return Err(Failure::Input(message.into()));
            }
        }
        let config = config(
            spec,
            stage.arguments.seed,
            filtered,
            if steps > 0 {
                Decay::Steps(steps)
            } else {
                Decay::Seconds(seconds)
            },
        );
        let title = if filtered {
            "GRPO"
        } else {
            "GRPO without filter"
        };
        Ok(Self {
            title,
            config,
            steps,
            seconds,
        })
    }

    fn spent(&self, state: &GrpoState) -> bool {
        let done = state.steps.len() as u64;
        let seconds = state.steps.last().map_or(0.0, |step| step.seconds);
        (self.steps > 0 && done >= self.steps) || seconds >= self.seconds
    }

    /// What the bar counts: steps where their number is known, else seconds.
    fn unit(&self) -> &'static str {
        if self.steps > 0 { "steps" } else { "seconds" }
    }

    fn total(&self) -> u64 {
        if self.steps > 0 {
            self.steps
        } else {
            self.seconds as u64
        }
    }
}

/// The learner's settings for a spec.
fn config(spec: &GrpoSpec, seed: u64, filtered: bool, decay: Decay) -> GrpoConfig {
    let FilterSpec {
        rule,
        min,
        max,
        on_insufficient,
        max_gen_batches,
    } = spec.filter;
    let filter = match rule {
        _ if !filtered => Rule::None,
        FilterRule::NonZeroStd => Rule::NonZeroStd,
        FilterRule::Band => Rule::Band { min, max },
        FilterRule::None => Rule::None,
    };
    GrpoConfig {
        algorithm: match spec.algorithm {
            Algorithm::GroupMean => Estimator::GroupMean,
            Algorithm::Grpo => Estimator::Grpo,
            Algorithm::Rloo => Estimator::Rloo,
        },
        group_size: spec.group_size as usize,
        groups_per_step: spec.groups_per_step as usize,
        filter,
        insufficient: match on_insufficient {
            OnInsufficient::Backfill => Insufficient::Backfill,
            OnInsufficient::KeepZeroStd => Insufficient::KeepZeroStd,
        },
        max_gen_batches: max_gen_batches as usize,
        learning_rate: spec.learning_rate,
        warmup: u64::from(spec.warmup),
        decay,
        clip: Clip {
            low: spec.clip_low,
            high: spec.clip_high,
        },
        kl_coefficient: spec.kl_coefficient,
        entropy_coefficient: spec.entropy_coefficient,
        minibatches: spec.minibatches as usize,
        temperature: spec.temperature,
        seed,
        ..GrpoConfig::default()
    }
}

/// Episodes that are played at a time: a step's, before any is refilled.
pub fn slots(spec: &GrpoSpec) -> usize {
    spec.group_size as usize * spec.groups_per_step as usize
}

/// Bounds of an episode.
pub fn bounds(spec: &GrpoSpec) -> Bounds {
    Bounds {
        max_turns: spec.max_turns,
        max_tokens_per_turn: spec.max_tokens_per_turn as usize,
        max_trajectory_tokens: spec.max_trajectory_tokens as usize,
    }
}

fn resume(grpo: &mut Grpo<'_>, file: &Path) -> Result<(), Failure> {
    if let Some((tensors, state)) = trace::resume::<GrpoState>(file)? {
        grpo.restore(&tensors, state)
            .map_err(|why| trace::unfit(file, &why))?;
        tracing::info!(steps = grpo.state.steps.len(), "resumed");
    }
    Ok(())
}

/// The steps as they enter the record.
fn curve(steps: &[Step], deterministic: bool) -> Vec<Step> {
    steps
        .iter()
        .map(|step| {
            if deterministic {
                step.timeless()
            } else {
                step.clone()
            }
        })
        .collect()
}

fn log(title: &str, step: &Step) {
    tracing::info!(
        step = step.step,
        reward = format!("{:.3}", step.reward_all),
        mixed = format!("{:.2}", step.mixed),
        pass1 = step.pass1,
        entropy = format!("{:.3}", step.entropy),
        kl = format!("{:.4}", step.kl),
        gap = format!("{:.1e}", step.logp_diff),
        tokens = step.trained_tokens,
        generation = format!("{:.2}", step.generation_seconds),
        training = format!("{:.2}", step.training_seconds),
        seconds = format!("{:.1}", step.seconds),
        errors = step.errors,
        "{title}"
    );
}

fn show(job: &mut Job, plan: &Plan, state: &GrpoState) {
    let Some(last) = state.steps.last() else {
        return;
    };
    let tokens: u64 = state.steps.iter().map(|step| step.trained_tokens).sum();
    for (name, value) in [
        ("reward", last.reward_all),
        ("kl", last.kl),
        ("entropy", last.entropy),
        ("mixed", last.mixed),
        ("clipShare", last.clip_share),
        ("loss", last.loss),
        ("seconds", last.seconds),
        ("tokensPerSecond", tokens as f64 / last.seconds.max(1e-9)),
    ] {
        job.progress.figure(name, value);
    }
    if let Some(pass) = state.steps.iter().rev().find_map(|step| step.pass1) {
        job.progress.figure("pass1", pass);
    }
    job.progress.figure("step", last.step);
    job.progress.figure("trainedTokens", tokens);
    job.progress.at(if plan.steps > 0 {
        last.step
    } else {
        (last.seconds as u64).min(plan.total())
    });
}

/// Two members, the best and the worst, of some of the groups of the last step.
fn shown(groups: &[Group], step: &Step, tasks: &[Task], policy: &Policy) -> Vec<Sample> {
    let arm = format!("step {}", step.step);
    let pick = |group: &Group| {
        let by = |want: f64| {
            group
                .members
                .iter()
                .find(|member| member.reward == Some(want))
                .cloned()
        };
        [by(1.0), by(0.0)]
    };
    let chosen = groups.iter().take(4).flat_map(pick).flatten();
    chosen
        .map(|one| {
            Sample::of(
                &one,
                &arm,
                tasks,
                &policy.tokenizer,
                policy.renderer.as_ref(),
            )
        })
        .collect()
}
