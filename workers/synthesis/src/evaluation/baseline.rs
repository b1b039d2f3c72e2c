//! Agents without a model, as rows of the table: what a model scores above them is its own doing.

use agoge_checker::Judge;
use agoge_checker::passk::{Estimate, Trials, family, pass_hat_k};
use agoge_dialogue::Message;
use agoge_world::{
    Domain, Rules, SandboxBackend, Script, ScriptedUser, Task, View, baseline, play,
};
use serde_json::{Map, Value, json};

use super::has_script;

/// A row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// The agent, as a GRPORun's table names it.
    pub name: &'static str,
    /// Its pass^1.
    pub pass: Estimate,
}

/// Plays every task once with each agent and the scripted user: one that says and calls nothing, and where the domain's
/// templates have refusals, one that always refuses. Where a task has no script, its checkers judge the state as it begins and
/// the agent's one message: that is what a user who leaves at once would find.
pub async fn all(backend: &SandboxBackend, tasks: &[Task], rules: &Rules) -> Vec<Baseline> {
    let mut judge = Judge::new();
    let mut rows = Vec::new();
    for (name, says) in agents(backend.domain()) {
        let mut trials = Vec::with_capacity(tasks.len());
        for task in tasks {
            let reward = reward(backend, &mut judge, task, &says, rules).await;
            trials.push(Trials {
                cluster: family(task),
                passed: u32::from(reward == Some(1.0)),
                trials: u32::from(reward.is_some()),
            });
        }
        rows.push(Baseline {
            name,
            pass: pass_hat_k(&trials, 1),
        });
    }
    rows
}

/// Returns the rows as JSON, by name.
#[must_use]
pub fn to_json(rows: &[Baseline]) -> Value {
    let each = rows
        .iter()
        .map(|row| (row.name.to_owned(), json!(row.pass)));
    Value::Object(each.collect::<Map<String, Value>>())
}

/// Returns the agents, each with what it says in every turn.
fn agents(domain: &Domain) -> Vec<(&'static str, Message)> {
    let mut all = vec![("empty", baseline::empty())];
    let mut branches = domain.templates.iter().flat_map(|one| &one.branches);
    if branches.any(|branch| branch.refusal) {
        all.push(("alwaysRefuse", baseline::always_refuse(domain)));
    }
    all
}

/// Returns the reward of an agent that says the same in every turn; `None` where the episode proves nothing.
async fn reward(
    backend: &SandboxBackend,
    judge: &mut Judge,
    task: &Task,
    says: &Message,
    rules: &Rules,
) -> Option<f64> {
    if !has_script(task) {
        return untouched(backend, judge, task, says);
    }
    let mut agent = Script(|_: View<'_>| says.clone());
    let mut user = ScriptedUser::new(task, &backend.domain().error_text);
    let mut session = backend.session(task).ok()?;
    let played = play(&mut session, &mut agent, &mut user, rules).await;
    if played.end.is_fault() {
        return None;
    }
    let episode = session.into_episode();
    let verdict = judge.check(&mut backend.lock(), task, &episode, &played.messages);
    let reward = played.end.reward(verdict.pass);
    reward.filter(|_| verdict.is_about_the_agent())
}

/// Returns the reward of saying this and leaving the state as it begins.
fn untouched(
    backend: &SandboxBackend,
    judge: &mut Judge,
    task: &Task,
    says: &Message,
) -> Option<f64> {
    let mut world = backend.lock();
    let episode = world.begin(task).ok()?;
    let verdict = judge.check(&mut world, task, &episode, std::slice::from_ref(says));
    verdict.reward()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use agoge_sandbox::Limits;
    use agoge_world::{Mix, Split, World, tasks};

    use super::*;

    #[test]
    fn doing_nothing_passes_nothing_and_refusing_passes_refusals_alone() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
        let domain = Arc::new(Domain::load(Path::new(dir)).unwrap());
        let mut world = World::open(domain, Limits::default()).unwrap();
        let chosen = tasks(&mut world, Split::Heldout, Mix::EvenBranches, 7, 60).unwrap();
        let backend = SandboxBackend::new(world);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let rows = runtime.block_on(all(&backend, &chosen, &Rules::default()));
        let json = to_json(&rows);
        assert_eq!(json["empty"]["value"], 0.0, "{json}");
        let refusing = json["alwaysRefuse"]["value"].as_f64().unwrap();
        assert!(refusing > 0.0 && refusing < 0.5, "{json}");
    }

    #[test]
    fn a_task_without_a_script_shows_whether_doing_nothing_passes_it() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
        let domain = Arc::new(Domain::load(Path::new(dir)).unwrap());
        let mut world = World::open(domain, Limits::default()).unwrap();
        let drawn = tasks(&mut world, Split::Heldout, Mix::EvenBranches, 7, 60).unwrap();
        let mut acts = drawn.into_iter().find(|task| !task.refusal).unwrap();
        acts.user = agoge_world::UserScript::default();
        let nothing = Task {
            id: "nothing".into(),
            ..Task::default()
        };
        let backend = SandboxBackend::new(world);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let rows = runtime.block_on(all(&backend, &[acts, nothing], &Rules::default()));
        assert_eq!((rows[0].pass.value, rows[0].pass.n), (0.5, 2), "{rows:?}");
    }
}
