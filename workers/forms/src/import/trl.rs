//! Rows of TRL: `prompt` and `completion`, or a `prompt` alone, which is a seed.

use agoge_world::Domain;
use serde_json::Value;

use super::{Given, Reader, chat};

/// The reader.
pub struct Trl;

impl Reader for Trl {
    fn name(&self) -> &'static str {
        "trl"
    }

    fn fits(&self, row: &Value) -> bool {
        row["prompt"].is_array()
    }

    fn read(&self, row: &Value, _domain: &Domain) -> Result<Given, String> {
        let mut messages = chat::messages(&row["prompt"], "prompt")?;
        // Of preferences, the chosen side is the dialogue.
        let field = match row["chosen"].is_null() {
            true => "completion",
            false => "chosen",
        };
        if !row[field].is_null() {
            messages.extend(chat::messages(&row[field], field)?);
        }
        Ok(Given {
            id: chat::id(row),
            messages,
            reward: None,
            task: None,
        })
    }

    fn by_turn(&self) -> bool {
        true
    }
}
