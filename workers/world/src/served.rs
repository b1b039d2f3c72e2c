//! Calls of a domain with servers: what the servers hold is theirs to change, the rest is the sandbox's.

use std::collections::BTreeMap;
use std::sync::Arc;

use agoge_dialogue::{ToolCall, ToolSpec};
use agoge_sandbox::{Outcome, Overlay, State};
use serde_json::{Map, Value};

use crate::backend::Capabilities;
use crate::domain::Domain;
use crate::episode::{Episode, SYNC, World};
use crate::servers::Foreign;

impl Domain {
    /// Returns the domain with tools on servers: the agent's, and the records that the servers begin with.
    ///
    /// # Errors
    /// The name of a tool or collection that both sides have, or data that cannot be a state.
    pub fn attach(
        mut self,
        foreign: Arc<dyn Foreign>,
        tools: Vec<ToolSpec>,
        records: BTreeMap<String, BTreeMap<String, Value>>,
    ) -> Result<Self, String> {
        let mut state = self.state.to_json();
        let all = state.as_object_mut().ok_or("the state is no object")?;
        for (collection, records) in records {
            if all.contains_key(&collection) {
                return Err(format!(
                    "state.json and a server both have a collection `{collection}`; take it out of state.json"
                ));
            }
            all.insert(collection, Value::Object(records.into_iter().collect()));
        }
        self.state =
            State::shaped(state, self.state.shapes().clone()).map_err(|error| error.to_string())?;
        for tool in tools {
            if !self.functions.insert(tool.name.clone()) {
                return Err(format!(
                    "the folder and a server both have a tool `{}`; rename yours, or list it under `omit`",
                    tool.name
                ));
            }
            self.tools.push(tool);
        }
        self.foreign = Some(foreign);
        Ok(self)
    }

    /// The abilities of its tools: the sandbox has all, a server may lack some.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        match &self.foreign {
            Some(foreign) => foreign.capabilities(),
            None => World::CAPABILITIES,
        }
    }
}

impl World {
    /// Runs a tool of a server, then the domain's `_sync` in the sandbox. A call whose `_sync` is lost has not been made: the
    /// server is brought back to the calls before it.
    pub(crate) fn served(
        &mut self,
        foreign: &dyn Foreign,
        episode: &mut Episode,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> Outcome {
        let call = ToolCall::new(name, arguments.clone());
        let answer = match foreign.call(&episode.served, &call) {
            Ok(answer) => answer,
            Err(lost) => return Outcome::Lost(lost.0),
        };
        episode.served.push(call);
        let after = replaced(foreign, &episode.overlay, answer.overlay);
        let before = std::mem::replace(&mut episode.overlay, after);
        if self.domain().sync {
            let synced = self.beside(foreign, episode, SYNC, &Map::new());
            if matches!(synced, Outcome::Lost(_)) {
                episode.served.pop();
                episode.overlay = before;
            }
            if !matches!(synced, Outcome::Value(_)) {
                return synced;
            }
        }
        match answer.error {
            false => Outcome::Value(answer.content),
            true => Outcome::Raised {
                kind: "ToolError".into(),
                message: match answer.content {
                    Value::String(text) => text,
                    other => other.to_string(),
                },
                line: None,
            },
        }
    }

    /// Runs a function of the sandbox, which may read the records of servers and must not write them.
    pub(crate) fn beside(
        &mut self,
        foreign: &dyn Foreign,
        episode: &mut Episode,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> Outcome {
        let (outcome, after) = self.in_sandbox(episode, name, arguments);
        let owned = |overlay: &Overlay| overlay.part(&|collection| foreign.owns(collection));
        if owned(&after) != owned(&episode.overlay) {
            return Outcome::Raised {
                kind: "PermissionError".into(),
                message: format!(
                    "{name} writes records that a server holds; write only collections of state.json"
                ),
                line: None,
            };
        }
        episode.overlay = after;
        outcome
    }
}

/// Returns an overlay in which the servers' collections are as a server has them.
fn replaced(foreign: &dyn Foreign, overlay: &Overlay, theirs: Overlay) -> Overlay {
    let mut all = overlay.part(&|collection| !foreign.owns(collection));
    all.join(theirs);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episode::Lost;
    use crate::servers::Served;
    use agoge_sandbox::State;
    use serde_json::json;

    #[derive(Debug)]
    struct Rooms;

    impl Foreign for Rooms {
        fn capabilities(&self) -> Capabilities {
            Capabilities::REPLAY
        }

        fn has(&self, tool: &str) -> bool {
            tool == "book"
        }

        fn owns(&self, collection: &str) -> bool {
            collection == "rooms"
        }

        fn call(&self, _before: &[ToolCall], _call: &ToolCall) -> Result<Served, Lost> {
            Err(Lost("it is down".into()))
        }
    }

    #[test]
    fn a_server_replaces_its_own_records_and_leaves_the_sandboxes_alone() {
        let state = json!({"rooms": {"1": {"free": true}, "2": {"free": true}}, "guests": {}});
        let base = State::from_json(state).unwrap();
        let (mut ours, mut theirs) = (Overlay::default(), Overlay::default());
        ours.put(&base, "guests", "ann", json!({"room": "1"}));
        ours.put(&base, "rooms", "1", json!({"free": false}));
        theirs.put(&base, "rooms", "2", json!({"free": false}));
        let all = replaced(&Rooms, &ours, theirs);
        let places: Vec<String> = all
            .diff(&base)
            .into_iter()
            .map(|change| format!("{}/{}", change.collection, change.id))
            .collect();
        assert_eq!(places, ["guests/ann", "rooms/2"]);
    }
}
