//! The `given` strategy: the tasks that a domain brings, kept as they are and in their splits; rejected ones are not replaced.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use agoge_crds::synthesis_job::Split;
use agoge_sandbox::Limits;
use agoge_store::Store;
use agoge_synthesis::engine::{Job, Outcome, Settings, SynthesisError, run};
use agoge_synthesis::strategies::given::Given;
use agoge_synthesis::{Attempt, Gate};
use agoge_world::Domain;
use serde_json::{Value, json};

const TOOLS: &str = r#""""Tools of a library of seeds."""


def look(packet: str) -> str:
    """Look a packet up."""
    p = db_get("packets", packet)
    if p is None:
        raise ValueError("no packet " + packet)
    return f"plant={p['plant']} left={p['left']}"


def lend(packet: str, count: int) -> str:
    """Lend seeds of a packet."""
    p = db_get("packets", packet)
    if p is None:
        raise ValueError("no packet " + packet)
    if count > p["left"]:
        raise ValueError("too few are left")
    p["left"] = p["left"] - count
    db_put("packets", packet, p)
    return "lent"
"#;

fn call(name: &str, arguments: Value) -> Value {
    json!({"name": name, "arguments": arguments})
}

/// A domain that gives five tasks: one for training with the words of both sides, two that ask for the same, one whose gold
/// fails, and one that is to be refused.
fn domain(dir: &Path) -> Arc<Domain> {
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    write("domain.yaml", "name: seeds\nformat: 2\nprompt: seeds\n");
    write("policy.md", "Lend what is left.\n");
    write("tools.py", TOOLS);
    let packet = json!({"type": "object", "properties": {
        "plant": {"type": "string"}, "left": {"type": "integer"},
    }});
    let schema = json!({"properties": {"packets": {"additionalProperties": packet}}});
    write("schema.json", &schema.to_string());
    let packets: Value = (40_001..)
        .zip(["bean", "leek", "kale", "beet", "dill", "mint"])
        .map(|(id, plant)| (id.to_string(), json!({"plant": plant, "left": 9})))
        .collect();
    write("state.json", &json!({"packets": packets}).to_string());
    let lend = call("lend", json!({"packet": "40001", "count": 2}));
    let user = |says: &str| json!({"instruction": says});
    let spoken = json!({
        "instruction": "two beans", "opening": "two seeds of packet 40001, please", "closing": "Thanks. ###",
    });
    let tasks = [
        json!({"id": "spoken", "split": "train", "user": spoken, "agent": {"answer": "The seeds are lent."}, "gold": [lend]}),
        json!({"id": "one", "split": "test", "user": user("two beans of 40001"), "gold": [lend]}),
        json!({"id": "same", "split": "test", "user": user("beans, a pair"), "gold": [lend]}),
        json!({"id": "broken", "split": "train", "user": user("kale"), "gold": [call("lend", json!({"packet": "40003", "count": 99}))]}),
        json!({"id": "refusal", "split": "test", "user": user("a hundred mints"), "gold": [call("look", json!({"packet": "40006"}))]}),
    ];
    let lines: Vec<String> = tasks.iter().map(Value::to_string).collect();
    write("tasks.jsonl", &lines.join("\n"));
    Arc::new(Domain::load(dir).unwrap())
}

fn made(strategy: Given, target: usize, dir: &Path) -> Result<Outcome, SynthesisError> {
    let folder = dir.join("domain");
    std::fs::create_dir_all(&folder).unwrap();
    let job = Job {
        settings: Settings {
            seed: 7,
            target,
            ..Settings::default()
        },
        domain: domain(&folder),
        limits: Limits::default(),
        threads: 2,
        clients: None,
        known: Vec::new(),
        store: Store::open(dir.join("store")).unwrap(),
        ledger: dir.join("given.jsonl"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run(strategy, job, &|_| ()))
}

#[test]
fn tasks_are_kept_as_given_and_a_broken_one_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    // The spoken task is listed twice: as a demonstration and for reinforcement learning.
    let outcome = made(Given::default(), 6, dir.path()).unwrap();
    let told: Vec<(&str, Gate, Split)> = outcome
        .attempts
        .iter()
        .map(|one| (one.id.as_str(), one.gate, one.split))
        .collect();
    assert_eq!(
        told,
        [
            ("trainSft/spoken", Gate::Accepted, Split::TrainSft),
            ("trainRl/spoken", Gate::Accepted, Split::TrainRl),
            ("trainRl/broken", Gate::Gold, Split::TrainRl),
            ("heldout/one", Gate::Accepted, Split::Heldout),
            ("heldout/same", Gate::Accepted, Split::Heldout),
            ("heldout/refusal", Gate::Accepted, Split::Heldout),
        ]
    );
    assert_eq!(outcome.report.ended.as_deref(), Some("TasksExhausted"));
    let one = |id: &str| -> &Attempt { outcome.attempts.iter().find(|one| one.id == id).unwrap() };
    let shown = one("trainSft/spoken");
    assert!(!shown.messages.is_empty() && shown.verdict.as_ref().unwrap().pass);
    assert!(one("heldout/one").messages.is_empty());
    assert!(
        one("trainRl/broken")
            .reason
            .as_ref()
            .unwrap()
            .contains("too few")
    );
    assert!(one("heldout/refusal").task.as_ref().unwrap().refusal);
    // What the strategy qualified, the suite takes over.
    assert_eq!(outcome.qualifications.by_key.len(), 4);
}

#[test]
fn parts_and_target_choose_tasks_and_too_many_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let heldout = Given {
        parts: vec![Split::Heldout],
    };
    let ids = |outcome: &Outcome| -> Vec<String> {
        outcome.attempts.iter().map(|one| one.id.clone()).collect()
    };
    let two = made(heldout.clone(), 2, dir.path()).unwrap();
    assert_eq!(ids(&two), ["heldout/one", "heldout/same"]);
    assert_eq!(two.report.ended, None);
    let other = tempfile::tempdir().unwrap();
    let error = made(heldout, 4, other.path()).unwrap_err().to_string();
    assert!(error.contains("ask for at most 3"), "{error}");
}
