//! The table: every arm on the same held-out tasks, with the run's user, with the scripted user, and on templates that
//! no training saw.
//!
//! Policies speak greedily, so the trials of a task differ by the user model alone. Where nothing differs between trials,
//! a task is played once and the column has pass^1 only: repeating one trial would pass it off as pass^k.

use std::path::PathBuf;

use agoge_artifacts::{Scorecard, Trajectory};
use agoge_contract::TrainStage;
use agoge_crds::grpo_run::{Arm, EvaluationSpec, GrpoSpec};
use agoge_crds::shared::EndpointBinding;
use agoge_crds::suite_evaluation::SuiteEvaluation;
use agoge_dialogue::Message;
use agoge_learner::arena::Arena;
use agoge_learner::evaluate::{Evaluated, evaluate};
use agoge_learner::rollout::{Agent, User};
use agoge_model::SampleKey;
use agoge_store::Ledger;
use agoge_world::{Task, baseline};
use serde::{Deserialize, Serialize};

use super::policy::Policy;
use super::{Columns, Record, Stage, USER_TEMPERATURE, episodes, samples};
use crate::failure::Failure;
use crate::job::Job;
use crate::score;

/// Episodes at a time at most.
const SLOTS: usize = 256;
/// Held-out tasks that a model behind an endpoint plays at most: on two cores each takes some ten seconds.
const ENDPOINT_TASKS: usize = 16;
/// Dialogues of an arm that are kept for a reader.
const SHOWN: usize = 12;

/// A finished arm, kept until all are finished, so that a resume plays none twice.
#[derive(Serialize, Deserialize)]
struct Done {
    columns: Columns,
    samples: Vec<Trajectory>,
}

/// The tasks and the arena of all arms.
struct Exam {
    arena: Arena,
    user: Option<Policy>,
    heldout: Vec<Task>,
    unseen: Vec<Task>,
    trials: u32,
    /// Tasks played so far, over all arms and columns.
    played: u64,
}

/// Plays every arm.
pub fn perform(
    stage: &Stage,
    job: &mut Job,
    spec: &EvaluationSpec,
    grpo: &GrpoSpec,
) -> Result<(Record, Option<f64>), Failure> {
    let rules = episodes::rules(grpo);
    let (heldout, _) = stage.suite.heldout(spec.tasks as usize);
    if heldout.is_empty() {
        return Err(Failure::Input(
            "the suite has no held-out task; give its source a share in the split heldout".into(),
        ));
    }
    if heldout.len() < spec.tasks as usize {
        tracing::warn!(
            asked = spec.tasks,
            there = heldout.len(),
            "the suite has fewer held-out tasks than stages.evaluation.tasks"
        );
    }
    let user = stage.user(job)?;
    let arena = stage.arena(stage.parallelism(job), SLOTS, &rules)?;
    let unseen = stage.suite.unseen(spec.tasks as usize);
    let columns = 1 + u64::from(user.is_some());
    let each = heldout.len() as u64 * columns + unseen.len() as u64;
    job.progress
        .stage("evaluation", "tasks", each * spec.arms.len() as u64);
    let mut exam = Exam {
        arena,
        user,
        heldout,
        unseen,
        trials: spec.samples,
        played: 0,
    };
    let mut record = Record::default();
    for arm in &spec.arms {
        let name = name(*arm);
        let file = job
            .assignment
            .work
            .join("arms")
            .join(format!("{name}.json"));
        let done = match std::fs::read(&file)
            .ok()
            .and_then(|text| serde_json::from_slice::<Done>(&text).ok())
        {
            Some(done) => done,
            None => {
                let done = play(stage, job, &mut exam, *arm)?;
                keep(&file, &done)?;
                done
            }
        };
        exam.played = each * (record.arms.len() as u64 + 1);
        job.progress.at(exam.played);
        let pass = done.columns.heldout.pass.first();
        tracing::info!(arm = name, pass1 = pass.map(|p| p.value), "evaluated");
        job.progress.figure(name, pass.map(|p| p.value));
        record.steps += exam.heldout.len() as u64;
        record.samples.extend(done.samples);
        record.arms.insert(name.to_owned(), done.columns);
    }
    for binding in &spec.endpoints {
        endpoint(stage, job, binding, &exam.heldout, &mut record)?;
    }
    Ok((record, None))
}

/// Adds the row of a model behind an endpoint: some of the held-out tasks, each once, with the scripted user. A table
/// without this row is better than none, so an endpoint that fails is logged and left out.
fn endpoint(
    stage: &Stage,
    job: &mut Job,
    binding: &EndpointBinding,
    heldout: &[Task],
    record: &mut Record,
) -> Result<(), Failure> {
    let tasks = &heldout[..heldout.len().min(ENDPOINT_TASKS)];
    job.progress.stage(
        &format!("evaluation of {}", binding.endpoint),
        "tasks",
        tasks.len() as u64,
    );
    let ledger = job.assignment.work.join("endpoints-episodes.jsonl");
    let mut ledger = Ledger::open(ledger).map_err(Failure::infra)?;
    let suite = stage.arguments.suite.digest.clone();
    let terms = SuiteEvaluation::of(vec![binding.clone()]);
    let domain = &stage.domain;
    match score::evaluate(job, domain, tasks, binding, &terms, &suite, &mut ledger) {
        Ok(played) => {
            let counts: Vec<(u32, u32)> = played
                .tasks
                .iter()
                .map(|one| (one.passed, one.trials))
                .collect();
            let heldout = Scorecard::of_counts(tasks, &counts, 1);
            record.arms.insert(
                binding.endpoint.clone(),
                Columns {
                    heldout,
                    scripted: None,
                    unseen: None,
                },
            );
            Ok(())
        }
        Err(Failure::Stopped) => Err(Failure::Stopped),
        Err(failure) => {
            tracing::warn!(
                endpoint = binding.endpoint,
                "its row is left out of the table: {failure}"
            );
            Ok(())
        }
    }
}

/// Returns the arm's name in tables.
fn name(arm: Arm) -> &'static str {
    match arm {
        Arm::Empty => "empty",
        Arm::Random => "random",
        Arm::AlwaysRefuse => "alwaysRefuse",
        Arm::Sft => "sft",
        Arm::SftContinued => "sftContinued",
        Arm::Grpo => "grpo",
        Arm::GrpoUnfiltered => "grpoUnfiltered",
    }
}

fn play(stage: &Stage, job: &mut Job, exam: &mut Exam, arm: Arm) -> Result<Done, Failure> {
    let trained = match arm {
        Arm::Empty | Arm::Random | Arm::AlwaysRefuse => None,
        Arm::Sft => Some(TrainStage::AgentSft),
        Arm::SftContinued => Some(TrainStage::SftContinued),
        Arm::Grpo => Some(TrainStage::Grpo),
        Arm::GrpoUnfiltered => Some(TrainStage::GrpoUnfiltered),
    };
    if let Some(trained) = trained {
        let policy = stage.model(job, trained)?;
        return exam.columns(job, arm, Agent::Policy(policy.player(0.0)), Some(&policy));
    }
    let domain = &stage.domain;
    let script = |task: &Task, messages: &[Message], key: &SampleKey| match arm {
        Arm::AlwaysRefuse => baseline::always_refuse(domain),
        Arm::Random => baseline::random(domain, task, messages, key.seed ^ (key.member << 32)),
        _ => baseline::empty(),
    };
    exam.columns(job, arm, Agent::Script(&script), None)
}

impl Exam {
    fn columns(
        &mut self,
        job: &mut Job,
        arm: Arm,
        agent: Agent<'_>,
        policy: Option<&Policy>,
    ) -> Result<Done, Failure> {
        let heldout = self.column(job, arm, agent, true, false)?;
        let scripted = match self.user {
            Some(_) => Some(self.column(job, arm, agent, false, false)?.card),
            None => None,
        };
        let unseen = match self.unseen.is_empty() {
            true => None,
            false => Some(self.column(job, arm, agent, false, true)?.card),
        };
        let samples = match policy {
            Some(policy) => {
                let vocab = &policy.tokenizer;
                let first = heldout.samples.iter().take(SHOWN);
                first
                    .map(|one| {
                        samples::stored(
                            one,
                            name(arm),
                            &self.heldout,
                            vocab,
                            policy.renderer.as_ref(),
                        )
                    })
                    .collect()
            }
            None => Vec::new(),
        };
        Ok(Done {
            columns: Columns {
                heldout: heldout.card,
                scripted,
                unseen,
            },
            samples,
        })
    }

    /// Plays one column. A user model knows only the scenarios of its training, so the script plays the user of unseen ones.
    fn column(
        &mut self,
        job: &mut Job,
        arm: Arm,
        agent: Agent<'_>,
        modelled: bool,
        unseen: bool,
    ) -> Result<Evaluated, Failure> {
        let user = match &self.user {
            Some(user) if modelled => User::Model(user.player(USER_TEMPERATURE)),
            _ => User::Scripted,
        };
        let tasks = if unseen { &self.unseen } else { &self.heldout };
        let varied = matches!(user, User::Model(_)) || arm == Arm::Random;
        let trials = if varied { self.trials.max(1) } else { 1 };
        let before = self.played;
        let stop = job.stop.clone();
        let progress = &mut job.progress;
        let evaluated = evaluate(&mut self.arena, tasks, trials, agent, user, |episodes| {
            progress.at(before + episodes as u64 / u64::from(trials));
            stop.check()
        })?;
        self.played += tasks.len() as u64;
        Ok(evaluated)
    }
}

fn keep(file: &PathBuf, done: &Done) -> Result<(), Failure> {
    let text = serde_json::to_vec(done).map_err(Failure::infra)?;
    agoge_store::write_atomic(file, text).map_err(Failure::infra)
}
