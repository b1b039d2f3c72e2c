//! Arguments that name records: which they are is learnt from the tasks themselves, and those that name none are found.

use std::collections::HashMap;

use agoge_sandbox::View;
use agoge_world::{Domain, Task};
use serde_json::Value;

use crate::finding::{Finding, Repair, Severity};
use crate::kind::Kind;
use crate::knowledge::leaves;
use crate::play::Played;

/// Values of an argument from which it is learnt that it names records, and the share of them that must.
const LEAST: (usize, f64) = (8, 0.85);

/// The arguments that name records, by tool and name.
#[derive(Debug, Default)]
pub(crate) struct References {
    known: HashMap<(String, String), (usize, usize)>,
}

impl References {
    /// Learns from the gold of all tasks.
    pub fn of(domain: &Domain, tasks: &[&Task]) -> Self {
        let mut all = Self::default();
        for call in tasks.iter().flat_map(|task| &task.gold) {
            for (name, value) in &call.arguments {
                leaves(value, &mut |leaf| {
                    let Some(text) = leaf.as_str() else {
                        return;
                    };
                    let key = (call.name.clone(), name.clone());
                    let (values, named) = all.known.entry(key).or_default();
                    *values += 1;
                    *named += usize::from(is_record(domain, text));
                });
            }
        }
        all
    }

    fn names_records(&self, tool: &str, argument: &str) -> bool {
        let seen = self.known.get(&(tool.to_owned(), argument.to_owned()));
        seen.is_some_and(|(values, named)| {
            *values >= LEAST.0 && *named as f64 >= LEAST.1 * *values as f64
        })
    }

    /// Finds the arguments of gold that name a record which is not there when the call is made.
    pub fn check(&self, domain: &Domain, task: &Task, played: &Played) -> Vec<Finding> {
        let mut found = Vec::new();
        for (at, ((call, result), before)) in played.calls().iter().zip(&played.before).enumerate()
        {
            let view = View {
                base: &domain.state,
                overlay: before,
            };
            for (name, value) in &call.arguments {
                if !self.names_records(&call.name, name) {
                    continue;
                }
                leaves(value, &mut |leaf| {
                    let there = |id: &str| {
                        let mut collections = domain.state.collections();
                        collections.any(|collection| view.get(collection, id).is_some())
                    };
                    let Some(id) = leaf.as_str().filter(|id| !there(id)) else {
                        return;
                    };
                    found.push(dangling(
                        task,
                        played,
                        (at, call.name.as_str(), name.as_str()),
                        id,
                        result.worked(),
                    ));
                });
            }
        }
        found
    }
}

fn dangling(
    task: &Task,
    played: &Played,
    (at, tool, argument): (usize, &str, &str),
    id: &str,
    worked: bool,
) -> Finding {
    // A call that fails on it is reported as such; where the task says so, the user is meant to be wrong.
    let (severity, repair) = match (worked, task.fails_at(at + 1)) {
        (true, _) => (Severity::Warning, Repair::Quarantine),
        (false, false) => (Severity::Error, Repair::Keep),
        (false, true) => (Severity::Note, Repair::Keep),
    };
    let evidence = format!("{tool} is called with {argument} = {id:?}, and no record has this id");
    let finding = Finding::new(
        &task.id,
        Kind::DanglingReference,
        severity,
        evidence,
        repair,
    );
    finding
        .at(format!("gold[{}].{argument}", at + 1))
        .shown(&played.calls()[at..=at], &[])
}

/// Returns true when a collection has a record of this id.
fn is_record(domain: &Domain, id: &str) -> bool {
    let mut collections = domain.state.collections();
    !id.is_empty() && collections.any(|collection| domain.state.get(collection, id).is_some())
}

/// Returns the records that a value names, as `collection/id`.
pub(crate) fn records_of(domain: &Domain, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    leaves(value, &mut |leaf| {
        let Some(id) = leaf.as_str().filter(|id| !id.is_empty()) else {
            return;
        };
        let has = |collection: &&str| domain.state.get(collection, id).is_some();
        found.extend(
            domain
                .state
                .collections()
                .filter(has)
                .map(|one| format!("{one}/{id}")),
        );
    });
    found
}
