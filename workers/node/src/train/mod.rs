//! The stages of a GRPORun, one file each. A stage whose record is in the store is done; otherwise it makes the record, from
//! the checkpoint in its work folder if there is one.

mod agent_sft;
mod certify_user;
mod episodes;
mod evaluate;
mod grpo;
mod model;
mod policy;
mod ranks;
mod record;
mod rename;
pub mod rollouts;
mod samples;
mod sft_continued;
mod suite;
mod supervised;
mod trace;
mod user_sft;
mod vary;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use agoge_artifacts::{Point, Scorecard, Step};
use agoge_c10d::Ranks;
use agoge_contract::{StageSettings, TrainStage, TrainWork};
use agoge_crds::grpo_run::{ArmStatus, DEFAULT_LANES, UserModel};
use agoge_crds::report::TrainReport;
use agoge_learner::arena::Arena;
use agoge_learner::parallel::Parallelism;
use agoge_sandbox::Limits;
use agoge_store::{Digest, Folder};
use agoge_world::{Domain, Rules, World};

use crate::failure::Failure;
use crate::job::Job;
use policy::Policy;
pub use record::{Columns, Record, read as record_of};
use suite::Suite;

/// A stage's surroundings.
struct Stage {
    arguments: TrainWork,
    domain: Arc<Domain>,
    suite: Suite,
    ranks: Rc<Ranks>,
}

/// Runs a stage and writes its report.
pub fn run(job: &mut Job, work: &TrainWork) -> Result<(), Failure> {
    let report = report(job, work)?;
    job.finish(&report)
}

/// Runs a stage and returns its report.
pub fn report(job: &mut Job, work: &TrainWork) -> Result<TrainReport, Failure> {
    let arguments = work.clone();
    let domain = job.domain()?;
    let inputs = record::inputs(&arguments, &domain.digest, &job.store)?;
    if let Some((record, digest, seconds)) = record::find(&job.store, &inputs)? {
        tracing::info!(stage = arguments.stage().as_str(), %digest, "done before");
        return Ok(report_of(&record, &digest, seconds));
    }
    trace::begin(&job.assignment.work, &inputs)?;
    let suite = Suite::load(&job.store, &arguments)?;
    let ranks = ranks::meet(job, &arguments)?;
    let stage = Stage {
        arguments,
        domain,
        suite,
        ranks,
    };
    let started = Instant::now();
    let (mut record, seconds) = stage.perform(job)?;
    let seconds = seconds.unwrap_or_else(|| started.elapsed().as_secs_f64());
    record.stage = stage.arguments.stage().as_str().to_owned();
    record.seconds = if stage.arguments.deterministic {
        0.0
    } else {
        seconds
    };
    let digest = stage
        .agreed(|| record::keep(&job.store, &stage.arguments.run, inputs, &record, seconds))?;
    trace::clear(&job.assignment.work);
    Ok(report_of(&record, &digest, seconds))
}

impl Stage {
    /// Returns the surroundings of the job's stage for a process that is not one of its ranks.
    fn alone(job: &Job, work: &TrainWork) -> Result<Self, Failure> {
        Ok(Self {
            domain: job.domain()?,
            suite: Suite::load(&job.store, work)?,
            ranks: Rc::new(Ranks::alone()),
            arguments: work.clone(),
        })
    }

    /// Returns the digest of the record that rank 0 keeps, on every rank: all report the same, and none ends before it is kept.
    fn agreed(&self, keep: impl FnOnce() -> Result<Digest, Failure>) -> Result<Digest, Failure> {
        let kept = match self.ranks.leads() {
            true => keep()?.to_string(),
            false => String::new(),
        };
        self.ranks.barrier("keeping the record")?;
        let digest = self
            .ranks
            .broadcast_bytes("sharing the record's digest", kept.into_bytes())?;
        Digest::parse(&String::from_utf8_lossy(&digest)).map_err(Failure::infra)
    }

    /// Returns the record, and the seconds that it took over all attempts where the stage knows them.
    fn perform(&self, job: &mut Job) -> Result<(Record, Option<f64>), Failure> {
        match &self.arguments.settings {
            StageSettings::UserSft { sft } => user_sft::perform(self, job, sft),
            StageSettings::CertifyUser { dialogues } => {
                certify_user::perform(self, job, *dialogues as usize)
            }
            StageSettings::AgentSft { sft } => agent_sft::perform(self, job, sft),
            StageSettings::Grpo { grpo, evaluated }
            | StageSettings::GrpoUnfiltered {
                grpo, evaluated, ..
            } => grpo::perform(self, job, grpo, *evaluated as usize),
            StageSettings::SftContinued { sft, seconds } => {
                sft_continued::perform(self, job, sft, *seconds)
            }
            StageSettings::Evaluate { evaluation, grpo } => {
                evaluate::perform(self, job, evaluation, grpo)
            }
        }
    }

    /// Returns the record of an earlier stage.
    fn earlier(&self, job: &Job, stage: TrainStage) -> Result<Record, Failure> {
        let name = stage.as_str();
        let digest = self.arguments.inputs.get(&stage).ok_or_else(|| {
            Failure::Input(format!(
                "the assignment names no record of stage {name}, which has to come first"
            ))
        })?;
        record::read(&job.store, &Digest::parse(digest).map_err(Failure::input)?)
    }

    /// Returns the model that an earlier stage left.
    fn model(&self, job: &Job, stage: TrainStage) -> Result<Policy, Failure> {
        let folder = self.earlier(job, stage)?.model.ok_or_else(|| {
            Failure::Input(format!(
                "the record of stage {} has no model, so it was cut off or is of another version; begin in a new store or run folder",
                stage.as_str()
            ))
        })?;
        Policy::get(
            &job.store,
            &folder,
            &job.assignment.work.join("inputs").join(stage.as_str()),
        )
    }

    /// Keeps the trained model, on rank 0.
    fn left(&self, job: &Job, policy: &Policy) -> Result<Option<Folder>, Failure> {
        match self.ranks.leads() {
            true => policy.put(&job.store, &job.assignment.work).map(Some),
            false => Ok(None),
        }
    }

    /// Returns the user model, unless the script plays the user.
    fn user(&self, job: &Job) -> Result<Option<Policy>, Failure> {
        match self.arguments.user.model {
            UserModel::Scripted => Ok(None),
            UserModel::Sft => self.model(job, TrainStage::UserSft).map(Some),
        }
    }

    /// Returns the pieces that work is cut into: the lanes that a deterministic run names, else as many as threads.
    fn parallelism(&self, job: &Job) -> Parallelism {
        let lanes = self.arguments.lanes.unwrap_or(DEFAULT_LANES) as usize;
        match self.arguments.deterministic {
            true => Parallelism::repeatable(job.threads(), lanes),
            false => Parallelism::of_cores(job.threads()),
        }
    }

    /// Opens an arena with a sandbox for each piece, for `slots` live episodes in all.
    fn arena(
        &self,
        parallelism: Parallelism,
        slots: usize,
        rules: &Rules,
    ) -> Result<Arena, Failure> {
        let open = || World::open(self.domain.clone(), Limits::default());
        Arena::open(open, parallelism, slots, rules, self.arguments.seed).map_err(Failure::from)
    }
}

/// The temperature at which a user model speaks, in its certification as in rollouts: varied, but seldom wrong by chance.
const USER_TEMPERATURE: f64 = 0.3;

/// Returns the report of a record.
fn report_of(record: &Record, digest: &Digest, seconds: f64) -> TrainReport {
    let last = match record.curve.last() {
        Some(Point::Step(step)) => Some(step.as_ref()),
        _ => None,
    };
    let figure = |of: fn(&Step) -> f64| last.map(of);
    let arms = record
        .arms
        .iter()
        .map(|(name, columns)| (name.clone(), row(&columns.heldout)))
        .collect();
    TrainReport {
        step: record.steps,
        total: record.steps,
        reward: figure(|step| step.reward_all),
        kl: figure(|step| step.kl),
        entropy: figure(|step| step.entropy),
        mixed: figure(|step| step.mixed),
        truncated: figure(|step| step.truncated_ratio),
        staleness: last.map(|step| step.staleness),
        tokens_per_second: (record.trained_tokens > 0)
            .then(|| record.trained_tokens as f64 / seconds.max(1e-9)),
        seconds,
        trained_tokens: record.trained_tokens,
        error_rate: record
            .after
            .as_ref()
            .map(|certificate| certificate.error_rate),
        arms,
        digest: Some(digest.to_string()),
        ..TrainReport::default()
    }
}

fn row(card: &Scorecard) -> ArmStatus {
    let first = card.pass.first();
    ArmStatus {
        pass: card.pass.iter().map(|estimate| estimate.value).collect(),
        low: first.map_or(0.0, |e| e.low),
        high: first.map_or(0.0, |e| e.high),
        tasks: first.map_or(0, |e| e.n as u64),
    }
}
