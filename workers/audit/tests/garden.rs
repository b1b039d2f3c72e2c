//! The audit of a small domain's tasks, each with a defect of another kind, and the repaired copy. The domain is a garden whose
//! beds are watered.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agoge_audit::{Audited, Kind, Options, Outcome, Severity, Subject, audit, repair};
use agoge_world::{Basis, Domain, Task};
use serde_json::{Value, json};

const TOOLS: &str = r#""""Tools of the garden."""


def check(bed: str) -> str:
    """See how wet a bed is."""
    return f"litres={_bed(bed)['litres']}"


def water(bed: str, litres: int) -> str:
    """Water a bed."""
    b = _bed(bed)
    b["litres"] = b["litres"] + litres
    db_put("beds", bed, b)
    return "ok"


def _bed(bed):
    b = db_get("beds", bed)
    if b is None:
        raise ValueError("no bed " + bed)
    return b
"#;

const SYNC: &str = r#"

def _sync():
    tank = db_get("tank")
    tank["used"] = sum([db_get("beds", bed)["litres"] for bed in db_ids("beds")])
    db_put("tank", tank)
"#;

fn garden(sync: bool) -> Arc<Domain> {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "domain.yaml",
        "name: garden\nformat: 2\nprompt: garden\nlookups: [check]\n",
    );
    write("policy.md", "Water what a gardener asks for.\n");
    let tools = if sync {
        TOOLS.to_owned() + SYNC
    } else {
        TOOLS.to_owned()
    };
    write("tools.py", &tools);
    let bed = json!({"type": "object", "properties": {"litres": {"type": "integer"}, "owner": {"type": "string"}}});
    let tank = json!({"type": "object", "x-agoge-singleton": true, "properties": {"used": {"type": "integer"}}});
    let schema = json!({"properties": {"beds": {"additionalProperties": bed}, "tank": tank}});
    write("schema.json", &schema.to_string());
    let beds: Value = (40_001..40_021)
        .map(|id| {
            (
                id.to_string(),
                json!({"litres": 0, "owner": format!("gardener {id}")}),
            )
        })
        .collect();
    write(
        "state.json",
        &json!({"beds": beds, "tank": {"used": 0}}).to_string(),
    );
    Arc::new(Domain::load(dir.path()).unwrap())
}

fn water(bed: &str, litres: &Value) -> Value {
    json!({"name": "water", "arguments": {"bed": bed, "litres": litres}})
}

/// A task in which the user says this, with this gold and these other fields.
fn task(id: &str, said: &str, gold: &Value, fields: &Value) -> Subject {
    let mut text = json!({"id": id, "user": {"instruction": said}, "gold": gold});
    for (key, value) in fields.as_object().unwrap() {
        text[key] = value.clone();
    }
    Subject {
        task: serde_json::from_value(text).unwrap(),
        ..Subject::default()
    }
}

/// The kinds of errors and warnings of each task.
fn kinds(audited: &Audited) -> BTreeMap<&str, BTreeSet<Kind>> {
    let mut all: BTreeMap<&str, BTreeSet<Kind>> = BTreeMap::new();
    for one in audited
        .findings
        .iter()
        .filter(|one| one.severity > Severity::Note)
    {
        all.entry(&one.task).or_default().insert(one.kind);
    }
    all
}

fn flawed() -> Vec<Subject> {
    let five = json!(5);
    let look = json!({"name": "check", "arguments": {"bed": "40002"}});
    let twice = json!([water("40001", &five), water("49999", &five)]);
    let script = "def check(calls, messages):\n    return True\n";
    vec![
        task(
            "sound",
            "Water bed 40001 with 5 litres.",
            &json!([water("40001", &five)]),
            &json!({}),
        ),
        task("fails", "Water beds 40001 and 49999.", &twice, &json!({})),
        task("empty", "Is bed 40002 dry?", &json!([look]), &json!({})),
        task(
            "unknown",
            "Give bed 40003 5 litres.",
            &json!([water("40003", &five)]),
            &json!({"outputs": ["7413"]}),
        ),
        task(
            "again",
            "water bed 40001 with 5 litres!",
            &json!([water("40001", &five)]),
            &json!({}),
        ),
        task(
            "one",
            "Bed 40004 needs 3 or 4.",
            &json!([water("40004", &json!(3))]),
            &json!({}),
        ),
        task(
            "other",
            "Bed 40004 needs 3 or 4.",
            &json!([water("40004", &json!(4))]),
            &json!({}),
        ),
        task(
            "lost",
            "Mine needs 5 litres.",
            &json!([water("40005", &five)]),
            &json!({}),
        ),
        task(
            "weak",
            "Bed 40006 needs 5 litres.",
            &json!([water("40006", &five)]),
            &json!({"checker": script}),
        ),
        task(
            "typed",
            "Bed 40007 needs 5 litres.",
            &json!([water("40007", &json!("5"))]),
            &json!({}),
        ),
        task(
            "wrong",
            "Bed 40008 needs some.",
            &json!([water("40008", &json!("some"))]),
            &json!({}),
        ),
        task(
            "tool",
            "Mow bed 40009.",
            &json!([{"name": "mow", "arguments": {}}]),
            &json!({}),
        ),
        task(
            "refused",
            "Bed 40010 needs 5 litres.",
            &json!([water("40010", &five)]),
            &json!({"refusal": true}),
        ),
    ]
}

#[test]
fn each_defect_is_found_and_what_is_determined_is_repaired() {
    let subjects = flawed();
    let domain = garden(false);
    let audited = audit(&domain, &subjects, &Options::default(), &|_| ()).unwrap();
    let kinds = kinds(&audited);
    for (id, kind) in [
        ("fails", Kind::GoldFails),
        ("empty", Kind::EmptyPasses),
        ("unknown", Kind::OutputsNotReachable),
        ("again", Kind::DuplicateTask),
        ("other", Kind::ContradictoryTask),
        ("lost", Kind::UserImpossible),
        ("weak", Kind::CheckerAccepts),
        ("typed", Kind::WrongArgument),
        ("wrong", Kind::WrongArgument),
        ("tool", Kind::UnknownTool),
        ("refused", Kind::WrongRefusal),
    ] {
        assert!(
            kinds.get(id).is_some_and(|found| found.contains(&kind)),
            "{id}: {:?}",
            kinds.get(id)
        );
    }
    for sound in ["sound", "one"] {
        assert_eq!(kinds.get(sound), None, "{:?}", audited.findings);
    }
    let fails = audited
        .findings
        .iter()
        .find(|one| one.kind == Kind::GoldFails)
        .unwrap();
    assert!(
        fails.replay[1].error && fails.diff == ["beds/40001.litres: 0 -> 5"],
        "{fails:?}"
    );

    let repaired = repair(&subjects, &audited.findings);
    let outcome = Outcome {
        kept: 6,
        changed: 5,
        dropped: 1,
        quarantined: 6,
    };
    assert_eq!(repaired.outcome, outcome, "{:?}", repaired.left_out);
    let row = |id: &str| -> &Task {
        &repaired
            .rows
            .iter()
            .find(|(_, task)| task.id == id)
            .unwrap()
            .1
    };
    assert_eq!(row("fails").fails, [2]);
    assert!(row("empty").refusal && !row("refused").refusal);
    assert!(row("unknown").outputs.is_empty());
    assert_eq!(row("typed").gold[0].arguments["litres"], 5);

    let again: Vec<Subject> = repaired
        .rows
        .into_iter()
        .map(|(_, task)| Subject {
            task,
            ..Subject::default()
        })
        .collect();
    let audited = audit(&domain, &again, &Options::default(), &|_| ()).unwrap();
    let left: Vec<_> = audited
        .findings
        .iter()
        .filter(|one| one.severity > Severity::Note)
        .collect();
    assert!(left.is_empty(), "the repaired copy is sound: {left:?}");
}

#[test]
fn gold_that_is_never_synchronised_is_an_error_where_the_state_counts() {
    let gold = json!([water("40001", &json!(5))]);
    let said = "Water bed 40001 with 5 litres.";
    let mut subjects = vec![task("state", said, &gold, &json!({}))];
    let mut other = task(
        "look",
        "Please look at bed 40002.",
        &json!([{"name": "check", "arguments": {"bed": "40002"}}]),
        &json!({"outputs": ["0"]}),
    );
    other.task.basis = vec![Basis::Outputs];
    subjects.push(other);
    let audited = audit(&garden(true), &subjects, &Options::default(), &|_| ()).unwrap();
    let unsynced: Vec<_> = audited
        .findings
        .iter()
        .filter(|one| one.kind == Kind::UnsyncedGold)
        .collect();
    assert_eq!(unsynced.len(), 1, "{:?}", audited.findings);
    assert_eq!(
        (unsynced[0].task.as_str(), unsynced[0].severity),
        ("state", Severity::Error)
    );
    assert!(
        unsynced[0].evidence.contains("tank/.used: 0 -> 5"),
        "{}",
        unsynced[0].evidence
    );
}
