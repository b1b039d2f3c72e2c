//! Single-edit mutants of a gold solution: what a checker that is worth trusting must reject.
use crate::plausible::Plausible;
use agoge_dialogue::random::Rng;
use agoge_dialogue::{ToolCall, ToolSpec};
use agoge_world::Task;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// The one thing that was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Edit {
    /// A call left out.
    Drop,
    /// An argument changed to another plausible record, choice or number.
    Argument,
    /// Two calls exchanged.
    Swap,
    /// A call made twice.
    Duplicate,
    /// A call to another tool that takes the same arguments.
    Sibling,
    /// One call more.
    Extra,
    /// A required output not said.
    DropOutput,
    /// A required output said wrongly.
    AlterOutput,
}

/// A wrong solution, or an equivalent one: which of the two, only running it shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutant {
    pub edit: Edit,
    /// The change in words, such as `call 2 hold_parcel: days 3 -> 4`.
    pub change: String,
    pub calls: Vec<ToolCall>,
    pub outputs: Vec<String>,
}

/// The most alternatives that one argument contributes; more would crowd out the other edits.
const PER_ARGUMENT: usize = 6;
/// The most argument sets that one tool is tried with at one place.
const PER_TOOL: usize = 24;

/// All candidate mutants of a task, in an order drawn from `rng` in which every kind of edit comes early.
///
/// A refusal's gold does not act; there `Extra` calls come first, as acting is what must fail.
pub fn mutants(task: &Task, tools: &[ToolSpec], plausible: &Plausible, seed: u64) -> Vec<Mutant> {
    let mut rng = Rng::keyed_be(seed, &task.id);
    let maker = Maker {
        task,
        tools,
        plausible: &plausible.with_task(task),
    };
    let mut kinds = vec![
        maker.extra(&mut rng),
        maker.arguments(&mut rng),
        maker.drop(),
        maker.outputs(&mut rng),
        maker.sibling(&mut rng),
        maker.duplicate(),
        maker.swap(),
    ];
    for kind in &mut kinds {
        rng.shuffle(kind);
        kind.reverse();
    }
    let mut known = HashSet::from([key(&task.gold, &task.outputs)]);
    let mut all: Vec<Mutant> = Vec::new();
    while kinds.iter().any(|kind| !kind.is_empty()) {
        for mutant in kinds.iter_mut().filter_map(Vec::pop) {
            if known.insert(key(&mutant.calls, &mutant.outputs)) {
                all.push(mutant);
            }
        }
    }
    all
}

/// Equal for solutions that do the same, the ids of their calls aside.
fn key(calls: &[ToolCall], outputs: &[String]) -> String {
    let mut text = String::new();
    for call in calls {
        text.push_str(&call.name);
        text.push_str(&Value::Object(call.arguments.clone()).to_string());
    }
    for output in outputs {
        text.push('\u{1f}');
        text.push_str(output);
    }
    text
}

struct Maker<'a> {
    task: &'a Task,
    tools: &'a [ToolSpec],
    plausible: &'a Plausible,
}

impl Maker<'_> {
    fn made(&self, edit: Edit, change: String, calls: Vec<ToolCall>) -> Mutant {
        Mutant {
            edit,
            change,
            calls,
            outputs: self.task.outputs.clone(),
        }
    }

    fn drop(&self) -> Vec<Mutant> {
        let gold = &self.task.gold;
        (0..gold.len())
            .map(|i| {
                let mut calls = gold.clone();
                let call = calls.remove(i);
                self.made(
                    Edit::Drop,
                    format!("call {} {} left out", i + 1, call.name),
                    calls,
                )
            })
            .collect()
    }

    fn duplicate(&self) -> Vec<Mutant> {
        let gold = &self.task.gold;
        (0..gold.len())
            .map(|i| {
                let mut calls = gold.clone();
                calls.insert(i + 1, with_id(gold[i].clone(), "again"));
                let change = format!("call {} {} made twice", i + 1, gold[i].name);
                self.made(Edit::Duplicate, change, calls)
            })
            .collect()
    }

    fn swap(&self) -> Vec<Mutant> {
        let gold = &self.task.gold;
        let pairs = (0..gold.len()).flat_map(|i| (i + 1..gold.len()).map(move |j| (i, j)));
        pairs
            .map(|(i, j)| {
                let mut calls = gold.clone();
                calls.swap(i, j);
                let change = format!(
                    "calls {} {} and {} {} exchanged",
                    i + 1,
                    gold[i].name,
                    j + 1,
                    gold[j].name
                );
                self.made(Edit::Swap, change, calls)
            })
            .collect()
    }

    fn arguments(&self, rng: &mut Rng) -> Vec<Mutant> {
        let mut found = Vec::new();
        for (i, call) in self.task.gold.iter().enumerate() {
            let Some(tool) = self.tools.iter().find(|t| t.name == call.name) else {
                continue;
            };
            for (name, value) in &call.arguments {
                let schema = &tool.parameters["properties"][name];
                let mut others = self.plausible.others(schema, name, value);
                rng.shuffle(&mut others);
                for other in others.into_iter().take(PER_ARGUMENT) {
                    let mut calls = self.task.gold.clone();
                    let change = format!("call {} {}: {name} {value} -> {other}", i + 1, call.name);
                    calls[i].arguments.insert(name.clone(), other);
                    found.push(self.made(Edit::Argument, change, calls));
                }
            }
        }
        found
    }

    fn sibling(&self, rng: &mut Rng) -> Vec<Mutant> {
        let mut found = Vec::new();
        for (i, call) in self.task.gold.iter().enumerate() {
            for tool in self.tools.iter().filter(|t| t.name != call.name) {
                let shares = properties(tool).any(|(name, _)| call.arguments.contains_key(name));
                if !shares {
                    continue;
                }
                for arguments in self.argument_sets(tool, Some(&call.arguments), rng, 2) {
                    let mut calls = self.task.gold.clone();
                    let change = format!(
                        "call {} {} replaced by {}{}",
                        i + 1,
                        call.name,
                        tool.name,
                        Value::Object(arguments.clone())
                    );
                    calls[i].name.clone_from(&tool.name);
                    calls[i].arguments = arguments;
                    found.push(self.made(Edit::Sibling, change, calls));
                }
            }
        }
        found
    }

    fn extra(&self, rng: &mut Rng) -> Vec<Mutant> {
        let mut found = Vec::new();
        for tool in self.tools {
            for arguments in self.argument_sets(tool, None, rng, PER_TOOL) {
                let at = rng.below(self.task.gold.len() + 1);
                let change = format!(
                    "{}{} added after call {at}",
                    tool.name,
                    Value::Object(arguments.clone())
                );
                let mut calls = self.task.gold.clone();
                let call = ToolCall {
                    id: "extra".into(),
                    name: tool.name.clone(),
                    arguments,
                };
                calls.insert(at, call);
                found.push(self.made(Edit::Extra, change, calls));
            }
        }
        found
    }

    fn outputs(&self, rng: &mut Rng) -> Vec<Mutant> {
        let mut found = Vec::new();
        for (i, output) in self.task.outputs.iter().enumerate() {
            let mut outputs = self.task.outputs.clone();
            outputs.remove(i);
            found.push(Mutant {
                edit: Edit::DropOutput,
                change: format!("{output:?} not said"),
                calls: self.task.gold.clone(),
                outputs,
            });
            let mut others = self.plausible.other_outputs(output);
            rng.shuffle(&mut others);
            for other in others.into_iter().take(PER_ARGUMENT) {
                let mut outputs = self.task.outputs.clone();
                let change = format!("{other:?} said instead of {output:?}");
                outputs[i] = other;
                found.push(Mutant {
                    edit: Edit::AlterOutput,
                    change,
                    calls: self.task.gold.clone(),
                    outputs,
                });
            }
        }
        found
    }

    /// Up to `limit` sets of arguments for a tool: first those that reuse what the conversation is about.
    fn argument_sets(
        &self,
        tool: &ToolSpec,
        given: Option<&Map<String, Value>>,
        rng: &mut Rng,
        limit: usize,
    ) -> Vec<Map<String, Value>> {
        let choices: Vec<(String, Vec<Value>)> = properties(tool)
            .filter(|(name, _)| {
                required(tool, name) || given.is_some_and(|g| g.contains_key(*name))
            })
            .map(|(name, schema)| {
                let values = match given.and_then(|g| g.get(name)) {
                    Some(value) => vec![value.clone()],
                    None => self.plausible.fill(schema, name, rng),
                };
                (name.clone(), values)
            })
            .collect();
        if choices.iter().any(|(_, values)| values.is_empty()) {
            return Vec::new();
        }
        let mut sets: Vec<Map<String, Value>> = Vec::new();
        for round in 0..limit {
            let set: Map<String, Value> = choices
                .iter()
                .map(|(name, values)| {
                    // The first set takes the likeliest value of each; later ones vary about half of them.
                    let likeliest = round == 0 || rng.below(2) == 0;
                    let i = if likeliest {
                        0
                    } else {
                        rng.below(values.len())
                    };
                    (name.clone(), values[i].clone())
                })
                .collect();
            if !sets.contains(&set) {
                sets.push(set);
            }
        }
        sets
    }
}

fn properties(tool: &ToolSpec) -> impl Iterator<Item = (&String, &Value)> {
    tool.parameters["properties"]
        .as_object()
        .into_iter()
        .flatten()
}

fn required(tool: &ToolSpec, name: &str) -> bool {
    tool.parameters["required"]
        .as_array()
        .is_some_and(|r| r.iter().any(|v| v == name))
}

fn with_id(mut call: ToolCall, suffix: &str) -> ToolCall {
    call.id = format!("{}-{suffix}", call.id);
    call
}
