//! The strategy `sea` as a role: clients of the endpoints, the book in the work folder, attempts and plan pairs in the store.

use std::time::Duration;

use agoge_contract::SynthesizeWork;
use agoge_crds::report::SynthesisReport;
use agoge_crds::shared::{Models, Part};
use agoge_llm::{Client, Meter};
use agoge_sandbox::Limits;
use agoge_store::Artifact;
use agoge_synthesis::sea::{Progress, SeaConfig, SeaError, Seats, run as make};
use agoge_world::World;
use serde_json::json;

use super::inputs;
use crate::endpoints::Endpoints;
use crate::failure::Failure;
use crate::job::Job;

/// The artifact by which a finished job is found: its report, by what went in.
const DONE: &str = "synthesis";

/// Runs the job, or goes on with it.
pub fn run(job: &mut Job, work: &SynthesizeWork) -> Result<SynthesisReport, Failure> {
    let domain = job.domain()?;
    let SynthesizeWork {
        strategy,
        models,
        evolution,
        budget,
        decision,
        ..
    } = work;
    let config = SeaConfig::new(
        strategy,
        evolution.clone().unwrap_or_default(),
        budget,
        decision.clone(),
        job.assignment.time_left,
    );
    let settings = json!([strategy, models, evolution, budget, decision]).to_string();
    let inputs = inputs(&domain.digest, "sea", &settings);
    if let Some(done) = job.store.find_artifact(DONE, &inputs)? {
        return Ok(job.store.get_json(&done.digest)?);
    }
    let meter = Meter::new(budget.tokens, budget.usd);
    let seats = seats(&Endpoints::open(&job.assignment, meter)?, models.as_ref())?;
    let mut world = World::open(domain, Limits::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(job.threads().min(4))
        .enable_all()
        .build()
        .map_err(Failure::infra)?;
    let stop = job.stop.clone();
    let told = std::cell::RefCell::new((&mut job.progress, String::new()));
    let progress = |now: &Progress| {
        let (progress, stage) = &mut *told.borrow_mut();
        if *stage != now.stage {
            stage.clone_from(&now.stage);
            progress.stage(&now.stage, "instances", now.total);
        }
        // Only what fits a status: the lineage comes with the result.
        for (name, value) in [
            ("attempted", now.report.attempted),
            ("valid", now.report.valid),
            ("accepted", now.report.accepted),
            ("tokens", now.report.tokens),
            ("generation", u64::from(now.report.generation)),
        ] {
            progress.figure(name, value);
        }
        progress.at(now.done);
    };
    let made = runtime.block_on(async {
        tokio::select! {
            made = make(&config, &mut world, &seats, &job.store, &job.assignment.work, &progress) => made.map_err(Failure::from),
            () = asked_to(&stop) => Err(Failure::Stopped),
        }
    });
    let mut outcome = made?;
    outcome.publish(&job.store, &work.dataset, &inputs)?;
    if outcome.report.digest.is_some() {
        let object = job.store.put_json(&outcome.report)?;
        job.store
            .put_artifact(&Artifact::new(DONE, &work.dataset, object, inputs))?;
    }
    Ok(outcome.report)
}

/// Waits until it is asked to stop.
async fn asked_to(stop: &crate::stop::Stop) {
    while !stop.asked() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn seats(endpoints: &Endpoints<'_>, models: Option<&Models>) -> Result<Seats, Failure> {
    let seat = |part: Part, name: &str| -> Result<Client, Failure> {
        let binding = models.and_then(|models| models.of(part)).ok_or_else(|| {
            Failure::Input(format!(
                "models has nobody for the part {name}; bind models.default, or models.{name}"
            ))
        })?;
        endpoints.client(binding)
    };
    Ok(Seats {
        writer: seat(Part::Writer, "writer")?,
        agent: seat(Part::Agent, "agent")?,
        user: seat(Part::User, "user")?,
        reflector: seat(Part::Reflector, "reflector")?,
    })
}

impl From<SeaError> for Failure {
    fn from(error: SeaError) -> Self {
        match error {
            SeaError::Endpoint(error) => Self::from(&error),
            SeaError::Store(error) => error.into(),
            SeaError::Ledger(error) => Self::infra(error),
            SeaError::Plans(_) => Self::input(error),
        }
    }
}
