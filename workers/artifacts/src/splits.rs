//! The parts of the data for instances that models wrote: a strategy such as `sea` does not divide its own, so a suite that
//! holds nothing but them is divided here.
//!
//! All instances about one record, or the records of one owner, belong to one part, chosen by a hash of its id, so an
//! instance keeps its part when others are added. A part that would be empty takes the instances of a record from the largest other part.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use agoge_crds::strategies::asks_models;
use agoge_dialogue::random::Rng;
use agoge_world::{Domain, Split, Task};

use crate::suite::Instance;

/// The instances that each part needs at least, the most important first: a demonstration, a held-out task, a task to
/// learn from, and a second demonstration for the validation loss.
const NEEDS: [(Split, usize); 4] = [
    (Split::TrainSft, 1),
    (Split::Heldout, 1),
    (Split::TrainRl, 1),
    (Split::TrainSft, 2),
];

/// Returns true when models wrote some of these instances and no strategy has divided its own: [`divide`] will.
#[must_use]
pub fn undivided(instances: &[Instance]) -> bool {
    let divided = instances.iter().any(|one| one.split != Split::TrainRl);
    !divided && instances.iter().any(|one| asks_models(&one.strategy))
}

/// Divides the instances that models wrote over `trainSft`, `trainRl` and `heldout`, about 3 to 4 to 3, where they are
/// [`undivided`]; otherwise it changes nothing.
///
/// Only an instance with a dialogue becomes a demonstration. The result depends on the instances and the domain alone.
pub fn divide(instances: &mut [Instance], domain: &Domain) {
    if !undivided(instances) {
        return;
    }
    let written: Vec<usize> = (0..instances.len())
        .filter(|at| asks_models(&instances[*at].strategy))
        .collect();
    for group in groups(instances, &written, domain) {
        for member in group.members {
            let instance = &mut instances[member];
            instance.split = match group.split {
                Split::TrainSft if instance.messages.is_empty() => Split::TrainRl,
                split => split,
            };
        }
    }
}

/// Instances that belong to one part together.
struct Group {
    split: Split,
    /// Their indices.
    members: Vec<usize>,
    /// The number of members that have a dialogue.
    shown: usize,
}

impl Group {
    /// Returns the number of members that are of use in a part.
    fn useful(&self, split: Split) -> usize {
        match split {
            Split::TrainRl => self.members.len(),
            _ => self.shown,
        }
    }
}

/// Groups instances by record; one by one where there are too few records for all parts.
fn groups(instances: &[Instance], written: &[usize], domain: &Domain) -> Vec<Group> {
    let by = |key: &dyn Fn(&Task) -> String| {
        let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for at in written {
            let key = key(&instances[*at].task);
            found.entry(key).or_default().push(*at);
        }
        let grouped = found.into_iter().map(|(key, members)| Group {
            split: hashed(&key),
            shown: members
                .iter()
                .filter(|at| !instances[**at].messages.is_empty())
                .count(),
            members,
        });
        grouped.collect::<Vec<_>>()
    };
    let mut groups = by(&|task| domain.key_of(task));
    if !fill(&mut groups) {
        groups = by(&|task| task.id.clone());
        fill(&mut groups);
    }
    groups
}

/// Returns the part of a key, in the shares that templates divide records by.
fn hashed(key: &str) -> Split {
    match Rng::keyed_le(0, key).below(10) {
        0..=2 => Split::Heldout,
        3..=5 => Split::TrainSft,
        _ => Split::TrainRl,
    }
}

/// Gives every part what it needs, as far as there are groups to spare. Returns true when all needs are met.
fn fill(groups: &mut [Group]) -> bool {
    let mut met = true;
    for (number, (split, least)) in NEEDS.into_iter().enumerate() {
        while total(groups, split) < least {
            let Some(taken) = spare(groups, split, &NEEDS[..number]) else {
                met = false;
                break;
            };
            groups[taken].split = split;
        }
    }
    met
}

/// Returns the smallest group of the largest part that can spare one. Every part keeps what it needs by `kept`.
fn spare(groups: &[Group], split: Split, kept: &[(Split, usize)]) -> Option<usize> {
    let needs = |of: Split| {
        let least = kept.iter().filter(|(part, _)| *part == of);
        least.map(|(_, least)| *least).max().unwrap_or(0)
    };
    let can_go = |at: &usize| {
        let group = &groups[*at];
        let left = total(groups, group.split) - group.useful(group.split);
        group.split != split && group.useful(split) > 0 && left >= needs(group.split)
    };
    (0..groups.len()).filter(can_go).min_by_key(|at| {
        let group = &groups[*at];
        let part = total(groups, group.split);
        (Reverse(part), group.useful(split), *at)
    })
}

/// Returns the number of useful instances of a part.
fn total(groups: &[Group], split: Split) -> usize {
    let own = groups.iter().filter(|group| group.split == split);
    own.map(|group| group.useful(split)).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use agoge_dialogue::Message;
    use serde_json::json;

    use super::*;

    fn domain() -> Domain {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
        Domain::load(&dir).unwrap()
    }

    /// An instance about a record, with a dialogue where its rollout was accepted.
    fn instance(number: usize, record: &str, accepted: bool) -> Instance {
        let task = json!({
            "id": format!("sea-0-{number}"), "gold": [],
            "user": {"facts": [{"name": "wish", "value": "a person"}, {"name": "parcel", "value": record}]}
        });
        let messages = match accepted {
            true => vec![Message::user("Hello."), Message::assistant("Done.")],
            false => Vec::new(),
        };
        Instance {
            task: serde_json::from_value(task).unwrap(),
            split: Split::TrainRl,
            strategy: "sea".into(),
            messages,
        }
    }

    fn count(instances: &[Instance], split: Split) -> usize {
        instances.iter().filter(|one| one.split == split).count()
    }

    #[test]
    fn the_parts_share_no_record_and_an_instance_keeps_its_part_when_others_are_added() {
        let domain = domain();
        let records: Vec<&str> = domain.state.ids("parcels").take(100).collect();
        let made = |n: usize| -> Vec<Instance> {
            let mut all: Vec<Instance> = (0..n)
                .map(|at| instance(at, records[at % records.len()], at % 4 > 0))
                .collect();
            divide(&mut all, &domain);
            all
        };
        let (some, all) = (made(150), made(240));
        assert_eq!(some[..], all[..150]);
        for split in [Split::TrainSft, Split::TrainRl, Split::Heldout] {
            assert!(count(&all, split) > 30, "{split:?}");
            let of = |other: bool| -> BTreeSet<String> {
                let part = all.iter().filter(|one| (one.split == split) != other);
                part.filter(|one| !one.messages.is_empty())
                    .map(|one| domain.key_of(&one.task))
                    .collect()
            };
            assert!(of(false).is_disjoint(&of(true)), "{split:?}");
        }
        let shown = all.iter().filter(|one| one.split == Split::TrainSft);
        assert!(shown.into_iter().all(|one| !one.messages.is_empty()));
    }

    #[test]
    fn few_instances_fill_the_parts_in_the_order_of_their_importance() {
        let domain = domain();
        let records: Vec<&str> = domain.state.ids("parcels").take(40).collect();
        for n in 1..40 {
            // About one record all of them, and about one each.
            for spread in [1, n] {
                let mut all: Vec<Instance> = (0..n)
                    .map(|at| instance(at, records[at % spread], true))
                    .collect();
                divide(&mut all, &domain);
                let counts = [Split::TrainSft, Split::Heldout, Split::TrainRl]
                    .map(|split| count(&all, split));
                let least = match n {
                    1 => [1, 0, 0],
                    2 => [1, 1, 0],
                    3 => [1, 1, 1],
                    _ => [2, 1, 1],
                };
                let enough = counts.iter().zip(least).all(|(n, least)| *n >= least);
                assert!(
                    enough && counts.iter().sum::<usize>() == n,
                    "{n}: {counts:?}"
                );
            }
        }
    }

    #[test]
    fn instances_that_a_strategy_has_divided_and_those_that_no_model_wrote_stay_where_they_are() {
        let domain = domain();
        let before: Vec<Instance> = (0..12).map(|at| instance(at, "none", true)).collect();
        let mut beside = before.clone();
        beside[0].split = Split::Heldout;
        let mut drawn = before;
        for one in &mut drawn {
            one.strategy = "template".into();
        }
        for mut all in [beside, drawn] {
            let as_it_was = all.clone();
            assert!(!undivided(&all));
            divide(&mut all, &domain);
            assert_eq!(all, as_it_was);
        }
    }
}
