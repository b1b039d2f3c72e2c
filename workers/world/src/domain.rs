//! Reads a domain's folder: `domain.yaml`, `policy.md`, `schema.json`, `state.json`, `tools.py`, `templates/*.yaml`.

use std::path::{Path, PathBuf};

use agoge_dialogue::ToolSpec;
use agoge_digest::{Digest, travels};
use agoge_notation::Flaw;
use agoge_sandbox::{Source, State, lint, signatures};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::declined::Declines;
use crate::problem::{Problem, Problems};
use crate::schema;
use crate::template::Template;
use crate::unordered::Unordered;

/// The largest `state.json`: it is copied into every sandbox process.
const MAX_STATE: u64 = 64 << 20;

/// The content of a domain's folder.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Short name.
    pub name: String,
    /// Name for readers.
    pub title: String,
    /// The policy, for models that read it.
    pub policy: String,
    /// The system prompt of small policies, which learn the domain in their weights.
    pub prompt: String,
    /// The clock of every episode, ISO 8601.
    pub now: String,
    /// The data.
    pub state: State,
    /// The tools, their schemas derived from type hints.
    pub tools: Vec<ToolSpec>,
    /// `tools.py`.
    pub tools_source: String,
    /// The shapes of results by which its tools decline a call.
    pub declines: Declines,
    /// Tools that only inform: a solution may leave them out, although nothing shows that.
    pub lookups: Vec<String>,
    /// The lists whose order means nothing.
    pub unordered: Unordered,
    /// Lengths of the ids that the schema marks by `x-agoge-id`: numbers of so many digits name records.
    pub id_lengths: Vec<usize>,
    /// Scenario templates, in the order of their files.
    pub templates: Vec<Template>,
    /// `sha256:` over every file that is read.
    pub digest: String,
    /// The folder.
    pub dir: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    #[serde(default)]
    title: String,
    #[serde(default = "epoch")]
    now: String,
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    errors: Declines,
    #[serde(default)]
    lookups: Vec<String>,
}

fn epoch() -> String {
    "2025-01-01T00:00:00".into()
}

impl Domain {
    /// Reads a folder.
    ///
    /// # Errors
    /// All problems that make the folder unusable.
    pub fn load(dir: &Path) -> Result<Self, Problems> {
        let mut reader = Reader {
            dir,
            problems: Vec::new(),
            hash: Sha256::new(),
        };
        let domain = reader.domain();
        match domain {
            Some(domain) if reader.problems.is_empty() => Ok(domain),
            _ => Err(Problems(reader.problems)),
        }
    }

    /// Returns the tool of this name.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&ToolSpec> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Returns the file of a template.
    pub(crate) fn template_file(&self, template: &Template) -> PathBuf {
        self.dir.join("templates").join(&template.file)
    }
}

struct Reader<'a> {
    dir: &'a Path,
    problems: Vec<Problem>,
    hash: Sha256,
}

impl Reader<'_> {
    fn domain(&mut self) -> Option<Domain> {
        if !self.dir.is_dir() {
            let remedy =
                "name a folder that has a domain.yaml, or make one with `agoge domain new`";
            self.problems
                .push(Problem::new(self.dir, "there is no such folder", remedy));
            return None;
        }
        let head = self.head();
        let policy = self.text("policy.md", "write the agent's policy there, in prose");
        let schema = self.json("schema.json", "write a JSON schema of the state there");
        let id_lengths = schema.as_ref().map(|schema| self.id_lengths(schema));
        let unordered = schema.as_ref().map(Unordered::of);
        let state = self.state(schema.as_ref());
        let source = self.text(
            "tools.py",
            "write the tools there, as type-hinted Python functions",
        );
        let tools = source.as_deref().and_then(|source| self.tools(source));
        let templates = self.templates();
        let (head, policy, tools_source) = (head?, policy?, source?);
        let tools = tools?;
        self.lookups(&head.lookups, &tools);
        Some(Domain {
            title: if head.title.is_empty() {
                head.name.clone()
            } else {
                head.title
            },
            name: head.name,
            policy,
            prompt: head.prompt,
            now: head.now,
            state: state?,
            tools,
            tools_source,
            declines: head.errors,
            lookups: head.lookups,
            unordered: unordered.unwrap_or_default(),
            id_lengths: id_lengths.unwrap_or_default(),
            templates,
            digest: Digest::of_hash(&self.hash.clone().finalize()).into(),
            dir: self.dir.to_owned(),
        })
    }

    fn bytes(&mut self, name: &str, remedy: &str) -> Option<Vec<u8>> {
        let path = self.dir.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => {
                self.hash.update(format!("{name}\0{}\0", bytes.len()));
                self.hash.update(&bytes);
                Some(bytes)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.problems
                    .push(Problem::new(&path, "it is missing", remedy));
                None
            }
            Err(error) => {
                let message = format!("it cannot be read: {error}");
                self.problems
                    .push(Problem::new(&path, message, "make it readable"));
                None
            }
        }
    }

    /// Reads a text, over a byte order mark.
    fn text(&mut self, name: &str, remedy: &str) -> Option<String> {
        let bytes = self.bytes(name, remedy)?;
        match String::from_utf8(bytes) {
            Ok(mut text) => {
                let mark = text.len() - agoge_notation::without_mark(&text).len();
                text.drain(..mark);
                Some(text)
            }
            Err(error) => {
                let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                let problem =
                    Problem::new(&self.dir.join(name), "it is not UTF-8", "save it as UTF-8");
                self.problems.push(problem.at(u32::try_from(line).ok()));
                None
            }
        }
    }

    fn json(&mut self, name: &str, remedy: &str) -> Option<Value> {
        let text = self.text(name, remedy)?;
        self.strict(name, agoge_notation::json(&text))
    }

    /// Reads a text of YAML that has nothing which a parser would read otherwise than it is written.
    fn yaml(&mut self, name: &str, remedy: &str) -> Option<String> {
        let text = self.text(name, remedy)?;
        self.strict(name, agoge_notation::yaml(&text))?;
        Some(text)
    }

    fn strict(&mut self, name: &str, read: Result<Value, Flaw>) -> Option<Value> {
        let flaw = match read {
            Ok(value) => return Some(value),
            Err(flaw) => flaw,
        };
        let line = flaw.line.and_then(|line| u32::try_from(line).ok());
        let problem = Problem::new(&self.dir.join(name), flaw.message, flaw.remedy);
        self.problems.push(problem.at(line));
        None
    }

    fn head(&mut self) -> Option<Head> {
        let text = self.yaml("domain.yaml", "write one that has at least `name:`")?;
        match serde_yaml::from_str::<Head>(&text) {
            Ok(head) => Some(head),
            Err(error) => {
                self.problems
                    .push(yaml_problem(&self.dir.join("domain.yaml"), &error));
                None
            }
        }
    }

    fn state(&mut self, schema: Option<&Value>) -> Option<State> {
        let path = self.dir.join("state.json");
        if std::fs::metadata(&path).is_ok_and(|meta| meta.len() > MAX_STATE) {
            let message = format!("it is larger than {} MiB", MAX_STATE >> 20);
            let remedy = "keep the records that tasks need; every sandbox holds a copy";
            self.problems.push(Problem::new(&path, message, remedy));
            return None;
        }
        let mut value = self.json(
            "state.json",
            "write the records there, as {collection: {id: record}}",
        )?;
        if let Some(schema) = schema {
            schema::normalise(schema, schema, &mut value);
            let found = schema::problems(&self.dir.join("schema.json"), &path, schema, &value);
            self.problems.extend(found);
        }
        match State::from_json(value) {
            Ok(state) => Some(state),
            Err(error) => {
                self.problems
                    .push(Problem::new(&path, error.to_string(), "give it that shape"));
                None
            }
        }
    }

    fn id_lengths(&mut self, schema: &Value) -> Vec<usize> {
        schema::id_lengths(schema).unwrap_or_else(|message| {
            let remedy = "give it a pattern of 4 to 18 digits, such as ^[0-9]{5}$";
            let file = self.dir.join("schema.json");
            self.problems.push(Problem::new(&file, message, remedy));
            Vec::new()
        })
    }

    fn tools(&mut self, source: &str) -> Option<Vec<ToolSpec>> {
        let path = self.dir.join("tools.py");
        for found in lint(source, Source::Tools) {
            self.problems
                .push(Problem::new(&path, found.message, found.remedy).at(Some(found.line)));
        }
        let found = signatures(source).ok()?;
        if found.is_empty() {
            let remedy = "write at least one function whose name does not begin with `_`";
            self.problems
                .push(Problem::new(&path, "it has no tool", remedy));
        }
        let mut tools = Vec::new();
        for signature in &found {
            match schema::tool(signature) {
                Ok(tool) => tools.push(tool),
                Err((message, remedy)) => {
                    self.problems
                        .push(Problem::new(&path, message, remedy).at(Some(signature.line)));
                }
            }
        }
        Some(tools)
    }

    fn lookups(&mut self, names: &[String], tools: &[ToolSpec]) {
        for name in names {
            if !tools.iter().any(|tool| tool.name == *name) {
                let message = format!("`lookups` names `{name}`, which is no tool");
                let file = self.dir.join("domain.yaml");
                let remedy = "name functions of tools.py";
                self.problems.push(Problem::new(&file, message, remedy));
            }
        }
    }

    fn templates(&mut self) -> Vec<Template> {
        let folder = self.dir.join("templates");
        let Ok(entries) = std::fs::read_dir(&folder) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
            .filter(|name| travels(name))
            .collect();
        names.sort();
        let mut templates: Vec<Template> = Vec::new();
        for name in names {
            let Some(text) = self.yaml(&format!("templates/{name}"), "") else {
                continue;
            };
            match Template::parse(&name, &text) {
                Ok(template) => {
                    if templates.iter().any(|other| other.name == template.name) {
                        let message = format!("another template is named `{}` too", template.name);
                        let problem =
                            Problem::new(&folder.join(&name), message, "give it a name of its own");
                        self.problems.push(problem);
                    }
                    templates.push(template);
                }
                Err(error) => self
                    .problems
                    .push(yaml_problem(&folder.join(&name), &error)),
            }
        }
        templates
    }
}

fn yaml_problem(file: &Path, error: &serde_yaml::Error) -> Problem {
    let line = error
        .location()
        .and_then(|at| u32::try_from(at.line()).ok());
    Problem::new(file, error.to_string(), "see docs/domain.md for the format").at(line)
}
