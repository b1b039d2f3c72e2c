//! The whole life of a new domain with the real workers, as a newcomer meets it.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use agoge_tests::{Desk, agoge, binary, read, said};
use serde_json::Value;

#[test]
fn a_new_domain_runs_unedited_to_its_pass_k_table_is_exported_talked_to_and_scored_over_http() {
    let desk = Desk::new();
    let output = desk.up();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for word in ["pass^1", "pass^2", "pass^3", "pass^4", "grpo", "report: "] {
        assert!(said.contains(word), "{word} is missing in: {said}");
    }
    assert!(desk.out().join("report.html").is_file());
    let result = read(&desk.out().join("result.json"));
    for arm in ["empty", "random", "sft", "grpo"] {
        for figure in ["pass^1", "low", "high", "n"] {
            assert!(
                result["policy"][arm][figure].is_number(),
                "{arm} {figure}: {result}"
            );
        }
    }
    assert_eq!(
        result["policy"]["empty"]["pass^1"], 0.0,
        "doing nothing passes nothing"
    );
    assert!(
        result["suite"]["mutationScore"].as_f64() >= Some(0.9),
        "{}",
        result["suite"]
    );
    exported(&desk);
    talked_to(&desk);
    scored(&desk);
}

/// One row a line, messages and tools in each, held-out tasks in none.
fn exported(desk: &Desk) {
    let to = desk.dir.path().join("dataset");
    let export = |to: &PathBuf| {
        agoge()
            .arg("export")
            .arg("--out")
            .arg(desk.out())
            .arg("--to")
            .arg(to)
            .output()
            .unwrap()
    };
    let output = export(&to);
    assert!(output.status.success(), "{}", said(&output));
    let rows = |file: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(to.join("data").join(file)).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let (sft, rl) = (rows("sft.jsonl"), rows("rl.jsonl"));
    assert!(!sft.is_empty() && !rl.is_empty());
    for row in &sft {
        let messages = row["messages"].as_array().unwrap();
        assert_eq!(messages[0]["role"], "system");
        assert_eq!(messages[1]["role"], "user");
        assert_eq!(
            row["trainable"].as_array().map(Vec::len),
            Some(messages.len())
        );
        assert!(row["tools"].as_str().unwrap().contains("parameters"));
    }
    assert!(
        rl.iter()
            .all(|row| row["task"].as_str().unwrap().contains("gold"))
    );
    assert!(
        std::fs::read_to_string(to.join("README.md"))
            .unwrap()
            .starts_with("---\nconfigs:")
    );
    assert_eq!(export(&to).status.code(), Some(2), "nothing is overwritten");
}

/// The trained policy answers a person, and the checkers judge what came of it.
fn talked_to(desk: &Desk) {
    let mut chat = agoge()
        .arg("chat")
        .arg("--out")
        .arg(desk.out())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = chat.stdin.take().unwrap();
    stdin.write_all(b"hello\n/gold\n/done\n/quit\n").unwrap();
    drop(stdin);
    let output = chat.wait_with_output().unwrap();
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    for word in ["you are told: ", "gold> ", "verdict: ", "finalState"] {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

/// `agoge eval` asks the trained policy over HTTP, as it would any other model.
fn scored(desk: &Desk) {
    let mut models = std::fs::read_dir(desk.out().join("models")).unwrap();
    let model = models.next().unwrap().unwrap().path();
    let mut server = Command::new(binary("agoge-worker"))
        .args(["serve", "--port", "0", "--model"])
        .arg(model)
        .arg("--domain")
        .arg(desk.manifests().join("domain"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = server.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let url = line.trim().rsplit(' ').next().unwrap();
    let to = desk.dir.path().join("eval.json");
    let output = agoge()
        .arg("eval")
        .arg("--out")
        .arg(desk.out())
        .args(["--endpoint", url.trim_end_matches("/v1")])
        .args(["--tasks", "12", "--samples", "2", "--concurrency", "4"])
        // The policy was trained on calls of its own format, which the API carries as tool calls.
        .arg("--native-calls")
        .arg("--json")
        .arg(&to)
        .output();
    server.kill().unwrap();
    server.wait().unwrap();
    let output = output.unwrap();
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    let found = read(&to);
    let pass = &found["figures"]["pass"];
    assert_eq!(pass[0]["n"], 12, "every task has its verdict: {found}");
    assert_eq!(pass.as_array().map(Vec::len), Some(2), "pass^1 and pass^2");
    let called = |one: &Value| one["messages"].to_string().contains("tool_calls");
    let dialogues = found["dialogues"].as_array().unwrap();
    assert!(
        dialogues.iter().any(called),
        "it never called a tool: {found}"
    );
}

#[test]
fn a_corrupt_checkpoint_is_told_with_its_file_and_is_not_overwritten() {
    let desk = Desk::new();
    let mut driver = desk.start();
    let work = desk.out().join("work/desk-grpo");
    let began = Instant::now();
    let checkpoint = loop {
        let files = std::fs::read_dir(&work)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        let mut files = files.filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "ckpt")
        });
        if let Some(file) = files.next() {
            break file;
        }
        assert!(
            began.elapsed() < Duration::from_secs(240),
            "no checkpoint appeared in {}",
            work.display()
        );
        std::thread::sleep(Duration::from_millis(10));
    };
    driver.kill().unwrap();
    driver.wait().unwrap();
    let whole = std::fs::read(&checkpoint).unwrap();
    std::fs::write(&checkpoint, &whole[..whole.len() / 2]).unwrap();

    let output = desk.up();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let name = checkpoint
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    for word in [name.as_str(), "is corrupt", "delete it", "--retry"] {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
    assert_eq!(
        std::fs::read(&checkpoint).unwrap().len(),
        whole.len() / 2,
        "it was overwritten"
    );

    std::fs::remove_file(&checkpoint).unwrap();
    let again = desk.command().arg("--retry").output().unwrap();
    assert_eq!(
        again.status.code(),
        Some(0),
        "{}",
        agoge_tests::said(&again)
    );
}
