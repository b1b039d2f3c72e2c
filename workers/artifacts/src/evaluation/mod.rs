//! The record of an evaluation: what was asked of whom, raw counts for every task, and the figures that follow from them.
//!
//! Everything that a score depends on is a field: benchmark and version, split, digests of domain, suite, tasks and prompts,
//! reward basis, agent, user simulator, rules, seed and temperature. [`compare`] refuses two records that differ in what must
//! be equal. pass^k and pass@k come from the counts; a curve that no counts can give is named in `notes`.

mod compare;
mod count;
mod episode;

use std::collections::BTreeMap;

use agoge_checker::passk::Estimate;
use agoge_world::{Basis, Rules, Task};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::format::{Format, Stored};

pub use compare::{Comparison, Unlike, compare};
pub use count::{Setting, count};
pub use episode::Episode;

/// The record of an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// The version of Agoge that played it.
    pub agoge: String,
    /// The tasks.
    pub benchmark: Benchmark,
    /// The model that was evaluated.
    pub agent: Player,
    /// The user of the dialogues.
    pub user: Player,
    /// The model that judged statements; none where nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<Player>,
    /// The rules of every episode.
    pub rules: Rules,
    /// The seed of the first trial; each further trial has the next one.
    pub seed: u64,
    /// Trials of each task.
    pub trials: u32,
    /// Raw counts of every task, in the order of the tasks.
    pub tasks: Vec<TaskResult>,
    /// pass^1, pass^2 and so on, with 95 % intervals clustered by family.
    pub pass: Vec<Estimate>,
    /// pass@1, pass@2 and so on.
    pub pass_any: Vec<Estimate>,
    /// The mean of each kind of check over the episodes that have it, such as `state` or `outputs`.
    pub breakdown: BTreeMap<String, Estimate>,
    /// The share of judged statements that hold. They are in no figure above unless the basis of a task names `judge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<Estimate>,
    /// pass^1 of agents without a model; `empty` says and calls nothing.
    pub baselines: BTreeMap<String, Estimate>,
    /// Episodes that prove nothing about the model, by reason.
    pub void: BTreeMap<String, usize>,
    /// Tokens of agent and user, prompts and answers.
    pub tokens: u64,
    /// The things that a reader of the figures must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Stored for Evaluation {
    const FORMAT: Format = Format {
        name: "agoge-evaluation",
        current: 1,
    };
}

impl Evaluation {
    /// The kind of the artifact.
    pub const KIND: &str = "evaluation";
}

/// The tasks of an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Benchmark {
    /// Its name; the domain's unless another was given.
    pub name: String,
    /// Its version, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The split that the tasks are of.
    pub split: String,
    /// The domain's name.
    pub domain: String,
    /// The digest of the domain's files.
    pub domain_digest: String,
    /// The digest of the qualified suite, where the tasks are one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite_digest: Option<String>,
    /// The digest of the tasks as they were played.
    pub tasks_digest: String,
    /// The number of tasks whose reward rests on each kind of check.
    pub basis: BTreeMap<String, usize>,
}

/// One side of the dialogues.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Player {
    /// `model` or `script`.
    pub kind: String,
    /// The model, as it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Host and port of its endpoint: no user, password, path or key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The digest of the part of its prompt that all tasks share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_digest: Option<String>,
    /// Sampling temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// `native` or `fenced`: the way in which tools were offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<String>,
    /// The agent's greeting, as a user model was told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeting: Option<String>,
    /// Fields that were added to every request.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra_body: Map<String, Value>,
}

impl Player {
    /// The task's own script.
    #[must_use]
    pub fn script() -> Self {
        Self {
            kind: "script".into(),
            ..Self::default()
        }
    }

    /// A model at an endpoint. Only host and port of the URL are kept.
    #[must_use]
    pub fn model(model: &str, url: &str) -> Self {
        Self {
            kind: "model".into(),
            model: Some(model.to_owned()),
            host: Some(host(url)),
            ..Self::default()
        }
    }
}

/// Returns host and port of a URL.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    host.to_owned()
}

/// The raw counts of one task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskResult {
    /// The task, by id.
    pub id: String,
    /// The tasks that succeed and fail together with this one.
    pub family: String,
    /// Trials that passed: `c`.
    pub passed: u32,
    /// Trials that came to a verdict: `n`.
    pub trials: u32,
    /// Trials that prove nothing about the model.
    #[serde(default)]
    pub void: u32,
    /// The kinds of check that decide its reward.
    pub basis: Vec<String>,
    /// The mean of each kind of check over its trials.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub breakdown: BTreeMap<String, f64>,
    /// Judged statements that hold, and all that were judged, over its trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<(u32, u32)>,
}

/// Returns the kinds of check that decide the reward of a task, by name.
#[must_use]
pub fn basis(task: &Task) -> Vec<String> {
    let name = |basis: &Basis| match basis {
        Basis::State => "state",
        Basis::Outputs => "outputs",
        Basis::Asserts => "asserts",
        Basis::Calls => "calls",
        Basis::Judge => "judge",
    };
    let mut names: Vec<&str> = if task.basis.is_empty() {
        let brought = [
            (true, "state"),
            (!task.outputs.is_empty(), "outputs"),
            (!task.asserts.is_empty(), "asserts"),
            (!task.calls.is_empty(), "calls"),
        ];
        brought
            .into_iter()
            .filter_map(|(there, name)| there.then_some(name))
            .collect()
    } else {
        task.basis.iter().map(name).collect()
    };
    if task.checker.is_some() {
        names.push("script");
    }
    names.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_player_shows_host_and_port_of_its_endpoint_and_no_secret() {
        for (url, shown) in [
            (
                "https://someone:secret@api.example.com:8443/v1?key=secret",
                "api.example.com:8443",
            ),
            ("localhost:8080", "localhost:8080"),
            ("http://127.0.0.1:8177", "127.0.0.1:8177"),
        ] {
            assert_eq!(Player::model("m", url).host.as_deref(), Some(shown));
        }
    }

    #[test]
    fn the_basis_of_a_task_is_what_it_names_or_else_what_it_brings() {
        let mut task = Task {
            outputs: vec!["12".into()],
            judge: vec!["The agent is polite.".into()],
            ..Task::default()
        };
        assert_eq!(basis(&task), ["state", "outputs"]);
        task.basis = vec![Basis::State, Basis::Judge];
        assert_eq!(basis(&task), ["state", "judge"]);
    }

    #[test]
    fn a_record_reads_back_and_another_version_is_refused() {
        let record = Evaluation {
            agoge: "0.2.0".into(),
            user: Player::script(),
            tasks: vec![TaskResult {
                id: "t".into(),
                ..TaskResult::default()
            }],
            ..Evaluation::default()
        };
        let bytes = record.to_bytes().unwrap();
        assert_eq!(Evaluation::from_bytes(&bytes, "it").unwrap(), record);
        let newer = String::from_utf8(bytes)
            .unwrap()
            .replace("agoge-evaluation/1", "agoge-evaluation/9");
        let refused = Evaluation::from_bytes(newer.as_bytes(), "it").unwrap_err();
        assert!(
            refused.to_string().contains("agoge-evaluation/9"),
            "{refused}"
        );
    }
}
