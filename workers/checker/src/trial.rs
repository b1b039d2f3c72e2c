//! One task's checker under test: the solutions that it is shown, and what its verdicts on them say about it.
use crate::basis::counts;
use crate::calls;
use crate::final_state::Gold;
use crate::mutate::{Edit, Mutant, mutants};
use crate::needs::sees_state;
use crate::order::exchanged;
use crate::plausible::Plausible;
use crate::qualification::{JudgeFn, Qualification, Thresholds};
use crate::results;
use crate::trace::traceless;
use crate::verdict::Verdict;
use agoge_dialogue::{Message, ToolCall, ToolSpec};
use agoge_sandbox::processor_time;
use agoge_world::said::is_amount;
use agoge_world::{Basis, Domain, Episode, GoldError, Lost, Task, World};
use serde_json::Value;
use std::time::Duration;

/// A trial with its verdicts so far.
pub(crate) struct Trial<'a, 'j> {
    task: &'a Task,
    gold: &'a Gold,
    /// Gold's episode after each of its calls, see [`prefixes`].
    prefixes: &'a [Episode],
    judge: &'a mut JudgeFn<'j>,
    /// Processor time of each verdict, in milliseconds.
    times: Vec<f64>,
    killed: Option<String>,
    /// Gold without a call that leaves no trace, which is judged already.
    skipped: Vec<Vec<ToolCall>>,
}

impl<'a, 'j> Trial<'a, 'j> {
    pub fn new(
        task: &'a Task,
        gold: &'a Gold,
        prefixes: &'a [Episode],
        judge: &'a mut JudgeFn<'j>,
    ) -> Self {
        Self {
            task,
            gold,
            prefixes,
            judge,
            times: Vec::new(),
            killed: None,
            skipped: Vec::new(),
        }
    }

    /// Returns the times of all verdicts, and the limit that ended one.
    pub fn over(self) -> (Vec<f64>, Option<String>) {
        (self.times, self.killed)
    }

    pub fn verdict(
        &mut self,
        world: &mut World,
        episode: &Episode,
        messages: &[Message],
    ) -> Result<Verdict, Lost> {
        let used = |world: &World| processor_time().saturating_add(world.spent().cpu);
        let begun: Duration = used(world);
        let verdict = (self.judge)(world, self.gold, episode, messages);
        if let Some(reason) = &verdict.lost {
            return Err(Lost(reason.clone()));
        }
        let time = used(world).saturating_sub(begun);
        self.times.push(time.as_secs_f64() * 1e3);
        if self.killed.is_none() {
            self.killed.clone_from(&verdict.killed);
        }
        Ok(verdict)
    }

    /// Replays gold again and judges it again: state and verdict stay the same.
    pub fn repeats(
        &mut self,
        world: &mut World,
        repeats: usize,
        first: &Verdict,
        found: &mut Qualification,
    ) -> Result<(), Lost> {
        let told = tell(self.task, &self.gold.episode, &self.task.outputs);
        for _ in 1..repeats.max(1) {
            let episode = match Gold::of(world, self.task) {
                Ok(again) => {
                    found.flake |= again.fingerprint != self.gold.fingerprint;
                    found.flake |=
                        !sees_state(world.domain()) && self.lacks_a_result(&again.episode);
                    again.episode
                }
                Err(GoldError::Lost(lost)) => return Err(lost),
                Err(_) => {
                    found.flake = true;
                    self.gold.episode.clone()
                }
            };
            found.flake |= self.verdict(world, &episode, &told)? != *first;
        }
        Ok(())
    }

    /// Leaves out each gold call that leaves no trace. What then passes is a survivor, and is warned about.
    pub fn traces(
        &mut self,
        world: &mut World,
        plausible: &Plausible,
        found: &mut Qualification,
    ) -> Result<(), Lost> {
        let task = self.task;
        if !sees_state(world.domain()) {
            return Ok(());
        }
        for number in traceless(world, task, self.prefixes, plausible)? {
            let mut calls = task.gold.clone();
            let skipped = calls.remove(number);
            let episode = run(world, self.prefixes, &task.gold, &calls)?;
            let told = tell(task, &episode, &task.outputs);
            let verdict = self.verdict(world, &episode, &told)?;
            if verdict.killed.is_some() {
                return Ok(());
            }
            let (at, name) = (number + 1, skipped.name);
            found.mutants.tried += 1;
            if verdict.pass {
                found
                    .mutants
                    .survivors
                    .push(format!("call {at} {name} left out"));
                found.warnings.push(format!(
                    "call {at} ({name}) changes no record and tells nothing, and leaving it out passes; require it in the \
                     task's calls, or list it under lookups in domain.yaml"
                ));
            } else {
                found.mutants.killed += 1;
            }
            self.skipped.push(calls);
        }
        Ok(())
    }

    /// Makes neighbouring gold writes in the other order. Where that leaves the same records, it must pass; where it leaves a
    /// list in another order, the schema has to say whether that matters.
    pub fn orders(&mut self, world: &mut World, found: &mut Qualification) -> Result<(), Lost> {
        for other in exchanged(world, self.task, self.prefixes)? {
            if other.same {
                let told = tell(self.task, &other.episode, &self.task.outputs);
                found.equivalent_paths &= self.verdict(world, &other.episode, &told)?.pass;
                continue;
            }
            let name = |number: usize| self.task.gold[number].name.as_str();
            found.warnings.push(format!(
                "calls {} and {} ({}, {}) in the other order leave {} in another order, and fail; mark it x-agoge-unordered \
                 true or false in schema.json",
                other.first + 1,
                other.first + 2,
                name(other.first),
                name(other.first + 1),
                other.lists.join(" and ")
            ));
        }
        Ok(())
    }

    /// Returns true when an episode ends in other records than gold or, where the domain's tools do not show them, lacks a
    /// result of gold.
    fn ends_elsewhere(&self, domain: &Domain, episode: &Episode) -> bool {
        !self.gold.is_reached(domain, episode)
            || (!sees_state(domain) && self.lacks_a_result(episode))
    }

    fn lacks_a_result(&self, episode: &Episode) -> bool {
        !results::check(&self.gold.episode.calls, &episode.calls).pass
    }

    pub fn mutants(
        &mut self,
        world: &mut World,
        plausible: &Plausible,
        seed: u64,
        thresholds: &Thresholds,
        found: &mut Qualification,
    ) -> Result<(), Lost> {
        let domain = world.domain().clone();
        let tools: Vec<ToolSpec> = domain
            .tools
            .iter()
            .chain(&domain.user_tools)
            .cloned()
            .collect();
        let prefixes = self.prefixes;
        let task = self.task;
        let state = counts(task, Basis::State);
        let (mut acting, mut free) = ((0, 0), 0);
        for mutant in mutants(task, &tools, plausible, seed) {
            if found.mutants.tried >= thresholds.mutants || self.killed.is_some() {
                break;
            }
            if mutant.edit == Edit::Drop && self.skipped.contains(&mutant.calls) {
                continue;
            }
            let episode = run(world, prefixes, &task.gold, &mutant.calls)?;
            // A tool that meets its limit says nothing about the checker.
            if episode.calls.iter().any(|(_, result)| result.killed) {
                continue;
            }
            let other_state = self.ends_elsewhere(&domain, &episode);
            let equivalent = !other_state
                && (!counts(task, Basis::Outputs) || same_outputs(task, &mutant.outputs))
                && (!counts(task, Basis::Calls)
                    || calls::missing(task, &task.calls, &episode).is_empty());
            if equivalent {
                found.mutants.equivalent += 1;
                if harmless(&mutant, prefixes, &task.gold, &domain) {
                    let told = tell(task, &episode, &mutant.outputs);
                    found.equivalent_paths &= self.verdict(world, &episode, &told)?.pass;
                }
                continue;
            }
            let told = tell(task, &episode, &mutant.outputs);
            let verdict = self.verdict(world, &episode, &told)?;
            if verdict.killed.is_some() {
                break;
            }
            // Where the state does not count, other records are no fault by themselves; a gold call left out still is.
            if verdict.pass && other_state && !state && mutant.edit != Edit::Drop {
                found.mutants.equivalent += 1;
                free += 1;
                continue;
            }
            if found.mutants.tried < thresholds.repeats {
                found.flake |= self.verdict(world, &episode, &told)? != verdict;
            }
            found.mutants.tried += 1;
            if verdict.pass {
                found.mutants.survivors.push(mutant.change);
            } else {
                found.mutants.killed += 1;
            }
            if other_state {
                acting.0 += 1;
                acting.1 += usize::from(!verdict.pass);
            }
        }
        if free > 0 {
            found.warnings.push(format!(
                "its basis leaves out state: {free} of {} solutions with one edit that end in other records pass",
                free + found.mutants.tried
            ));
        }
        if task.refusal {
            found.empty = acting.0 > 0 && acting.0 == acting.1;
        }
        Ok(())
    }
}

/// Replays gold once and returns its episode after 0, 1, 2, … calls: the first is the beginning of the task, the last one is
/// gold itself, and a mutant runs only from its edit on.
pub(crate) fn prefixes(world: &mut World, task: &Task) -> Result<Vec<Episode>, GoldError> {
    let mut next = world.begin(task)?;
    let mut all = vec![next.clone()];
    for (number, call) in (1..).zip(&task.gold) {
        let result = world.call(&mut next, call);
        GoldError::check_in(task, number, call, &result)?;
        all.push(next.clone());
    }
    Ok(all)
}

fn run(
    world: &mut World,
    prefixes: &[Episode],
    gold: &[ToolCall],
    calls: &[ToolCall],
) -> Result<Episode, Lost> {
    let shared = gold
        .iter()
        .zip(calls)
        .take_while(|(a, b)| a.name == b.name && a.arguments == b.arguments)
        .count();
    let mut episode = prefixes[shared].clone();
    for call in &calls[shared..] {
        world.call(&mut episode, call).known()?;
    }
    Ok(episode)
}

/// Returns true for a mutant that only reads twice, or in another order, which no checker may hold against an agent.
fn harmless(mutant: &Mutant, prefixes: &[Episode], gold: &[ToolCall], domain: &Domain) -> bool {
    if !matches!(mutant.edit, Edit::Duplicate | Edit::Swap) {
        return false;
    }
    let reads = |call: &ToolCall| {
        gold.iter()
            .position(|g| g.name == call.name && g.arguments == call.arguments)
            .is_some_and(|i| {
                prefixes[i].fingerprint(domain) == prefixes[i + 1].fingerprint(domain)
                    && prefixes[i + 1]
                        .calls
                        .last()
                        .is_some_and(|(_, result)| !result.error)
            })
    };
    match mutant.edit {
        Edit::Duplicate => {
            let again = gold
                .iter()
                .zip(&mutant.calls)
                .position(|(a, b)| a.id != b.id);
            again
                .or(Some(gold.len()))
                .and_then(|i| mutant.calls.get(i))
                .is_some_and(reads)
        }
        _ => gold
            .iter()
            .zip(&mutant.calls)
            .filter(|(a, b)| a != b)
            .all(|(_, b)| reads(b)),
    }
}

/// Returns true when the mutant still says all that gold must say.
fn same_outputs(task: &Task, said: &[String]) -> bool {
    let is_said = |output: &String| said.iter().any(|text| task.matching.says(text, output));
    task.outputs.iter().all(is_said)
}

/// Returns a warning for each amount that gold writes as a text.
pub(crate) fn money(gold: &Gold) -> Vec<String> {
    let texts = gold.changes.iter().flat_map(|change| {
        let place = |field: &str| format!("{}.{field}", change.collection);
        let one = (place(&change.field), &change.after);
        match &change.after {
            Value::Object(record) => {
                let fields = record.iter().map(|(key, value)| (place(key), value));
                fields.collect::<Vec<_>>()
            }
            _ => vec![one],
        }
    });
    let written = texts.filter(|(_, value)| value.as_str().is_some_and(is_amount));
    let mut fields: Vec<String> = written.map(|(field, _)| field).collect();
    fields.sort();
    fields.dedup();
    fields
        .into_iter()
        .map(|field| {
            format!("{field} takes an amount as a text, so that another way of writing it fails; use a number")
        })
        .collect()
}

/// The dialogue of an episode in its plainest form: the history, what the user wants, the calls with their results, the
/// outputs.
pub(crate) fn tell(task: &Task, episode: &Episode, outputs: &[String]) -> Vec<Message> {
    let mut messages = task.history.clone();
    messages.push(Message::user(&task.user.instruction));
    for (call, result) in &episode.calls {
        messages.push(Message::calls(vec![call.clone()]));
        messages.push(Message::tool_result(&call.id, &result.content));
    }
    messages.push(Message::assistant(&format!(
        "Done. {}",
        outputs.join(" ; ")
    )));
    messages
}

pub(crate) fn p95(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    let rank = (times.len() * 95).div_ceil(100).max(1) - 1;
    times.get(rank).copied().unwrap_or(0.0)
}
