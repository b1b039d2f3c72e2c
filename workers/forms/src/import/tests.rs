use std::collections::BTreeMap;
use std::sync::Arc;

use agoge_artifacts::{End, Instance, Trajectory};
use agoge_dialogue::{Message, Role};
use agoge_sandbox::Limits;
use agoge_world::{DONE, Split, World};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::example;
use crate::export::{self, Source};

/// One request: the user's words, how many calls each message of the agent makes before it answers, and the answer.
type Request = (String, Vec<usize>, String);

fn words() -> impl Strategy<Value = String> {
    "[a-z]{1,8}( [a-zé\"]{1,8})?"
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    prop::collection::vec(
        (words(), prop::collection::vec(1_usize..4, 0..3), words()),
        1..4,
    )
}

/// The dialogue of some requests as it is kept: calls numbered from 1, results in their order, closed by the user.
fn dialogue(requests: &[Request]) -> Vec<Message> {
    let (mut all, mut id) = (Vec::new(), 0);
    for (asked, calls, answer) in requests {
        all.push(Message::user(asked));
        for n in calls {
            let ids: Vec<String> = (0..*n)
                .map(|_| {
                    id += 1;
                    id.to_string()
                })
                .collect();
            let called = ids.iter().enumerate().map(|(at, id)| match at {
                0 => example::call(id, "switch", json!({"lamp": "hall", "on": true})),
                _ => example::call(id, "look", json!({"lamp": "yard"})),
            });
            all.push(Message::calls(called.collect()));
            all.extend(
                ids.iter()
                    .map(|id| Message::tool_result(id, &format!("result {id}"))),
            );
        }
        all.push(Message::assistant(answer));
    }
    all.push(Message::user(DONE));
    all
}

/// The rows that a form has of one dialogue.
fn exported(domain: &Domain, form: &str, messages: &[Message]) -> Vec<Value> {
    let instances: [Instance; 1] = [example::instance("one", Split::TrainSft, messages.to_vec())];
    let rollouts = [Trajectory {
        task: "one".into(),
        branch: String::new(),
        arm: "m".into(),
        reward: Some(1.0),
        end: End::Closed,
        verdict: None,
        messages: messages.to_vec(),
        tokens: vec![("x".into(), 0, 0.0)],
        ids: Vec::new(),
        user_faults: Vec::new(),
    }];
    let source = Source {
        domain,
        suite: "s",
        digest: "d",
        instances: &instances,
        origins: &BTreeMap::new(),
        rollouts: &rollouts,
        license: "unknown",
        heldout: false,
    };
    let export = export::form(form).unwrap().export(&source).unwrap();
    let files = export
        .files
        .iter()
        .map(|(_, text)| serde_json::from_str(text).unwrap());
    let tables = export
        .tables
        .iter()
        .filter(|table| !matches!(table.config, "user" | "rl" | "grpo"));
    tables
        .flat_map(|table| table.rows.clone())
        .chain(files)
        .collect()
}

fn loaded(rows: Vec<Value>) -> Vec<Loaded> {
    let rows = (1..).zip(rows);
    rows.map(|(n, row): (usize, Value)| Loaded {
        place: format!("rows:{n}"),
        row: Ok(row),
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_dialogue_that_is_exported_and_imported_is_the_same_in_every_form(requests in requests()) {
        let domain = example::domain();
        let messages = dialogue(&requests);
        for form in ["messages", "dataset", "openai", "trl", "turns", "sharegpt", "atif"] {
            let rows = exported(&domain, form, &messages);
            let taken = Importer::new(&domain, None).take(&loaded(rows), None).unwrap();
            prop_assert!(taken.report.refused.is_empty(), "{}: {:?}", form, taken.report.refused);
            prop_assert_eq!(taken.attempts.len(), 1, "{}", form);
            prop_assert_eq!(&taken.attempts[0].messages, &messages, "{}", form);
        }
    }
}

/// Takes rows with the domain's tools, and returns the kind of the first refusal with its reason.
fn refused(rows: Vec<Value>) -> Option<(Why, String)> {
    let domain = Arc::new(example::domain());
    let mut world = World::open(domain.clone(), Limits::default()).unwrap();
    let taken = Importer::new(&domain, Some(&mut world))
        .take(&loaded(rows), None)
        .unwrap();
    let first = taken.report.refused.first()?;
    Some((first.why, first.reason.clone()))
}

fn row(messages: &[Message]) -> Value {
    json!({"messages": messages.iter().map(Message::to_openai).collect::<Vec<_>>()})
}

#[test]
fn calls_of_both_sides_are_made_again_and_what_worked_is_gold() {
    let domain = Arc::new(example::domain());
    let mut world = World::open(domain.clone(), Limits::default()).unwrap();
    let rows = loaded(vec![row(&example::dialogue())]);
    let taken = Importer::new(&domain, Some(&mut world))
        .take(&rows, None)
        .unwrap();
    assert!(
        taken.report.refused.is_empty(),
        "{:?}",
        taken.report.refused
    );
    let task = taken.attempts[0].task.as_ref().unwrap();
    assert_eq!(task.branch, "peek+look+look+switch");
    assert!(!task.refusal);
    assert_eq!(taken.attempts[0].messages, example::dialogue());
    assert_eq!(taken.seeds[0].opening, "The hall is dark.");
    assert_eq!(
        taken.seeds[0].instruction,
        "The hall is dark.\nYes. Switch it on, please.\nThank you."
    );
}

#[test]
fn each_kind_of_fault_is_refused_with_its_reason() {
    let sound = example::dialogue();
    let changed = |change: &dyn Fn(&mut Vec<Message>)| {
        let mut messages = sound.clone();
        change(&mut messages);
        refused(vec![row(&messages)])
    };
    assert_eq!(changed(&|_| ()), None);
    let why = |change: &dyn Fn(&mut Vec<Message>)| changed(change).map(|(why, _)| why);
    assert_eq!(why(&|all| all[6].content = "on".into()), Some(Why::Replay));
    assert_eq!(
        why(&|all| all[5].tool_calls[0].name = "dim".into()),
        Some(Why::Tool)
    );
    // A tool of the other side.
    assert_eq!(
        why(&|all| all[5].tool_calls[0].name = "peek".into()),
        Some(Why::Tool)
    );
    assert_eq!(
        why(&|all| all[8].tool_calls[0].arguments.clear()),
        Some(Why::Arguments)
    );
    assert_eq!(why(&|all| drop(all.remove(7))), Some(Why::Results));
    assert_eq!(
        why(&|all| all[7].tool_call_id = Some("9".into())),
        Some(Why::Results)
    );
    assert_eq!(
        why(&|all| all.insert(2, Message::assistant("Well?"))),
        Some(Why::Roles)
    );
    assert_eq!(why(&|all| all.insert(1, Message::user("Hello?"))), None);
    let (_, reason) = changed(&|all| all[6].content = "on".into()).unwrap();
    assert_eq!(
        reason,
        "call 2 (`look`): the dialogue has the result \"on\", and the domain's tool gives \"off\""
    );
    let again = refused(vec![row(&sound), row(&sound)]).map(|(why, _)| why);
    assert_eq!(again, Some(Why::Duplicate));
    let mut failed = row(&sound);
    failed["reward"] = json!(0.0);
    assert_eq!(refused(vec![failed]).map(|(why, _)| why), Some(Why::Reward));
    assert_eq!(
        refused(vec![json!({"text": "hello"})]).map(|(why, _)| why),
        Some(Why::Form)
    );
}

#[test]
fn results_out_of_order_and_a_greeting_are_put_right_and_prompts_are_seeds() {
    let domain = example::domain();
    let mut messages = example::dialogue();
    messages.swap(6, 7);
    messages.insert(0, Message::assistant("Hi!"));
    messages.insert(0, Message::system("Another policy."));
    let task = json!({"id": "t", "user_scenario": {"instructions": "You want light."}});
    let prompt = json!({"prompt": [{"role": "user", "content": "Light, please."}]});
    let rows = loaded(vec![row(&messages), prompt, task]);
    let taken = Importer::new(&domain, None).take(&rows, None).unwrap();
    assert!(
        taken.report.refused.is_empty(),
        "{:?}",
        taken.report.refused
    );
    assert_eq!(taken.attempts[0].messages, example::dialogue());
    assert_eq!((taken.report.greetings, taken.report.other_system), (1, 1));
    let seeds: Vec<&str> = taken
        .seeds
        .iter()
        .map(|seed| seed.instruction.as_str())
        .collect();
    assert_eq!(seeds[1..], ["Light, please.", "You want light."]);
}

#[test]
fn a_rollout_of_nemo_gym_is_a_dialogue() {
    let domain = example::domain();
    let row = json!({
        "task_id": "t", "reward": 1.0,
        "responses_create_params": {"input": [{"role": "user", "content": "Is the yard lit?"}]},
        "response": {"output": [
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "call_id": "a", "name": "look", "arguments": "{\"lamp\": \"yard\"}"},
            {"type": "function_call_output", "call_id": "a", "output": "on"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It is."}]},
        ]},
    });
    let taken = Importer::new(&domain, None)
        .take(&loaded(vec![row]), None)
        .unwrap();
    assert!(
        taken.report.refused.is_empty(),
        "{:?}",
        taken.report.refused
    );
    let roles: Vec<&str> = taken.attempts[0]
        .messages
        .iter()
        .map(|message| message.role.name())
        .collect();
    assert_eq!(roles, ["user", "assistant", "tool", "assistant", "user"]);
    assert!(
        taken.attempts[0]
            .messages
            .iter()
            .all(|message| message.role != Role::System)
    );
}
