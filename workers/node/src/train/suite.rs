//! The suite as training sees it: demonstrations, tasks to learn from, and held-out tasks.

use std::collections::{BTreeMap, BTreeSet};

use agoge_artifacts::QualifiedSuite;
use agoge_contract::TrainWork;
use agoge_crds::synthesis_job::StrategyName;
use agoge_dialogue::usable;
use agoge_learner::certify::Dialogue;
use agoge_store::Store;
use agoge_world::{Domain, Split, Task};

use crate::failure::Failure;
pub use agoge_artifacts::Instance;

/// The qualified instances.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    instances: Vec<Instance>,
}

impl Suite {
    /// Loads the suite that the run pinned. The agent's turns that could not be read are no demonstration.
    pub fn load(store: &Store, arguments: &TrainWork) -> Result<Self, Failure> {
        let digest = &arguments.suite.digest;
        let found = QualifiedSuite::find(store, digest)?.ok_or_else(|| {
            let name = &arguments.suite.name;
            Failure::Input(format!(
                "the store has no suite {digest} of {name}: delete the CheckerSuite (on a laptop its file in objects/) and apply it again"
            ))
        })?;
        let mut instances = found.instances;
        for instance in &mut instances {
            instance.messages = usable(&instance.messages);
        }
        let suite = Self { instances };
        Ok(suite.for_model(arguments.policy.fresh.is_some()))
    }

    /// A fresh model knows no more of language than its domain's templates teach it: where there are dialogues that no model
    /// wrote, it gets no others.
    fn for_model(mut self, fresh: bool) -> Self {
        let plain = |instance: &Instance| {
            StrategyName::of(&instance.strategy).is_some_and(|strategy| !strategy.asks_models())
        };
        let shown = |instance: &Instance| plain(instance) && !instance.messages.is_empty();
        if fresh && self.instances.iter().any(shown) {
            self.instances.retain(plain);
        }
        self
    }

    /// The instances of a split, in their order.
    pub fn split(&self, split: Split) -> impl Iterator<Item = &Instance> {
        self.instances
            .iter()
            .filter(move |instance| instance.split == split)
    }

    /// The dialogues of both training splits, which tokenizer and user model may see.
    pub fn training(&self) -> Vec<&Instance> {
        let splits = [Split::TrainSft, Split::TrainRl];
        let found = splits.into_iter().flat_map(|split| self.split(split));
        found
            .filter(|instance| !instance.messages.is_empty())
            .collect()
    }

    /// Demonstrations for the policy and for its validation. At most `most` of the former, corners among them at most
    /// `corner_share` of what is wanted, from every corner as many as from the others: what is never shown is never tried either.
    pub fn demonstrations(
        &self,
        most: usize,
        corner_share: f64,
    ) -> Result<(Vec<&Instance>, Vec<&Instance>), Failure> {
        let all: Vec<&Instance> = self
            .split(Split::TrainSft)
            .filter(|i| !i.messages.is_empty())
            .collect();
        let (rest, validation) = hold_out(&all, most)?;
        let wanted = most.min(rest.len());
        let corners = shown_corners(&rest, (corner_share * wanted as f64).floor() as usize);
        let mut common = wanted - corners.len();
        let chosen = rest.into_iter().enumerate().filter(|(index, instance)| {
            if instance.task.corner {
                return corners.contains(index);
            }
            let may = common > 0;
            common -= usize::from(may);
            may
        });
        Ok((chosen.map(|(_, instance)| instance).collect(), validation))
    }

    /// Tasks to learn from.
    pub fn practice(&self) -> Result<Vec<Task>, Failure> {
        let tasks = self.split(Split::TrainRl);
        let tasks: Vec<Task> = tasks.map(|instance| instance.task.clone()).collect();
        if tasks.is_empty() {
            let message = "the suite has no task to learn from; raise the target of its SynthesisJob, or give its strategy a \
                           share of the split trainRl";
            return Err(Failure::Input(message.into()));
        }
        Ok(tasks)
    }

    /// Held-out tasks: `n` in which each branch has its share, and some of the others, for curves.
    pub fn heldout(&self, n: usize) -> (Vec<Task>, Vec<Task>) {
        let all: Vec<&Task> = self
            .split(Split::Heldout)
            .map(|instance| &instance.task)
            .collect();
        let chosen = stratified(&all, n);
        let (mut tasks, mut others) = (Vec::new(), Vec::new());
        for (index, task) in all.into_iter().enumerate() {
            if chosen.contains(&index) {
                &mut tasks
            } else {
                &mut others
            }
            .push(task.clone());
        }
        (tasks, others)
    }

    /// Tasks of templates that no training saw, at most `n`.
    pub fn unseen(&self, n: usize) -> Vec<Task> {
        self.split(Split::Unseen)
            .map(|instance| instance.task.clone())
            .take(n)
            .collect()
    }

    /// Held-out dialogues for the certificate of a user model of this domain, at most `n`.
    pub fn dialogues<'a>(&'a self, n: usize, domain: &'a Domain) -> Vec<Dialogue<'a>> {
        let found = self
            .split(Split::Heldout)
            .filter(|instance| !instance.messages.is_empty());
        found
            .take(n)
            .map(|i| Dialogue {
                task: &i.task,
                messages: &i.messages,
                tools: &domain.user_tools,
                error_text: &domain.error_text,
            })
            .collect()
    }
}

/// Demonstrations without which nothing can be learnt: one to learn from, and one for the validation loss.
const FEWEST: usize = 2;
/// Fewer demonstrations than these are warned about.
const FEW: usize = 10;

/// Training and validation of `all`: up to an eighth as many for validation as `most`, at least one in ten of what there is.
pub fn hold_out<'a>(
    all: &[&'a Instance],
    most: usize,
) -> Result<(Vec<&'a Instance>, Vec<&'a Instance>), Failure> {
    let there = all.len();
    if there < FEWEST {
        let message = format!(
            "the suite has {there} demonstrations to learn from, at least {FEWEST} are needed; raise the target of its \
             SynthesisJob, or give its strategy a share of the split trainSft"
        );
        return Err(Failure::Input(message));
    }
    if there < FEW {
        tracing::warn!(
            demonstrations = there,
            "so few demonstrations teach little; raise the target of the suite's SynthesisJob"
        );
    }
    let spare = all.len().saturating_sub(most).min(most.div_ceil(8));
    let held = spare.max(all.len().min(most) / 10).max(1);
    let (rest, validation) = all.split_at(all.len() - held);
    Ok((rest.to_vec(), validation.to_vec()))
}

/// Indices of `n` corners, taken from every branch in turn.
fn shown_corners(all: &[&Instance], n: usize) -> BTreeSet<usize> {
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    let corners = all.iter().enumerate().filter(|(_, i)| i.task.corner);
    let mut ordered: Vec<(usize, usize)> = corners
        .map(|(index, instance)| {
            let turn = turns.entry(&instance.task.branch).or_insert(0);
            *turn += 1;
            (*turn, index)
        })
        .collect();
    ordered.sort_unstable();
    ordered
        .into_iter()
        .take(n)
        .map(|(_, index)| index)
        .collect()
}

/// Indices of `n` tasks in which each branch has the share it has among all; what does not divide goes to acting
/// branches first, so that refusals stay as rare as they are.
fn stratified(all: &[&Task], n: usize) -> Vec<usize> {
    if n >= all.len() {
        return (0..all.len()).collect();
    }
    let mut branches: BTreeMap<(bool, &str), Vec<usize>> = BTreeMap::new();
    for (index, task) in all.iter().enumerate() {
        branches
            .entry((task.refusal, &task.branch))
            .or_default()
            .push(index);
    }
    let share = |indices: &Vec<usize>| indices.len() * n / all.len();
    let mut left = n - branches.values().map(share).sum::<usize>();
    let mut chosen = Vec::with_capacity(n);
    for indices in branches.values() {
        let extra = usize::from(left > 0 && share(indices) < indices.len());
        left -= extra;
        chosen.extend(&indices[..share(indices) + extra]);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use agoge_artifacts::splits;
    use agoge_dialogue::{Message, Role};

    use super::*;

    fn task(branch: usize, refusal: bool) -> Task {
        serde_json::from_value(serde_json::json!({
            "id": "t", "branch": format!("b{branch}"), "refusal": refusal, "user": {}, "gold": []
        }))
        .unwrap()
    }

    #[test]
    fn held_out_tasks_keep_every_branch_in_its_share_and_refusals_no_more_frequent() {
        let all: Vec<Task> = (0..500).map(|i| task(i % 27, i % 27 >= 23)).collect();
        let refs: Vec<&Task> = all.iter().collect();
        let chosen = stratified(&refs, 200);
        assert_eq!(chosen.len(), 200);
        let mut counts = BTreeMap::new();
        for index in &chosen {
            *counts.entry(&all[*index].branch).or_insert(0) += 1;
        }
        assert!(
            counts.len() == 27 && counts.values().all(|count| (7..=8).contains(count)),
            "{counts:?}"
        );
        let refusals = |tasks: &[&Task]| {
            tasks.iter().filter(|t| t.refusal).count() as f64 / tasks.len() as f64
        };
        let picked: Vec<&Task> = chosen.iter().map(|i| &all[*i]).collect();
        assert!(refusals(&picked) <= refusals(&refs));
    }

    #[test]
    fn instances_that_a_model_wrote_become_demonstrations_tasks_and_an_evaluation() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
        let domain = Domain::load(Path::new(dir)).unwrap();
        let mut instances: Vec<Instance> = (0..4)
            .map(|n| Instance {
                task: Task {
                    id: format!("sea-0-{n}"),
                    ..task(n, false)
                },
                split: Split::TrainRl,
                strategy: "sea".into(),
                messages: vec![Message::user("Hello."), Message::assistant("Done.")],
            })
            .collect();
        let suite = |instances: &[Instance]| {
            let instances = instances.to_vec();
            Suite { instances }.for_model(true)
        };
        let undivided = suite(&instances);
        assert!(undivided.demonstrations(512, 0.1).is_err() && undivided.heldout(9).0.is_empty());
        splits::divide(&mut instances, &domain);
        let divided = suite(&instances);
        let (train, validation) = divided.demonstrations(512, 0.1).unwrap();
        assert_eq!((train.len(), validation.len()), (1, 1));
        assert!(train[0].messages.iter().any(|m| m.role == Role::User));
        assert_eq!(divided.training().len(), 3);
        assert_eq!(divided.practice().unwrap().len(), 1);
        assert_eq!(divided.heldout(9).0.len(), 1);
        assert_eq!(divided.dialogues(9, &domain).len(), 1);
    }

    #[test]
    fn demonstrations_show_every_corner_no_more_often_than_asked_for_and_none_of_the_validation() {
        let instances: Vec<Instance> = (0..600)
            .map(|i| Instance {
                task: Task {
                    id: i.to_string(),
                    corner: i % 2 == 0,
                    ..task(if i < 300 { 0 } else { i % 10 }, false)
                },
                split: Split::TrainSft,
                strategy: "template".into(),
                messages: vec![Message::user("x")],
            })
            .collect();
        let suite = Suite { instances };
        let (train, validation) = suite.demonstrations(256, 0.15).unwrap();
        assert!(train.len() == 256 && validation.len() == 32);
        let corners: Vec<&Instance> = train.iter().copied().filter(|i| i.task.corner).collect();
        assert_eq!(corners.len(), 38);
        for branch in ["b0", "b2", "b4", "b6", "b8"] {
            let shown = corners.iter().filter(|i| i.task.branch == branch).count();
            assert!((7..=8).contains(&shown), "{branch}: {shown} of 38");
        }
        assert!(
            validation
                .iter()
                .all(|v| train.iter().all(|t| t.task.id != v.task.id))
        );
    }
}
