//! Synthesis: each strategy's funnel with the reasons of rejection, and the generations of plans with their prompts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::run::{Attempts, Kind, Run};
use super::text::{by_reason, clip, clip_value, list, text};

/// The gates in their order; the last is none: what came to it is accepted.
const GATES: [&str; 6] = [
    "scenario", "gold", "checker", "novelty", "rollout", "accepted",
];
/// Reasons shown of one gate at most.
const MAX_REASONS: usize = 12;
/// Pairs of plans shown at most.
const MAX_PLANS: usize = 16;

/// The strategies and the generations.
pub(super) fn part(run: &Run) -> Value {
    let strategies: Vec<Value> = run.attempts.iter().map(strategy).collect();
    let generations: Vec<Value> = run
        .of(Kind::SynthesisJob)
        .flat_map(|job| list(&job.status["lineage"]).to_vec())
        .map(|g| clip_value(&g))
        .collect();
    let plans: Vec<Value> = run.plans().iter().take(MAX_PLANS).map(plan).collect();
    json!({ "strategies": strategies, "generations": generations, "plans": plans })
}

fn strategy(of: &Attempts) -> Value {
    let status = &of.status;
    json!({
        "name": of.strategy,
        "job": of.job,
        "ended": status["ended"],
        "target": status["target"],
        "attempted": status["attempted"],
        "valid": status["valid"],
        "accepted": status["accepted"],
        "tokens": status["tokens"],
        "cost": status["cost"],
        "attribution": status["attribution"],
        "funnel": if of.attempts.is_empty() { from_counts(status) } else { funnel(&of.attempts) },
    })
}

/// How many attempts ended at each gate, and why.
fn funnel(attempts: &[Value]) -> Value {
    let gate = |gate: &&str| {
        let ended: Vec<&Value> = attempts.iter().filter(|a| gate_of(a) == *gate).collect();
        let given = ended
            .iter()
            .filter_map(|a| Some((a["reason"].as_str()?, *a)));
        let reasons = by_reason(given);
        let kinds = reasons.len();
        let reasons: Vec<Value> = reasons.into_iter().take(MAX_REASONS).map(reason).collect();
        json!({ "gate": gate, "count": ended.len(), "reasons": reasons, "kinds": kinds })
    };
    GATES.iter().map(gate).collect()
}

/// The gate where an attempt ended; one that this version does not know counts as the first.
fn gate_of(attempt: &Value) -> &'static str {
    let gate = text(attempt, "gate");
    GATES.into_iter().find(|g| *g == gate).unwrap_or(GATES[0])
}

/// One reason: how often, whose fault it was, and the first attempt as an example where it says more.
fn reason((title, of): (String, Vec<(&str, &Value)>)) -> Value {
    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, attempt) in &of {
        *causes.entry(text(attempt, "cause")).or_default() += 1;
    }
    let (said, attempt) = of[0];
    let example = if title == said {
        text(attempt, "id").to_owned()
    } else {
        format!("{}: {}", text(attempt, "id"), clip(said))
    };
    json!({ "reason": title, "count": of.len(), "causes": causes, "example": example })
}

/// The funnel of a status, while there are no attempts to read: counts without reasons.
fn from_counts(status: &Value) -> Value {
    let count = |gate: &str| match gate {
        "accepted" => status["accepted"].as_u64().unwrap_or(0),
        _ => status["rejected"][gate].as_u64().unwrap_or(0),
    };
    let known = GATES
        .iter()
        .map(|gate| json!({ "gate": gate, "count": count(gate), "reasons": [] }));
    known.collect()
}

fn plan(plan: &Value) -> Value {
    json!({
        "digest": plan["digest"],
        "parent": plan["parent"],
        "generation": plan["generation"],
        "change": clip_value(&plan["change"]),
        "outcome": plan["outcome"],
        "better": plan["better"],
        "pilot": clip_value(&plan["pilot"]),
        "synthesis": prompts(&plan["synthesis"]),
        "evaluation": prompts(&plan["evaluation"]),
    })
}

/// Prompt texts by name, however deep they lie; other values as they print.
fn prompts(value: &Value) -> BTreeMap<String, String> {
    fn walk(at: &str, value: &Value, found: &mut BTreeMap<String, String>) {
        let under = |key: &str| {
            if at.is_empty() {
                key.to_owned()
            } else {
                format!("{at}.{key}")
            }
        };
        match value {
            Value::Null => {}
            Value::Object(map) => map.iter().for_each(|(k, v)| walk(&under(k), v, found)),
            Value::Array(items) => {
                (1..)
                    .zip(items)
                    .for_each(|(n, v)| walk(&under(&format!("{n}")), v, found));
            }
            Value::String(text) => drop(found.insert(at.to_owned(), clip(text))),
            other => drop(found.insert(at.to_owned(), other.to_string())),
        }
    }
    let mut found = BTreeMap::new();
    walk("", value, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attempt_is_counted_at_one_gate_with_its_reason() {
        let attempts = [
            json!({"id": "a", "gate": "gold", "reason": "parcel 12 is unknown", "cause": "task"}),
            json!({"id": "b", "gate": "gold", "reason": "parcel 7 is unknown", "cause": "task"}),
            json!({"id": "c", "gate": "accepted"}),
        ];
        let funnel = funnel(&attempts);
        let counts: Vec<u64> = list(&funnel)
            .iter()
            .filter_map(|g| g["count"].as_u64())
            .collect();
        assert_eq!(counts, [0, 2, 0, 0, 0, 1]);
        assert_eq!(funnel[1]["reasons"][0]["reason"], "parcel … is unknown");
        assert_eq!(
            funnel[1]["reasons"][0]["example"],
            "a: parcel 12 is unknown"
        );
    }
}
