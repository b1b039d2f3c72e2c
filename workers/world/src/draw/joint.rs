//! Conditions between facts: the combinations of their values that a branch allows. Where a branch has none, each fact is chosen
//! by itself.

use std::collections::HashSet;

use agoge_dialogue::random::Rng;
use serde_json::Value;

use super::TemplateError;
use super::cell::{Cell, digits_on};
use crate::bound::Bound;
use crate::domain::Domain;
use crate::task::{Split, Task};
use crate::template::{Branch, Condition, Template, first};

/// Combinations that are tried for one record; of more, as many are drawn.
const TRIED: usize = 2_000;
/// Combinations that are kept for one record.
const KEPT: usize = 200;

/// The combinations of a cell that fit its conditions between facts.
pub(super) struct Joint {
    /// The facts that are combined, by number; the one by which instances differ is not among them.
    facts: Vec<usize>,
    /// For each value of the fact by which instances differ, the combinations: the number of each fact's value.
    fits: Vec<Vec<Vec<usize>>>,
}

/// Returns the conditions of a branch that are on several facts, or on none.
fn between<'a>(template: &Template, branch: &'a Branch) -> Vec<&'a Condition> {
    let several = |condition: &&Condition| {
        let known = condition.is_full() || template.knows(Some(branch), first(&condition.path));
        known && template.facts_of(branch, condition).len() != 1
    };
    branch.conditions.iter().filter(several).collect()
}

impl Joint {
    /// Returns the combinations of a branch; `None` where it has no condition between facts. `deciding` are the facts that
    /// tell its tasks apart.
    ///
    /// # Errors
    /// A condition has no answer, or is on random digits.
    pub(super) fn of(
        domain: &Domain,
        template: &Template,
        branch: &Branch,
        options: &[Vec<Value>],
        deciding: &[usize],
    ) -> Result<Option<Self>, String> {
        let conditions = between(template, branch);
        if conditions.is_empty() {
            return Ok(None);
        }
        let primary = template.primary();
        let mut facts: Vec<usize> = deciding.to_vec();
        for condition in &conditions {
            for fact in template.facts_of(branch, condition) {
                facts.extend(template.facts.get_index_of(fact));
            }
        }
        facts.sort_unstable();
        facts.dedup();
        let is_random = |fact: &usize| template.facts[*fact].digits.is_some();
        if let Some(fact) = conditions
            .iter()
            .flat_map(|c| template.facts_of(branch, c))
            .find(|fact| {
                template
                    .facts
                    .get(*fact)
                    .is_some_and(|spec| spec.digits.is_some())
            })
        {
            return Err(format!(
                "branch `{}` has a condition on `{fact}`, which is random digits",
                branch.name
            ));
        }
        facts.retain(|fact| Some(*fact) != primary && !is_random(fact));
        let mut fits = Vec::new();
        for at in 0..primary.map_or(1, |primary| options[primary].len()) {
            let record = primary.map(|primary| (primary, options[primary][at].clone()));
            let given = |combination: &[usize]| {
                let chosen = facts.iter().zip(combination);
                let chosen = chosen.map(|(fact, n)| (*fact, options[*fact][*n].clone()));
                let named = record
                    .clone()
                    .into_iter()
                    .chain(chosen)
                    .filter_map(|(fact, value)| {
                        Some((template.facts.get_index(fact)?.0.as_str(), value))
                    });
                Bound::new(domain, template, named.collect()).in_branch(branch)
            };
            let mut found = Vec::new();
            for combination in combinations(&facts, options, &format!("{}/{at}", branch.name)) {
                let bound = given(&combination);
                let mut all = true;
                for condition in &conditions {
                    all = all && condition.holds(&bound)?;
                }
                if all {
                    found.push(combination);
                }
                if found.len() == KEPT {
                    break;
                }
            }
            fits.push(found);
        }
        Ok(Some(Self { facts, fits }))
    }

    /// The number of combinations, those of all records.
    pub(super) fn len(&self) -> usize {
        self.fits.iter().map(Vec::len).sum()
    }

    /// Returns the records in this order, each once a lap as long as it has another combination: its place in the order, and
    /// the number of the lap.
    fn laps(&self, records: &[usize]) -> Vec<(usize, usize)> {
        let most = self.fits.iter().map(Vec::len).max().unwrap_or(0);
        let mut all = Vec::with_capacity(self.len());
        for lap in 0..most {
            let left = records
                .iter()
                .enumerate()
                .filter(|(_, record)| self.fits[**record].len() > lap);
            all.extend(left.map(|(place, _)| (place, lap)));
        }
        all
    }
}

/// Returns combinations of the values of facts: all, or as many as are tried.
fn combinations(facts: &[usize], options: &[Vec<Value>], key: &str) -> Vec<Vec<usize>> {
    let sizes: Vec<usize> = facts.iter().map(|fact| options[*fact].len()).collect();
    let all = sizes.iter().copied().fold(1, usize::saturating_mul);
    if all <= TRIED {
        let nth = |n: usize| {
            let mut rest = n;
            let digit = |size: &usize| {
                let digit = rest % size;
                rest /= size;
                digit
            };
            sizes.iter().map(digit).collect::<Vec<usize>>()
        };
        return (0..all).map(nth).collect();
    }
    let mut rng = Rng::keyed_le(0, &format!("combinations/{key}"));
    let mut seen = HashSet::new();
    let drawn = (0..TRIED).map(|_| {
        sizes
            .iter()
            .map(|size| rng.below(*size))
            .collect::<Vec<usize>>()
    });
    let drawn: Vec<Vec<usize>> = drawn.collect();
    drawn
        .into_iter()
        .filter(|one| seen.insert(one.clone()))
        .collect()
}

impl Cell<'_> {
    /// Draws the first `count` tasks of a cell with conditions between facts; the first of fewer are the same.
    pub(super) fn draw_joint(
        &self,
        joint: &Joint,
        (domain, split): (&Domain, Split),
        rng: &mut Rng,
        count: usize,
        drawn: &mut Vec<Task>,
    ) -> Result<(), TemplateError> {
        let mut wordings = self.wordings.clone();
        rng.shuffle(&mut wordings);
        let mut records: Vec<usize> = (0..joint.fits.len())
            .filter(|n| !joint.fits[*n].is_empty())
            .collect();
        rng.shuffle(&mut records);
        let begins: Vec<usize> = records
            .iter()
            .map(|record| rng.below(joint.fits[*record].len()))
            .collect();
        let laps = joint.laps(&records);
        let primary = self.template.primary();
        for k in 0..count {
            let (round, nth) = (k / laps.len(), k % laps.len());
            let (place, lap) = laps[nth];
            let record = records[place];
            let fits = &joint.fits[record];
            let combination = &fits[(begins[place] + lap) % fits.len()];
            let mut facts = Vec::new();
            for (f, (name, spec)) in self.template.facts.iter().enumerate() {
                let options = &self.options[f];
                let joined = joint.facts.iter().position(|fact| *fact == f);
                let value = match (joined, spec.digits) {
                    _ if Some(f) == primary => options[record].clone(),
                    (_, Some(digits)) => digits_on(rng, digits, &domain.split, split),
                    (Some(at), None) => options[combination[at]].clone(),
                    (None, None) => rng.pick(options).cloned().unwrap_or_default(),
                };
                facts.push((name.as_str(), value));
            }
            let bound = Bound::new(domain, self.template, facts).in_branch(self.branch);
            let lap = lap.saturating_add(round.saturating_mul(laps.len()));
            let wording = wordings[(place + lap) % wordings.len()];
            drawn.push(self.numbered(&bound, wording, lap, rng)?);
        }
        Ok(())
    }
}
