//! Arguments that are not compared as they are: what they wrote counts as the task says, and everything else as ever.
#![allow(clippy::unwrap_used)]
use agoge_checker::{Thresholds, check, qualify};
use agoge_dialogue::ToolCall;
use agoge_sandbox::Limits;
use agoge_world::{Domain, Task, World};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::sync::Arc;

const TOOLS: &str = r#""""Tools of a desk."""


def report(ticket: str, text: str, fee: float) -> str:
    """Write a report into a ticket."""
    t = db_get("tickets", ticket)
    if t is None:
        raise ValueError("no ticket " + ticket)
    t["log"] = t["log"] + [{"text": text.strip(), "by": "desk"}]
    t["length"] = len(text)
    t["fee"] = fee
    t["open"] = False
    db_put("tickets", ticket, t)
    return "ok"
"#;

fn desk() -> World {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("domain.yaml", "name: desk\nformat: 2\nprompt: desk\n");
    write("policy.md", "Report.\n");
    write("tools.py", TOOLS);
    let ticket = json!({"type": "object", "properties": {"fee": {"type": "number"}, "open": {"type": "boolean"}}});
    write(
        "schema.json",
        &json!({"properties": {"tickets": {"additionalProperties": ticket}}}).to_string(),
    );
    let ticket = json!({"log": [], "length": 0, "fee": 0.0, "open": true});
    write(
        "state.json",
        &json!({"tickets": {"t1": ticket, "t2": ticket, "t3": ticket}}).to_string(),
    );
    World::open(
        Arc::new(Domain::load(dir.path()).unwrap()),
        Limits::default(),
    )
    .unwrap()
}

fn report(ticket: &str, text: &str, fee: f64) -> Value {
    json!({"name": "report", "arguments": {"ticket": ticket, "text": text, "fee": fee}})
}

fn task(compare: &Value, calls: &Value) -> Task {
    serde_json::from_value(json!({
        "id": "a", "user": {"instruction": "report it"}, "gold": [report("t1", "the lamp is broken", 4.0)],
        "compare": compare, "calls": calls,
    }))
    .unwrap()
}

fn passes(world: &mut World, task: &Task, made: &Value) -> bool {
    let mut episode = world.begin(task).unwrap();
    let call: ToolCall = serde_json::from_value(made.clone()).unwrap();
    assert!(world.call(&mut episode, &call).worked());
    check(world, task, &episode, &[]).pass
}

#[test]
fn an_ignored_argument_never_changes_a_verdict_and_a_tolerance_is_symmetric() {
    let world = RefCell::new(desk());
    let ignored = task(
        &json!({"text": "ignore", "report.fee": {"tolerance": 0.05}}),
        &json!([]),
    );
    let mut runner = TestRunner::new(Config::with_cases(40));
    let cases = ("[a-zA-Z ]{0,40}", 0.0..0.2_f64, 1..3_u8);
    runner
        .run(&cases, |(text, off, ticket)| {
            let mut world = world.borrow_mut();
            let ticket = format!("t{ticket}");
            let verdict = |world: &mut World, text: &str, fee: f64| {
                passes(world, &ignored, &report(&ticket, text, fee))
            };
            let plain = verdict(&mut world, "the lamp is broken", 4.0 + off);
            prop_assert_eq!(verdict(&mut world, &text, 4.0 + off), plain);
            prop_assert_eq!(verdict(&mut world, &text, 4.0 - off), plain);
            prop_assert_eq!(plain, ticket == "t1" && off <= 0.05);
            Ok(())
        })
        .unwrap();
}

#[test]
fn without_a_rule_every_letter_counts_and_with_one_the_rest_still_does() {
    let mut world = desk();
    let strict = task(&json!({}), &json!([]));
    assert!(passes(
        &mut world,
        &strict,
        &report("t1", "the lamp is broken", 4.0)
    ));
    assert!(!passes(
        &mut world,
        &strict,
        &report("t1", "the lamp is broken.", 4.0)
    ));
    // The length depends on the text as well, and has no letters: only texts of one length are alike.
    let like = task(&json!({"text": {"like": 0.8}}), &json!([]));
    assert!(passes(
        &mut world,
        &like,
        &report("t1", "The lamp is broken", 4.0)
    ));
    assert!(!passes(
        &mut world,
        &like,
        &report("t1", "the door is closed", 4.0)
    ));
    assert!(!passes(
        &mut world,
        &like,
        &report("t1", "The lamp is broken", 5.0)
    ));
}

#[test]
fn a_required_call_is_compared_by_the_same_rule() {
    let mut world = desk();
    let wanted =
        json!([{"name": "report", "arguments": {"text": "the lamp is broken", "ticket": "t1"}}]);
    let near = task(&json!({"text": {"like": 0.8}}), &wanted);
    assert!(passes(
        &mut world,
        &near,
        &report("t1", "The lamp is broken", 4.0)
    ));
    assert!(!passes(&mut world, &near, &report("t1", "no idea", 4.0)));
    let ignored = task(&json!({"text": "ignore"}), &wanted);
    assert!(passes(&mut world, &ignored, &report("t1", "no idea", 4.0)));
}

#[test]
fn qualification_takes_another_text_for_an_equivalent_solution() {
    let mut world = desk();
    let ignored = task(&json!({"text": "ignore"}), &json!([]));
    let found = qualify(&mut world, &ignored, 3, &Thresholds::default()).unwrap();
    assert!(found.qualified, "{:?}", found.reason);
    assert_eq!(found.mutants.survivors, Vec::<String>::new());
}
