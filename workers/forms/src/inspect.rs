//! Evaluations as logs of Inspect AI: the JSON form of its `EvalLog`, version 2.
//!
//! A sample is one trial of a task, its epoch the trial's number from 1. The score `checkers` is the reward, with the breakdown
//! by kind of check in its metadata; an episode that proves nothing about the model has an error and no score. The whole record
//! of the evaluation, except the counts of tasks, is the log's metadata. Not covered: events, and times of single calls.

use agoge_artifacts::Evaluation;
use agoge_artifacts::evaluation::Episode;
use agoge_checker::passk::Estimate;
use agoge_dialogue::{Message, Role, call_of};
use agoge_world::Task;
use serde_json::{Map, Value, json};

/// The name of the one scorer.
const SCORER: &str = "checkers";

/// Returns the log of an evaluation. `tasks` are those of the record, `written` is the time of writing in ISO 8601, in UTC.
#[must_use]
pub fn log(record: &Evaluation, tasks: &[Task], episodes: &[&Episode], written: &str) -> Value {
    let model = record.agent.model.as_deref().unwrap_or("agent");
    let samples: Vec<Value> = episodes
        .iter()
        .map(|episode| {
            let task = tasks.iter().find(|task| task.id == episode.task);
            sample(record, model, task, episode)
        })
        .collect();
    let scored = episodes.iter().filter(|one| one.reward.is_some()).count();
    let mut metadata = json!(record);
    if let Some(fields) = metadata.as_object_mut() {
        fields.remove("tasks");
    }
    let id = identifier(record);
    json!({
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": id, "run_id": id, "task_id": id,
            "created": written,
            "task": record.benchmark.name,
            "task_version": record.benchmark.version.as_deref().unwrap_or("0"),
            "dataset": {
                "name": format!("{}/{}", record.benchmark.domain, record.benchmark.split),
                "samples": tasks.len(),
                "sample_ids": tasks.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(),
                "shuffled": false,
            },
            "model": model,
            "model_generate_config": {"temperature": record.agent.temperature, "seed": record.seed},
            "model_base_url": record.agent.host,
            "model_args": {},
            "config": {
                "epochs": record.trials,
                "epochs_reducer": ["mean"],
                "turn_limit": record.rules.max_turns,
            },
            "packages": {"agoge": record.agoge},
            "scorers": [{"name": SCORER}],
            "metadata": metadata,
        },
        "plan": {"name": "plan", "steps": [{"solver": "agoge", "params": {"user": record.user.kind}}], "config": {}},
        "results": {
            "total_samples": episodes.len(),
            "completed_samples": scored,
            "scores": [{
                "name": SCORER, "scorer": SCORER,
                "scored_samples": scored,
                "unscored_samples": episodes.len() - scored,
                "params": {},
                "metrics": metrics(record),
            }],
        },
        "stats": {"started_at": written, "completed_at": written,
            "model_usage": {model: {"input_tokens": 0, "output_tokens": 0, "total_tokens": record.tokens}}},
        "samples": samples,
    })
}

/// Returns a name that is the same for the same evaluation.
fn identifier(record: &Evaluation) -> String {
    let text = json!([record.benchmark, record.agent, record.user, record.seed]).to_string();
    let digest = agoge_digest::Digest::of(text.as_bytes());
    digest.short().to_owned()
}

/// Returns pass^k and pass@k as metrics, with their intervals.
fn metrics(record: &Evaluation) -> Map<String, Value> {
    let curve = |sign: &'static str, estimates: &[Estimate]| {
        let each = estimates.iter().zip(1..).map(move |(estimate, k)| {
            let name = format!("pass{sign}{k}");
            let params = json!({"low": estimate.low, "high": estimate.high, "tasks": estimate.n});
            let metric = json!({"name": name, "value": estimate.value, "params": params});
            (name, metric)
        });
        each.collect::<Vec<_>>()
    };
    let mut metrics: Map<String, Value> = curve("^", &record.pass).into_iter().collect();
    // pass@1 is pass^1.
    metrics.extend(curve("@", &record.pass_any).into_iter().skip(1));
    metrics
}

fn sample(record: &Evaluation, model: &str, task: Option<&Task>, episode: &Episode) -> Value {
    let instruction = task.map_or("", |task| task.user.instruction.as_str());
    let opening = task.map_or("", |task| task.user.opening.as_str());
    let input = [instruction, opening]
        .into_iter()
        .find(|text| !text.is_empty());
    let target: Vec<String> = task.into_iter().flat_map(targets).collect();
    let mut sample = json!({
        "id": episode.task,
        "epoch": u64::from(episode.trial) + 1,
        "input": input.unwrap_or(episode.task.as_str()),
        "target": target,
        "messages": messages(&episode.messages),
        "output": output(model, &episode.messages),
        "scores": {},
        "metadata": {
            "family": record.tasks.iter().find(|one| one.id == episode.task).map(|one| &one.family),
            "end": episode.end,
            "seed": record.seed.wrapping_add(u64::from(episode.trial)),
        },
        "store": {}, "events": [], "attachments": {},
        "model_usage": {model: {"input_tokens": 0, "output_tokens": 0, "total_tokens": episode.tokens}},
    });
    match (episode.reward, episode.void()) {
        (Some(reward), _) => {
            let verdict = episode.verdict.as_ref();
            sample["scores"][SCORER] = json!({
                "value": reward,
                "explanation": verdict.map(|verdict| verdict.why()).unwrap_or_default(),
                "metadata": {
                    "breakdown": verdict.map(|verdict| verdict.breakdown()).unwrap_or_default(),
                    "judged": verdict.and_then(|verdict| verdict.judged.as_ref()),
                },
            });
        }
        (None, why) => {
            let why = why.unwrap_or_default();
            sample["error"] = json!({"message": why, "traceback": why, "traceback_ansi": why});
        }
    }
    sample
}

/// Returns what a right episode calls and says.
fn targets(task: &Task) -> Vec<String> {
    let calls = task.gold.iter();
    let calls =
        calls.map(|call| format!("{}({})", call.name, Value::Object(call.arguments.clone())));
    calls.chain(task.outputs.iter().cloned()).collect()
}

fn messages(dialogue: &[Message]) -> Vec<Value> {
    let mut all = Vec::with_capacity(dialogue.len());
    for (n, message) in dialogue.iter().enumerate() {
        let mut one =
            json!({"id": format!("m{n}"), "role": message.role.name(), "content": message.content});
        match message.role {
            Role::Assistant if !message.tool_calls.is_empty() => one["tool_calls"] = calls(message),
            // Inspect's user has no calls: they stand beside its message.
            Role::User if !message.tool_calls.is_empty() => {
                one["metadata"] = json!({"tool_calls": calls(message)});
            }
            Role::Tool => {
                one["tool_call_id"] = json!(message.tool_call_id);
                let call = call_of(message, &dialogue[..n]);
                one["function"] = json!(call.map(|call| &call.name));
            }
            _ => {}
        }
        all.push(one);
    }
    all
}

fn calls(message: &Message) -> Value {
    let calls = message.tool_calls.iter().map(|call| {
        json!({"id": call.id, "function": call.name, "arguments": call.arguments, "type": "function"})
    });
    calls.collect()
}

/// Returns the agent's last message as the output of the model.
fn output(model: &str, dialogue: &[Message]) -> Value {
    let last = dialogue
        .iter()
        .rev()
        .find(|message| message.role == Role::Assistant);
    let text = last.map_or("", |message| message.content.as_str());
    json!({
        "model": model,
        "choices": [{"message": {"role": "assistant", "content": text}, "stop_reason": "stop"}],
        "completion": text,
    })
}

#[cfg(test)]
mod tests {
    use agoge_artifacts::evaluation::{Benchmark, Player, TaskResult};
    use agoge_checker::{Part, Verdict};
    use agoge_dialogue::ToolCall;
    use agoge_world::End;

    use super::*;

    fn episode(end: End, pass: bool) -> Episode {
        let part = match pass {
            true => Part::passed("finalState"),
            false => Part::failed("finalState", "tickets/7 differs"),
        };
        let verdict = Verdict::of(vec![part], None);
        let call = ToolCall {
            id: "1".into(),
            ..ToolCall::new("close", Map::new())
        };
        Episode {
            task: "7".into(),
            trial: 1,
            branch: String::new(),
            reward: end.reward(verdict.pass),
            end,
            verdict: Some(verdict),
            messages: vec![
                Message::user("Close it."),
                Message::calls(vec![call]),
                Message::tool_result("1", "closed"),
                Message::assistant("It is closed."),
            ],
            tokens: 20,
            unread: None,
        }
    }

    #[test]
    fn a_trial_is_a_sample_with_its_score_and_what_proves_nothing_has_an_error() {
        let record = Evaluation {
            benchmark: Benchmark {
                name: "desk".into(),
                ..Benchmark::default()
            },
            agent: Player::model("m", "http://localhost"),
            user: Player::script(),
            trials: 2,
            tasks: vec![TaskResult {
                id: "7".into(),
                family: "close".into(),
                ..TaskResult::default()
            }],
            ..Evaluation::default()
        };
        let task = Task {
            id: "7".into(),
            outputs: vec!["closed".into()],
            ..Task::default()
        };
        let (good, outage) = (
            episode(End::Closed, true),
            episode(End::Infra("HTTP 500".into()), false),
        );
        let log = log(
            &record,
            &[task],
            &[&good, &outage],
            "2026-01-02T03:04:05+00:00",
        );
        let samples = &log["samples"];
        assert_eq!(samples[0]["epoch"], 2);
        assert_eq!(samples[0]["scores"][SCORER]["value"], 1.0);
        assert_eq!(
            samples[0]["messages"][1]["tool_calls"][0]["function"],
            "close"
        );
        assert_eq!(samples[0]["messages"][2]["function"], "close");
        assert_eq!(samples[0]["metadata"]["family"], "close");
        assert_eq!(samples[1]["error"]["message"], "HTTP 500");
        assert_eq!(samples[1]["scores"], json!({}));
        assert_eq!(log["results"]["completed_samples"], 1);
        assert!(log["eval"]["metadata"].get("tasks").is_none());
    }
}
