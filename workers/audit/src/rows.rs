//! The audit of rows whose tools do not run here: what can be seen without them.

use std::collections::BTreeMap;

use agoge_digest::canonical_numbers;
use agoge_forms::rows::{CallRow, CallTurn};
use agoge_world::read_arguments;
use serde_json::{Value, json};

use crate::alike::written;
use crate::audit::{Audited, coerced};
use crate::finding::{Finding, Findings, Repair, Severity, short};
use crate::kind::Kind;
use crate::knowledge::{Index, Known, words};
use crate::needs::unknown;
use crate::report::Checked;

/// Audits rows without playing them.
#[must_use]
pub fn audit_rows(rows: &[CallRow]) -> Audited {
    let index = Index::default();
    let mut findings: Findings = rows.iter().flat_map(|row| one(row, &index)).collect();
    findings.extend(alike(rows));
    let order: BTreeMap<&str, usize> = rows
        .iter()
        .zip(0..)
        .map(|(row, at)| (row.id.as_str(), at))
        .collect();
    findings.sort_by_key(|one| (order.get(one.task.as_str()).copied(), one.kind));
    Audited {
        findings,
        checked: checked(),
    }
}

fn one(row: &CallRow, index: &Index<'_>) -> Findings {
    let mut found = Vec::new();
    let error = |kind, evidence: String| {
        Finding::new(&row.id, kind, Severity::Error, evidence, Repair::Quarantine)
    };
    if let Some(asked) = row.asked {
        let evidence = format!("{}: the question has {asked} turns", row.place);
        let answered = row.answer["ground_truth"].as_array().map_or(0, Vec::len);
        found.push(error(
            Kind::TurnMismatch,
            format!("{evidence}, and its gold has {answered}"),
        ));
    }
    let right = row.turns.iter().map(|turn| turn.calls.len()).sum::<usize>();
    let none = row.turns.iter().all(|turn| !turn.without_calls) && right == 0;
    if none {
        let evidence = format!(
            "{}: there is no right call, so that doing nothing is right",
            row.place
        );
        found.push(error(Kind::EmptyPasses, evidence));
    }
    let mut known = Known::new(index);
    for tool in &row.tools {
        known.learn(&tool.name);
        known.learn(&tool.parameters.to_string());
    }
    known.result(&row.state.to_string());
    let mut number = 0;
    for (at, turn) in (1..).zip(&row.turns) {
        known.result(&turn.said);
        if turn.calls.is_empty() && !turn.said.is_empty() && !turn.without_calls && !none {
            let evidence = format!("turn {at} has no right call: {:?}", short(&turn.said, 200));
            let finding = Finding::new(
                &row.id,
                Kind::EmptyTurn,
                Severity::Warning,
                evidence,
                Repair::Keep,
            );
            found.push(finding.at(format!("turn {at}")));
        }
        for call in &turn.calls {
            number += 1;
            let place = format!("turn {at}, call {number}");
            let of_call = calls(row, turn, call, number, &known).into_iter();
            found.extend(of_call.map(|one| one.at(place.clone())));
            if let Ok(call) = call {
                known.result(&json!(call.arguments).to_string());
            }
        }
    }
    found
}

/// Reads one right call.
fn calls(
    row: &CallRow,
    turn: &CallTurn,
    call: &Result<agoge_dialogue::ToolCall, String>,
    number: u32,
    known: &Known<'_>,
) -> Findings {
    let error = |kind, evidence: String| {
        vec![Finding::new(
            &row.id,
            kind,
            Severity::Error,
            evidence,
            Repair::Quarantine,
        )]
    };
    let call = match call {
        Ok(call) => call,
        Err(text) => {
            return error(
                Kind::Unreadable,
                format!("it is not a call: {}", short(text, 200)),
            );
        }
    };
    let Some(tool) = row.tools.iter().find(|tool| tool.name == call.name) else {
        return error(Kind::UnknownTool, format!("{} is not offered", call.name));
    };
    if turn.withheld.contains(&call.name) {
        return error(
            Kind::UnknownTool,
            format!("{} is offered in a later turn only", call.name),
        );
    }
    let read = match read_arguments(tool, &call.arguments) {
        Ok(read) => read,
        Err(problem) => return error(Kind::WrongArgument, format!("{}: {problem}", call.name)),
    };
    let mut found: Findings = coerced(&row.id, number, call, read).into_iter().collect();
    let missing = unknown(known, &json!(call.arguments));
    if !missing.is_empty() {
        let evidence = format!(
            "{}: {} stands neither in the user's words, nor in the data that the row begins with, nor in an earlier call; \
             only a result could tell it",
            call.name,
            missing.join(", ")
        );
        let kind = Kind::DanglingReference;
        found.push(Finding::new(
            &row.id,
            kind,
            Severity::Note,
            evidence,
            Repair::Keep,
        ));
    }
    found
}

/// Finds rows that are there twice, and rows that ask for the same and have other calls.
fn alike(rows: &[CallRow]) -> Findings {
    let mut groups: BTreeMap<String, Vec<&CallRow>> = BTreeMap::new();
    for row in rows {
        let said: Vec<String> = row
            .turns
            .iter()
            .map(|turn| words(&turn.said).join(" "))
            .collect();
        let tools: Vec<&str> = row.tools.iter().map(|tool| tool.name.as_str()).collect();
        let held: Vec<&Vec<String>> = row.turns.iter().map(|turn| &turn.withheld).collect();
        let begins = canonical_numbers(&row.state);
        // The files of a stack that keeps its gold apart are variants of each other.
        let file = match row.answer.is_null() {
            true => "",
            false => row.place.split(':').next().unwrap_or_default(),
        };
        let request = json!([file, said, tools, held, begins]).to_string();
        groups.entry(request).or_default().push(row);
    }
    let mut found = Vec::new();
    for group in groups.values().filter(|group| group.len() > 1) {
        for (at, row) in group.iter().enumerate().skip(1) {
            let earlier = &group[..at];
            let own = solution(row);
            let finding = match earlier.iter().find(|other| solution(other) == own) {
                Some(other) => {
                    let evidence = format!(
                        "{} is the same row as {} ({})",
                        row.place, other.id, other.place
                    );
                    Finding::new(
                        &row.id,
                        Kind::DuplicateTask,
                        Severity::Error,
                        evidence,
                        Repair::DropTask,
                    )
                    .with_others(vec![other.id.clone()])
                }
                None => {
                    let first = earlier[0];
                    let evidence = format!(
                        "it asks for the same as {}, whose calls are others: {} there, {} here",
                        first.id,
                        short(&solution(first).0, 300),
                        short(&own.0, 300)
                    );
                    let kind = Kind::ContradictoryTask;
                    Finding::new(&row.id, kind, Severity::Error, evidence, Repair::Quarantine)
                        .with_others(earlier.iter().map(|one| one.id.clone()).collect())
                }
            };
            found.push(finding);
        }
    }
    found
}

/// The right calls of a row, in words, and all else that decides about it.
fn solution(row: &CallRow) -> (String, String) {
    let calls = row.turns.iter().map(|turn| {
        let calls = turn.calls.iter().map(|call| match call {
            Ok(call) => written(call),
            Err(text) => text.clone(),
        });
        calls.collect::<Vec<_>>().join(", ")
    });
    let calls = calls.collect::<Vec<_>>().join(" | ");
    if !row.answer.is_null() {
        return (calls, String::new());
    }
    // Rows without right calls are compared by all that they hold for their verifier.
    let shared = ["id", "uuid", "responses_create_params"];
    let fields = row.raw.as_object().into_iter().flatten();
    let rest: BTreeMap<&String, &Value> = fields
        .filter(|(name, _)| !shared.contains(&name.as_str()))
        .collect();
    (calls, json!(rest).to_string())
}

/// The checks that play nothing.
fn checked() -> Vec<Checked> {
    let one = |kind, how: &str| Checked {
        kind,
        how: how.to_owned(),
        unchecked: None,
    };
    let mut all = vec![
        one(
            Kind::Unreadable,
            "right calls as JSON or in Python's notation",
        ),
        one(
            Kind::UnknownTool,
            "names of right calls beside the tools offered, turn by turn",
        ),
        one(
            Kind::WrongArgument,
            "arguments of right calls read by the documents of their functions",
        ),
        one(
            Kind::TurnMismatch,
            "the numbers of turns of question and gold",
        ),
        one(
            Kind::EmptyTurn,
            "turns in which the user asks for something and nothing is right",
        ),
        one(Kind::EmptyPasses, "rows without any right call"),
        one(
            Kind::DuplicateTask,
            "words, tools and initial data of two rows",
        ),
        one(
            Kind::ContradictoryTask,
            "words, tools and initial data of two rows, with other right calls",
        ),
        one(
            Kind::DanglingReference,
            "ids in right calls beside words, initial data and earlier calls",
        ),
    ];
    for kind in [
        Kind::GoldFails,
        Kind::CheckerAccepts,
        Kind::OutputsNotReachable,
    ] {
        all.push(Checked {
            kind,
            how: "not checked".into(),
            unchecked: Some("the tools of these rows do not run here".into()),
        });
    }
    all
}
