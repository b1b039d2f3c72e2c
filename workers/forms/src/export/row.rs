//! The parts of rows that several forms share.

use agoge_artifacts::Instance;
use agoge_dialogue::ToolSpec;
use agoge_dialogue::export::{Exported, schemas};
use agoge_world::Domain;
use serde_json::Value;

use crate::parquet::Kind;

/// The reason why there is no dialogue to write.
pub(super) const NO_DIALOGUE: &str = "no instance of the split trainSft has a dialogue";
/// The reason why there is no task to write.
pub(super) const NO_TASK: &str = "no instance is in the split trainRl";
/// The reason why there is no held-out row to write.
pub(super) const NO_HELDOUT: &str = "no held-out instance is exported";

/// Returns the dialogue of an instance as its agent reads it.
pub(super) fn agents(domain: &Domain, instance: &Instance) -> Option<Exported> {
    Exported::of_agent(&domain.policy, &instance.messages)
}

/// Returns the messages that a task begins with.
pub(super) fn prompt(domain: &Domain, instance: &Instance) -> Vec<Value> {
    let task = &instance.task;
    Exported::opening(&domain.policy, &task.history, &task.user.opening).structured()
}

/// Returns tools as a JSON text, for columns that have one type.
pub(super) fn tools_text(tools: &[ToolSpec]) -> String {
    schemas(tools).to_string()
}

/// The kind of a list of messages as OpenAI's API has them.
pub(super) fn messages_kind() -> Kind {
    let function = Kind::of_fields([("name", Kind::Text), ("arguments", Kind::Text)]);
    let call = Kind::of_fields([
        ("id", Kind::Text),
        ("type", Kind::Text),
        ("function", function),
    ]);
    Kind::list(Kind::of_fields([
        ("role", Kind::Text),
        ("content", Kind::Text),
        ("tool_calls", Kind::list(call)),
        ("tool_call_id", Kind::Text),
    ]))
}
