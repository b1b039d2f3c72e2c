//! The content of the viewer: dialogues of attempts and rollouts with their tokens, a bounded choice that covers every
//! reason.

use std::collections::{BTreeMap, BTreeSet};

use agoge_artifacts::reason::general;
use agoge_artifacts::{Attempt, Token, Trajectory};
use agoge_dialogue::{Message, ToolCall};
use serde_json::{Map, Value, json};

use super::run::{Attempts, Run};
use super::suite;
use super::text::{clip, clip_value};

/// Tokens of a rollout shown at most.
const MAX_TOKENS: usize = 2000;

/// The number of samples chosen from each group.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    accepted: usize,
    rejected: usize,
    rollouts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            accepted: 60,
            rejected: 90,
            rollouts: 40,
        }
    }
}

impl Limits {
    /// Half of it, or `None` when there is nothing left to save.
    pub fn less(self) -> Option<Self> {
        let half = Self {
            accepted: self.accepted / 2,
            rejected: self.rejected / 2,
            rollouts: self.rollouts / 2,
        };
        (self.accepted + self.rejected + self.rollouts > 0).then_some(half)
    }
}

/// The chosen entries, and of how many each group was chosen.
pub(super) fn samples(run: &Run, limits: Limits) -> Value {
    let quarantined = quarantined(run);
    let (mut entries, mut groups) = (Vec::new(), Vec::new());
    let mut add = |group: Value, of: usize, chosen: Vec<Value>| {
        if of > 0 {
            groups.push(json!({ "group": group, "shown": chosen.len(), "of": of }));
            entries.extend(chosen);
        }
    };
    for strategy in &run.attempts {
        for (outcome, limit) in [("accepted", limits.accepted), ("rejected", limits.rejected)] {
            let (of, chosen) = instances(strategy, outcome, limit, &quarantined);
            add(json!([strategy.strategy, outcome]), of, chosen);
        }
    }
    // What was trained on comes before what was played for the table.
    let (played, trained): (Vec<_>, Vec<_>) = run
        .stages
        .iter()
        .partition(|(_, stage, _)| stage == "evaluate");
    for (_, stage, record) in trained.into_iter().chain(played) {
        let all = &record.samples;
        let chosen = spread(all, limits.rollouts, |s| {
            format!("{}/{:?}/{}/{:?}", s.arm, s.reward, s.branch, s.end)
        });
        let chosen = chosen
            .into_iter()
            .map(|sample| rollout(stage, sample))
            .collect();
        add(json!(["rollout", stage]), all.len(), chosen);
    }
    json!({ "groups": groups, "entries": entries })
}

/// Ids of tasks whose checker is not trusted, with the reason.
fn quarantined(run: &Run) -> BTreeMap<String, String> {
    let suites = run.suites().filter_map(|one| suite::stored(run, one));
    let all = suites.flat_map(|found| found.suite.quarantined);
    all.map(|one| (one.task, clip(&one.reason))).collect()
}

fn instances(
    of: &Attempts,
    outcome: &str,
    limit: usize,
    quarantined: &BTreeMap<String, String>,
) -> (usize, Vec<Value>) {
    let accepted = outcome == "accepted";
    let all: Vec<&Attempt> = of
        .attempts
        .iter()
        .filter(|attempt| attempt.accepted() == accepted)
        .collect();
    let chosen = spread(&all, limit, |attempt| match &attempt.task {
        Some(task) if accepted => {
            let held = quarantined.contains_key(&task.id);
            format!("{held}/{}/{}/{:?}", task.intent, task.branch, attempt.split)
        }
        _ => {
            let reason = attempt.reason.as_deref().unwrap_or_default();
            format!("{}/{}", attempt.gate.name(), general(reason))
        }
    });
    (
        all.len(),
        chosen
            .into_iter()
            .map(|a| instance(a, outcome, quarantined))
            .collect(),
    )
}

fn instance(attempt: &Attempt, outcome: &str, quarantined: &BTreeMap<String, String>) -> Value {
    let task = attempt.task.as_ref();
    let mut entry = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() && value != "" && value != json!([]) {
            entry.insert(key.to_owned(), value);
        }
    };
    put("type", json!("instance"));
    put("outcome", json!(outcome));
    put("id", json!(attempt.id));
    put("strategy", json!(attempt.strategy));
    put("generation", json!(attempt.generation));
    put("gate", json!(attempt.gate));
    put("cause", json!(attempt.cause));
    put("split", json!(attempt.split));
    put("tokens", json!(attempt.tokens));
    put("reason", json!(attempt.reason.as_deref().map(clip)));
    let held = task.and_then(|task| quarantined.get(&task.id));
    put("quarantined", json!(held));
    if let Some(task) = task {
        put("intent", json!(task.intent));
        put("branch", json!(task.branch));
        put("condition", json!(task.condition));
        put("refusal", json!(task.refusal));
        put("corner", json!(task.corner));
        put("gold", clip_value(&json!(task.gold)));
        put("outputs", clip_value(&json!(task.outputs)));
        put("checker", json!(task.checker.as_deref().map(clip)));
        put("instruction", json!(clip(&task.user.instruction)));
    }
    put("messages", messages(&attempt.messages));
    put("verdict", clip_value(&json!(attempt.verdict)));
    put("drafts", clip_value(&json!(attempt.drafts)));
    Value::Object(entry)
}

fn rollout(stage: &str, sample: &Trajectory) -> Value {
    let tokens = &sample.tokens;
    json!({
        "type": "rollout",
        "stage": stage,
        "arm": sample.arm,
        "id": sample.task,
        "branch": sample.branch,
        "reward": sample.reward,
        "end": sample.end,
        "verdict": clip_value(&json!(sample.verdict)),
        "messages": messages(&sample.messages),
        "tokens": tokens.iter().take(MAX_TOKENS).map(token).collect::<Vec<_>>(),
        "tokensLeftOut": tokens.len().saturating_sub(MAX_TOKENS),
        "userFaults": clip_value(&json!(sample.user_faults)),
    })
}

/// Returns `[text, trained, logprob]` with the log-probability to four digits.
fn token((text, trained, logprob): &Token) -> Value {
    json!([text, trained, (f64::from(*logprob) * 1e4).round() / 1e4])
}

/// Messages in the fewest keys.
fn messages(messages: &[Message]) -> Value {
    let one = |message: &Message| {
        let mut out = json!({ "role": message.role, "content": clip(&message.content) });
        let calls = &message.tool_calls;
        if !calls.is_empty() {
            let call = |c: &ToolCall| {
                let arguments = clip_value(&json!(c.arguments));
                json!({ "name": c.name, "arguments": arguments })
            };
            out["calls"] = calls.iter().take(40).map(call).collect();
        }
        out
    };
    messages.iter().take(120).map(one).collect()
}

/// At most `limit` items: in turn one of each group, groups in the order they come. The order of the items stays.
fn spread<T>(items: &[T], limit: usize, group: impl Fn(&T) -> String) -> Vec<&T> {
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let next = groups.len();
        let group = *at.entry(group(item)).or_insert(next);
        if group == next {
            groups.push(Vec::new());
        }
        groups[group].push(index);
    }
    let mut chosen = BTreeSet::new();
    let longest = groups.iter().map(Vec::len).max().unwrap_or(0);
    'full: for round in 0..longest {
        for index in groups.iter().filter_map(|g| g.get(round)) {
            if chosen.len() >= limit {
                break 'full;
            }
            chosen.insert(*index);
        }
    }
    chosen.into_iter().map(|index| &items[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_group_is_shown_beside_a_frequent_one() {
        let items: Vec<u32> = (0..100).map(|n| u32::from(n == 99)).collect();
        let chosen = spread(&items, 10, |n| n.to_string());
        assert_eq!(chosen.len(), 10);
        assert!(chosen.contains(&&1));
        assert!(spread(&items, 0, |n| n.to_string()).is_empty());
    }

    #[test]
    fn limits_come_to_an_end() {
        let mut limits = Limits::default();
        let mut rounds = 0;
        while let Some(less) = limits.less() {
            (limits, rounds) = (less, rounds + 1);
        }
        assert!(rounds < 12 && limits.accepted + limits.rejected + limits.rollouts == 0);
    }
}
