//! The end of a GRPORun whose stages are done: what its policy learned, and if nothing, the cause.

use agoge_crds::conditions::reason;
use agoge_crds::{GRPORunSpec, GRPORunStatus};

use crate::life::{Cause, Verdict};

/// Rows of the table that are policies of the run.
const TRAINED: [&str; 4] = ["sft", "sftContinued", "grpo", "grpoUnfiltered"];
/// Held-out tasks from which on a run has failed if none of them was passed; fewer prove too little.
const ENOUGH: u64 = 16;
/// Share of rollouts from which on a limit is worth a word.
const MANY: f64 = 0.5;

/// Ends a run. It has failed where none of enough held-out tasks was passed and the reward was still 0 at the end.
pub(crate) fn end(spec: &GRPORunSpec, status: &GRPORunStatus) -> Verdict {
    let cut = figure(&status.truncated).filter(|share| *share >= MANY);
    let Some((tasks, rows)) = nothing_passed(status) else {
        let pass = status.pass1.as_deref().map(|p| format!("pass^1 {p}"));
        let words: Vec<String> = pass
            .into_iter()
            .chain(cut.map(|share| limits(spec, share)))
            .collect();
        return Verdict::Done(Cause::new(reason::STAGES_COMPLETE, words.join("; ")));
    };
    let reward = figure(&status.reward);
    let last = reward.map_or_else(String::new, |reward| {
        format!(", and the last step's mean reward was {reward:.3}")
    });
    let (word, fix) = match cut {
        Some(share) => (reason::TRAJECTORIES_CUT, limits(spec, share)),
        None => (reason::NOTHING_LEARNED, teach(spec)),
    };
    let message = format!("none of {tasks} held-out tasks was passed ({rows}){last}; {fix}");
    let cause = Cause::new(word, message);
    match tasks >= ENOUGH && reward == Some(0.0) {
        true => Verdict::Fail(cause),
        false => Verdict::Done(cause),
    }
}

/// Returns the number of held-out tasks and the rows of the run's policies, if none of them passed any.
fn nothing_passed(status: &GRPORunStatus) -> Option<(u64, String)> {
    let rows: Vec<(&str, f64, u64)> = TRAINED
        .iter()
        .filter_map(|name| {
            let arm = status.arms.get(*name)?;
            Some((*name, *arm.pass.first()?, arm.tasks))
        })
        .collect();
    let tasks = rows.iter().map(|(_, _, tasks)| *tasks).max()?;
    let all_zero = rows.iter().all(|(_, pass, _)| *pass == 0.0);
    let shown: Vec<String> = rows
        .iter()
        .map(|(name, pass, _)| format!("{name} {pass:.3}"))
        .collect();
    (all_zero && tasks > 0).then(|| (tasks, shown.join(", ")))
}

fn figure(column: &Option<String>) -> Option<f64> {
    column.as_deref()?.parse().ok()
}

fn limits(spec: &GRPORunSpec, share: f64) -> String {
    let grpo = &spec.stages.grpo;
    format!(
        "{:.0} % of the last step's rollouts met a limit: raise maxTrajectoryTokens ({}), maxTurns ({}) or maxTokensPerTurn ({}) under stages.grpo",
        100.0 * share,
        grpo.max_trajectory_tokens,
        grpo.max_turns,
        grpo.max_tokens_per_turn
    )
}

fn teach(spec: &GRPORunSpec) -> String {
    let policy = match spec.policy.fresh {
        Some(_) => "a larger policy.fresh",
        None => "another policy.path",
    };
    format!(
        "train on more demonstrations (a larger target of the SynthesisJob, or more stages.agentSFT.maxEpochs), or take {policy}"
    )
}
