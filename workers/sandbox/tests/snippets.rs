//! The Python that a domain's tools may use: the snippets of docs/domain.md and a table of everyday features run and give what
//! CPython gives; what the sandbox lacks is reported by the lint, so that a newer interpreter shows its gains here.
#![allow(clippy::unwrap_used)]

use agoge_sandbox::{
    Limits, Lint, Outcome, Overlay, Program, Sandbox, Source, State, lint, pitfalls, signatures,
};
use serde_json::{Map, Value, json};

/// A section of a file of features.
struct Feature<'a> {
    name: &'a str,
    source: String,
    value: Value,
    /// The words of the lint, where the sandbox lacks it.
    lacks: Option<&'a str>,
}

fn features(text: &str) -> Vec<Feature<'_>> {
    let sections = text.split("\n#: ").skip(1);
    let read = sections.map(|section| {
        let (name, rest) = section.split_once('\n').unwrap();
        let noted = |mark: &str| rest.lines().find_map(|line| line.strip_prefix(mark));
        Feature {
            name,
            source: rest.split("\n#= ").next().unwrap().to_owned() + "\n",
            value: serde_json::from_str(noted("#= ").unwrap()).unwrap(),
            lacks: noted("#! "),
        }
    });
    read.collect()
}

fn call(source: &str, state: Value, function: &str, arguments: &Map<String, Value>) -> Outcome {
    let program = Program {
        state: State::from_json(state).unwrap(),
        tools: source.to_owned(),
        schema: None,
    };
    let mut sandbox = Sandbox::spawn(program, Limits::default()).unwrap();
    let now = "2026-01-01T00:00:00";
    let (outcome, _) = sandbox.call(&Overlay::default(), now, function, arguments, None);
    outcome
}

fn found(source: &str, kind: Source) -> Vec<Lint> {
    let mut found = lint(source, kind);
    found.extend(pitfalls(source, kind));
    found
}

#[test]
fn everyday_python_runs_and_the_lint_lets_it_pass() {
    let all = features(include_str!("snippets/runs.py"));
    assert!(all.len() > 30);
    for feature in all {
        let lints = found(&feature.source, Source::Checker);
        assert_eq!(lints, [], "{}", feature.name);
        let outcome = call(&feature.source, json!({}), "f", &Map::new());
        assert_eq!(outcome, Outcome::Value(feature.value), "{}", feature.name);
    }
}

#[test]
fn what_the_sandbox_lacks_is_reported_before_it_runs() {
    for feature in features(include_str!("snippets/lacks.py")) {
        let (name, words) = (feature.name, feature.lacks.unwrap());
        let outcome = call(&feature.source, json!({}), "f", &Map::new());
        assert_ne!(
            outcome,
            Outcome::Value(feature.value),
            "the sandbox runs {name} now: move it to runs.py, and shorten the tables of gaps"
        );
        let lints = found(&feature.source, Source::Checker);
        let told = lints.iter().find(|lint| lint.message.contains(words));
        let told = told.unwrap_or_else(|| panic!("{name}: {lints:?}"));
        assert!(told.remedy.contains("MCP"), "{name}: {told}");
    }
}

/// Calls of the tools in docs/domain.md, with what they return.
fn calls() -> [(&'static str, Value, Value); 2] {
    [
        ("hold", json!({"parcel": "1", "days": 2}), json!("ok")),
        (
            "book",
            json!({"user": "sara_2", "passengers": [{"name": "Sara", "dob": "1990-05-01"}]}),
            Value::Null,
        ),
    ]
}

#[test]
fn every_tool_that_the_documentation_shows_runs() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/domain.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```python\n").skip(1);
    let mut shown = 0;
    for block in blocks.filter_map(|rest| rest.split("\n```").next()) {
        let source = format!("{block}\n");
        for tool in signatures(&source).unwrap() {
            let known = calls();
            let found_call = known.iter().find(|(name, ..)| *name == tool.name);
            let (name, arguments, value) =
                found_call.unwrap_or_else(|| panic!("`{}` has no call in this test", tool.name));
            assert_eq!(found(&source, Source::Tools), [], "{name}");
            let state = json!({"parcels": {"1": {"held": 0}}});
            let outcome = call(&source, state, name, arguments.as_object().unwrap());
            assert_eq!(outcome, Outcome::Value(value.clone()), "{name}");
            shown += 1;
        }
    }
    assert_eq!(shown, calls().len());
}
