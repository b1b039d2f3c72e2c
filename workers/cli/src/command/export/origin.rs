//! The origin of a suite's instances, and the rollouts of its tasks, as the store knows them.

use std::collections::{BTreeMap, BTreeSet};

use agoge_artifacts::{Attempt, DatasetOrigin, End, Instance, StageRecord, Trajectory, dataset};
use agoge_checker::Cause;
use agoge_crds::shared::Part;
use agoge_forms::export::Origin;
use agoge_store::Store;
use serde_json::Value;

use super::Found;
use crate::failure::Failure;

/// Facts of the store beside the suite itself.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// The origin of instances, by the task's id.
    pub origins: BTreeMap<String, Origin>,
    /// Played episodes of the suite's tasks.
    pub rollouts: Vec<Trajectory>,
}

/// Finds the attempts that a suite's instances were, and what was played with its tasks: rollouts of synthesis that failed, and
/// the samples that training and evaluation kept.
///
/// # Errors
/// An artifact that cannot be read.
pub fn find(store: &Store, found: &Found) -> Result<Beside, Failure> {
    let tasks: BTreeMap<&str, &Instance> = found
        .instances
        .iter()
        .map(|one| (one.task.id.as_str(), one))
        .collect();
    let mut beside = Beside::default();
    let mut seen = BTreeSet::new();
    for artifact in store.artifacts(dataset::KIND)? {
        let Some(origin) = DatasetOrigin::of(&artifact.inputs) else {
            continue;
        };
        if origin.domain != found.domain.digest || !seen.insert(artifact.digest.clone()) {
            continue;
        }
        let models = models(&origin.settings);
        for attempt in dataset::get(store, &artifact.digest).map_err(Failure::input)? {
            let known = attempt
                .task
                .as_ref()
                .and_then(|task| tasks.get(task.id.as_str()));
            if known.is_none_or(|one| Some(&one.task) != attempt.task.as_ref()) {
                continue;
            }
            let (task, rollout) = failed(&attempt);
            beside.rollouts.extend(rollout);
            let origin = Origin {
                job: artifact.name.clone(),
                generation: attempt.generation,
                plan: attempt.plan.clone().unwrap_or_default(),
                models: models.clone(),
            };
            beside.origins.entry(task).or_insert(origin);
        }
    }
    for artifact in store.artifacts(StageRecord::KIND)? {
        if artifact.inputs.get("suite") != Some(&found.digest)
            || !seen.insert(artifact.digest.clone())
        {
            continue;
        }
        let record = StageRecord::read(store, &artifact.digest).map_err(Failure::input)?;
        let samples = record.samples.into_iter();
        beside
            .rollouts
            .extend(samples.filter(|sample| tasks.contains_key(sample.task.as_str())));
    }
    Ok(beside)
}

/// Returns the task of an attempt, and its rollout where the agent failed in it.
fn failed(attempt: &Attempt) -> (String, Option<Trajectory>) {
    let task = attempt.task.clone().unwrap_or_default();
    let agents = attempt.cause == Some(Cause::Trajectory) && !attempt.messages.is_empty();
    let rollout = agents.then(|| Trajectory {
        task: task.id.clone(),
        branch: task.branch.clone(),
        arm: "synthesis".into(),
        reward: Some(0.0),
        end: End::Closed,
        verdict: attempt.verdict.clone(),
        messages: attempt.messages.clone(),
        tokens: Vec::new(),
        ids: Vec::new(),
        user_faults: Vec::new(),
    });
    (task.id, rollout)
}

/// Returns the models in the settings of a dataset, each as `role: model`.
fn models(settings: &str) -> Vec<String> {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    let given = &settings["models"];
    let binding = |role: &str| {
        let own = given.get(role).filter(|one| !one.is_null());
        own.or_else(|| given.get("default").filter(|one| !one.is_null()))
    };
    let of = |part: &Part| {
        let role = serde_json::to_value(part).ok()?;
        let role = role.as_str()?;
        let bound = binding(role)?;
        let model = bound["model"]
            .as_str()
            .or_else(|| bound["endpoint"].as_str())?;
        Some(format!("{role}: {model}"))
    };
    Part::ALL.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_its_own_model_or_the_default_one() {
        let settings = r#"{"seed": 1, "models": {"default": {"endpoint": "local", "model": "small"}, "writer": {"endpoint": "big"}}}"#;
        let expected = [
            "writer: big",
            "agent: small",
            "user: small",
            "reflector: small",
        ];
        assert_eq!(models(settings), expected);
        assert!(models(r#"{"seed": 1}"#).is_empty() && models("").is_empty());
    }
}
