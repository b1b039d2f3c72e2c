//! Shared by the tests of the whole: the built binaries, and runs in folders of their own.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A binary of this workspace, built before the tests (`make build`).
///
/// # Panics
/// When it is not there: a test that passed without it would prove nothing.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a process has an executable");
    let folders = own.ancestors().skip(1).take(2);
    let found = folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built: run `make build` first"))
}

/// `agoge`, with nothing of the caller's environment that names endpoints or programs.
#[must_use]
pub fn agoge() -> Command {
    let mut command = Command::new(binary("agoge"));
    for variable in ["AGOGE_ENDPOINT", "AGOGE_WORKER", "AGOGE_SANDBOX"] {
        command.env_remove(variable);
    }
    for needed in ["agoge-worker", "agoge-sandbox"] {
        assert!(binary(needed).is_file());
    }
    command
}

/// Returns a process's output, both streams.
#[must_use]
pub fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A skeleton domain with its manifests, and the folder that they are run into.
pub struct Desk {
    /// Holds both; removed at the end.
    pub dir: tempfile::TempDir,
    /// Flags of `up` beside -f and --out.
    pub flags: Vec<String>,
}

impl Desk {
    /// As `agoge domain new desk` writes it.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let desk = Self {
            dir,
            flags: vec!["--no-progress".to_owned()],
        };
        let made = agoge()
            .args(["domain", "new", "desk"])
            .arg(desk.manifests())
            .output()
            .expect("agoge runs");
        assert!(made.status.success(), "{}", said(&made));
        desk
    }

    /// The folder of the manifests; the domain is in its subfolder `domain`.
    #[must_use]
    pub fn manifests(&self) -> PathBuf {
        self.dir.path().join("desk")
    }

    /// The run's folder.
    #[must_use]
    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// The command that runs it.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = agoge();
        command
            .arg("up")
            .arg("-f")
            .arg(self.manifests())
            .arg("--out")
            .arg(self.out())
            .args(&self.flags);
        command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn up(&self) -> Output {
        self.command().output().expect("agoge runs")
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(&self) -> Child {
        self.command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("agoge runs")
    }

    /// Replaces a text in one of its files.
    ///
    /// # Panics
    /// When the text is not there.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.manifests().join(file);
        let text = std::fs::read_to_string(&path).expect("the skeleton has the file");
        assert!(text.contains(from), "{from:?} is not in {file}: {text}");
        std::fs::write(&path, text.replace(from, to)).expect("a writable folder");
    }

    /// The status of an object.
    #[must_use]
    pub fn status(&self, object: &str) -> Value {
        read(&self.out().join("objects").join(format!("{object}.json")))["status"].clone()
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}

/// A JSON file.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn read(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
