//! The files of a tau2-bench domain, wherever they lie.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::Tau2Error;
use super::ported::Ported;
use super::toml;

/// Folders of a domain's data under the folder that a person names: a checkout or a package, its `data`, the folder of the
/// domains. `*` stands for the domain's name.
const LAYOUTS: [&str; 5] = [
    "data/tau2/domains/*",
    "src/tau2/data/tau2/domains/*",
    "tau2/domains/*",
    "domains/*",
    "*",
];
/// The files of tasks, the preferred one first.
const TASKS: [&str; 2] = ["tasks.json", "tasks_small.json"];

/// Returns the folder with a domain's data: the one named, or where a checkout, a package or a data folder keeps it.
///
/// # Errors
/// [`Tau2Error::NotFound`].
pub fn locate(dir: &Path, domain: &str) -> Result<PathBuf, Tau2Error> {
    let below = LAYOUTS
        .iter()
        .map(|layout| dir.join(layout.replace('*', domain)));
    let has_data = |folder: &PathBuf| {
        let has = |name: &str| folder.join(name).is_file();
        TASKS.iter().any(|name| has(name)) && (has("db.json") || has("db.toml"))
    };
    let found = below.chain([dir.to_owned()]).find(has_data);
    found.ok_or_else(|| Tau2Error::NotFound {
        dir: dir.to_owned(),
        domain: domain.into(),
    })
}

/// The content of a domain's data folder.
pub(super) struct Source {
    pub policy: String,
    /// The agent's database and the user's in one.
    pub state: Map<String, Value>,
    pub tasks: Vec<Value>,
    /// Names of splits by task, as `train` and `test`.
    pub splits: BTreeMap<String, Vec<String>>,
}

impl Source {
    /// Reads a folder that [`locate`] found.
    pub fn read(folder: &Path, domain: &Ported) -> Result<Self, Tau2Error> {
        let mut state = database(folder, "db")?.unwrap_or_default();
        state.extend(database(folder, "user_db")?.unwrap_or_default());
        let tasks = TASKS.map(|name| folder.join(name));
        let tasks = tasks.iter().find(|file| file.is_file());
        let tasks = match tasks {
            Some(file) => list(file)?,
            None => Vec::new(),
        };
        Ok(Self {
            policy: policy(folder, domain)?,
            state,
            tasks,
            splits: splits(&folder.join("split_tasks.json"))?,
        })
    }
}

/// Reads a database, as JSON or TOML; `None` when there is none of this name.
fn database(folder: &Path, name: &str) -> Result<Option<Map<String, Value>>, Tau2Error> {
    let json_file = folder.join(format!("{name}.json"));
    let toml_file = folder.join(format!("{name}.toml"));
    let (file, value) = if json_file.is_file() {
        let value = json(&json_file)?;
        (json_file, value)
    } else if toml_file.is_file() {
        let value = toml::parse(&text(&toml_file)?);
        let value = value.map_err(|message| malformed(&toml_file, message))?;
        (toml_file, value)
    } else {
        return Ok(None);
    };
    match value {
        Value::Object(collections) => Ok(Some(collections)),
        _ => Err(malformed(&file, "it must be an object of collections")),
    }
}

/// Joins the files of a policy as tau2-bench does.
fn policy(folder: &Path, domain: &Ported) -> Result<String, Tau2Error> {
    let mut parts = Vec::new();
    for (name, tag) in domain.policy {
        let text = text(&folder.join(name))?;
        parts.push(match *tag {
            "" => text,
            tag => format!("<{tag}>\n{text}\n</{tag}>"),
        });
    }
    Ok(parts.join("\n"))
}

fn splits(file: &Path) -> Result<BTreeMap<String, Vec<String>>, Tau2Error> {
    if !file.is_file() {
        return Ok(BTreeMap::new());
    }
    let found: Result<BTreeMap<String, Vec<Value>>, _> = serde_json::from_value(json(file)?);
    let found = found.map_err(|error| malformed(file, error))?;
    let id = |value: Value| match value {
        Value::String(id) => id,
        other => other.to_string(),
    };
    let ids = |(name, ids): (String, Vec<Value>)| (name, ids.into_iter().map(id).collect());
    Ok(found.into_iter().map(ids).collect())
}

fn list(file: &Path) -> Result<Vec<Value>, Tau2Error> {
    match json(file)? {
        Value::Array(tasks) => Ok(tasks),
        Value::Object(mut map) => match map.remove("tasks") {
            Some(Value::Array(tasks)) => Ok(tasks),
            _ => Err(malformed(file, "it must be a list of tasks")),
        },
        _ => Err(malformed(file, "it must be a list of tasks")),
    }
}

fn json(file: &Path) -> Result<Value, Tau2Error> {
    serde_json::from_str(&text(file)?).map_err(|error| malformed(file, error))
}

fn text(file: &Path) -> Result<String, Tau2Error> {
    std::fs::read_to_string(file).map_err(|source| Tau2Error::Read {
        file: file.to_owned(),
        source,
    })
}

fn malformed(file: &Path, message: impl ToString) -> Tau2Error {
    Tau2Error::Malformed {
        file: file.to_owned(),
        message: message.to_string(),
    }
}
