//! The source of an export: instances with what made them, and rollouts.

use std::collections::BTreeMap;

use agoge_artifacts::provenance::CODE;
use agoge_artifacts::{Instance, Trajectory};
use agoge_digest::Digest;
use agoge_world::{Domain, Split};
use serde_json::{Map, Value, json};

use crate::parquet::{Kind, columns};

/// The instances and rollouts of one suite.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The domain.
    pub domain: &'a Domain,
    /// The suite's name.
    pub suite: &'a str,
    /// The suite's digest.
    pub digest: &'a str,
    /// The qualified instances.
    pub instances: &'a [Instance],
    /// The origin of instances, by the task's id. One that is not here has no origin but its strategy.
    pub origins: &'a BTreeMap<String, Origin>,
    /// Played episodes, for preferences and trajectories.
    pub rollouts: &'a [Trajectory],
    /// The license, as SPDX names it.
    pub license: &'a str,
    /// True when held-out instances are exported too, as files of their own.
    pub heldout: bool,
}

/// The origin of an instance: the attempt that it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The SynthesisJob, with its strategy.
    pub job: String,
    /// The generation of the plan pair.
    pub generation: u32,
    /// The plan pair's digest; empty without one.
    pub plan: String,
    /// The models that were asked, each as `role: model`.
    pub models: Vec<String>,
}

impl<'a> Source<'a> {
    /// Returns the instances of a split. Held-out ones are there only where they are exported; `Heldout` stands for both
    /// evaluation splits.
    pub fn of(&self, split: Split) -> impl Iterator<Item = &'a Instance> {
        let (instances, heldout) = (self.instances, self.heldout);
        let side = |split: Split| match split {
            Split::Unseen => Split::Heldout,
            other => other,
        };
        let wanted = side(split);
        instances
            .iter()
            .filter(move |one| side(one.split) == wanted && (heldout || wanted != Split::Heldout))
    }

    /// Returns the instance of a task, where it is exported.
    #[must_use]
    pub fn instance(&self, task: &str) -> Option<&'a Instance> {
        let mut all = self
            .instances
            .iter()
            .filter(|one| self.heldout || !is_heldout(one));
        all.find(|one| one.task.id == task)
    }

    /// Returns the number of instances that stay out because they are for evaluation.
    #[must_use]
    pub fn left_out(&self) -> usize {
        match self.heldout {
            true => 0,
            false => self.instances.iter().filter(|one| is_heldout(one)).count(),
        }
    }

    /// Returns what made a row of this instance: license, provenance and digests. Every row has the same keys.
    #[must_use]
    pub fn made(&self, instance: &Instance) -> Value {
        let none = Origin::default();
        let origin = self.origins.get(&instance.task.id).unwrap_or(&none);
        let task = Digest::of_json(&instance.task).map(|digest| digest.to_string());
        json!({
            "license": self.license,
            "domain": self.domain.name,
            "domain_digest": self.domain.digest,
            "suite": self.suite,
            "suite_digest": self.digest,
            "task": instance.task.id,
            "task_digest": task.unwrap_or_default(),
            "split": instance.split.as_str(),
            "job": origin.job,
            "strategy": instance.strategy,
            "generation": origin.generation,
            "plan": origin.plan,
            "models": origin.models,
            "version": CODE,
        })
    }

    /// Returns the strategies that made the instances, each once, by name.
    #[must_use]
    pub fn strategies(&self) -> Vec<&'a str> {
        let all = self.instances.iter();
        let mut strategies: Vec<&str> = all.map(|one| one.strategy.as_str()).collect();
        strategies.sort_unstable();
        strategies.dedup();
        strategies
    }

    /// Returns what made the whole folder, for its manifest.
    #[must_use]
    pub fn made_all(&self, form: &str) -> Map<String, Value> {
        let mut jobs: Vec<&str> = self
            .origins
            .values()
            .map(|origin| origin.job.as_str())
            .collect();
        jobs.sort_unstable();
        jobs.dedup();
        let made = json!({
            "form": form,
            "license": self.license,
            "domain": {"name": self.domain.name, "digest": self.domain.digest},
            "suite": {"name": self.suite, "digest": self.digest},
            "strategies": self.strategies(),
            "jobs": jobs,
            "agoge": CODE,
        });
        match made {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

/// Returns the kind of the column that [`Source::made`] fills.
#[must_use]
pub fn made_kind() -> Kind {
    let text = || Kind::Text;
    Kind::Struct(columns([
        ("license", text()),
        ("domain", text()),
        ("domain_digest", text()),
        ("suite", text()),
        ("suite_digest", text()),
        ("task", text()),
        ("task_digest", text()),
        ("split", text()),
        ("job", text()),
        ("strategy", text()),
        ("generation", Kind::Int),
        ("plan", text()),
        ("models", Kind::list(Kind::Text)),
        ("version", text()),
    ]))
}

fn is_heldout(instance: &Instance) -> bool {
    matches!(instance.split, Split::Heldout | Split::Unseen)
}
