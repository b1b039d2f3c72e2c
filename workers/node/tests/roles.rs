//! The roles `synthesize` and `qualify` as a driver runs them: processes with an assignment file, killed and started again.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use agoge_artifacts::{DatasetOrigin, QualifiedSuite, Shard, dataset};
use agoge_contract::{QualifyWork, ScoreWork, SynthesizeWork, Work};
use agoge_crds::checker_suite::{QualificationSpec, SandboxLimits};
use agoge_crds::report::SynthesisReport;
use agoge_crds::shared::Budget;
use agoge_store::{Digest, Store};
use agoge_world::Split;
use serde_json::{Value, json};

/// One driver's folder.
struct Out(tempfile::TempDir);

impl Out {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn work(&self, role: &str) -> PathBuf {
        self.0.path().join("work").join(role)
    }

    fn assignment(&self, role: &str, work: &Work, (shard, shards): (u32, u32)) -> PathBuf {
        let courier = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
        let assignment = json!({
            "name": format!("courier-{role}"), "key": role, "attempt": 0, "spec": work,
            "owner": {"apiVersion": "agoge.dev/v1alpha1", "kind": "SynthesisJob", "name": "courier", "uid": ""},
            "domain": courier, "store": self.0.path().join("store"), "work": self.work(role), "threads": 2,
            "shard": shard, "shards": shards, "endpoints": {},
        });
        let file = self.0.path().join(format!("{role}.json"));
        std::fs::write(&file, assignment.to_string()).unwrap();
        file
    }

    fn start(&self, role: &str, work: &Work) -> Child {
        self.start_shard(role, work, (0, 1))
    }

    fn start_shard(&self, role: &str, work: &Work, shard: (u32, u32)) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agoge-worker"));
        command
            .arg(role)
            .arg("--assignment")
            .arg(self.assignment(role, work, shard));
        command.stderr(Stdio::piped()).spawn().unwrap()
    }

    fn run(&self, role: &str, work: &Work) -> Output {
        self.start(role, work).wait_with_output().unwrap()
    }

    /// Runs to the end; the result.
    fn done(&self, role: &str, work: &Work) -> Value {
        let output = self.run(role, work);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let progress = self.read(role, "progress.json");
        assert_eq!(progress["done"], progress["total"], "{progress}");
        self.read(role, "result.json")
    }

    fn read(&self, role: &str, file: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.work(role).join(file)).unwrap()).unwrap()
    }

    /// Kills it with -9 once its ledger has `bytes`; says whether it was still at work.
    fn cut(&self, role: &str, work: &Work, bytes: u64) -> bool {
        let mut child = self.start(role, work);
        let begun = Instant::now();
        while self.ledger(role) < bytes && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        !self.work(role).join("result.json").exists()
    }

    fn ledger(&self, role: &str) -> u64 {
        let Ok(entries) = std::fs::read_dir(self.work(role)) else {
            return 0;
        };
        let ledgers = entries
            .flatten()
            .filter(|e| e.path().extension().is_some_and(|x| x == "jsonl"));
        ledgers.filter_map(|e| Some(e.metadata().ok()?.len())).sum()
    }
}

fn template(target: u64) -> Work {
    let strategy = json!({"name": "template", "target": {"accepted": target}, "parameters": {
        "seed": 7, "splits": [
            {"split": "trainSft", "mix": "natural", "share": 1},
            {"split": "trainRl", "mix": "evenBranches", "share": 1},
            {"split": "heldout", "mix": "evenBranches", "share": 1}]}});
    Work::Synthesize(SynthesizeWork {
        dataset: "courier".into(),
        strategy: serde_json::from_value(strategy).unwrap(),
        models: None,
        evolution: None,
        budget: Budget::default(),
        known: Vec::new(),
        parallelism: None,
        deterministic: false,
        decision: None,
    })
}

fn sea() -> Work {
    let Work::Synthesize(work) = template(1) else {
        unreachable!()
    };
    let models = json!({"default": {"endpoint": "qwen"}});
    let strategy = json!({"name": "sea", "target": {"accepted": 1}});
    Work::Synthesize(SynthesizeWork {
        strategy: serde_json::from_value(strategy).unwrap(),
        models: serde_json::from_value(models).unwrap(),
        ..work
    })
}

/// Qualification of a source, and of the digest that the strategy template came to.
fn qualify_from(source: Value, digest_of: Option<&Value>) -> Work {
    let digest = |digest: &Value| digest.as_str().unwrap().to_owned();
    let parts = |of: &Value| BTreeMap::from([("template".to_owned(), digest(of))]);
    Work::Qualify(QualifyWork {
        suite: "courier".into(),
        source: serde_json::from_value(source).unwrap(),
        parts: digest_of.map(parts),
        sandbox: SandboxLimits::default(),
        qualification: QualificationSpec::default(),
    })
}

fn qualify(digest: &Value) -> Work {
    qualify_from(json!({"synthesisJob": "courier"}), Some(digest))
}

#[test]
fn a_worker_killed_at_any_moment_and_started_again_ends_in_the_same_digests() {
    let whole = Out::new();
    let made = whole.done("synthesize", &template(240));
    assert_eq!(
        (&made["accepted"], &made["valid"]),
        (&json!(240), &json!(240)),
        "{made}"
    );
    let suite = whole.done("qualify", &qualify(&made["digest"]));
    assert_eq!(
        (&suite["checkers"], &suite["qualified"]),
        (&json!(240), &json!(240)),
        "{suite}"
    );
    assert!(suite["mutationScore"].as_f64().unwrap() >= 0.9, "{suite}");

    let cut = Out::new();
    let first = (1..=3)
        .filter(|n| cut.cut("synthesize", &template(240), n * 100_000))
        .count();
    assert!(first > 0, "it was never cut");
    assert_eq!(
        cut.done("synthesize", &template(240))["digest"],
        made["digest"]
    );
    let second = (1..=3)
        .filter(|n| cut.cut("qualify", &qualify(&made["digest"]), n * 12_000))
        .count();
    assert!(second > 0, "it was never cut");
    assert_eq!(
        cut.done("qualify", &qualify(&made["digest"]))["digest"],
        suite["digest"]
    );

    // What is made is found: nothing runs again, even when the ledgers are gone.
    std::fs::remove_dir_all(cut.0.path().join("work")).unwrap();
    for (role, work, digest) in [
        ("synthesize", template(240), &made["digest"]),
        ("qualify", qualify(&made["digest"]), &suite["digest"]),
    ] {
        assert!(cut.run(role, &work).status.success());
        assert_eq!(cut.read(role, "result.json")["digest"], *digest);
        assert_eq!(cut.ledger(role), 0);
    }
}

#[test]
fn a_suite_that_models_alone_wrote_has_demonstrations_tasks_and_an_evaluation() {
    let out = Out::new();
    let made = out.done("synthesize", &template(60));
    let store = Store::open(out.0.path().join("store")).unwrap();
    let digest = Digest::parse(made["digest"].as_str().unwrap()).unwrap();
    // As `sea` leaves them: accepted, and none of them divided.
    let mut attempts = dataset::get(&store, &digest).unwrap();
    for attempt in &mut attempts {
        attempt.strategy = "sea".into();
        attempt.split = Split::TrainRl;
    }
    let origin = DatasetOrigin::new("d", "sea", "{}".into(), Shard::default());
    dataset::publish(&store, "written", &origin, &attempts).unwrap();
    let qualified = out.done("qualify", &qualify_from(json!({"path": "written"}), None));
    let digest = qualified["digest"].as_str().unwrap();
    let suite = QualifiedSuite::find(&store, digest).unwrap().unwrap();
    assert_eq!(suite.instances.len(), 60);
    let count = |split: Split| {
        let own = suite.instances.iter().filter(|one| one.split == split);
        own.count()
    };
    for split in [Split::TrainSft, Split::TrainRl, Split::Heldout] {
        assert!(count(split) >= 5, "{split:?}: {}", count(split));
    }
}

#[test]
fn shards_of_a_strategy_are_found_by_the_digest_that_covers_them() {
    let out = Out::new();
    let shards: Vec<SynthesisReport> = (0..2)
        .map(|shard| {
            let child = out.start_shard("synthesize", &template(120), (shard, 2));
            assert!(child.wait_with_output().unwrap().status.success());
            serde_json::from_value(out.read("synthesize", "result.json")).unwrap()
        })
        .collect();
    let all = SynthesisReport::of_shards(&shards);
    assert_eq!(all.accepted, 120);
    let suite = out.done("qualify", &qualify(&json!(all.digest)));
    assert_eq!(suite["checkers"], json!(120));
    let told = out.run("qualify", &qualify(&json!(agoge_crds::digest("nothing"))));
    assert_eq!(told.status.code(), Some(2));
}

#[test]
fn sound_tasks_pass_their_audit_unchanged_and_the_report_is_kept() {
    let out = Out::new();
    let made = out.done("synthesize", &template(60));
    let digest = made["digest"].clone();
    let audited = out.done(
        "qualify",
        &qualify_from(json!({"audit": {"path": digest}}), None),
    );
    assert_eq!(
        (&audited["checkers"], &audited["qualified"]),
        (&json!(60), &json!(60)),
        "{audited}"
    );
    assert_eq!(audited.get("audited"), None, "{audited}");
    let plain = out.done("qualify", &qualify(&digest));
    assert_eq!(plain["digest"], audited["digest"]);
}

#[test]
fn input_that_cannot_be_ends_with_code_2_and_says_which_field() {
    let out = Out::new();
    for (role, work, words) in [
        (
            "synthesize",
            template(90_000),
            "strategies[template].target.accepted: 90000",
        ),
        (
            "qualify",
            qualify_from(json!({"synthesisJob": "courier"}), None),
            "spec.source",
        ),
        (
            "qualify",
            qualify_from(json!({"path": "parcels"}), None),
            "spec.source.path: the store has no dataset `parcels`",
        ),
        (
            "qualify",
            qualify_from(json!({"inline": [{"id": 7}]}), None),
            "spec.source.inline[0] is not a task",
        ),
        (
            "qualify",
            qualify_from(json!({"audit": {}}), None),
            "spec.source.audit: the domain has no tasks.jsonl",
        ),
        (
            "score",
            Work::Score(ScoreWork {
                suite: "courier".into(),
                digest: "sha256:no".into(),
                endpoints: vec![],
                evaluation: None,
            }),
            "the store has no suite sha256:no",
        ),
        ("synthesize", sea(), "endpoint `qwen` has no address"),
    ] {
        let output = out.run(role, &work);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.lines().last().unwrap().contains(words), "{told}");
        assert!(!out.work(role).join("result.json").exists());
    }
}

#[test]
fn an_assignment_of_another_version_or_role_is_refused_by_the_name_of_what_differs() {
    let out = Out::new();
    let file = out.assignment("synthesize", &template(10), (0, 1));
    let whole: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let refused = |role: &str, assignment: &Value| {
        std::fs::write(&file, assignment.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_agoge-worker"));
        let output = command.arg(role).arg("--assignment").arg(&file).output();
        let output = output.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), told)
    };
    let mut older = whole.clone();
    older["spec"]["strategy"]["target"] = json!({"accepted": 10, "valid": 3});
    older["spec"]
        .as_object_mut()
        .unwrap()
        .remove("deterministic");
    let (code, told) = refused("synthesize", &older);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("missing field `deterministic`"), "{told}");
    older["spec"]["deterministic"] = json!(false);
    let (code, told) = refused("synthesize", &older);
    assert_eq!(code, Some(3), "{told}");
    let field = "the field spec.strategy.target.valid is unknown";
    assert!(told.contains(field), "{told}");
    let (code, told) = refused("qualify", &whole);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("for the role synthesize"), "{told}");
}
