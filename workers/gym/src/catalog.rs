//! The tasks that a server has, and the choice of one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agoge_dialogue::random::Rng;
use agoge_world::{Mix, Split, Task, TemplateError, World, possible, tasks};
use serde::{Deserialize, Serialize};

use crate::refused::Refused;

/// The splits in the order in which they are listed.
const SPLITS: [Split; 4] = [
    Split::TrainRl,
    Split::TrainSft,
    Split::Heldout,
    Split::Unseen,
];

/// A task with its part of the data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// The part of the data.
    pub split: Split,
    /// The task.
    pub task: Task,
}

/// The choice of a task: by its id, by its number in a split, by a seed, or the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Choice {
    /// The task's id.
    #[serde(alias = "task_id")]
    pub task: Option<String>,
    /// The split; without one that of reinforcement learning, or the first that has tasks.
    pub split: Option<Split>,
    /// The task's number in its split, from 0.
    pub index: Option<usize>,
    /// Draws a task of the split. The same seed draws the same task.
    pub seed: Option<u64>,
}

/// The errors of making a catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no task.
    #[error(
        "there is no task to serve; give the domain templates or a tasks.jsonl, or name a run with --out"
    )]
    Empty,
    /// Two tasks have one id.
    #[error("two tasks are named {0}; give each an id of its own")]
    Twice(String),
    /// The domain's templates cannot be drawn from.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// All tasks of a server.
#[derive(Debug)]
pub struct Catalog {
    entries: Vec<Arc<Entry>>,
    by_id: HashMap<String, usize>,
    by_split: Vec<(Split, Vec<usize>)>,
    next: AtomicUsize,
}

impl Catalog {
    /// Returns the catalog of these tasks.
    ///
    /// # Errors
    /// [`CatalogError`]
    pub fn new(given: impl IntoIterator<Item = (Split, Task)>) -> Result<Self, CatalogError> {
        let mut entries: Vec<Arc<Entry>> = Vec::new();
        let mut by_id = HashMap::new();
        for (split, task) in given {
            if by_id.insert(task.id.clone(), entries.len()).is_some() {
                return Err(CatalogError::Twice(task.id));
            }
            entries.push(Arc::new(Entry { split, task }));
        }
        if entries.is_empty() {
            return Err(CatalogError::Empty);
        }
        let numbers = |split: Split| {
            let all = entries.iter().enumerate();
            let own = all.filter(|(_, entry)| entry.split == split);
            own.map(|(at, _)| at).collect::<Vec<_>>()
        };
        let by_split = SPLITS.map(|split| (split, numbers(split)));
        Ok(Self {
            by_split: by_split
                .into_iter()
                .filter(|(_, own)| !own.is_empty())
                .collect(),
            entries,
            by_id,
            next: AtomicUsize::new(0),
        })
    }

    /// Returns the tasks of a domain: those it is given with, and up to `per_split` that are drawn from its templates for
    /// each split.
    ///
    /// # Errors
    /// [`TemplateError`]
    pub fn tasks_of(
        world: &mut World,
        per_split: usize,
        seed: u64,
    ) -> Result<Vec<(Split, Task)>, TemplateError> {
        let domain = world.domain().clone();
        let mut found = Vec::new();
        for split in SPLITS {
            found.extend(domain.given(split).map(|task| (split, task.clone())));
            let n = possible(world, split, Mix::EvenBranches).min(per_split);
            if n > 0 {
                let drawn = tasks(world, split, Mix::EvenBranches, seed, n)?;
                found.extend(drawn.into_iter().map(|task| (split, task)));
            }
        }
        let mut seen = HashSet::new();
        found.retain(|(_, task)| seen.insert(task.id.clone()));
        Ok(found)
    }

    /// Every task, or those of a split, in their order.
    pub fn list(&self, split: Option<Split>) -> impl Iterator<Item = &Entry> {
        let wanted = move |entry: &&Arc<Entry>| split.is_none_or(|split| entry.split == split);
        self.entries.iter().filter(wanted).map(|entry| &**entry)
    }

    /// The splits that have tasks, with their numbers of tasks.
    pub fn splits(&self) -> impl Iterator<Item = (Split, usize)> + '_ {
        self.by_split.iter().map(|(split, own)| (*split, own.len()))
    }

    /// Returns the task that is chosen.
    ///
    /// # Errors
    /// [`Refused::NoTask`]
    pub fn choose(&self, choice: &Choice) -> Result<Arc<Entry>, Refused> {
        if let Some(id) = &choice.task {
            let found = self.by_id.get(id).map(|at| self.entries[*at].clone());
            return found.ok_or_else(|| Refused::NoTask(format!("`{}`", short(id))));
        }
        let named = |split: &Split| choice.split.is_none_or(|wanted| wanted == *split);
        let own = self.by_split.iter().find(|(split, _)| named(split));
        let Some((split, own)) = own else {
            let split = choice.split.map_or("", Split::as_str);
            return Err(Refused::NoTask(format!("of split {split}")));
        };
        let at = match (choice.index, choice.seed) {
            (Some(index), _) if index >= own.len() => {
                let split = split.as_str();
                let message = format!("{index} of split {split}, which has {}", own.len());
                return Err(Refused::NoTask(message));
            }
            (Some(index), _) => index,
            (None, Some(seed)) => Rng::keyed_le(seed, "env/task").below(own.len()),
            (None, None) => self.next.fetch_add(1, Ordering::Relaxed) % own.len(),
        };
        Ok(self.entries[own[at]].clone())
    }
}

/// The beginning of a text that a client sent.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let task = |id: &str| Task {
            id: id.into(),
            ..Task::default()
        };
        let all = [
            (Split::Heldout, task("a")),
            (Split::TrainRl, task("b")),
            (Split::TrainRl, task("c")),
        ];
        Catalog::new(all).unwrap()
    }

    #[test]
    fn a_task_is_chosen_by_id_number_seed_or_turn() {
        let catalog = catalog();
        let id = |choice: Choice| catalog.choose(&choice).map(|entry| entry.task.id.clone());
        let next = || id(Choice::default());
        assert_eq!(
            [next(), next(), next()].map(Result::unwrap),
            ["b", "c", "b"]
        );
        let named = |text: &str| id(serde_json::from_str(text).unwrap());
        assert_eq!(named(r#"{"task_id": "a"}"#).unwrap(), "a");
        assert_eq!(named(r#"{"split": "trainRl", "index": 1}"#).unwrap(), "c");
        assert_eq!(named(r#"{"split": "heldout"}"#).unwrap(), "a");
        assert_eq!(named(r#"{"seed": 7}"#), named(r#"{"seed": 7}"#));
        for wrong in [
            r#"{"task": "d"}"#,
            r#"{"index": 2}"#,
            r#"{"split": "unseen"}"#,
        ] {
            assert!(matches!(named(wrong), Err(Refused::NoTask(_))), "{wrong}");
        }
    }

    #[test]
    fn an_empty_catalog_and_two_tasks_of_one_id_are_errors() {
        assert!(matches!(Catalog::new([]), Err(CatalogError::Empty)));
        let twice = [(); 2].map(|()| (Split::TrainRl, Task::default()));
        assert!(matches!(Catalog::new(twice), Err(CatalogError::Twice(_))));
    }
}
