//! The place of the servers where somebody else starts them: on a cluster they are a sidecar of the worker.

use std::path::PathBuf;

use agoge_world::{Place, ServerSpec, ServerState};

/// The variable with the address of servers that run already; it replaces the command of `domain.yaml`.
const URL: &str = "AGOGE_TOOL_SERVER_URL";
/// The variable with the folder in which their state lies.
const STATE: &str = "AGOGE_TOOL_SERVER_STATE";

/// The place of the servers in this process.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub place: Place,
    /// The folder of the state, where the servers are not started here.
    pub state: Option<PathBuf>,
}

impl Site {
    /// The place that the environment names, else that of the domain.
    ///
    /// # Errors
    /// A state that cannot be reset at an address.
    pub fn of(spec: &ServerSpec) -> Result<Self, String> {
        Self::with(spec, |name| std::env::var(name).ok())
    }

    fn with(spec: &ServerSpec, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let state = variable(STATE).map(PathBuf::from);
        let place = match variable(URL) {
            Some(url) => Place::Url(url),
            None => spec.place.clone(),
        };
        if let Place::Url(_) = place {
            let restarts = spec
                .seen()
                .is_some_and(|seen| seen.restart && seen.reset.is_none());
            if spec.state == ServerState::Replay || restarts {
                return Err("its reset is a restart, and it is not started here; give it a tool that resets it, and name that as `reset`".into());
            }
            if state.is_none() && spec.seen().is_some_and(|seen| !seen.files.is_empty()) {
                return Err(format!(
                    "its files are not within reach; name their folder in {STATE}, or use `export`"
                ));
            }
        }
        Ok(Self { place, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn spec(text: &str) -> ServerSpec {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_environment_replaces_the_command_and_must_show_the_files() {
        let files = spec(r#"{"mcp": {"command": ["s"], "state": {"files": ["a.json"]}}}"#);
        let named = |name: &str| (name == URL).then(|| "http://127.0.0.1:8730/mcp".to_owned());
        let none = Site::with(&files, |_| None).unwrap();
        assert_eq!(none.place, Place::Command(vec!["s".into()]));
        assert!(Site::with(&files, named).unwrap_err().contains(STATE));
        let both = |name: &str| named(name).or_else(|| Some("/state".into()));
        let sidecar = Site::with(&files, both).unwrap();
        assert_eq!(sidecar.state.as_deref(), Some(Path::new("/state")));
        let replay = spec(r#"{"mcp": {"command": ["s"], "state": "replay"}}"#);
        assert!(Site::with(&replay, both).unwrap_err().contains("restart"));
    }
}
