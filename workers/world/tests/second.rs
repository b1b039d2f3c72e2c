//! Format 2: what a folder brings beside format 1, and how a task with a state, calls and a user with tools is played.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use agoge_dialogue::{Message, Role, ToolCall, agent_view, user_view};
use agoge_sandbox::{Limits, Outcome};
use agoge_world::{
    Domain, End, Episode, Fault, Party, Problem, Problems, Rules, SandboxBackend, Script, Session,
    Speaker, Split, StartError, Task, Turn, View, World, demonstrate, play, replay,
};
use async_trait::async_trait;
use serde_json::{Value, json};

const HEAD: &str = r#"name: line
format: 2
prompt: line desk
results: json
errorText: "Error: {}"
limits: {turns: 7, userTokens: 33}
split: {by: owner, owner: {phones: line.owner, owners: id}}
"#;
const TOOLS: &str = r#"
def look(phone: str) -> dict:
    """Shows a phone."""
    p = db_get("phones", phone)
    if p is None:
        raise ValueError("no phone " + phone)
    return {"bars": p["bars"], "note": "é"}


def reset_line(phone: str) -> str:
    """Resets the line of a phone."""
    p = db_get("phones", phone)
    p["reset"] = True
    db_put("phones", phone, p)
    return "ok"


def _has_bars(phone: str, bars: int) -> bool:
    return db_get("phones", phone)["bars"] == bars
"#;
const USER_TOOLS: &str = r#"from __future__ import annotations


def toggle_airplane_mode(phone: str) -> str:
    """Switches airplane mode on or off."""
    p = db_get("phones", phone)
    p["airplane"] = not p["airplane"]
    db_put("phones", phone, p)
    return "it is on" if p["airplane"] else "it is off"


def _set_airplane(phone: str, on: bool) -> None:
    p = db_get("phones", phone)
    p["airplane"] = on
    db_put("phones", phone, p)


def _sync() -> None:
    p = db_get("phones", "p1")
    bars = 0 if p["airplane"] else 4
    if p["bars"] != bars:
        p["bars"] = bars
        db_put("phones", "p1", p)
"#;

fn state() -> Value {
    json!({
        "owners": {"ann": {"name": "Ann"}, "bob": {"name": "Bob"}},
        "phones": {"p1": {"airplane": false, "bars": 4, "line": {"owner": "ann", "plan": "s"}}}
    })
}

fn given() -> Value {
    json!({
        "id": "bars", "split": "train",
        "user": {"instruction": "Your phone p1 has no bars.", "opening": "My phone p1 has no bars."},
        "start": [{"name": "set_airplane", "arguments": {"phone": "p1", "on": true}}],
        "gold": [
            {"name": "look", "arguments": {"phone": "p1"}},
            {"name": "toggle_airplane_mode", "arguments": {"phone": "p1"}},
            {"name": "look", "arguments": {"phone": "p2"}, "fails": true}
        ]
    })
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (state, given) = (state().to_string(), given().to_string());
    let usual = [
        ("domain.yaml", HEAD),
        ("policy.md", "Help."),
        ("schema.json", r#"{"type": "object"}"#),
        ("state.json", &state),
        ("tools.py", TOOLS),
        ("user_tools.py", USER_TOOLS),
        ("tasks.jsonl", &given),
    ];
    for (name, text) in usual.iter().chain(files) {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn refused(files: &[(&str, &str)]) -> Vec<Problem> {
    let Problems(problems) = Domain::load(folder(files).path()).unwrap_err();
    problems
}

fn domain() -> Domain {
    Domain::load(folder(&[]).path()).unwrap()
}

fn world() -> World {
    World::open(Arc::new(domain()), Limits::default()).unwrap()
}

fn call(name: &str, arguments: Value) -> ToolCall {
    ToolCall::new(name, arguments.as_object().unwrap().clone())
}

#[test]
fn a_folder_brings_tools_of_both_parties_tasks_limits_and_splits_by_owner() {
    let domain = domain();
    let names = |party| {
        let tools = domain.tools_of(party).iter();
        tools.map(|tool| tool.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(names(Party::Agent), ["look", "reset_line"]);
    assert_eq!(names(Party::User), ["toggle_airplane_mode"]);
    assert_eq!(domain.party("toggle_airplane_mode"), Some(Party::User));
    assert_eq!(domain.function("has_bars"), Some("_has_bars"));
    assert!(domain.sync && domain.party("_sync").is_none());
    let rules = domain.rules(Rules::default());
    let usual = Rules::default();
    assert_eq!((rules.max_turns, rules.max_user_tokens), (7, 33));
    assert_eq!(rules.max_agent_tokens, usual.max_agent_tokens);
    // A record goes with its owner, whatever its own id.
    let of = |collection: &str, id: &str, record: Value| domain.split_of(collection, id, &record);
    for owner in ["ann", "bob", "u_7f3a", "x"] {
        let phone = of("phones", "p1", json!({"line": {"owner": owner}}));
        assert_eq!(phone, of("owners", owner, json!({"name": "N"})));
    }
    // A task given for training serves both of its splits.
    for (split, count) in [
        (Split::TrainSft, 1),
        (Split::TrainRl, 1),
        (Split::Heldout, 0),
    ] {
        assert_eq!(domain.given(split).count(), count, "{split:?}");
    }
}

#[test]
fn what_is_wrong_with_the_files_of_format_2_is_told_with_its_line() {
    let first = HEAD.replace("format: 2\n", "");
    let found = refused(&[("domain.yaml", &first)]);
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    for key in ["results", "errorText", "limits", "split"] {
        assert!(
            told.iter().any(|one| one.contains(&format!("no `{key}`"))),
            "{told:?}"
        );
    }
    assert!(
        told.iter().any(|one| one.contains("tasks.jsonl")),
        "{told:?}"
    );
    let third = HEAD.replace("format: 2", "format: 3");
    let found = refused(&[("domain.yaml", &third)]);
    assert_eq!((found.len(), found[0].line), (1, Some(2)), "{found:?}");
    let twice = format!(
        "{USER_TOOLS}\n\ndef look(phone: str) -> str:\n    \"\"\"Looks.\"\"\"\n    return phone\n"
    );
    let found = refused(&[("user_tools.py", &twice)]);
    let line = twice
        .lines()
        .position(|text| text.starts_with("def look"))
        .unwrap()
        + 1;
    assert_eq!(found[0].line, u32::try_from(line).ok(), "{found:?}");
    assert!(found[0].message.contains("`look`"), "{found:?}");
    let found = refused(&[(
        "tasks.jsonl",
        "{\"id\": \"1\", \"user\": \"x\", \"gold\": [], \"oops\": 1}",
    )]);
    assert_eq!((found.len(), found[0].line), (1, Some(1)), "{found:?}");
}

#[test]
fn tools_json_gives_a_tool_the_schema_that_hints_cannot_and_must_fit_its_function() {
    let phone = json!({"type": "string", "pattern": "^p[0-9]+$", "description": "Such as p1."});
    let schema = |properties: Value, required: Value| json!({"type": "object", "properties": properties, "required": required});
    let file = |tool: &str, entry: Value| json!({ tool: entry }).to_string();
    let fine = file(
        "look",
        json!({"description": "Shows bars.", "parameters": schema(json!({"phone": phone}), json!(["phone"]))}),
    );
    let dir = folder(&[("tools.json", &fine)]);
    let domain = Domain::load(dir.path()).unwrap();
    let look = domain.tool("look").unwrap();
    assert_eq!(
        (
            look.description.as_str(),
            &look.parameters["properties"]["phone"]
        ),
        ("Shows bars.", &phone)
    );
    assert_ne!(
        domain.digest,
        Domain::load(folder(&[]).path()).unwrap().digest
    );
    let wrong = [
        (file("lok", json!({})), "no tool"),
        (file("look", json!({"schema": {}})), "unknown field"),
        (
            file("look", json!({"parameters": {"type": "string"}})),
            "`type` is not `object`",
        ),
        (
            file(
                "look",
                json!({"parameters": schema(json!({"fon": phone}), json!([]))}),
            ),
            "no argument `fon`",
        ),
        (
            file(
                "look",
                json!({"parameters": schema(json!({"phone": phone}), json!([]))}),
            ),
            "needs `phone`",
        ),
        (
            file(
                "look",
                json!({"parameters": schema(json!({"phone": {"type": 3}}), json!(["phone"]))}),
            ),
            "no JSON schema",
        ),
    ];
    for (text, why) in wrong {
        let found = refused(&[("tools.json", &text)]);
        assert!(
            found.len() == 1 && found[0].message.contains(why),
            "{why}: {found:?}"
        );
    }
}

#[test]
fn an_import_that_fails_in_the_users_tools_is_told_with_their_file_and_line() {
    let broken = format!("{USER_TOOLS}\n\nBARS = 1 // 0\n");
    let dir = folder(&[("user_tools.py", &broken)]);
    let domain = Domain::load(dir.path()).unwrap();
    let error = World::open(Arc::new(domain), Limits::default()).unwrap_err();
    let line = broken.lines().count();
    assert!(
        error.to_string().contains(&format!("user_tools.py:{line}")),
        "{error}"
    );
}

#[test]
fn a_task_begins_with_its_records_calls_and_history_and_none_of_them_counts_as_done() {
    let world = &mut world();
    let domain = world.domain().clone();
    let mut task = Task {
        records: serde_json::from_value(json!({
            "phones": {"p1": {"line": {"plan": "xl"}}}, "owners": {"bob": null, "eve": {"name": "Eve"}}
        }))
        .unwrap(),
        start: vec![call("set_airplane", json!({"phone": "p1", "on": true}))],
        history: vec![
            Message::user("Reset my line."),
            Message::calls(vec![call("reset_line", json!({"phone": "p1"}))]),
        ],
        ..Task::default()
    };
    let mut begun = world.begin(&task).unwrap();
    assert!(begun.calls.is_empty() && begun.diff(&domain).is_empty());
    let changes = begun.overlay.diff(&domain.state);
    let fields: Vec<String> = changes
        .iter()
        .map(|c| format!("{}.{}", c.id, c.field))
        .collect();
    assert_eq!(
        fields,
        [
            "bob.*",
            "eve.*",
            "p1.airplane",
            "p1.bars",
            "p1.line",
            "p1.reset"
        ]
    );
    let line = changes
        .iter()
        .find(|change| change.field == "line")
        .unwrap();
    assert_eq!(line.after, json!({"owner": "ann", "plan": "xl"}));
    // The synchronisation ran with the start: an assertion sees it, and writes nothing down as a call.
    let outcome = world.run(
        &mut begun,
        "has_bars",
        &call("", json!({"phone": "p1", "bars": 0})).arguments,
    );
    assert_eq!(outcome, Outcome::Value(json!(true)));
    assert!(begun.calls.is_empty());
    // An ordinary task begins without differences.
    assert_eq!(world.begin(&Task::default()).unwrap(), Episode::default());
    task.start = vec![call("set_airplane", json!({"phone": "p9", "on": true}))];
    assert!(matches!(
        world.begin(&task),
        Err(StartError::Refused { number: 1, .. })
    ));
}

#[test]
fn gold_of_both_parties_is_demonstrated_and_what_fails_on_purpose_may_fail() {
    let world = &mut world();
    let domain = world.domain().clone();
    let task = domain.given(Split::TrainRl).next().unwrap().clone();
    let shown = demonstrate(world, &task).unwrap();
    let replayed = replay(world, &task).unwrap();
    let made = |episode: &Episode| -> Vec<(String, String)> {
        let calls = episode.calls.iter();
        calls
            .map(|(call, result)| (call.name.clone(), result.content.clone()))
            .collect()
    };
    assert_eq!(made(&shown.episode), made(&replayed));
    assert_eq!(shown.episode.overlay, replayed.overlay);
    let results: Vec<&str> = replayed
        .calls
        .iter()
        .map(|(_, r)| r.content.as_str())
        .collect();
    assert_eq!(
        results,
        [
            r#"{"bars": 0, "note": "\u00e9"}"#,
            "it is off",
            "Error: no phone p2"
        ]
    );
    let fields: Vec<String> = replayed
        .diff(&domain)
        .into_iter()
        .map(|c| c.field)
        .collect();
    assert_eq!(fields, ["airplane", "bars"]);
    // Each side sees its own calls and results, and the words of both.
    let has = |messages: &[Message], name: &str| {
        messages
            .iter()
            .flat_map(|m| &m.tool_calls)
            .any(|call| call.name == name)
    };
    let (agent, user) = (agent_view(&shown.messages), user_view(&shown.messages));
    assert!(has(&agent, "look") && !has(&agent, "toggle_airplane_mode"));
    assert!(!has(&user, "look") && has(&user, "toggle_airplane_mode"));
    let results = |messages: &[Message]| messages.iter().filter(|m| m.role == Role::Tool).count();
    assert_eq!((results(&agent), results(&user)), (2, 1));
    // Gold that works although the task says that it fails is as wrong as the other way round.
    let mut wrong = task.clone();
    wrong.fails = vec![1, 3];
    assert!(
        replay(world, &wrong)
            .unwrap_err()
            .to_string()
            .contains("but it worked")
    );
    wrong.fails = Vec::new();
    assert!(replay(world, &wrong).is_err());
}

/// A user that takes these turns, then closes.
struct Turns(VecDeque<Message>);

#[async_trait(?Send)]
impl Speaker for Turns {
    async fn turn(&mut self, _: View<'_>) -> Result<Turn, Fault> {
        let turn = self.0.pop_front();
        Ok(Turn::Message(
            turn.unwrap_or_else(|| Message::user("###STOP###")),
        ))
    }
}

fn user_calls(name: &str) -> Message {
    Message {
        role: Role::User,
        ..Message::calls(vec![call(name, json!({"phone": "p1"}))])
    }
}

#[tokio::test]
async fn a_user_calls_its_tools_until_it_speaks_and_the_agent_sees_only_its_words() {
    let backend = SandboxBackend::new(world());
    let task = Task::default();
    let mut session = backend.session(&task).unwrap();
    let aside = Message {
        content: "One moment.".into(),
        ..user_calls("toggle_airplane_mode")
    };
    let turns = [
        user_calls("toggle_airplane_mode"),
        aside,
        // A tool of the agent is none of the user's.
        user_calls("look"),
        Message::user("It is done."),
    ];
    let mut seen = Vec::new();
    let mut agent = Script(|view: View<'_>| {
        seen.push(view.messages.to_vec());
        Message::assistant("Thanks.")
    });
    let mut user = Turns(turns.into());
    let played = play(&mut session, &mut agent, &mut user, &Rules::default()).await;
    assert_eq!((&played.end, played.calls), (&End::Closed, 0));
    let said = [Message::user("One moment."), Message::user("It is done.")];
    assert_eq!(seen, [said]);
    let ids: Vec<&str> = played
        .messages
        .iter()
        .filter_map(|m| m.tool_call_id.as_deref())
        .collect();
    assert_eq!(ids, ["1", "2", "3"]);
    assert!(
        played.messages[5]
            .content
            .starts_with("Error: there is no tool `look`")
    );
    let names: Vec<String> = session
        .into_episode()
        .calls
        .into_iter()
        .map(|(c, _)| c.name)
        .collect();
    assert_eq!(names, ["toggle_airplane_mode"; 2]);
}

#[tokio::test]
async fn a_user_that_never_speaks_or_leaves_its_scope_is_at_fault() {
    let backend = SandboxBackend::new(world());
    let task = Task::default();
    let endless = vec![user_calls("toggle_airplane_mode"); 20];
    let lost = vec![Message::user("Hello."), Message::user("###OUT-OF-SCOPE###")];
    for (turns, word) in [(endless, "more than 10 times"), (lost, "instruction")] {
        let mut session = backend.session(&task).unwrap();
        let mut agent = Script(|_: View<'_>| Message::assistant("Yes?"));
        let mut user = Turns(turns.into());
        let played = play(&mut session, &mut agent, &mut user, &Rules::default()).await;
        let End::User(reason) = &played.end else {
            panic!("{:?}", played.end)
        };
        assert!(
            reason.contains(word) && played.end.reward(true).is_none(),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn a_dialogue_goes_on_after_its_history_with_ids_that_go_on() {
    let backend = SandboxBackend::new(world());
    let history = vec![
        Message::user("Reset my line."),
        Message::calls(vec![ToolCall {
            id: "call_x".into(),
            ..call("reset_line", json!({"phone": "p1"}))
        }]),
        Message::tool_result("call_x", "ok"),
    ];
    let task = Task {
        history,
        ..Task::default()
    };
    let mut session = backend.session(&task).unwrap();
    let mut agent = Script(|view: View<'_>| match view.turns {
        0 => Message::calls(vec![call("look", json!({"phone": "p1"}))]),
        _ => Message::assistant("It is reset."),
    });
    let mut user = Turns(VecDeque::new());
    let played = play(&mut session, &mut agent, &mut user, &Rules::default()).await;
    assert_eq!(
        (&played.end, played.calls, played.turns),
        (&End::Closed, 1, 2)
    );
    let ids: Vec<&str> = played
        .messages
        .iter()
        .filter_map(|m| m.tool_call_id.as_deref())
        .collect();
    assert_eq!(ids, ["1", "2"]);
    let episode = session.episode().unwrap();
    assert_eq!(
        (episode.calls.len(), episode.diff(backend.domain()).len()),
        (1, 0)
    );
    assert!(!episode.start.is_empty());
}

#[test]
fn courier_has_no_trace_of_the_second_format() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    let domain = Domain::load(&dir).unwrap();
    assert!(domain.format == 1 && domain.user_tools.is_empty() && domain.tasks.is_empty());
    assert!(!domain.sync && domain.rules(Rules::default()) == Rules::default());
    // A rule that is the usual one is not written, so that what was stored before reads and digests as it did.
    let text = serde_json::to_string(&Rules::default()).unwrap();
    assert!(!text.contains("maxUserCalls"));
    let task: Task = serde_json::from_value(json!({"id": "t", "user": {}, "gold": []})).unwrap();
    let text = serde_json::to_string(&task).unwrap();
    for field in [
        "split", "records", "history", "asserts", "basis", "persona", "match",
    ] {
        assert!(!text.contains(&format!("\"{field}\"")), "{text}");
    }
}
