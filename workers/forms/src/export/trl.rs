//! `trl`: conversational rows with tools for TRL: `sft` has a prompt and a completion for each of the agent's turns, so that only
//! its words carry loss; `grpo` has prompts, and what a reward function needs in further columns.

use agoge_dialogue::Role;
use agoge_dialogue::export::schemas;
use agoge_world::Split;
use serde_json::{Value, json};

use super::row::{NO_DIALOGUE, NO_TASK, agents, prompt};
use super::{Export, ExportError, Form, Source, Stored, Table};

/// The form.
pub struct Trl;

impl Form for Trl {
    fn name(&self) -> &'static str {
        "trl"
    }

    fn about(&self) -> &'static str {
        "conversational rows for TRL's SFTTrainer (`sft`) and GRPOTrainer (`grpo`)"
    }

    fn export(&self, source: &Source<'_>) -> Result<Export, ExportError> {
        let domain = source.domain;
        let tools = schemas(&domain.tools);
        let mut sft = Vec::new();
        for one in source.of(Split::TrainSft) {
            let Some(dialogue) = agents(domain, one) else {
                continue;
            };
            let (messages, made) = (dialogue.structured(), source.made(one));
            let spoken = dialogue.roles().enumerate();
            let spoken = spoken.filter(|(_, role)| *role == Role::Assistant);
            sft.extend(spoken.map(|(at, _)| {
                json!({"prompt": messages[..at], "completion": messages[at..=at], "tools": tools, "agoge": made})
            }));
        }
        let grpo = source.of(Split::TrainRl).map(|one| {
            let task = serde_json::to_value(&one.task).unwrap_or_default();
            json!({"prompt": prompt(domain, one), "tools": tools, "task_id": one.task.id, "task": task.to_string(),
                "agoge": source.made(one)})
        });
        let grpo: Vec<Value> = grpo.collect();
        Ok(Export::of_tables(vec![
            Table {
                config: "sft",
                split: "train",
                path: "data/sft",
                stored: Stored::Lines,
                rows: sft,
                about: "turns of the agent (`prompt`, `completion`, `tools`)",
                lack: NO_DIALOGUE,
            },
            Table {
                config: "grpo",
                split: "train",
                path: "data/grpo",
                stored: Stored::Lines,
                rows: grpo,
                about: "tasks (`prompt`, `tools`, `task_id`, `task`)",
                lack: NO_TASK,
            },
        ]))
    }
}
