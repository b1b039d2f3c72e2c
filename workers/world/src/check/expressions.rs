//! Conditions that have no answer for some record, and facts that the user cannot tell apart.

use serde_json::Value;

use crate::bound::Bound;
use crate::domain::Domain;
use crate::identity::Identities;
use crate::template::{Branch, Condition, FactSpec, Template};

/// Records that a condition is tried with.
const TRIED: usize = 2_000;

/// Returns the reason why a condition has no answer for some value of its facts, such as a division by zero, with the
/// suggested fix. Where it is on several facts, values with the same number are tried together.
pub(super) fn failing(
    domain: &Domain,
    template: &Template,
    branch: &Branch,
    condition: &Condition,
) -> Option<(String, &'static str)> {
    let facts = template.facts_of(branch, condition);
    let specs: Vec<(&str, &FactSpec)> = facts
        .iter()
        .filter_map(|fact| Some((*fact, template.facts.get(*fact)?)))
        .collect();
    let random = specs.iter().find(|(_, spec)| spec.digits.is_some());
    if let Some((fact, _)) = random.filter(|_| condition.is_full() || specs.len() > 1) {
        let why = format!(
            "`{}` is on `{fact}`, which is random digits",
            condition.text()
        );
        return Some((why, "let the condition be on records and choices"));
    }
    let values: Vec<(&str, Vec<Value>)> = specs
        .iter()
        .map(|(fact, spec)| (*fact, some(domain, spec)))
        .collect();
    let most = values
        .iter()
        .map(|(_, values)| values.len())
        .max()
        .unwrap_or(1);
    if values.iter().any(|(_, values)| values.is_empty()) {
        return None;
    }
    for n in 0..most {
        let chosen = values
            .iter()
            .filter_map(|(fact, values)| Some((*fact, values.get(n % values.len())?.clone())));
        let bound = Bound::new(domain, template, chosen.collect()).in_branch(branch);
        if let Err(why) = condition.holds(&bound) {
            let told: Vec<String> = bound
                .facts
                .iter()
                .map(|(fact, value)| format!("{fact} {value}"))
                .collect();
            let of = if told.is_empty() {
                String::new()
            } else {
                format!(" for {}", told.join(", "))
            };
            return Some((
                format!("{why}{of}"),
                "exclude such values before, as in `a.count > 0 and a.sum / a.count > 5`",
            ));
        }
    }
    None
}

/// Returns values that a fact may have.
fn some(domain: &Domain, spec: &FactSpec) -> Vec<Value> {
    match spec {
        FactSpec {
            record: Some(collection),
            ..
        } => domain
            .state
            .ids(collection)
            .take(TRIED)
            .map(Value::from)
            .collect(),
        FactSpec {
            one_of: Some(values),
            ..
        } => values.clone(),
        FactSpec {
            between: Some([low, high]),
            ..
        } => (*low..=*high).take(TRIED).map(Value::from).collect(),
        _ => Vec::new(),
    }
}

/// Returns the number of records that these fields tell from all others, and the number of all.
pub(super) fn unique(domain: &Domain, collection: &str, by: &[String]) -> (usize, usize) {
    let known = Identities::of(domain, collection, by);
    let unique = domain
        .state
        .ids(collection)
        .filter(|id| known.is_unique(id))
        .count();
    (unique, domain.state.ids(collection).count())
}
