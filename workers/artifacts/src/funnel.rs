//! The funnel of synthesis: the attempts that ended at each gate, and their reasons.

use std::collections::BTreeMap;

use agoge_checker::Cause;
use serde::Serialize;

use crate::attempt::{Attempt, Gate};
use crate::reason::{Alike, by_reason};

/// The attempts that ended at one gate.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// The gate.
    pub gate: Gate,
    /// The number of attempts.
    pub count: usize,
    /// Their reasons, the most frequent first.
    pub reasons: Vec<Reason>,
}

/// Like reasons of several attempts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// The reason, without the details that differ.
    pub reason: String,
    /// The number of attempts.
    pub count: usize,
    /// The attempts by the party at fault.
    pub causes: BTreeMap<Cause, usize>,
    /// The first attempt's id and its own reason.
    pub example: String,
}

/// Counts attempts by the gate where they ended. Every gate is listed, also those where none ended.
#[must_use]
pub fn funnel<'a>(attempts: impl IntoIterator<Item = &'a Attempt>) -> Vec<Stop> {
    let mut gates: BTreeMap<Gate, Vec<&Attempt>> =
        Gate::ALL.into_iter().map(|gate| (gate, vec![])).collect();
    for attempt in attempts {
        gates.entry(attempt.gate).or_default().push(attempt);
    }
    gates
        .into_iter()
        .map(|(gate, ended)| {
            let given = ended
                .iter()
                .filter_map(|attempt| Some((attempt.reason.as_deref()?, *attempt)));
            Stop {
                gate,
                count: ended.len(),
                reasons: by_reason(given).into_iter().map(reason).collect(),
            }
        })
        .collect()
}

fn reason(alike: Alike<'_, &Attempt>) -> Reason {
    let mut causes = BTreeMap::new();
    for cause in alike.cases.iter().filter_map(|(_, attempt)| attempt.cause) {
        *causes.entry(cause).or_default() += 1;
    }
    let (said, attempt) = alike.cases[0];
    Reason {
        count: alike.cases.len(),
        causes,
        example: format!("{}: {said}", attempt.id),
        reason: alike.title,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attempt_is_counted_at_one_gate_with_its_reason() {
        let attempt = |id: &str, gate: Gate, reason: Option<&str>| Attempt {
            id: id.to_owned(),
            strategy: "sea".to_owned(),
            generation: 0,
            plan: None,
            gate,
            reason: reason.map(str::to_owned),
            cause: reason.map(|_| Cause::Task),
            split: agoge_world::Split::TrainRl,
            task: None,
            messages: vec![],
            verdict: None,
            tokens: 0,
            drafts: vec![],
        };
        let attempts = [
            attempt("a", Gate::Gold, Some("parcel 12 is unknown")),
            attempt("b", Gate::Gold, Some("parcel 7 is unknown")),
            attempt("c", Gate::Accepted, None),
        ];
        let funnel = funnel(&attempts);
        let counts: Vec<usize> = funnel.iter().map(|stop| stop.count).collect();
        assert_eq!(counts, [0, 2, 0, 0, 0, 1]);
        let reason = &funnel[1].reasons[0];
        assert_eq!(
            (reason.reason.as_str(), reason.example.as_str()),
            ("parcel # is unknown", "a: parcel 12 is unknown")
        );
        assert_eq!(reason.causes, BTreeMap::from([(Cause::Task, 2)]));
    }
}
