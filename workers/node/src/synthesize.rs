//! The role `synthesize`: the instances of one strategy of a SynthesisJob, as one artifact of attempts in item order.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use agoge_artifacts::{DatasetOrigin, Shard};
use agoge_contract::SynthesizeWork;
use agoge_crds::report::SynthesisReport;
use agoge_crds::shared::Part;
use agoge_llm::{Client, Meter};
use agoge_sandbox::Limits;
use agoge_store::{Artifact, Digest, LedgerError};
use agoge_synthesis::engine::{
    Job as Synthesis, Progress, RoleClients, Settings, SynthesisError, TOKENS_PER_INSTANCE,
};
use agoge_synthesis::registry::{self, Registered};
use serde_json::{Value, json};

use crate::datasets;
use crate::endpoints::Endpoints;
use crate::failure::Failure;
use crate::job::Job;

/// The artifact by which a finished job is found: its report, by its inputs.
const DONE: &str = "synthesis";
/// Generations that a progress report lists at most, so that it fits a status.
const LINEAGE: usize = agoge_crds::lineage::MAX_LINEAGE;

/// Makes the instances, or finds that they are made.
///
/// # Errors
/// [`Failure`]
pub fn run(job: &mut Job, work: &SynthesizeWork) -> Result<(), Failure> {
    let name = work.strategy.name.as_str();
    let strategy = registry::find(name).ok_or_else(|| {
        Failure::Input(format!(
            "strategies[{name}].name: this worker has no strategy {name}; use the worker image of the operator's version"
        ))
    })?;
    let domain = job.domain()?;
    let made_from = determined_by(work, &strategy)?;
    let shard = Shard {
        index: job.assignment.shard,
        count: job.assignment.shards,
    };
    let origin = DatasetOrigin::new(&domain.digest, name, made_from, shard);
    let inputs = origin.inputs();
    if let Some(done) = job.store.find_artifact(DONE, &inputs)? {
        return job.finish(&job.store.get_json::<SynthesisReport>(&done.digest)?);
    }
    let settings = settings(job, work);
    let clients = clients(job, work, &strategy)?;
    // A person's decision, and what other strategies made until it came, change the inputs and not the ledger: the job goes
    // on where it was.
    let undecided = determined_by(
        &SynthesizeWork {
            decision: None,
            known: Vec::new(),
            ..work.clone()
        },
        &strategy,
    )?;
    let key = Digest::of(format!("{}\n{undecided}\n{shard:?}", domain.digest).as_bytes());
    let ledger = format!("{name}-{}.jsonl", key.short());
    let known = datasets::objects(&job.store, &work.known)?;
    let synthesis = Synthesis {
        settings,
        domain,
        limits: Limits::default(),
        threads: job.threads(),
        clients,
        known: datasets::instances(&job.store, &known)?,
        store: job.store.clone(),
        ledger: job.assignment.work.join(ledger),
    };
    let mut outcome = make(job, &strategy, work, synthesis)?;
    outcome.publish(&job.store, &work.dataset, &origin)?;
    if is_done(&outcome.report) {
        let object = job.store.put_json(&outcome.report)?;
        let done = Artifact::new(DONE, &work.dataset, object, inputs);
        job.store.put_artifact(&done)?;
    }
    job.finish(&outcome.report)
}

/// Returns true when the job need not be run again. One whose time ended before it made anything goes on from its ledger when
/// it is retried.
fn is_done(report: &SynthesisReport) -> bool {
    let cut = report.accepted == 0 && report.ended.as_deref() == Some("BudgetExhausted");
    report.digest.is_some() && !cut
}

/// Runs the strategy until it ends or this worker is asked to stop.
fn make(
    job: &mut Job,
    strategy: &Registered,
    work: &SynthesizeWork,
    synthesis: Synthesis,
) -> Result<agoge_synthesis::engine::Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(job.threads())
        .enable_all()
        .build()
        .map_err(Failure::infra)?;
    let stop = job.stop.clone();
    let written = RefCell::new((&mut job.progress, String::new()));
    let progress = |now: &Progress| {
        let (progress, stage) = &mut *written.borrow_mut();
        if *stage != now.stage {
            stage.clone_from(&now.stage);
            progress.stage(&now.stage, "instances", now.total);
        }
        for (name, value) in figures(now) {
            progress.figure(name, value);
        }
        if let Some(warning) = &now.warning {
            progress.warn(warning);
        }
        progress.at(now.done);
    };
    runtime.block_on(async {
        tokio::select! {
            made = strategy.run(&work.strategy.parameters.own, synthesis, &progress) => made.map_err(Failure::from),
            () = stop.requested() => Err(Failure::Stopped),
        }
    })
}

/// The figures of a progress report: those of the result that a status shows while the job runs.
fn figures(now: &Progress) -> Vec<(&'static str, Value)> {
    let report = &now.report;
    let mut figures: Vec<(&str, Value)> = vec![
        ("attempted", report.attempted.into()),
        ("valid", report.valid.into()),
        ("accepted", report.accepted.into()),
        ("tokens", report.tokens.into()),
        ("cost", report.cost.into()),
        ("rejected", json!(report.rejected)),
        ("attribution", json!(report.attribution)),
        ("faults", json!(report.faults)),
    ];
    if !report.lineage.is_empty() {
        let first = report.lineage.len().saturating_sub(LINEAGE);
        figures.push(("generation", report.generation.into()));
        figures.push(("plan", json!(report.plan)));
        figures.push(("lineage", json!(report.lineage[first..])));
    }
    figures
}

/// Everything but domain and shard that determines what is made.
fn determined_by(work: &SynthesizeWork, strategy: &Registered) -> Result<String, Failure> {
    let spec = &work.strategy;
    let parameters = strategy
        .canonical_parameters(&spec.parameters.own)
        .map_err(Failure::input)?;
    let mut all = json!({
        "parameters": parameters, "seed": spec.parameters.seed, "target": spec.target.accepted,
    });
    if !work.known.is_empty() {
        all["known"] = json!(work.known);
    }
    if spec.name.asks_models() {
        all["models"] = json!(work.models);
        all["evolution"] = json!(work.evolution);
        all["budget"] = json!(work.budget);
        let decision = work.decision.as_ref();
        all["decision"] = json!(decision.map(|d| (&d.digest, d.promote)));
    }
    Ok(all.to_string())
}

fn settings(job: &Job, work: &SynthesizeWork) -> Settings {
    let strategy = &work.strategy;
    let left = job.assignment.time_left.filter(|s| s.is_finite());
    let left = left.map(|s| Duration::from_secs_f64(s.clamp(0.0, 1e8)));
    Settings {
        seed: strategy.parameters.seed,
        target: usize::try_from(strategy.target.accepted).unwrap_or(usize::MAX),
        shard: job.assignment.shard as usize,
        shards: job.assignment.shards as usize,
        parallelism: work.parallelism.map(|n| n as usize),
        deterministic: work.deterministic,
        budget: work.budget.clone(),
        tokens_per_instance: work
            .budget
            .tokens_per_instance
            .unwrap_or(TOKENS_PER_INSTANCE),
        evolution: work.evolution.clone().unwrap_or_default(),
        deadline: left.map(|left| Instant::now() + left),
        decision: work.decision.clone(),
        ..Settings::default()
    }
}

/// Opens the clients of the roles that a strategy asks. Answers are kept in the work folder before they are used.
fn clients(
    job: &Job,
    work: &SynthesizeWork,
    strategy: &Registered,
) -> Result<Option<RoleClients>, Failure> {
    if strategy.entry().roles.is_empty() {
        return Ok(None);
    }
    let meter = Meter::new(work.budget.tokens, work.budget.usd);
    let answers = job.assignment.work.join("answers");
    let endpoints = Endpoints::open(&job.assignment, meter)?.keeping(&answers)?;
    let client = |part: Part, name: &str| -> Result<Client, Failure> {
        let models = work.models.as_ref();
        let binding = models.and_then(|models| models.of(part)).ok_or_else(|| {
            Failure::Input(format!(
                "models: no model is bound to the role {name}; bind models.default, or models.{name}"
            ))
        })?;
        endpoints.client(binding)
    };
    Ok(Some(RoleClients {
        writer: client(Part::Writer, "writer")?,
        agent: client(Part::Agent, "agent")?,
        user: client(Part::User, "user")?,
        reflector: client(Part::Reflector, "reflector")?,
    }))
}

impl From<SynthesisError> for Failure {
    fn from(error: SynthesisError) -> Self {
        match error {
            SynthesisError::Endpoint(error) => Self::from(&error),
            SynthesisError::Store(error) => error.into(),
            SynthesisError::World(error) => error.into(),
            SynthesisError::Ledger(
                LedgerError::Locked { .. } | LedgerError::Write(_) | LedgerError::Read { .. },
            ) => Self::Infra(error.to_string()),
            error => Self::Input(error.to_string()),
        }
    }
}
