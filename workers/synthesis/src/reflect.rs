//! Reflection: proposes a child of a plan pair, which differs in one sentence, from what stopped the pair's attempts.

use agoge_artifacts::funnel::funnel;
use agoge_artifacts::{Attempt, Gate};
use agoge_dialogue::Message;
use agoge_llm::{Answer, Client, LlmError, Request, Spent};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answers;
use crate::plan::{Plan, PlanPair, PlanPart, fill};
use crate::random::request_seed;

/// The number of failures shown, and the length of each.
const SHOWN: (usize, usize) = (5, 200);
/// Generated tokens of an answer.
const MAX_TOKENS: u32 = 90;

/// The plan pair of a generation, as it was proposed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Proposal {
    pub pair: PlanPair,
    /// The pair it was made from; `None` when it is not new.
    pub parent: Option<String>,
    pub change: String,
    /// The cost of the reflection.
    pub spent: Spent,
}

impl Proposal {
    /// Keeps a pair as it is.
    pub fn unchanged(pair: &PlanPair, why: impl Into<String>) -> Self {
        Self {
            pair: pair.clone(),
            parent: None,
            change: why.into(),
            spent: Spent::default(),
        }
    }
}

/// Proposes a child of `pair`, or the pair itself with the reason why there is no child.
pub(crate) async fn reflect(
    client: &Client,
    plan: &Plan,
    pair: &PlanPair,
    attempts: &[&Attempt],
    generation: u32,
    seed: u64,
    temperature: f64,
) -> Result<Proposal, LlmError> {
    let failures = failures(plan, attempts);
    if failures.is_empty() {
        return Ok(Proposal::unchanged(
            pair,
            "nothing failed, so nothing was changed",
        ));
    }
    let request = Request {
        temperature,
        seed: Some(request_seed(&[
            &seed.to_string(),
            "reflect",
            &generation.to_string(),
        ])),
        ..Request::new(
            vec![Message::user(&prompt(plan, pair, attempts, &failures))],
            MAX_TOKENS,
        )
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
        if let Some(stopped) = answer.stopped() {
            why = stopped.to_string();
            continue;
        }
        match read(&answer, plan, pair) {
            Ok((part, sentence)) => {
                return Ok(Proposal {
                    pair: pair.with_sentence(part, &sentence),
                    parent: Some(pair.digest().to_string()),
                    change: format!("{}: {sentence}", part.name),
                    spent,
                });
            }
            Err(reason) => why = reason,
        }
    }
    let proposal = Proposal::unchanged(pair, format!("reflection gave no usable change ({why})"));
    Ok(Proposal { spent, ..proposal })
}

fn prompt(plan: &Plan, pair: &PlanPair, attempts: &[&Attempt], failures: &str) -> String {
    let attempted = attempts.len().to_string();
    let valid = attempts.iter().filter(|a| a.valid()).count().to_string();
    let mut values = vec![
        ("attempted", attempted.as_str()),
        ("valid", valid.as_str()),
        ("failures", failures),
    ];
    values.extend(
        plan.parts
            .iter()
            .map(|part| (part.prompt, pair.prompt(part).trim())),
    );
    fill(plan.reflection, &values)
}

/// Lists the frequent reasons first, by the part that they stopped.
fn failures(plan: &Plan, attempts: &[&Attempt]) -> String {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for stop in funnel(attempts.iter().copied()) {
        let part = match stop.gate {
            Gate::Rollout | Gate::Accepted => continue,
            Gate::Novelty => plan
                .parts
                .first()
                .map(|part| format!("{}, a duplicate", part.name)),
            gate => plan
                .parts
                .iter()
                .find(|part| part.gate == gate)
                .map(|part| part.name.to_owned()),
        };
        let Some(part) = part else { continue };
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

/// Reads part and sentence of an answer.
///
/// # Errors
/// The reason why it cannot be used.
fn read<'a>(
    answer: &Answer,
    plan: &'a Plan,
    pair: &PlanPair,
) -> Result<(&'a PlanPart, String), String> {
    answers::object(answer, |map| change(map, plan, pair))
}

/// Reads part and sentence of one object.
fn change<'a>(
    map: &Map<String, Value>,
    plan: &'a Plan,
    pair: &PlanPair,
) -> Result<(&'a PlanPart, String), String> {
    let named = map.get("part").and_then(Value::as_str);
    let part = named
        .and_then(|name| plan.parts.iter().find(|part| part.name == name))
        .ok_or("it names no part")?;
    let sentence = map
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
    let known = |part: &PlanPart| pair.prompt(part).contains(&sentence);
    if plan.parts.iter().any(known) {
        return Err("its sentence is there already".into());
    }
    Ok((part, sentence))
}
