//! The whole life of a new domain with the real workers, as a newcomer meets it.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
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
    policy_exported(&desk);
    talked_to(&desk);
    scored(&desk);
}

/// A row a line in every form, each as its trainer takes it.
fn exported(desk: &Desk) {
    let folder = |name: &str| desk.dir.path().join(name);
    let (dataset, tuning) = (folder("rows"), folder("tuning"));
    let forms: [&[&OsStr]; 2] = [
        &[dataset.as_os_str()],
        &[
            OsStr::new("openai"),
            OsStr::new("--dir"),
            tuning.as_os_str(),
        ],
    ];
    for form in forms {
        let export = || {
            let mut command = agoge();
            command.arg("export").arg("--out").arg(desk.out());
            command.arg("--to").args(form).output().unwrap()
        };
        let output = export();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(export().status.code(), Some(2), "nothing is overwritten");
    }
    let rows = |file: PathBuf| -> Vec<Value> {
        let text = std::fs::read_to_string(file).unwrap();
        let rows: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(!rows.is_empty());
        rows
    };
    let arguments = |row: &Value| -> Vec<Value> {
        let messages = row["messages"].as_array().unwrap();
        assert_eq!(messages[0]["role"], "system");
        assert_eq!(messages[1]["role"], "user");
        assert_eq!(messages[messages.len() - 1]["role"], "assistant");
        assert_eq!(row["tools"][0]["function"]["parameters"]["type"], "object");
        let calls = messages.iter().filter_map(|m| m["tool_calls"].as_array());
        calls
            .flatten()
            .map(|call| call["function"]["arguments"].clone())
            .collect()
    };
    let sft = rows(dataset.join("data/sft.jsonl"));
    assert!(
        sft.iter()
            .flat_map(arguments)
            .all(|given| given.is_object())
    );
    let tuned = rows(tuning.join("train.jsonl"));
    assert_eq!(tuned.len(), sft.len());
    assert!(
        tuned
            .iter()
            .flat_map(arguments)
            .all(|given| given.is_string())
    );
    let rl = rows(dataset.join("data/rl.jsonl"));
    let task = |row: &Value| row["task"].as_str().unwrap().contains("gold");
    assert!(rl.iter().all(task));
    let card = std::fs::read_to_string(dataset.join("README.md")).unwrap();
    assert!(card.starts_with("---\nconfigs:"));
    rendered(&[&dataset, &tuning]);
}

/// The trained policy comes out as a folder that transformers loads, and only once into the same folder.
fn policy_exported(desk: &Desk) {
    let to = desk.dir.path().join("policy");
    let export = || {
        let mut command = agoge();
        command.arg("export").arg("--out").arg(desk.out());
        command.args(["--to", "policy", "--dir"]).arg(&to);
        command.output().unwrap()
    };
    let output = export();
    assert!(output.status.success(), "{}", said(&output));
    for file in ["model.safetensors", "tokenizer.json", "README.md"] {
        assert!(to.join(file).is_file(), "{file}");
    }
    let config = read(&to.join("config.json"));
    assert_eq!(config["architectures"][0], "LlamaForCausalLM");
    let tokenizer = read(&to.join("tokenizer_config.json"));
    assert!(tokenizer["chat_template"].is_string(), "{tokenizer}");
    assert!(read(&to.join("generation_config.json"))["eos_token_id"].is_number());
    assert_eq!(export().status.code(), Some(2), "nothing is overwritten");
}

/// transformers renders the exports, where `hack/peers` has installed it.
fn rendered(folders: &[&Path]) {
    let cache = std::env::var_os("AGOGE_CACHE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/agoge"));
    let python = cache.or_else(home).unwrap().join("peers/bin/python");
    if !python.is_file() {
        eprintln!(
            "{} is not there: the exports are not rendered",
            python.display()
        );
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/exports.py");
    let output = Command::new(python)
        .arg(script)
        .args(folders)
        // The peers bring a libtorch of their own.
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
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
