//! Reads a domain's folder: `domain.yaml`, `policy.md`, `schema.json`, `state.json`, `tools.py`, `templates/*.yaml`; and in
//! format 2, where they are there, `user_tools.py`, `user.md` and `tasks.jsonl`.

mod schemas;
mod tools;

use std::collections::BTreeSet;
use std::path::Path;

use agoge_digest::{Digest, travels};
use agoge_notation::Flaw;
use agoge_sandbox::{Format, State, normalise};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::declined::Declines;
use crate::domain::{Domain, DomainLimits, Results};
use crate::episode::SYNC;
use crate::problem::{Problem, Problems, line_of};
use crate::schema;
use crate::seeds::{self, Seed};
use crate::servers::ServerSpec;
use crate::shape;
use crate::split::{SplitRule, SplitSpec};
use crate::task::Task;
use crate::tasks::{self, Given};
use crate::template::Template;
use crate::unordered::Unordered;
use tools::Tools;

/// The largest `state.json`: it is copied into every sandbox process.
const MAX_STATE: u64 = 64 << 20;
/// The text of a call that failed, where a domain has none of its own.
pub(crate) const ERROR_TEXT: &str = "error: {}";
/// The files that only format 2 reads, and that are no mere notes.
const OF_FORMAT_2: [&str; 2] = ["user_tools.py", "tasks.jsonl"];
/// The suggested fix where format 1 meets something of format 2.
const UPGRADE: &str = "add `format: 2` to domain.yaml; splits then go by a hash of the id";

/// The content of `domain.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    #[serde(default = "first")]
    format: u8,
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
    results: Option<Results>,
    #[serde(rename = "errorText")]
    error_text: Option<String>,
    limits: Option<DomainLimits>,
    split: Option<SplitSpec>,
    tools: Option<ServerSpec>,
}

fn first() -> u8 {
    1
}

fn epoch() -> String {
    "2025-01-01T00:00:00".into()
}

/// Reads a folder.
///
/// # Errors
/// All problems that make the folder unusable.
pub(crate) fn read(dir: &Path) -> Result<Domain, Problems> {
    let mut reader = Reader {
        dir,
        problems: Vec::new(),
        hash: Sha256::new(),
    };
    match reader.domain() {
        Some(domain) if reader.problems.is_empty() => Ok(domain),
        _ => Err(Problems(reader.problems)),
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
        let format = head
            .as_ref()
            .map_or(Format::One, |head| Format::of(head.format));
        let second = format == Format::Two;
        let state = self.state(schema.as_ref(), format);
        let served = head.as_ref().is_some_and(|head| head.tools.is_some());
        let mut tools = self.both_tools(format, served);
        if let Some(tools) = tools.as_mut().filter(|_| second) {
            self.given_schemas(tools);
        }
        let templates = self.templates();
        let user_guide = second.then(|| self.optional("user.md")).flatten();
        let given = match (&tools, &state) {
            (Some(tools), Some(state)) if second => self.given(tools, state, served),
            _ => Vec::new(),
        };
        let seeds = self.seeds();
        let (head, policy, tools) = (head?, policy?, tools?);
        self.lookups(&head.lookups, &tools, served);
        for name in head.tools.iter().flat_map(|tools| tools.files(self.dir)) {
            self.bytes(&name, "add it, or correct `tools:` in domain.yaml");
        }
        let split = self.split(&head);
        let (training, tasks) = divided(given);
        let (state, schema) = (state?, schema?);
        let unordered = Unordered::of(&schema, state.shapes());
        Some(Domain {
            format: head.format,
            title: if head.title.is_empty() {
                head.name.clone()
            } else {
                head.title
            },
            name: head.name,
            policy,
            prompt: head.prompt,
            user_guide,
            now: head.now,
            state,
            schema,
            tools: tools.agent,
            user_tools: tools.user,
            tools_source: tools.source,
            user_from: tools.user_from,
            sync: second && tools.functions.contains(SYNC),
            functions: tools.functions,
            servers: head.tools,
            foreign: None,
            results: head.results.unwrap_or_default(),
            error_text: head.error_text.unwrap_or_else(|| ERROR_TEXT.to_owned()),
            declines: head.errors,
            lookups: head.lookups,
            unordered,
            id_lengths: id_lengths.unwrap_or_default(),
            split,
            limits: head.limits.unwrap_or_default(),
            templates,
            tasks,
            seeds,
            training,
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

    /// Reads a text that need not be there.
    fn optional(&mut self, name: &str) -> Option<String> {
        match self.dir.join(name).exists() {
            true => self.text(name, "make it readable"),
            false => None,
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
            Ok(head) => {
                self.version(&head, &text);
                Some(head)
            }
            Err(error) => {
                self.problems
                    .push(yaml_problem(&self.dir.join("domain.yaml"), &error));
                None
            }
        }
    }

    fn state(&mut self, schema: Option<&Value>, format: Format) -> Option<State> {
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
        let mut shapes = shape::Shapes::new();
        if let Some(schema) = schema {
            normalise(schema, schema, &mut value, format);
            if format == Format::Two {
                shapes = self.shapes(schema);
            }
            let found = schema::problems(&self.dir.join("schema.json"), &path, schema, &value);
            self.problems.extend(found);
        }
        match State::shaped(value, shapes) {
            Ok(state) => Some(state),
            Err(error) => {
                self.problems
                    .push(Problem::new(&path, error.to_string(), "give it that shape"));
                None
            }
        }
    }

    /// Reads the form of each collection.
    fn shapes(&mut self, schema: &Value) -> shape::Shapes {
        shape::shapes(schema).unwrap_or_else(|flaws| {
            let file = self.dir.join("schema.json");
            let problems = flaws
                .into_iter()
                .map(|(message, remedy)| Problem::new(&file, message, remedy));
            self.problems.extend(problems);
            shape::Shapes::new()
        })
    }

    fn id_lengths(&mut self, schema: &Value) -> Vec<usize> {
        schema::id_lengths(schema).unwrap_or_else(|message| {
            let remedy = "give it a pattern of 4 to 18 digits, or of fixed characters and classes, such as \
                          ^[0-9]{5}$ or ^dev_[0-9a-f]{4}$";
            let file = self.dir.join("schema.json");
            self.problems.push(Problem::new(&file, message, remedy));
            Vec::new()
        })
    }

    /// Reports a version that does not exist, and what a folder of format 1 has of format 2.
    fn version(&mut self, head: &Head, text: &str) {
        let file = self.dir.join("domain.yaml");
        if !(1..=2).contains(&head.format) {
            let message = format!("there is no format {}", head.format);
            let problem = Problem::new(&file, message, "write `format: 2`, or leave it out");
            let line = line_of(text, "format:", 1);
            self.problems.push(problem.at(line));
        }
        if head.format != 1 {
            return;
        }
        let keys = [
            ("results", head.results.is_some()),
            ("errorText", head.error_text.is_some()),
            ("limits", head.limits.is_some()),
            ("split", head.split.is_some()),
            ("tools", head.tools.is_some()),
        ];
        for (key, _) in keys.iter().filter(|(_, given)| *given) {
            let problem = Problem::new(&file, format!("format 1 has no `{key}`"), UPGRADE);
            let line = line_of(text, &format!("{key}:"), 1);
            self.problems.push(problem.at(line));
        }
        for name in OF_FORMAT_2 {
            let path = self.dir.join(name);
            if path.exists() {
                self.problems
                    .push(Problem::new(&path, "format 1 does not read it", UPGRADE));
            }
        }
    }

    /// Reads the rule that divides records among the splits.
    fn split(&mut self, head: &Head) -> SplitRule {
        let Some(spec) = &head.split else {
            return SplitRule::of_format(head.format);
        };
        SplitRule::of_spec(spec).unwrap_or_else(|message| {
            let file = self.dir.join("domain.yaml");
            let remedy = "write `split: {by: owner, owner: {collection: field}}`";
            self.problems.push(Problem::new(&file, message, remedy));
            SplitRule::Id
        })
    }

    /// Reads the tasks as given.
    fn given(&mut self, tools: &Tools, state: &State, served: bool) -> Vec<Given> {
        let Some(text) = self.optional("tasks.jsonl") else {
            return Vec::new();
        };
        let known = tasks::Known {
            agent: &tools.agent,
            user: &tools.user,
            functions: &tools.functions,
            state,
            served,
        };
        let (given, flaws) = tasks::read(&text, &known);
        self.flaws("tasks.jsonl", flaws);
        given
    }

    /// Reads the requests from which synthesis may begin.
    fn seeds(&mut self) -> Vec<Seed> {
        let text = self.optional("seeds.jsonl").unwrap_or_default();
        let (seeds, flaws) = seeds::read(&text);
        self.flaws("seeds.jsonl", flaws);
        seeds
    }

    /// Reports the problems of a file's rows.
    fn flaws(&mut self, name: &str, flaws: Vec<tasks::Flaw>) {
        let file = self.dir.join(name);
        let problem =
            |flaw: tasks::Flaw| Problem::new(&file, flaw.message, flaw.remedy).at(Some(flaw.line));
        self.problems.extend(flaws.into_iter().map(problem));
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
                Ok(mut template) => {
                    for script in template.script_files() {
                        let remedy = "add it, or correct `checker:` in the template";
                        if let Some(source) = self.text(&format!("templates/{script}"), remedy) {
                            template.set_script(&script, &source);
                        }
                    }
                    if templates.iter().any(|other| other.name == template.name) {
                        let message = format!("another template is named `{}` too", template.name);
                        let problem =
                            Problem::new(&folder.join(&name), message, "give it a name of its own");
                        self.problems.push(problem);
                    }
                    templates.push(template);
                }
                Err(flaws) => self.problems.extend(flaws.into_iter().map(|flaw| {
                    Problem::new(&folder.join(&name), flaw.message, flaw.remedy).at(flaw.line)
                })),
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

/// Returns the ids of the tasks that are given for training as a whole, and all tasks.
fn divided(given: Vec<Given>) -> (BTreeSet<String>, Vec<Task>) {
    let whole = given.iter().filter(|one| one.training);
    let training = whole.map(|one| one.task.id.clone()).collect();
    (training, given.into_iter().map(|one| one.task).collect())
}
