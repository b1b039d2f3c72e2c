//! Tasks that are there twice, and tasks that contradict each other.

use std::collections::BTreeMap;

use agoge_dialogue::ToolCall;
use agoge_digest::canonical_numbers;
use agoge_world::Task;
use serde_json::json;

use crate::finding::{Finding, Repair, Severity};
use crate::kind::Kind;
use crate::knowledge::words;

/// Compares tasks by their requests.
pub(crate) fn check(tasks: &[&Task]) -> Vec<Finding> {
    let mut groups: BTreeMap<String, Vec<&Task>> = BTreeMap::new();
    for task in tasks {
        groups.entry(request(task)).or_default().push(task);
    }
    let mut found = Vec::new();
    for group in groups.values().filter(|group| group.len() > 1) {
        for (at, task) in group.iter().enumerate().skip(1) {
            let earlier = &group[..at];
            let own = solution(task);
            let same = earlier.iter().find(|other| solution(other) == own);
            let finding = match same {
                Some(other) => Finding::new(
                    &task.id,
                    Kind::DuplicateTask,
                    Severity::Error,
                    format!(
                        "it asks for the same as {} and has the same solution",
                        other.id
                    ),
                    Repair::DropTask,
                )
                .with_others(vec![other.id.clone()]),
                None => {
                    let other = earlier[0];
                    let evidence = format!(
                        "it asks for the same as {}, whose solution is another one: {} there, {} here",
                        other.id,
                        solution(other),
                        own
                    );
                    let kind = Kind::ContradictoryTask;
                    let finding = Finding::new(
                        &task.id,
                        kind,
                        Severity::Error,
                        evidence,
                        Repair::Quarantine,
                    );
                    finding.with_others(earlier.iter().map(|one| one.id.clone()).collect())
                }
            };
            found.push(finding);
        }
    }
    found
}

/// The request of a task and all that it begins with: tasks in which it is equal must have one solution.
fn request(task: &Task) -> String {
    let user = &task.user;
    let complete = !user.facts.is_empty() && user.facts.iter().all(|fact| !fact.value.is_empty());
    let asked = match complete && !task.intent.is_empty() {
        true => {
            let facts: BTreeMap<&str, &str> = user.facts().collect();
            json!([task.template, task.intent, facts])
        }
        false => {
            let said = [&user.instruction, &user.opening].map(|text| words(text).join(" "));
            let facts: Vec<(&str, &str)> = user.facts().collect();
            json!([said, facts])
        }
    };
    canonical_numbers(&json!([asked, task.records, task.start, task.history]))
}

/// A call in words that are the same for equal calls.
pub(crate) fn written(call: &ToolCall) -> String {
    format!("{}{}", call.name, canonical_numbers(&json!(call.arguments)))
}

/// The solution of a task, in words.
fn solution(task: &Task) -> String {
    let calls: Vec<String> = task.gold.iter().map(written).collect();
    let mut outputs = task.outputs.clone();
    outputs.sort();
    let asserts: Vec<String> = task
        .asserts
        .iter()
        .map(|one| canonical_numbers(&json!(one)))
        .collect();
    let refusal = if task.refusal { " refusal" } else { "" };
    let asserts = match asserts.is_empty() {
        true => String::new(),
        false => format!(" asserts {}", asserts.join(", ")),
    };
    format!("[{}] says {outputs:?}{asserts}{refusal}", calls.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, said: &str, call: &str) -> Task {
        let mut task = Task {
            id: id.into(),
            gold: vec![ToolCall::new(call, serde_json::Map::new())],
            ..Task::default()
        };
        task.user.instruction = said.into();
        task
    }

    #[test]
    fn the_same_request_is_a_duplicate_or_a_contradiction_by_its_solution() {
        let all = [
            task("a", "Hold my parcel, please.", "hold"),
            task("b", "hold my parcel please", "hold"),
            task("c", "Hold my parcel please!", "cancel"),
            task("d", "Cancel my parcel.", "cancel"),
        ];
        let found = check(&all.iter().collect::<Vec<_>>());
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.task.as_str(), one.kind, one.others.clone()))
            .collect();
        assert_eq!(
            told,
            [
                ("b", Kind::DuplicateTask, vec!["a".to_owned()]),
                (
                    "c",
                    Kind::ContradictoryTask,
                    vec!["a".to_owned(), "b".into()]
                ),
            ]
        );
    }
}
