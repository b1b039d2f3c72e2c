//! Rows of tasks, read leniently: an audit has to see what a domain would refuse.

use std::path::{Path, PathBuf};

use agoge_dialogue::{ToolCall, ToolSpec};
use agoge_world::{Task, UserScript, numbered_rows, read_split};
use serde_json::{Map, Value};

/// The reason why rows cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// A file or folder cannot be read.
    #[error("{}: it cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder has no file of rows.
    #[error("{} has no {wanted}; name the folder or file that holds them", dir.display())]
    None {
        /// The folder.
        dir: PathBuf,
        /// The files that were looked for.
        wanted: &'static str,
    },
    /// A line is not a row.
    #[error("{}:{line}: {message}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u32,
        /// The problem, with its suggested fix.
        message: String,
    },
}

/// A task as a row has it.
#[derive(Clone, Debug, Default)]
pub struct TaskRow {
    /// The task.
    pub task: Task,
    /// True when it is given for training as a whole.
    pub training: bool,
}

/// A row with right calls, of a stack whose tools do not run here.
#[derive(Clone, Debug, Default)]
pub struct CallRow {
    /// Unique in its source.
    pub id: String,
    /// Its file and line, such as `BFCL_v4_multi_turn_base.json:3`.
    pub place: String,
    /// The tools that are offered.
    pub tools: Vec<ToolSpec>,
    /// The turns.
    pub turns: Vec<CallTurn>,
    /// The number of turns of the user, where the right calls are kept apart from them.
    pub asked: Option<usize>,
    /// The data that the tools begin with; null where the row has none.
    pub state: Value,
    /// The row as it came.
    pub raw: Value,
    /// The row of right calls, where it is one of its own.
    pub answer: Value,
}

/// One turn: the words of the user, and the right calls after them.
#[derive(Clone, Debug, Default)]
pub struct CallTurn {
    /// The words; empty where the turn has none.
    pub said: String,
    /// The calls, or the texts of those that cannot be read.
    pub calls: Vec<Result<ToolCall, String>>,
    /// True when the stack means that no call can be made in this turn.
    pub without_calls: bool,
    /// Names of tools that are offered in later turns only.
    pub withheld: Vec<String>,
}

/// Returns the files of a folder whose names end in `.jsonl`, in order; a file stands for itself.
///
/// # Errors
/// [`RowsError`]
pub fn files(path: &Path) -> Result<Vec<PathBuf>, RowsError> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let unread = |source| RowsError::Read {
        file: path.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unread)? {
        let file = entry.map_err(unread)?.path();
        if file.extension().is_some_and(|ending| ending == "jsonl") {
            found.push(file);
        }
    }
    found.sort();
    match found.is_empty() {
        true => Err(RowsError::None {
            dir: path.to_owned(),
            wanted: "file that ends in .jsonl",
        }),
        false => Ok(found),
    }
}

/// Reads the objects of a file, one a line, each with its line.
///
/// # Errors
/// [`RowsError`]
pub fn objects(file: &Path) -> Result<Vec<(u32, Value)>, RowsError> {
    let text = std::fs::read_to_string(file).map_err(|source| RowsError::Read {
        file: file.to_owned(),
        source,
    })?;
    let mut rows = Vec::new();
    for (line, row) in numbered_rows(&text) {
        let value: Value = serde_json::from_str(row).map_err(|error| RowsError::Line {
            file: file.to_owned(),
            line,
            message: format!("it is not JSON: {error}; write one object on each line"),
        })?;
        if !value.is_object() {
            let message = "it is not an object; write one object on each line".to_owned();
            return Err(RowsError::Line {
                file: file.to_owned(),
                line,
                message,
            });
        }
        rows.push((line, value));
    }
    Ok(rows)
}

/// Returns the place of a row, for readers.
#[must_use]
pub fn place(file: &Path, line: u32) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!("{name}:{line}")
}

/// Reads tasks of ours, also as the instances of a suite. Names and arguments of calls are not held against any tool.
///
/// # Errors
/// [`RowsError`]
pub fn tasks(path: &Path) -> Result<Vec<TaskRow>, RowsError> {
    let mut rows = Vec::new();
    for file in files(path)? {
        for (line, value) in objects(&file)? {
            let (task, training) = task(value).map_err(|message| RowsError::Line {
                file: file.clone(),
                line,
                message: format!("{message}; see docs/domain.md for the fields of a task"),
            })?;
            rows.push(TaskRow { task, training });
        }
    }
    Ok(rows)
}

/// Reads one task, and returns true beside it when it is for training as a whole.
fn task(mut row: Value) -> Result<(Task, bool), String> {
    let split = row.as_object_mut().and_then(|map| map.remove("split"));
    if let Some(inner) = row.get("task").filter(|inner| inner.is_object()) {
        row = inner.clone();
    }
    let Value::Object(map) = &mut row else {
        return Err("it is not a task".into());
    };
    let split = split.or_else(|| map.remove("split"));
    if let Some(Value::String(instruction)) = map.get("user") {
        let user = UserScript {
            instruction: instruction.clone(),
            ..UserScript::default()
        };
        let user = serde_json::to_value(user).unwrap_or_default();
        map.insert("user".into(), user);
    }
    let fails = failing(map);
    let mut task: Task = serde_json::from_value(row).map_err(|error| error.to_string())?;
    task.fails.extend(fails);
    task.fails.sort_unstable();
    task.fails.dedup();
    let split = split.filter(Value::is_string);
    let training = split.as_ref().and_then(Value::as_str) == Some("train");
    let read = split.as_ref().map(read_split).transpose();
    task.split = read.map_err(|(message, _)| message)?;
    Ok((task, training))
}

/// The numbers of the gold calls that say of themselves that they fail.
fn failing(row: &Map<String, Value>) -> Vec<u32> {
    let gold = row.get("gold").and_then(Value::as_array);
    let numbered = (1..).zip(gold.into_iter().flatten());
    let fails = numbered.filter(|(_, call)| call["fails"] == true);
    fails.map(|(number, _)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use agoge_world::Split;

    #[test]
    fn a_row_is_read_although_its_calls_fit_no_tool() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tasks.jsonl");
        let text = "{\"id\": \"a\", \"user\": \"help\", \"split\": \"train\", \"gold\": [{\"name\": \"no_such\", \"fails\": true}]}\n\n{\"split\": \"heldout\", \"task\": {\"id\": \"b\", \"user\": {}, \"gold\": []}}\n";
        std::fs::write(&file, text).unwrap();
        let rows = tasks(dir.path()).unwrap();
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.task.id.as_str(), row.training, row.task.split))
            .collect();
        assert_eq!(
            told,
            [
                ("a", true, Some(Split::TrainRl)),
                ("b", false, Some(Split::Heldout)),
            ]
        );
        assert_eq!(rows[0].task.fails, [1]);
        let right = r#"{"id": "a", "user": "help", "gold": []}"#;
        let split = r#"{"id": "c", "user": "help", "gold": [], "split": "other"}"#;
        for (wrong, message) in [
            ("{}", "tasks.jsonl:3: "),
            (split, "`split`: there is no split \"other\""),
        ] {
            std::fs::write(&file, format!("{right}\n\n{wrong}\n")).unwrap();
            let error = tasks(&file).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
