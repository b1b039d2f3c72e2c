//! The strategy `template`: tasks drawn from the domain's scenario templates, with computed gold, demonstrated by that gold and
//! the scripted user. It asks no model.
//!
//! The target is divided over the parts of the data, and each part is drawn branch by branch. The next task of a branch takes
//! the place of one that is rejected. All of this depends on domain, seed and target alone.

use std::collections::HashMap;
use std::sync::Arc;

use agoge_crds::synthesis_job::{Mix, Split, SplitShare};
use agoge_world::{Domain, Task, World, more, possible, tasks};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::strategy::{Item, Product, Refused, Stop, Strategy};

/// The parameters of `template`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Template {
    /// The division of the target over the parts of the data. Empty: all of it is `trainRl`, branches even.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["split"],
        "x-kubernetes-validations" = [
            {"rule": "self.all(a, self.exists_one(b, b.split == a.split))", "message": "a split is listed twice; list each once"},
        ]))]
    pub splits: Vec<SplitShare>,
}

/// The tasks of all shards.
pub struct Drawn {
    domain: Arc<Domain>,
    seed: u64,
    items: Vec<Item>,
    /// Tasks drawn of each kind.
    used: HashMap<String, usize>,
}

/// A reason why the target cannot be drawn.
#[derive(Debug, thiserror::Error)]
enum DrawError {
    #[error(
        "strategies[template].target.accepted: {target} are asked for, of which {asked} in split {split}, but the domain's \
         templates yield {possible} different tasks there; ask for at most {most}, or add records or templates"
    )]
    Target {
        target: usize,
        split: &'static str,
        asked: usize,
        possible: usize,
        most: usize,
    },
    #[error("strategies[template].parameters.splits: {split}: {source}")]
    Draw {
        split: &'static str,
        source: agoge_world::TemplateError,
    },
}

impl From<DrawError> for Refused {
    fn from(error: DrawError) -> Self {
        Self(error.to_string())
    }
}

impl Strategy for Template {
    const NAME: &'static str = "template";
    const SUMMARY: &'static str =
        "Scenario templates of the domain, with computed gold; asks no model.";
    type Shared = Drawn;

    async fn prepare(&self, cx: &mut Cx) -> Result<Drawn, Stop> {
        let (seed, target) = (cx.seed(), cx.target());
        let drawn = cx.world(|world| self.draw(world, seed, target));
        Ok(drawn.map_err(Refused::from)?)
    }

    fn items(&self, drawn: &Drawn, _target: usize) -> Vec<Item> {
        drawn.items.clone()
    }

    fn replacement(
        &self,
        drawn: &Drawn,
        rejected: &Item,
        nth: usize,
        _listed: usize,
    ) -> Result<Option<Item>, Refused> {
        let Some(task) = &rejected.task else {
            return Ok(None);
        };
        let (split, branch) = (rejected.split, &task.branch);
        let from = drawn.used.get(&rejected.kind).copied().unwrap_or_default() + nth;
        let next = more(&drawn.domain, split, drawn.seed, branch, from, 1).map_err(|source| {
            let split = split.as_str();
            DrawError::Draw { split, source }
        })?;
        Ok(next.into_iter().next().map(|task| item(split, task)))
    }

    async fn attempt(&self, cx: &mut Cx, _drawn: &Drawn) -> Result<Product, Stop> {
        let Some(task) = &cx.item().task else {
            return Err(cx.reject("the item has no task"));
        };
        Ok(Product::Trajectory(cx.demonstrate(task)?))
    }
}

impl Template {
    fn draw(&self, world: &mut World, seed: u64, target: usize) -> Result<Drawn, DrawError> {
        let parts = self.parts();
        let mut drawn = Drawn {
            domain: world.domain().clone(),
            seed,
            items: Vec::with_capacity(target),
            used: HashMap::new(),
        };
        for (part, n) in divide(target, &parts) {
            let found = tasks(world, part.split, part.mix, seed, n).map_err(|source| {
                let split = part.split.as_str();
                match source {
                    agoge_world::TemplateError::TooMany { asked, possible } => DrawError::Target {
                        target,
                        split,
                        asked,
                        possible,
                        most: most(world, target, &parts),
                    },
                    source => DrawError::Draw { split, source },
                }
            })?;
            for task in found {
                let item = item(part.split, task);
                *drawn.used.entry(item.kind.clone()).or_default() += 1;
                drawn.items.push(item);
            }
        }
        Ok(drawn)
    }

    /// Returns the parts of the data with their shares.
    #[must_use]
    pub fn parts(&self) -> Vec<SplitShare> {
        if self.splits.is_empty() {
            vec![SplitShare {
                split: Split::TrainRl,
                mix: Mix::EvenBranches,
                share: 1,
            }]
        } else {
            self.splits.clone()
        }
    }
}

fn item(split: Split, task: Task) -> Item {
    let name = split.as_str();
    Item {
        id: format!("{name}/{}", task.id),
        number: 0,
        kind: format!("{name}/{}", task.branch),
        split,
        task: Some(task),
    }
}

/// Divides the target over parts by largest remainders; earlier parts come first where remainders are equal.
#[must_use]
pub fn divide(target: usize, parts: &[SplitShare]) -> Vec<(SplitShare, usize)> {
    let sum: usize = parts.iter().map(|part| part.share as usize).sum();
    let sum = sum.max(1);
    let of = |part: &SplitShare| target * part.share as usize;
    let mut counts: Vec<(SplitShare, usize)> =
        parts.iter().map(|part| (*part, of(part) / sum)).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(of(&parts[*i]) % sum));
    let left = target.saturating_sub(counts.iter().map(|(_, n)| n).sum());
    for i in order.into_iter().take(left) {
        counts[i].1 += 1;
    }
    counts
}

/// Returns the largest target below `target` that every part can fill.
fn most(world: &mut World, target: usize, parts: &[SplitShare]) -> usize {
    let bounds: Vec<usize> = parts
        .iter()
        .map(|part| possible(world, part.split, part.mix))
        .collect();
    let fits = |target: usize| {
        let counts = divide(target, parts);
        counts.iter().zip(&bounds).all(|((_, n), most)| n <= most)
    };
    let (mut low, mut high) = (0, target);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}
