//! `make learn`: whether GRPO teaches what demonstrations alone do not. Several seeds of one run, each through the same
//! stages as a GRPORun, on the same suite; then the arms compared, seed by seed and pooled.
//!
//! Everything is idempotent: a killed one goes on where it was.

mod data;
mod result;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agoge_contract::{Assignment, Owner, StageSettings, SuiteInput, TrainStage, TrainWork, Work};
use agoge_crds::grpo_run::{Arm, UserModel};
use agoge_crds::report::TrainReport;
use agoge_crds::{GRPORun, GRPORunSpec};
use agoge_store::Store;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::job::Job;
use crate::stop::Stop;
use crate::train;

/// The arms that are compared.
const ARMS: [Arm; 7] = [
    Arm::Empty,
    Arm::Random,
    Arm::AlwaysRefuse,
    Arm::Sft,
    Arm::SftContinued,
    Arm::Grpo,
    Arm::GrpoUnfiltered,
];

/// The data to learn from, and the length of the runs.
#[derive(Args)]
pub struct Options {
    /// Folder with `synthesisjob.yaml`, `grporun.yaml` and `domain/`.
    #[arg(long, default_value = "examples/courier")]
    folder: PathBuf,
    /// Where everything goes.
    #[arg(long, default_value = "out/learn")]
    out: PathBuf,
    /// Seeds: 1 to this.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Minutes of GRPO, and of each arm that gets the same time.
    #[arg(long, env = "LEARN_MINUTES", default_value_t = 10.0)]
    minutes: f64,
    /// Only the user, SFT, GRPO and SFT continued: for trying settings.
    #[arg(long)]
    brief: bool,
    /// Threads; 0: all cores.
    #[arg(long, default_value_t = 0)]
    threads: u32,
    /// The digest of a qualified suite in the store below `--out`. Unset: a suite is made by the strategy `template`.
    #[arg(long)]
    suite: Option<String>,
}

/// One seed's way through the stages.
struct Run<'a> {
    options: &'a Options,
    spec: &'a GRPORunSpec,
    suite: &'a str,
    seed: u64,
    inputs: BTreeMap<TrainStage, String>,
    reports: BTreeMap<String, TrainReport>,
    stop: Stop,
}

/// Does all of it and writes `result.json`.
pub fn run(options: &Options, stop: Stop) -> Result<(), Failure> {
    let store = Store::open(options.out.join("store"))?;
    let spec = manifest::<GRPORun>(&options.folder.join("grporun.yaml"))?.spec;
    let suite = data::suite(options, &stop)?;
    let mut first = Run::new(options, &spec, &suite, 1, stop.clone());
    let user = first.user()?;
    let mut seeds = Vec::new();
    for seed in 1..=options.seeds {
        let mut run = Run::new(options, &spec, &suite, seed, stop.clone());
        run.inputs.clone_from(&first.inputs);
        seeds.push(run.seed(&store)?);
        let result = result::of(options.minutes, &user, &seeds);
        let text = serde_json::to_vec_pretty(&result).map_err(Failure::infra)?;
        agoge_store::write_atomic(options.out.join("result.json"), text).map_err(Failure::infra)?;
        tracing::info!(seed, "\n{}", result::table(&result));
    }
    Ok(())
}

/// Reads a manifest.
fn manifest<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failure::Input(format!(
            "reading {}: {e}; name the manifests' folder with --folder",
            path.display()
        ))
    })?;
    serde_yaml::from_str(&text).map_err(|e| Failure::Input(format!("{}: {e}", path.display())))
}

impl<'a> Run<'a> {
    fn new(
        options: &'a Options,
        spec: &'a GRPORunSpec,
        suite: &'a str,
        seed: u64,
        stop: Stop,
    ) -> Self {
        Self {
            options,
            spec,
            suite,
            seed,
            inputs: BTreeMap::new(),
            reports: BTreeMap::new(),
            stop,
        }
    }

    /// The user model, one for all seeds, and its certificate.
    fn user(&mut self) -> Result<Value, Failure> {
        if self.spec.user.model == UserModel::Scripted {
            return Ok(json!("scripted"));
        }
        let sft = self.spec.stages.user_sft.unwrap_or_default();
        self.stage(StageSettings::UserSft { sft })?;
        let report = self.stage(StageSettings::CertifyUser {
            dialogues: self.spec.user.certification,
        })?;
        let rate = report.error_rate.unwrap_or(1.0);
        if rate > self.spec.user.max_error_rate {
            tracing::warn!(
                rate,
                allowed = self.spec.user.max_error_rate,
                "the user model is not certified"
            );
        }
        Ok(
            json!({ "errorRate": rate, "allowed": self.spec.user.max_error_rate, "dialogues": report.step }),
        )
    }

    /// Every arm of one seed.
    fn seed(&mut self, store: &Store) -> Result<result::Seed, Failure> {
        let stages = &self.spec.stages;
        let mut grpo = stages.grpo.clone();
        grpo.steps = 0;
        grpo.wall_clock =
            Some(std::time::Duration::from_secs_f64(self.options.minutes * 60.0).into());
        let (sft, evaluated) = (stages.agent_sft, stages.evaluation.tasks);
        self.stage(StageSettings::AgentSft { sft })?;
        let trained = self.stage(StageSettings::Grpo {
            grpo: grpo.clone(),
            evaluated,
        })?;
        let seconds = Some(trained.seconds);
        let mut evaluation = stages.evaluation.clone();
        evaluation.endpoints.clear();
        evaluation.arms = ARMS.to_vec();
        if self.options.brief {
            let tried = [Arm::Sft, Arm::SftContinued, Arm::Grpo];
            evaluation.arms.retain(|arm| tried.contains(arm));
        } else {
            self.stage(StageSettings::GrpoUnfiltered {
                grpo: grpo.clone(),
                evaluated,
                seconds,
            })?;
        }
        self.stage(StageSettings::SftContinued { sft, seconds })?;
        self.stage(StageSettings::Evaluate { evaluation, grpo })?;
        result::Seed::of(self.seed, &self.reports, store)
    }

    fn stage(&mut self, settings: StageSettings) -> Result<TrainReport, Failure> {
        let stage = settings.stage();
        let key = format!("seed{}-{}", self.seed, stage.key());
        let work = TrainWork {
            run: format!("learn-{}", self.seed),
            suite: SuiteInput {
                name: "learn".into(),
                digest: self.suite.to_owned(),
            },
            policy: self.spec.policy.clone(),
            user: self.spec.user.clone(),
            settings,
            inputs: self.inputs.clone(),
            deterministic: false,
            lanes: None,
            seed: self.seed,
            rollouts: None,
        };
        let assignment = assignment(self.options, &key, Work::Train(work.clone()));
        let mut job = Job::of(assignment, self.stop.clone())?;
        let report = train::report(&mut job, &work)?;
        if let Some(digest) = &report.digest {
            self.inputs.insert(stage, digest.clone());
        }
        self.reports
            .insert(stage.as_str().to_owned(), report.clone());
        Ok(report)
    }
}

/// A piece of work as the local driver would give it.
fn assignment(options: &Options, key: &str, spec: Work) -> Assignment {
    let owner = Owner {
        api_version: agoge_crds::API_VERSION.to_owned(),
        kind: "GRPORun".to_owned(),
        name: "learn".to_owned(),
        namespace: None,
        uid: String::new(),
    };
    Assignment {
        name: key.to_owned(),
        key: key.to_owned(),
        attempt: 0,
        owner,
        spec,
        shard: 0,
        shards: 1,
        time_left: None,
        domain: options.folder.join("domain"),
        store: options.out.join("store").to_string_lossy().into_owned(),
        keep: None,
        work: options.out.join("work").join(key),
        endpoints: BTreeMap::new(),
        recordings: None,
        progress: None,
        threads: options.threads,
    }
}
