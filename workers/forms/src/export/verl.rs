//! `verl`: tasks as the Parquet files that verl's `RLHFDataset` reads. A reward function finds the task in
//! `reward_model.ground_truth` as JSON.

use agoge_artifacts::Instance;
use agoge_world::Split;
use serde_json::{Value, json};

use super::row::{NO_HELDOUT, NO_TASK, prompt, tools_text};
use super::source::made_kind;
use super::{Export, ExportError, Form, Source, Stored, Table};
use crate::parquet::{Field, Kind, columns};

/// The form.
pub struct Verl;

impl Form for Verl {
    fn name(&self) -> &'static str {
        "verl"
    }

    fn about(&self) -> &'static str {
        "tasks as Parquet for verl (`prompt`, `reward_model`, `extra_info`)"
    }

    fn export(&self, source: &Source<'_>) -> Result<Export, ExportError> {
        let rows = |split: Split, name: &str| -> Vec<Value> {
            let instances = source.of(split).enumerate();
            instances
                .map(|(n, one)| row(source, one, n, name))
                .collect()
        };
        let table = |split, path, rows, lack| Table {
            config: "default",
            split,
            path,
            stored: Stored::Parquet(schema()),
            rows,
            about: "tasks (`data_source`, `prompt`, `ability`, `reward_model`, `extra_info`)",
            lack,
        };
        Ok(Export::of_tables(vec![
            table("train", "train", rows(Split::TrainRl, "train"), NO_TASK),
            table("test", "test", rows(Split::Heldout, "test"), NO_HELDOUT),
        ]))
    }
}

fn row(source: &Source<'_>, instance: &Instance, number: usize, split: &str) -> Value {
    let domain = source.domain;
    let task = serde_json::to_value(&instance.task).unwrap_or_default();
    let words = prompt(domain, instance).into_iter();
    let words =
        words.map(|message| json!({"role": message["role"], "content": message["content"]}));
    json!({
        "data_source": format!("agoge/{}", domain.name),
        "prompt": words.collect::<Value>(),
        "ability": "tool-use",
        "reward_model": {"style": "rule", "ground_truth": task.to_string()},
        "extra_info": {
            "index": number, "split": split, "task_id": instance.task.id, "tools": tools_text(&domain.tools),
        },
        "agoge": source.made(instance),
    })
}

fn schema() -> Vec<Field> {
    let message = Kind::of_fields([("role", Kind::Text), ("content", Kind::Text)]);
    let reward = Kind::of_fields([("style", Kind::Text), ("ground_truth", Kind::Text)]);
    let extra = Kind::of_fields([
        ("index", Kind::Int),
        ("split", Kind::Text),
        ("task_id", Kind::Text),
        ("tools", Kind::Text),
    ]);
    columns([
        ("data_source", Kind::Text),
        ("prompt", Kind::list(message)),
        ("ability", Kind::Text),
        ("reward_model", reward),
        ("extra_info", extra),
        ("agoge", made_kind()),
    ])
}
