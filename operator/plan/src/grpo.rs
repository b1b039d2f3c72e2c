//! The plan of a GRPORun: wait for the suite and pin it, then one stage after the other.
//!
//! User SFT, its certification (a gate), agent SFT, GRPO, the arms for comparison, evaluation. What is compared with GRPO
//! by time comes after it, because it gets the time that GRPO took.
//!
//! In mode disaggregated a stage that plays rollouts has two children: its trainer, and the servers that play. The trainer
//! alone ends the stage; servers that fail are replaced beside it, and nothing of it changes.

use agoge_contract::{
    ROLLOUT_PORT, RolloutHosts, StageSettings, SuiteInput, TrainStage, TrainWork, Work,
};
use agoge_crds::conditions::{reason, shorten};
use agoge_crds::grpo_run::{Arm, DEFAULT_LANES, StageStatus, TopologyMode, UserModel};
use agoge_crds::report::{Report, TrainReport};
use agoge_crds::{GRPORun, GRPORunSpec, GRPORunStatus, Phase, Timestamp};
use kube::ResourceExt as _;

use crate::child::{self, Child, Needs};
use crate::learned;
use crate::life::{Cause, DIGEST_BYTES, Life, Verdict, whole};
use crate::names;
use crate::observed::Observed;
use crate::{Plan, Plannable};

/// Key of the rollout servers.
const ROLLOUT: &str = "rollout";

impl Plannable for GRPORun {
    type Status = GRPORunStatus;

    fn plan(&self, observed: &Observed, now: Timestamp) -> Plan<GRPORunStatus> {
        let mut status = self.status.clone().unwrap_or_default();
        let life = Life {
            policy: &self.spec.run_policy,
            generation: self.metadata.generation,
            observed,
            now: whole(now),
        };
        let outcome = life.over(&mut status.run).unwrap_or_else(|| {
            let mut end = life.observe(&mut status.run);
            if let Err(why) = fold(&self.spec, &mut status, observed) {
                end.get_or_insert(why);
            }
            let verdict = match end {
                Some(why) => Verdict::Fail(why),
                None => decide(self, &mut status, observed),
            };
            status.restarts = status
                .run
                .attempts
                .values()
                .map(|a| a.current)
                .fold(0, u32::saturating_add);
            life.conclude(&mut status.run, verdict)
        });
        Plan {
            status_first: true,
            children: outcome.children,
            status,
            requeue: outcome.requeue,
            delete: outcome.delete,
        }
    }
}

/// The stages of this run, in their order.
pub(crate) fn stages(spec: &GRPORunSpec) -> Vec<TrainStage> {
    let arms = &spec.stages.evaluation.arms;
    let mut stages = vec![];
    if spec.user.model == UserModel::Sft {
        stages.extend([TrainStage::UserSft, TrainStage::CertifyUser]);
    }
    stages.extend([TrainStage::AgentSft, TrainStage::Grpo]);
    if arms.contains(&Arm::GrpoUnfiltered) {
        stages.push(TrainStage::GrpoUnfiltered);
    }
    if arms.contains(&Arm::SftContinued) {
        stages.push(TrainStage::SftContinued);
    }
    stages.push(TrainStage::Evaluate);
    stages
}

/// The first stage that is not done.
fn due(spec: &GRPORunSpec, status: &GRPORunStatus) -> Option<TrainStage> {
    stages(spec)
        .into_iter()
        .find(|stage| !status.stages.contains_key(stage.as_str()))
}

/// Takes over the reports of children, stage after stage up to the one at work.
fn fold(spec: &GRPORunSpec, status: &mut GRPORunStatus, observed: &Observed) -> Result<(), Cause> {
    while let Some(stage) = due(spec, status) {
        if !fold_stage(spec, status, observed, stage)? {
            break;
        }
    }
    Ok(())
}

/// Takes over the report of one stage. Returns true if the stage is done.
fn fold_stage(
    spec: &GRPORunSpec,
    status: &mut GRPORunStatus,
    observed: &Observed,
    stage: TrainStage,
) -> Result<bool, Cause> {
    let bad = |error: String| {
        let message = format!("{}: {error}", stage.as_str());
        Cause::new(reason::BAD_RESULT, message)
    };
    let key = stage.key();
    let report = observed.report(key, attempt(status, key), Report::train);
    let Some((report, finished)) = report.map_err(bad)? else {
        return Ok(false);
    };
    enter(status, stage);
    show(status, stage, report);
    if finished {
        done(spec, status, stage, report)?;
    }
    Ok(finished)
}

/// The columns of a stage begin at nothing.
fn enter(status: &mut GRPORunStatus, stage: TrainStage) {
    if status.stage.as_deref() != Some(stage.as_str()) {
        status.stage = Some(stage.as_str().to_owned());
        status.step = 0;
        status.total = 0;
    }
}

/// The columns.
fn show(status: &mut GRPORunStatus, stage: TrainStage, report: &TrainReport) {
    let three = |x: f64| format!("{x:.3}");
    status.step = report.step;
    status.total = report.total;
    if let Some(speed) = report.tokens_per_second {
        status.tokens_per_second = Some(speed.max(0.0).round() as u64);
    }
    if stage == TrainStage::Grpo {
        for (column, figure) in [
            (&mut status.reward, report.reward),
            (&mut status.kl, report.kl),
            (&mut status.entropy, report.entropy),
            (&mut status.mixed, report.mixed),
            (&mut status.truncated, report.truncated),
        ] {
            if let Some(figure) = figure {
                *column = Some(three(figure));
            }
        }
        status.staleness = report.staleness.or(status.staleness);
        status.checkpoint = report.checkpoint.or(status.checkpoint);
    }
}

fn done(
    spec: &GRPORunSpec,
    status: &mut GRPORunStatus,
    stage: TrainStage,
    report: &TrainReport,
) -> Result<(), Cause> {
    let entry = StageStatus {
        digest: report.digest.as_deref().map(|d| shorten(d, DIGEST_BYTES)),
        seconds: report.seconds,
        steps: report.step,
        trained_tokens: report.trained_tokens,
        error_rate: report.error_rate,
    };
    match stage {
        TrainStage::CertifyUser => {
            let bad = || {
                Cause::new(
                    reason::BAD_RESULT,
                    "certifyUser: the result has no errorRate",
                )
            };
            let rate = report.error_rate.ok_or_else(bad)?;
            // A rate that is no number certifies nothing.
            if !matches!(rate.partial_cmp(&spec.user.max_error_rate), Some(order) if order.is_le())
            {
                let message = format!(
                    "{:.1}% of the user model's turns are faulty, {:.1}% are allowed; train it on more dialogues, or choose user.model: scripted",
                    100.0 * rate,
                    100.0 * spec.user.max_error_rate
                );
                return Err(Cause::new(reason::USER_MODEL_NOT_CERTIFIED, message));
            }
        }
        TrainStage::Grpo => status.digest.clone_from(&entry.digest),
        TrainStage::Evaluate => table(status, report),
        _ => {}
    }
    status.stages.insert(stage.as_str().to_owned(), entry);
    Ok(())
}

/// The rows of the table, and what the columns say of it.
fn table(status: &mut GRPORunStatus, report: &TrainReport) {
    status.arms = report
        .arms
        .iter()
        .take(16)
        .map(|(name, arm)| (shorten(name, 63), arm.clone()))
        .collect();
    for arm in status.arms.values_mut() {
        arm.pass.truncate(8);
    }
    let first = |arm: &agoge_crds::grpo_run::ArmStatus| arm.pass.first().copied();
    status.pass1 = status
        .arms
        .get("grpo")
        .and_then(first)
        .map(|p| format!("{p:.3}"));
    let best = status
        .arms
        .iter()
        .filter_map(|(name, arm)| first(arm).map(|p| (name, p)));
    let best = best.max_by(|a, b| a.1.total_cmp(&b.1));
    status.best = best.map(|(name, p)| shorten(&format!("{name} {p:.3}"), 64));
}

fn decide(run: &GRPORun, status: &mut GRPORunStatus, observed: &Observed) -> Verdict {
    if run.spec.run_policy.suspend {
        return Verdict::Suspend;
    }
    let Some(stage) = due(&run.spec, status) else {
        status.stage = None;
        return learned::end(&run.spec, status);
    };
    let suite = match suite(&run.spec, status, observed) {
        Ok(digest) => SuiteInput {
            name: run.spec.suite.name.clone(),
            digest,
        },
        Err(verdict) => return verdict,
    };
    enter(status, stage);
    let work = work(run, status, stage, suite);
    let mut children = vec![train(run, status, &work)];
    if apart(&run.spec, stage) {
        children.push(rollout(run, status, &work));
    }
    Verdict::Run {
        children,
        doing: format!("stage {}", stage.as_str()),
        look: None,
    }
}

/// Finds the suite, judges it, and pins its digest.
fn suite(
    spec: &GRPORunSpec,
    status: &mut GRPORunStatus,
    observed: &Observed,
) -> Result<String, Verdict> {
    let name = &spec.suite.name;
    let wait = |reason: &str, message: String| Err(Verdict::Wait(Cause::new(reason, message)));
    let fail = |reason: &str, message: String| Err(Verdict::Fail(Cause::new(reason, message)));
    let ready = observed
        .suite
        .as_ref()
        .filter(|suite| suite.phase == Phase::Complete);
    let Some(seen) = ready else {
        // What is pinned lies in the store: the run does not need the object any more.
        if let Some(pinned) = &status.suite_digest {
            return Ok(pinned.clone());
        }
        return match observed.suite.as_ref().map(|suite| suite.phase) {
            None => wait(
                reason::SUITE_NOT_FOUND,
                format!("there is no CheckerSuite {name}"),
            ),
            Some(Phase::Failed) => fail(
                reason::SUITE_FAILED,
                format!("CheckerSuite {name} has failed"),
            ),
            Some(_) => wait(
                reason::SUITE_NOT_READY,
                format!("CheckerSuite {name} is not ready yet"),
            ),
        };
    };
    let Some(digest) = &seen.digest else {
        return wait(
            reason::SUITE_NOT_READY,
            format!("CheckerSuite {name} has no digest yet"),
        );
    };
    let must = status.suite_digest.as_ref().or(spec.suite.digest.as_ref());
    if let Some(must) = must.filter(|must| *must != digest) {
        let fix = match &spec.suite.digest {
            Some(_) => "correct spec.suite.digest, or leave it out",
            None => "the suite was made anew since the run began; make the run anew, too",
        };
        return fail(
            reason::DIGEST_CHANGED,
            format!("CheckerSuite {name} is {digest}, and {must} is pinned; {fix}"),
        );
    }
    let least = spec.suite.min_mutation_score;
    let score = seen.mutation_score.unwrap_or(0.0);
    if score < least {
        let message = format!(
            "CheckerSuite {name} has mutation score {score:.3}, at least {least} is asked for"
        );
        return fail(reason::SUITE_BELOW_THRESHOLD, message);
    }
    let pinned = shorten(digest, DIGEST_BYTES);
    status.suite_digest = Some(pinned.clone());
    Ok(pinned)
}

fn attempt(status: &GRPORunStatus, key: &str) -> u32 {
    status.run.attempts.get(key).map_or(0, |a| a.current)
}

/// Returns true if servers of their own play the rollouts of this stage.
fn apart(spec: &GRPORunSpec, stage: TrainStage) -> bool {
    spec.topology.mode == TopologyMode::Disaggregated
        && matches!(stage, TrainStage::Grpo | TrainStage::GrpoUnfiltered)
}

/// Returns the settings of one stage.
fn settings(spec: &GRPORunSpec, status: &GRPORunStatus, stage: TrainStage) -> StageSettings {
    let stages = &spec.stages;
    // What is compared with GRPO by time gets the time that GRPO took.
    let seconds = status
        .stages
        .get(TrainStage::Grpo.as_str())
        .map(|s| s.seconds);
    let (grpo, evaluated) = (|| stages.grpo.clone(), stages.evaluation.tasks);
    match stage {
        TrainStage::UserSft => StageSettings::UserSft {
            sft: stages.user_sft.unwrap_or_default(),
        },
        TrainStage::CertifyUser => StageSettings::CertifyUser {
            dialogues: spec.user.certification,
        },
        TrainStage::AgentSft => StageSettings::AgentSft {
            sft: stages.agent_sft,
        },
        TrainStage::Grpo => StageSettings::Grpo {
            grpo: grpo(),
            evaluated,
        },
        TrainStage::GrpoUnfiltered => StageSettings::GrpoUnfiltered {
            grpo: grpo(),
            evaluated,
            seconds,
        },
        TrainStage::SftContinued => StageSettings::SftContinued {
            sft: stages.agent_sft,
            seconds,
        },
        TrainStage::Evaluate => StageSettings::Evaluate {
            evaluation: stages.evaluation.clone(),
            grpo: grpo(),
        },
    }
}

/// Returns the work of a stage: its settings, and the records of the stages before it.
fn work(run: &GRPORun, status: &GRPORunStatus, stage: TrainStage, suite: SuiteInput) -> TrainWork {
    let spec = &run.spec;
    let inputs = status.stages.iter().filter_map(|(name, stage)| {
        let digest = stage.digest.clone()?;
        Some((TrainStage::parse(name)?, digest))
    });
    TrainWork {
        run: run.name_any(),
        suite,
        policy: spec.policy.clone(),
        user: spec.user.clone(),
        settings: settings(spec, status, stage),
        inputs: inputs.collect(),
        deterministic: spec.deterministic,
        lanes: lanes(spec),
        seed: spec.seed,
        rollouts: None,
    }
}

/// Returns the lanes of a deterministic run, where they are not the default. The default is left out, so that work has the
/// same digest as before there was this setting.
fn lanes(spec: &GRPORunSpec) -> Option<u32> {
    Some(spec.lanes).filter(|lanes| spec.deterministic && *lanes != DEFAULT_LANES)
}

/// Returns the trainer of a stage.
fn train(run: &GRPORun, status: &GRPORunStatus, work: &TrainWork) -> Child {
    let (spec, stage) = (&run.spec, work.stage());
    let mut work = work.clone();
    if apart(spec, stage) {
        let servers = rollout(run, status, &work);
        work.rollouts = Some(RolloutHosts {
            hosts: vec![format!("{}:{ROLLOUT_PORT}", servers.service())],
            servers: servers.shards,
        });
    }
    let mut child = make(run, status, stage.key(), Work::Train(work));
    if stage == TrainStage::Evaluate {
        let endpoints = spec.evaluated_endpoints();
        child.needs.endpoints = endpoints.iter().map(|e| e.endpoint.clone()).collect();
    }
    if !spec.deterministic {
        child.shards = ranks(spec, stage);
    }
    child
}

/// Returns the number of ranks that train in a stage. An arm of the comparison has as many as GRPO, because it gets as much
/// time.
fn ranks(spec: &GRPORunSpec, stage: TrainStage) -> u32 {
    match stage {
        TrainStage::AgentSft
        | TrainStage::Grpo
        | TrainStage::GrpoUnfiltered
        | TrainStage::SftContinued => spec.topology.trainers.max(1),
        TrainStage::UserSft | TrainStage::CertifyUser | TrainStage::Evaluate => 1,
    }
}

/// Returns the servers that play for a stage.
fn rollout(run: &GRPORun, status: &GRPORunStatus, work: &TrainWork) -> Child {
    let mut child = make(run, status, ROLLOUT, Work::Rollout(work.clone()));
    child.shards = run.spec.topology.rollouts.max(1);
    child
}

/// Returns one worker, with what the manifest gives each.
fn make(run: &GRPORun, status: &GRPORunStatus, key: &str, work: Work) -> Child {
    let spec = &run.spec;
    let owner = child::owner_of(run);
    let attempt = attempt(status, key);
    Child {
        name: names::child(&owner.name, key, attempt),
        key: key.to_owned(),
        attempt,
        work,
        needs: Needs {
            resources: spec.worker.resources.clone().unwrap_or_default(),
            endpoints: vec![],
            template: spec.worker.clone(),
        },
        shards: 1,
        time_left: None,
        owner,
    }
}
