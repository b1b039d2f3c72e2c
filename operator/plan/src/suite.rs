//! The plan of a CheckerSuite: wait for its source, qualify, score endpoints if any are named.

use agoge_contract::{QualifyWork, ScoreWork, Work};
use agoge_crds::checker_suite::Finding;
use agoge_crds::conditions::{reason, shorten};
use agoge_crds::report::{QualifyReport, Report};
use agoge_crds::{CheckerSuite, CheckerSuiteSpec, CheckerSuiteStatus, Phase, Timestamp};
use kube::ResourceExt as _;

use crate::child::{self, Child, Needs};
use crate::life::{Cause, DIGEST_BYTES, Life, Verdict, whole};
use crate::names;
use crate::observed::Observed;
use crate::{Plan, Plannable};

const QUALIFY: &str = "qualify";
const SCORE: &str = "score";

impl Plannable for CheckerSuite {
    type Status = CheckerSuiteStatus;

    fn plan(&self, observed: &Observed, now: Timestamp) -> Plan<CheckerSuiteStatus> {
        let mut status = self.status.clone().unwrap_or_default();
        let life = Life {
            policy: &self.spec.run_policy,
            generation: self.metadata.generation,
            observed,
            now: whole(now),
        };
        let outcome = life.over(&mut status.run).unwrap_or_else(|| {
            let mut end = life.observe(&mut status.run);
            let scored = match fold(&self.spec, &mut status, observed) {
                Ok(scored) => scored,
                Err(why) => {
                    end.get_or_insert(why);
                    false
                }
            };
            let verdict = match end {
                Some(why) => Verdict::Fail(why),
                None => decide(self, &status, observed, scored),
            };
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

/// Takes over what the children reported. Returns whether the endpoints are scored.
fn fold(
    spec: &CheckerSuiteSpec,
    status: &mut CheckerSuiteStatus,
    observed: &Observed,
) -> Result<bool, Cause> {
    if status.digest.is_none() {
        match reported(status, observed, QUALIFY)? {
            Some((report, false)) if report.checkers > 0 => {
                status.checkers = report.checkers;
                status.qualified = report.qualified;
            }
            Some((report, true)) => {
                take(status, report);
                judge(spec, report)?;
                let digest = report.digest.as_deref();
                let digest = digest.ok_or_else(|| bad(QUALIFY, "the result has no digest"))?;
                status.digest = Some(shorten(digest, DIGEST_BYTES));
            }
            _ => {}
        }
    }
    if status.digest.is_none() {
        return Ok(false);
    }
    if let Some((report, true)) = reported(status, observed, SCORE)? {
        status.endpoints = report.endpoints.iter().take(8).cloned().collect();
        for entry in &mut status.endpoints {
            entry.endpoint = shorten(&entry.endpoint, 63);
        }
        return Ok(true);
    }
    Ok(!status.endpoints.is_empty())
}

/// Returns the last report of a child, and true if it is the result.
fn reported<'a>(
    status: &CheckerSuiteStatus,
    observed: &'a Observed,
    key: &str,
) -> Result<Option<(&'a QualifyReport, bool)>, Cause> {
    observed
        .report(key, attempt(status, key), Report::qualify)
        .map_err(|error| bad(key, &error))
}

fn bad(key: &str, what: &str) -> Cause {
    Cause::new(reason::BAD_RESULT, format!("{key}: {what}"))
}

fn take(status: &mut CheckerSuiteStatus, report: &QualifyReport) {
    status.checkers = report.checkers;
    status.qualified = report.qualified;
    status.mutation_score = Some(format!(
        "{:.3}",
        (1000.0 * report.mutation_score).floor() / 1000.0
    ));
    status.nothing_passes = report.nothing_passes;
    status.flake = Some(format!("{:.1}%", 100.0 * report.flake));
    status.p95 = Some(format!("{:.1}ms", report.p95_ms));
    status.quarantined = frequent(&report.quarantined);
    status.warnings = frequent(&report.warnings);
    status.audited = frequent(&report.audited);
}

/// Returns the eight most frequent findings.
fn frequent(findings: &[Finding]) -> Vec<Finding> {
    let mut all = findings.to_vec();
    Finding::keep_frequent(&mut all, 8, 160, 80);
    all
}

/// Returns an error unless enough qualified, and the suite is the one that was asked for.
fn judge(spec: &CheckerSuiteSpec, report: &QualifyReport) -> Result<(), Cause> {
    let thresholds = &spec.qualification;
    let not = |message: String| Err(Cause::new(reason::NOT_QUALIFIED, message));
    let share = report.qualified as f64 / report.checkers.max(1) as f64;
    let most = || {
        let frequent = report.quarantined.iter().max_by_key(|entry| entry.count);
        frequent.map_or_else(String::new, |entry| {
            format!("; most often: {} ({})", entry.reason, entry.count)
        })
    };
    if report.qualified == 0 {
        return not(format!(
            "none of {} checkers qualified{}",
            report.checkers,
            most()
        ));
    }
    if share < thresholds.min_qualified {
        return not(format!(
            "{} of {} checkers qualified; at least {:.0} % must{}",
            report.qualified,
            report.checkers,
            100.0 * thresholds.min_qualified,
            most()
        ));
    }
    if report.mutation_score < thresholds.min_mutation_score {
        return not(format!(
            "mutation score {:.3} is below {}",
            report.mutation_score, thresholds.min_mutation_score
        ));
    }
    match (&spec.digest, &report.digest) {
        (Some(asked), Some(came)) if asked != came => Err(Cause::new(
            reason::DIGEST_CHANGED,
            format!("{asked} was asked for, and it came to {came}"),
        )),
        _ => Ok(()),
    }
}

fn decide(
    suite: &CheckerSuite,
    status: &CheckerSuiteStatus,
    observed: &Observed,
    scored: bool,
) -> Verdict {
    if suite.spec.run_policy.suspend {
        return Verdict::Suspend;
    }
    if let Some(digest) = &status.digest {
        if suite.spec.agents().is_empty() || scored {
            let warnings: u64 = status.warnings.iter().map(|entry| entry.count).sum();
            let warned = match warnings {
                0 => String::new(),
                1 => "; there is a warning, see status.warnings".to_owned(),
                _ => format!("; there are {warnings} warnings, see status.warnings"),
            };
            let message = format!(
                "{} of {} checkers qualified{warned}",
                status.qualified, status.checkers
            );
            return Verdict::Done(Cause::new(reason::QUALIFIED, message));
        }
        let child = make(suite, status, SCORE, score(suite, digest));
        return Verdict::Run {
            children: vec![child],
            doing: "scoring endpoints".to_owned(),
            look: None,
        };
    }
    if let Some(job) = &suite.spec.source.synthesis_job {
        match observed.synthesis.as_ref().map(|seen| seen.phase) {
            None => {
                let message = format!("there is no SynthesisJob {job}");
                return Verdict::Wait(Cause::new(reason::SYNTHESIS_JOB_NOT_FOUND, message));
            }
            Some(Phase::Failed) => {
                let message = format!("SynthesisJob {job} has failed");
                return Verdict::Fail(Cause::new(reason::SYNTHESIS_JOB_FAILED, message));
            }
            Some(Phase::Complete) => {}
            Some(_) => {
                let message = format!("SynthesisJob {job} is not complete yet");
                return Verdict::Wait(Cause::new(reason::SYNTHESIS_JOB_NOT_READY, message));
            }
        }
    }
    let child = make(suite, status, QUALIFY, qualify(suite, observed));
    Verdict::Run {
        children: vec![child],
        doing: "qualifying checkers".to_owned(),
        look: None,
    }
}

fn attempt(status: &CheckerSuiteStatus, key: &str) -> u32 {
    status.run.attempts.get(key).map_or(0, |a| a.current)
}

/// Returns the work of qualification.
fn qualify(suite: &CheckerSuite, observed: &Observed) -> Work {
    let spec = &suite.spec;
    Work::Qualify(QualifyWork {
        suite: suite.name_any(),
        source: spec.source.clone(),
        parts: observed.synthesis.as_ref().map(|seen| seen.parts.clone()),
        sandbox: spec.sandbox,
        qualification: spec.qualification,
    })
}

/// Returns the work of scoring endpoints on the qualified suite.
fn score(suite: &CheckerSuite, digest: &str) -> Work {
    Work::Score(ScoreWork {
        suite: suite.name_any(),
        digest: digest.to_owned(),
        endpoints: suite.spec.agents().to_vec(),
        evaluation: suite.spec.evaluation.clone(),
    })
}

fn make(suite: &CheckerSuite, status: &CheckerSuiteStatus, key: &str, work: Work) -> Child {
    let spec = &suite.spec;
    let owner = child::owner_of(suite);
    let attempt = attempt(status, key);
    let endpoints = match &work {
        Work::Score(score) => score.bindings().map(|one| one.endpoint.clone()).collect(),
        _ => vec![],
    };
    Child {
        name: names::child(&owner.name, key, attempt),
        key: key.to_owned(),
        attempt,
        work,
        needs: Needs {
            resources: spec.worker.resources.clone().unwrap_or_default(),
            endpoints,
            template: spec.worker.clone(),
        },
        shards: 1,
        time_left: None,
        owner,
    }
}
