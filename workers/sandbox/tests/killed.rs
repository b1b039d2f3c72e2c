//! A sandbox whose process is killed from outside, by a person or a node short of memory. In a file of its own, because it
//! kills every sandbox that its test process started.
#![allow(clippy::unwrap_used)]

use agoge_sandbox::{Limits, Outcome, Overlay, Program, Sandbox, State};
use serde_json::{Map, json};

/// Kills the children of this process.
fn kill_children() {
    let own = std::process::id().to_string();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // `pid (name) state ppid ...`
        let parent = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(1));
        if parent == Some(own.as_str()) {
            let pid = entry.file_name().into_string().unwrap();
            let status = std::process::Command::new("kill")
                .args(["-9", &pid])
                .status()
                .unwrap();
            assert!(status.success());
        }
    }
}

#[test]
fn a_run_whose_process_was_killed_from_outside_is_played_again() {
    let state = State::from_json(json!({"things": {"1": {"n": 1}}})).unwrap();
    let tools = "def add() -> int:\n    t = db_get(\"things\", \"1\")\n    t[\"n\"] = t[\"n\"] + 1\n    db_put(\"things\", \"1\", t)\n    return t[\"n\"]\n";
    let program = Program {
        state,
        tools: tools.into(),
    };
    let mut sandbox = Sandbox::spawn(program, Limits::default()).unwrap();
    let (first, overlay) = sandbox.call(
        &Overlay::default(),
        "2025-01-01T00:00:00",
        "add",
        &Map::new(),
    );
    assert_eq!(first, Outcome::Value(json!(2)));
    kill_children();
    let (second, after) = sandbox.call(&overlay, "2025-01-01T00:00:00", "add", &Map::new());
    assert_eq!(
        second,
        Outcome::Value(json!(3)),
        "neither lost nor done twice"
    );
    assert_ne!(after, overlay);
}
