//! `turns`: one row for each turn of the agent, which is the row's anchor: everything before it is context, and only it is trained.

use agoge_dialogue::export::Exported;
use agoge_dialogue::{Message, Role};
use agoge_world::Split;
use serde_json::{Value, json};

use super::row::{NO_DIALOGUE, agents, messages_kind, tools_text};
use super::source::made_kind;
use super::{Export, ExportError, Form, Source, Stored, Table};
use crate::parquet::{Kind, columns};

/// The form.
pub struct Turns;

impl Form for Turns {
    fn name(&self) -> &'static str {
        "turns"
    }

    fn about(&self) -> &'static str {
        "one row for each turn of the agent, with the dialogue up to it"
    }

    fn export(&self, source: &Source<'_>) -> Result<Export, ExportError> {
        let domain = source.domain;
        let tools = tools_text(&domain.tools);
        let mut rows: Vec<Value> = Vec::new();
        for one in source.of(Split::TrainSft) {
            let Some(dialogue) = agents(domain, one) else {
                continue;
            };
            let (messages, made) = (dialogue.as_api(), source.made(one));
            for (turn, (at, message)) in (1..).zip(anchors(&dialogue)) {
                rows.push(json!({
                    "id": format!("{}#{turn}", one.task.id),
                    "dialogue": one.task.id,
                    "turn": turn,
                    "kind": if message.tool_calls.is_empty() { "answer" } else { "call" },
                    "messages": messages[..=at],
                    "tools": tools,
                    "agoge": made,
                }));
            }
        }
        let columns = columns([
            ("id", Kind::Text),
            ("dialogue", Kind::Text),
            ("turn", Kind::Int),
            ("kind", Kind::Text),
            ("messages", messages_kind()),
            ("tools", Kind::Text),
            ("agoge", made_kind()),
        ]);
        Ok(Export::of_tables(vec![Table {
            config: "default",
            split: "train",
            path: "data/train",
            stored: Stored::Both(columns),
            rows,
            about: "turns of the agent (`messages` up to the turn, `turn`, `kind`)",
            lack: NO_DIALOGUE,
        }]))
    }
}

/// Returns the agent's turns with their places in the dialogue.
fn anchors(dialogue: &Exported) -> impl Iterator<Item = (usize, &Message)> {
    let messages = dialogue.messages().enumerate();
    messages.filter(|(_, message)| message.role == Role::Assistant)
}
