//! `tau2`: a domain's folder as tau2-bench has it: `tasks.json`, `split_tasks.json`, `db.json`, `user_db.json` and `policy.md`.
//!
//! The inverse of [`crate::tau2`]. The tools stay here: tau2-bench needs a toolkit of its own that answers as ours do. Generated
//! checkers in Python have no place there and are named in a note.

use std::collections::BTreeSet;

use agoge_artifacts::Instance;
use agoge_dialogue::{Message, Role, ToolCall, call_of};
use agoge_sandbox::Shape;
use agoge_world::{Domain, Party, Split, Task};
use serde_json::{Map, Value, json};

use super::{Export, ExportError, Form, Source};
use crate::tau2::is_users;

/// The form.
pub struct Tau2;

impl Form for Tau2 {
    fn name(&self) -> &'static str {
        "tau2"
    }

    fn about(&self) -> &'static str {
        "tasks, state and policy as tau2-bench reads them"
    }

    fn export(&self, source: &Source<'_>) -> Result<Export, ExportError> {
        let domain = source.domain;
        let training = [Split::TrainSft, Split::TrainRl]
            .into_iter()
            .flat_map(|split| source.of(split));
        let mut seen = BTreeSet::new();
        let mut once = |one: &&Instance| seen.insert(one.task.id.clone());
        let train: Vec<&Instance> = training.filter(&mut once).collect();
        let test: Vec<&Instance> = source.of(Split::Heldout).filter(&mut once).collect();
        if train.is_empty() && test.is_empty() {
            return Err(ExportError::Nothing {
                suite: source.suite.to_owned(),
                lack: "no instance is in a training split; raise the target of its SynthesisJob"
                    .into(),
            });
        }
        let ids =
            |all: &[&Instance]| -> Value { all.iter().map(|one| one.task.id.as_str()).collect() };
        let both = [train.as_slice(), test.as_slice()].concat();
        let splits = json!({"train": ids(&train), "test": ids(&test), "base": ids(&both)});
        let tasks: Vec<Value> = both.iter().map(|one| task(domain, &one.task)).collect();
        let made = both.iter().map(|one| format!("{}\n", source.made(one)));
        let (agent, user) = states(domain);
        let mut files = vec![
            ("tasks.json".to_owned(), pretty(&Value::Array(tasks))),
            ("split_tasks.json".to_owned(), pretty(&splits)),
            ("db.json".to_owned(), pretty(&agent)),
            ("policy.md".to_owned(), domain.policy.clone()),
            ("provenance.jsonl".to_owned(), made.collect()),
        ];
        files.extend(user.map(|user| ("user_db.json".to_owned(), pretty(&user))));
        let scripts = both.iter().filter(|one| one.task.checker.is_some()).count();
        let note = (scripts > 0).then(|| {
            format!("{scripts} tasks have a checker in Python, which tau2-bench does not run; their other checks are written")
        });
        Ok(Export {
            files,
            notes: note.into_iter().collect(),
            bare: true,
            ..Export::default()
        })
    }
}

/// Returns the data of the agent's side, and of the user's where the domain has such collections.
fn states(domain: &Domain) -> (Value, Option<Value>) {
    let whole = match domain.state.to_json() {
        Value::Object(whole) => whole,
        _ => Map::new(),
    };
    let (user, agent): (Map<String, Value>, Map<String, Value>) = whole
        .into_iter()
        .partition(|(name, _)| is_users(domain, name));
    let user = (!user.is_empty()).then_some(Value::Object(user));
    (Value::Object(agent), user)
}

/// Returns a task in tau2-bench's form.
#[must_use]
pub fn task(domain: &Domain, task: &Task) -> Value {
    let persona = (!task.user.persona.is_empty()).then_some(&task.user.persona);
    let instructions = structured(&task.user.instruction);
    json!({
        "id": task.id,
        "description": {"purpose": purpose(task), "relevant_policies": null, "notes": null},
        "user_scenario": {
            "persona": persona,
            "instructions": instructions.unwrap_or_else(|| task.user.instruction.as_str().into()),
        },
        "initial_state": initial(domain, task),
        "evaluation_criteria": criteria(domain, task),
    })
}

fn purpose(task: &Task) -> Option<String> {
    let parts = [task.intent.as_str(), task.branch.as_str()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(": "))
}

/// Returns an instruction in the layout of tau2-bench's user model as its parts again; `None` for other texts.
fn structured(instruction: &str) -> Option<Value> {
    let (domain, rest) = instruction.strip_prefix("Domain: ")?.split_once('\n')?;
    let mut parts = Map::new();
    parts.insert("domain".into(), domain.into());
    let names = [
        ("Reason for call:\n", "reason_for_call"),
        ("Known info:\n", "known_info"),
        ("Unknown info:\n", "unknown_info"),
        ("Task instructions:\n", "task_instructions"),
    ];
    let mut open: Option<(&str, Vec<&str>)> = None;
    let mut close = |open: &mut Option<(&str, Vec<&str>)>| {
        if let Some((name, lines)) = open.take() {
            parts.insert(name.into(), lines.join("\n").into());
        }
    };
    for line in rest.split('\n') {
        let begins = names.iter().find(|(title, _)| title.trim_end() == line);
        match (begins, &mut open) {
            (Some((_, name)), _) => {
                close(&mut open);
                open = Some((*name, Vec::new()));
            }
            (None, Some((_, lines))) if line.trim().is_empty() => lines.push(line),
            (None, Some((_, lines))) => lines.push(line.strip_prefix('\t')?),
            (None, None) => return None,
        }
    }
    close(&mut open);
    let whole = ["reason_for_call", "task_instructions"]
        .iter()
        .all(|name| parts.contains_key(*name));
    whole.then_some(Value::Object(parts))
}

/// Returns the state that the task changes before the first word; null where it changes nothing.
fn initial(domain: &Domain, task: &Task) -> Value {
    if task.records.is_empty() && task.start.is_empty() && task.history.is_empty() {
        return Value::Null;
    }
    let (mut agent, mut user) = (Map::new(), Map::new());
    for (collection, records) in &task.records {
        let given = match domain.state.shape(collection) {
            Shape::Records => json!(records),
            Shape::List(_) => records.values().cloned().collect(),
            Shape::Singleton => records.values().next().cloned().unwrap_or_default(),
        };
        let side = match is_users(domain, collection) {
            true => &mut user,
            false => &mut agent,
        };
        side.insert(collection.clone(), given);
    }
    let given = |side: Map<String, Value>| (!side.is_empty()).then_some(Value::Object(side));
    let data = (!task.records.is_empty())
        .then(|| json!({"agent_data": given(agent), "user_data": given(user)}));
    let actions: Vec<Value> = task
        .start
        .iter()
        .map(|call| function(domain, call))
        .collect();
    let history: Vec<Value> = history(domain, &task.history);
    json!({
        "initialization_data": data,
        "initialization_actions": (!actions.is_empty()).then_some(actions),
        "message_history": (!history.is_empty()).then_some(history),
    })
}

fn function(domain: &Domain, call: &ToolCall) -> Value {
    json!({"env_type": requestor(domain, &call.name), "func_name": call.name, "arguments": call.arguments})
}

fn history(domain: &Domain, messages: &[Message]) -> Vec<Value> {
    let mut written = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let content = (!message.content.is_empty()).then_some(&message.content);
        if message.role == Role::Tool {
            let id = message.tool_call_id.as_deref().unwrap_or_default();
            let call = call_of(message, &messages[..at]);
            let by = call.map_or("assistant", |call| requestor(domain, &call.name));
            written.push(json!({"role": "tool", "id": id, "content": content, "requestor": by, "error": false}));
            continue;
        }
        let by = message.role.name();
        let calls: Vec<Value> = message
            .tool_calls
            .iter()
            .map(|call| json!({"id": call.id, "name": call.name, "arguments": call.arguments, "requestor": by}))
            .collect();
        let calls = (!calls.is_empty()).then_some(calls);
        written.push(json!({"role": by, "content": content, "tool_calls": calls}));
    }
    written
}

/// Returns what decides the task's reward.
fn criteria(domain: &Domain, task: &Task) -> Value {
    // Calls that must be made and are not among the gold leave no trace, so that gold may have them too.
    let missing = task
        .calls
        .iter()
        .filter(|call| !task.gold.iter().any(|gold| covers(gold, call)));
    let actions: Vec<Value> = task
        .gold
        .iter()
        .chain(missing)
        .enumerate()
        .map(|(n, call)| {
            let wanted = task.calls.iter().find(|wanted| covers(call, wanted));
            let compared: Option<Vec<&String>> = wanted
                .filter(|wanted| wanted.arguments.len() != call.arguments.len())
                .map(|wanted| wanted.arguments.keys().collect());
            json!({"action_id": format!("{}_{n}", task.id), "requestor": requestor(domain, &call.name), "name": call.name,
                "arguments": call.arguments, "compare_args": compared})
        })
        .collect();
    let asserts: Vec<Value> = task
        .asserts
        .iter()
        .map(|one| {
            json!({"env_type": requestor(domain, &one.name), "func_name": one.name, "arguments": one.arguments,
                "assert_value": one.is})
        })
        .collect();
    json!({
        "actions": actions,
        "env_assertions": (!asserts.is_empty()).then_some(asserts),
        "communicate_info": task.outputs,
        "nl_assertions": (!task.judge.is_empty()).then_some(&task.judge),
        "reward_basis": reward_basis(task),
    })
}

/// Returns true when a gold call has the arguments that a required call asks for.
fn covers(gold: &ToolCall, wanted: &ToolCall) -> bool {
    let has = |(name, value): (&String, &Value)| gold.arguments.get(name) == Some(value);
    gold.name == wanted.name && wanted.arguments.iter().all(has)
}

/// Returns tau2-bench's name of a kind of check; none where it has no such kind.
#[must_use]
pub fn kind_name(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "state" => "DB",
        "outputs" => "COMMUNICATE",
        "asserts" => "ENV_ASSERTION",
        "calls" => "ACTION",
        "judge" => "NL_ASSERTION",
        _ => return None,
    })
}

/// Returns the checks that a task's reward rests on, as tau2-bench names them.
#[must_use]
pub fn reward_basis(task: &Task) -> Vec<&'static str> {
    let names = agoge_artifacts::evaluation::basis(task);
    names.iter().filter_map(|name| kind_name(name)).collect()
}

/// Returns the side that a tool belongs to, as tau2-bench names it.
#[must_use]
pub fn requestor(domain: &Domain, tool: &str) -> &'static str {
    match domain.party(tool) {
        Some(Party::User) => "user",
        _ => "assistant",
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tau2::TaskReader;

    #[test]
    fn a_task_of_tau2_bench_comes_back_as_it_was_read() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
        let domain = Domain::load(std::path::Path::new(dir)).unwrap();
        let row = json!({
            "id": "[lost]one|two[PERSONA:None]",
            "user_scenario": {
                "persona": "in a hurry",
                "instructions": {
                    "domain": "parcels", "reason_for_call": "Your parcel is late.\n\nVery late.",
                    "known_info": "Parcel 10004.", "task_instructions": "Be brief.",
                },
            },
            "initial_state": {
                "initialization_data": {"agent_data": {"parcels": {"10004": {"held": 2}}}, "user_data": null},
                "initialization_actions": [{"env_type": "assistant", "func_name": "find", "arguments": {"parcel": "10004"}}],
                "message_history": [
                    {"role": "user", "content": "Hello."},
                    {"role": "assistant", "tool_calls": [{"id": "a", "name": "find", "arguments": {"parcel": "10004"}}]},
                    {"role": "tool", "id": "a", "content": "x"},
                ],
            },
            "evaluation_criteria": {
                "actions": [{"action_id": "0", "name": "hold", "arguments": {"parcel": "10004", "days": 2}, "compare_args": ["parcel"]}],
                "env_assertions": [{"env_type": "assistant", "func_name": "find", "arguments": {}, "assert_value": false}],
                "communicate_info": ["2"], "nl_assertions": ["The agent is kind."],
                "reward_basis": ["DB", "ACTION", "COMMUNICATE", "ENV_ASSERTION"],
            },
        });
        let reader = TaskReader::new("courier", &domain.schema);
        let read = reader.read(1, &row).unwrap().task;
        let again = reader.read(1, &task(&domain, &read)).unwrap().task;
        assert_eq!(again, read);
        assert!(task(&domain, &read)["user_scenario"]["instructions"]["unknown_info"].is_null());
    }

    #[test]
    fn an_instruction_of_another_layout_stays_a_text() {
        for text in [
            "You want a refund.",
            "Domain: x\nsomething else",
            "Domain: x\nKnown info:\n\ta",
        ] {
            assert_eq!(structured(text), None, "{text}");
        }
    }
}
