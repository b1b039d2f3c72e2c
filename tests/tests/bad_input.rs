//! Bad input, one test each: one clear message that names the field or file and a way out, exit code 2, nothing overwritten.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::time::{Duration, Instant};

use agoge_tests::{Desk, said};

/// Returns the message of a refused run, which was refused soon, in one message, and left nothing behind.
fn refused(desk: &Desk) -> String {
    let began = Instant::now();
    let output = desk.up();
    let said = told(&output);
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "too late: {said}"
    );
    let objects = desk.out().join("objects");
    assert!(!objects.exists(), "something was begun: {said}");
    said
}

/// The message of exit code 2: one, and no panic.
fn told(output: &Output) -> String {
    let said = said(output);
    assert_eq!(
        output.status.code(),
        Some(2),
        "{said} (signal {:?})",
        output.status.signal()
    );
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn contains(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

#[test]
fn an_unknown_field_is_told_with_the_one_that_was_meant() {
    let desk = Desk::new();
    desk.edit("grporun.yaml", "groupSize:", "groupsize:");
    contains(
        &refused(&desk),
        &[
            "grporun.yaml",
            "spec.stages.grpo.groupsize",
            "did you mean groupSize?",
        ],
    );
}

#[test]
fn a_wrong_type_is_told_with_its_field() {
    let desk = Desk::new();
    desk.edit("grporun.yaml", "groupSize: 8", "groupSize: four");
    contains(
        &refused(&desk),
        &["grporun.yaml", "spec.stages.grpo.groupSize", "four"],
    );
}

#[test]
fn a_missing_domain_file_is_named() {
    let desk = Desk::new();
    std::fs::remove_file(desk.manifests().join("domain/policy.md")).unwrap();
    contains(&refused(&desk), &["domain/policy.md", "missing"]);
    std::fs::remove_file(desk.manifests().join("domain/domain.yaml")).unwrap();
    contains(
        &refused(&desk),
        &[
            "spec.domain",
            "domain/domain.yaml is missing",
            "--domain desk=",
        ],
    );
}

#[test]
fn a_tool_that_fails_at_import_is_told_with_its_file() {
    let desk = Desk::new();
    let tools = desk.manifests().join("domain/tools.py");
    let text = std::fs::read_to_string(&tools).unwrap();
    std::fs::write(&tools, format!("{text}\n\nRATES = {{}}[\"gold\"]\n")).unwrap();
    contains(&refused(&desk), &["tools.py", "gold"]);
}

#[test]
fn a_hundred_megabytes_of_state_are_refused_before_they_are_read() {
    let desk = Desk::new();
    let state = std::fs::File::create(desk.manifests().join("domain/state.json")).unwrap();
    state.set_len(100 << 20).unwrap();
    contains(&refused(&desk), &["state.json", "larger than 64 MiB"]);
}

#[test]
fn a_target_beyond_what_the_templates_yield_is_told_with_the_most_they_do() {
    let desk = Desk::new();
    desk.edit("synthesisjob.yaml", "accepted: ", "accepted: 999");
    contains(
        &refused(&desk),
        &[
            "synthesisjob.yaml",
            "spec.strategies[0].target.accepted",
            "templates yield",
        ],
    );
}

#[test]
fn a_tokenizer_that_does_not_fit_its_policy_is_told_with_both_files() {
    let desk = Desk::new();
    let policy = desk.manifests().join("policy");
    std::fs::create_dir(&policy).unwrap();
    std::fs::write(policy.join("config.json"), r#"{"vocab_size": 2}"#).unwrap();
    std::fs::write(
        policy.join("tokenizer.json"),
        r#"{"model": {"vocab": {"a": 0, "b": 1, "c": 2}}}"#,
    )
    .unwrap();
    let text = std::fs::read_to_string(desk.manifests().join("grporun.yaml")).unwrap();
    let (before, rest) = text.split_once("    fresh:\n").unwrap();
    let after: String = rest
        .lines()
        .skip_while(|line| line.starts_with("      "))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(
        desk.manifests().join("grporun.yaml"),
        format!("{before}    path: policy\n{after}"),
    )
    .unwrap();
    let words = [
        "spec.policy.path",
        "policy/tokenizer.json",
        "policy/config.json",
        "vocab_size of 2",
        "does not fit",
    ];
    contains(&refused(&desk), &words);
}

/// A desk whose synthesis asks a model at this address.
fn asks(url: &str) -> Desk {
    let mut desk = Desk::new();
    let strategy = "  strategies:\n    - name: sea\n      target: { accepted: 1 }\n";
    desk.edit("synthesisjob.yaml", "  strategies:\n", strategy);
    desk.edit(
        "synthesisjob.yaml",
        "spec:\n",
        "spec:\n  models: { default: { endpoint: writer } }\n",
    );
    desk.flags.extend([
        "--endpoint".to_owned(),
        format!("writer={url}"),
        "--endpoint-timeout".to_owned(),
        "2".to_owned(),
    ]);
    desk
}

/// A server on this machine that answers every request with these bytes, or with nothing at all.
fn server(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut held = vec![];
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if let Some(answer) = answer {
                let mut request = [0u8; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer.as_bytes());
            }
            held.push(answer.is_none().then_some(stream));
        }
    });
    url
}

const FIELD: &str = "spec.models.default.endpoint";

#[test]
fn an_endpoint_without_an_address_is_told_with_its_field() {
    let mut desk = asks("x");
    desk.flags.truncate(1);
    contains(
        &refused(&desk),
        &[
            "spec.models.default.endpoint",
            "writer",
            "--endpoint writer=URL",
            "AGOGE_ENDPOINT",
        ],
    );
}

#[test]
fn an_endpoint_that_is_down_is_told() {
    let url = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    contains(&refused(&asks(&url)), &[FIELD, &url, "cannot connect"]);
}

#[test]
fn an_endpoint_that_answers_html_is_told() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\nconnection: close\r\n\r\n<html>hi</html>";
    let url = server(Some(page));
    contains(&refused(&asks(&url)), &[FIELD, &url, "HTML"]);
}

#[test]
fn an_endpoint_that_answers_nonsense_is_told() {
    let nonsense = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\nconnection: close\r\n\r\n{\"a\": true}";
    let url = server(Some(nonsense));
    contains(
        &refused(&asks(&url)),
        &[FIELD, &url, "not a chat completion"],
    );
}

#[test]
fn an_endpoint_that_stalls_is_told() {
    let url = server(None);
    contains(
        &refused(&asks(&url)),
        &[FIELD, &url, "no answer within 2 s"],
    );
}

/// A limit on the size of files is met in the same place as the end of a disk, and needs no right to mount one.
#[test]
fn a_full_disk_is_told_nothing_is_lost_and_with_room_again_it_goes_on() {
    let desk = Desk::new();
    let command = desk.command();
    let mut limited = std::process::Command::new("bash");
    limited
        .args(["-c", "ulimit -f 24; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    let output = limited.output().unwrap();
    contains(
        &told(&output),
        &["disk full while writing", "what is finished is kept"],
    );
    assert_eq!(
        desk.status("synthesisjob-desk")["attempts"],
        serde_json::Value::Null,
        "a full disk is no failure"
    );
}
