//! Agent SFT: the policy learns from few demonstrations, in which corners of the domain's policy are as rare as asked, up
//! to its validation plateau.

use std::borrow::Cow;

use agoge_crds::grpo_run::AgentSftSpec;
use agoge_dialogue::{Message, Transcript};
use agoge_learner::shuffle::mix;
use agoge_world::{Alike, Names};

use super::model;
use super::policy::Policy;
use super::rename::renamed;
use super::suite::Instance;
use super::supervised::{self, Plan};
use super::vary::varied;
use super::{Record, Stage};
use crate::failure::Failure;
use crate::job::Job;

/// Trains the policy on demonstrations.
pub fn perform(
    stage: &Stage,
    job: &mut Job,
    spec: &AgentSftSpec,
) -> Result<(Record, Option<f64>), Failure> {
    let policy = beginning(stage, job)?;
    let parallelism = policy.prepare(stage.parallelism(job));
    let demonstrations = Demonstrations::of(stage, &policy, spec)?;
    let plan = Plan {
        title: "agent SFT",
        config: supervised::config(
            &spec.sft,
            stage.arguments.seed,
            stage.arguments.deterministic,
            parallelism,
        ),
        deterministic: stage.arguments.deterministic,
        ranks: stage.ranks.clone(),
    };
    let training = |epoch| demonstrations.epoch(epoch);
    let state = supervised::train(
        job,
        &plan,
        &policy.decoder,
        &training,
        &demonstrations.validation,
    )?;
    supervised::record(stage, job, &policy, &state)
}

/// Returns the policy before any training.
fn beginning(stage: &Stage, job: &Job) -> Result<Policy, Failure> {
    match (&stage.arguments.policy.fresh, &stage.arguments.policy.path) {
        (Some(shape), _) => Policy::fresh(
            shape,
            &stage.domain,
            &stage.suite.training(),
            stage.arguments.seed,
        ),
        (None, Some(path)) => {
            let to = job.assignment.work.join("inputs").join("policy");
            Policy::load(&model::folder(&job.store, path, &to)?)
        }
        (None, None) => Err(Failure::Input("policy: name fresh or path".into())),
    }
}

/// Demonstrations as the policy reads them.
pub struct Demonstrations<'a> {
    stage: &'a Stage,
    policy: &'a Policy,
    names: Names,
    alike: Alike,
    training: Vec<&'a Instance>,
    /// Demonstrations of the validation loss.
    pub validation: Vec<Transcript>,
}

impl<'a> Demonstrations<'a> {
    /// Chooses demonstrations from the suite.
    pub fn of(stage: &'a Stage, policy: &'a Policy, spec: &AgentSftSpec) -> Result<Self, Failure> {
        let (training, validation) = stage
            .suite
            .demonstrations(spec.demonstrations as usize, spec.corner_share)?;
        let corners = training
            .iter()
            .filter(|instance| instance.task.corner)
            .count();
        tracing::info!(
            demonstrations = training.len(),
            corners,
            validation = validation.len(),
            "demonstrations"
        );
        let read = |one: &&Instance| policy.demonstration(&stage.domain, &one.messages);
        let validation: Vec<Transcript> = validation.iter().map(read).collect();
        let longest = training
            .iter()
            .map(read)
            .chain(validation.iter().cloned())
            .map(|t| t.ids.len())
            .max();
        let (longest, room) = (
            longest.unwrap_or(0),
            policy.decoder.config().max_position_embeddings,
        );
        if longest > room {
            let fix = match stage.arguments.policy.fresh {
                Some(_) => format!("raise policy.fresh.maxLength to {longest} or more"),
                None => {
                    "name another policy.path, whose config.json has more max_position_embeddings"
                        .to_owned()
                }
            };
            return Err(Failure::Input(format!(
                "a demonstration has {longest} tokens, the policy {room} positions; {fix}"
            )));
        }
        let names = Names::of(&stage.domain);
        Ok(Self {
            stage,
            policy,
            alike: Alike::of(&stage.domain, &names),
            names,
            training,
            validation,
        })
    }

    /// Returns the demonstrations of an epoch: the same dialogues each time, under other ids, and with other values that are
    /// as good. A model that was trained before, by `policy.path`, reads them as they are.
    pub fn epoch(&self, epoch: u64) -> Vec<Transcript> {
        let key = |at: usize| mix(self.stage.arguments.seed, epoch, at as u64);
        let read = |(at, one): (usize, &&Instance)| {
            let domain = &self.stage.domain;
            if self.stage.arguments.policy.fresh.is_none() {
                return self.policy.demonstration(domain, &one.messages);
            }
            let renamed = renamed(&self.varied(one, key(at)), &self.names, key(at));
            let varied = self.policy.demonstration(domain, &renamed);
            // Other values may be longer than those that were found to fit.
            if varied.ids.len() > self.policy.decoder.config().max_position_embeddings {
                return self.policy.demonstration(domain, &one.messages);
            }
            varied
        };
        self.training.iter().enumerate().map(read).collect()
    }

    /// Returns a dialogue with other values that are as good. Only of a template's task is it known what decides.
    fn varied<'b>(&self, one: &'b Instance, key: u64) -> Cow<'b, [Message]> {
        let mut templates = self.stage.domain.templates.iter();
        if !templates.any(|template| template.name == one.task.template) {
            return Cow::Borrowed(&one.messages);
        }
        Cow::Owned(varied(&one.task, &one.messages, &self.alike, key))
    }
}
