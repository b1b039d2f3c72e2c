//! Reads the tools of both parties: `tools.py` and `user_tools.py`.

use std::collections::BTreeSet;

use agoge_dialogue::ToolSpec;
use agoge_sandbox::{Format, Source, Types, lint, signatures};

use super::Reader;
use crate::problem::Problem;
use crate::schema;

const TOOLS_REMEDY: &str = "write the tools there, as type-hinted Python functions";

/// The tools of both parties, as their files declare them.
pub(super) struct Tools {
    pub agent: Vec<ToolSpec>,
    pub user: Vec<ToolSpec>,
    pub source: String,
    pub user_from: Option<u32>,
    pub functions: BTreeSet<String>,
}

impl Reader<'_> {
    /// Reads `tools.py` and, in the second format, `user_tools.py`. Where servers hold tools, `tools.py` may be missing.
    pub(super) fn both_tools(&mut self, format: Format, served: bool) -> Option<Tools> {
        let source = match served {
            true => Some(self.optional("tools.py").unwrap_or_default()),
            false => self.text("tools.py", TOOLS_REMEDY),
        };
        let users = match format {
            Format::One => None,
            Format::Two => self.optional("user_tools.py"),
        };
        let source = source?;
        let types = Types::of(&source);
        let agent = self.tools("tools.py", &source, served, (&types, format));
        let user = match &users {
            Some(users) => {
                let types = Types::of(users).and(types);
                self.tools("user_tools.py", users, true, (&types, format))
            }
            None => Some(Vec::new()),
        };
        let (agent, user) = (agent?, user?);
        let mut functions: BTreeSet<String> =
            defined(&source).map(|(name, _)| name.to_owned()).collect();
        let Some(users) = users else {
            return Some(Tools {
                agent,
                user,
                source,
                user_from: None,
                functions,
            });
        };
        for (name, line) in defined(&users) {
            if !functions.insert(name.to_owned()) {
                let message = format!("tools.py or this file has a function `{name}` already");
                let file = self.dir.join("user_tools.py");
                let problem = Problem::new(&file, message, "give it a name of its own");
                self.problems.push(problem.at(Some(line)));
            }
        }
        let joined = format!("{}\n\n", source.trim_end_matches('\n'));
        let user_from = u32::try_from(joined.matches('\n').count()).ok();
        Some(Tools {
            agent,
            user,
            source: joined + &within(&users),
            user_from,
            functions,
        })
    }

    /// Reads the tools that one file declares.
    fn tools(
        &mut self,
        name: &str,
        source: &str,
        may_be_none: bool,
        (types, format): (&Types, Format),
    ) -> Option<Vec<ToolSpec>> {
        let path = self.dir.join(name);
        for found in lint(source, Source::Tools) {
            self.problems
                .push(Problem::new(&path, found.message, found.remedy).at(Some(found.line)));
        }
        let found = signatures(source).ok()?;
        if found.is_empty() && !may_be_none {
            let remedy = "write at least one function whose name does not begin with `_`";
            self.problems
                .push(Problem::new(&path, "it has no tool", remedy));
        }
        let mut tools = Vec::new();
        for signature in &found {
            match schema::tool(signature, types, format) {
                Ok(tool) => tools.push(tool),
                Err((message, remedy)) => {
                    self.problems
                        .push(Problem::new(&path, message, remedy).at(Some(signature.line)));
                }
            }
        }
        Some(tools)
    }

    pub(super) fn lookups(&mut self, names: &[String], tools: &Tools, served: bool) {
        for name in names {
            let mut all = tools.agent.iter().chain(&tools.user);
            if !served && !all.any(|tool| tool.name == *name) {
                let message = format!("`lookups` names `{name}`, which is no tool");
                let file = self.dir.join("domain.yaml");
                let remedy = "name functions of tools.py";
                self.problems.push(Problem::new(&file, message, remedy));
            }
        }
    }
}

/// Returns the names of the functions at the top level of a source, each with its line.
fn defined(source: &str) -> impl Iterator<Item = (&str, u32)> {
    (1..).zip(source.lines()).filter_map(|(line, text)| {
        let rest = text.strip_prefix("def ")?;
        let name = rest.split(['(', '[', ' ']).next()?;
        Some((name, line))
    })
}

/// Returns a source as the later part of a program, where Python allows no import of `__future__`. Lines stay in place.
fn within(source: &str) -> String {
    let lines = source
        .split('\n')
        .map(|line| match line.starts_with("from __future__ ") {
            true => "",
            false => line,
        });
    lines.collect::<Vec<_>>().join("\n")
}
