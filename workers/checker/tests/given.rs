//! Tasks as teams write them: assertions, a basis, gold that fails, a beginning of their own, and calls of the user. The domain
//! is the desk of a swimming pool: the agent assigns lockers, and the user has the key.
#![allow(clippy::unwrap_used)]
use agoge_checker::{
    Cause, Evidence, Gold, Judge, Qualification, Thresholds, Verdict, aggregate, attribute, check,
    qualify, with_derived_refusal,
};
use agoge_dialogue::{Message, ToolCall};
use agoge_sandbox::Limits;
use agoge_world::{Basis, Domain, Episode, Task, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const TOOLS: &str = r#""""Tools of the desk."""


def look(locker: str) -> str:
    """Look a locker up."""
    l = db_get("lockers", locker)
    if l is None:
        raise ValueError("no locker " + locker)
    return f"size={l['size']} member={l['member']}"


def assign(locker: str, member: str) -> str:
    """Assign a free locker to a member."""
    l = db_get("lockers", locker)
    if l is None:
        raise ValueError("no locker " + locker)
    if l["member"] != "":
        raise ValueError("locker " + locker + " is taken")
    l["member"] = member
    db_put("lockers", locker, l)
    return "assigned"


def _is_assigned(locker: str, member: str) -> bool:
    l = db_get("lockers", locker)
    holder = l["member"]
    l["member"] = "nobody"
    db_put("lockers", locker, l)
    return holder == member


def _says_yes(locker: str) -> str:
    return "yes"


def _paint(locker: str) -> None:
    l = db_get("lockers", locker)
    l["size"] = "painted"
    db_put("lockers", locker, l)
"#;

const USER_TOOLS: &str = r#""""What a member can do."""


def turn_key(locker: str) -> str:
    """Turn the key of a locker."""
    l = db_get("lockers", locker)
    l["locked"] = not l["locked"]
    db_put("lockers", locker, l)
    return "turned"
"#;

fn pool() -> World {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("domain.yaml", "name: pool\nformat: 2\nprompt: pool\n");
    write("policy.md", "Look a locker up first.\n");
    write("tools.py", TOOLS);
    write("user_tools.py", USER_TOOLS);
    let text = json!({"type": "string"});
    let locker = json!({"type": "object", "properties": {
        "size": text, "member": text, "locked": {"type": "boolean"},
    }});
    let schema = json!({"properties": {"lockers": {"additionalProperties": locker}}});
    write("schema.json", &schema.to_string());
    let sizes = ["small", "large", "small", "large", "small", "large"];
    let lockers: Value = (30_001..)
        .zip(sizes)
        .map(|(id, size)| {
            let member = if id == 30_002 { "ann" } else { "" };
            let record = json!({"size": size, "member": member, "locked": false});
            (id.to_string(), record)
        })
        .collect();
    write("state.json", &json!({"lockers": lockers}).to_string());
    let domain = Domain::load(dir.path()).unwrap();
    World::open(Arc::new(domain), Limits::default()).unwrap()
}

fn call(name: &str, arguments: &Value) -> Value {
    json!({"name": name, "arguments": arguments})
}

fn assign(locker: &str) -> Value {
    call("assign", &json!({"locker": locker, "member": "bob"}))
}

fn look(locker: &str) -> Value {
    call("look", &json!({"locker": locker}))
}

/// A task with this gold, and these other fields.
fn task(gold: &Value, fields: &Value) -> Task {
    let mut text =
        json!({"id": "locker", "user": {"instruction": "a locker for bob"}, "gold": gold});
    for (key, value) in fields.as_object().unwrap() {
        text[key] = value.clone();
    }
    serde_json::from_value(text).unwrap()
}

fn qualified(world: &mut World, task: &Task) -> Qualification {
    qualify(world, task, 3, &Thresholds::default()).unwrap()
}

/// The verdict on these calls, made from the beginning of the task.
fn judged(world: &mut World, task: &Task, calls: &Value) -> Verdict {
    let mut episode = world.begin(task).unwrap();
    for call in serde_json::from_value::<Vec<ToolCall>>(calls.clone()).unwrap() {
        world.call(&mut episode, &call);
    }
    let said = [Message::assistant(&task.outputs.join(" ; "))];
    check(world, task, &episode, &said)
}

#[test]
fn assertions_are_called_on_the_final_state_and_what_they_write_is_forgotten() {
    let mut world = pool();
    let holds = json!({"name": "is_assigned", "arguments": {"locker": "30001", "member": "bob"}});
    let other = json!({"name": "_is_assigned", "arguments": {"locker": "30001", "member": "ann"}, "is": false});
    let gold = json!([assign("30001")]);
    let sound = task(&gold, &json!({"asserts": [holds, other, holds]}));
    let right = judged(&mut world, &sound, &gold);
    assert!(right.pass, "{}", right.why());
    assert_eq!(
        right.breakdown(),
        BTreeMap::from([("asserts", 1.0), ("state", 1.0)])
    );
    let wrong = judged(&mut world, &sound, &json!([]));
    assert_eq!(
        wrong.breakdown(),
        BTreeMap::from([("asserts", 0.0), ("state", 0.0)])
    );
    assert!(
        wrong
            .why()
            .contains("asserts.is_assigned: it returned False, not True"),
        "{}",
        wrong.why()
    );
    assert!(qualified(&mut world, &sound).qualified);

    let vague = json!({"name": "says_yes", "arguments": {"locker": "30001"}});
    let missing = json!({"name": "is_gone", "arguments": {}, "is": false});
    for (assertion, why) in [(vague, "must return True or False"), (missing, "is_gone")] {
        let unsound = task(&gold, &json!({"asserts": [assertion]}));
        let verdict = judged(&mut world, &unsound, &gold);
        assert!(
            !verdict.pass && verdict.why().contains(why),
            "{}",
            verdict.why()
        );
        let found = qualified(&mut world, &unsound);
        assert!(
            !found.qualified && found.why().starts_with("gold fails"),
            "{found:?}"
        );
    }
}

#[test]
fn only_the_kinds_that_the_basis_names_decide() {
    let mut world = pool();
    let gold = json!([assign("30001")]);
    let holds = json!({"name": "is_assigned", "arguments": {"locker": "30001", "member": "bob"}});
    let fields = json!({"asserts": [holds], "outputs": ["assigned"], "basis": ["asserts"]});
    let by_asserts = task(&gold, &fields);
    let more = json!([assign("30001"), assign("30003")]);
    let verdict = judged(&mut world, &by_asserts, &more);
    assert_eq!(verdict.breakdown(), BTreeMap::from([("asserts", 1.0)]));
    assert_eq!(verdict.reward(), Some(1.0));
    let found = qualified(&mut world, &by_asserts);
    assert!(found.qualified, "{found:?}");
    assert!(
        found
            .warnings
            .iter()
            .any(|one| one.contains("leaves out state")),
        "{found:?}"
    );

    // A kind that is named counts even where the task brings nothing for it.
    let by_state = task(&gold, &json!({"basis": ["state", "outputs"]}));
    let verdict = judged(&mut world, &by_state, &more);
    assert_eq!(
        verdict.breakdown(),
        BTreeMap::from([("outputs", 1.0), ("state", 0.0)])
    );

    // Gold acts, and nothing that counts asks for it.
    let found = qualified(&mut world, &task(&gold, &json!({"basis": ["outputs"]})));
    assert!(!found.qualified && found.nothing_passes, "{found:?}");
    assert!(
        found.why().contains("although gold makes 1 changes"),
        "{}",
        found.why()
    );
}

#[test]
fn a_reward_that_a_model_must_judge_is_none_until_it_did() {
    let mut world = pool();
    let gold = json!([assign("30001")]);
    let beside = task(&gold, &json!({"judge": ["The agent is polite."]}));
    assert_eq!(judged(&mut world, &beside, &gold).reward(), Some(1.0));
    let named = Task {
        basis: vec![Basis::State, Basis::Judge],
        ..beside
    };
    let verdict = judged(&mut world, &named, &gold);
    assert!(verdict.reward().is_none() && !verdict.pass, "{verdict:?}");
    let evidence = Evidence {
        task: &named,
        verdict: &verdict,
        episode: &Episode::default(),
        user_faults: &[],
        infra: None,
        qualification: None,
    };
    assert_eq!(attribute(&evidence).unwrap().0, Cause::Infra);
    let found = qualified(&mut world, &named);
    assert!(found.qualified, "{found:?}");
    assert!(
        found
            .warnings
            .iter()
            .any(|one| one.contains("a model's opinion")),
        "{found:?}"
    );
    let alone = Task {
        basis: vec![Basis::Judge],
        ..named
    };
    assert!(
        qualified(&mut world, &alone)
            .why()
            .contains("only a model's opinion")
    );
}

#[test]
fn gold_may_have_calls_that_the_tool_refuses_where_the_task_says_so() {
    let mut world = pool();
    let gold = json!([assign("30002"), assign("30003")]);
    let silent = task(&gold, &json!({}));
    assert!(
        qualified(&mut world, &silent)
            .why()
            .contains("gold does not execute")
    );
    let honest = task(&gold, &json!({"fails": [1]}));
    let found = qualified(&mut world, &honest);
    assert!(found.qualified && found.warnings.is_empty(), "{found:?}");
    assert!(judged(&mut world, &honest, &json!([assign("30003")])).pass);
    let wrong = task(&gold, &json!({"fails": [1, 2]}));
    assert!(
        qualified(&mut world, &wrong)
            .why()
            .contains("but it worked")
    );
}

#[test]
fn gold_mutants_and_the_empty_trajectory_begin_where_the_task_does() {
    let mut world = pool();
    let gold = json!([assign("30002"), assign("30001")]);
    let fields = json!({
        "records": {"lockers": {"30002": {"member": ""}}},
        "start": [{"name": "paint", "arguments": {"locker": "30004"}}],
        "history": [{"role": "assistant", "content": "", "tool_calls": [assign("30003")]}],
    });
    let begun = task(&gold, &fields);
    let target = Gold::of(&mut world, &begun).unwrap();
    assert_eq!(target.changes.len(), 2, "{:?}", target.changes);
    let found = qualified(&mut world, &begun);
    assert!(found.qualified && !found.nothing_passes, "{found:?}");
    assert!(
        judged(
            &mut world,
            &begun,
            &json!([assign("30001"), assign("30002")])
        )
        .pass
    );
    // The same calls from the domain's own data end elsewhere.
    let mut elsewhere = Episode::default();
    for call in &begun.gold {
        world.call(&mut elsewhere, call);
    }
    assert!(!check(&mut world, &begun, &elsewhere, &[]).pass);
    // A judge that remembers gold tells apart two tasks that differ in their beginning.
    let mut judge = Judge::new();
    let plain = task(&json!([look("30001")]), &json!({"refusal": true}));
    let painted = task(
        &json!([look("30001")]),
        &json!({"refusal": true, "start": fields["start"]}),
    );
    for one in [&plain, &painted] {
        let episode = world.begin(one).unwrap();
        assert!(judge.check(&mut world, one, &episode, &[]).pass);
    }
    // A script sees the task's beginning as the initial state.
    let script = "def check(calls, messages):\n    return initial_get('lockers', '30004')['size'] == 'painted' and len(diff()) == 2\n";
    let scripted = Task {
        checker: Some(script.to_owned()),
        ..begun
    };
    let verdict = judged(&mut world, &scripted, &gold);
    assert!(verdict.pass, "{}", verdict.why());
}

#[test]
fn a_refusal_is_derived_where_gold_changes_nothing_and_nothing_else_is_asked() {
    let mut world = pool();
    let reads = json!([look("30002")]);
    let cases = [
        (reads.clone(), json!({}), true),
        (json!([]), json!({}), true),
        (json!([assign("30002")]), json!({"fails": [1]}), true),
        (reads.clone(), json!({"outputs": ["large"]}), false),
        (
            reads.clone(),
            json!({"outputs": ["large"], "basis": ["state"]}),
            true,
        ),
        (reads.clone(), json!({"calls": [look("30002")]}), false),
        (json!([assign("30001")]), json!({}), false),
    ];
    for (gold, fields, expected) in cases {
        let given = task(&gold, &fields);
        let derived = with_derived_refusal(&mut world, &given).unwrap();
        assert_eq!(derived.refusal, expected, "{gold} {fields}");
    }
    let refusal = with_derived_refusal(&mut world, &task(&reads, &json!({}))).unwrap();
    let found = qualified(&mut world, &refusal);
    assert!(
        found.qualified && found.nothing_passes && found.empty,
        "{found:?}"
    );
    assert!(judged(&mut world, &refusal, &json!([])).pass);
    assert!(!judged(&mut world, &refusal, &json!([assign("30001")])).pass);
    let suite = aggregate(world.domain(), &[refusal], &[found]);
    assert_eq!((suite.qualified, suite.nothing_passes), (1, 1));
    let undeclared = task(&reads, &json!({}));
    assert!(
        qualified(&mut world, &undeclared)
            .why()
            .contains("the empty trajectory passes")
    );
}

#[test]
fn a_required_call_may_be_the_users() {
    let mut world = pool();
    let turn = call("turn_key", &json!({"locker": "30001"}));
    let gold = json!([assign("30001"), turn]);
    let both = task(&gold, &json!({"calls": [turn]}));
    assert!(judged(&mut world, &both, &gold).pass);
    let lacking = judged(&mut world, &both, &json!([assign("30001")]));
    assert_eq!(
        lacking.breakdown(),
        BTreeMap::from([("calls", 0.0), ("state", 0.0)])
    );
    let found = qualified(&mut world, &both);
    assert!(found.qualified, "{found:?}");
}
