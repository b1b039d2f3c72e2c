//! The check of a domain's servers: the same calls give the same results and the same state, again and again.

use std::sync::Arc;
use std::time::Duration;

use agoge_dialogue::ToolCall;
use agoge_sandbox::Limits;
use agoge_world::{
    Capabilities, Domain, Findings, Foreign, Mix, Place, Problem, Protocol, Served, Split, Task,
    World, possible, tasks,
};
use serde_json::Map;

use crate::launch::isolation;

/// Tasks whose gold is tried.
const TASKS: usize = 5;
/// Tasks that are drawn to find these among them.
const DRAWN: usize = 200;
/// Times that the calls are made: by two servers of the pool, and after a reset.
const TIMES: usize = 3;
/// The time before the last one, so that a clock that tells seconds is found out.
const TICK: Duration = Duration::from_millis(1100);
/// The longest part of a text that a message shows.
const SHOWN: usize = 160;

/// Returns the findings about a domain's servers, which are attached already: results or states that differ from one
/// time to the next are a problem, what cannot be checked or prevented on this machine is a warning. A domain without
/// servers has none.
#[must_use]
pub fn check(domain: &Arc<Domain>) -> Findings {
    let Some(foreign) = &domain.foreign else {
        return Findings::default();
    };
    let tried = tried(domain, &**foreign);
    Findings {
        problems: problems(domain, &**foreign, &tried),
        warnings: warnings(domain, &**foreign, tried.is_empty()),
        ..Findings::default()
    }
}

fn problems(domain: &Domain, foreign: &dyn Foreign, tried: &[Vec<ToolCall>]) -> Vec<Problem> {
    let file = domain.dir.join("domain.yaml");
    let found = tried
        .iter()
        .find_map(|calls| determinism(foreign, calls).err());
    let remedy = "set the server's clock and seeds by `env`, add `restart: true` to its state, or leave the tool out by `omit`";
    found
        .map(|message| Problem::new(&file, message, remedy))
        .into_iter()
        .collect()
}

/// Makes the same calls several times from the initial state.
///
/// # Errors
/// The first call whose result or state is not the same each time, or that has no result.
fn determinism(foreign: &dyn Foreign, calls: &[ToolCall]) -> Result<(), String> {
    let once = || -> Result<Vec<Served>, String> {
        (0..calls.len())
            .map(|at| foreign.call(&calls[..at], &calls[at]))
            .collect::<Result<_, _>>()
            .map_err(|lost| lost.to_string())
    };
    let first = once()?;
    for time in 1..TIMES {
        if time + 1 == TIMES {
            std::thread::sleep(TICK);
        }
        let again = once()?;
        for ((call, one), other) in calls.iter().zip(&first).zip(&again) {
            if (one.error, &one.content) != (other.error, &other.content) {
                let (one, other) = (one.content.to_string(), other.content.to_string());
                return Err(format!(
                    "`{}` is not deterministic: the same calls gave {} and then {}",
                    call.name,
                    short(&one),
                    short(&other)
                ));
            }
            if one.overlay != other.overlay {
                return Err(format!(
                    "`{}` is not deterministic: the same calls left the records {} and then {}",
                    call.name,
                    short(&one.overlay.fingerprint()),
                    short(&other.overlay.fingerprint())
                ));
            }
        }
    }
    Ok(())
}

fn short(text: &str) -> &str {
    let end = text
        .char_indices()
        .nth(SHOWN)
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// The calls that are tried: those of a few golds that servers answer; without any, each tool that needs no argument.
fn tried(domain: &Arc<Domain>, foreign: &dyn Foreign) -> Vec<Vec<ToolCall>> {
    let mut all: Vec<Task> = domain.tasks.clone();
    if all.is_empty()
        && !domain.templates.is_empty()
        && let Ok(mut world) = World::open(domain.clone(), Limits::default())
    {
        let n = possible(&mut world, Split::Heldout, Mix::default()).min(DRAWN);
        all = tasks(&mut world, Split::Heldout, Mix::default(), 0, n).unwrap_or_default();
    }
    let served = |task: &Task| -> Vec<ToolCall> {
        let calls = task.start.iter().chain(&task.gold);
        let served = calls.filter(|call| foreign.has(&call.name));
        served
            .map(|call| ToolCall::new(&call.name, call.arguments.clone()))
            .collect()
    };
    let mut tried: Vec<Vec<ToolCall>> = all.iter().map(served).collect();
    tried.retain(|calls| !calls.is_empty());
    tried.truncate(TASKS);
    if tried.is_empty() {
        let free = domain.tools.iter().filter(|tool| {
            let required = tool.parameters["required"].as_array();
            foreign.has(&tool.name) && required.is_none_or(Vec::is_empty)
        });
        let calls: Vec<ToolCall> = free
            .map(|tool| ToolCall::new(&tool.name, Map::new()))
            .collect();
        tried.extend((!calls.is_empty()).then_some(calls));
    }
    tried
}

/// Returns what cannot be checked, or cannot be prevented on this machine. `untried` says that there were no calls to try.
fn warnings(domain: &Domain, foreign: &dyn Foreign, untried: bool) -> Vec<Problem> {
    let Some(spec) = &domain.servers else {
        return Vec::new();
    };
    let file = domain.dir.join("domain.yaml");
    let warning = |message: &str, remedy: &str| Problem::new(&file, message, remedy);
    let mut all = Vec::new();
    if !foreign.capabilities().has(Capabilities::DIFF) {
        all.push(warning(
            "nobody sees the state of the tool server (`state: replay`), so only results and messages are checked",
            "add `files` or `export` to its state",
        ));
    }
    if untried {
        all.push(warning(
            "the tool server may not be deterministic: no task or template has gold that it answers, so nothing was tried",
            "add tasks or templates, and check again",
        ));
    }
    match (&spec.place, &spec.protocol) {
        (Place::Command(_), Protocol::Mcp) if isolation().is_some() => {}
        (Place::Command(_), Protocol::Mcp) => all.push(warning(
            "the tool server keeps its network: `unshare` is missing here, or the kernel refuses user namespaces",
            "install util-linux, or serve only tools that need no network",
        )),
        _ => all.push(warning(
            "the tool server keeps its network, since it is reached over HTTP",
            "serve only tools that need no network; on a cluster a NetworkPolicy takes it away",
        )),
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use agoge_world::Lost;
    use serde_json::json;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts its calls, and answers with the count where it tells.
    #[derive(Debug)]
    struct Counter {
        calls: AtomicUsize,
        tells: bool,
    }

    impl Foreign for Counter {
        fn capabilities(&self) -> Capabilities {
            Capabilities::REPLAY
        }

        fn has(&self, _: &str) -> bool {
            true
        }

        fn owns(&self, _: &str) -> bool {
            true
        }

        fn call(&self, _: &[ToolCall], call: &ToolCall) -> Result<Served, Lost> {
            let number = self.calls.fetch_add(1, Ordering::Relaxed);
            match call.name.as_str() {
                "dead" => Err(Lost("it ended".into())),
                _ => Ok(Served {
                    content: json!(if self.tells { number } else { 0 }),
                    ..Served::default()
                }),
            }
        }
    }

    #[test]
    fn a_tool_that_answers_otherwise_the_next_time_is_named() {
        let tried = |tells, name| {
            let counter = Counter {
                calls: AtomicUsize::new(0),
                tells,
            };
            determinism(&counter, &[ToolCall::new(name, Map::new())])
        };
        assert_eq!(tried(false, "now"), Ok(()));
        let message = tried(true, "now").unwrap_err();
        assert!(
            message.contains("`now`") && message.contains("gave 0 and then 1"),
            "{message}"
        );
        assert!(tried(false, "dead").unwrap_err().contains("it ended"));
    }
}
