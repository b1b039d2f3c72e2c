//! Gold calls that leave no trace: they change no record and tell nothing, so that a checker of the final state passes without
//! them. A call that informs is no such call: leaving it out is the agent's own risk.
use crate::plausible::Plausible;
use agoge_dialogue::ToolCall;
use agoge_world::{Episode, Lost, Task, World};
use serde_json::{Map, Value};

/// Other values that each argument is tried with at most. A rare answer must not be missed; the first other answer ends it.
const OTHERS: usize = 48;

/// Returns the numbers, from 0, of the gold calls that leave no trace and are no look-ups. `prefixes` are gold's episodes
/// after 0, 1, 2, … calls.
///
/// # Errors
/// When the sandbox gives no result.
pub(crate) fn traceless(
    world: &mut World,
    task: &Task,
    prefixes: &[Episode],
    plausible: &Plausible,
) -> Result<Vec<usize>, Lost> {
    let domain = world.domain().clone();
    let plausible = plausible.with_task(task);
    let mut found = Vec::new();
    for (number, (call, pair)) in task.gold.iter().zip(prefixes.windows(2)).enumerate() {
        let (before, after) = (&pair[0], &pair[1]);
        let declined = after
            .calls
            .last()
            .is_some_and(|(_, result)| result.declined.is_some());
        let fails = task.fails_at(number + 1);
        let known = declined || fails || domain.lookups.contains(&call.name);
        if before.overlay == after.overlay && !known && !informs(world, call, before, &plausible)? {
            found.push(number);
        }
    }
    Ok(found)
}

/// Returns true when a call that changes nothing informs: with other arguments it says something else, the arguments
/// themselves aside. Where there is nothing to compare with, it informs if it reads the data or the clock.
fn informs(
    world: &mut World,
    call: &ToolCall,
    before: &Episode,
    plausible: &Plausible,
) -> Result<bool, Lost> {
    let Some(tool) = world.domain().tool(&call.name).cloned() else {
        return Ok(true);
    };
    let reads = world.spent().reads;
    let (said, _) = answer(world, call, before)?;
    let reads = world.spent().reads > reads;
    let mut compared = false;
    for (name, value) in &call.arguments {
        let others = plausible.others(&tool.parameters["properties"][name], name, value);
        for other in others.into_iter().take(OTHERS) {
            let mut varied = call.clone();
            varied.arguments.insert(name.clone(), other);
            let (answered, acts) = answer(world, &varied, before)?;
            if acts {
                return Ok(false);
            }
            compared |= answered.is_some();
            if answered.is_some() && answered != said {
                return Ok(true);
            }
        }
    }
    Ok(reads && !compared)
}

/// Makes a call. Returns its answer without its own arguments, or `None` when the tool refused it, and true if it acted.
fn answer(
    world: &mut World,
    call: &ToolCall,
    before: &Episode,
) -> Result<(Option<String>, bool), Lost> {
    let mut episode = before.clone();
    let result = world.call(&mut episode, call);
    result.known()?;
    let acts = episode.overlay != before.overlay;
    let said = result
        .worked()
        .then(|| without(&result.content, &call.arguments));
    Ok((said, acts))
}

/// Returns a text without the values of arguments.
fn without(text: &str, arguments: &Map<String, Value>) -> String {
    let mut values = Vec::new();
    for value in arguments.values() {
        scalars(value, &mut values);
    }
    // The longest first, so that none is cut in two.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values
        .iter()
        .fold(text.to_owned(), |text, value| text.replace(value, "\u{0}"))
}

fn scalars(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => into.push(text.clone()),
        Value::Number(number) => into.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| scalars(item, into)),
        Value::Object(map) => map.values().for_each(|item| scalars(item, into)),
        Value::Null | Value::Bool(_) => {}
    }
}
