//! The division of records and tasks among the splits: evaluation, demonstrations and reinforcement learning.
//!
//! A record's split follows from one key alone, so that it stays the same when others are added.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::bound::text;
use crate::domain::Domain;
use crate::task::{Split, Task};

/// The rule that divides records among the splits, with shares of 3, 3 and 4 tenths for evaluation, demonstrations and
/// reinforcement learning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitRule {
    /// By the digit sum of the record's id, modulo 10. Format 1 has this rule only.
    DigitSum,
    /// By a hash of the record's id.
    Id,
    /// By a hash of the record's owner: collection to field, where `id` is the record's own id. A record without an owner
    /// goes by its own id.
    Owner(BTreeMap<String, String>),
    /// By a hash of the task. Records are shared among the splits.
    Task,
}

/// `split:` of `domain.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SplitSpec {
    by: By,
    #[serde(default)]
    owner: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum By {
    Id,
    Owner,
    Task,
}

impl SplitRule {
    /// Returns the rule of a format that declares none.
    pub(crate) fn of_format(format: u8) -> Self {
        match format {
            1 => Self::DigitSum,
            _ => Self::Id,
        }
    }

    /// Returns the rule that a domain declares.
    ///
    /// # Errors
    /// `owner` is missing where the rule needs it, or stands where it has no meaning.
    pub(crate) fn of_spec(spec: &SplitSpec) -> Result<Self, String> {
        match (spec.by, spec.owner.is_empty()) {
            (By::Owner, true) => Err("`split` goes by owner and names no owner".into()),
            (By::Owner, false) => Ok(Self::Owner(spec.owner.clone())),
            (_, false) => Err("`split` names owners and does not go by owner".into()),
            (By::Id, true) => Ok(Self::Id),
            (By::Task, true) => Ok(Self::Task),
        }
    }

    /// Returns the split of a key: an id, or the key of a task. `Heldout` stands for both evaluation splits.
    #[must_use]
    pub fn split_of(&self, key: &str) -> Split {
        let tenth = match self {
            Self::DigitSum => digit_sum(key) % 10,
            Self::Id | Self::Owner(_) | Self::Task => hashed(key),
        };
        match tenth {
            0..=2 => Split::Heldout,
            3..=5 => Split::TrainSft,
            _ => Split::TrainRl,
        }
    }

    /// Returns true when a fact of random digits may have this value in a split.
    pub(crate) fn allows_digits(&self, digits: &str, split: Split) -> bool {
        digits.len() < 2 || *self == Self::Task || self.split_of(digits) == side(split)
    }
}

impl Domain {
    /// Returns the split of a record; `Heldout` stands for both evaluation splits.
    #[must_use]
    pub fn split_of(&self, collection: &str, id: &str, record: &Value) -> Split {
        self.split.split_of(&self.owner_of(collection, id, record))
    }

    /// Returns the key by which a record is divided: its owner's, where the domain names one, else its own id.
    fn owner_of<'a>(&self, collection: &str, id: &'a str, record: &Value) -> Cow<'a, str> {
        let field = match &self.split {
            SplitRule::Owner(owners) => owners.get(collection),
            _ => None,
        };
        let owner = field.and_then(|field| at(record, field));
        match owner.filter(|owner| !owner.is_null()) {
            Some(owner) => text(owner).into(),
            None => id.into(),
        }
    }

    /// Returns the key by which a task is divided that has no split of its own: that of the first record it names, among
    /// what its user knows, else among the arguments of its gold calls; without one, its id.
    #[must_use]
    pub fn key_of(&self, task: &Task) -> String {
        let facts = task.user.facts.iter().map(|fact| fact.value.as_str());
        let arguments = task.gold.iter().flat_map(|call| call.arguments.values());
        let named = facts.chain(arguments.filter_map(Value::as_str));
        let key = |id: &str| {
            let mut collections = self.state.collections();
            collections.find_map(|collection| {
                let record = self.state.get(collection, id)?;
                Some(self.owner_of(collection, id, record).into_owned())
            })
        };
        let found = match self.split {
            SplitRule::Task => None,
            _ => named.filter(|id| !id.is_empty()).find_map(key),
        };
        found.unwrap_or_else(|| task.id.clone())
    }

    /// Returns true when tasks of a split may be about a record. `first` is true for the record that a task of a template
    /// is named after: where tasks are divided instead of records, it decides.
    pub(crate) fn allows(
        &self,
        split: Split,
        template: &str,
        collection: &str,
        id: &str,
        first: bool,
    ) -> bool {
        if self.split == SplitRule::Task {
            let key = format!("{template}/{id}");
            return !first || self.split.split_of(&key) == side(split);
        }
        let record = self.state.get(collection, id).unwrap_or(&Value::Null);
        self.split_of(collection, id, record) == side(split)
    }

    /// Returns the tasks as given that belong to a split. Those given for training as a whole belong to both training
    /// splits; one without a split goes by [`Domain::key_of`].
    pub fn given(&self, split: Split) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(move |task| match task.split {
            Some(own) if own == split => true,
            Some(_) => split == Split::TrainSft && self.training.contains(&task.id),
            None => self.split.split_of(&self.key_of(task)) == split,
        })
    }
}

/// Returns the side of the data that a split lies on: both evaluation splits lie on one.
pub(crate) fn side(split: Split) -> Split {
    match split {
        Split::Unseen => Split::Heldout,
        other => other,
    }
}

fn digit_sum(key: &str) -> u32 {
    key.chars()
        .map(|c| c.to_digit(10).unwrap_or(c as u32))
        .sum()
}

/// Returns the SHA-256 of a key, modulo 10.
fn hashed(key: &str) -> u32 {
    let hash = Sha256::digest(key.as_bytes());
    hash.iter()
        .fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % 10)
}

/// Returns the value at a path of fields and positions, such as `customer.id` or `passengers.0.id`.
fn at<'a>(record: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(record, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        value => value.get(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shares(rule: &SplitRule) -> [usize; 3] {
        let mut found = [0; 3];
        for n in 0..10_000 {
            let at = match rule.split_of(&format!("dev_{n:x}")) {
                Split::Heldout | Split::Unseen => 0,
                Split::TrainSft => 1,
                Split::TrainRl => 2,
            };
            found[at] += 1;
        }
        found
    }

    #[test]
    fn a_hash_gives_the_usual_shares_and_stays_what_it_is() {
        for (share, usual) in shares(&SplitRule::Id).into_iter().zip([3000, 3000, 4000]) {
            assert!(share.abs_diff(usual) < 200, "{share} of {usual}");
        }
        // SHA-256 of "a" modulo 10, by Python: int(hashlib.sha256(b"a").hexdigest(), 16) % 10.
        assert_eq!(hashed("a"), 9);
        assert_eq!(SplitRule::DigitSum.split_of("10002"), Split::TrainSft);
        assert_eq!(SplitRule::DigitSum.split_of("90003"), Split::Heldout);
    }

    #[test]
    fn a_path_leads_through_fields_and_positions() {
        let record = json!({"people": [{"id": 7}], "id": "x"});
        assert_eq!(at(&record, "people.0.id"), Some(&json!(7)));
        assert_eq!(at(&record, "people.id"), None);
        assert_eq!(at(&record, "id"), Some(&json!("x")));
    }
}
