//! Gold held against the policy, where the policy can be executed: by the branches of the task's template.

use agoge_dialogue::ToolCall;
use agoge_world::{Expected, Solutions, Task};

use crate::alike::written;
use crate::finding::{Finding, Repair, Severity};
use crate::kind::Kind;
use crate::play::Played;

/// Finds what differs from the solution of the policy's case. A task without a template, or whose user lacks a fact, is not
/// judged.
pub(crate) fn check(solutions: &Solutions<'_>, task: &Task, played: &Played) -> Vec<Finding> {
    let solutions = solutions.of(task);
    let Some(first) = solutions.first() else {
        return Vec::new();
    };
    if solutions.iter().any(|one| unlike(task, one).is_empty()) {
        return Vec::new();
    }
    let own = solutions.iter().find(|one| one.branch == task.condition);
    let right = own.unwrap_or(first);
    let repair = Repair::FromPolicy {
        branch: right.branch.clone(),
        gold: right.gold.clone(),
        outputs: right.outputs.clone(),
        refusal: right.refusal,
    };
    let finding = |kind, place: &str, evidence: String| {
        let finding = Finding::new(&task.id, kind, Severity::Error, evidence, repair.clone());
        finding.at(place).shown(played.calls(), &played.changes)
    };
    if own.is_none() && !task.condition.is_empty() {
        let evidence = format!(
            "the task is of case `{}` of {}, and the records and the user's facts are of case `{}`",
            task.condition, task.template, right.branch
        );
        return vec![finding(Kind::PolicyViolation, "condition", evidence)];
    }
    let all = unlike(task, right).into_iter();
    all.map(|(kind, place, evidence)| {
        finding(
            kind,
            place,
            format!(
                "in case `{}` of {}: {evidence}",
                right.branch, task.template
            ),
        )
    })
    .collect()
}

/// Returns the differences between a task and a solution, each with its kind and place.
fn unlike(task: &Task, right: &Expected) -> Vec<(Kind, &'static str, String)> {
    let mut found = Vec::new();
    let has: Vec<String> = task.gold.iter().map(written).collect();
    let needs: Vec<String> = right.gold.iter().map(written).collect();
    if has != needs {
        let count =
            |name: &str, calls: &[ToolCall]| calls.iter().filter(|call| call.name == name).count();
        let lacking = |call: &&ToolCall| {
            count(&call.name, &task.gold) < count(&call.name, &right.gold)
                && !has.contains(&written(call))
        };
        let missing = right.gold.iter().find(lacking);
        found.push(match missing {
            Some(call) if task.gold.len() < right.gold.len() => (
                Kind::MissingCall,
                "gold",
                format!("gold lacks {}", written(call)),
            ),
            _ => {
                let others = has.iter().filter(|one| !needs.contains(one)).cloned();
                let others: Vec<String> = others.collect();
                let wanted = needs.join(", ");
                let evidence = match others.is_empty() {
                    true => format!("gold is not {wanted}, in this order"),
                    false => format!(
                        "gold has {} where the policy asks for {wanted}",
                        others.join(", ")
                    ),
                };
                (Kind::WrongGold, "gold", evidence)
            }
        });
    }
    if task.refusal != right.refusal {
        let evidence = match right.refusal {
            true => "the policy refuses, and the task is not marked as a refusal",
            false => "the policy does not refuse, and the task is marked as a refusal",
        };
        found.push((Kind::WrongRefusal, "refusal", evidence.to_owned()));
    }
    let (mut has, mut needs) = (task.outputs.clone(), right.outputs.clone());
    has.sort();
    needs.sort();
    if has != needs {
        let evidence = format!(
            "the agent must say {:?}, and the task asks for {:?}",
            right.outputs, task.outputs
        );
        found.push((Kind::WrongOutput, "outputs", evidence));
    }
    found
}
