//! How many attempts came through which gate, and why the others did not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::instance::{Attempt, Gate};

/// The attempts that ended at one gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// The gate.
    pub gate: Gate,
    /// How many ended there.
    pub count: usize,
    /// By reason, the most frequent first.
    pub reasons: Vec<Reason>,
}

/// One reason with its count and an attempt that shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The reason, without the parts that differ from attempt to attempt.
    pub reason: String,
    /// How many.
    pub count: usize,
    /// The whole reason of the first such attempt, with its id.
    pub example: String,
}

/// Counts attempts by the gate they ended at. Every gate is listed, also those at which nothing ended.
#[must_use]
pub fn funnel<'a>(attempts: impl IntoIterator<Item = &'a Attempt>) -> Vec<Stop> {
    /// A reason's count and its first example.
    type Reasons = BTreeMap<String, (usize, String)>;
    let mut gates: BTreeMap<Gate, (usize, Reasons)> = Gate::ALL
        .into_iter()
        .map(|gate| (gate, Default::default()))
        .collect();
    for attempt in attempts {
        let (count, reasons) = gates.entry(attempt.gate).or_default();
        *count += 1;
        if let Some(reason) = &attempt.reason {
            let entry = reasons
                .entry(general(reason))
                .or_insert_with(|| (0, format!("{}: {reason}", attempt.id)));
            entry.0 += 1;
        }
    }
    gates
        .into_iter()
        .map(|(gate, (count, reasons))| {
            let mut reasons: Vec<Reason> = reasons
                .into_iter()
                .map(|(reason, (count, example))| Reason {
                    reason,
                    count,
                    example,
                })
                .collect();
            reasons.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
            Stop {
                gate,
                count,
                reasons,
            }
        })
        .collect()
}

/// The reason without numbers and quoted parts, so that like reasons fall together.
fn general(reason: &str) -> String {
    let head = reason.split(" - ").next().unwrap_or(reason);
    let mut out = String::with_capacity(head.len());
    let mut in_number = false;
    for c in head.chars() {
        let digit = c.is_ascii_digit();
        if !digit {
            out.push(c);
        } else if !in_number {
            out.push('#');
        }
        in_number = digit;
    }
    out.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_only_in_numbers_fall_together() {
        assert_eq!(
            general("parcel 48213 does not exist"),
            general("parcel 1 does not exist")
        );
        assert_ne!(general("no call"), general("no checker"));
    }
}
