//! `dpo`: preferences of turns, from rollouts of one task of which one passed and another failed.
//!
//! A pair is the first turn of the agent in which two rollouts differ, after everything that they share. Rollouts that differ first
//! in what the user or a tool said are no pair. A turn that leads to a failure need not be the wrong one: the label is that of the
//! whole rollout.

use std::collections::BTreeMap;

use agoge_artifacts::Instance;
use agoge_dialogue::export::{Exported, schemas};
use agoge_dialogue::{Message, Role};
use serde_json::{Value, json};

use super::{Export, ExportError, Form, Source, Stored, Table};

/// The form.
pub struct Dpo;

/// The rollouts of one task.
#[derive(Default)]
struct Played {
    passed: Vec<Exported>,
    failed: Vec<Exported>,
}

impl Form for Dpo {
    fn name(&self) -> &'static str {
        "dpo"
    }

    fn about(&self) -> &'static str {
        "preferences (`prompt`, `chosen`, `rejected`) from passed and failed rollouts, for TRL's DPOTrainer"
    }

    fn export(&self, source: &Source<'_>) -> Result<Export, ExportError> {
        let rows: Vec<Value> = by_task(source)
            .into_iter()
            .filter_map(|(task, played)| Some((source.instance(task)?, played)))
            .flat_map(|(instance, played)| pairs(source, instance, &played))
            .collect();
        Ok(Export::of_tables(vec![Table {
            config: "default",
            split: "train",
            path: "data/train",
            stored: Stored::Lines,
            rows,
            about: "pairs of turns (`prompt`, `chosen`, `rejected`, `tools`)",
            lack: "no exported task has a rollout that passed and one that failed and first differ in a turn of the agent",
        }]))
    }
}

fn by_task<'a>(source: &Source<'a>) -> BTreeMap<&'a str, Played> {
    let mut tasks: BTreeMap<&str, Played> = BTreeMap::new();
    let read = |messages: &[Message]| Exported::of_agent(&source.domain.policy, messages);
    for instance in source.instances {
        let played = tasks.entry(instance.task.id.as_str()).or_default();
        played.passed.extend(read(&instance.messages));
    }
    for rollout in source.rollouts {
        let played = tasks.entry(rollout.task.as_str()).or_default();
        match rollout.reward {
            Some(reward) if reward >= 1.0 => played.passed.extend(read(&rollout.messages)),
            Some(_) => played.failed.extend(read(&rollout.messages)),
            None => {}
        }
    }
    tasks
}

/// Returns a pair for each rollout that failed, with the passed one that shares most with it. Equal pairs are written once.
fn pairs(source: &Source<'_>, instance: &Instance, played: &Played) -> Vec<Value> {
    let tools = schemas(&source.domain.tools);
    let mut rows: Vec<Value> = Vec::new();
    for failed in &played.failed {
        let shared = played
            .passed
            .iter()
            .filter_map(|passed| Some((differs(passed, failed)?, passed)));
        let Some((at, passed)) = shared.max_by_key(|(at, _)| *at) else {
            continue;
        };
        let (chosen, rejected) = (passed.structured(), failed.structured());
        let row = json!({
            "prompt": chosen[..at], "chosen": chosen[at..=at], "rejected": rejected[at..=at], "tools": tools,
            "agoge": source.made(instance),
        });
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows
}

/// Returns the place of the first message in which two dialogues differ, where it is the agent's in both.
fn differs(one: &Exported, other: &Exported) -> Option<usize> {
    let (left, right) = (one.as_api(), other.as_api());
    let at = left.iter().zip(&right).position(|(a, b)| a != b)?;
    let agents = |dialogue: &Exported| dialogue.roles().nth(at) == Some(Role::Assistant);
    (agents(one) && agents(other)).then_some(at)
}
