//! Values that an agent needs and cannot learn: arguments of gold, and required texts.

use agoge_world::{Domain, Task, World};
use serde_json::Value;

use crate::finding::{Finding, Repair, Severity};
use crate::kind::Kind;
use crate::knowledge::{Index, Known, leaves, words};
use crate::play::Played;

/// Whole numbers from here on may be ids.
const ID: f64 = 10_000.0;

/// Returns what is known in every task of a domain: its policy, its tools, its clock.
pub(crate) fn common<'a>(domain: &Domain, index: &'a Index<'a>) -> Known<'a> {
    let mut known = Known::new(index);
    known.learn(&domain.policy);
    known.learn(&domain.now);
    for tool in domain.tools.iter().chain(&domain.user_tools) {
        known.learn(&tool.name);
        known.learn(&tool.description);
        known.learn(&tool.parameters.to_string());
    }
    known
}

/// Finds the arguments that nobody could give, and the outputs that nobody could say.
pub(crate) fn check(
    world: &mut World,
    task: &Task,
    played: &Played,
    common: &Known<'_>,
) -> Vec<Finding> {
    let mut known = common.clone();
    hear(&mut known, task);
    looked_up(world, played, &mut known);
    let mut found = Vec::new();
    for (number, (call, result)) in (1..).zip(played.calls()) {
        for (name, value) in &call.arguments {
            let missing = unknown(&known, value);
            if missing.is_empty() {
                continue;
            }
            let evidence = format!(
                "{} needs {name} = {}, and {} stands neither in what the user says, nor in the policy, nor in a result or \
                 record that the agent can reach",
                call.name,
                crate::finding::short(&value.to_string(), 120),
                missing.join(", ")
            );
            let finding = Finding::new(
                &task.id,
                Kind::UserImpossible,
                Severity::Warning,
                evidence,
                Repair::Quarantine,
            );
            found.push(
                finding
                    .at(format!("gold[{number}].{name}"))
                    .shown(played.calls(), &[]),
            );
        }
        // The rest is judged as if the value had been known, so that each gap is reported once.
        known.result(&Value::Object(call.arguments.clone()).to_string());
        known.result(&result.content);
    }
    for (number, output) in (1..).zip(&task.outputs) {
        if known.has_all(output) {
            continue;
        }
        let evidence = format!(
            "the agent must say {output:?}, which stands neither in a result of gold, nor in the user's words, the policy or a \
             record that the agent can reach, and is no sum or difference of amounts there"
        );
        let repair = Repair::RemoveOutput {
            output: output.clone(),
        };
        let finding = Finding::new(
            &task.id,
            Kind::OutputsNotReachable,
            Severity::Error,
            evidence,
            repair,
        );
        found.push(
            finding
                .at(format!("outputs[{number}]"))
                .shown(played.calls(), &[]),
        );
    }
    found
}

/// Adds all that the user says and knows.
fn hear(known: &mut Known<'_>, task: &Task) {
    let user = &task.user;
    for text in [&user.instruction, &user.opening, &user.persona] {
        known.hear(text);
    }
    for fact in &user.facts {
        known.hear(&fact.value);
        known.hear(&fact.answer);
    }
    for message in &task.history {
        known.result(&message.content);
    }
    let given = serde_json::to_string(&(&task.records, &task.start)).unwrap_or_default();
    known.result(&given);
}

/// Adds the results of the tools that take no arguments: anybody may call them.
fn looked_up(world: &mut World, played: &Played, known: &mut Known<'_>) {
    let domain = world.domain().clone();
    for tool in domain.tools.iter().chain(&domain.user_tools) {
        let needs = tool.parameters["required"].as_array().map_or(0, Vec::len);
        if needs > 0 {
            continue;
        }
        let mut episode = played.begun.clone();
        let call = agoge_dialogue::ToolCall::new(&tool.name, serde_json::Map::new());
        let result = world.call(&mut episode, &call);
        if result.worked() {
            known.result(&result.content);
        }
    }
}

/// Returns the words of a value that name something and are not known: those with digits in them. Dates, times and
/// amounts are left out: people say them in many ways, or compute them.
pub(crate) fn unknown(known: &Known<'_>, value: &Value) -> Vec<String> {
    let mut missing = Vec::new();
    leaves(value, &mut |leaf| match leaf {
        Value::String(text) => {
            let naming = words(text).into_iter().filter(|word| names(word));
            missing.extend(naming.filter(|word| !known.holds(word)));
        }
        Value::Number(number) => {
            let id = number
                .as_f64()
                .is_some_and(|n| n.abs() >= ID && n.fract() == 0.0);
            let word = number.to_string();
            if id && !known.holds(&word) {
                missing.push(word);
            }
        }
        _ => {}
    });
    missing
}

fn names(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let dated = word.split(['-', '/', ':', 't']).count() > 1
        && word
            .chars()
            .all(|c| c.is_ascii_digit() || "-/:.tz+".contains(c));
    let amount = word.contains('.') && word.parse::<f64>().is_ok();
    digits >= 2 && !dated && !amount
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_something_and_words_small_numbers_and_dates_do_not() {
        for id in ["48213", "w2378156", "dev_7f3a9", "ann_lee_9620"] {
            assert!(names(id), "{id}");
        }
        for other in [
            "card",
            "5",
            "1126.04",
            "2024-05-20",
            "10:30",
            "05/20/2024",
            "2024-05-20t10:00:00",
        ] {
            assert!(!names(other), "{other}");
        }
    }
}
