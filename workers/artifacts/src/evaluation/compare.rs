//! The comparison of two evaluations: a paired difference on the same tasks, or the field in which they are unlike.

use std::collections::BTreeMap;

use agoge_checker::passk::{Estimate, paired_difference, pass_hat};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Evaluation, TaskResult};

/// Two evaluations that must not be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the evaluations differ in {field}: {a} and {b}")]
pub struct Unlike {
    /// The field.
    pub field: String,
    /// Its value in the first.
    pub a: String,
    /// Its value in the second.
    pub b: String,
}

/// The difference between two evaluations of the same tasks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The first agent's model.
    pub a: String,
    /// The second agent's model.
    pub b: String,
    /// `b - a` of pass^1, pass^2 and so on, paired by task, with 95 % intervals clustered by family.
    pub difference: Vec<Estimate>,
    /// Fields that differ and were allowed to.
    pub allowed: Vec<String>,
}

/// Compares two evaluations. They must have the same tasks, users, rules and prompts, except for the fields in `allow`. The
/// agents may differ in model, endpoint, temperature and added fields: they are what is compared.
///
/// # Errors
/// [`Unlike`] names the first field that differs, with both values.
pub fn compare(a: &Evaluation, b: &Evaluation, allow: &[String]) -> Result<Comparison, Unlike> {
    let mut allowed = Vec::new();
    for ((field, of_a), (_, of_b)) in fixed(a).into_iter().zip(fixed(b)) {
        if of_a == of_b {
            continue;
        }
        if !allow.iter().any(|one| one == field) {
            return Err(Unlike {
                field: field.to_owned(),
                a: shown(&of_a),
                b: shown(&of_b),
            });
        }
        allowed.push(field.to_owned());
    }
    let of_b: BTreeMap<&str, &TaskResult> = b
        .tasks
        .iter()
        .map(|task| (task.id.as_str(), task))
        .collect();
    let pairs: Vec<(&TaskResult, &TaskResult)> = a
        .tasks
        .iter()
        .filter_map(|task| Some((task, *of_b.get(task.id.as_str())?)))
        .collect();
    let difference = (1..=a.trials.min(b.trials)).map(|k| {
        let each = pairs.iter().filter_map(|(a, b)| {
            let of_a = pass_hat(a.passed, a.trials, k)?;
            let of_b = pass_hat(b.passed, b.trials, k)?;
            Some((a.family.as_str(), of_b - of_a))
        });
        paired_difference(&each.collect::<Vec<_>>())
    });
    Ok(Comparison {
        a: name(a),
        b: name(b),
        difference: difference.collect(),
        allowed,
    })
}

/// Returns the fields in which comparable evaluations are equal, the most telling first.
fn fixed(one: &Evaluation) -> Vec<(&'static str, Value)> {
    let benchmark = &one.benchmark;
    let user = &one.user;
    let ids: Vec<&str> = one.tasks.iter().map(|task| task.id.as_str()).collect();
    // Where no reward rests on a statement, its judge decides nothing.
    let judge = benchmark.basis.contains_key("judge").then_some(&one.judge);
    vec![
        ("benchmark.name", json!(benchmark.name)),
        ("benchmark.version", json!(benchmark.version)),
        ("benchmark.split", json!(benchmark.split)),
        ("benchmark.basis", json!(benchmark.basis)),
        ("benchmark.domainDigest", json!(benchmark.domain_digest)),
        ("benchmark.suiteDigest", json!(benchmark.suite_digest)),
        ("tasks", json!(ids)),
        ("benchmark.tasksDigest", json!(benchmark.tasks_digest)),
        ("user.kind", json!(user.kind)),
        ("user.model", json!(user.model)),
        ("user.promptDigest", json!(user.prompt_digest)),
        ("user.temperature", json!(user.temperature)),
        ("user.greeting", json!(user.greeting)),
        ("user.extraBody", json!(user.extra_body)),
        ("judge", json!(judge)),
        ("rules", json!(one.rules)),
        ("agent.promptDigest", json!(one.agent.prompt_digest)),
    ]
}

/// Writes a value for a message; a long list as its length.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(all) if all.len() > 8 => format!("{} of them", all.len()),
        other => other.to_string(),
    }
}

fn name(one: &Evaluation) -> String {
    one.agent
        .model
        .clone()
        .unwrap_or_else(|| one.agent.kind.clone())
}

#[cfg(test)]
mod tests {
    use super::super::Player;
    use super::*;

    fn evaluation(passed: [u32; 4]) -> Evaluation {
        let tasks = passed.iter().enumerate().map(|(n, passed)| TaskResult {
            id: format!("t{n}"),
            family: format!("f{}", n % 2),
            passed: *passed,
            trials: 2,
            ..TaskResult::default()
        });
        Evaluation {
            agent: Player::model("m", "http://localhost"),
            user: Player::script(),
            trials: 2,
            tasks: tasks.collect(),
            ..Evaluation::default()
        }
    }

    #[test]
    fn like_evaluations_give_a_paired_difference_for_each_k() {
        let (a, b) = (evaluation([0, 1, 2, 2]), evaluation([1, 1, 2, 2]));
        let compared = compare(&a, &b, &[]).unwrap();
        assert_eq!(compared.difference.len(), 2);
        let first = compared.difference[0];
        assert_eq!((first.value, first.n), (0.125, 4));
        assert!(first.low < 0.0 && first.high > 0.125, "{first:?}");
    }

    #[test]
    fn unlike_evaluations_are_refused_by_the_field_unless_it_is_allowed() {
        let (a, mut b) = (evaluation([0, 1, 2, 2]), evaluation([1, 1, 2, 2]));
        b.agent.temperature = Some(0.7);
        b.agent.host = Some("elsewhere".into());
        assert!(compare(&a, &b, &[]).is_ok(), "agents may differ");
        b.user = Player::model("simulator", "http://localhost");
        let refused = compare(&a, &b, &[]).unwrap_err();
        let values = (
            refused.field.as_str(),
            refused.a.as_str(),
            refused.b.as_str(),
        );
        assert_eq!(values, ("user.kind", "script", "model"));
        let allow = ["user.kind".to_owned(), "user.model".to_owned()];
        let compared = compare(&a, &b, &allow).unwrap();
        assert_eq!(compared.allowed, allow);
        let mut fewer = evaluation([0, 1, 2, 2]);
        fewer.tasks.pop();
        assert_eq!(compare(&a, &fewer, &[]).unwrap_err().field, "tasks");
        let mut reasons = evaluation([0, 1, 2, 2]);
        reasons.benchmark.basis.insert("judge".into(), 1);
        assert_eq!(
            compare(&a, &reasons, &[]).unwrap_err().field,
            "benchmark.basis"
        );
    }
}
