//! Rows with `messages`, in the shape of OpenAI's API or of chat templates. The forms `messages`, `dataset` and `openai` have it.

use agoge_world::Domain;
use serde_json::Value;

use super::{Given, Reader, chat};

/// The reader.
pub struct Messages;

impl Reader for Messages {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn fits(&self, row: &Value) -> bool {
        !row["messages"].is_null()
    }

    fn read(&self, row: &Value, _domain: &Domain) -> Result<Given, String> {
        if row["side"] == "user" {
            return Err("`side` is user: it is the dialogue of a model that plays the user, not of an agent".into());
        }
        Ok(Given {
            id: chat::id(row),
            messages: chat::messages(&row["messages"], "messages")?,
            reward: row["reward"].as_f64(),
            task: None,
        })
    }
}
