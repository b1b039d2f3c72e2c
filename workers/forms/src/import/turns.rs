//! One row for each turn of the agent: `messages` up to it, and the `dialogue` that it belongs to.

use agoge_world::Domain;
use serde_json::Value;

use super::{Given, Reader, chat};

/// The reader.
pub struct Turns;

impl Reader for Turns {
    fn name(&self) -> &'static str {
        "turns"
    }

    fn fits(&self, row: &Value) -> bool {
        !row["messages"].is_null() && row["turn"].is_number()
    }

    fn read(&self, row: &Value, _domain: &Domain) -> Result<Given, String> {
        let named = row["dialogue"].as_str().map(str::to_owned);
        Ok(Given {
            id: named.or_else(|| chat::id(row)),
            messages: chat::messages(&row["messages"], "messages")?,
            reward: None,
            task: None,
        })
    }

    fn by_turn(&self) -> bool {
        true
    }
}
