//! Whole lives under the local driver, with a double in the workers' place: what is written, what a kill costs, what is told.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A run in a folder of its own.
struct Run {
    dir: tempfile::TempDir,
    double: &'static str,
    flags: Vec<&'static str>,
}

impl Run {
    fn new(double: &'static str) -> Self {
        let run = Self {
            dir: tempfile::tempdir().unwrap(),
            double,
            flags: vec![],
        };
        let made = agoge()
            .args(["domain", "new", "desk"])
            .arg(run.manifests())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        run
    }

    fn manifests(&self) -> PathBuf {
        self.dir.path().join("desk")
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn command(&self) -> Command {
        let mut command = agoge();
        command
            .arg("up")
            .arg("-f")
            .arg(self.manifests())
            .arg("--out")
            .arg(self.out());
        command.args(&self.flags).env("DOUBLE", self.double);
        command
    }

    fn up(&self) -> Output {
        self.command().output().unwrap()
    }

    fn start(&self) -> Child {
        self.command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn object(&self, file: &str) -> Value {
        read(&self.out().join("objects").join(file))
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.manifests().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from:?} is not in {file}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    fn starts(&self, work: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.out().join("work").join(work).join("starts"))
            .unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The process of a child, once it has begun.
    fn pid(&self, work: &str) -> String {
        wait(|| self.starts(work).last().cloned())
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    }
}

fn agoge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agoge"));
    command.env(
        "AGOGE_WORKER",
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/double/agoge-worker"),
    );
    command.env_remove("AGOGE_ENDPOINT");
    command
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(
        &std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
    )
    .unwrap()
}

fn wait<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn kill(signal: &str, pid: &str) {
    assert!(
        Command::new("kill")
            .args([signal, pid])
            .status()
            .unwrap()
            .success()
    );
}

fn alive(pid: &str) -> bool {
    // A zombie is no process any more.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

const RUN: &str = "grporun-desk.json";

#[test]
fn a_new_domain_runs_to_its_table_and_a_second_time_does_nothing() {
    let run = Run::new("{}");
    let output = run.up();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for object in ["synthesisjob-desk.json", "checkersuite-desk.json", RUN] {
        assert_eq!(
            run.object(object)["status"]["phase"],
            "Complete",
            "{object}"
        );
        assert!(
            run.object(object)["status"]["activeSince"].is_null(),
            "{object}: the clock stands still"
        );
    }
    assert!(said.contains("pass^1") && said.contains("0.900"), "{said}");
    let result = read(&run.out().join("result.json"));
    assert_eq!(result["policy"]["grpo"]["pass^1"], 0.9);
    assert_eq!(
        result["synthesis"]["strategies"]["template"]["source"],
        "live"
    );
    assert_eq!(result["suite"]["mutationScore"], 0.97);
    assert!(result["modelAnswers"].is_null(), "no model was asked");

    let before = std::fs::read_to_string(run.out().join("objects").join(RUN)).unwrap();
    let output = run.up();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(
        std::fs::read_to_string(run.out().join("objects").join(RUN)).unwrap(),
        before
    );
    assert_eq!(run.starts("desk-grpo").len(), 1, "nothing is done twice");
}

#[test]
fn a_run_that_asks_for_rollout_servers_goes_without_them_on_one_machine() {
    let run = Run::new("{}");
    let apart = "  topology: {mode: disaggregated, rollouts: 2}\n  seed: 1";
    run.edit("grporun.yaml", "  seed: 1", apart);
    let output = run.up();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("plays its own rollouts"), "{said}");
    assert!(run.starts("desk-rollout").is_empty());
    let assignment = read(&run.out().join("work/desk-grpo/assignment.json"));
    assert!(assignment["spec"].get("rollouts").is_none());
}

#[test]
fn the_status_in_the_file_is_the_one_that_the_plan_gives_for_it() {
    use agoge_cli::driver::objects::{self, Object};
    let run = Run::new("{}");
    assert!(run.up().status.success());
    let stored: Vec<Object> = objects::stored(&run.out()).unwrap();
    assert_eq!(stored.len(), 3);
    let all: Vec<_> = stored.iter().map(|object| &object.manifest).collect();
    for object in &stored {
        let observed = objects::references(&object.manifest, &all);
        let next = object.plan(&observed, agoge_cli::driver::session::now());
        assert_eq!(next.manifest, object.manifest, "{}", object.id());
        assert!(next.children.is_empty());
    }
}

#[test]
fn a_killed_driver_takes_its_workers_along_and_the_same_command_ends_the_same() {
    let run = Run::new(r#"{"grpo": {"seconds": 2}}"#);
    let mut driver = run.start();
    let worker = run.pid("desk-grpo");
    wait(|| {
        run.out()
            .join("work/desk-grpo/ledger")
            .exists()
            .then_some(())
    });
    driver.kill().unwrap();
    driver.wait().unwrap();
    wait(|| (!alive(&worker)).then_some(()));
    let output = run.up();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let ledger = std::fs::read_to_string(run.out().join("work/desk-grpo/ledger")).unwrap();
    let items: Vec<&str> = ledger.lines().collect();
    assert_eq!(
        items,
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        "nothing lost, nothing doubled"
    );
    assert_eq!(
        run.starts("desk-agent-sft").len(),
        1,
        "what was finished is not done again"
    );

    let uncut = Run::new("{}");
    assert!(uncut.up().status.success());
    let digest = |run: &Run| run.object(RUN)["status"]["stages"]["evaluate"]["digest"].clone();
    assert_eq!(digest(&run), digest(&uncut));
}

#[test]
fn a_killed_worker_is_told_and_tried_again_where_it_was() {
    let run = Run::new(r#"{"grpo": {"seconds": 2}}"#);
    let driver = run
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let worker = run.pid("desk-grpo");
    wait(|| {
        run.out()
            .join("work/desk-grpo/ledger")
            .exists()
            .then_some(())
    });
    kill("-9", &worker);
    let output = driver.wait_with_output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("BackingOff") && said.contains("Killed"),
        "{said}"
    );
    assert_eq!(run.object(RUN)["status"]["attempts"]["grpo"]["failures"], 1);
    let ledger = std::fs::read_to_string(run.out().join("work/desk-grpo/ledger")).unwrap();
    assert_eq!(ledger.lines().count(), 10);
}

#[test]
fn an_interrupted_run_ends_cleanly_and_goes_on() {
    let run = Run::new(r#"{"grpo": {"seconds": 3}}"#);
    let mut driver = run.start();
    let worker = run.pid("desk-grpo");
    std::thread::sleep(Duration::from_millis(1200));
    kill("-INT", &driver.id().to_string());
    assert_eq!(driver.wait().unwrap().code(), Some(130));
    assert!(!alive(&worker));
    let status = run.object(RUN)["status"].clone();
    assert!(
        status["activeSince"].is_null(),
        "the clock stands still while nobody drives: {status}"
    );
    assert!(
        status["attempts"]["grpo"]["failures"].is_null(),
        "being stopped is no failure"
    );
    assert_eq!(run.up().status.code(), Some(0));
}

#[test]
fn two_drivers_never_share_a_folder() {
    let run = Run::new(r#"{"grpo": {"seconds": 3}}"#);
    let mut driver = run.start();
    run.pid("desk-grpo");
    let output = run.up();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output).contains(&format!("process {}", driver.id())),
        "{}",
        text(&output)
    );
    kill("-TERM", &driver.id().to_string());
    driver.wait().unwrap();
}

#[test]
fn a_changed_manifest_is_made_anew_alone_and_its_figures_from_before_are_kept_aside() {
    let run = Run::new("{}");
    assert!(run.up().status.success());
    let before = run.object(RUN);
    run.edit("grporun.yaml", "seed: 1", "seed: 2");
    let output = run.up();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("grporun/desk is made anew: spec.seed changed") && said.contains("earlier"),
        "{said}"
    );
    assert!(!said.contains("checkersuite/desk is"), "{said}");
    let now = run.object(RUN);
    assert_eq!(now["metadata"]["generation"], 2);
    assert_eq!(now["spec"]["seed"], 2);
    assert_eq!(now["status"]["phase"], "Complete");
    assert_ne!(
        now["status"]["stages"]["grpo"]["digest"],
        before["status"]["stages"]["grpo"]["digest"]
    );
    assert_eq!(run.starts("desk-synthesize-template").len(), 1);
    assert_eq!(run.starts("desk-grpo").len(), 2);
    let earlier = run.out().join("earlier");
    assert_eq!(read(&earlier.join("objects").join(RUN)), before);
    assert!(earlier.join("result.json").exists());

    run.edit(
        "grporun.yaml",
        "  seed: 2",
        "  runPolicy: {backoffLimit: 5}\n  seed: 2",
    );
    let said = text(&run.up());
    assert!(!said.contains("made anew"), "{said}");
    assert_eq!(
        run.starts("desk-grpo").len(),
        2,
        "the result does not depend on it"
    );
}

#[test]
fn a_changed_domain_is_told_and_all_that_rests_on_it_is_made_anew_once() {
    let run = Run::new("{}");
    assert!(run.up().status.success());
    let policy = run.manifests().join("domain/policy.md");
    let prose = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, format!("{prose}\nBe brief.\n")).unwrap();
    let output = run.up();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for id in ["synthesisjob/desk", "checkersuite/desk", "grporun/desk"] {
        let line = format!("{id} is made anew: the domain desk changed");
        assert!(said.contains(&line), "{line}: {said}");
    }
    for work in ["desk-synthesize-template", "desk-qualify", "desk-evaluate"] {
        assert_eq!(run.starts(work).len(), 2, "{work}");
    }
    let said = text(&run.up());
    assert!(!said.contains("made anew"), "{said}");
    assert_eq!(run.starts("desk-evaluate").len(), 2);
}

#[test]
fn what_rests_on_a_changed_object_and_is_not_asked_for_is_told_to_be_out_of_date() {
    let run = Run::new("{}");
    assert!(run.up().status.success());
    run.edit("synthesisjob.yaml", "accepted: 320", "accepted: 160");
    let output = agoge()
        .args(["up", "-f"])
        .arg(run.manifests().join("synthesisjob.yaml"))
        .arg("--out")
        .arg(run.out())
        .output()
        .unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for words in [
        "synthesisjob/desk is made anew: spec.strategies changed",
        "checkersuite/desk is out of date: it rests on synthesisjob/desk",
        "grporun/desk is out of date: it rests on checkersuite/desk",
        "give its manifest too",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(run.object(RUN)["status"].is_null());
    let result = read(&run.out().join("result.json"));
    assert!(
        result["policy"]["grpo"].is_null(),
        "no old figure: {result}"
    );
    assert_eq!(run.up().status.code(), Some(0));
    assert_eq!(run.object(RUN)["status"]["phase"], "Complete");
}

#[test]
fn a_failed_run_whose_manifest_was_changed_needs_no_retry() {
    let mut run =
        Run::new(r#"{"grpo": {"exit": 2, "reason": "TrajectoriesCut", "says": "raise maxTurns"}}"#);
    let output = run.up();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("raise maxTurns") && !said.contains("--retry"),
        "{said}"
    );
    run.double = "{}";
    assert_eq!(run.up().status.code(), Some(1), "nothing has changed");
    run.edit(
        "grporun.yaml",
        "groupSize: 8",
        "groupSize: 8\n      maxTurns: 20",
    );
    let output = run.up();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(run.starts("desk-qualify").len(), 1);
}

#[test]
fn a_worker_that_lacks_a_library_is_told_at_once_and_not_tried_again() {
    let run = Run::new(
        r#"{"synthesize-template": {"exit": 127, "says": "agoge-worker: error while loading shared libraries: libtorch_cpu.so: cannot open shared object file"}}"#,
    );
    let output = run.up();
    let said = text(&output);
    assert!(!output.status.success(), "{said}");
    for words in ["LibraryMissing", "libtorch_cpu.so", "make setup"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(run.starts("desk-synthesize-template").len(), 1);
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let run = Run::new("{}");
    assert!(run.up().status.success());
    let quiet = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = agoge();
        command.args(arguments).stdout(writer);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(141), "{arguments:?}: {said}");
        assert!(said.is_empty(), "{said}");
    };
    let (out, manifests) = (run.out(), run.manifests());
    let (out, manifests) = (out.to_str().unwrap(), manifests.to_str().unwrap());
    quiet(&["status", "--json", "--out", out]);
    quiet(&["status", "--out", out]);
    quiet(&["check", "-f", manifests]);
    quiet(&["up", "-f", manifests, "--out", out]);
}

#[test]
fn a_worker_that_refuses_its_input_fails_the_run_at_once_and_retry_goes_on() {
    let mut run =
        Run::new(r#"{"agent-sft": {"exit": 2, "says": "checkpoint.json is corrupt; delete it"}}"#);
    let output = run.up();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("checkpoint.json is corrupt; delete it") && said.contains("--retry"),
        "{said}"
    );
    assert_eq!(
        run.starts("desk-agent-sft").len(),
        1,
        "what trying again does not mend is not tried again"
    );
    assert!(run.out().join("result.json").exists());
    run.double = "{}";
    assert_eq!(run.up().status.code(), Some(2), "terminal stays terminal");
    run.flags = vec!["--retry"];
    assert_eq!(run.up().status.code(), Some(0));
}

#[test]
fn a_full_disk_stops_the_run_and_counts_as_nobodys_failure() {
    let mut run = Run::new(
        r#"{"agent-sft": {"exit": 3, "says": "disk full while writing model.safetensors"}}"#,
    );
    let output = run.up();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output).contains("disk full while writing model.safetensors"),
        "{}",
        text(&output)
    );
    run.double = "{}";
    let output = run.up();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(run.object(RUN)["status"]["attempts"].is_null());
}

#[test]
fn the_rules_of_a_manifest_decide_what_becomes_of_a_failure_as_on_a_cluster() {
    let rules = |rules: &str| format!("  worker: {{failureRules: [{rules}]}}\n  seed: 1");
    let run = Run::new(
        r#"{"agent-sft": {"exit": 3, "reason": "EndpointDown", "says": "qwen refused; start it"}}"#,
    );
    let fail = rules("{reasons: [EndpointDown], action: fail}");
    run.edit("grporun.yaml", "  seed: 1", &fail);
    let output = run.up();
    assert!(!output.status.success(), "{}", text(&output));
    let status = run.object(RUN)["status"].clone();
    let failed = status["conditions"].as_array().unwrap().iter();
    let failed = failed.clone().find(|c| c["type"] == "Failed").unwrap();
    assert_eq!(failed["reason"], "EndpointDown");
    let log = run.out().join("logs/desk-agent-sft.log");
    let message = format!(
        "agent-sft failed (EndpointDown, exit code 3): log {}: qwen refused; start it",
        log.display()
    );
    assert_eq!(failed["message"], message);
    assert_eq!(run.starts("desk-agent-sft").len(), 1);

    let run = Run::new(r#"{"agent-sft": {"exit": 2, "times": 1, "says": "no such file"}}"#);
    let ignore = rules("{exitCodes: [2], action: ignore}");
    run.edit("grporun.yaml", "  seed: 1", &ignore);
    let output = run.up();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(run.starts("desk-agent-sft").len(), 2);
    let attempts = &run.object(RUN)["status"]["attempts"]["agent-sft"];
    assert_eq!(attempts["failures"], 0, "{attempts}");
}

#[test]
fn a_worker_that_hangs_is_told_killed_and_tried_again() {
    let mut run = Run::new(r#"{"agent-sft": {"hang": true, "stops": false, "times": 1}}"#);
    run.flags = vec!["--hang-after", "4"];
    let output = run.up();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("no sign of life") && said.contains("Hung"),
        "{said}"
    );
    assert_eq!(run.starts("desk-agent-sft").len(), 2);
}

#[test]
fn strategies_run_one_after_another_each_on_all_cores() {
    let mut run = Run::new("{}");
    run.flags = vec!["--threads", "6", "--replay", "."];
    let strategy = "  strategies:\n    - name: sea\n      target: { accepted: 2 }\n";
    run.edit("synthesisjob.yaml", "  strategies:\n", strategy);
    run.edit(
        "synthesisjob.yaml",
        "spec:\n",
        "spec:\n  models: { default: { endpoint: qwen } }\n",
    );
    let output = run.up();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let threads = |work: &str| run.starts(work)[0].split(' ').nth(2).unwrap().to_owned();
    assert_eq!(
        [
            threads("desk-synthesize-sea"),
            threads("desk-synthesize-template")
        ],
        ["6", "6"]
    );
    assert_eq!(threads("desk-grpo"), "6");
    let job = run.object("synthesisjob-desk.json");
    let lineage = job["status"]["lineage"].as_array().unwrap();
    assert_eq!(lineage.len(), 8, "of a hundred generations");
    assert_eq!(lineage[7]["generation"], 99);
    let result = read(&run.out().join("result.json"));
    assert_eq!(result["modelAnswers"], "replayed");
    assert_eq!(
        result["synthesis"]["strategies"]["sea"]["source"],
        "replayed"
    );
}

#[test]
fn generation_plan_yield_and_decision_are_in_the_status_file_while_the_job_runs() {
    let mut run = Run::new(
        r#"{"synthesize-sea": {"seconds": 20, "figures": {"generation": 1, "plan": "sha256:b", "attempted": 9, "lineage": [
            {"generation": 0, "digest": "sha256:a", "change": "the built-in pair", "outcome": "pilot"},
            {"generation": 1, "digest": "sha256:b", "parent": "sha256:a", "change": "calls: look first", "outcome": "promoted",
             "yield": {"value": 0.9, "low": 0.4, "high": 1.7}}]}}}"#,
    );
    run.flags = vec!["--replay", "."];
    let strategy = "  strategies:\n    - name: sea\n      target: { accepted: 2 }\n";
    run.edit("synthesisjob.yaml", "  strategies:\n", strategy);
    let models = "spec:\n  models: { default: { endpoint: qwen } }\n";
    run.edit("synthesisjob.yaml", "spec:\n", models);
    let mut driver = run.start();
    let file = run.out().join("objects/synthesisjob-desk.json");
    let status = wait(|| {
        let object: Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
        object["status"]["lineage"].as_array()?;
        Some(object["status"].clone())
    });
    driver.kill().unwrap();
    driver.wait().unwrap();
    assert_eq!(status["phase"], "Running", "{status}");
    assert_eq!(
        (&status["generation"], &status["plan"]),
        (&Value::from(1), &Value::from("sha256:b"))
    );
    assert_eq!(status["lineage"][1]["outcome"], "promoted");
    assert_eq!(status["lineage"][1]["yield"]["value"], 0.9);
}
