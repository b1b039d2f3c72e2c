//! A domain over the test's own service, by MCP and by OpenAPI: state, pool, faults and isolation. It needs Python's standard
//! library and nothing else.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};

use agoge_checker::{Thresholds, check, qualify};
use agoge_world::{Capabilities, Episode, GoldError, World, replay};
use common::{call, folder, loaded, names, rooms, task, world};
use serde_json::{Value, json};

const INITIAL: &str =
    r#"{"rooms": {"1": {"beds": 2, "guests": []}, "2": {"beds": 1, "guests": []}}}"#;

/// `tools:` of the service over MCP.
fn mcp(state: Value, more: Value) -> Value {
    let script = rooms().join("rooms.py").canonicalize().unwrap();
    let mut server = json!({"command": ["python3", script, "stdio"], "state": state, "hide": {"session": "s"},
        "omit": ["crash", "wait", "reach", "reset_rooms", "dump_rooms"]});
    server
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({ "mcp": server })
}

fn by_files() -> Value {
    mcp(json!({"files": ["*.json"]}), json!({}))
}

fn python() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: there is no python3");
    }
    there
}

fn book(id: &str, name: &str) -> agoge_dialogue::ToolCall {
    call("book_room", json!({"id": id, "guest": {"name": name}}))
}

fn fingerprint(world: &mut World, calls: &[agoge_dialogue::ToolCall]) -> String {
    let mut episode = Episode::default();
    for call in calls {
        assert!(!world.call(&mut episode, call).lost);
    }
    episode.fingerprint(world.domain())
}

#[test]
fn the_agent_gets_the_servers_tools_without_hidden_arguments_and_its_records() {
    if !python() {
        return;
    }
    let folder = folder(&by_files(), &[("server/rooms.json", INITIAL)]);
    let domain = loaded(folder.path());
    assert_eq!(names(&domain), ["show_room", "book_room", "visits"]);
    let book = &domain.tool("book_room").unwrap().parameters["properties"];
    assert!(book.get("session").is_none());
    assert_eq!(book["guest"]["required"], json!(["name"]));
    assert_eq!(
        domain.state.get("rooms", "2"),
        Some(&json!({"beds": 1, "guests": []}))
    );
}

#[test]
fn checkers_judge_and_qualify_over_a_servers_state() {
    if !python() {
        return;
    }
    let folder = folder(&by_files(), &[("server/rooms.json", INITIAL)]);
    let domain = loaded(folder.path());
    let mut world = world(&domain);
    let task = task(&[book("1", "ann")]);
    let gold = replay(&mut world, &task).unwrap();
    let places: Vec<String> = gold
        .diff(&domain)
        .iter()
        .map(|change| format!("{}/{}.{}", change.collection, change.id, change.field))
        .collect();
    assert_eq!(places, ["rooms/1.guests"]);
    assert!(check(&mut world, &task, &gold, &[]).pass);
    let mut wrong = Episode::default();
    world.call(&mut wrong, &book("2", "ann"));
    let verdict = check(&mut world, &task, &wrong, &[]);
    assert!(
        !verdict.pass && verdict.why().contains("rooms/2.guests"),
        "{}",
        verdict.why()
    );
    let thresholds = Thresholds {
        mutants: 4,
        p95_ms: 1e6,
        ..Thresholds::default()
    };
    let found = qualify(&mut world, &task, 1, &thresholds).unwrap();
    assert!(found.qualified, "{found:?}");
    assert!(!found.flake && found.mutants.killed > 0);
}

#[test]
fn an_error_of_a_tool_is_a_result_and_a_dead_server_never_is() {
    if !python() {
        return;
    }
    let tools = mcp(
        json!({"files": ["*.json"]}),
        json!({"omit": [], "timeoutSeconds": 2}),
    );
    let folder = folder(&tools, &[("server/rooms.json", INITIAL)]);
    let domain = loaded(folder.path());
    let mut world = world(&domain);
    let mut episode = Episode::default();
    let refused = world.call(&mut episode, &book("9", "ann"));
    assert!(
        refused.error && !refused.lost && refused.content == "there is no room 9",
        "{refused:?}"
    );
    let dead = world.call(&mut episode, &call("crash", json!({})));
    assert!(
        dead.lost && dead.content.contains("the roof fell in"),
        "{dead:?}"
    );
    let silent = world.call(&mut episode, &call("wait", json!({})));
    assert!(
        silent.lost && silent.content.contains("no answer in 2 s"),
        "{silent:?}"
    );
    // A fresh server is brought to where the episode is.
    assert!(world.call(&mut episode, &book("2", "bob")).worked());
    let full = world.call(&mut episode, &book("2", "cid"));
    assert!(full.error && full.content.contains("full"), "{full:?}");
    let gold = task(&[call("crash", json!({}))]);
    assert!(matches!(replay(&mut world, &gold), Err(GoldError::Lost(_))));
}

#[test]
fn episodes_that_take_turns_do_not_see_each_other() {
    if !python() {
        return;
    }
    for pool in [1, 2] {
        let tools = mcp(json!({"files": ["*.json"]}), json!({ "pool": pool }));
        let folder = folder(&tools, &[("server/rooms.json", INITIAL)]);
        let domain = loaded(folder.path());
        let mut world = world(&domain);
        let alone = fingerprint(&mut world, &[book("1", "ann"), book("1", "bob")]);
        let mut all = [Episode::default(), Episode::default(), Episode::default()];
        for name in ["ann", "bob"] {
            for episode in &mut all {
                assert!(world.call(episode, &book("1", name)).worked());
            }
        }
        for episode in &all {
            assert_eq!(episode.fingerprint(&domain), alone);
        }
        // A copy goes on by itself.
        let mut fork = all[0].clone();
        assert!(world.call(&mut fork, &book("1", "cid")).error);
        assert!(world.call(&mut all[1], &book("2", "cid")).worked());
    }
}

#[test]
fn a_server_that_remembers_is_found_out_and_a_restart_cures_it() {
    if !python() {
        return;
    }
    let tasks = json!({"id": "a", "user": {"instruction": "i", "opening": "o"},
        "gold": [{"name": "visits", "arguments": {}}]})
    .to_string();
    let files = [
        ("server/rooms.json", INITIAL),
        ("tasks.jsonl", tasks.as_str()),
    ];
    let kept = folder(&by_files(), &files);
    let found = agoge_servers::check(&loaded(kept.path())).problems;
    assert!(
        found.len() == 1 && found[0].message.contains("`visits`"),
        "{found:?}"
    );
    let restarted = mcp(json!({"files": ["*.json"], "restart": true}), json!({}));
    let restarted = folder(&restarted, &files);
    let found = agoge_servers::check(&loaded(restarted.path()));
    assert!(found.problems.is_empty(), "{found:?}");
    let replayed = folder(&mcp(json!("replay"), json!({})), &files);
    let replayed = loaded(replayed.path());
    let found = agoge_servers::check(&replayed);
    assert!(found.problems.is_empty(), "{found:?}");
    assert!(!replayed.capabilities().has(Capabilities::DIFF));
    assert!(
        found
            .warnings
            .iter()
            .any(|warning| warning.message.contains("nobody sees")),
        "{found:?}"
    );
}

#[test]
fn a_server_that_is_started_here_has_no_network() {
    if !python() {
        return;
    }
    if agoge_servers::isolation().is_none() {
        eprintln!("skipped: this kernel lets no unprivileged user take the network away");
        return;
    }
    let tools = mcp(json!("none"), json!({"omit": ["crash"]}));
    let folder = folder(&tools, &[]);
    let mut world = world(&loaded(folder.path()));
    let said = world.call(&mut Episode::default(), &call("reach", json!({})));
    assert!(said.content.starts_with("unreachable"), "{said:?}");
}

#[test]
fn a_tool_server_stands_beside_sandboxed_tools_which_may_read_its_records() {
    if !python() {
        return;
    }
    let tools = "def beds(id: str) -> int:\n    \"\"\"Counts the beds of a room.\"\"\"\n    return db_get(\"rooms\", id)[\"beds\"]\n\n\n\
                 def widen(id: str) -> str:\n    \"\"\"Adds a bed, which is not its to do.\"\"\"\n    room = db_get(\"rooms\", id)\n    \
                 room[\"beds\"] = 9\n    db_put(\"rooms\", id, room)\n    return \"ok\"\n\n\n\
                 def note(id: str) -> str:\n    \"\"\"Writes a note.\"\"\"\n    db_put(\"notes\", id, {\"text\": \"hello\"})\n    return \"ok\"\n";
    let files = [
        ("server/rooms.json", INITIAL),
        ("tools.py", tools),
        ("state.json", r#"{"notes": {}}"#),
    ];
    let folder = folder(&by_files(), &files);
    let domain = loaded(folder.path());
    let mut world = world(&domain);
    let mut episode = Episode::default();
    assert_eq!(
        world
            .call(&mut episode, &call("beds", json!({"id": "1"})))
            .content,
        "2"
    );
    assert!(
        world
            .call(&mut episode, &call("note", json!({"id": "n"})))
            .worked()
    );
    assert!(world.call(&mut episode, &book("1", "ann")).worked());
    let refused = world.call(&mut episode, &call("widen", json!({"id": "1"})));
    assert!(
        refused.error && refused.content.contains("a server holds"),
        "{refused:?}"
    );
    let changed: Vec<String> = episode
        .diff(&domain)
        .iter()
        .map(|c| c.collection.clone())
        .collect();
    assert_eq!(changed, ["notes", "rooms"]);
}

#[test]
fn a_service_that_openapi_describes_is_reset_and_exported_by_its_operations() {
    if !python() {
        return;
    }
    let api = std::fs::read_to_string(rooms().join("api.json")).unwrap();
    let script = rooms().join("rooms.py").canonicalize().unwrap();
    let tools = json!({"openapi": {"document": "api.json", "command": ["python3", script, "http", "$PORT"],
        "state": {"reset": "reset_rooms", "export": "dump_rooms", "part": "/db"}}});
    let tasks = json!({"id": "a", "user": {"instruction": "i", "opening": "o"}, "gold": [book("1", "ann")]});
    let folder = folder(
        &tools,
        &[("api.json", &api), ("tasks.jsonl", &tasks.to_string())],
    );
    let domain = loaded(folder.path());
    assert_eq!(names(&domain), ["show_room", "book_room", "read_meter"]);
    let mut world = world(&domain);
    let task = task(&[book("1", "ann")]);
    let gold = replay(&mut world, &task).unwrap();
    assert_eq!(gold.diff(&domain)[0].after, json!(["ann"]));
    let mut episode = Episode::default();
    let missing = world.call(&mut episode, &call("show_room", json!({"id": "7/../1"})));
    assert!(
        missing.error && missing.content.contains("no room"),
        "{missing:?}"
    );
    let shown = world.call(&mut episode, &call("show_room", json!({"id": "1"})));
    assert_eq!(shown.content, r#"{"id": "1", "beds": 2, "guests": []}"#);
    assert!(
        world
            .call(&mut episode, &call("read_meter", json!({})))
            .lost
    );
    assert!(agoge_servers::check(&domain).problems.is_empty());
}

/// A server that somebody else started. It ends with the test.
struct Started(Child);

impl Started {
    fn streamable(folder: &Path, port: u16) -> Self {
        let script = rooms().join("rooms.py").canonicalize().unwrap();
        let mut command = Command::new("python3");
        command.arg(script).args(["streamable", &port.to_string()]);
        Self(command.current_dir(folder).spawn().unwrap())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_at_an_address_speaks_streamable_http_and_its_loss_is_no_result() {
    if !python() {
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let place = tempfile::tempdir().unwrap();
    let started = Started::streamable(place.path(), port);
    let tools = json!({"mcp": {"url": format!("http://127.0.0.1:{port}/mcp"), "hide": {"session": "s"},
        "omit": ["crash", "wait", "reach", "visits"], "startSeconds": 10, "timeoutSeconds": 2, "pool": 1,
        "state": {"reset": "reset_rooms", "export": "dump_rooms", "part": "/db"}}});
    let tasks = json!({"id": "a", "user": {"instruction": "i", "opening": "o"}, "gold": [book("1", "ann")]});
    let folder = folder(&tools, &[("tasks.jsonl", &tasks.to_string())]);
    let domain = loaded(folder.path());
    assert_eq!(names(&domain), ["show_room", "book_room"]);
    assert!(agoge_servers::check(&domain).problems.is_empty());
    let mut world = world(&domain);
    let task = task(&[book("1", "ann")]);
    let gold = replay(&mut world, &task).unwrap();
    assert_eq!(gold.diff(&domain)[0].after, json!(["ann"]));
    let again = replay(&mut world, &task).unwrap();
    assert_eq!(again.fingerprint(&domain), gold.fingerprint(&domain));
    // Another process at the same address knows no session: the episode goes on with a new one.
    let mut episode = Episode::default();
    assert_eq!(
        world.call(&mut episode, &book("2", "bob")).content,
        "booked"
    );
    drop(started);
    let started = Started::streamable(place.path(), port);
    let full = world.call(&mut episode, &book("2", "cid"));
    assert!(
        full.error && !full.lost && full.content == "room 2 is full",
        "{full:?}"
    );
    drop(started);
    assert!(
        world
            .call(&mut episode, &call("show_room", json!({"id": "1"})))
            .lost
    );
}

#[test]
fn a_command_that_does_not_start_is_a_problem_of_domain_yaml() {
    let tools = json!({"mcp": {"command": ["no-such-server"], "state": "none"}});
    let folder = folder(&tools, &[]);
    let problems = agoge_servers::load(folder.path()).unwrap_err();
    let text = problems.to_string();
    assert!(
        text.contains("domain.yaml") && text.contains("no-such-server"),
        "{text}"
    );
}
