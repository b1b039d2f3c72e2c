//! Draws tasks from templates: which records, which branch, which words. The same seed gives the same tasks.
//!
//! What is disjoint from what:
//! - *records*: by the digit sum of their id modulo 10 - 0 to 2 for evaluation, 3 to 5 for demonstrations, 6 to 9 for
//!   reinforcement learning;
//! - *combinations* of intent, condition and wording: one in three is evaluated only;
//! - *templates* marked `unseen` occur in no training split at all.

use serde_json::{Map, Value, json};

use agoge_dialogue::ToolCall;

use crate::domain::Domain;
use crate::episode::World;
use crate::rng::Rng;
use crate::schema;
use crate::task::{AgentScript, Fact, Mix, Split, Task, UserScript};
use crate::template::{Branch, Condition, FactSpec, Template, first};
use crate::words::words;

/// The largest share of corners in [`Mix::Natural`], and of refusals in [`Mix::EvenBranches`].
const RARE: f64 = 0.15;

/// Tasks that cannot be drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The templates have fewer.
    #[error("{asked} tasks were asked for, but the templates have {possible} in this split; ask for fewer or add records")]
    TooMany {
        /// So many were wanted.
        asked: usize,
        /// So many there are.
        possible: usize,
    },
    /// A branch that no record fits.
    #[error("no record of the split fits branch `{branch}` of template `{template}`; add records or loosen its `where`")]
    NoRecord {
        /// The template.
        template: String,
        /// The branch.
        branch: String,
    },
    /// No template for this split.
    #[error("the domain has no template for this split; add a file to its templates folder")]
    NoTemplate,
    /// A placeholder that stands for nothing.
    #[error("template `{template}`: {message}")]
    Unbound {
        /// The template.
        template: String,
        /// What.
        message: String,
    },
}

/// Draws `n` tasks.
///
/// # Errors
/// [`TemplateError`]
pub fn tasks(world: &mut World, split: Split, mix: Mix, seed: u64, n: usize) -> Result<Vec<Task>, TemplateError> {
    let domain = world.domain().clone();
    let cells = cells(&domain, split)?;
    let possible = largest(&cells, mix, seed);
    if n > possible {
        return Err(TemplateError::TooMany { asked: n, possible });
    }
    let mut drawn = Vec::with_capacity(n);
    for (cell, count) in cells.iter().zip(quotas(&cells, mix, seed, n)) {
        cell.draw(&domain, split, seed, count, &mut drawn)?;
    }
    Rng::keyed(seed, "order").shuffle(&mut drawn);
    Ok(drawn)
}

/// How many tasks of a split there are in this mix; 0 when a branch has none.
pub fn possible(world: &mut World, split: Split, mix: Mix) -> usize {
    let domain = world.domain().clone();
    cells(&domain, split).map_or(0, |cells| largest(&cells, mix, 0))
}

/// One branch of one template, with what may fill it in one split.
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
    for template in domain.templates.iter().filter(|template| template.unseen == (split == Split::Unseen)) {
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
            let lacking = template.facts.values().zip(&options).any(|(s, o)| s.digits.is_none() && o.is_empty());
            if lacking || wordings.is_empty() {
                let (template, branch) = (template.name.clone(), branch.name.clone());
                return Err(TemplateError::NoRecord { template, branch });
            }
            found.push(Cell { template, branch, options, wordings });
        }
    }
    if found.is_empty() { Err(TemplateError::NoTemplate) } else { Ok(found) }
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

fn side_of(split: Split) -> usize {
    match split {
        Split::Heldout | Split::Unseen => 0,
        Split::TrainSft => 1,
        Split::TrainRl => 2,
    }
}

/// The values of a fact that a branch allows. Each condition is about one fact, or a record linked to it, so that facts
/// are chosen independently.
fn options(domain: &Domain, template: &Template, branch: &Branch, split: Split, name: &str, spec: &FactSpec) -> Vec<Value> {
    let conditions: Vec<&Condition> =
        branch.conditions.iter().filter(|c| template.root(&c.path) == Some(name)).collect();
    let fits = |value: &Value| {
        let bound = Bound { domain, template, facts: vec![(name, value.clone())] };
        conditions.iter().all(|c| bound.get(&c.path).is_some_and(|value| c.holds(&value)))
    };
    let all: Vec<Value> = match spec {
        FactSpec { record: Some(collection), .. } => {
            let ids = domain.state.ids(collection).filter(|id| side(id) == side_of(split));
            ids.map(Value::from).collect()
        }
        FactSpec { one_of: Some(values), .. } => values.clone(),
        FactSpec { between: Some([low, high]), .. } => (*low..=*high).map(Value::from).collect(),
        _ => Vec::new(),
    };
    all.into_iter().filter(|value| fits(value)).collect()
}

/// How many of each cell make `n`.
fn quotas(cells: &[Cell<'_>], mix: Mix, seed: u64, n: usize) -> Vec<usize> {
    let rare = |cell: &Cell<'_>| match mix {
        Mix::Natural => cell.branch.corner,
        Mix::EvenBranches => cell.branch.refusal,
    };
    let weight = |cell: &Cell<'_>| match mix {
        Mix::Natural => cell.branch.weight,
        Mix::EvenBranches => 1.0,
    };
    let all: f64 = cells.iter().map(weight).sum();
    let rares: f64 = cells.iter().filter(|cell| rare(cell)).map(weight).sum();
    let common = cells.iter().any(|cell| !rare(cell));
    let rare_n = if common {
        let wanted = (rares / all * n as f64).round();
        wanted.min((RARE * n as f64).floor()) as usize
    } else {
        n
    };
    let mut counts = vec![0; cells.len()];
    for (class, total) in [(true, rare_n), (false, n - rare_n)] {
        let members: Vec<usize> = (0..cells.len()).filter(|i| rare(&cells[*i]) == class).collect();
        let mass: f64 = members.iter().map(|i| weight(&cells[*i])).sum();
        if members.is_empty() || mass <= 0.0 {
            continue;
        }
        let share = |i: usize| weight(&cells[i]) / mass * total as f64;
        let mut order = members.clone();
        Rng::keyed(seed, "remainders").shuffle(&mut order);
        order.sort_by(|a, b| share(*b).fract().total_cmp(&share(*a).fract()));
        let mut left = total;
        for i in &members {
            counts[*i] = share(*i).floor() as usize;
            left -= counts[*i].min(left);
        }
        for i in order.iter().cycle().take(left) {
            counts[*i] += 1;
        }
    }
    counts
}

/// The largest `n` that every cell can fill.
fn largest(cells: &[Cell<'_>], mix: Mix, seed: u64) -> usize {
    let fits = |n: usize| quotas(cells, mix, seed, n).iter().zip(cells).all(|(count, cell)| *count <= cell.capacity());
    let (mut low, mut high) = (0, cells.iter().map(Cell::capacity).sum::<usize>() + 1);
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
    /// Instances differ in the first record or in the wording.
    fn capacity(&self) -> usize {
        let records = self.template.primary().map_or(1, |primary| self.options[primary].len());
        records * self.wordings.len()
    }

    pub(crate) fn draw(
        &self,
        domain: &Domain,
        split: Split,
        seed: u64,
        count: usize,
        drawn: &mut Vec<Task>,
    ) -> Result<(), TemplateError> {
        let key = format!("{split:?}/{}/{}", self.template.name, self.branch.name);
        let mut rng = Rng::keyed(seed, &key);
        let mut wordings = self.wordings.clone();
        rng.shuffle(&mut wordings);
        let primary = self.template.primary();
        let mut records = primary.map(|p| self.options[p].clone()).unwrap_or_default();
        rng.shuffle(&mut records);
        for k in 0..count {
            let (lap, at) = (k / records.len().max(1), k % records.len().max(1));
            let wording = wordings[(at + lap) % wordings.len()];
            let mut bound = Bound { domain, template: self.template, facts: Vec::new() };
            for (f, (name, spec)) in self.template.facts.iter().enumerate() {
                let value = match spec.digits {
                    _ if Some(f) == primary => records[at].clone(),
                    Some(digits) => digits_on(&mut rng, digits, side_of(split)),
                    None => rng.pick(&self.options[f]).cloned().unwrap_or_default(),
                };
                bound.facts.push((name.as_str(), value));
            }
            let task = self.task(domain, &bound, wording, &mut rng).map_err(|message| {
                TemplateError::Unbound { template: self.template.name.clone(), message }
            })?;
            drawn.push(task);
        }
        Ok(())
    }

    fn task(&self, domain: &Domain, bound: &Bound<'_>, wording: usize, rng: &mut Rng) -> Result<Task, String> {
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
        let primary = template.primary().map(|p| facts[p].value.clone()).unwrap_or_default();
        let mut user = UserScript {
            instruction: String::new(),
            opening: one(rng, &wording.open)?,
            topic: template.topic.clone(),
            off_topic: off_topic(domain, template),
            closing: rng.pick(&template.closings).cloned().unwrap_or_default(),
            confirm: "yes.".into(),
            unknown: "i do not know.".into(),
            facts,
        };
        user.instruction = instruction(&template.intent, &wording.name, &user.facts);
        agent.answer = one(rng, &branch.say)?;
        let outputs = branch.outputs.iter().map(|output| bound.fill(output)).collect::<Result<_, _>>()?;
        Ok(Task {
            id: format!("{}-{}-{primary}-{}", template.name, branch.name, wording.name),
            template: template.name.clone(),
            intent: template.intent.clone(),
            condition: branch.name.clone(),
            wording: wording.name.clone(),
            branch: format!("{}/{}", template.name, branch.name),
            corner: branch.corner,
            refusal: branch.refusal,
            user,
            agent,
            gold: gold(domain, branch, bound)?,
            outputs,
            checker: None,
        })
    }
}

/// What a user model is told: what it wants, in which manner, what it knows, what it keeps until asked.
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
    let answers = template.facts.values().flat_map(|fact| fact.answers.iter().chain(&fact.asked));
    let openings = template.wordings.iter().flat_map(|wording| &wording.open);
    let own: Vec<String> = answers
        .chain(openings)
        .chain(&template.closings)
        .chain(template.facts.keys())
        .chain(&template.topic)
        .flat_map(|text| words(text))
        .collect();
    let others = domain.templates.iter().flat_map(|other| &other.topic);
    let mut found: Vec<String> = others.filter(|word| !own.contains(word)).cloned().collect();
    found.sort();
    found.dedup();
    found
}

fn gold(domain: &Domain, branch: &Branch, bound: &Bound<'_>) -> Result<Vec<ToolCall>, String> {
    let mut calls = Vec::new();
    for (name, given) in branch.gold.iter().flatten() {
        let mut arguments = Map::new();
        for (key, value) in given {
            let value = match value {
                Value::String(text) => bound.value(text)?,
                other => other.clone(),
            };
            arguments.insert(key.clone(), value);
        }
        let tool = domain.tool(name).ok_or_else(|| format!("branch `{}` calls `{name}`, which is no tool", branch.name))?;
        let arguments = schema::arguments(tool, &arguments).map_err(|e| format!("branch `{}`: {e}", branch.name))?;
        calls.push(ToolCall::new(name, arguments));
    }
    Ok(calls)
}

fn digits_on(rng: &mut Rng, digits: u32, wanted: usize) -> Value {
    loop {
        let text: String = (0..digits).map(|i| char::from(b'0' + (rng.below(9) + usize::from(i == 0)) as u8)).collect();
        if digits < 2 || side(&text) == wanted {
            return json!(text);
        }
    }
}

/// Facts with their values, and the records that they lead to.
struct Bound<'a> {
    domain: &'a Domain,
    template: &'a Template,
    facts: Vec<(&'a str, Value)>,
}

impl Bound<'_> {
    /// The value at `fact`, `fact.field` or `linked.field`.
    fn get(&self, path: &str) -> Option<Value> {
        let name = first(path);
        let value = match self.facts.iter().find(|(fact, _)| *fact == name) {
            Some((_, value)) => value.clone(),
            None => {
                let by = &self.template.linked.get(name)?.by;
                // A link to itself would never end; `root` is what tells.
                self.template.root(name)?;
                self.get(by)?
            }
        };
        match path.split_once('.') {
            None => Some(value),
            Some((_, field)) => {
                let collection = self.template.collection(name)?;
                self.domain.state.get(collection, value.as_str()?)?.get(field).cloned()
            }
        }
    }

    /// A text with its placeholders filled.
    fn fill(&self, pattern: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('{') {
            let (path, left) = after.split_once('}').ok_or_else(|| format!("`{pattern}` has a `{{` without its `}}`"))?;
            let value = self.get(path).ok_or_else(|| format!("`{{{path}}}` stands for nothing"))?;
            filled.push_str(before);
            filled.push_str(&text(&value));
            rest = left;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// A value: that of the placeholder when the pattern is nothing else, a text otherwise.
    fn value(&self, pattern: &str) -> Result<Value, String> {
        let alone = pattern.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).filter(|p| !p.contains('{'));
        match alone {
            Some(path) => self.get(path).ok_or_else(|| format!("`{pattern}` stands for nothing")),
            None => self.fill(pattern).map(Value::from),
        }
    }
}

/// A value as it is said: 442.0 is `442`.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => (float as i64).to_string(),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}
