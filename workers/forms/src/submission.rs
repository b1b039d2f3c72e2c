//! Evaluations in the form of tau2-bench's leaderboard: `submission.json`, and for each domain a file of trajectories that its
//! `Results` reads.
//!
//! Figures are percentages of pass^1 to pass^4, of the three domains that the leaderboard has. Who submits, and for which
//! organization, is left empty for a person to fill in. Episodes that prove nothing about the model are left out, and the notes
//! say how many. Not covered: costs, and times, which evaluations do not record.

use agoge_artifacts::Evaluation;
use agoge_artifacts::evaluation::Episode;
use agoge_dialogue::{Message, Role, call_of};
use agoge_world::{Domain, End, Task};
use serde_json::{Map, Value, json};

use crate::export::tau2;

/// The name of the file of figures.
pub const SUBMISSION: &str = "submission.json";
/// The folder of trajectories.
pub const TRAJECTORIES: &str = "trajectories";
/// Domains that the leaderboard has.
const DOMAINS: [&str; 3] = ["retail", "airline", "telecom"];
/// Columns of the leaderboard.
const COLUMNS: usize = 4;

/// Returns the submission with this evaluation in it. `before` is the submission that other domains are in already; `date` is
/// the day of writing, such as `2026-01-31`.
#[must_use]
pub fn submission(before: Option<Value>, record: &Evaluation, date: &str) -> Value {
    let mut all = before.filter(Value::is_object).unwrap_or_else(|| {
        json!({
            "model_name": record.agent.model.as_deref().unwrap_or("agent"),
            "organization": "",
            "submission_date": date,
            "contact_info": {"email": ""},
            "results": {},
            "is_new": false,
            "methodology": {
                "evaluation_date": date,
                "tau2_bench_version": record.benchmark.version,
                "user_simulator": record.user.model,
                "notes": "",
            },
        })
    });
    let domain = record.benchmark.domain.as_str();
    if DOMAINS.contains(&domain) {
        let columns = record.pass.iter().take(COLUMNS).zip(1..);
        let counted = columns.filter(|(estimate, _)| estimate.n > 0);
        let figures: Map<String, Value> = counted
            .map(|(estimate, k)| (format!("pass_{k}"), json!(100.0 * estimate.value)))
            .collect();
        all["results"][domain] = Value::Object(figures);
    }
    let notes = all["methodology"]["notes"].as_str().unwrap_or_default();
    let others = notes
        .lines()
        .filter(|line| !line.starts_with(&format!("{domain}: ")));
    let own = note(record);
    let lines: Vec<&str> = others
        .chain([own.as_str()])
        .filter(|line| !line.is_empty())
        .collect();
    let notes = lines.join("\n");
    all["methodology"]["notes"] = Value::String(notes);
    all
}

/// Returns the line of notes about one domain.
fn note(record: &Evaluation) -> String {
    let basis: Vec<&str> = record.benchmark.basis.keys().map(String::as_str).collect();
    let void: usize = record.void.values().sum();
    format!(
        "{}: Agoge {}, split {}, {} tasks of {} trials, reward basis {}, {} episodes that prove nothing left out, tasks {}",
        record.benchmark.domain,
        record.agoge,
        record.benchmark.split,
        record.tasks.len(),
        record.trials,
        basis.join("+"),
        void,
        record.benchmark.tasks_digest
    )
}

/// Returns the trajectories of an evaluation. `written` is the time of writing in ISO 8601.
#[must_use]
pub fn results(
    record: &Evaluation,
    domain: &Domain,
    tasks: &[Task],
    episodes: &[&Episode],
    written: &str,
) -> Value {
    let simulations: Vec<Value> = episodes
        .iter()
        .filter(|episode| episode.reward.is_some())
        .map(|episode| {
            let task = tasks.iter().find(|task| task.id == episode.task);
            simulation(record, domain, task, episode, written)
        })
        .collect();
    let llm = |temperature: Option<f64>| json!({"temperature": temperature});
    json!({
        "timestamp": written,
        "info": {
            "git_commit": format!("agoge {}", record.agoge),
            "num_trials": record.trials,
            "max_steps": record.rules.max_turns,
            "max_errors": record.rules.unusable_in_a_row,
            "user_info": {
                "implementation": match record.user.kind.as_str() {
                    "model" => "user_simulator",
                    other => other,
                },
                "llm": record.user.model, "llm_args": llm(record.user.temperature),
            },
            "agent_info": {
                "implementation": "llm_agent",
                "llm": record.agent.model, "llm_args": llm(record.agent.temperature),
            },
            "environment_info": {"domain_name": record.benchmark.domain, "policy": domain.policy},
            "seed": record.seed,
        },
        "tasks": tasks.iter().map(|task| tau2::task(domain, task)).collect::<Vec<_>>(),
        "simulations": simulations,
    })
}

fn simulation(
    record: &Evaluation,
    domain: &Domain,
    task: Option<&Task>,
    episode: &Episode,
    written: &str,
) -> Value {
    let reward = episode.reward.unwrap_or_default();
    let verdict = episode.verdict.as_ref();
    let breakdown = verdict
        .map(|verdict| verdict.breakdown())
        .unwrap_or_default();
    let breakdown: Map<String, Value> = breakdown
        .into_iter()
        .filter_map(|(kind, value)| Some((tau2::kind_name(kind)?.to_owned(), json!(value))))
        .collect();
    let statements = verdict.and_then(|verdict| verdict.judged.as_ref());
    let judged: Vec<Value> = statements
        .iter()
        .flat_map(|judged| &judged.statements)
        .filter_map(|one| {
            let met = one.met?;
            Some(json!({"nl_assertion": one.statement, "met": met, "justification": one.why}))
        })
        .collect();
    json!({
        "id": format!("{}-{}", episode.task, episode.trial),
        "task_id": episode.task,
        "timestamp": written, "start_time": written, "end_time": written, "duration": 0.0,
        "termination_reason": termination(&episode.end),
        "reward_info": {
            "reward": reward,
            "nl_assertions": judged,
            "reward_basis": task.map(tau2::reward_basis).unwrap_or_default(),
            "reward_breakdown": breakdown,
        },
        "messages": messages(domain, record.user.greeting.as_deref(), &episode.messages, written),
        "trial": episode.trial,
        "seed": record.seed.wrapping_add(u64::from(episode.trial)),
    })
}

fn termination(end: &End) -> &'static str {
    match end {
        End::Closed => "user_stop",
        End::TurnLimit => "max_steps",
        End::TokenLimit => "agent_error",
        End::Nonsense(_) => "too_many_errors",
        End::User(_) => "user_error",
        End::Infra(_) | End::Reasoning(_) | End::Filtered(_) | End::Refused(_) => "agent_error",
    }
}

fn messages(
    domain: &Domain,
    greeting: Option<&str>,
    dialogue: &[Message],
    written: &str,
) -> Vec<Value> {
    let greeting =
        greeting.map(|text| json!({"role": "assistant", "content": text, "timestamp": written}));
    let said = dialogue.iter().enumerate().map(|(n, message)| {
        let content = (!message.content.is_empty()).then_some(&message.content);
        if message.role == Role::Tool {
            let id = message.tool_call_id.as_deref().unwrap_or_default();
            let call = call_of(message, &dialogue[..n]);
            let by = call.map_or("assistant", |call| tau2::requestor(domain, &call.name));
            return json!({"role": "tool", "id": id, "content": content, "requestor": by, "error": call.is_none(),
                "timestamp": written});
        }
        let mut one = json!({"role": message.role.name(), "content": content, "timestamp": written});
        if !message.tool_calls.is_empty() {
            let by = match message.role {
                Role::User => "user",
                _ => "assistant",
            };
            let calls = message.tool_calls.iter().map(|call| {
                json!({"id": call.id, "name": call.name, "arguments": call.arguments, "requestor": by})
            });
            one["tool_calls"] = calls.collect();
        }
        one
    });
    greeting.into_iter().chain(said).collect()
}

#[cfg(test)]
mod tests {
    use agoge_artifacts::evaluation::{Benchmark, Player};
    use agoge_checker::passk::Estimate;
    use agoge_dialogue::ToolCall;

    use super::*;

    fn record(domain: &str, pass: f64) -> Evaluation {
        let estimate = Estimate {
            value: pass,
            low: 0.0,
            high: 1.0,
            n: 10,
        };
        Evaluation {
            agoge: "0.2.0".into(),
            benchmark: Benchmark {
                domain: domain.into(),
                ..Benchmark::default()
            },
            agent: Player::model("m", "http://localhost"),
            user: Player::model("u", "http://localhost"),
            trials: 2,
            pass: vec![estimate, Estimate { n: 0, ..estimate }],
            ..Evaluation::default()
        }
    }

    #[test]
    fn evaluations_of_several_domains_become_one_submission() {
        let first = submission(None, &record("airline", 0.5), "2026-01-31");
        let both = submission(Some(first.clone()), &record("retail", 0.25), "2026-02-01");
        assert_eq!(
            both["results"],
            json!({"airline": {"pass_1": 50.0}, "retail": {"pass_1": 25.0}})
        );
        assert_eq!(both["methodology"]["user_simulator"], "u");
        let again = submission(Some(both), &record("airline", 0.6), "2026-02-01");
        let notes = again["methodology"]["notes"].as_str().unwrap();
        assert_eq!(notes.lines().count(), 2, "{notes}");
        let mock = submission(Some(first), &record("mock", 1.0), "2026-02-01");
        assert!(
            mock["results"].get("mock").is_none(),
            "the leaderboard has no such domain"
        );
    }

    #[test]
    fn the_greeting_is_the_first_message_and_results_say_whose_call_they_answer() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
        let domain = Domain::load(std::path::Path::new(dir)).unwrap();
        let call = ToolCall {
            id: "1".into(),
            ..ToolCall::new("find", Map::new())
        };
        let dialogue = [
            Message::user("Where is it?"),
            Message::calls(vec![call]),
            Message::tool_result("1", "here"),
            Message::tool_result("", "error: that is not JSON"),
        ];
        let written = messages(&domain, Some("Hi!"), &dialogue, "2026-01-31T00:00:00");
        let roles: Vec<&str> = written.iter().filter_map(|m| m["role"].as_str()).collect();
        assert_eq!(roles, ["assistant", "user", "assistant", "tool", "tool"]);
        assert_eq!(
            (&written[3]["id"], &written[3]["error"]),
            (&json!("1"), &json!(false))
        );
        assert_eq!(written[4]["error"], true);
        assert!(written[2]["content"].is_null() && written[2]["tool_calls"].is_array());
    }
}
