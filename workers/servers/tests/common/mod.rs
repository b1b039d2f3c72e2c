//! Folders of domains whose tools live on servers.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agoge_dialogue::ToolCall;
use agoge_sandbox::Limits;
use agoge_world::{Domain, Task, World};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The folder of the test's own service.
pub fn rooms() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers")
}

/// Writes a domain's folder: these `tools:`, and files beside the usual ones.
pub fn folder(tools: &Value, files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let head = json!({"name": "rooms", "format": 2, "prompt": "rooms desk", "errorText": "{}",
        "now": "2025-03-01T09:00:00", "tools": tools});
    let usual = [
        ("domain.yaml", head.to_string()),
        ("policy.md", "Book rooms for guests.\n".to_owned()),
        ("schema.json", json!({"type": "object"}).to_string()),
        ("state.json", "{}".to_owned()),
    ];
    let given = files.iter().map(|(name, text)| (*name, (*text).to_owned()));
    for (name, text) in usual.into_iter().chain(given) {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// A world of the domain in a folder.
pub fn world(domain: &Arc<Domain>) -> World {
    World::open(domain.clone(), Limits::default()).unwrap()
}

/// The domain in a folder, with its servers.
pub fn loaded(folder: &Path) -> Arc<Domain> {
    Arc::new(agoge_servers::load(folder).unwrap())
}

/// A call.
pub fn call(name: &str, arguments: Value) -> ToolCall {
    ToolCall::new(name, arguments.as_object().unwrap().clone())
}

/// A task with these gold calls.
pub fn task(gold: &[ToolCall]) -> Task {
    let user = json!({"instruction": "You want a room.", "opening": "Hello, I want a room."});
    serde_json::from_value(json!({"id": "t1", "user": user, "gold": gold})).unwrap()
}

/// The names of the domain's tools.
pub fn names(domain: &Domain) -> Vec<&str> {
    domain.tools.iter().map(|tool| tool.name.as_str()).collect()
}
