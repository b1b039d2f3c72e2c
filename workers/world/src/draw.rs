//! Draws tasks from templates: records, branch and wording. The same seed gives the same tasks.
//!
//! The splits are disjoint in three ways:
//! - *records*: by the digit sum of their id modulo 10 - 0 to 2 for evaluation, 3 to 5 for demonstrations, 6 to 9 for
//!   reinforcement learning;
//! - *combinations* of intent, condition and wording: one wording of each branch occurs in evaluation only;
//! - *templates* marked `unseen` occur in no training split at all.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use agoge_dialogue::ToolCall;
use agoge_dialogue::random::Rng;

use crate::bound::{Bound, text};
use crate::domain::Domain;
use crate::episode::World;
use crate::said::Text;
use crate::schema;
use crate::task::{AgentScript, Fact, Mix, Split, Task, UserScript};
use crate::template::{Branch, Condition, FactSpec, Template, placeholders};

/// The largest share of corners in [`Mix::Natural`], and of refusals in [`Mix::EvenBranches`].
const RARE: f64 = 0.15;

/// The errors of drawing tasks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// More tasks are asked for than the templates have.
    #[error(
        "{asked} tasks were asked for, but the templates have {possible} in this split; ask for fewer or add records"
    )]
    TooMany {
        /// The number that was asked for.
        asked: usize,
        /// The number that exists.
        possible: usize,
    },
    /// No record fits a branch.
    #[error(
        "no record of the split fits branch `{branch}` of template `{template}`; add records or loosen its `where`"
    )]
    NoRecord {
        /// The template.
        template: String,
        /// The branch.
        branch: String,
    },
    /// The domain has no template for this split.
    #[error("the domain has no template for this split; add a file to its templates folder")]
    NoTemplate,
    /// A placeholder has no value.
    #[error("template `{template}`: {message}")]
    Unbound {
        /// The template.
        template: String,
        /// The placeholder and its problem.
        message: String,
    },
}

/// Draws `n` tasks.
///
/// # Errors
/// [`TemplateError`]
pub fn tasks(
    world: &mut World,
    split: Split,
    mix: Mix,
    seed: u64,
    n: usize,
) -> Result<Vec<Task>, TemplateError> {
    let domain = world.domain().clone();
    let cells = cells(&domain, split)?;
    let possible = largest(&cells, mix);
    if n > possible {
        return Err(TemplateError::TooMany { asked: n, possible });
    }
    let mut drawn = Vec::with_capacity(n);
    for (cell, count) in cells.iter().zip(quotas(&cells, mix, seed, n)) {
        cell.draw(&domain, split, seed, count, &mut drawn)?;
    }
    Rng::keyed_le(seed, "order").shuffle(&mut drawn);
    Ok(drawn)
}

/// Draws up to `n` tasks of one branch beyond the first `from` of those that [`tasks`] draws, to replace tasks that turned
/// out to be unusable. Returns fewer when the branch has no more.
///
/// # Errors
/// [`TemplateError`]
pub fn more(
    domain: &Domain,
    split: Split,
    seed: u64,
    branch: &str,
    from: usize,
    n: usize,
) -> Result<Vec<Task>, TemplateError> {
    let cells = cells(domain, split)?;
    let mut drawn = Vec::new();
    for cell in cells.iter().filter(|cell| cell.name() == branch) {
        cell.draw(
            domain,
            split,
            seed,
            cell.capacity().min(from.saturating_add(n)),
            &mut drawn,
        )?;
    }
    Ok(drawn.split_off(from.min(drawn.len())))
}

/// Returns the number of tasks that a split has in this mix; 0 when a branch has none.
pub fn possible(world: &mut World, split: Split, mix: Mix) -> usize {
    let domain = world.domain().clone();
    cells(&domain, split).map_or(0, |cells| largest(&cells, mix))
}

/// One branch of one template, with the values and wordings that may fill it in one split.
pub(crate) struct Cell<'a> {
    pub template: &'a Template,
    pub branch: &'a Branch,
    /// The values of each fact; empty for a fact of random digits.
    options: Vec<Vec<Value>>,
    wordings: Vec<usize>,
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
            let options: Vec<Vec<Value>> = template
                .facts
                .iter()
                .map(|(name, spec)| options(domain, template, branch, split, name, spec))
                .collect();
            let lacking = template
                .facts
                .values()
                .zip(&options)
                .any(|(s, o)| s.digits.is_none() && o.is_empty());
            if lacking || wordings.is_empty() {
                let (template, branch) = (template.name.clone(), branch.name.clone());
                return Err(TemplateError::NoRecord { template, branch });
            }
            found.push(Cell {
                template,
                branch,
                options,
                wordings,
            });
        }
    }
    if found.is_empty() {
        Err(TemplateError::NoTemplate)
    } else {
        Ok(found)
    }
}

/// The side of the data that a record is on: 0 evaluation, 1 demonstrations, 2 reinforcement learning.
fn side(id: &str) -> usize {
    let sum: u32 = id.chars().map(|c| c.to_digit(10).unwrap_or(c as u32)).sum();
    match sum % 10 {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    }
}

/// The split to which a record belongs by its id; `Heldout` stands for both evaluation splits.
#[must_use]
pub fn split_of_record(id: &str) -> Split {
    match side(id) {
        0 => Split::Heldout,
        1 => Split::TrainSft,
        _ => Split::TrainRl,
    }
}

fn side_of(split: Split) -> usize {
    match split {
        Split::Heldout | Split::Unseen => 0,
        Split::TrainSft => 1,
        Split::TrainRl => 2,
    }
}

/// The values of a fact that a branch allows. Each condition is about one fact, or a record linked to it, so that facts
/// are chosen independently.
fn options(
    domain: &Domain,
    template: &Template,
    branch: &Branch,
    split: Split,
    name: &str,
    spec: &FactSpec,
) -> Vec<Value> {
    let conditions: Vec<&Condition> = branch
        .conditions
        .iter()
        .filter(|c| template.root(&c.path) == Some(name))
        .collect();
    let fits = |value: &Value| {
        let bound = Bound {
            domain,
            template,
            facts: vec![(name, value.clone())],
        };
        conditions
            .iter()
            .all(|c| bound.get(&c.path).is_some_and(|value| c.holds(&value)))
    };
    let all: Vec<Value> = match spec {
        FactSpec {
            record: Some(collection),
            ..
        } => {
            let ids = domain
                .state
                .ids(collection)
                .filter(|id| side(id) == side_of(split));
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
    all.into_iter().filter(|value| fits(value)).collect()
}

/// Returns for each cell true if it is a rare one, and its exact share of `n`. The shares of rare cells sum to a whole number.
fn shares(cells: &[Cell<'_>], mix: Mix, n: usize) -> Vec<(bool, f64)> {
    let rare = |cell: &Cell<'_>| match mix {
        Mix::Natural => cell.branch.corner,
        Mix::EvenBranches => cell.branch.refusal,
    };
    let weight = |cell: &Cell<'_>| match mix {
        Mix::Natural => cell.branch.weight.max(1e-6),
        Mix::EvenBranches => 1.0,
    };
    let mass = |class: bool| -> f64 { cells.iter().filter(|c| rare(c) == class).map(weight).sum() };
    let (rares, others) = (mass(true), mass(false));
    let rare_n = if others > 0.0 {
        let wanted = (rares / (rares + others) * n as f64).round();
        wanted.min((RARE * n as f64).floor())
    } else {
        n as f64
    };
    let share = |cell: &Cell<'_>| match rare(cell) {
        true => (true, weight(cell) / rares * rare_n),
        false => (false, weight(cell) / others * (n as f64 - rare_n)),
    };
    cells.iter().map(share).collect()
}

/// Returns the number of tasks of each cell, `n` in all: shares by largest remainders, ties by the seed.
fn quotas(cells: &[Cell<'_>], mix: Mix, seed: u64, n: usize) -> Vec<usize> {
    let shares = shares(cells, mix, n);
    let mut counts: Vec<usize> = shares
        .iter()
        .map(|(_, share)| share.floor() as usize)
        .collect();
    for class in [true, false] {
        let mut members: Vec<usize> = (0..cells.len()).filter(|i| shares[*i].0 == class).collect();
        let whole: f64 = members.iter().map(|i| shares[*i].1).sum();
        let given: usize = members.iter().map(|i| counts[*i]).sum();
        Rng::keyed_le(seed, "remainders").shuffle(&mut members);
        members.sort_by(|a, b| shares[*b].1.fract().total_cmp(&shares[*a].1.fract()));
        for i in members
            .iter()
            .cycle()
            .take((whole.round() as usize).saturating_sub(given))
        {
            counts[*i] += 1;
        }
    }
    counts
}

/// The largest `n` that every cell can fill, whatever the seed.
fn largest(cells: &[Cell<'_>], mix: Mix) -> usize {
    let room: Vec<usize> = cells.iter().map(Cell::capacity).collect();
    let fits = |n: usize| {
        let mut shares = shares(cells, mix, n).into_iter().zip(&room);
        shares.all(|((_, share), room)| (share - 1e-9).ceil() as usize <= *room)
    };
    let (mut low, mut high) = (0, room.iter().sum::<usize>() + 1);
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

impl Cell<'_> {
    /// The branch, as tasks name it.
    fn name(&self) -> String {
        format!("{}/{}", self.template.name, self.branch.name)
    }

    /// Returns the number of tasks that differ in what must be done or said. Other words for the same request are not a new
    /// task.
    fn capacity(&self) -> usize {
        let records = self
            .template
            .primary()
            .map_or(1, |primary| self.options[primary].len());
        let digits = |spec: &FactSpec| {
            spec.digits
                .map_or(1, |d| 10_usize.pow(d.saturating_sub(2).min(2)))
        };
        let random: usize = self
            .deciding()
            .map(|f| digits(&self.template.facts[f]))
            .product();
        records
            .saturating_mul(self.variants())
            .saturating_mul(random)
    }

    /// Facts beside the first record on which the gold, the outputs or, in a refusal, the request depend.
    fn deciding(&self) -> impl Iterator<Item = usize> + '_ {
        let (template, branch) = (self.template, self.branch);
        let arguments = branch
            .gold
            .iter()
            .flatten()
            .flat_map(|(_, given)| given.values());
        let texts = arguments
            .filter_map(Value::as_str)
            .chain(branch.outputs.iter().map(String::as_str));
        let used: Vec<&str> = texts
            .flat_map(placeholders)
            .filter_map(|path| template.root(path))
            .collect();
        let primary = template.primary();
        let facts = template.facts.keys().enumerate();
        facts
            .filter(move |(f, name)| {
                Some(*f) != primary && (branch.refusal || used.contains(&name.as_str()))
            })
            .map(|(f, _)| f)
    }

    /// Combinations of the deciding facts' values, digits aside.
    fn variants(&self) -> usize {
        self.deciding()
            .map(|f| self.options[f].len().max(1))
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
        let mut wordings = self.wordings.clone();
        rng.shuffle(&mut wordings);
        let primary = self.template.primary();
        let mut records = primary.map(|p| self.options[p].clone()).unwrap_or_default();
        rng.shuffle(&mut records);
        let variants = self.variants();
        let first: Vec<usize> = (0..records.len().max(1))
            .map(|_| rng.below(variants))
            .collect();
        let deciding: Vec<usize> = self.deciding().collect();
        for k in 0..count {
            // Every lap goes through all records, with another combination of the other facts and another wording.
            let (lap, at) = (k / first.len(), k % first.len());
            let wording = wordings[(at + lap) % wordings.len()];
            let mut variant = (first[at] + lap) % variants;
            let mut bound = Bound {
                domain,
                template: self.template,
                facts: Vec::new(),
            };
            for (f, (name, spec)) in self.template.facts.iter().enumerate() {
                let options = &self.options[f];
                let value = match spec.digits {
                    _ if Some(f) == primary => records[at].clone(),
                    Some(digits) => digits_on(&mut rng, digits, side_of(split)),
                    None if deciding.contains(&f) && !options.is_empty() => {
                        let chosen = options[variant % options.len()].clone();
                        variant /= options.len();
                        chosen
                    }
                    None => rng.pick(options).cloned().unwrap_or_default(),
                };
                bound.facts.push((name.as_str(), value));
            }
            let mut task = self
                .task(domain, &bound, wording, &mut rng)
                .map_err(|message| TemplateError::Unbound {
                    template: self.template.name.clone(),
                    message,
                })?;
            if lap > 0 {
                task.id.push_str(&format!("-{lap}"));
            }
            drawn.push(task);
        }
        Ok(())
    }

    fn task(
        &self,
        domain: &Domain,
        bound: &Bound<'_>,
        wording: usize,
        rng: &mut Rng,
    ) -> Result<Task, String> {
        let (template, branch) = (self.template, self.branch);
        let wording = &template.wordings[wording];
        let one = |rng: &mut Rng, from: &[String]| {
            let text = rng.pick(from).cloned().unwrap_or_default();
            bound.fill(&text)
        };
        let mut facts = Vec::new();
        let mut agent = AgentScript::default();
        for (name, spec) in &template.facts {
            let held = wording.hold.contains(name);
            facts.push(Fact {
                name: name.clone(),
                value: text(&bound.get(name).unwrap_or_default()),
                held,
                asked: spec.asked.clone(),
                answer: one(rng, &spec.answers)?,
                choices: spec.one_of.iter().flatten().map(text).collect(),
            });
            if held {
                agent.ask.insert(name.clone(), one(rng, &spec.question)?);
            }
        }
        let primary = template
            .primary()
            .map(|p| facts[p].value.clone())
            .unwrap_or_default();
        let mut user = UserScript {
            instruction: String::new(),
            opening: one(rng, &wording.open)?,
            topic: template.topic.clone(),
            off_topic: off_topic(domain, template),
            closing: rng.pick(&template.closings).cloned().unwrap_or_default(),
            confirm: template.confirm.clone(),
            unknown: template.unknown.clone(),
            go_on: template.go_on.clone(),
            facts,
        };
        user.instruction = instruction(&template.intent, &wording.name, &user.facts);
        agent.answer = one(rng, &branch.say)?;
        let outputs = branch
            .outputs
            .iter()
            .map(|output| bound.fill(output))
            .collect::<Result<_, _>>()?;
        Ok(Task {
            id: format!(
                "{}-{}-{primary}-{}",
                template.name, branch.name, wording.name
            ),
            template: template.name.clone(),
            intent: template.intent.clone(),
            condition: branch.name.clone(),
            wording: wording.name.clone(),
            branch: self.name(),
            corner: branch.corner,
            refusal: branch.refusal,
            user,
            agent,
            gold: calls(domain, branch, &branch.gold, bound, true)?,
            outputs,
            calls: calls(domain, branch, &branch.calls, bound, false)?,
            checker: None,
        })
    }
}

/// Returns the instruction of a user model: its intent, its wording, the facts it knows, and those it keeps until asked.
fn instruction(intent: &str, wording: &str, facts: &[Fact]) -> String {
    let mut text = format!("{intent}, {wording}");
    for fact in facts {
        let keep = if fact.held { ", kept" } else { "" };
        text.push_str(&format!("; {} {}{keep}", fact.name, fact.value));
    }
    text
}

/// Topics of other templates that this one never uses.
fn off_topic(domain: &Domain, template: &Template) -> Vec<String> {
    let answers = template
        .facts
        .values()
        .flat_map(|fact| fact.answers.iter().chain(&fact.asked));
    let openings = template.wordings.iter().flat_map(|wording| &wording.open);
    let own: Vec<Text> = answers
        .chain(openings)
        .chain(&template.closings)
        .chain(template.facts.keys())
        .chain(&template.topic)
        .map(|text| Text::new(text))
        .collect();
    let others = domain.templates.iter().flat_map(|other| &other.topic);
    let of_own = |word: &&String| own.iter().any(|text| text.mentions(word));
    let mut found: Vec<String> = others.filter(|word| !of_own(word)).cloned().collect();
    found.sort();
    found.dedup();
    found
}

/// Returns calls of a branch with their placeholders filled in. Calls that are not `whole` may leave arguments out.
fn calls(
    domain: &Domain,
    branch: &Branch,
    written: &[IndexMap<String, Map<String, Value>>],
    bound: &Bound<'_>,
    whole: bool,
) -> Result<Vec<ToolCall>, String> {
    let mut calls = Vec::new();
    for (name, given) in written.iter().flatten() {
        let mut arguments = Map::new();
        for (key, value) in given {
            let value = match value {
                Value::String(text) => bound.value(text)?,
                other => other.clone(),
            };
            arguments.insert(key.clone(), value);
        }
        let tool = domain
            .tool(name)
            .ok_or_else(|| format!("branch `{}` calls `{name}`, which is no tool", branch.name))?;
        let read = match whole {
            true => schema::arguments(tool, &arguments),
            false => schema::some_arguments(tool, &arguments),
        };
        let arguments = read.map_err(|e| format!("branch `{}`: {e}", branch.name))?;
        calls.push(ToolCall::new(name, arguments));
    }
    Ok(calls)
}

fn digits_on(rng: &mut Rng, digits: u32, wanted: usize) -> Value {
    loop {
        let text: String = (0..digits)
            .map(|i| char::from(b'0' + (rng.below(9) + usize::from(i == 0)) as u8))
            .collect();
        if digits < 2 || side(&text) == wanted {
            return json!(text);
        }
    }
}
