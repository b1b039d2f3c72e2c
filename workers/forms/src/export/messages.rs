//! `messages`: dialogues in the shape of OpenAI's API with columns of one type each, as Parquet and as JSON lines.
//!
//! The `arguments` of calls and the column `tools` are JSON texts, so that every version of `datasets` loads the rows as they are.
//! The configuration `agent` has the dialogues as the agent reads them, and `user` as a model that plays the user does.

use agoge_artifacts::Instance;
use agoge_dialogue::ToolSpec;
use agoge_dialogue::export::Exported;
use agoge_world::Split;
use serde_json::{Value, json};

use super::row::{NO_DIALOGUE, NO_HELDOUT, agents, messages_kind, tools_text};
use super::source::made_kind;
use super::{Export, ExportError, Form, Source, Stored, Table};
use crate::parquet::{Kind, columns};

/// The form.
pub struct Messages;

impl Form for Messages {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn about(&self) -> &'static str {
        "dialogues as `messages` and `tools`, for `datasets` and whatever reads OpenAI's chat messages"
    }

    fn export(&self, source: &Source<'_>) -> Result<Export, ExportError> {
        let domain = source.domain;
        let agent =
            |one: &Instance| row(source, one, "agent", &agents(domain, one)?, &domain.tools);
        let user = |one: &Instance| {
            let dialogue = Exported::of_user(&one.task.user.instruction, &one.messages)?;
            row(source, one, "user", &dialogue, &domain.user_tools)
        };
        let rows = |split, of: &dyn Fn(&Instance) -> Option<Value>| -> Vec<Value> {
            source.of(split).filter_map(of).collect()
        };
        let table = |config, split, path, rows, lack| Table {
            config,
            split,
            path,
            stored: Stored::Both(columns([
                ("id", Kind::Text),
                ("side", Kind::Text),
                ("messages", messages_kind()),
                ("tools", Kind::Text),
                ("agoge", made_kind()),
            ])),
            rows,
            about: "dialogues (`messages`, `tools`, `side`)",
            lack,
        };
        let (train, heldout) = (Split::TrainSft, Split::Heldout);
        Ok(Export::of_tables(vec![
            table(
                "agent",
                "train",
                "data/agent-train",
                rows(train, &agent),
                NO_DIALOGUE,
            ),
            table(
                "agent",
                "heldout",
                "data/agent-heldout",
                rows(heldout, &agent),
                NO_HELDOUT,
            ),
            table(
                "user",
                "train",
                "data/user-train",
                rows(train, &user),
                NO_DIALOGUE,
            ),
            table(
                "user",
                "heldout",
                "data/user-heldout",
                rows(heldout, &user),
                NO_HELDOUT,
            ),
        ]))
    }
}

fn row(
    source: &Source<'_>,
    instance: &Instance,
    side: &str,
    dialogue: &Exported,
    tools: &[ToolSpec],
) -> Option<Value> {
    let made = source.made(instance);
    let (id, messages) = (&instance.task.id, dialogue.as_api());
    Some(
        json!({"id": id, "side": side, "messages": messages, "tools": tools_text(tools), "agoge": made}),
    )
}
