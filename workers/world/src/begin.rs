//! The beginning of a task's episode: its records, its first calls and its history, before anybody speaks.

use agoge_dialogue::{Message, ToolCall};
use agoge_sandbox::{Outcome, View, normalise_record};
use serde_json::{Map, Value};

use crate::episode::{Episode, Lost, World};
use crate::task::Task;

/// The reason why a task cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// A call before the first word failed.
    #[error("`start` call {number} ({name}): {message}; correct the task, or the function")]
    Refused {
        /// The number of the call, from 1.
        number: usize,
        /// The function.
        name: String,
        /// The reason.
        message: String,
    },
    /// The task's records are of a collection that a server holds.
    #[error("`records` has a collection that a server holds; change it by calls of `start`")]
    Held,
    /// The sandbox gave no result, so nothing is known about the call.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl World {
    /// Returns the beginning of a task's episode: its records are merged into the domain's, then the calls of `start` and
    /// of `history` are made, none of them recorded. An ordinary task begins without differences.
    ///
    /// # Errors
    /// [`StartError`]: a call of `start` failed, or the sandbox gave no result. A call of the history may fail: it did when
    /// the dialogue took place.
    pub fn begin(&mut self, task: &Task) -> Result<Episode, StartError> {
        let mut episode = Episode::default();
        self.merge(&mut episode, task);
        if let Some(foreign) = &self.domain().foreign
            && !episode.overlay.part(&|name| foreign.owns(name)).is_empty()
        {
            return Err(StartError::Held);
        }
        for (number, call) in (1..).zip(&task.start) {
            let refused = |message: String| StartError::Refused {
                number,
                name: call.name.clone(),
                message,
            };
            match self.run(&mut episode, &call.name, &call.arguments) {
                Outcome::Value(_) => {}
                Outcome::Raised { kind, message, .. } => {
                    return Err(refused(format!("{kind}: {message}")));
                }
                Outcome::Killed(reason) => return Err(refused(reason.to_string())),
                Outcome::Lost(reason) => return Err(Lost(reason).into()),
            }
        }
        for call in calls(&task.history) {
            self.call(&mut episode, call).known()?;
        }
        episode.calls.clear();
        episode.start = episode.overlay.clone();
        Ok(episode)
    }

    /// Merges a task's records into those of the domain.
    fn merge(&self, episode: &mut Episode, task: &Task) {
        let base = &self.domain().state;
        for (collection, records) in &task.records {
            for (id, fields) in records {
                if fields.is_null() {
                    episode.overlay.delete(base, collection, id);
                    continue;
                }
                let view = View {
                    base,
                    overlay: &episode.overlay,
                };
                let mut record = view
                    .get(collection, id)
                    .cloned()
                    .unwrap_or_else(|| Value::Object(Map::new()));
                merge(&mut record, fields);
                self.normalise(collection, id, &mut record);
                episode.overlay.put(base, collection, id, record);
            }
        }
    }

    /// Normalises a record as a tool's write of it would be.
    fn normalise(&self, collection: &str, id: &str, record: &mut Value) {
        let domain = self.domain();
        if domain.format > 1 {
            let shape = domain.state.shape(collection);
            normalise_record(&domain.schema, shape, collection, id, record);
        }
    }
}

/// Merges fields into a value: objects at every depth, anything else replaces what was there.
fn merge(into: &mut Value, fields: &Value) {
    match (into, fields) {
        (Value::Object(into), Value::Object(fields)) => {
            for (key, value) in fields {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, fields) => *into = fields.clone(),
    }
}

/// Returns the calls of a dialogue, in order.
fn calls(history: &[Message]) -> impl Iterator<Item = &ToolCall> {
    history.iter().flat_map(|message| &message.tool_calls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_are_merged_at_every_depth_and_anything_else_is_replaced() {
        let mut record = json!({"a": {"b": 1, "c": [1, 2]}, "d": "x"});
        merge(
            &mut record,
            &json!({"a": {"c": [3], "e": {"f": true}}, "d": null}),
        );
        let merged = json!({"a": {"b": 1, "c": [3], "e": {"f": true}}, "d": null});
        assert_eq!(record, merged);
    }
}
