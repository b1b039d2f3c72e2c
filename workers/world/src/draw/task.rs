//! One task of a cell: its texts, its right calls and what is checked, filled in for the facts.

use agoge_dialogue::ToolCall;
use agoge_dialogue::random::Rng;
use serde_json::{Map, Value};

use super::cell::Cell;
use crate::bound::{Bound, text};
use crate::domain::Domain;
use crate::identity::identity;
use crate::python_json::literal;
use crate::said::{Text, says};
use crate::schema;
use crate::task::{AgentScript, Fact, Task, UserScript};
use crate::template::{Branch, FactSpec, Step, Template};

impl Cell<'_> {
    /// Returns the task of these facts in one wording.
    ///
    /// # Errors
    /// A text, an argument or a computed value has no value.
    pub(super) fn task(
        &self,
        bound: &Bound<'_>,
        wording: usize,
        rng: &mut Rng,
    ) -> Result<Task, String> {
        let (domain, template, branch) = (bound.domain, self.template, self.branch);
        let wording = &template.wordings[wording];
        let one = |rng: &mut Rng, from: &[String]| {
            let text = rng.pick(from).cloned().unwrap_or_default();
            bound.fill(&text)
        };
        let mut facts = Vec::new();
        let mut agent = AgentScript::default();
        for (name, spec) in &template.facts {
            let held = wording.hold.contains(name);
            let (value, parts) = known(bound, name, spec);
            facts.push(Fact {
                name: name.clone(),
                value,
                parts,
                held,
                asked: spec.asked.clone(),
                answer: one(rng, &spec.answers)?,
                choices: spec.one_of.iter().flatten().map(text).collect(),
            });
            if held {
                agent.ask.insert(name.clone(), one(rng, &spec.question)?);
            }
        }
        let primary = template.primary().and_then(|p| template.facts.get_index(p));
        let primary = primary.and_then(|(name, _)| bound.get(name));
        let primary = primary.map(|id| text(&id)).unwrap_or_default();
        let mut user = UserScript {
            instruction: String::new(),
            opening: one(rng, &wording.open)?,
            topic: template.topic.clone(),
            off_topic: off_topic(domain, template),
            closing: rng.pick(&template.closings).cloned().unwrap_or_default(),
            confirm: template.confirm.clone(),
            unknown: template.unknown.clone(),
            go_on: template.go_on.clone(),
            persona: String::new(),
            facts,
        };
        user.instruction = instruction(&template.intent, &wording.name, &user.facts);
        agent.answer = one(rng, &branch.say)?;
        let outputs = outputs(branch, bound)?;
        told(template, branch, &agent.answer, &outputs)?;
        let mut compare = template.compare.clone();
        compare.extend(
            branch
                .compare
                .iter()
                .map(|(name, rule)| (name.clone(), *rule)),
        );
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
            checker: checker(template, branch, bound)?,
            compare,
            ..Task::default()
        })
    }
}

/// Returns what the user knows of a fact: its value as it is said and, of a record that it knows by several fields, each.
fn known(bound: &Bound<'_>, name: &str, spec: &FactSpec) -> (String, Vec<String>) {
    let value = text(&bound.get(name).unwrap_or_default());
    let Some(collection) = spec.record.as_ref().filter(|_| !spec.by.0.is_empty()) else {
        return (value, Vec::new());
    };
    let told = identity(bound.domain, collection, &value, &spec.by.0).unwrap_or_default();
    match told.as_slice() {
        [one] => (one.clone(), Vec::new()),
        _ => (told.join(", "), told),
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
pub(crate) fn calls(
    domain: &Domain,
    branch: &Branch,
    written: &[Step],
    bound: &Bound<'_>,
    whole: bool,
) -> Result<Vec<ToolCall>, String> {
    let bound = bound.in_branch(branch);
    let of = |why: String| format!("branch `{}`: {why}", branch.name);
    let mut calls = Vec::new();
    for step in written {
        for bound in bound.each(step.each.as_ref()).map_err(of)? {
            for (name, given) in &step.calls {
                let mut arguments = Map::new();
                for (key, value) in given {
                    arguments.insert(key.clone(), bound.filled(value)?);
                }
                let tool = domain.tool(name).ok_or_else(|| {
                    format!("branch `{}` calls `{name}`, which is no tool", branch.name)
                })?;
                let read = match whole {
                    true => schema::arguments(tool, &arguments),
                    false => schema::some_arguments(tool, &arguments),
                };
                calls.push(ToolCall::new(name, read.map_err(of)?));
            }
        }
    }
    Ok(calls)
}

/// Returns the texts that the agent must say, with their placeholders filled in.
pub(crate) fn outputs(branch: &Branch, bound: &Bound<'_>) -> Result<Vec<String>, String> {
    let bound = bound.in_branch(branch);
    let mut texts = Vec::new();
    for output in &branch.outputs {
        for bound in bound.each(output.each.as_ref())? {
            texts.push(bound.fill(&output.text)?);
        }
    }
    Ok(texts)
}

/// Refuses an answer without one of the outputs. Those of plain branches are compared as they are written, by the check.
fn told(
    template: &Template,
    branch: &Branch,
    answer: &str,
    outputs: &[String],
) -> Result<(), String> {
    let looped = branch.outputs.iter().any(|output| output.each.is_some());
    let computed = !template.compute.is_empty() || !branch.compute.is_empty();
    if !looped && !computed {
        return Ok(());
    }
    match outputs.iter().find(|output| !says(answer, output)) {
        Some(output) => Err(format!(
            "branch `{}` says {answer:?} without its output {output:?}; compute a text with `join`, and say it",
            branch.name
        )),
        None => Ok(()),
    }
}

/// Returns a check with the facts and computed values of a task as its `FACTS`.
fn checker(
    template: &Template,
    branch: &Branch,
    bound: &Bound<'_>,
) -> Result<Option<String>, String> {
    let Some(source) = branch.checker.as_ref().or(template.checker.as_ref()) else {
        return Ok(None);
    };
    let mut facts = Map::new();
    let computed = template.compute.keys().chain(branch.compute.keys());
    for name in template.facts.keys().chain(computed) {
        facts.insert(name.clone(), bound.at(name)?.unwrap_or_default());
    }
    // At the end, so that the lines of its errors stay those of the file.
    let facts = literal(&Value::Object(facts));
    Ok(Some(format!(
        "{}\n\n\nFACTS = {facts}\n",
        source.trim_end()
    )))
}
