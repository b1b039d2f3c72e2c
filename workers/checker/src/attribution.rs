//! Whose fault a failure is: the task's, the trajectory's, the user's, or the infrastructure's.
use crate::qualification::Qualification;
use crate::verdict::{GOLD, Verdict};
use agoge_world::{Episode, Task, UserFault};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a failure belongs, and so what is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// The task or its checker is wrong: repair or quarantine.
    Task,
    /// The agent did wrong: a hard negative.
    Trajectory,
    /// The simulated user did wrong: data for the user model.
    User,
    /// A limit, a crash or an endpoint: retried, never a reward.
    Infra,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Task => "TASK",
            Cause::Trajectory => "TRAJECTORY",
            Cause::User => "USER",
            Cause::Infra => "INFRA",
        })
    }
}

/// The facts about a rollout that may have failed.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    pub task: &'a Task,
    pub verdict: &'a Verdict,
    pub episode: &'a Episode,
    /// The user's breaches of its instruction.
    pub user_faults: &'a [UserFault],
    /// An endpoint or process that failed.
    pub infra: Option<&'a str>,
    /// The task's qualification, where it is known.
    pub qualification: Option<&'a Qualification>,
}

/// The cause of a failure with its reason; `None` when the rollout passed.
///
/// The first that applies, in this order: INFRA (what did not run proves nothing), TASK (what is wrong cannot be solved), USER (an
/// agent cannot make good what it was told wrongly), TRAJECTORY.
pub fn attribute(evidence: &Evidence<'_>) -> Option<(Cause, String)> {
    let Evidence {
        task,
        verdict,
        episode,
        user_faults,
        infra,
        qualification,
    } = *evidence;
    if let Some(reason) = infra {
        return Some((Cause::Infra, reason.to_owned()));
    }
    let stopped = verdict.lost.as_ref().or(verdict.killed.as_ref());
    if let Some(reason) = stopped.or(verdict.unjudged.as_ref()) {
        return Some((Cause::Infra, reason.clone()));
    }
    if verdict.pass {
        return None;
    }
    if let Some(gold) = verdict.parts.iter().find(|p| p.name == GOLD) {
        return Some((
            Cause::Task,
            format!("gold does not execute: {}", gold.evidence),
        ));
    }
    if let Some(reason) = qualification
        .filter(|q| !q.qualified)
        .map(Qualification::why)
    {
        return Some((
            Cause::Task,
            format!("the checker is not qualified: {reason}"),
        ));
    }
    if let Some(fault) = user_faults.first() {
        return Some((
            Cause::User,
            format!("{}: {}", fault.kind_name(), fault.detail),
        ));
    }
    let only = |name: &str| {
        let of = |part: &str| part == name || part.starts_with(&format!("{name}."));
        verdict.parts.iter().all(|p| p.pass || of(&p.name))
    };
    let why = verdict.why();
    let what = if episode.calls.is_empty() && !task.gold.is_empty() {
        "made no call"
    } else if task.refusal
        && verdict
            .parts
            .iter()
            .any(|p| !p.pass && p.name == crate::final_state::NAME)
    {
        "acted where the policy refuses"
    } else if episode
        .calls
        .last()
        .is_some_and(|(_, result)| !result.worked())
    {
        "gave up after a tool's error"
    } else if only(crate::outputs::NAME) {
        "did not say what was asked"
    } else if only(crate::calls::NAME) {
        "did not make a call that was asked"
    } else if only(crate::statements::NAME) {
        "did not do what a model was asked to judge"
    } else {
        "did not reach the wanted state"
    };
    Some((Cause::Trajectory, format!("{what}: {why}")))
}
