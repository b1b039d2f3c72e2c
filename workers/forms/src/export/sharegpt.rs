//! `sharegpt`: dialogues as `conversations` of `from` and `value`, as LLaMA-Factory reads them: `human` and `observation` in the
//! odd places, `gpt` and `function_call` in the even ones.
//!
//! The form has one value for each turn. Several calls at once are a list, and so are their results. Words beside calls have no
//! place and are left out; what a user says twice in a row becomes one turn.

use agoge_artifacts::Instance;
use agoge_dialogue::{Message, Role};
use agoge_world::Split;
use serde_json::{Value, json};

use super::row::{NO_DIALOGUE, agents, tools_text};
use super::{Export, ExportError, Form, Source, Stored, Table};

/// The form.
pub struct ShareGpt;

impl Form for ShareGpt {
    fn name(&self) -> &'static str {
        "sharegpt"
    }

    fn about(&self) -> &'static str {
        "dialogues as `conversations`, for LLaMA-Factory and others that read ShareGPT"
    }

    fn export(&self, source: &Source<'_>) -> Result<Export, ExportError> {
        let (mut rows, mut dropped) = (Vec::new(), 0_usize);
        for one in source.of(Split::TrainSft) {
            if let Some((row, words)) = row(source, one) {
                rows.push(row);
                dropped = dropped.saturating_add(words);
            }
        }
        let note = (dropped > 0).then(|| {
            format!("{dropped} turns have words beside calls, which ShareGPT has no place for; the words are left out")
        });
        Ok(Export {
            notes: note.into_iter().collect(),
            ..Export::of_tables(vec![Table {
                config: "default",
                split: "train",
                path: "data/train",
                stored: Stored::Lines,
                rows,
                about: "dialogues (`conversations`, `system`, `tools`)",
                lack: NO_DIALOGUE,
            }])
        })
    }
}

/// Returns a row, and the number of turns whose words it leaves out.
fn row(source: &Source<'_>, instance: &Instance) -> Option<(Value, usize)> {
    let dialogue = agents(source.domain, instance)?;
    let messages: Vec<&Message> = dialogue.messages().collect();
    let (mut turns, mut dropped) = (Vec::new(), 0);
    // The ids of the calls whose results follow.
    let mut asked: Vec<&str> = Vec::new();
    for run in messages[1..].chunk_by(|a, b| a.role == b.role && a.role != Role::Assistant) {
        let mut run = run.to_vec();
        run.sort_by_key(|message| {
            let id = message.tool_call_id.as_deref();
            asked.iter().position(|one| Some(*one) == id)
        });
        let texts: Vec<&str> = run.iter().map(|message| message.content.as_str()).collect();
        let (from, value) = match (run[0].role, run[0].tool_calls.as_slice()) {
            (Role::Assistant, []) => ("gpt", texts.join("\n")),
            (Role::Assistant, calls) => {
                dropped += usize::from(!run[0].content.trim().is_empty());
                asked = calls.iter().map(|call| call.id.as_str()).collect();
                let calls = calls.iter();
                let calls =
                    calls.map(|call| json!({"name": call.name, "arguments": call.arguments}));
                ("function_call", one_or_list(calls.collect()))
            }
            (Role::Tool, _) => match texts.as_slice() {
                [text] => ("observation", (*text).to_owned()),
                several => ("observation", json!(several).to_string()),
            },
            (Role::User | Role::System, _) => ("human", texts.join("\n")),
        };
        turns.push(json!({"from": from, "value": value}));
    }
    let row = json!({
        "id": instance.task.id,
        "conversations": turns,
        "system": source.domain.policy,
        "tools": tools_text(&source.domain.tools),
        "agoge": source.made(instance),
    });
    Some((row, dropped))
}

fn one_or_list(mut calls: Vec<Value>) -> String {
    match calls.len() {
        1 => calls.remove(0).to_string(),
        _ => Value::Array(calls).to_string(),
    }
}
