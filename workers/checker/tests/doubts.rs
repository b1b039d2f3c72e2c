//! Gold that merely runs: calls that a tool declines by value, calls that leave no trace, writes whose order nobody declared,
//! and amounts kept as texts. The domain is a bicycle workshop.
#![allow(clippy::unwrap_used)]
use agoge_checker::{Qualification, Thresholds, check, qualify};
use agoge_dialogue::Message;
use agoge_sandbox::Limits;
use agoge_world::{Domain, Episode, Task, World};
use serde_json::{Value, json};
use std::sync::Arc;

const TOOLS: &str = r#""""Tools of a bicycle workshop."""


def look(job: str) -> str:
    """Look a job up."""
    j = db_get("jobs", job)
    if j is None:
        return "Error: no job " + job
    return f"bike={j['bike']} parts={len(j['parts'])}"


def charge(job: str, amount: str) -> dict:
    """Set the price of a job, such as 12.50."""
    j = db_get("jobs", job)
    if j is None:
        return {"error": "no job " + job}
    j["price"] = amount
    db_put("jobs", job, j)
    return {"ok": True, "error": None}


def add_part(job: str, part: str) -> str:
    """Put a part on the list of a job."""
    j = db_get("jobs", job)
    if j is None:
        raise ValueError("no job " + job)
    j["parts"].append(part)
    db_put("jobs", job, j)
    return "ok"


def ring(job: str, words: str) -> str:
    """Have a person ring the owner of a job."""
    if db_get("jobs", job) is None:
        raise ValueError("no job " + job)
    return "rang about " + job


def sum_of(one: int, other: int) -> int:
    """Add two numbers."""
    return one + other
"#;

/// A workshop whose list of parts has this schema, with these lines in its domain.yaml.
fn workshop(parts: &Value, head: &str) -> World {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "domain.yaml",
        &format!("name: workshop\nprompt: workshop\n{head}"),
    );
    write("policy.md", "Look a job up first.\n");
    write("tools.py", TOOLS);
    let job = json!({"type": "object", "properties": {"parts": parts}});
    let schema = json!({"properties": {"jobs": {"additionalProperties": job}}});
    write("schema.json", &schema.to_string());
    let bikes = ["red", "blue", "green", "old", "new", "tall"];
    let jobs: Value = (20_001..)
        .zip(bikes)
        .map(|(id, bike)| {
            let record = json!({"bike": bike, "parts": [], "price": "0.00"});
            (id.to_string(), record)
        })
        .collect();
    write("state.json", &json!({"jobs": jobs}).to_string());
    World::open(
        Arc::new(Domain::load(dir.path()).unwrap()),
        Limits::default(),
    )
    .unwrap()
}

fn plain() -> World {
    workshop(&json!({"type": "array"}), "")
}

fn task(gold: &Value, outputs: &[&str]) -> Task {
    let user = json!({"instruction": "see to job 20001", "opening": "see to job 20001"});
    let text = json!({"id": "job", "user": user, "gold": gold, "outputs": outputs});
    serde_json::from_value(text).unwrap()
}

fn call(name: &str, arguments: &Value) -> Value {
    json!({"name": name, "arguments": arguments})
}

fn part(job: &str, part: &str) -> Value {
    call("add_part", &json!({"job": job, "part": part}))
}

fn qualified(world: &mut World, task: &Task) -> Qualification {
    qualify(world, task, 3, &Thresholds::default()).unwrap()
}

/// The verdict on an agent that makes these calls and says all outputs.
fn judged(world: &mut World, task: &Task, calls: &Value) -> agoge_checker::Verdict {
    let mut episode = Episode::default();
    for call in serde_json::from_value::<Vec<_>>(calls.clone()).unwrap() {
        world.call(&mut episode, &call);
    }
    let said = [Message::assistant(&task.outputs.join(" ; "))];
    check(world, task, &episode, &said)
}

#[test]
fn gold_that_a_tool_declines_by_value_is_quarantined_but_for_a_refusal() {
    let mut world = plain();
    let unknown = json!([call("charge", &json!({"job": "29999", "amount": "5.00"}))]);
    let found = qualified(&mut world, &task(&unknown, &["charged"]));
    assert!(!found.qualified && !found.gold);
    let reason = found.reason.unwrap();
    assert!(
        reason.contains("call 1 (charge): the tool declined it"),
        "{reason}"
    );

    let refusal = json!([call("look", &json!({"job": "29999"}))]);
    let refusal = Task {
        refusal: true,
        ..task(&refusal, &["no such job"])
    };
    let found = qualified(&mut world, &refusal);
    assert!(found.gold && found.qualified, "{found:?}");
    assert!(
        !qualified(
            &mut world,
            &Task {
                refusal: false,
                ..refusal
            }
        )
        .gold
    );
}

#[test]
fn a_call_without_a_trace_is_warned_about_until_a_part_requires_it() {
    let mut world = plain();
    let look = call("look", &json!({"job": "20001"}));
    let ring = call("ring", &json!({"job": "20001", "words": "it is ready"}));
    let sum = call("sum_of", &json!({"one": 1200, "other": 34}));
    let free = task(&json!([look, sum, ring]), &["1234"]);
    let found = qualified(&mut world, &free);
    assert!(found.qualified, "{found:?}");
    assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
    assert!(
        found.warnings[0].starts_with("call 3 (ring)"),
        "{:?}",
        found.warnings
    );
    assert!(
        found
            .mutants
            .survivors
            .contains(&"call 3 ring left out".to_owned())
    );
    assert!(judged(&mut world, &free, &json!([look])).pass);

    let required = json!([call("ring", &json!({"job": "20001"}))]);
    let bound = Task {
        calls: serde_json::from_value(required).unwrap(),
        ..free.clone()
    };
    let found = qualified(&mut world, &bound);
    assert!(found.qualified && found.warnings.is_empty(), "{found:?}");
    assert_eq!(found.mutants.killed, found.mutants.tried);
    let other = call("ring", &json!({"job": "20002", "words": "it is ready"}));
    for wrong in [json!([look]), json!([look, other])] {
        let verdict = judged(&mut world, &bound, &wrong);
        assert!(
            !verdict.pass && verdict.why().contains("never called ring"),
            "{}",
            verdict.why()
        );
    }
    let kind = call("ring", &json!({"job": 20001, "words": "come"}));
    assert!(judged(&mut world, &bound, &json!([look, kind])).pass);

    let mut informing = workshop(&json!({}), "lookups: [ring]\n");
    let found = qualified(&mut informing, &free);
    assert!(found.qualified && found.warnings.is_empty(), "{found:?}");
}

#[test]
fn the_order_of_writes_counts_as_the_schema_declares() {
    let gold = json!([part("20001", "tube"), part("20001", "bell")]);
    let swapped = json!([part("20001", "bell"), part("20001", "tube")]);
    let task = task(&gold, &["added"]);
    let lists = [
        (json!({"type": "array"}), false, 1),
        (json!({"type": "array", "x-agoge-unordered": true}), true, 0),
        (
            json!({"type": "array", "x-agoge-unordered": false}),
            false,
            0,
        ),
    ];
    for (list, passes, warnings) in lists {
        let mut world = workshop(&list, "");
        let found = qualified(&mut world, &task);
        assert!(found.qualified, "{list}: {found:?}");
        assert_eq!(
            found.warnings.len(),
            warnings,
            "{list}: {:?}",
            found.warnings
        );
        let named = |warning: &String| warning.contains("jobs.parts") && warning.contains("order");
        assert!(found.warnings.iter().all(named), "{:?}", found.warnings);
        assert_eq!(judged(&mut world, &task, &swapped).pass, passes, "{list}");
        assert!(!judged(&mut world, &task, &json!([part("20001", "tube")])).pass);
    }
}

#[test]
fn a_script_that_fails_writes_in_another_order_is_quarantined() {
    let mut world = plain();
    let gold = json!([part("20001", "tube"), part("20002", "bell")]);
    let state = "len(final_get('jobs', '20001')['parts']) == 1 and final_get('jobs', '20001')['parts'][0] == 'tube' \
                 and final_get('jobs', '20002')['parts'] == ['bell'] and len(diff()) == 2";
    let scripted = |condition: &str| Task {
        checker: Some(format!(
            "def check(calls, messages):\n    return {condition}\n"
        )),
        ..task(&gold, &["added"])
    };
    let sound = qualified(&mut world, &scripted(state));
    assert!(sound.qualified, "{sound:?}");
    let first = "calls[0]['arguments']['part'] == 'tube'";
    let strict = qualified(
        &mut world,
        &scripted(&format!("len(calls) > 0 and {state} and {first}")),
    );
    assert!(!strict.qualified && !strict.equivalent_paths, "{strict:?}");
}

#[test]
fn an_amount_that_is_written_as_a_text_is_warned_about() {
    let mut world = plain();
    let gold = json!([call("charge", &json!({"job": "20001", "amount": "12.50"}))]);
    let found = qualified(&mut world, &task(&gold, &["charged"]));
    assert!(found.qualified, "{found:?}");
    assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
    assert!(
        found.warnings[0].starts_with("jobs.price takes an amount"),
        "{:?}",
        found.warnings
    );
}
