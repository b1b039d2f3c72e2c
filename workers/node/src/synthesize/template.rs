//! The strategy `template` as a role: settings from the manifest, a ledger in the work folder, the attempts in the store.

use agoge_contract::SynthesizeWork;
use agoge_crds::report::SynthesisReport;
use agoge_crds::synthesis_job::{MixName, SplitName, SplitShare};
use agoge_sandbox::Limits;
use agoge_store::{Digest, Ledger, LedgerError};
use agoge_synthesis::Attempt;
use agoge_synthesis::template::{NAME, Part, Settings, TemplateError, run as make};
use agoge_world::{Mix, Split, WorldError};

use super::{KIND, counted, inputs, keep};
use crate::failure::Failure;
use crate::job::Job;

/// Makes the instances of this shard.
pub fn run(job: &mut Job, work: &SynthesizeWork) -> Result<SynthesisReport, Failure> {
    let domain = job.domain()?;
    let settings = settings(job, work);
    let text = serde_json::to_string(&settings).map_err(Failure::infra)?;
    let inputs = inputs(&domain.digest, NAME, &text);
    if let Some(made) = job.store.find_artifact(KIND, &inputs)? {
        let attempts = read(&job.store.get(&made.digest)?)?;
        return Ok(SynthesisReport {
            digest: Some(made.digest.to_string()),
            ..counted(&attempts)
        });
    }
    let key = Digest::of(format!("{}\n{text}", domain.digest).as_bytes());
    let path = job
        .assignment
        .work
        .join(format!("template-{}.jsonl", key.short()));
    let mut ledger = Ledger::open(path).map_err(Failure::infra)?;
    let total = settings.target.div_ceil(settings.shards.max(1));
    job.progress
        .stage("template instances", "instances", total as u64);
    let (threads, stop) = (job.threads(), job.stop.clone());
    let progress = &mut job.progress;
    let attempts = make(
        &domain,
        &Limits::default(),
        &settings,
        threads,
        &mut ledger,
        &mut |attempts| {
            let report = counted(attempts);
            progress.figure("attempted", report.attempted);
            progress.figure("valid", report.valid);
            progress.figure("accepted", report.accepted);
            progress.at(report.accepted);
            !stop.asked()
        },
    )?;
    let digest = keep(job, &work.dataset, inputs, &attempts)?;
    Ok(SynthesisReport {
        digest: Some(digest.to_string()),
        ..counted(&attempts)
    })
}

fn settings(job: &Job, work: &SynthesizeWork) -> Settings {
    let strategy = &work.strategy;
    let part = |share: &SplitShare| Part {
        split: match share.split {
            SplitName::TrainSft => Split::TrainSft,
            SplitName::TrainRl => Split::TrainRl,
            SplitName::Heldout => Split::Heldout,
            SplitName::Unseen => Split::Unseen,
        },
        mix: match share.mix {
            MixName::Natural => Mix::Natural,
            MixName::EvenBranches => Mix::EvenBranches,
        },
        share: share.share as usize,
    };
    Settings {
        seed: strategy.parameters.seed,
        target: usize::try_from(strategy.target.accepted).unwrap_or(usize::MAX),
        parts: strategy.parameters.splits.iter().map(part).collect(),
        shard: job.assignment.shard as usize,
        shards: job.assignment.shards as usize,
    }
}

fn read(lines: &[u8]) -> Result<Vec<Attempt>, Failure> {
    let lines = lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).map_err(Failure::infra))
        .collect()
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        match error {
            TemplateError::Stopped => Self::Stopped,
            TemplateError::Ledger(
                LedgerError::Locked { .. } | LedgerError::Write(_) | LedgerError::Read { .. },
            )
            | TemplateError::World(WorldError::Start { .. }) => Self::Infra(error.to_string()),
            _ => Self::Input(error.to_string()),
        }
    }
}
