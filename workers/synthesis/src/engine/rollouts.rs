//! Rollouts: valid instances played by agent and user models, at once, and committed in their order. They wait for models most
//! of the time, so that one task plays them all.

use std::sync::Arc;

use agoge_artifacts::Gate;
use agoge_world::Rules;
use futures::StreamExt;

use super::ledger::Finished;
use super::{Bench, Engine, Exhausted, PAUSES, SynthesisError, TRIES};
use crate::random::request_seed;
use crate::rollout::{Players, Settings, User};
use crate::strategy::{Refused, Strategy};

impl<S: Strategy> Engine<'_, S> {
    /// Plays these instances until the target is reached; those in the ledger are played already.
    pub(super) async fn rollouts(
        &mut self,
        chosen: Vec<Finished>,
        told: (&str, Option<u64>),
    ) -> Result<Result<(), Exhausted>, SynthesisError> {
        let all = chosen.len();
        let mut todo = chosen;
        todo.retain(|item| !self.ledger.played(&item.attempt.id));
        let mut done = (all - todo.len()) as u64;
        self.tell(told, done);
        let bench = self.bench.clone();
        let tasks = todo
            .into_iter()
            .map(move |item| rollout(bench.clone(), item));
        let mut stream = futures::stream::iter(tasks).buffered(self.in_flight);
        while self.ledger.tally.accepted() < self.bench.settings.target as u64 {
            let Some(result) = stream.next().await else {
                break;
            };
            match result? {
                Ok(item) => self.ledger.rolled_out(vec![item])?,
                Err(exhausted) => return Ok(Err(exhausted)),
            }
            done += 1;
            self.tell(told, done);
        }
        Ok(Ok(()))
    }
}

/// Plays one instance, again when the sandbox was killed.
async fn rollout(
    bench: Arc<Bench>,
    mut item: Finished,
) -> Result<Result<Finished, Exhausted>, SynthesisError> {
    let Some(task) = item.attempt.task.clone() else {
        return Ok(Ok(item));
    };
    let (Some(clients), Some(stage)) = (&bench.clients, &bench.stage) else {
        return Err(Refused(
            "models: rollouts need a model for agent and user and none is bound; bind models.default"
                .into(),
        )
        .into());
    };
    let settings = Settings {
        seed: request_seed(&[&bench.settings.seed.to_string(), &item.attempt.id]),
        rules: stage.backend.domain().rules(Rules::default()),
        ..Settings::default()
    };
    let before = item.spent;
    for tries in 1..=TRIES {
        let players = Players {
            backend: &stage.backend,
            judge: &stage.judge,
            agent: &clients.agent,
            user: User::Model(&clients.user),
            settings: &settings,
        };
        let step = players.play(&task, &item.attempt.id);
        let rollout = match bench.within(step).await? {
            Ok(rollout) => rollout,
            Err(exhausted) => return Ok(Err(exhausted)),
        };
        if let Some(warning) = &rollout.unread {
            stage.unread.get_or_init(|| warning.clone());
        }
        item.spent.merge(&rollout.agent);
        item.spent.merge(&rollout.user);
        item.attempt.tokens = item.spent.tokens();
        if rollout.spoiled().is_some() && tries < TRIES {
            tokio::time::sleep(PAUSES.pause(tries)).await;
            for role in ["agent", "user"] {
                if bench.rewind(&format!("{}/{role}", item.attempt.id))? {
                    item.spent = before;
                }
            }
            continue;
        }
        let attempt = &mut item.attempt;
        match rollout.cause(&task, None) {
            None => {
                attempt.gate = Gate::Accepted;
                attempt.reason = None;
            }
            Some((cause, reason)) => {
                attempt.cause = Some(cause);
                attempt.reason = Some(reason);
            }
        }
        attempt.messages = rollout.messages;
        attempt.verdict = rollout.verdict;
        break;
    }
    Ok(Ok(item))
}
