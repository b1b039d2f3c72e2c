//! Reads a template's file: the YAML, then its expressions, for which the names of the template must be known.

use std::collections::BTreeSet;

use super::{Branch, Condition, Flaw, Step, Template, Written};
use crate::expression::{Kind, first};
use crate::problem::line_of;

const FORMAT: &str = "see docs/domain.md for the format";

impl Template {
    /// Reads a file's text.
    ///
    /// # Errors
    /// All problems of its expressions, or the one of its YAML.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, Vec<Flaw>> {
        let mut template: Self = serde_yaml::from_str(text).map_err(|error| {
            let line = error
                .location()
                .and_then(|at| u32::try_from(at.line()).ok());
            vec![Flaw {
                line,
                message: error.to_string(),
                remedy: FORMAT,
            }]
        })?;
        if template.intent.is_empty() {
            template.intent = template.name.clone();
        }
        template.file = file.to_owned();
        template.text = text.to_owned();
        let mut reader = Reader {
            facts: template
                .facts
                .keys()
                .chain(template.linked.keys())
                .cloned()
                .collect(),
            text,
            computed: Vec::new(),
            found: Vec::new(),
        };
        reader.template(&mut template);
        match reader.found.is_empty() {
            true => Ok(template),
            false => Err(reader.found),
        }
    }

    /// Returns the names of the files in the templates folder that hold its checks.
    pub(crate) fn script_files(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .scripts()
            .filter(|one| is_file(one))
            .map(str::to_owned)
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// The sources of its checks.
    pub(crate) fn scripts(&self) -> impl Iterator<Item = &str> {
        let of_branches = self
            .branches
            .iter()
            .filter_map(|branch| branch.checker.as_deref());
        self.checker.as_deref().into_iter().chain(of_branches)
    }

    /// Its gold, and the calls that are needed.
    fn steps(&self) -> impl Iterator<Item = &Step> {
        let branches = self.branches.iter();
        branches.flat_map(|branch| branch.gold.iter().chain(&branch.calls))
    }

    /// Its computed values, and the lists of its loops.
    fn written(&self) -> impl Iterator<Item = &Written> {
        let computed = self
            .branches
            .iter()
            .flat_map(|branch| branch.compute.values());
        let outputs = self.branches.iter().flat_map(|branch| &branch.outputs);
        let loops = self.steps().map(|step| &step.each);
        let loops = loops.chain(outputs.map(|output| &output.each)).flatten();
        let lists = loops.map(|each| &each.list);
        computed.chain(self.compute.values()).chain(lists)
    }

    /// The texts that its gold, its calls, its links, its computed values and its loops are made of.
    pub(crate) fn bound_texts(&self) -> impl Iterator<Item = &str> {
        let written = self.written().map(|one| one.text.as_str());
        let links = self.linked.values().map(|link| link.by.as_str());
        self.steps()
            .flat_map(Step::texts)
            .chain(written)
            .chain(links)
    }

    /// The names on which its conditions, computed values and loops are.
    pub(crate) fn judged_names(&self) -> BTreeSet<&str> {
        let conditions = self.branches.iter().flat_map(|branch| &branch.conditions);
        let expressions = self.written().filter_map(Written::expression);
        let names = expressions.flat_map(|one| one.names.iter().map(String::as_str));
        conditions.flat_map(Condition::names).chain(names).collect()
    }

    /// The texts that a dialogue may say.
    pub(crate) fn said_texts(&self) -> impl Iterator<Item = &str> {
        let branches = self.branches.iter();
        let agent = branches.flat_map(|branch| {
            let outputs = branch.outputs.iter().map(|output| &output.text);
            outputs.chain(&branch.say)
        });
        let facts = self.facts.values();
        let asked = facts.flat_map(|fact| fact.question.iter().chain(&fact.answers));
        let openings = self.wordings.iter().flat_map(|wording| &wording.open);
        let rest = self
            .closings
            .iter()
            .chain([&self.confirm, &self.unknown, &self.go_on]);
        agent
            .chain(asked)
            .chain(openings)
            .chain(rest)
            .map(String::as_str)
    }

    /// Puts the source of a check in the place of its file's name.
    pub(crate) fn set_script(&mut self, file: &str, source: &str) {
        let of_branches = self.branches.iter_mut().map(|branch| &mut branch.checker);
        for checker in of_branches.chain([&mut self.checker]) {
            if checker.as_deref() == Some(file) {
                *checker = Some(source.to_owned());
            }
        }
    }
}

/// Returns true for the name of a file, and not the source of a check.
fn is_file(checker: &str) -> bool {
    checker.ends_with(".py") && !checker.contains(char::is_whitespace)
}

struct Reader<'a> {
    /// The names of facts and linked records.
    facts: Vec<String>,
    /// The names of the computed values so far.
    computed: Vec<String>,
    text: &'a str,
    found: Vec<Flaw>,
}

impl Reader<'_> {
    fn known(&self, name: &str) -> Option<Kind> {
        let is = |names: &[String]| names.iter().any(|one| one == name);
        match (is(&self.computed), is(&self.facts)) {
            (true, _) => Some(Kind::Value),
            (_, true) => Some(Kind::Fact),
            _ => None,
        }
    }

    fn add(&mut self, line: Option<u32>, message: String, remedy: &'static str) {
        self.found.push(Flaw {
            line,
            message,
            remedy,
        });
    }

    fn template(&mut self, template: &mut Template) {
        for (name, written) in &mut template.compute {
            let line = line_of(
                self.text,
                &format!("{name}:"),
                line_of(self.text, "compute:", 1).unwrap_or(1),
            );
            self.taken(name, line);
            if let Err(why) = written.read(&|name| self.known(name)) {
                self.add(line, format!("the computed `{name}`: {why}"), FORMAT);
            }
            self.computed.push(name.clone());
        }
        self.script(
            template.checker.as_deref(),
            line_of(self.text, "checker:", 1),
        );
        let of_template = self.computed.len();
        for branch in &mut template.branches {
            self.branch(branch);
            self.computed.truncate(of_template);
        }
    }

    fn branch(&mut self, branch: &mut Branch) {
        let all = line_of(self.text, "branches:", 1).unwrap_or(1);
        let from = line_of(self.text, &format!("name: {}", branch.name), all).unwrap_or(all);
        let text = self.text;
        let line = |needle: &str| line_of(text, needle, from).or(Some(from));
        let of = |name: &str, why: &str| format!("branch `{name}`: {why}");
        for (name, written) in &mut branch.compute {
            let at = line(&format!("{name}:"));
            self.taken(name, at);
            if let Err(why) = written.read(&|name| self.known(name)) {
                self.add(
                    at,
                    of(&branch.name, &format!("the computed `{name}`: {why}")),
                    FORMAT,
                );
            }
            self.computed.push(name.clone());
        }
        for condition in &mut branch.conditions {
            if let Err(why) = condition.read(&|name| self.known(name)) {
                self.add(line(condition.text()), of(&branch.name, &why), FORMAT);
            }
        }
        let of_steps = branch
            .gold
            .iter_mut()
            .chain(&mut branch.calls)
            .map(|step| &mut step.each);
        let of_outputs = branch.outputs.iter_mut().map(|output| &mut output.each);
        for each in of_steps.chain(of_outputs).flatten() {
            if let Err(why) = each.read(&|name| self.known(name)) {
                self.add(line(&each.list.text), of(&branch.name, &why), FORMAT);
            }
        }
        self.script(branch.checker.as_deref(), line("checker:"));
    }

    /// Refuses the name of a computed value that means something else already, or that no placeholder can have.
    fn taken(&mut self, name: &str, line: Option<u32>) {
        if self.known(name).is_some() || matches!(name, "now" | "item" | "true" | "false" | "null")
        {
            let message = format!("the computed `{name}` has the name of something else");
            self.add(line, message, "give it a name of its own");
        }
        let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_') && first(name) == name;
        if !plain || name.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!("the computed `{name}` has no plain name");
            self.add(
                line,
                message,
                "use letters, digits and `_`, and begin with a letter",
            );
        }
    }

    fn script(&mut self, checker: Option<&str>, line: Option<u32>) {
        let Some(file) = checker.filter(|checker| is_file(checker)) else {
            return;
        };
        if file.contains(['/', '\\']) || file.starts_with('.') {
            let message =
                format!("`checker` names {file}, which is no file of the templates folder");
            self.add(
                line,
                message,
                "put the file beside the template, and write its name alone",
            );
        }
    }
}
