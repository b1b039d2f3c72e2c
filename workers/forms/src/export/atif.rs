//! `atif`: rollouts as trajectories of Harbor, one file each, with token ids and log-probabilities as they were sampled.
//!
//! Version 1.4 of the Agent Trajectory Interchange Format is written, the first with both `prompt_token_ids` and
//! `completion_token_ids`. A rollout whose ids were not kept has no metrics. The user's own calls are left out.

use std::collections::HashMap;

use agoge_artifacts::{Instance, Trajectory};
use agoge_dialogue::export::schemas;
use agoge_dialogue::{Message, Role, agent_view};
use serde_json::{Map, Value, json};

use super::{Export, ExportError, Form, Source};

/// The version that is written.
pub const VERSION: &str = "ATIF-v1.4";

/// The form.
pub struct Atif;

impl Form for Atif {
    fn name(&self) -> &'static str {
        "atif"
    }

    fn about(&self) -> &'static str {
        "rollouts as ATIF trajectories of Harbor, with token ids and log-probabilities"
    }

    fn export(&self, source: &Source<'_>) -> Result<Export, ExportError> {
        let mut export = Export {
            bare: true,
            ..Export::default()
        };
        let mut untold = 0_usize;
        for rollout in source.rollouts {
            let Some(instance) = source
                .instance(&rollout.task)
                .filter(|_| !rollout.tokens.is_empty())
            else {
                continue;
            };
            let number = export.files.len().saturating_add(1);
            let (trajectory, tokens) = trajectory(source, instance, rollout, number);
            untold = untold.saturating_add(usize::from(!tokens));
            let text = serde_json::to_string_pretty(&trajectory).unwrap_or_default();
            export
                .files
                .push((format!("trajectories/{number:05}.json"), text));
        }
        if export.files.is_empty() {
            return Err(ExportError::Nothing {
                suite: source.suite.to_owned(),
                lack: "no exported task has a rollout whose tokens were kept; those of an evaluation are held out, and --heldout exports them".into(),
            });
        }
        if untold > 0 {
            export.notes.push(format!(
                "{untold} of {} trajectories have no token ids: they were not kept when they were played",
                export.files.len()
            ));
        }
        Ok(export)
    }
}

/// Returns a trajectory, and true where it has its tokens.
fn trajectory(
    source: &Source<'_>,
    instance: &Instance,
    rollout: &Trajectory,
    number: usize,
) -> (Value, bool) {
    let messages = agent_view(&rollout.messages);
    let turns = messages
        .iter()
        .filter(|message| message.role == Role::Assistant)
        .count();
    let runs = sampled(rollout);
    // A last turn that was cut off has tokens and no message.
    let known = !runs.is_empty() && (runs.len() == turns || runs.len() == turns.saturating_add(1));
    let metrics = match known {
        true => runs.iter().map(|run| metrics(rollout, run)).collect(),
        false => Vec::new(),
    };
    let steps = steps(&messages, &rollout.arm, metrics);
    let domain = source.domain;
    let trajectory = json!({
        "schema_version": VERSION,
        "session_id": format!("{}-{number}", rollout.task),
        "agent": {
            "name": "agoge", "version": agoge_artifacts::provenance::CODE, "model_name": rollout.arm,
            "extra": {"policy": domain.policy, "tools": schemas(&domain.tools)},
        },
        "final_metrics": {"total_steps": steps.len()},
        "steps": steps,
        "extra": {
            "task_id": rollout.task, "reward": rollout.reward, "end": rollout.end, "agoge": source.made(instance),
        },
    });
    (trajectory, known)
}

/// Returns the ranges of tokens that the agent sampled, one for each of its turns.
fn sampled(rollout: &Trajectory) -> Vec<std::ops::Range<usize>> {
    if rollout.ids.len() != rollout.tokens.len() {
        return Vec::new();
    }
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, (_, trained, _)) in rollout.tokens.iter().enumerate() {
        match runs.last_mut() {
            _ if *trained == 0 => {}
            Some(run) if run.end == at => run.end = at.saturating_add(1),
            _ => runs.push(at..at.saturating_add(1)),
        }
    }
    runs
}

fn metrics(rollout: &Trajectory, run: &std::ops::Range<usize>) -> Value {
    let logprobs = rollout.tokens[run.clone()]
        .iter()
        .map(|(_, _, logprob)| *logprob);
    json!({
        "prompt_tokens": run.start,
        "completion_tokens": run.len(),
        "prompt_token_ids": rollout.ids[..run.start],
        "completion_token_ids": rollout.ids[run.clone()],
        "logprobs": logprobs.collect::<Vec<f32>>(),
    })
}

/// Returns the steps: a turn of the user, or one of the agent with the results of its calls.
fn steps(messages: &[Message], model: &str, metrics: Vec<Value>) -> Vec<Value> {
    let mut steps: Vec<Map<String, Value>> = Vec::new();
    let mut metrics = metrics.into_iter();
    // The step of each call.
    let mut calls: HashMap<&str, usize> = HashMap::new();
    for message in messages {
        let number = steps.len();
        if message.role == Role::Tool {
            // A reply to a turn that could not be read answers no call and follows that turn.
            let id = message.tool_call_id.as_deref();
            let last = number.checked_sub(1);
            let of = id.and_then(|id| calls.get(id).copied()).or(last);
            if let Some(step) = of.and_then(|at| steps.get_mut(at)) {
                let mut result = json!({"content": message.content});
                if let Some(id) = id {
                    result["source_call_id"] = id.into();
                }
                let observation = step
                    .entry("observation")
                    .or_insert_with(|| json!({"results": []}));
                if let Some(results) = observation["results"].as_array_mut() {
                    results.push(result);
                }
            }
            continue;
        }
        let mut step = Map::new();
        step.insert("step_id".into(), number.saturating_add(1).into());
        let speaker = match message.role {
            Role::Assistant => "agent",
            Role::User => "user",
            Role::System | Role::Tool => "system",
        };
        step.insert("source".into(), speaker.into());
        step.insert("message".into(), message.content.as_str().into());
        if message.role == Role::Assistant {
            step.insert("model_name".into(), model.into());
            if let Some(reasoning) = &message.reasoning {
                step.insert("reasoning_content".into(), reasoning.as_str().into());
            }
            calls.extend(
                message
                    .tool_calls
                    .iter()
                    .map(|call| (call.id.as_str(), number)),
            );
            let made = message.tool_calls.iter().map(|call| {
                json!({"tool_call_id": call.id, "function_name": call.name, "arguments": call.arguments})
            });
            if !message.tool_calls.is_empty() {
                step.insert("tool_calls".into(), made.collect());
            }
            step.extend(metrics.next().map(|own| ("metrics".to_owned(), own)));
        }
        steps.push(step);
    }
    steps.into_iter().map(Value::Object).collect()
}
