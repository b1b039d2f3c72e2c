//! Records that tasks for training and held-out tasks share.

use std::collections::{BTreeMap, BTreeSet};

use agoge_world::{Domain, Split, Task};
use serde_json::Value;

use crate::finding::{Finding, Repair, Severity};
use crate::kind::Kind;
use crate::knowledge::leaves;
use crate::play::Played;
use crate::references::records_of;

/// Tasks in which a record of a collection takes part on average, from which the collection is a catalogue that all share.
const CATALOGUE: f64 = 3.0;
/// Records that a finding names.
const NAMED: usize = 6;

/// The records that each task is about, by its place in the list.
#[derive(Debug, Default)]
pub(crate) struct Touched(BTreeMap<String, BTreeSet<usize>>);

impl Touched {
    /// Adds the records that a task names or changes, and those that they belong to.
    pub fn add(&mut self, domain: &Domain, at: usize, task: &Task, played: &Played) {
        let mut records = BTreeSet::new();
        for call in &task.gold {
            records.extend(records_of(domain, &Value::Object(call.arguments.clone())));
        }
        for fact in &task.user.facts {
            records.extend(records_of(domain, &Value::from(fact.value.as_str())));
        }
        let changes = played.changes.iter();
        records.extend(changes.map(|change| format!("{}/{}", change.collection, change.id)));
        let mut owners = BTreeSet::new();
        for record in &records {
            let Some((collection, id)) = record.split_once('/') else {
                continue;
            };
            let Some(Value::Object(fields)) = domain.state.get(collection, id) else {
                continue;
            };
            for value in fields.values().filter(|value| value.is_string()) {
                leaves(value, &mut |leaf| owners.extend(records_of(domain, leaf)));
            }
        }
        for record in records.into_iter().chain(owners) {
            self.0.entry(record).or_default().insert(at);
        }
    }

    /// Finds the held-out tasks that share a record with a task for training.
    pub fn check(&self, tasks: &[&Task]) -> Vec<Finding> {
        let mut of: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (record, by) in &self.0 {
            let (records, uses) = of.entry(collection(record)).or_default();
            *records += 1;
            *uses += by.len();
        }
        let own = |record: &str| {
            let (records, uses) = of.get(collection(record)).copied().unwrap_or_default();
            uses as f64 <= CATALOGUE * records as f64
        };
        let training = |at: &&usize| {
            let split = tasks.get(**at).and_then(|task| task.split);
            matches!(split, Some(Split::TrainRl | Split::TrainSft))
        };
        let mut found = Vec::new();
        for (at, task) in tasks.iter().enumerate() {
            if !matches!(task.split, Some(Split::Heldout | Split::Unseen)) {
                continue;
            }
            let mut shared = Vec::new();
            let mut others = BTreeSet::new();
            for (record, by) in self
                .0
                .iter()
                .filter(|(record, by)| by.contains(&at) && own(record.as_str()))
            {
                let with: Vec<&usize> = by.iter().filter(training).collect();
                if !with.is_empty() {
                    shared.push(record.as_str());
                    others.extend(with.into_iter().map(|one| tasks[*one].id.clone()));
                }
            }
            if shared.is_empty() {
                continue;
            }
            let more = shared.len().saturating_sub(NAMED);
            shared.truncate(NAMED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let evidence = format!(
                "the held-out task is about records that tasks for training are about too: {}{more}",
                shared.join(", ")
            );
            let finding = Finding::new(
                &task.id,
                Kind::Leak,
                Severity::Warning,
                evidence,
                Repair::Keep,
            );
            found.push(finding.with_others(others.into_iter().collect()));
        }
        found
    }
}

fn collection(record: &str) -> &str {
    record.split('/').next().unwrap_or(record)
}
