//! A tool server that does not show its state: results and messages are checked, and qualification says what was not.
#![allow(clippy::unwrap_used)]
use agoge_checker::{Judge, Thresholds, Verdict, check, qualify, with_derived_refusal};
use agoge_dialogue::{ToolCall, ToolSpec};
use agoge_sandbox::{Limits, Overlay};
use agoge_world::{Capabilities, Domain, Foreign, Lost, Served, Task, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A hotel's bell, which counts how often it rang for a guest and shows the count to nobody but its callers.
#[derive(Debug)]
struct Bell;

impl Foreign for Bell {
    fn capabilities(&self) -> Capabilities {
        Capabilities::FORK
            .and(Capabilities::REPLAY)
            .and(Capabilities::DETERMINISTIC)
    }

    fn has(&self, tool: &str) -> bool {
        matches!(tool, "ring" | "rung")
    }

    fn owns(&self, _collection: &str) -> bool {
        false
    }

    fn call(&self, before: &[ToolCall], call: &ToolCall) -> Result<Served, Lost> {
        let alike = |one: &&ToolCall| one.name == "ring" && one.arguments == call.arguments;
        let times = before.iter().filter(alike).count() + usize::from(call.name == "ring");
        Ok(Served {
            content: json!(format!("it rang {times} times")),
            error: false,
            overlay: Overlay::default(),
        })
    }
}

fn hotel() -> World {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("domain.yaml", "name: hotel\nformat: 2\nprompt: hotel\n");
    write("policy.md", "Ring for the guest.\n");
    write(
        "tools.py",
        "def hours() -> str:\n    \"\"\"Say when the desk is open.\"\"\"\n    return \"all day\"\n",
    );
    write("schema.json", "{}");
    let guests = ["ann", "bob", "cat", "dan", "eve", "fay"];
    let guests: BTreeMap<&str, Value> = guests.into_iter().map(|id| (id, json!({}))).collect();
    write("state.json", &json!({"guests": guests}).to_string());
    let tool = |name: &str| ToolSpec {
        name: name.into(),
        description: String::new(),
        parameters: json!({
            "type": "object", "properties": {"guest": {"type": "string"}}, "required": ["guest"],
        }),
    };
    let tools = vec![tool("ring"), tool("rung")];
    let domain = Domain::load(dir.path()).unwrap();
    let domain = domain
        .attach(Arc::new(Bell), tools, BTreeMap::new())
        .unwrap();
    World::open(Arc::new(domain), Limits::default()).unwrap()
}

fn call(name: &str, guest: &str) -> Value {
    json!({"name": name, "arguments": {"guest": guest}})
}

fn task(gold: &Value) -> Task {
    let text = json!({"id": "ring", "user": {"instruction": "ring for ann"}, "gold": gold});
    serde_json::from_value(text).unwrap()
}

fn judged(world: &mut World, task: &Task, calls: &Value) -> Verdict {
    let mut episode = world.begin(task).unwrap();
    for call in serde_json::from_value::<Vec<ToolCall>>(calls.clone()).unwrap() {
        world.call(&mut episode, &call);
    }
    check(world, task, &episode, &[])
}

#[test]
fn results_stand_in_for_a_state_that_nobody_sees_and_qualification_says_so() {
    let mut world = hotel();
    let gold = json!([call("ring", "ann"), call("ring", "ann")]);
    let task = task(&gold);
    let right = judged(&mut world, &task, &gold);
    assert_eq!(
        right.breakdown(),
        BTreeMap::from([("results", 1.0), ("state", 1.0)])
    );
    let once = judged(&mut world, &task, &json!([call("ring", "ann")]));
    assert!(
        !once.pass && once.why().contains("it rang 2 times"),
        "{}",
        once.why()
    );
    let other = judged(
        &mut world,
        &task,
        &json!([call("ring", "bob"), call("ring", "bob")]),
    );
    assert!(other.why().contains("was never called"), "{}", other.why());

    let found = qualify(&mut world, &task, 3, &Thresholds::default()).unwrap();
    assert!(found.qualified && !found.nothing_passes, "{found:?}");
    let warned = |words: &str| found.warnings.iter().any(|one| one.contains(words));
    assert!(
        warned("diff") && warned("does not show its state"),
        "{found:?}"
    );

    // Nothing is known about the changes of gold, so that no refusal is derived from them.
    let derived = with_derived_refusal(&mut world, &task).unwrap();
    assert!(!derived.refusal);
    let gold = Judge::new().gold(&mut world, &task);
    assert!(gold.as_ref().as_ref().is_ok_and(|gold| !gold.acts()));
}
