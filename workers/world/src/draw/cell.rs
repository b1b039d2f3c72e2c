//! Cells: one branch of one template in one split, with the values that may fill it.

use agoge_dialogue::random::Rng;
use serde_json::{Value, json};

use super::TemplateError;
use super::joint::Joint;
use crate::bound::{Bound, text};
use crate::domain::Domain;
use crate::identity::Identities;
use crate::split::SplitRule;
use crate::task::{Split, Task};
use crate::template::{Branch, Condition, FactSpec, Step, Template, first, placeholders};

/// One branch of one template, with the values and wordings that may fill it in one split.
pub(crate) struct Cell<'a> {
    pub template: &'a Template,
    pub branch: &'a Branch,
    /// The values of each fact; empty for a fact of random digits.
    pub(super) options: Vec<Vec<Value>>,
    pub(super) wordings: Vec<usize>,
    /// The facts, by number, that tell tasks of one record apart.
    deciding: Vec<usize>,
    /// The combinations that fit the conditions between facts, where there are such conditions.
    joint: Option<Joint>,
}

/// Every cell of a split.
pub(crate) fn cells(domain: &Domain, split: Split) -> Result<Vec<Cell<'_>>, TemplateError> {
    let mut found = Vec::new();
    for template in domain
        .templates
        .iter()
        .filter(|template| template.unseen == (split == Split::Unseen))
    {
        for (b, branch) in template.branches.iter().enumerate() {
            let fits = |w: &usize| match split {
                Split::TrainSft | Split::TrainRl => !template.held_out(b, *w),
                Split::Heldout => template.held_out(b, *w),
                Split::Unseen => true,
            };
            let wordings: Vec<usize> = (0..template.wordings.len()).filter(fits).collect();
            let unbound = |message| TemplateError::Unbound {
                template: template.name.clone(),
                message,
            };
            let options: Vec<Vec<Value>> = template
                .facts
                .iter()
                .map(|(name, spec)| options(domain, template, branch, split, name, spec))
                .collect::<Result<_, String>>()
                .map_err(unbound)?;
            let lacking = template
                .facts
                .values()
                .zip(&options)
                .any(|(s, o)| s.digits.is_none() && o.is_empty());
            let deciding = deciding(template, branch);
            let joint = match lacking {
                true => None,
                false => {
                    Joint::of(domain, template, branch, &options, &deciding).map_err(unbound)?
                }
            };
            let unfit = joint.as_ref().is_some_and(|joint| joint.len() == 0);
            if lacking || unfit || wordings.is_empty() {
                let (template, branch) = (template.name.clone(), branch.name.clone());
                return Err(TemplateError::NoRecord { template, branch });
            }
            found.push(Cell {
                template,
                branch,
                options,
                wordings,
                deciding,
                joint,
            });
        }
    }
    if found.is_empty() {
        Err(TemplateError::NoTemplate)
    } else {
        Ok(found)
    }
}

/// The values of a fact that a branch allows, by the conditions on this fact alone, or on records linked to it. Those
/// between facts are [`Joint`]'s.
fn options(
    domain: &Domain,
    template: &Template,
    branch: &Branch,
    split: Split,
    name: &str,
    spec: &FactSpec,
) -> Result<Vec<Value>, String> {
    let conditions: Vec<&Condition> = branch
        .conditions
        .iter()
        .filter(|c| template.facts_of(branch, c) == [name])
        .collect();
    let fits = |value: &Value| -> Result<bool, String> {
        let bound = Bound::new(domain, template, vec![(name, value.clone())]).in_branch(branch);
        for condition in &conditions {
            let holds = condition.holds(&bound);
            if !holds
                .map_err(|why| format!("branch `{}`, {name} {}: {why}", branch.name, text(value)))?
            {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let all: Vec<Value> = match spec {
        FactSpec {
            record: Some(collection),
            ..
        } => {
            let primary = template
                .primary()
                .and_then(|at| template.facts.get_index(at));
            let first = primary.is_some_and(|(primary, _)| primary == name);
            let allowed = |id: &&str| domain.allows(split, &template.name, collection, id, first);
            let known = match spec.by.0.is_empty() {
                true => None,
                false => Some(Identities::of(domain, collection, &spec.by.0)),
            };
            let told = |id: &&str| known.as_ref().is_none_or(|known| known.is_unique(id));
            let ids = domain.state.ids(collection).filter(allowed).filter(told);
            ids.map(Value::from).collect()
        }
        FactSpec {
            one_of: Some(values),
            ..
        } => values.clone(),
        FactSpec {
            between: Some([low, high]),
            ..
        } => (*low..=*high).map(Value::from).collect(),
        _ => Vec::new(),
    };
    let mut fitting = Vec::new();
    for value in all {
        if fits(&value)? {
            fitting.push(value);
        }
    }
    Ok(fitting)
}

/// Returns the facts beside the first record on which the gold, the outputs or, in a refusal, the request depend.
fn deciding(template: &Template, branch: &Branch) -> Vec<usize> {
    let mut used: Vec<&str> = Vec::new();
    let outputs = branch.outputs.iter().map(|output| output.text.as_str());
    let texts = branch.gold.iter().flat_map(Step::texts).chain(outputs);
    for path in texts.flat_map(placeholders) {
        template.lead(Some(branch), first(path), &mut used);
    }
    let of_gold = branch.gold.iter().filter_map(|step| step.each.as_ref());
    let loops = of_gold.chain(
        branch
            .outputs
            .iter()
            .filter_map(|output| output.each.as_ref()),
    );
    for name in loops
        .filter_map(|each| each.list.expression())
        .flat_map(|list| &list.names)
    {
        template.lead(Some(branch), name, &mut used);
    }
    let primary = template.primary();
    let facts = template.facts.keys().enumerate();
    facts
        .filter(|(f, name)| {
            Some(*f) != primary && (branch.refusal || used.contains(&name.as_str()))
        })
        .map(|(f, _)| f)
        .collect()
}

impl Cell<'_> {
    /// The branch, as tasks name it.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.template.name, self.branch.name)
    }

    /// Returns the number of tasks that differ in what must be done or said. Other words for the same request are not a new
    /// task.
    pub(super) fn capacity(&self) -> usize {
        let combined = self.joint.as_ref().map(Joint::len);
        let records = self
            .template
            .primary()
            .map_or(1, |primary| self.options[primary].len());
        let digits = |spec: &FactSpec| {
            spec.digits
                .map_or(1, |d| 10_usize.pow(d.saturating_sub(2).min(2)))
        };
        let random: usize = self
            .deciding
            .iter()
            .map(|f| digits(&self.template.facts[*f]))
            .product();
        combined
            .unwrap_or_else(|| records.saturating_mul(self.variants()))
            .saturating_mul(random)
    }

    /// Combinations of the deciding facts' values, digits aside.
    fn variants(&self) -> usize {
        self.deciding
            .iter()
            .map(|f| self.options[*f].len().max(1))
            .fold(1, usize::saturating_mul)
    }

    /// The first `count` tasks; the first of fewer are the same.
    pub(crate) fn draw(
        &self,
        domain: &Domain,
        split: Split,
        seed: u64,
        count: usize,
        drawn: &mut Vec<Task>,
    ) -> Result<(), TemplateError> {
        let key = format!("{split:?}/{}", self.name());
        let mut rng = Rng::keyed_le(seed, &key);
        if let Some(joint) = &self.joint {
            return self.draw_joint(joint, (domain, split), &mut rng, count, drawn);
        }
        let mut wordings = self.wordings.clone();
        rng.shuffle(&mut wordings);
        let primary = self.template.primary();
        let mut records = primary.map(|p| self.options[p].clone()).unwrap_or_default();
        rng.shuffle(&mut records);
        let variants = self.variants();
        let first: Vec<usize> = (0..records.len().max(1))
            .map(|_| rng.below(variants))
            .collect();
        for k in 0..count {
            // Every lap goes through all records, with another combination of the other facts and another wording.
            let (lap, at) = (k / first.len(), k % first.len());
            let wording = wordings[(at + lap) % wordings.len()];
            let mut variant = (first[at] + lap) % variants;
            let mut facts = Vec::new();
            for (f, (name, spec)) in self.template.facts.iter().enumerate() {
                let options = &self.options[f];
                let value = match spec.digits {
                    _ if Some(f) == primary => records[at].clone(),
                    Some(digits) => digits_on(&mut rng, digits, &domain.split, split),
                    None if self.deciding.contains(&f) && !options.is_empty() => {
                        let chosen = options[variant % options.len()].clone();
                        variant /= options.len();
                        chosen
                    }
                    None => rng.pick(options).cloned().unwrap_or_default(),
                };
                facts.push((name.as_str(), value));
            }
            let bound = Bound::new(domain, self.template, facts).in_branch(self.branch);
            drawn.push(self.numbered(&bound, wording, lap, &mut rng)?);
        }
        Ok(())
    }

    /// Returns a task; its id has the number of the lap, after the first.
    pub(super) fn numbered(
        &self,
        bound: &Bound<'_>,
        wording: usize,
        lap: usize,
        rng: &mut Rng,
    ) -> Result<Task, TemplateError> {
        let task = self.task(bound, wording, rng);
        let mut task = task.map_err(|message| TemplateError::Unbound {
            template: self.template.name.clone(),
            message,
        })?;
        if lap > 0 {
            task.id.push_str(&format!("-{lap}"));
        }
        Ok(task)
    }
}

pub(super) fn digits_on(rng: &mut Rng, digits: u32, rule: &SplitRule, split: Split) -> Value {
    loop {
        let text: String = (0..digits)
            .map(|i| char::from(b'0' + (rng.below(9) + usize::from(i == 0)) as u8))
            .collect();
        if rule.allows_digits(&text, split) {
            return json!(text);
        }
    }
}
