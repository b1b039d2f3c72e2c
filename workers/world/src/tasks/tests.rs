//! Lines that are read, and lines that are refused with their number, field and remedy.

use agoge_dialogue::Role;
use agoge_sandbox::{Format, Types};
use serde_json::json;

use super::*;
use crate::task::Basis;

const TOOLS: &str =
    "def renew(member: str, years: int = 1) -> str:\n    \"\"\"Renews.\"\"\"\n    return 'ok'\n";

fn reading(text: &str) -> (Vec<Given>, Vec<Flaw>) {
    let tools: Vec<ToolSpec> = agoge_sandbox::signatures(TOOLS)
        .unwrap()
        .iter()
        .map(|signature| schema::tool(signature, &Types::default(), Format::of(2)).unwrap())
        .collect();
    let functions = ["renew", "_late"].map(str::to_owned).into();
    let state = State::from_json(json!({
        "members": {"40417": {"paid": {"year": 2024}}},
        "desk": {"": {"open": true}}
    }))
    .unwrap();
    let known = Known {
        agent: &tools,
        user: &[],
        functions: &functions,
        state: &state,
        served: false,
    };
    read(text, &known)
}

#[test]
fn a_line_needs_little_and_may_bring_all_that_a_task_has() {
    let lines = [
        json!({"id": "1", "user": "Renew 40417.", "gold": [], "split": "train"}),
        json!({
            "id": "2", "split": "test",
            "user": {"instruction": "Renew it.", "persona": "curt", "facts": [{"name": "member_id", "value": "40417"}]},
            "records": {"members": {"40417": {"paid": {"year": 2023}}}, "desk": {"open": false}},
            "start": [{"name": "late", "arguments": {"days": 3}}],
            "history": [{"role": "user", "content": "Hello."}],
            "gold": [
                {"name": "renew", "arguments": {"member": 40417, "years": "2"}},
                {"name": "renew", "arguments": {"member": "1", "years": "many"}, "fails": true}
            ],
            "asserts": [{"name": "_late", "is": false}],
            "calls": [{"name": "renew", "arguments": {"years": 2.0}}],
            "judge": ["It is polite."], "basis": ["state", "judge"], "outputs": ["2026"]
        }),
    ];
    let (given, flaws) = reading(&format!("\u{feff}{}\n\n{}\n", lines[0], lines[1]));
    assert!(flaws.is_empty(), "{flaws:?}");
    let [first, second] = &given[..] else {
        panic!("{} tasks", given.len())
    };
    assert_eq!(first.task.user.instruction, "Renew 40417.");
    assert_eq!(first.task.split, Some(Split::TrainRl));
    assert!(first.training && !second.training);
    let task = &second.task;
    assert_eq!(task.split, Some(Split::Heldout));
    assert_eq!(
        Value::from(task.gold[0].arguments.clone()),
        json!({"member": "40417", "years": 2})
    );
    assert_eq!(
        (task.gold[1].arguments["years"].as_str(), &task.fails[..]),
        (Some("many"), &[2][..])
    );
    assert_eq!(task.records["desk"][""], json!({"open": false}));
    assert_eq!(task.calls[0].arguments["years"], json!(2));
    assert_eq!(task.user.facts[0].asked, ["member"]);
    assert_eq!(
        (task.history[0].role, task.asserts[0].is),
        (Role::User, false)
    );
    assert_eq!(task.basis, [Basis::State, Basis::Judge]);
}

#[test]
fn a_bad_line_is_refused_with_its_number_and_field() {
    let whole = |more: Value| {
        let mut row = json!({"id": "a", "user": "x", "gold": []});
        let fields = row.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        row.to_string()
    };
    for (row, word) in [
        ("{".to_owned(), "EOF"),
        ("[]".to_owned(), "a task is an object"),
        (json!({"id": "a", "user": "x"}).to_string(), "no `gold`"),
        (whole(json!({"golds": []})), "`golds`"),
        (whole(json!({"id": ""})), "`id` is empty"),
        (whole(json!({"split": "validation"})), "`split`"),
        (
            whole(json!({"user": {"instructions": "x"}})),
            "`user.instructions`",
        ),
        (whole(json!({"user": {}})), "neither `instruction`"),
        (
            whole(json!({"user": {"instruction": "x", "facts": [{"nam": "y"}]}})),
            "`user.facts[1].nam`",
        ),
        (
            whole(json!({"gold": [{"name": "renw"}]})),
            "`gold[1]`: there is no tool `renw`",
        ),
        (
            whole(json!({"gold": [{"name": "renew"}]})),
            "`gold[1]`: `renew` needs `member`",
        ),
        (
            whole(json!({"gold": [{"name": "renew", "args": {}}]})),
            "unknown field `args`",
        ),
        (whole(json!({"fails": [1]})), "`fails` names call 1 of 0"),
        (
            whole(json!({"calls": [{"name": "renew", "fails": true}]})),
            "only gold calls have `fails`",
        ),
        (
            whole(json!({"start": [{"name": "early"}]})),
            "`start`: there is no function `early`",
        ),
        (
            whole(json!({"records": {"books": {}}})),
            "no collection `books`",
        ),
        (
            whole(json!({"history": [{"role": "system", "content": "x"}]})),
            "`history[1]`",
        ),
        (whole(json!({"basis": ["luck"]})), "`basis`"),
        (
            whole(json!({"id": "first"})),
            "the task of line 1 is `first` too",
        ),
    ] {
        let first = json!({"id": "first", "user": "x", "gold": []});
        let (given, flaws) = reading(&format!("{first}\n{row}"));
        let [flaw] = &flaws[..] else {
            panic!("{row}: {flaws:?}")
        };
        assert_eq!((given.len(), flaw.line), (1, 2), "{row}");
        assert!(
            flaw.message.contains(word) && !flaw.remedy.is_empty(),
            "{row}: {flaw:?}"
        );
    }
}
