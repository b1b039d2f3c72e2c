//! Domains of tau2-bench from data of our own making: what an import writes, what it finds, and the canonical hash.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use agoge_checker::Judge;
use agoge_dialogue::Message;
use agoge_forms::tau2;
use agoge_sandbox::Limits;
use agoge_world::{Domain, Episode, World};
use serde_json::{Value, json};

fn put(dir: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join(name), text).unwrap();
}

/// A checkout that has the domain mock, with tasks and people that tau2-bench does not have.
fn checkout(root: &Path) {
    let dir = root.join("data/tau2/domains/mock");
    put(&dir, "policy.md", "Keep the list of tasks.");
    let db = json!({
        "users": {"u1": {"tasks": ["task_1"], "user_id": "u1", "name": "Ada"}},
        "tasks": {"task_1": {"status": "pending", "title": "Water the plants", "task_id": "task_1"}},
    });
    put(&dir, "db.json", &db.to_string());
    let user_db = json!({"notifications": {"n1": {"notification_id": "n1", "message": "Plants!"}}});
    put(&dir, "user_db.json", &user_db.to_string());
    let task = |id: &str, criteria: Value| json!({"id": id, "user_scenario": {"instructions": "Ask for it."}, "evaluation_criteria": criteria});
    let done = |id: &str| json!({"name": "update_task_status", "arguments": {"task_id": id, "status": "completed"}});
    let mut read = task(
        "read",
        json!({
            "actions": [done("task_1"), {"name": "dismiss_notification", "arguments": {"notification_id": "n2"}, "requestor": "user"}],
            "env_assertions": [{"env_type": "user", "func_name": "assert_notification_status",
                "arguments": {"notification_id": "n2", "expected_status": "read"}}],
            "reward_basis": ["DB", "ENV_ASSERTION"],
        }),
    );
    read["initial_state"] = json!({
        "initialization_data": {"agent_data": {"users": {"u1": {"name": "Bea"}}}},
        "initialization_actions": [{"env_type": "user", "func_name": "add_notification",
            "arguments": {"notification_id": "n2", "message": "Again!"}}],
    });
    let tasks = json!([
        task(
            "finish",
            json!({"actions": [done("task_1")], "communicate_info": ["watered"], "nl_assertions": ["It is kind."]})
        ),
        task(
            "twice",
            json!({"actions": [done("task_9"), done("task_1")]})
        ),
        read,
        task("other", json!({"actions": []})),
    ]);
    put(&dir, "tasks.json", &tasks.to_string());
    let splits = json!({"train": ["finish"], "test": ["twice", "read"], "base": ["finish", "twice", "read"]});
    put(&dir, "split_tasks.json", &splits.to_string());
}

#[test]
fn an_import_is_a_sound_domain_whose_gold_passes_and_whose_refused_calls_are_marked() {
    let root = tempfile::tempdir().unwrap();
    checkout(root.path());
    let out = root.path().join("mock");
    let imported = tau2::import(root.path(), "mock", false).unwrap();
    assert_eq!(imported.left_out, 1);
    let written = imported.clone().write(&out, Limits::default()).unwrap();
    let again = imported
        .write(&out, Limits::default())
        .unwrap_err()
        .to_string();
    assert!(again.contains("is there already"), "{again}");

    let marked: Vec<(&str, u32)> = (written.refused.iter())
        .map(|refused| (refused.task.as_str(), refused.number))
        .collect();
    assert_eq!(marked, [("twice", 1)]);
    assert_eq!((written.training, written.judged), (1, 0));
    let domain = written.domain;
    let fails: Vec<&[u32]> = domain.tasks.iter().map(|task| &task.fails[..]).collect();
    assert_eq!(fails, [&[][..], &[1], &[]]);

    let mut world = World::open(domain.clone(), Limits::default()).unwrap();
    let mut judge = Judge::new();
    for task in &domain.tasks {
        let begun = world.begin(task).unwrap();
        let mut episode = begun.clone();
        for call in &task.gold {
            world.call(&mut episode, call);
        }
        let told = [
            Message::user("hello"),
            Message::assistant("They are watered."),
        ];
        let verdict = judge.check(&mut world, task, &episode, &told);
        assert!(verdict.pass, "{}: {}", task.id, verdict.why());
        assert!(
            !judge.check(&mut world, task, &begun, &told).pass,
            "{}",
            task.id
        );
        let (before, after) = (
            tau2::tau2_hash(&domain, &begun),
            tau2::tau2_hash(&domain, &episode),
        );
        assert_ne!(before.0, after.0, "{}", task.id);
        assert_eq!(before.1 != after.1, task.id == "read", "{}", task.id);
    }
}

#[test]
fn what_is_not_there_is_named() {
    let root = tempfile::tempdir().unwrap();
    checkout(root.path());
    for (name, word) in [("airline", "name a checkout"), ("banking", "no tools for")] {
        let error = tau2::import(root.path(), name, false)
            .unwrap_err()
            .to_string();
        assert!(error.contains(word), "{error}");
    }
    put(
        &root.path().join("data/tau2/domains/mock"),
        "tasks.json",
        "[{\"id\": \"x\"}]",
    );
    let error = tau2::import(root.path(), "mock", true)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("task 1 (`x`)") && error.contains("user_scenario"),
        "{error}"
    );
}

#[test]
fn the_canonical_hash_is_that_of_python() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path();
    let schema = json!({"properties": {
        "people": {"type": "object", "additionalProperties": {"type": "object"}},
        "lines": {"type": "array", "x-agoge-list": "id"},
        "phone": {"type": "object", "x-agoge-singleton": true, "x-tau2-db": "user"},
    }});
    let state = json!({
        "phone": {"on": true},
        "people": {"é": {"t": "a\"\n", "n": null}},
        "lines": [{"id": "b", "sum": 3.0}, {"sum": 0.1, "id": "a"}],
    });
    let tool = "def look() -> str:\n    \"\"\"Look.\"\"\"\n    return \"ok\"\n";
    put(dir, "domain.yaml", "name: desk\nformat: 2\n");
    put(dir, "policy.md", "Be kind.");
    put(dir, "schema.json", &schema.to_string());
    put(dir, "state.json", &state.to_string());
    put(dir, "tools.py", tool);
    let domain = Domain::load(dir).unwrap();
    let mut episode = Episode::default();
    let added = json!({"id": "c", "sum": 1e16});
    episode.overlay.put(&domain.state, "lines", "c", added);
    // hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest() of {"lines": .., "people": ..} and {"phone": ..}
    let (agent, user) = tau2::tau2_hash(&domain, &episode);
    assert_eq!(
        agent,
        "67a6c366f16a3776a4653be1d2253c7e6607cd42ebae2380620054a42cda15b4"
    );
    assert_eq!(
        user.as_deref(),
        Some("7d393595f45db481d8e9542a2c536af364c200f0b3b638b63110eec0a94a0ec7")
    );
}
