//! Advice for an author: the branch that limits a split, and what format 2 would give the domain.

use serde_json::Value;

use super::candidates::is;
use super::shared::Shared;
use crate::domain::Domain;
use crate::draw::limiting;
use crate::problem::Problem;
use crate::task::{Mix, Split};

/// Returns a note for each split with the number of its tasks and the branch that keeps it from having more.
pub(super) fn limits(shared: &Shared<'_>) -> Vec<Problem> {
    let folder = shared.domain.dir.join("templates");
    let note = |split: Split| {
        let limiting = limiting(shared.cells(split).ok()?, Mix::Natural)?;
        let message = format!(
            "{} has {} tasks in the natural mix; {} limits it, which has {}",
            split.as_str(),
            limiting.possible,
            limiting.branch,
            limiting.capacity
        );
        Some(Problem::new(&folder, message, ""))
    };
    Split::ALL.into_iter().filter_map(note).collect()
}

/// Returns a note that names what format 2 would give a domain of format 1 that could use it.
pub(super) fn format(domain: &Domain, leaks: bool) -> Option<Problem> {
    if domain.format > 1 {
        return None;
    }
    let signatures = agoge_sandbox::signatures(&domain.tools_source).unwrap_or_default();
    let structured = |hint: &str| {
        ["dict", "list", "Dict", "List"]
            .iter()
            .any(|ty| hint.trim().starts_with(ty))
    };
    let mut uses = Vec::new();
    if signatures.iter().any(|tool| structured(&tool.returns)) {
        uses.push(
            "`results: json`, which returns dicts and lists as Python's json.dumps writes them",
        );
    }
    if domain.tools.iter().any(|tool| is_nested(&tool.parameters)) {
        uses.push("nested arguments that are checked at every depth (TypedDict, dataclass)");
    }
    if leaks {
        uses.push("`split: {by: owner, ..}`, which keeps a record with its owner");
    }
    if uses.is_empty() {
        return None;
    }
    let message = format!(
        "it is of format 1; `format: 2` gives it {}. Tasks as given (tasks.jsonl), user tools and lists in the state are new too",
        uses.join(", ")
    );
    Some(Problem::new(&domain.dir.join("domain.yaml"), message, ""))
}

/// Returns true when a parameter is an object, or a list of objects or of anything.
fn is_nested(parameters: &Value) -> bool {
    let properties = parameters["properties"].as_object();
    properties.into_iter().flatten().any(|(_, schema)| {
        let items = schema.get("items");
        is(schema, "object")
            || (is(schema, "array") && items.is_none_or(|items| is(items, "object")))
    })
}
