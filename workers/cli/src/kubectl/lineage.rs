//! The lineage of plan pairs as a table: what each generation changed, what came of it, and what it cost. Pure.

use agoge_crds::SynthesisJobStatus;
use agoge_crds::lineage::{Generation, Outcome};

use crate::table;

/// The table; nothing where there is no lineage.
#[must_use]
pub fn table(status: &SynthesisJobStatus) -> Option<String> {
    if status.lineage.is_empty() {
        return None;
    }
    let head = [
        "GEN",
        "PLAN",
        "PARENT",
        "OUTCOME",
        "VALID/TRIED",
        "YIELD (INTERVAL)",
        "FAULT t/a/u/i",
        "TOKENS",
        "COST",
        "CHANGE",
    ]
    .map(str::to_owned)
    .to_vec();
    let rows = status
        .lineage
        .iter()
        .map(|generation| row(generation, status));
    let mut text = table::columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    text.push_str("yield: valid and novel instances a thousand tokens; fault: of task, agent, user, infrastructure\n");
    Some(text)
}

fn row(generation: &Generation, status: &SynthesisJobStatus) -> Vec<String> {
    let (interval, fault) = (&generation.yield_, &generation.attribution);
    let at_work = status.plan.as_ref() == Some(&generation.digest);
    vec![
        generation.generation.to_string(),
        format!(
            "{}{}",
            short(&generation.digest),
            if at_work { "*" } else { "" }
        ),
        generation
            .parent
            .as_deref()
            .map_or_else(|| "-".to_owned(), short),
        outcome(generation.outcome).to_owned(),
        format!("{}/{}", generation.valid, generation.attempted),
        format!(
            "{:.2} ({:.2}-{:.2})",
            interval.value, interval.low, interval.high
        ),
        format!(
            "{}/{}/{}/{}",
            fault.task, fault.trajectory, fault.user, fault.infra
        ),
        generation.tokens.to_string(),
        format!("{:.2}", generation.cost),
        generation.change.clone(),
    ]
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pilot => "pilot",
        Outcome::Promoted => "promoted",
        Outcome::RolledBack => "rolled back",
        Outcome::Undecided => "undecided",
        Outcome::Awaiting => "awaits you",
    }
}

/// The first digits of a digest.
#[must_use]
pub fn short(digest: &str) -> String {
    digest
        .trim_start_matches("sha256:")
        .chars()
        .take(10)
        .collect()
}
