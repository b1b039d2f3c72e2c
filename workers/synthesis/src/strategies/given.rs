//! The strategy `given`: the tasks that the domain brings in `tasks.jsonl`, as they are. It asks no model.
//!
//! Gold is replayed, the checker is qualified, and the task is accepted for the split that the domain gives it. Where the task
//! has the words of both sides, gold and the scripted user also make a demonstration. A rejected task is not replaced. The list
//! depends on domain, parameters and target alone.

use agoge_artifacts::Gate;
use agoge_checker::with_derived_refusal;
use agoge_crds::synthesis_job::{Mix, Split, SplitShare};
use agoge_world::{Domain, GoldError, Task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::strategies::template::divide;
use crate::strategy::{self, Item, Product, Refused, Stop, Strategy};

/// The parameters of `given`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Given {
    /// The parts of the data whose tasks are taken. Empty: all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub parts: Vec<Split>,
}

impl Strategy for Given {
    const NAME: &'static str = "given";
    const SUMMARY: &'static str =
        "The tasks of the domain's tasks.jsonl, as they are; asks no model.";
    const FIXED: bool = true;
    type Shared = Vec<Item>;

    async fn prepare(&self, cx: &mut Cx) -> Result<Vec<Item>, Stop> {
        Ok(self.list(cx.domain(), cx.target())?)
    }

    fn items(&self, listed: &Vec<Item>, _target: usize) -> Vec<Item> {
        listed.clone()
    }

    async fn attempt(&self, cx: &mut Cx, _listed: &Vec<Item>) -> Result<Product, Stop> {
        let Some(task) = cx.item().task.clone() else {
            return Err(cx.reject("the item has no task"));
        };
        cx.at(Gate::Gold);
        let task = match cx.world(|world| with_derived_refusal(world, &task)) {
            Ok(task) => task,
            Err(GoldError::Lost(lost)) => return Err(lost.into()),
            Err(why) => return Err(cx.reject(why.to_string())),
        };
        cx.at(Gate::Checker);
        let qualified = match cx.qualify(task.clone()) {
            Ok(qualified) => qualified,
            Err(why) => {
                cx.check_sandbox()?;
                return Err(cx.reject(why));
            }
        };
        let shown = match has_words(&task).then(|| cx.demonstrate(&task)) {
            Some(Ok(shown)) => Some(shown),
            // The task stands without a demonstration.
            None | Some(Err(Stop::Reject(_))) => None,
            Some(Err(stop)) => return Err(stop),
        };
        let given = strategy::Given {
            task: qualified,
            shown,
        };
        Ok(Product::Given(Box::new(given)))
    }
}

impl Given {
    /// Lists `target` tasks; where there are more, each part gives its share.
    ///
    /// # Errors
    /// The domain has no tasks, or fewer than `target`.
    fn list(&self, domain: &Domain, target: usize) -> Result<Vec<Item>, Refused> {
        let parts = self.tasks(domain);
        let all: usize = parts.iter().map(|(_, tasks)| tasks.len()).sum();
        if target > all {
            let why = match all {
                0 => "has no tasks.jsonl with tasks of the wanted parts; write one, or take another strategy".to_owned(),
                most => format!("has {most} tasks as given in the wanted parts; ask for at most {most}"),
            };
            return Err(Refused(format!(
                "strategies[given].target.accepted: {target} are asked for, but the domain {} {why}",
                domain.name
            )));
        }
        let share = |(split, tasks): &(Split, Vec<&Task>)| SplitShare {
            split: *split,
            mix: Mix::default(),
            share: u32::try_from(tasks.len()).unwrap_or(u32::MAX),
        };
        let shares: Vec<SplitShare> = parts.iter().map(share).collect();
        let chosen = parts.iter().zip(divide(target, &shares));
        let chosen = chosen.flat_map(|((split, tasks), (_, n))| {
            let tasks = tasks.iter().take(n);
            tasks.map(move |task| item(*split, task))
        });
        Ok(chosen.collect())
    }

    /// Returns the tasks of each wanted part. One that is given for training as a whole is listed as a demonstration only if
    /// it can be one.
    fn tasks<'a>(&self, domain: &'a Domain) -> Vec<(Split, Vec<&'a Task>)> {
        let wanted = |split: &Split| self.parts.is_empty() || self.parts.contains(split);
        let of = |split: Split| {
            let useful = move |task: &&Task| {
                split != Split::TrainSft || task.split == Some(split) || has_words(task)
            };
            let tasks: Vec<&Task> = domain.given(split).filter(useful).collect();
            (split, tasks)
        };
        Split::ALL.into_iter().filter(wanted).map(of).collect()
    }

    /// Returns the number of tasks that the domain gives in the wanted parts.
    #[must_use]
    pub fn most(&self, domain: &Domain) -> usize {
        self.tasks(domain)
            .iter()
            .map(|(_, tasks)| tasks.len())
            .sum()
    }
}

/// Returns true when a task has the words of both sides, so that a demonstration can be made without a model.
fn has_words(task: &Task) -> bool {
    let given = |text: &str| !text.trim().is_empty();
    given(&task.user.opening) && given(&task.agent.answer)
}

fn item(split: Split, task: &Task) -> Item {
    let name = split.as_str();
    Item {
        id: format!("{name}/{}", task.id),
        number: 0,
        kind: name.to_owned(),
        split,
        task: Some(task.clone()),
    }
}
