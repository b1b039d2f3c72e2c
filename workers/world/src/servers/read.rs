//! Reads `tools:` of `domain.yaml`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Place, Protocol, SeenState, ServerSpec, ServerState};

/// Seconds that one call may take.
const CALL_SECONDS: u64 = 30;
/// Seconds that a server may take to start.
const START_SECONDS: u64 = 60;
/// Servers that run at once.
const POOL: usize = 2;
/// The most servers that may run at once.
const MAX_POOL: usize = 64;
/// The longest time that may be set, in seconds.
const MAX_SECONDS: u64 = 3600;
/// The ways to say where the state is, for messages.
const STATES: &str = "`none` (the tools keep nothing), `replay` (nobody sees it), or a map of `files`, `key`, `reset`, `export`";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    mcp: Option<RawServer>,
    openapi: Option<RawServer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawServer {
    document: Option<String>,
    command: Option<Vec<String>>,
    url: Option<String>,
    state: Option<Value>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    hide: Map<String, Value>,
    #[serde(default)]
    omit: Vec<String>,
    result: Option<String>,
    timeout_seconds: Option<u64>,
    start_seconds: Option<u64>,
    pool: Option<usize>,
}

impl TryFrom<Raw> for ServerSpec {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        match (raw.mcp, raw.openapi) {
            (Some(server), None) => server.spec("tools.mcp", false),
            (None, Some(server)) => server.spec("tools.openapi", true),
            (Some(_), Some(_)) => {
                Err("tools: it has both mcp and openapi; keep one of them".into())
            }
            (None, None) => Err("tools: it names no server; add mcp or openapi".into()),
        }
    }
}

impl RawServer {
    fn spec(self, at: &str, openapi: bool) -> Result<ServerSpec, String> {
        let protocol = match (openapi, self.document) {
            (true, Some(document)) => Protocol::OpenApi {
                document: inside(&document)
                    .map_err(|why| format!("{at}.document: `{document}` {why}"))?,
            },
            (true, None) => {
                return Err(format!(
                    "{at}.document is missing; name the JSON description of the service, such as api.json"
                ));
            }
            (false, Some(_)) => {
                return Err(format!(
                    "{at}.document: MCP servers describe themselves; remove it"
                ));
            }
            (false, None) => Protocol::Mcp,
        };
        let place = place(at, self.command, self.url)?;
        let state = state(at, self.state)?;
        check_state(at, &place, &state)?;
        Ok(ServerSpec {
            protocol,
            state,
            env: self.env,
            hide: self.hide,
            omit: self.omit,
            result: pointer(&format!("{at}.result"), self.result)?,
            timeout: seconds(at, "timeoutSeconds", self.timeout_seconds, CALL_SECONDS)?,
            start: seconds(at, "startSeconds", self.start_seconds, START_SECONDS)?,
            pool: match self.pool.unwrap_or(POOL) {
                pool @ 1..=MAX_POOL => pool,
                pool => return Err(format!("{at}.pool: {pool} is not between 1 and {MAX_POOL}")),
            },
            place,
        })
    }
}

fn place(at: &str, command: Option<Vec<String>>, url: Option<String>) -> Result<Place, String> {
    match (command, url) {
        (Some(command), None) if command.first().is_some_and(|first| !first.is_empty()) => {
            Ok(Place::Command(command))
        }
        (Some(_), None) => Err(format!(
            "{at}.command is empty; write the program and its arguments, as [my-server, --data, $STATE]"
        )),
        (None, Some(url)) if url.starts_with("http://") || url.starts_with("https://") => {
            Ok(Place::Url(url))
        }
        (None, Some(url)) => Err(format!(
            "{at}.url: `{url}` is no address; begin it with http:// or https://"
        )),
        (Some(_), Some(_)) => Err(format!(
            "{at}: it has both command and url; keep one of them"
        )),
        (None, None) => Err(format!(
            "{at}: neither command nor url is there; add the command that starts the server, or its url"
        )),
    }
}

fn state(at: &str, value: Option<Value>) -> Result<ServerState, String> {
    let at = format!("{at}.state");
    let mut seen = match value {
        None => return Err(format!("{at} is missing; write {STATES}")),
        Some(Value::String(kind)) if kind == "none" => return Ok(ServerState::None),
        Some(Value::String(kind)) if kind == "replay" => return Ok(ServerState::Replay),
        Some(map @ Value::Object(_)) => {
            serde_json::from_value::<SeenState>(map).map_err(|error| format!("{at}: {error}"))?
        }
        Some(other) => return Err(format!("{at}: {other} is not one of {STATES}")),
    };
    for file in &seen.files {
        inside(file).map_err(|why| format!("{at}.files: `{file}` {why}"))?;
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder.contains('*') || file.matches('*').count() > 1 {
            return Err(format!(
                "{at}.files: `{file}` has more than one *, or one in a folder's name; use one in the file's name"
            ));
        }
    }
    if seen.files.is_empty() && seen.export.is_none() {
        return Err(format!(
            "{at}: neither files nor export is there, so nobody sees the state; add one, or write `replay`"
        ));
    }
    if seen.export.is_some() && !seen.files.is_empty() {
        return Err(format!(
            "{at}: it has both files and export; keep one of them"
        ));
    }
    seen.part = pointer(&format!("{at}.part"), seen.part)?;
    Ok(ServerState::Seen(seen))
}

fn pointer(at: &str, text: Option<String>) -> Result<Option<String>, String> {
    match text {
        Some(text) if !text.starts_with('/') => Err(format!(
            "{at}: `{text}` is no JSON pointer; write one such as /db"
        )),
        text => Ok(text),
    }
}

/// Checks that the state can be reset where the server is.
fn check_state(at: &str, place: &Place, state: &ServerState) -> Result<(), String> {
    let Place::Url(_) = place else {
        return Ok(());
    };
    match state {
        ServerState::Replay => Err(format!(
            "{at}.state: `replay` restarts the server, which a url does not allow; give a command, or state with `reset`"
        )),
        ServerState::Seen(seen)
            if seen.reset.is_none() && (seen.files.is_empty() || seen.restart) =>
        {
            Err(format!(
                "{at}.state: nothing resets a server at a url; name the tool that does as `reset`"
            ))
        }
        _ => Ok(()),
    }
}

fn seconds(at: &str, field: &str, given: Option<u64>, usual: u64) -> Result<Duration, String> {
    match given.unwrap_or(usual) {
        seconds @ 1..=MAX_SECONDS => Ok(Duration::from_secs(seconds)),
        seconds => Err(format!(
            "{at}.{field}: {seconds} is not between 1 and {MAX_SECONDS}"
        )),
    }
}

/// Checks that a path stays inside the folder that it is relative to.
fn inside(path: &str) -> Result<String, &'static str> {
    let parts: Vec<&str> = path.split('/').collect();
    if path.is_empty() || parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return Err("leaves the folder; write a plain relative path, such as data/app.db");
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Capabilities;

    fn read(text: &str) -> Result<ServerSpec, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_three_kinds_of_state_are_read() {
        let files =
            read("mcp: {command: [srv, $STATE/app.db], state: {files: [app.db, data/*.json]}}");
        let files = files.unwrap();
        assert_eq!(files.seen().unwrap().files, ["app.db", "data/*.json"]);
        assert!(files.capabilities().has(Capabilities::DIFF));
        let keyed = "openapi: {document: api.json, url: 'http://localhost:1', \
                     state: {key: state_key, reset: reset_state, export: dump}}";
        let keyed = read(keyed).unwrap();
        assert_eq!(
            keyed.own_tools().collect::<Vec<_>>(),
            ["reset_state", "dump"]
        );
        let replay = read("mcp: {command: [srv], state: replay}").unwrap();
        assert_eq!(replay.capabilities().missing(Capabilities::DIFF), ["diff"]);
    }

    #[test]
    fn an_error_names_the_field_and_the_remedy() {
        let cases = [
            ("mcp: {command: [srv]}", "tools.mcp.state is missing"),
            ("mcp: {state: none}", "neither command nor url"),
            (
                "mcp: {command: [s], url: 'http://x', state: none}",
                "both command and url",
            ),
            (
                "mcp: {command: [s], state: {file: [a.db]}}",
                "unknown field `file`",
            ),
            (
                "mcp: {command: [s], state: {files: [../a.db]}}",
                "leaves the folder",
            ),
            (
                "mcp: {command: [s], state: {key: k}}",
                "neither files nor export",
            ),
            (
                "mcp: {url: 'http://x', state: replay}",
                "a url does not allow",
            ),
            (
                "mcp: {command: [s], state: none, pool: 0}",
                "tools.mcp.pool",
            ),
            (
                "openapi: {url: 'http://x', state: none}",
                "tools.openapi.document is missing",
            ),
            ("{}", "add mcp or openapi"),
        ];
        for (text, expected) in cases {
            let message = read(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
