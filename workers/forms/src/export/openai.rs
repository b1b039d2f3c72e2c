//! `openai`: a training file of whole dialogues for OpenAI's fine-tuning, whose readers allow no further column.

use agoge_dialogue::export::openai_row;
use agoge_world::Split;

use super::row::NO_DIALOGUE;
use super::{Export, ExportError, Form, Source, Stored, Table};

/// Examples below which OpenAI's fine-tuning takes no file.
const LEAST: usize = 10;

/// The form.
pub struct OpenAi;

impl Form for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn about(&self) -> &'static str {
        "for OpenAI's fine-tuning and whatever takes its files"
    }

    fn export(&self, source: &Source<'_>) -> Result<Export, ExportError> {
        let domain = source.domain;
        let (mut rows, mut made) = (Vec::new(), Vec::new());
        for one in source.of(Split::TrainSft) {
            if let Some(row) = openai_row(&domain.policy, &domain.tools, &one.messages) {
                rows.push(row);
                made.push(source.made(one));
            }
        }
        let few = (1..LEAST).contains(&rows.len());
        let few =
            few.then(|| format!("OpenAI's fine-tuning takes files of at least {LEAST} examples"));
        let table = Table {
            config: "train",
            split: "train",
            path: "train",
            stored: Stored::Bare(made),
            rows,
            about: "dialogues",
            lack: NO_DIALOGUE,
        };
        Ok(Export {
            tables: vec![table],
            notes: few.into_iter().collect(),
            bare: true,
            ..Export::default()
        })
    }
}
