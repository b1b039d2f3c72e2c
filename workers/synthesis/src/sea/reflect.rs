//! Reflection: from what stopped the attempts of a plan pair, a child of it that differs in one sentence.

use agoge_dialogue::Message;
use agoge_llm::{Answer, Client, Finish, LlmError, Request, Spent, json_in_text};
use serde_json::Value;

use super::book::Proposal;
use crate::funnel::funnel;
use crate::instance::{Attempt, Gate};
use crate::plan::{Part, PlanPair, fill};

const PROMPT: &str = include_str!("prompts/reflect.md");
/// Failures shown, and their length.
const SHOWN: (usize, usize) = (5, 200);

/// A child of `pair`, or the pair itself with the reason why there is none.
pub(super) async fn reflect(
    client: &Client,
    pair: &PlanPair,
    attempts: &[&Attempt],
    generation: u32,
    seed: u64,
    temperature: f64,
) -> Result<Proposal, LlmError> {
    let failures = failures(attempts);
    if failures.is_empty() {
        return Ok(same(pair, "nothing failed, so nothing was changed"));
    }
    let valid = attempts.iter().filter(|a| a.valid()).count();
    let prompt = fill(
        PROMPT,
        &[
            ("scenario", pair.synthesis.scenario.trim()),
            ("gold", pair.synthesis.gold.trim()),
            ("checker", pair.evaluation.checker.trim()),
            ("attempted", &attempts.len().to_string()),
            ("valid", &valid.to_string()),
            ("failures", &failures),
        ],
    );
    let request = Request {
        temperature,
        seed: Some(
            super::look::draw(&[&seed.to_string(), "reflect", &generation.to_string()]) >> 21,
        ),
        ..Request::new(vec![Message::user(&prompt)], 90)
    };
    let item = format!("reflect-{generation}");
    let mut spent = Spent::default();
    let mut why = String::new();
    for _ in 0..2 {
        let answer = match client.ask(&item, &request).await {
            Ok(answer) => answer,
            Err(error) if error.is_final() => return Err(error),
            Err(error) => {
                why = error.to_string();
                continue;
            }
        };
        spent.add(&answer.usage, client.cost(&answer.usage));
        match read(&answer, pair) {
            Ok((part, sentence)) => {
                return Ok(Proposal {
                    pair: pair.with_sentence(part, &sentence),
                    parent: Some(pair.digest().to_string()),
                    change: format!("{}: {sentence}", name(part)),
                    spent,
                });
            }
            Err(reason) => why = reason,
        }
    }
    let proposal = same(pair, &format!("reflection gave no usable change ({why})"));
    Ok(Proposal { spent, ..proposal })
}

fn same(pair: &PlanPair, change: &str) -> Proposal {
    Proposal {
        pair: pair.clone(),
        parent: None,
        change: change.into(),
        spent: Spent::default(),
    }
}

/// The frequent reasons first, by the part that they stopped.
fn failures(attempts: &[&Attempt]) -> String {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for stop in funnel(attempts.iter().copied()) {
        let part = match stop.gate {
            Gate::Scenario => "request",
            Gate::Gold => "calls",
            Gate::Checker => "checker",
            Gate::Novelty => "request, a duplicate",
            Gate::Rollout | Gate::Accepted => continue,
        };
        for reason in stop.reasons {
            let example: String = reason.example.chars().take(SHOWN.1).collect();
            lines.push((
                reason.count,
                format!("- {} times in {part}: {example}", reason.count),
            ));
        }
    }
    lines.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let lines: Vec<String> = lines
        .into_iter()
        .take(SHOWN.0)
        .map(|(_, line)| line)
        .collect();
    lines.join("\n")
}

fn read(answer: &Answer, pair: &PlanPair) -> Result<(Part, String), String> {
    let cut = answer.finish == Finish::Length;
    let value = json_in_text(&answer.text, cut)
        .map_err(|e| e.to_string())?
        .value;
    let part = match value.get("part").and_then(Value::as_str) {
        Some("request") => Part::Request,
        Some("calls") => Part::Calls,
        Some("checker") => Part::Checker,
        _ => return Err("it names no part".into()),
    };
    let sentence = value
        .get("sentence")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    if sentence.len() < 8 || sentence.len() > 240 {
        return Err("its sentence is too short or too long".into());
    }
    if sentence
        .split(|c: char| !c.is_ascii_digit())
        .any(|digits| digits.len() > 3)
    {
        return Err("its sentence names an id, which would be content and not form".into());
    }
    if pair.with_sentence(part, &sentence) == *pair || known(pair, &sentence) {
        return Err("its sentence is there already".into());
    }
    Ok((part, sentence))
}

fn known(pair: &PlanPair, sentence: &str) -> bool {
    [
        &pair.synthesis.scenario,
        &pair.synthesis.gold,
        &pair.evaluation.checker,
    ]
    .iter()
    .any(|prompt| prompt.contains(sentence))
}

fn name(part: Part) -> &'static str {
    match part {
        Part::Request => "request",
        Part::Calls => "calls",
        Part::Checker => "checker",
    }
}
