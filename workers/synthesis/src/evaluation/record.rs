//! The record of an evaluation: what was played, and under which conditions.

use std::borrow::BorrowMut;
use std::collections::BTreeMap;

use agoge_artifacts::Evaluation;
use agoge_artifacts::evaluation::{Benchmark, Player, Setting, count};
use agoge_llm::Client;
use agoge_store::Digest;
use agoge_world::{Domain, World};
use serde_json::Value;

use super::baseline::Baseline;
use super::{Exam, Played};
use crate::rollout::{Calls, Settings, Simulator, User, agent_prompt, simulator_prompt};

/// The URLs of the models' endpoints, each empty where there is no such model. Only host and port come into a record.
#[derive(Clone, Debug, Default)]
pub struct Urls {
    /// The agent's.
    pub agent: String,
    /// The user model's.
    pub user: String,
    /// The judge's.
    pub judge: String,
}

impl<W: BorrowMut<World>> Exam<'_, W> {
    /// Returns the record of what was played. `benchmark` names the tasks; its domain and its digests of domain and tasks are
    /// filled in here. `extra_body` are the fields that were added to every request to the agent's endpoint.
    #[must_use]
    pub fn record(
        &self,
        benchmark: Benchmark,
        urls: &Urls,
        extra_body: &BTreeMap<String, Value>,
        played: &Played,
        baselines: &[Baseline],
    ) -> Evaluation {
        let domain = self.backend.domain();
        let settings = &self.settings;
        let extra_body = extra_body.clone().into_iter().collect();
        let rows = baselines.iter().map(|row| (row.name.to_owned(), row.pass));
        let judge = |client: &Client| Player::model(client.model(), &urls.judge);
        let setting = Setting {
            benchmark: Benchmark {
                domain: domain.name.clone(),
                domain_digest: domain.digest.clone(),
                ..benchmark
            },
            agent: Player {
                extra_body,
                ..agent(self.agent, &urls.agent, domain, settings)
            },
            user: user(self.user, &urls.user, domain, settings),
            judge: self.judge.map(judge),
            rules: settings.rules.clone(),
            seed: settings.seed,
            trials: self.trials,
            baselines: rows.collect(),
        };
        count(setting, self.tasks, &played.episodes)
    }
}

/// Returns the agent's side as the record names it.
fn agent(client: &Client, url: &str, domain: &Domain, settings: &Settings) -> Player {
    let calls = match settings.calls {
        Calls::Fenced => "fenced",
        Calls::Native => "native",
    };
    Player {
        prompt_digest: Some(prompt_digest(&agent_prompt(domain, settings.calls))),
        temperature: Some(settings.temperature),
        calls: Some(calls.to_owned()),
        ..Player::model(client.model(), url)
    }
}

/// Returns the user's side as the record names it.
fn user(user: User<'_>, url: &str, domain: &Domain, settings: &Settings) -> Player {
    match user {
        User::Scripted => Player::script(),
        User::Model(client) => Player {
            temperature: Some(settings.user_temperature),
            ..Player::model(client.model(), url)
        },
        User::Simulator(Simulator { client, greeting }) => Player {
            prompt_digest: Some(prompt_digest(&simulator_prompt(domain))),
            temperature: Some(settings.user_temperature),
            greeting: Some(greeting.to_owned()),
            ..Player::model(client.model(), url)
        },
    }
}

fn prompt_digest(prompt: &str) -> String {
    Digest::of(prompt.as_bytes()).to_string()
}
