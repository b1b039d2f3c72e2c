//! Final state against gold: the episode must leave the records exactly as a replay of the gold calls does, but for the order
//! of lists that the schema declares as unordered, and the fields that the task compares in another way.
use crate::loose::Loose;
use crate::verdict::Part;
use agoge_sandbox::Change;
use agoge_world::{Domain, Episode, GoldError, Lost, Task, Unordered, World, replay};
use serde_json::Value;
use std::collections::BTreeMap;

/// The part's name in a verdict.
pub const NAME: &str = "finalState";
/// Differences shown as evidence; the rest is counted.
const SHOWN: usize = 8;
/// The field of a change that made or removed a whole record.
const WHOLE: &str = "*";

/// A task's gold, replayed once: what right looks like.
#[derive(Clone, Debug)]
pub struct Gold {
    /// Fingerprint of the records it touches.
    pub fingerprint: String,
    /// The changes that it makes.
    pub changes: Vec<Change>,
    /// The replayed episode.
    pub episode: Episode,
    /// The fields that are not compared as they are.
    pub loose: Loose,
}

impl Gold {
    /// Replays a task's gold calls from the task's initial state; the error says which call failed and why.
    pub fn of(world: &mut World, task: &Task) -> Result<Gold, GoldError> {
        let episode = replay(world, task)?;
        Ok(Gold::of_episode(world, task, episode)?)
    }

    /// Returns the gold of an episode in which exactly the gold calls were made.
    ///
    /// # Errors
    /// When the sandbox gives no result.
    pub(crate) fn of_episode(
        world: &mut World,
        task: &Task,
        episode: Episode,
    ) -> Result<Gold, Lost> {
        let loose = Loose::of(world, task, &episode)?;
        let domain = world.domain();
        Ok(Gold {
            fingerprint: episode.fingerprint(domain),
            changes: episode.diff(domain),
            episode,
            loose,
        })
    }

    /// Returns true when an episode ends in gold's records, but for the fields that are compared in another way.
    pub(crate) fn is_reached(&self, domain: &Domain, episode: &Episode) -> bool {
        episode.overlay == self.episode.overlay
            || episode.fingerprint(domain) == self.fingerprint
            || (!self.loose.is_empty()
                && self
                    .loose
                    .settled(domain, &self.episode, episode)
                    .fingerprint(domain)
                    == self.fingerprint)
    }

    /// Returns true when gold changes any record.
    pub fn acts(&self) -> bool {
        !self.changes.is_empty()
    }
}

/// Compares an episode's final state with gold's.
pub fn check(gold: &Gold, domain: &Domain, episode: &Episode) -> Part {
    if gold.is_reached(domain, episode) {
        return Part::passed(NAME);
    }
    let settled = gold.loose.settled(domain, &gold.episode, episode);
    let got = settled.diff(domain);
    Part::failed(NAME, differences(&domain.unordered, &gold.changes, &got))
}

/// The differences of two sets of changes to one initial state, such as
/// `parcels/48213.status: expected "held", got "transit"`.
pub fn differences(unordered: &Unordered, expected: &[Change], got: &[Change]) -> String {
    let place = |c: &Change| (c.collection.clone(), c.id.clone(), c.field.clone());
    let mut places: BTreeMap<_, (Option<&Change>, Option<&Change>)> = BTreeMap::new();
    for change in expected {
        places.entry(place(change)).or_default().0 = Some(change);
    }
    for change in got {
        places.entry(place(change)).or_default().1 = Some(change);
    }
    let mut lines = Vec::new();
    for ((collection, id, field), pair) in &places {
        // A side that did not touch the place has the value it had before.
        let (change, want, have) = match pair {
            (Some(want), Some(have)) => (want, &want.after, &have.after),
            (Some(want), None) => (want, &want.after, &want.before),
            (None, Some(have)) => (have, &have.before, &have.after),
            (None, None) => continue,
        };
        if !unordered.alike(change, want, have) {
            let field = if field == WHOLE {
                String::new()
            } else {
                format!(".{field}")
            };
            let (want, have) = (shown(want), shown(have));
            lines.push(format!(
                "{collection}/{id}{field}: expected {want}, got {have}"
            ));
        }
    }
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("; ")
}

fn shown(value: &Value) -> String {
    const LONGEST: usize = 120;
    if value.is_null() {
        return "nothing".to_owned();
    }
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let mut short: String = text.chars().take(LONGEST).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(id: &str, field: &str, before: Value, after: Value) -> Change {
        Change {
            collection: "parcels".into(),
            id: id.into(),
            field: field.into(),
            before,
            after,
        }
    }

    fn told(expected: &[Change], got: &[Change]) -> String {
        differences(&Unordered::default(), expected, got)
    }

    #[test]
    fn a_difference_names_the_record_what_was_expected_and_what_was_got() {
        let held = change("48213", "status", json!("transit"), json!("held"));
        let other = change("48214", "status", json!("transit"), json!("held"));
        let gone = change("48215", "*", json!({"a": 1}), json!(null));
        assert_eq!(
            told(std::slice::from_ref(&held), &[]),
            "parcels/48213.status: expected \"held\", got \"transit\""
        );
        assert_eq!(
            told(std::slice::from_ref(&held), &[held.clone(), other]),
            "parcels/48214.status: expected \"transit\", got \"held\""
        );
        assert_eq!(
            told(&[], &[gone]),
            "parcels/48215: expected {\"a\":1}, got nothing"
        );
    }

    #[test]
    fn many_differences_are_counted_not_listed() {
        let all: Vec<Change> = (0..30)
            .map(|i| change(&i.to_string(), "x", json!(0), json!(1)))
            .collect();
        assert!(told(&all, &[]).ends_with("and 22 more"));
    }
}
