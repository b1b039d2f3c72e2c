//! Replays golden rows in our world and compares all that they tell.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use agoge_checker::Judge;
use agoge_dialogue::Message;
use agoge_forms::tau2;
use agoge_sandbox::{Limits, Outcome};
use agoge_world::{Domain, Episode, Task, World};
use anyhow::{Result, ensure};
use serde_json::Value;

use crate::differences::{differences, same};
use crate::rows::{Action, Change, Edit, Row};
use crate::tally::Tally;

/// The components of a reward: theirs and ours.
const COMPONENTS: [(&str, &str); 4] = [
    ("DB", "state"),
    ("COMMUNICATE", "outputs"),
    ("ENV_ASSERTION", "asserts"),
    ("ACTION", "calls"),
];

/// An imported domain, ready to replay.
pub struct Replayer {
    world: World,
    /// The same without synchronisation after a call, where the domain has any.
    unsynced: Option<World>,
    judge: Judge,
    tasks: HashMap<String, Task>,
}

/// The score of an episode: the reward and its components.
pub struct Score {
    pub reward: f64,
    pub breakdown: BTreeMap<&'static str, f64>,
}

impl Replayer {
    /// Imports every task of a domain from a folder and opens its worlds. `dir` is an empty folder.
    pub fn open(folder: &Path, name: &str, dir: &Path) -> Result<Self> {
        let written = tau2::import(folder, name, true)?.write(dir, Limits::default())?;
        let domain = written.domain;
        let unsynced = match domain.sync {
            true => {
                let mut domain = Domain::clone(&domain);
                domain.sync = false;
                Some(World::open(Arc::new(domain), Limits::default())?)
            }
            false => None,
        };
        let tasks = domain.tasks.iter();
        Ok(Self {
            tasks: tasks.map(|task| (task.id.clone(), task.clone())).collect(),
            world: World::open(domain, Limits::default())?,
            unsynced,
            judge: Judge::new(),
        })
    }

    pub fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.get(id)
    }

    pub fn world(&mut self) -> &mut World {
        &mut self.world
    }

    /// Compares one row.
    pub fn row(&mut self, row: &Row, tally: &mut Tally) -> Result<()> {
        let id = row.task_id.as_str();
        let known = self.tasks.get(id).cloned();
        let task = known.clone().unwrap_or_else(|| row.task());
        let begun = self.world.begin(&task)?;
        let mut episode = begun.clone();
        self.hashes(
            id,
            &begun,
            BEFORE,
            (&row.initial_db_hash, &row.initial_user_db_hash),
            tally,
        );
        let base = Episode::default();
        let wanted = (&row.initial_db_diff[..], &row.initial_user_db_diff[..]);
        self.changes(id, (&base, &begun), CHANGES_BEFORE, wanted, tally);

        self.calls(id, &row.actions, &mut episode, tally);
        let after = self.hashes(
            id,
            &episode,
            AFTER,
            (&row.final_db_hash, &row.final_user_db_hash),
            tally,
        );
        let wanted = (&row.db_diff[..], &row.user_db_diff[..]);
        self.changes(id, (&begun, &episode), CHANGES, wanted, tally);

        let mut gold = begun.clone();
        let world = self.unsynced.as_mut().unwrap_or(&mut self.world);
        for action in &row.actions {
            world.call(&mut gold, &action.call());
        }
        let wanted = (&row.gold_nosync_db_hash, &row.gold_nosync_user_db_hash);
        let unsynced = self.hashes(id, &gold, UNSYNCED, wanted, tally);
        if let Some(wanted) = row.db_match {
            let agrees = (after == unsynced) == wanted;
            tally.compare(id, "state equals unsynced gold", agrees, || {
                format!("wanted {wanted}")
            });
        }
        if let Some(task) = known {
            self.judged(&task, row, &begun, &episode, tally)?;
        }
        tally.end(id, row.initial_user_db_hash.is_some());
        Ok(())
    }

    /// Compares the results of an edited trajectory and its reward.
    pub fn edit(&mut self, edit: &Edit, tally: &mut Tally) -> Result<()> {
        let name = format!("{} ({} {})", edit.task_id, edit.kind, edit.at);
        let Some(task) = self.tasks.get(&edit.task_id).cloned() else {
            return Ok(());
        };
        let mut episode = self.world.begin(&task)?;
        self.calls(&name, &edit.actions, &mut episode, tally);
        if let Some(wanted) = edit.reward {
            let score = self.score(&task, &episode, &told(&task))?;
            compare_score(
                &name,
                EDITED,
                &score,
                (wanted, &edit.reward_breakdown),
                tally,
            );
        }
        Ok(())
    }

    /// Makes the calls and compares their results.
    fn calls(&mut self, id: &str, actions: &[Action], episode: &mut Episode, tally: &mut Tally) {
        for action in actions {
            let result = self.world.call(episode, &action.call());
            let wanted = action.wanted();
            tally.text(result.content == wanted);
            let agrees = as_json(&result.content) == as_json(wanted)
                && result.error == action.error.is_some();
            tally.compare(id, "results", agrees, || {
                format!(
                    "{}: wanted {wanted:.200}, got {:.200}",
                    action.name, result.content
                )
            });
        }
    }

    fn hashes(
        &self,
        id: &str,
        episode: &Episode,
        names: [&'static str; 2],
        (agent, user): (&String, &Option<String>),
        tally: &mut Tally,
    ) -> (String, Option<String>) {
        let ours = tau2::tau2_hash(self.world.domain(), episode);
        tally.compare(id, names[0], ours.0 == *agent, || {
            format!("wanted {agent}, got {}", ours.0)
        });
        if user.is_some() {
            let got = || format!("wanted {user:?}, got {:?}", ours.1);
            tally.compare(id, names[1], ours.1 == *user, got);
        }
        ours
    }

    /// Compares the differences of two states, the agent's part and the user's.
    fn changes(
        &self,
        id: &str,
        (before, after): (&Episode, &Episode),
        names: [&'static str; 2],
        (agent, user): (&[Change], &[Change]),
        tally: &mut Tally,
    ) {
        let domain = self.world.domain();
        let state = |episode: &Episode| domain.state.with(&episode.overlay);
        let found = differences(&state(before), &state(after));
        let is_users = |change: &Change| {
            let collection = change.path.first().and_then(Value::as_str);
            collection.is_some_and(|name| tau2::is_users(domain, name))
        };
        let (users, agents): (Vec<Change>, Vec<Change>) = found.into_iter().partition(is_users);
        for (name, ours, theirs) in [(names[0], agents, agent), (names[1], users, user)] {
            tally.compare(id, name, same(&ours, theirs), || {
                format!("wanted {theirs:?}, got {ours:?}")
                    .chars()
                    .take(600)
                    .collect::<String>()
            });
        }
    }

    /// Compares assertions and rewards of gold, and the reward of doing nothing.
    fn judged(
        &mut self,
        task: &Task,
        row: &Row,
        begun: &Episode,
        episode: &Episode,
        tally: &mut Tally,
    ) -> Result<()> {
        let mut met = Vec::new();
        for assertion in &task.asserts {
            let mut last = episode.clone();
            let outcome = self
                .world
                .run(&mut last, &assertion.name, &assertion.arguments);
            met.push(matches!(outcome, Outcome::Value(Value::Bool(is)) if is == assertion.is));
        }
        if row.reward.is_some() {
            let wanted = &row.env_assertion_met;
            tally.compare(&task.id, "assertions", met == *wanted, || {
                format!("wanted {wanted:?}, got {met:?}")
            });
        }
        if let Some(wanted) = row.reward {
            let score = self.score(task, episode, &told(task))?;
            compare_score(
                &task.id,
                GOLD,
                &score,
                (wanted, &row.reward_breakdown),
                tally,
            );
        }
        if let Some(wanted) = row.reward_if_no_actions {
            let nothing = [Message::user("hello"), Message::assistant("Done.")];
            let score = self.score(task, begun, &nothing)?;
            let wanted = (wanted, &row.reward_breakdown_if_no_actions);
            compare_score(&task.id, NOTHING, &score, wanted, tally);
        }
        Ok(())
    }

    /// The score of an episode.
    pub fn score(&mut self, task: &Task, episode: &Episode, messages: &[Message]) -> Result<Score> {
        let verdict = self.judge.check(&mut self.world, task, episode, messages);
        ensure!(
            verdict.is_about_the_agent(),
            "{}: {}",
            task.id,
            verdict.why()
        );
        Ok(Score {
            reward: f64::from(u8::from(verdict.pass)),
            breakdown: verdict.breakdown(),
        })
    }
}

const BEFORE: [&str; 2] = ["hash before", "user hash before"];
const AFTER: [&str; 2] = ["hash after", "user hash after"];
const UNSYNCED: [&str; 2] = ["unsynced hash", "unsynced user hash"];
const CHANGES_BEFORE: [&str; 2] = ["changes before", "user changes before"];
const CHANGES: [&str; 2] = ["changes", "user changes"];
const GOLD: [&str; 2] = ["reward of gold", "breakdown of gold"];
const NOTHING: [&str; 2] = ["reward of nothing", "breakdown of nothing"];
const EDITED: [&str; 2] = ["reward of edited gold", "breakdown of edited gold"];

/// A dialogue in which the agent says every output.
pub fn told(task: &Task) -> [Message; 2] {
    let answer = format!("Done. ; {}", task.outputs.join(" ; "));
    [Message::user("hello"), Message::assistant(&answer)]
}

fn compare_score(
    id: &str,
    names: [&'static str; 2],
    ours: &Score,
    (reward, breakdown): (f64, &BTreeMap<String, f64>),
    tally: &mut Tally,
) {
    let shown = || {
        format!(
            "wanted {reward} {breakdown:?}, got {} {:?}",
            ours.reward, ours.breakdown
        )
    };
    tally.compare(id, names[0], ours.reward == reward, shown);
    tally.compare(id, names[1], same_parts(&ours.breakdown, breakdown), shown);
}

/// Compares the components of a reward. One that a side does not have counts as 1 there, as it does in the product.
fn same_parts(ours: &BTreeMap<&'static str, f64>, theirs: &BTreeMap<String, f64>) -> bool {
    COMPONENTS.iter().all(|(their, our)| {
        let (their, our) = (theirs.get(*their), ours.get(our));
        their.unwrap_or(&1.0) == our.unwrap_or(&1.0)
    })
}

fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}
