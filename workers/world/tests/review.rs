//! A review of a domain finds what a reviewer would: each fault, planted alone into a sound domain, is found by its kind, and
//! a sound domain has no finding but notes.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agoge_world::{Domain, Problem, Review, Split};
use serde_json::{Map, Value, json};

const HEAD: &str =
    "name: bikes\ntitle: Bike desk\nnow: \"2025-03-10T09:00:00\"\nprompt: bike desk\n";

const POLICY: &str = "# Bike desk

Look the bike up before you act. End with one short sentence that has the outcome word in **bold**.

## More time

1. The owner owes more than 10: refuse; say **unpaid**.
2. Extended twice already: refuse; say **limit**.
3. Otherwise extend it; say **extended**.

## Debts

1. Nothing is owed: nothing to do; say **clear**.
2. Up to 5: forgive it; say **forgiven**.
3. More: refuse; say **payable**.
";

const SCHEMA: &str = r##"{
  "type": "object", "additionalProperties": false, "required": ["bikes", "owners"],
  "properties": {
    "bikes": {"type": "object", "additionalProperties": {"$ref": "#/$defs/bike"}},
    "owners": {"type": "object", "additionalProperties": {"$ref": "#/$defs/owner"}}
  },
  "$defs": {
    "bike": {"type": "object", "additionalProperties": false, "required": ["owner", "kind", "extended", "ready", "zone"],
      "properties": {"owner": {"type": "string"}, "kind": {"enum": ["road", "cargo"]},
        "extended": {"type": "integer", "minimum": 0, "maximum": 2}, "zone": {"type": "integer"},
        "ready": {"type": "string", "format": "date"}}},
    "owner": {"type": "object", "additionalProperties": false, "required": ["tier", "owes"],
      "properties": {"tier": {"enum": ["basic", "club", "staff"]}, "owes": {"type": "number", "minimum": 0}}}
  }
}
"##;

const TOOLS: &str = r#""""Tools of the bike desk."""
from datetime import date, timedelta

DAYS = {"basic": 7, "club": 14, "staff": 30}


def look(bike: str) -> str:
    """Look up a bike: kind, times extended, when it is ready, and what its owner owes."""
    b = _known("bikes", bike)
    o = _known("owners", b["owner"])
    return f"kind={b['kind']} extended={b['extended']} ready={b['ready']} owes={o['owes']}"


def extend(bike: str) -> str:
    """Give a bike more time."""
    b = _known("bikes", bike)
    o = _known("owners", b["owner"])
    if o["owes"] > 10:
        raise ValueError("a fee is owed")
    if b["extended"] >= 2:
        raise ValueError("extended twice")
    b["ready"] = (date.fromisoformat(b["ready"]) + timedelta(days=DAYS[o["tier"]])).isoformat()
    b["extended"] = b["extended"] + 1
    db_put("bikes", bike, b)
    return "ok"


def forgive(bike: str) -> str:
    """Forgive what the owner of a bike owes."""
    b = _known("bikes", bike)
    o = _known("owners", b["owner"])
    if o["owes"] == 0:
        raise ValueError("nothing is owed")
    o["owes"] = 0.0
    db_put("owners", b["owner"], o)
    return "ok"


def _known(collection: str, id: str) -> dict:
    record = db_get(collection, id)
    if record is None:
        raise ValueError(f"no {collection} {id}")
    return record
"#;

/// The facts of both templates.
const BIKE: &str = r#"facts:
  bike:
    record: bikes
    asked: [bike]
    question: ["Which bike is it?"]
    answers: ["{bike}", "it is {bike}."]
linked:
  owner: { record: owners, by: bike.owner }
"#;

const EXTEND: &str = r#"branches:
  - name: ok
    where: ["owner.owes <= 10", "bike.extended < 2"]
    gold:
      - look: { bike: "{bike}" }
      - extend: { bike: "{bike}" }
    outputs: [extended]
    say: ["It is extended."]
  - name: unpaid
    refusal: true
    where: ["owner.owes > 10"]
    gold:
      - look: { bike: "{bike}" }
    outputs: [unpaid]
    say: ["Sorry, a bill is unpaid."]
  - name: limit
    refusal: true
    where: ["owner.owes <= 10", "bike.extended >= 2"]
    gold:
      - look: { bike: "{bike}" }
    outputs: [limit]
    say: ["Sorry, that is the limit."]
wordings:
  - name: plain
    open: ["please give bike {bike} more time."]
  - name: polite
    open: ["hello, could bike {bike} stay longer?"]
  - name: bare
    hold: [bike]
    open: ["i need more time."]
"#;

const FORGIVE: &str = r#"branches:
  - name: small
    where: ["owner.owes > 0", "owner.owes <= 5"]
    gold:
      - look: { bike: "{bike}" }
      - forgive: { bike: "{bike}" }
    outputs: [forgiven]
    say: ["It is forgiven."]
  - name: none
    refusal: true
    where: ["owner.owes == 0"]
    gold:
      - look: { bike: "{bike}" }
    outputs: [clear]
    say: ["Your account is clear."]
  - name: large
    refusal: true
    where: ["owner.owes > 5"]
    gold:
      - look: { bike: "{bike}" }
    outputs: [payable]
    say: ["I am afraid it is payable."]
wordings:
  - name: plain
    open: ["please drop my debt for bike {bike}."]
  - name: polite
    open: ["hello, i owe something for bike {bike}, could you drop it?"]
  - name: bare
    hold: [bike]
    open: ["what do i owe? please drop it."]
"#;

/// Bikes and owners. A bike's id has the digits of its owner's, so that both are on one side of the splits.
fn state() -> Value {
    let (mut bikes, mut owners) = (Map::new(), Map::new());
    for n in 0..240_usize {
        let id = (10_234 + n * 311).to_string();
        let tier = match n % 40 {
            17 => "staff",
            n if n % 2 == 0 => "basic",
            _ => "club",
        };
        let owes = [0.0, 3.0, 8.0, 20.0, 4.5][n % 5];
        owners.insert(id.clone(), json!({"tier": tier, "owes": owes}));
        let bike: String = id.chars().rev().collect();
        let kind = if n % 2 == 0 { "road" } else { "cargo" };
        let ready = format!("2025-04-{:02}", 1 + n % 28);
        bikes.insert(
            format!("0{bike}"),
            json!({"owner": id, "kind": kind, "extended": n % 3, "zone": n % 4, "ready": ready}),
        );
    }
    json!({"bikes": bikes, "owners": owners})
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.path("templates")).unwrap();
        let extend = format!("name: extend\ntopic: [time, longer]\n{BIKE}{EXTEND}");
        let forgive = format!("name: forgive\ntopic: [debt, owe]\n{BIKE}{FORGIVE}");
        for (file, text) in [
            ("domain.yaml", HEAD),
            ("policy.md", POLICY),
            ("schema.json", SCHEMA),
            ("tools.py", TOOLS),
            ("templates/extend.yaml", &extend),
            ("templates/forgive.yaml", &forgive),
        ] {
            std::fs::write(folder.path(file), text).unwrap();
        }
        folder.write_state(&state());
        folder
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write_state(&self, state: &Value) {
        std::fs::write(self.path("state.json"), state.to_string()).unwrap();
    }

    fn change(&self, file: &str, from: &str, to: &str) -> &Self {
        let text = std::fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        std::fs::write(self.path(file), text.replacen(from, to, 1)).unwrap();
        self
    }

    fn review(&self) -> Review {
        Arc::new(Domain::load(self.0.path()).unwrap()).review()
    }
}

fn tells(found: &[Problem], file: &str, line: Option<u32>, word: &str) -> bool {
    found.iter().any(|one| {
        one.file.ends_with(file)
            && line.is_none_or(|line| one.line == Some(line))
            && one.message.contains(word)
    })
}

#[test]
fn a_sound_domain_has_no_problem_and_no_warning() {
    let found = Folder::new().review();
    assert_eq!(found.findings.problems, []);
    assert_eq!(found.findings.warnings, []);
    let desk = tempfile::tempdir().unwrap();
    Domain::new_skeleton(desk.path(), "desk").unwrap();
    let courier = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    for folder in [desk.path().join("domain"), courier] {
        let found = Arc::new(Domain::load(&folder).unwrap()).review();
        assert_eq!(found.findings.problems, [], "{}", folder.display());
        assert_eq!(found.findings.warnings, [], "{}", folder.display());
    }
}

#[test]
fn faults_of_tools_are_problems_with_the_tool_and_the_line() {
    let rare = "    b[\"ready\"] = (date";
    let write = "    db_put(\"bikes\", bike, b)";
    for (from, to, line, word) in [
        (
            ".isoformat()",
            ".isoformat().replace(\"-\", \"/\")",
            14,
            "`bikes.ready`",
        ),
        (
            "b[\"extended\"] + 1",
            "str(b[\"extended\"] + 1)",
            14,
            "`bikes.extended`",
        ),
        (
            write,
            "    b[\"extnded\"] = 1\n    db_put(\"bikes\", bike, b)",
            24,
            "a field `extnded`",
        ),
        (
            write,
            "    db_put(\"bikes\", bike, {**b, \"kind\": None})",
            14,
            "`bikes.kind`",
        ),
        (
            write,
            "    db_put(\"bike\", bike, b)",
            24,
            "the collection `bike`",
        ),
        (
            write,
            "    db_put(\"bikes\", bike, {k: b[k] for k in b if k != \"kind\"})",
            14,
            "\"kind\" is a required property",
        ),
        ("{b['kind']}", "{b['knd']}", 11, "a field `knd`"),
        (
            "b[\"extended\"] >= 2",
            "b[\"extended\"] >= 3",
            14,
            "greater than the maximum of 2",
        ),
        (
            "(\"extended twice\")",
            "(f\"extended {LIMIT} times\")",
            21,
            "NameError at tools.py:21",
        ),
        (", \"staff\": 30}", "}", 22, "KeyError at tools.py:22"),
        (
            rare,
            "    while o[\"tier\"] == \"staff\":\n        pass\n    b[\"ready\"] = (date",
            14,
            "does not end",
        ),
    ] {
        let folder = Folder::new();
        folder.change("tools.py", from, to);
        let found = folder.review().findings;
        assert!(
            tells(&found.problems, "tools.py", Some(line), word),
            "no tools.py:{line} {word:?} in {found:#?}"
        );
    }
}

#[test]
fn faults_of_templates_and_of_the_clock_are_problems_with_their_line() {
    let acts = "    where: [\"owner.owes > 5\"]\n    gold:\n      - look: { bike: \"{bike}\" }\n";
    let more = format!("{acts}      - forgive: {{ bike: \"{{bike}}\" }}\n");
    for (file, from, to, line, word) in [
        (
            "templates/forgive.yaml",
            "\"owner.owes > 0\", \"owner.owes <= 5\"",
            "\"owner.owes > 0\"",
            26,
            "`small` and `large` both fit",
        ),
        (
            "templates/forgive.yaml",
            acts,
            more.as_str(),
            26,
            "is a refusal, and its gold acts: `forgive`",
        ),
        (
            "templates/extend.yaml",
            "\"bike.extended < 2\"",
            "\"bike.extnded < 2\"",
            13,
            "a field `extnded`",
        ),
        (
            "domain.yaml",
            "\"2025-03-10T09:00:00\"",
            "Monday",
            3,
            "no date and time",
        ),
    ] {
        let folder = Folder::new();
        folder.change(file, from, to);
        let found = folder.review().findings;
        assert!(
            tells(&found.problems, file, Some(line), word),
            "no {file}:{line} {word:?} in {found:#?}"
        );
    }
}

#[test]
fn what_works_and_is_probably_not_meant_is_a_warning() {
    let folder = Folder::new();
    folder.change(
        "templates/extend.yaml",
        "outputs: [extended]",
        "outputs: [prolonged]",
    );
    folder.change(
        "templates/extend.yaml",
        "It is extended.",
        "It is prolonged.",
    );
    let found = folder.review().findings;
    assert!(
        tells(
            &found.warnings,
            "extend.yaml",
            Some(12),
            "\"prolonged\", which policy.md"
        ),
        "{found:#?}"
    );

    let folder = Folder::new();
    folder.change(
        "templates/extend.yaml",
        "\"owner.owes <= 10\", \"bike.extended >= 2\"",
        "\"owner.owes < 1\", \"bike.extended >= 2\"",
    );
    let found = folder.review().findings;
    assert!(
        tells(&found.warnings, "extend.yaml", None, "fit no branch"),
        "{found:#?}"
    );

    let folder = Folder::new();
    folder.change("tools.py", "o[\"owes\"] = 0.0", "o[\"owes\"] = o[\"owes\"]");
    let found = folder.review().findings;
    assert!(
        tells(
            &found.warnings,
            "forgive.yaml",
            Some(12),
            "changes nothing, although it calls `forgive`"
        ),
        "{found:#?}"
    );

    let folder = Folder::new();
    folder.change(
        "tools.py",
        "    b[\"extended\"] = ",
        "    b[\"zone\"] = 9\n    b[\"extended\"] = ",
    );
    let found = folder.review().findings;
    assert!(
        tells(&found.warnings, "tools.py", Some(14), "`bikes.zone`"),
        "{found:#?}"
    );

    let folder = Folder::new();
    let domain = Domain::load(folder.0.path()).unwrap();
    let of = |collection: &str, split: Split| {
        let mut ids = domain.state.ids(collection);
        ids.find(|id| domain.split_of(collection, id, &Value::Null) == split)
            .unwrap()
            .to_owned()
    };
    let mut state = state();
    let (bike, owner) = (of("bikes", Split::TrainSft), of("bikes", Split::Heldout));
    // A bike for training that names a held-out one; every bike has such a field, so that it is a reference.
    for (id, record) in state["bikes"].as_object_mut().unwrap() {
        record["beside"] = json!(id);
    }
    state["bikes"][&bike]["beside"] = json!(owner);
    folder.write_state(&state);
    folder.change(
        "schema.json",
        "\"kind\": {",
        "\"beside\": {\"type\": \"string\"}, \"kind\": {",
    );
    let found = folder.review().findings;
    let word = format!(
        "1 records of `bikes` for training show ids of held-out `bikes` in `beside`, such as {bike}: {owner}"
    );
    assert!(
        tells(&found.warnings, "state.json", None, &word),
        "{found:#?}"
    );
}

#[test]
fn notes_tell_open_doors_and_the_branch_that_limits_a_split() {
    let guarded = Folder::new().review().findings;
    assert!(
        !tells(&guarded.notes, "extend.yaml", None, "do not refuse"),
        "{guarded:#?}"
    );
    assert!(
        tells(&guarded.notes, "templates", None, "limits it"),
        "{guarded:#?}"
    );
    let folder = Folder::new();
    folder.change("tools.py", "o[\"owes\"] > 10", "o[\"owes\"] > 1000");
    let open = folder.review().findings;
    assert!(
        tells(&open.notes, "extend.yaml", Some(19), "`unpaid` (extend)"),
        "{open:#?}"
    );
}

#[test]
fn the_differences_of_each_branch_show_a_tool_that_changes_the_wrong_field() {
    let fields = |folder: &Folder| -> Vec<String> {
        let review = folder.review();
        let ok = review
            .branches
            .iter()
            .find(|trace| trace.branch == "extend/ok")
            .unwrap();
        let changes = ok.calls.iter().flat_map(|call| &call.changes);
        changes
            .map(|change| format!("{}.{}", change.collection, change.field))
            .collect()
    };
    let folder = Folder::new();
    assert_eq!(fields(&folder), ["bikes.extended", "bikes.ready"]);
    folder.change(
        "tools.py",
        "b[\"extended\"] = b[\"extended\"] + 1",
        "b[\"zone\"] = b[\"zone\"] + 1",
    );
    assert_eq!(fields(&folder), ["bikes.ready", "bikes.zone"]);
}
