//! A third strategy, added as `docs/strategies.md` says: one file and one line. It runs by `agoge up`, and `agoge check` and the
//! CustomResourceDefinition judge its parameters.
//!
//! The test starts itself in the place of `agoge` and of `agoge-worker`, with the strategy in the registry.
#![allow(clippy::unwrap_used)]

mod drill;

use std::path::Path;
use std::process::{Command, ExitCode, Output};

use agoge_cli::command::{check, up};
use agoge_synthesis::registry::{self, Registered};
use clap::Parser;
use serde_json::Value;

/// `agoge`, as far as the test needs it.
#[derive(Parser)]
enum Agoge {
    Up(Box<up::Up>),
    Check(check::Check),
}

fn main() -> ExitCode {
    // The line of the registry.
    registry::extend(vec![Registered::of::<drill::Drill>()]).unwrap();
    match std::env::args().nth(1).as_deref() {
        Some("synthesize") => agoge_node::main(),
        Some("up" | "check") => {
            let ended = match Agoge::parse() {
                Agoge::Up(command) => up::up(&command),
                Agoge::Check(command) => check::check(&command),
            };
            match ended {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => {
                    eprintln!("error: {failure}");
                    failure.code()
                }
            }
        }
        _ => {
            the_crd_has_its_parameters_with_their_bounds();
            a_wrong_parameter_is_refused_by_its_name();
            it_runs_by_agoge_up_and_a_second_time_does_nothing();
            println!("test result: ok. 3 passed");
            ExitCode::SUCCESS
        }
    }
}

fn agoge(arguments: &[&str]) -> Output {
    let own = std::env::current_exe().unwrap();
    let mut command = Command::new(&own);
    command.args(arguments).env("AGOGE_WORKER", &own);
    let sandbox = Path::new(env!("CARGO_BIN_EXE_agoge-worker")).with_file_name("agoge-sandbox");
    if std::env::var_os("AGOGE_SANDBOX").is_none() {
        command.env("AGOGE_SANDBOX", sandbox);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn manifest(folder: &Path, parameters: &str) -> String {
    let file = folder.join("synthesisjob.yaml");
    let text = format!(
        "apiVersion: agoge.dev/v1alpha1\nkind: SynthesisJob\nmetadata:\n  name: desk\nspec:\n  domain: desk\n  strategies:\n    \
         - name: drill\n      target: {{ accepted: 12 }}\n      parameters: {parameters}\n"
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn the_crd_has_its_parameters_with_their_bounds() {
    let crds = serde_json::to_value(agoge_crds::crds()).unwrap();
    let strategy = crds[0]
        .pointer(
            "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/strategies/items",
        )
        .unwrap();
    let names = strategy["properties"]["name"]["enum"].as_array().unwrap();
    assert_eq!(names.last().unwrap(), "drill");
    let parameters = &strategy["properties"]["parameters"]["properties"];
    assert_eq!(parameters["branch"]["type"], "string");
    assert_eq!(parameters["skip"]["maximum"], 1000.0);
    assert!(parameters["splits"].is_object() && parameters["rollouts"].is_object());
    let rules = strategy["x-kubernetes-validations"].to_string();
    assert!(
        rules.contains("self.name in ['drill'] || !has(self.parameters.skip)"),
        "{rules}"
    );
}

fn a_wrong_parameter_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for (parameters, words) in [
        ("{ branch: renew/paid, skip: 5000 }", "parameters.skip"),
        ("{ branch: 7 }", "parameters.branch"),
        ("{ brunch: renew/paid }", "did you mean branch?"),
        ("{ skip: 1 }", "the strategy drill needs branch"),
        (
            "{ branch: renew/paid, rollouts: 3 }",
            "only the strategy sea has rollouts",
        ),
    ] {
        let output = agoge(&["check", "-f", &manifest(folder.path(), parameters)]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{parameters}: {said}");
        assert!(said.contains(words), "{parameters}: {said}");
    }
    let good = agoge(&[
        "check",
        "-f",
        &manifest(folder.path(), "{ branch: renew/paid }"),
    ]);
    assert!(good.status.success(), "{}", said(&good));
}

fn it_runs_by_agoge_up_and_a_second_time_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    agoge_world::Domain::new_skeleton(folder.path(), "desk").unwrap();
    for other in ["checkersuite.yaml", "grporun.yaml"] {
        std::fs::remove_file(folder.path().join(other)).unwrap();
    }
    manifest(folder.path(), "{ branch: renew/paid, skip: 1 }");
    let out = folder.path().join("out");
    let arguments = [
        "up",
        "-f",
        folder.path().to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--no-progress",
    ];
    let mut digests = vec![];
    for _ in 0..2 {
        let output = agoge(&arguments);
        assert!(output.status.success(), "{}", said(&output));
        let object = std::fs::read(out.join("objects/synthesisjob-desk.json")).unwrap();
        let status = serde_json::from_slice::<Value>(&object).unwrap()["status"].clone();
        assert_eq!(status["phase"], "Complete", "{status}");
        assert_eq!(status["strategies"]["drill"]["accepted"], 12, "{status}");
        digests.push(status["digest"].clone());
    }
    assert!(
        digests[0].is_string() && digests[0] == digests[1],
        "{digests:?}"
    );
}
