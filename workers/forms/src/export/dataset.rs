//! `dataset`: whole dialogues and tasks as JSON lines, in the shape that chat templates render.

use agoge_dialogue::export::{rl_row, sft_row};
use agoge_world::Split;
use serde_json::Value;

use super::row::{NO_DIALOGUE, NO_TASK};
use super::{Export, ExportError, Form, Source, Stored, Table};

/// The form.
pub struct Dataset;

impl Form for Dataset {
    fn name(&self) -> &'static str {
        "dataset"
    }

    fn about(&self) -> &'static str {
        "for transformers, TRL and whatever renders a model's chat template"
    }

    fn export(&self, source: &Source<'_>) -> Result<Export, ExportError> {
        let domain = source.domain;
        let sft = source.of(Split::TrainSft).filter_map(|one| {
            let mut row = sft_row(&one.task.id, &domain.policy, &domain.tools, &one.messages)?;
            row["agoge"] = source.made(one);
            Some(row)
        });
        let rl = source.of(Split::TrainRl).map(|one| {
            let task = serde_json::to_value(&one.task).unwrap_or_default();
            let begins = (one.task.history.as_slice(), one.task.user.opening.as_str());
            let mut row = rl_row(&one.task.id, &domain.policy, begins, &domain.tools, &task);
            row["agoge"] = source.made(one);
            row
        });
        let (sft, rl): (Vec<Value>, Vec<Value>) = (sft.collect(), rl.collect());
        Ok(Export::of_tables(vec![
            Table {
                config: "sft",
                split: "train",
                path: "data/sft",
                stored: Stored::Lines,
                rows: sft,
                about: "dialogues (`messages`, `tools`, `trainable`)",
                lack: NO_DIALOGUE,
            },
            Table {
                config: "rl",
                split: "train",
                path: "data/rl",
                stored: Stored::Lines,
                rows: rl,
                about: "tasks (`prompt`, `tools`, `task`: gold calls, outputs, checker)",
                lack: NO_TASK,
            },
        ]))
    }
}
