//! A worker as a pod runs it: its index, its domain as it is delivered, its kept work, its termination message. With a bucket in
//! `AGOGE_TEST_S3` (see `make test-s3`) the store is that one, else a folder.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use agoge_artifacts::provenance::QualificationOrigin;
use agoge_artifacts::{Qualifications, QualifiedSuite};
use agoge_contract::{QualifyWork, SynthesizeWork, Work};
use agoge_crds::checker_suite::{QualificationSpec, SandboxLimits};
use agoge_crds::shared::Budget;
use agoge_crds::synthesis_job::Evolution;
use agoge_store::{Digest, GcOptions, Store};
use serde_json::{Value, json};

struct Pod {
    dir: tempfile::TempDir,
    store: String,
    domain: String,
}

impl Pod {
    fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = match std::env::var("AGOGE_TEST_S3") {
            Ok(bucket) => format!("{bucket}/{name}-{}", std::process::id()),
            Err(_) => dir.path().join("store").display().to_string(),
        };
        Self {
            domain: courier().display().to_string(),
            dir,
            store,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, target: u64, shards: u32, keep: Option<&str>) -> Command {
        let strategy = json!({"name": "template", "target": {"accepted": target},
            "parameters": {"seed": 7, "splits": [{"split": "trainSft", "mix": "natural", "share": 1}]}});
        let spec = Work::Synthesize(SynthesizeWork {
            dataset: "courier".into(),
            strategy: serde_json::from_value(strategy).unwrap(),
            models: None,
            evolution: None,
            budget: Budget::default(),
            known: Vec::new(),
            parallelism: None,
            deterministic: false,
            decision: None,
        });
        let assignment = json!({
            "name": "courier-synthesize", "key": "synthesize", "attempt": 0, "spec": spec,
            "owner": {"apiVersion": "agoge.dev/v1alpha1", "kind": "SynthesisJob", "name": "courier", "uid": ""},
            "domain": self.domain, "store": self.store, "work": self.path("work"), "threads": 2,
            "shard": 0, "shards": shards, "keep": keep, "endpoints": {},
        });
        std::fs::write(self.path("assignment.json"), assignment.to_string()).unwrap();
        std::fs::write(self.path("termination-log"), "").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_agoge-worker"));
        command
            .args(["synthesize", "--assignment"])
            .arg(self.path("assignment.json"))
            .env("AGOGE_TERMINATION_LOG", self.path("termination-log"))
            .env("AGOGE_KEEP_SECONDS", "0.05")
            .env_remove("HOME")
            .stderr(Stdio::piped());
        command
    }

    fn words(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("termination-log")).unwrap()).unwrap()
    }

    fn done(&self, command: &mut Command) -> Value {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        self.words()["result"].clone()
    }
}

fn courier() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_worker_that_lost_its_machine_goes_on_from_the_store_and_ends_in_the_same_digest() {
    let whole = Pod::new("whole").done_with(240);
    let pod = Pod::new("cut");
    let work = pod.path("work");
    let mut cuts = 0;
    for n in 1..=3u64 {
        let mut child = pod
            .command(240, 1, Some("work/uid/synthesize"))
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let lines = || {
            let entries = std::fs::read_dir(&work).into_iter().flatten().flatten();
            let ledgers = entries.filter(|e| e.path().extension().is_some_and(|x| x == "jsonl"));
            ledgers
                .filter_map(|e| Some(e.metadata().ok()?.len()))
                .sum::<u64>()
        };
        while lines() < n * 100_000 && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        cuts += u32::from(!work.join("result.json").exists());
        if n > 1 {
            assert!(
                said(&output).contains("files=1"),
                "nothing was restored: {}",
                said(&output)
            );
        }
        // The node is gone, and its disk.
        std::fs::remove_dir_all(&work).unwrap();
    }
    assert!(cuts > 0, "it was never cut");
    let made = pod.done(&mut pod.command(240, 1, Some("work/uid/synthesize")));
    assert_eq!(made["digest"], whole["digest"]);
    if let Ok(entries) = std::fs::read_dir(Path::new(&pod.store).join("kept/work/uid/synthesize/0"))
    {
        assert_eq!(entries.flatten().filter(|e| e.path().is_file()).count(), 0);
    }
}

impl Pod {
    fn done_with(&self, target: u64) -> Value {
        self.done(&mut self.command(target, 1, None))
    }
}

#[test]
fn a_worker_asked_to_stop_keeps_its_work_and_says_so() {
    let pod = Pod::new("stopped");
    let mut command = pod.command(1200, 1, Some("work/stopped"));
    // Nothing is kept before the end.
    let child = command.env("AGOGE_KEEP_SECONDS", "600").spawn().unwrap();
    let begun = Instant::now();
    while !pod.path("work/progress.json").exists() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    let asked = Command::new("kill").arg(child.id().to_string()).status();
    assert!(asked.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let words = pod.words();
    assert_eq!(
        (&words["reason"], &words["retryable"]),
        (&json!("Stopped"), &json!(true))
    );
    std::fs::remove_dir_all(pod.path("work")).unwrap();
    let output = pod
        .command(90_000, 1, Some("work/stopped"))
        .output()
        .unwrap();
    assert!(said(&output).contains("files=1"), "{}", said(&output));
}

#[test]
fn a_domain_arrives_packed_or_flattened_and_the_index_is_the_shard() {
    let mut pod = Pod::new("shards");
    let shard = |pod: &Pod, index: &str| {
        let mut command = pod.command(120, 2, None);
        command.env("JOB_COMPLETION_INDEX", index);
        pod.done(&mut command)["digest"].clone()
    };
    let (first, second) = (shard(&pod, "0"), shard(&pod, "1"));
    assert!(first.is_string() && first != second);

    // As a ConfigMap of plain files is mounted.
    let flat = pod.path("flat");
    std::fs::create_dir_all(flat.join("..data")).unwrap();
    copy_flat(&courier(), "", &flat);
    pod.domain = flat.display().to_string();
    pod.store = pod.path("another-store").display().to_string();
    assert_eq!(shard(&pod, "0"), first);

    let packed = pod.path("packed");
    std::fs::create_dir_all(&packed).unwrap();
    let tar = Command::new("tar")
        .args(["-czf", "domain.tar.gz", "-C"])
        .arg(courier())
        .arg(".")
        .current_dir(&packed)
        .status();
    assert!(tar.unwrap().success());
    pod.domain = packed.display().to_string();
    pod.store = pod.path("a-third-store").display().to_string();
    assert_eq!(shard(&pod, "1"), second);

    let mut command = pod.command(120, 2, None);
    let output = command.env("JOB_COMPLETION_INDEX", "2").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(pod.words()["reason"], "BadInput");
}

fn copy_flat(from: &Path, prefix: &str, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            copy_flat(&entry.path(), &format!("{name}__"), to);
        } else {
            std::fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

#[test]
fn a_store_that_does_not_answer_ends_a_worker_with_its_name_and_within_the_patience_given() {
    let mut pod = Pod::new("unreachable");
    pod.store = "s3://bucket/x".into();
    let mut command = pod.command(10, 1, None);
    command
        .env("AWS_ENDPOINT", "http://127.0.0.1:9")
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ACCESS_KEY_ID", "k")
        .env("AWS_SECRET_ACCESS_KEY", "s")
        .env("AGOGE_STORE_PATIENCE", "2");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let words = pod.words();
    assert_eq!(words["reason"], "StoreUnreachable", "{words}");
    assert_eq!(words["retryable"], true);
}

/// The strategy `sea` of the example, by the worker's own recordings or by an endpoint that replays them.
fn sea(pod: &Pod, endpoint: Option<&str>) -> Value {
    let recordings =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/recordings");
    let strategy =
        json!({"name": "sea", "target": {"accepted": 4}, "parameters": {"seed": 7, "rollouts": 3}});
    let models = json!({"default": {"endpoint": "qwen", "model": "qwen2.5-coder-1.5b-instruct", "concurrency": 1}});
    let spec = Work::Synthesize(SynthesizeWork {
        dataset: "courier".into(),
        strategy: serde_json::from_value(strategy).unwrap(),
        models: serde_json::from_value(models).unwrap(),
        evolution: Some(Evolution::default()),
        budget: Budget {
            tokens_per_instance: Some(450),
            ..Budget::default()
        },
        known: Vec::new(),
        parallelism: None,
        deterministic: false,
        decision: None,
    });
    let mut assignment = json!({
        "name": "courier-sea", "key": "sea", "attempt": 0, "spec": spec,
        "owner": {"apiVersion": "agoge.dev/v1alpha1", "kind": "SynthesisJob", "name": "courier", "uid": ""},
        "domain": courier(), "store": pod.store, "work": pod.path("work"), "threads": 1,
        "shard": 0, "shards": 1, "endpoints": {},
    });
    match endpoint {
        Some(url) => assignment["endpoints"] = json!({"qwen": {"url": url}}),
        None => assignment["recordings"] = json!({"mode": "replay", "folder": recordings}),
    }
    std::fs::write(pod.path("sea.json"), assignment.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_agoge-worker"));
    command
        .args(["synthesize", "--assignment"])
        .arg(pod.path("sea.json"))
        .env("AGOGE_TERMINATION_LOG", pod.path("termination-log"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let result = std::fs::read(pod.path("work/result.json")).unwrap();
    serde_json::from_slice(&result).unwrap()
}

#[test]
fn a_run_against_replayed_answers_over_http_makes_the_dataset_of_the_run_by_recordings() {
    let recordings =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/recordings");
    let mut server = Command::new(env!("CARGO_BIN_EXE_agoge-worker"))
        .args(["replay", "--listen", "127.0.0.1:0", "--recordings"])
        .arg(recordings)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(server.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let url = line
        .split_whitespace()
        .find(|word| word.starts_with("http://"));
    let url = url.unwrap().trim_end_matches("/v1").to_owned();
    let by_tape = sea(&Pod::new("tape"), None);
    let by_http = sea(&Pod::new("http"), Some(&url));
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(by_tape["digest"].is_string(), "{by_tape}");
    assert_eq!(by_http, by_tape);
}

/// Qualifies a dataset of `sea` in a work folder of its own. Returns the suite without times, and what the worker logged.
fn qualified(
    pod: &Pod,
    (work, dataset): (&str, &Digest),
    qualification: QualificationSpec,
    sandbox: SandboxLimits,
) -> (QualifiedSuite, String) {
    let spec = Work::Qualify(QualifyWork {
        suite: "courier".into(),
        source: serde_json::from_value(json!({"synthesisJob": "courier"})).unwrap(),
        parts: Some(BTreeMap::from([("sea".into(), dataset.to_string())])),
        sandbox,
        qualification,
    });
    let assignment = json!({
        "name": "courier-qualify", "key": "qualify", "attempt": 0, "spec": spec,
        "owner": {"apiVersion": "agoge.dev/v1alpha1", "kind": "CheckerSuite", "name": "courier", "uid": ""},
        "domain": courier(), "store": pod.store, "work": pod.path(work), "threads": 2,
        "shard": 0, "shards": 1, "endpoints": {},
    });
    std::fs::write(pod.path("qualify.json"), assignment.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_agoge-worker"));
    command
        .args(["qualify", "--assignment"])
        .arg(pod.path("qualify.json"))
        .env("AGOGE_TERMINATION_LOG", pod.path("termination-log"))
        .env_remove("AGOGE_LOG");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let result = std::fs::read(pod.path(work).join("result.json")).unwrap();
    let result: Value = serde_json::from_slice(&result).unwrap();
    let store = Store::open(&pod.store).unwrap();
    let suite = QualifiedSuite::find(&store, result["digest"].as_str().unwrap());
    let mut suite = suite.unwrap().unwrap();
    (suite.suite.seconds, suite.suite.p95_ms) = (0.0, 0.0);
    for one in &mut suite.qualifications {
        one.p95_ms = 0.0;
    }
    (suite, said(&output))
}

#[test]
fn a_suite_takes_over_what_sea_qualified_and_is_the_one_that_qualifies_anew() {
    let pod = Pod::new("suite");
    let made = sea(&pod, None);
    let dataset = Digest::parse(made["digest"].as_str().unwrap()).unwrap();
    let taken_over = |n: &Value| format!("tasks={} taken_over={n}", made["valid"]);
    let (spec, limits) = (QualificationSpec::default(), SandboxLimits::default());
    let store = Store::open(&pod.store).unwrap();
    let at_once = GcOptions {
        min_age: Duration::ZERO,
        ..GcOptions::default()
    };
    store.gc(&at_once).unwrap();
    let (suite, log) = qualified(&pod, ("first", &dataset), spec, limits);
    assert!(log.contains(&taken_over(&made["valid"])), "{log}");
    assert!(suite.suite.checkers > 0);

    let other_seed = QualificationSpec { seed: 1, ..spec };
    let (_, log) = qualified(&pod, ("seed", &dataset), other_seed, limits);
    assert!(log.contains(&taken_over(&json!(0))), "{log}");
    let other_limit = SandboxLimits {
        recursion: 199,
        ..limits
    };
    let (_, log) = qualified(&pod, ("limit", &dataset), spec, other_limit);
    assert!(log.contains(&taken_over(&json!(0))), "{log}");

    let inputs = Qualifications::inputs(&dataset);
    store
        .remove_artifact(Qualifications::KIND, &inputs)
        .unwrap();
    for done in store.artifacts(QualificationOrigin::KIND).unwrap() {
        store
            .remove_artifact(QualificationOrigin::KIND, &done.inputs)
            .unwrap();
    }
    let (anew, log) = qualified(&pod, ("anew", &dataset), spec, limits);
    assert!(log.contains(&taken_over(&json!(0))), "{log}");
    assert_eq!(anew, suite);
}
