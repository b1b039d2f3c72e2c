//! GRPO: the policy learns from its own rollouts, rewarded by the suite's checkers. The same stage without dynamic
//! filtering is an arm for comparison.
//!
//! A step: stop if any rank was asked to, play and train, measure pass^1 and write a checkpoint where they are due, report.

mod plan;
mod probe;
mod show;

use std::path::{Path, PathBuf};

use agoge_contract::TrainStage;
use agoge_crds::grpo_run::GrpoSpec;
use agoge_learner::LearnerError;
use agoge_learner::arena::Arena;
use agoge_learner::grpo::{Group, Grpo, GrpoState, Size, Step, check_fit, check_room};
use agoge_learner::parallel::Parallelism;
use agoge_learner::players::{LocalRollouts, Players};
use agoge_learner::rollout::User;
use agoge_learner::source::Synchronous;
use agoge_world::{Split, Task};

use super::episodes::{rules, slots};
use super::policy::Policy;
use super::ranks::{asked_to_stop, by_rank_0};
use super::rollouts::RemoteRollouts;
use super::{Record, Stage, USER_TEMPERATURE, trace};
use crate::failure::Failure;
use crate::job::Job;
use plan::Plan;
use probe::Probe;

/// Trains the policy.
pub fn perform(
    stage: &Stage,
    job: &mut Job,
    spec: &GrpoSpec,
    evaluated: usize,
) -> Result<(Record, Option<f64>), Failure> {
    let plan = Plan::of(stage, job, spec)?;
    let models = Models::load(stage, job, spec)?;
    let tasks = stage.suite.practice()?;
    let policy = &models.policy;
    check_room(
        policy.renderer.as_ref(),
        &policy.tokenizer,
        &stage.domain,
        &tasks,
        spec.max_trajectory_tokens,
    )?;
    check_fit(spec, &sizes(stage, policy))?;
    let file = job.assignment.work.join("grpo.ckpt");
    let mut training = Training {
        stage,
        plan: &plan,
        models: &models,
        tasks: &tasks,
        probe: Probe::of(stage, evaluated),
        servers: servers(stage, job, spec, &models)?,
        arena: stage.arena(stage.parallelism(job), slots(spec), &rules(spec))?,
        grpo: begin(stage, &plan, &models, &file)?,
        file,
    };
    job.progress.stage(plan.title, plan.unit(), plan.total());
    let mut samples = Vec::new();
    while !plan.spent(&training.grpo.state) {
        training.stop_together(job)?;
        let (step, groups) = training.step(job)?;
        if training.due(&step) {
            training.measure(job)?;
            training.save()?;
            job.progress.figure("checkpoint", step.step);
        }
        training.report(job, &step)?;
        samples = show::samples(&groups, &step, &tasks, policy);
    }
    if plan.is_out_of_time(&training.grpo.state) {
        training.grpo.check_learned()?;
    }
    let state = &training.grpo.state;
    let record = show::record(stage, job, policy, state, samples)?;
    Ok((record, state.steps.last().map(|step| step.seconds)))
}

/// Demonstrations that are measured at most.
const MEASURED: usize = 256;

/// Returns the sizes of demonstrations of the tasks to learn from, as far as the suite has them.
fn sizes(stage: &Stage, policy: &Policy) -> Vec<Size> {
    let shown = stage.suite.split(Split::TrainRl);
    let shown = shown.filter(|instance| !instance.messages.is_empty());
    shown
        .take(MEASURED)
        .map(|instance| {
            let messages = &instance.messages;
            Size::of(messages, &policy.demonstration(&stage.domain, messages))
        })
        .collect()
}

/// Models of the stage.
struct Models {
    policy: Policy,
    /// The policy as it was before, where the objective pulls to it.
    reference: Option<Policy>,
    /// The user model, unless the script plays the user.
    user: Option<Policy>,
    /// Threads and pieces of the policy's training.
    parallelism: Parallelism,
}

impl Models {
    fn load(stage: &Stage, job: &Job, spec: &GrpoSpec) -> Result<Self, Failure> {
        let policy = stage.model(job, TrainStage::AgentSft)?;
        let parallelism = policy.prepare(stage.parallelism(job));
        let reference = match spec.objective.kl_coefficient > 0.0 {
            true => Some(stage.model(job, TrainStage::AgentSft)?),
            false => None,
        };
        Ok(Self {
            policy,
            reference,
            user: stage.user(job)?,
            parallelism,
        })
    }

    fn user(&self) -> User<'_> {
        let model = self.user.as_ref();
        model.map_or(User::Scripted, |user| {
            User::Model(user.player(USER_TEMPERATURE))
        })
    }
}

/// Returns a trainer at rank 0's checkpoint, or at the beginning.
fn begin<'a>(
    stage: &Stage,
    plan: &Plan,
    models: &'a Models,
    file: &Path,
) -> Result<Grpo<'a>, Failure> {
    let reference = models.reference.as_ref().map(|model| &model.decoder);
    let setup = plan.setup(models.parallelism);
    let mut grpo = Grpo::new(&models.policy.decoder, reference, setup);
    let found = by_rank_0(&stage.ranks, "reading the checkpoint", || {
        trace::resume::<GrpoState>(file)
    })?;
    if let Some((tensors, state)) = found.flatten() {
        grpo.restore(&tensors, state)
            .map_err(|why| trace::unfit(file, &why))?;
        tracing::info!(steps = grpo.state.steps.len(), "resumed");
    }
    Ok(grpo.among(stage.ranks.clone())?)
}

/// A training at work.
struct Training<'a> {
    stage: &'a Stage,
    plan: &'a Plan,
    models: &'a Models,
    tasks: &'a [Task],
    probe: Probe,
    servers: Option<RemoteRollouts<'a>>,
    arena: Arena,
    file: PathBuf,
    grpo: Grpo<'a>,
}

impl Training<'_> {
    /// Stops all ranks before a step if any was asked to: one of many cannot leave the others in the middle of one.
    fn stop_together(&self, job: &Job) -> Result<(), Failure> {
        let ranks = &self.stage.ranks;
        if ranks.world() == 1 || !asked_to_stop(job, ranks)? {
            return Ok(());
        }
        self.leave(&self.grpo.state)
    }

    /// Writes a last checkpoint and ends. The state is that of the weights, after the last whole step.
    fn leave(&self, state: &GrpoState) -> Result<(), Failure> {
        if self.stage.ranks.leads() {
            trace::save(&self.file, &self.grpo.tensors(), state)?;
        }
        Err(Failure::Stopped)
    }

    /// Plays and trains one step.
    fn step(&mut self, job: &Job) -> Result<(Step, Vec<Group>), Failure> {
        let before = self.grpo.state.clone();
        let stop = job.stop.clone();
        let mut local = LocalRollouts {
            arena: &mut self.arena,
            policy: self.models.policy.player(self.plan.spec.temperature),
            user: self.models.user(),
        };
        let players: &mut dyn Players = match &mut self.servers {
            Some(servers) => servers,
            None => &mut local,
        };
        let mut source = Synchronous::new(players);
        match self.grpo.step(&mut source, self.tasks, |_| stop.check()) {
            Ok(played) => Ok(played),
            Err(LearnerError::Stopped) => {
                self.leave(&before)?;
                Err(Failure::Stopped)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns true where pass^1 is measured and a checkpoint is written after this step.
    fn due(&self, step: &Step) -> bool {
        let every = u64::from(self.plan.spec.checkpoint_every.max(1));
        step.step.is_multiple_of(every) || self.plan.spent(&self.grpo.state)
    }

    /// Measures pass^1 on held-out tasks.
    fn measure(&mut self, job: &Job) -> Result<(), Failure> {
        let pass = self.probe.measure(
            job,
            &self.stage.ranks,
            &mut self.arena,
            &self.models.policy,
            self.models.user(),
        )?;
        if let Some(pass) = pass {
            self.grpo.note_pass(pass);
        }
        Ok(())
    }

    /// Writes a checkpoint.
    fn save(&self) -> Result<(), Failure> {
        by_rank_0(&self.stage.ranks, "saving a checkpoint", || {
            trace::save(&self.file, &self.grpo.tensors(), &self.grpo.state)
        })
        .map(|_| ())
    }

    /// Writes the loss trace and reports progress.
    fn report(&self, job: &mut Job, step: &Step) -> Result<(), Failure> {
        let steps = &self.grpo.state.steps;
        if self.stage.ranks.leads() {
            let curve = show::curve(steps, self.stage.arguments.deterministic);
            trace::write(&job.assignment.work, &curve)?;
        }
        show::log(self.plan.title, steps.last().unwrap_or(step));
        show::progress(job, self.plan, &self.grpo.state);
        Ok(())
    }
}

/// Returns the rollout servers, where they and not the trainer play.
fn servers<'a>(
    stage: &Stage,
    job: &Job,
    spec: &GrpoSpec,
    models: &'a Models,
) -> Result<Option<RemoteRollouts<'a>>, Failure> {
    let Some(at) = &stage.arguments.rollouts else {
        return Ok(None);
    };
    tracing::info!(servers = at.servers, hosts = ?at.hosts, "rollout servers play");
    let decoder = &models.policy.decoder;
    let parallelism = stage.parallelism(job);
    RemoteRollouts::new(stage, spec, at, decoder, slots(spec), parallelism).map(Some)
}
