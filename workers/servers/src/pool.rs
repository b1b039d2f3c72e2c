//! A pool of servers, each in the state after some calls: the one that is nearest to an episode serves it.

use std::collections::BTreeSet;

use agoge_dialogue::{ToolCall, ToolSpec};
use agoge_sandbox::{Overlay, State};
use agoge_world::{Capabilities, Foreign, Lost, SeenState, Served, ServerSpec, ServerState};
use parking_lot::{Condvar, Mutex};
use serde_json::{Map, Value};

use crate::files::{self, Contents};
use crate::records::{self, Records};
use crate::server::{Plant, Server};

/// Attempts at a call: a server may have been ended from outside.
const ATTEMPTS: usize = 2;

/// The servers of a domain.
#[derive(Debug)]
pub(crate) struct Pool {
    // Before the plant: servers end before the thread of their connections does.
    shelf: Mutex<Shelf>,
    plant: Plant,
    /// The tools that the agent has.
    tools: BTreeSet<String>,
    initial: Initial,
    /// The collections of `state.json`, which are not the servers'.
    ours: BTreeSet<String>,
    back: Condvar,
}

/// The state with which every server begins.
#[derive(Debug)]
struct Initial {
    contents: Contents,
    records: Records,
    base: State,
}

#[derive(Debug, Default)]
struct Shelf {
    free: Vec<Slot>,
    /// Number of slots that were made.
    made: usize,
}

/// A server and the calls that it has answered since its last reset.
#[derive(Debug, Default)]
struct Slot {
    number: usize,
    server: Option<Server>,
    history: Vec<ToolCall>,
}

impl Pool {
    /// Starts the first server, and returns the pool with the tools and records that it begins with.
    ///
    /// # Errors
    /// The server does not start, or its state cannot be read.
    pub fn open(plant: Plant) -> Result<(Self, Vec<ToolSpec>, Records), String> {
        let seeds = match plant.spec.seen() {
            Some(seen) => files::read(seen, &ServerSpec::initial(&plant.domain.dir))?,
            None => Contents::new(),
        };
        let server = plant.start(0, |folder| match plant.spec.seen() {
            Some(seen) => files::put_back(seen, folder, &seeds),
            None => Ok(()),
        })?;
        let tools = crate::tools::visible(&plant.spec, server.tools())?;
        if let Some(seen) = plant.spec.seen() {
            reset_by_tool(&plant, seen, &server)?;
        }
        let (contents, records) = match plant.spec.seen() {
            Some(seen) => look(&plant, seen, &server)?,
            None => (Contents::new(), Records::new()),
        };
        let base = records::state(&records)?;
        let ours = plant
            .domain
            .state
            .collections()
            .map(str::to_owned)
            .collect();
        let pool = Self {
            tools: tools.iter().map(|tool| tool.name.clone()).collect(),
            initial: Initial {
                contents,
                records: records.clone(),
                base,
            },
            ours,
            shelf: Mutex::new(Shelf {
                free: vec![Slot {
                    number: 0,
                    server: Some(server),
                    history: Vec::new(),
                }],
                made: 1,
            }),
            back: Condvar::new(),
            plant,
        };
        Ok((pool, tools, records))
    }

    /// Takes the slot whose calls are the longest beginning of `before`; else a new one; else the one that waited longest.
    fn take(&self, before: &[ToolCall]) -> Slot {
        let mut shelf = self.shelf.lock();
        loop {
            let histories = shelf
                .free
                .iter()
                .map(|slot| slot.server.as_ref().map(|_| slot.history.as_slice()));
            if let Some(at) = nearest(histories, before) {
                return shelf.free.remove(at);
            }
            if shelf.made < self.plant.size() {
                let number = shelf.made;
                shelf.made += 1;
                return Slot {
                    number,
                    ..Slot::default()
                };
            }
            if !shelf.free.is_empty() {
                return shelf.free.remove(0);
            }
            self.back.wait(&mut shelf);
        }
    }

    fn give(&self, slot: Slot) {
        let mut shelf = self.shelf.lock();
        shelf.free.push(slot);
        self.back.notify_one();
    }

    fn serve(
        &self,
        slot: &mut Slot,
        before: &[ToolCall],
        call: &ToolCall,
    ) -> Result<Served, String> {
        let stateless = self.plant.spec.state == ServerState::None;
        let before = if stateless { &[] } else { before };
        if slot.server.is_none() {
            slot.server = Some(self.start(slot.number)?);
            slot.history.clear();
        } else if !before.starts_with(&slot.history) {
            self.reset(slot)?;
        }
        let server = slot.server.as_ref().ok_or("it is not running")?;
        for earlier in before.iter().skip(slot.history.len()) {
            server.call(&self.plant, &earlier.name, &earlier.arguments)?;
            slot.history.push(earlier.clone());
        }
        let (content, error) = server.call(&self.plant, &call.name, &call.arguments)?;
        if !stateless {
            slot.history.push(call.clone());
        }
        Ok(Served {
            content,
            error,
            overlay: self.overlay(server)?,
        })
    }

    fn start(&self, number: usize) -> Result<Server, String> {
        let plant = &self.plant;
        let Some(seen) = plant.spec.seen() else {
            return plant.start(number, |_| Ok(()));
        };
        let contents = &self.initial.contents;
        let server = plant.start(number, |folder| files::put_back(seen, folder, contents))?;
        // It may have written while it started.
        if !reset_by_tool(plant, seen, &server)? && !seen.restart {
            files::put_back(seen, server.folder(), contents)?;
        }
        Ok(server)
    }

    /// Brings back the initial state: by the tool that does, else by the files, else by a restart.
    fn reset(&self, slot: &mut Slot) -> Result<(), String> {
        slot.history.clear();
        let server = slot.server.take().ok_or("it is not running")?;
        slot.server = Some(match self.plant.spec.seen() {
            Some(seen) if reset_by_tool(&self.plant, seen, &server)? => server,
            Some(seen)
                if !seen.files.is_empty()
                    && !seen.restart
                    && !files::logged(seen, server.folder()) =>
            {
                files::put_back(seen, server.folder(), &self.initial.contents)?;
                server
            }
            _ => {
                drop(server);
                self.start(slot.number)?
            }
        });
        Ok(())
    }

    fn overlay(&self, server: &Server) -> Result<Overlay, String> {
        let Some(seen) = self.plant.spec.seen() else {
            return Ok(Overlay::default());
        };
        let initial = &self.initial;
        let now = match &seen.export {
            Some(tool) => exported(&self.plant, seen, tool, server)?,
            None => {
                let contents = files::read(seen, server.folder())?;
                if contents == initial.contents && !files::logged(seen, server.folder()) {
                    return Ok(Overlay::default());
                }
                files::records(seen, server.folder(), &contents)?
            }
        };
        if let Some(name) = now.keys().find(|name| self.ours.contains(*name)) {
            return Err(format!(
                "it made a collection `{name}`, which state.json has"
            ));
        }
        Ok(records::differences(&initial.base, &initial.records, &now))
    }
}

/// Returns the position of the longest history that is a beginning of `before`; `None` is a slot without a server.
fn nearest<'a>(
    histories: impl Iterator<Item = Option<&'a [ToolCall]>>,
    before: &[ToolCall],
) -> Option<usize> {
    let fitting = histories
        .enumerate()
        .filter_map(|(at, history)| Some((at, history?)))
        .filter(|(_, history)| before.starts_with(history));
    let (at, _) = fitting.max_by_key(|(_, history)| history.len())?;
    Some(at)
}

/// Calls the tool that resets the state; false when there is none.
fn reset_by_tool(plant: &Plant, seen: &SeenState, server: &Server) -> Result<bool, String> {
    let Some(tool) = &seen.reset else {
        return Ok(false);
    };
    let answer = server.ask(plant, tool, &Map::new())?;
    match answer.error {
        true => Err(format!(
            "{tool} does not reset the state: {}",
            answer.content
        )),
        false => Ok(true),
    }
}

/// Reads the state of a server.
fn look(plant: &Plant, seen: &SeenState, server: &Server) -> Result<(Contents, Records), String> {
    if let Some(tool) = &seen.export {
        return Ok((Contents::new(), exported(plant, seen, tool, server)?));
    }
    let contents = files::read(seen, server.folder())?;
    let records = files::records(seen, server.folder(), &contents)?;
    Ok((contents, records))
}

/// Asks a server for its state by the tool that exports it.
fn exported(
    plant: &Plant,
    seen: &SeenState,
    tool: &str,
    server: &Server,
) -> Result<Records, String> {
    let answer = server.ask(plant, tool, &Map::new())?;
    if answer.error {
        return Err(format!(
            "{tool} does not export the state: {}",
            answer.content
        ));
    }
    let document: Value = serde_json::from_str(&answer.content)
        .map_err(|error| format!("{tool} does not return JSON: {error}"))?;
    let part = files::part(seen, &document).ok_or_else(|| files::missing(seen, tool))?;
    let mut all = Records::new();
    records::add(&mut all, "state", part);
    Ok(all)
}

impl Foreign for Pool {
    fn capabilities(&self) -> Capabilities {
        self.plant.spec.capabilities()
    }

    fn has(&self, tool: &str) -> bool {
        self.tools.contains(tool)
    }

    fn owns(&self, collection: &str) -> bool {
        !self.ours.contains(collection)
    }

    fn call(&self, before: &[ToolCall], call: &ToolCall) -> Result<Served, Lost> {
        let mut slot = self.take(before);
        let mut why = String::new();
        let mut served = None;
        for _ in 0..ATTEMPTS {
            match self.serve(&mut slot, before, call) {
                Ok(answer) => {
                    served = Some(answer);
                    break;
                }
                Err(reason) => {
                    tracing::warn!(tool = call.name, reason, "a tool server gave no answer");
                    why = reason;
                    // Dropped, it is killed; the next attempt begins with a fresh one.
                    slot.server = None;
                    slot.history.clear();
                }
            }
        }
        self.give(slot);
        served.ok_or_else(|| Lost(format!("the server of `{}`: {why}", call.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_that_is_furthest_on_the_way_serves_an_episode() {
        let calls = |names: &str| -> Vec<ToolCall> {
            let names = names.chars().map(String::from);
            names.map(|name| ToolCall::new(&name, Map::new())).collect()
        };
        let at = |histories: &[Option<&str>], before: &str| {
            let all: Vec<Option<Vec<ToolCall>>> =
                histories.iter().map(|names| names.map(calls)).collect();
            nearest(all.iter().map(Option::as_deref), &calls(before))
        };
        let histories = [Some(""), Some("a"), Some("ab"), Some("b"), None];
        assert_eq!(at(&histories, "abc"), Some(2));
        assert_eq!(at(&histories, "ac"), Some(1));
        assert_eq!(at(&histories, "c"), Some(0));
        assert_eq!(at(&histories[2..], "c"), None);
    }
}
