//! `agoge domain show`: a task as user, agent and checker see it, or the effects of one call.

use std::path::PathBuf;
use std::sync::Arc;

use agoge_dialogue::{ToolCall, ToolSpec};
use agoge_sandbox::Limits;
use agoge_synthesis::rollout::{Calls, agent_prompt};
use agoge_world::{Domain, Party, Split, Task, World, more, trace, trace_call};
use clap::Args;
use serde_json::{Map, Value, json};

use super::{diff, inside};
use crate::failure::Failure;

/// Tasks of one branch that are searched for an id.
const SEARCHED: usize = 10_000;
/// Bytes of a token, about.
const BYTES: usize = 4;

/// The task to show.
#[derive(Debug, Args)]
pub struct Show {
    /// The domain's folder (the one with domain.yaml), or a folder that has it as domain/.
    pub dir: PathBuf,
    /// The task of this id.
    #[arg(long, value_name = "ID", conflicts_with_all = ["template", "branch"])]
    pub task: Option<String>,
    /// A task of this template.
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// A task of this branch of the template.
    #[arg(long, value_name = "NAME", requires = "template")]
    pub branch: Option<String>,
    /// The split: trainSft, trainRl, heldout or unseen.
    #[arg(long, value_parser = split)]
    pub split: Option<Split>,
    /// Make one call at the beginning of the task, and show its result and the differences that it makes: the tool, then its
    /// arguments as JSON.
    #[arg(long, value_name = "TOOL JSON", value_parser = call)]
    pub call: Option<ToolCall>,
    /// Show the tools and the system prompt that a model reads, with the number of tokens.
    #[arg(long)]
    pub prompt: bool,
}

/// Runs it.
///
/// # Errors
/// The domain cannot be loaded, or it has no such task.
pub fn show(show: &Show) -> Result<(), Failure> {
    let domain = Arc::new(agoge_servers::load(&inside(&show.dir)).map_err(Failure::input)?);
    if show.prompt && show.call.is_none() {
        return prompt(&domain);
    }
    let mut world = World::open(domain.clone(), Limits::default())?;
    if let Some(call) = &show.call {
        // A call needs no task.
        let task = match (&show.task, &show.template) {
            (None, None) => Task::default(),
            _ => task(&domain, show)?,
        };
        let mut episode = world.begin(&task).map_err(Failure::input)?;
        let traced = trace_call(&mut world, &mut episode, call);
        print!("{}", diff::of_call(&traced, usize::MAX));
        if let Some(raised) = &traced.raised {
            let line = raised
                .line
                .map(|line| format!(" in line {line}"))
                .unwrap_or_default();
            println!("    raised {}{line}: {}", raised.kind, raised.message);
        }
        return Ok(());
    }
    let task = task(&domain, show)?;
    about(&domain, &task);
    let traced = trace(&mut world, &task).map_err(Failure::input)?;
    println!("\ngold of {}", diff::of_task(&traced));
    println!("tools:");
    for (party, name) in [(Party::Agent, ""), (Party::User, " (the user's)")] {
        for tool in domain.tools_of(party) {
            println!("  {}{name} {}", tool.name, tool.parameters);
        }
    }
    let (words, tools) = sizes(&domain);
    println!("\nprompt: about {words} tokens, and {tools} of tool schemas ({ESTIMATE})");
    Ok(())
}

/// The way in which tokens are counted.
const ESTIMATE: &str = "an estimate: UTF-8 bytes / 4; the number depends on the model's tokenizer";

/// Prints who the user is, what it knows, and what must hold at the end.
fn about(domain: &Domain, task: &Task) {
    println!("task {} ({})", task.id, task.branch);
    println!("  instruction: {}", task.user.instruction);
    if !task.user.persona.is_empty() {
        println!("  persona: {}", task.user.persona);
    }
    println!("  opening: {}", task.user.opening);
    for fact in &task.user.facts {
        let held = if fact.held { " (told when asked)" } else { "" };
        println!("  fact {}: {}{held}", fact.name, fact.value);
    }
    println!("  outputs: {}", task.outputs.join(", "));
    if task.is_refusal() {
        println!("  a refusal: the agent must change nothing");
    }
    let parts = [
        ("records", json!(task.records), task.records.is_empty()),
        ("start", json!(task.start), task.start.is_empty()),
        ("calls", json!(task.calls), task.calls.is_empty()),
        ("asserts", json!(task.asserts), task.asserts.is_empty()),
        ("judge", json!(task.judge), task.judge.is_empty()),
        ("basis", json!(task.basis), task.basis.is_empty()),
    ];
    for (name, value, _) in parts.iter().filter(|(_, _, empty)| !empty) {
        println!("  {name}: {value}");
    }
    println!("  now: {}", domain.now);
}

/// Prints the tools and the prompt of an agent with native calls.
fn prompt(domain: &Domain) -> Result<(), Failure> {
    println!("{}", agent_prompt(domain, Calls::Native));
    let tools: Vec<Value> = domain.tools.iter().map(ToolSpec::to_openai).collect();
    println!(
        "{}",
        serde_json::to_string_pretty(&tools).map_err(Failure::input)?
    );
    let (words, tools) = sizes(domain);
    println!("prompt: about {words} tokens, and {tools} of tool schemas ({ESTIMATE})");
    if !domain.prompt.is_empty() {
        println!("small policies read {:?} instead", domain.prompt);
    }
    Ok(())
}

/// The tokens of the prompt and of the tools' schemas, about.
fn sizes(domain: &Domain) -> (usize, usize) {
    let tools: Vec<Value> = domain.tools.iter().map(ToolSpec::to_openai).collect();
    let words = agent_prompt(domain, Calls::Native).len();
    (
        words.div_ceil(BYTES),
        json!(tools).to_string().len().div_ceil(BYTES),
    )
}

/// Returns the task that is asked for.
fn task(domain: &Domain, show: &Show) -> Result<Task, Failure> {
    let fits = |task: &&Task| show.task.as_ref().is_none_or(|id| task.id == *id);
    if show.template.is_none() {
        let mut given: Vec<&Task> = match show.split {
            Some(split) => domain.given(split).collect(),
            None => domain.tasks.iter().collect(),
        };
        given.retain(fits);
        if let Some(task) = given.first() {
            return Ok((*task).clone());
        }
    }
    let splits = match show.split {
        Some(split) => vec![split],
        None => Split::ALL.to_vec(),
    };
    let count = if show.task.is_some() { SEARCHED } else { 1 };
    for split in splits {
        for template in &domain.templates {
            if show
                .template
                .as_ref()
                .is_some_and(|name| *name != template.name)
            {
                continue;
            }
            for branch in &template.branches {
                if show
                    .branch
                    .as_ref()
                    .is_some_and(|name| *name != branch.name)
                {
                    continue;
                }
                // A task's id begins with its template and branch.
                let begins = format!("{}-{}-", template.name, branch.name);
                if show
                    .task
                    .as_ref()
                    .is_some_and(|id| !id.starts_with(&begins))
                {
                    continue;
                }
                let name = format!("{}/{}", template.name, branch.name);
                // A split without tasks has none that fits.
                let drawn = more(domain, split, 0, &name, 0, count).unwrap_or_default();
                if let Some(task) = drawn.iter().find(fits) {
                    return Ok(task.clone());
                }
            }
        }
    }
    let branches = domain.templates.iter().flat_map(|template| {
        let names = template.branches.iter();
        names.map(move |branch| format!("{}/{}", template.name, branch.name))
    });
    Err(Failure::Input(format!(
        "there is no such task; the branches are {}, and {} tasks are given",
        branches.collect::<Vec<_>>().join(", "),
        domain.tasks.len()
    )))
}

fn split(text: &str) -> Result<Split, String> {
    serde_json::from_value(json!(text))
        .map_err(|_| "one of trainSft, trainRl, heldout, unseen".into())
}

fn call(text: &str) -> Result<ToolCall, String> {
    let text = text.trim();
    let (tool, arguments) = text.split_once(char::is_whitespace).unwrap_or((text, "{}"));
    let arguments: Map<String, Value> =
        serde_json::from_str(arguments.trim()).map_err(|error| {
            format!(
                "the arguments are no JSON object: {error}; write 'renew {{\"member\": \"10432\"}}'"
            )
        })?;
    Ok(ToolCall::new(tool, arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_a_tool_with_or_without_arguments() {
        let read = |text: &str| call(text).map(|call| (call.name, Value::from(call.arguments)));
        assert_eq!(read("look").unwrap(), ("look".into(), json!({})));
        assert_eq!(
            read(" look  {\"a\": 1} ").unwrap(),
            ("look".into(), json!({"a": 1}))
        );
        assert!(read("look a").unwrap_err().contains("no JSON object"));
    }
}
