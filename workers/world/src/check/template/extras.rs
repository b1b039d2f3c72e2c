//! The identification of records, the comparisons and the scripts of a template.

use agoge_sandbox::{Source, lint, pitfalls};

use super::Check;
use crate::check::expressions;
use crate::problem::line_of;
use crate::template::{Branch, FactSpec, placeholders};

impl Check<'_> {
    /// The user's fields of a record: it has them, and they are its own.
    pub(super) fn known_by(&mut self, name: &str, fact: &FactSpec, line: Option<u32>) {
        if fact.by.0.is_empty() {
            return;
        }
        let Some(collection) = &fact.record else {
            let message = format!("fact `{name}` has `by`, and no `record`");
            self.add(
                line,
                message,
                "leave `by` out, or name the collection in `record`",
            );
            return;
        };
        let (unique, all) = expressions::unique(self.domain, collection, &fact.by.0);
        if unique == 0 && all > 0 {
            let fields = fact.by.0.join(", ");
            let message = format!(
                "fact `{name}`: no record of `{collection}` can be told from the others by {fields}"
            );
            self.add(
                line,
                message,
                "name fields that every record has, and that differ",
            );
        }
        let tells_id = |text: &String| placeholders(text).any(|path| path == name);
        let openings = self
            .template
            .wordings
            .iter()
            .flat_map(|wording| &wording.open);
        if fact.answers.iter().chain(openings).any(tells_id) {
            let message =
                format!("the user tells the id of `{name}`, which it knows by other fields");
            self.add(
                line,
                message,
                "write the fields as placeholders, such as `{customer.email}`",
            );
        }
    }

    /// The arguments that are compared in another way are those of calls.
    pub(super) fn compare(&mut self, branch: &Branch) {
        let template = self.template;
        // Those of the template are reported once.
        let first = template
            .branches
            .first()
            .is_some_and(|first| first.name == branch.name);
        let shared = template.compare.keys().filter(|_| first);
        for name in shared.chain(branch.compare.keys()) {
            let of_call = |(tool, _): (&String, &serde_json::Map<String, serde_json::Value>)| {
                let argument = name.strip_prefix(&format!("{tool}.")).unwrap_or(name);
                let spec = self.domain.tool(tool);
                spec.is_none_or(|spec| spec.parameters["properties"].get(argument).is_some())
            };
            let mut branches = template
                .branches
                .iter()
                .filter(|one| one.name == branch.name || template.compare.contains_key(name));
            let known =
                branches.any(|one| one.gold.iter().flat_map(|step| &step.calls).any(of_call));
            if !known {
                let message =
                    format!("`compare` names `{name}`, which is no argument of a gold call");
                let line = self.of_branch(branch, &format!("{name}:"));
                self.add(line, message, "write `argument` or `tool.argument`");
            }
        }
    }

    /// The Python of a check can be run.
    pub(super) fn script(&mut self, source: Option<&str>, branch: Option<&Branch>) {
        let Some(source) = source else {
            return;
        };
        // A task adds its facts.
        let source = format!("{}\n\n\nFACTS = {{}}\n", source.trim_end());
        let mut found = lint(&source, Source::Checker);
        if found.is_empty() {
            found = pitfalls(&source, Source::Checker);
        }
        let line = match branch {
            Some(branch) => self.of_branch(branch, "checker:"),
            None => line_of(&self.template.text, "checker:", 1),
        };
        for one in found {
            let message = format!("its checker, line {}: {}", one.line, one.message);
            self.add(line, message, "correct the script; see docs/checker.md");
        }
        if !source.contains("def check(") {
            let remedy = "write `def check(calls, messages):`, which returns True or False";
            self.add(line, "its checker has no function `check`", remedy);
        }
    }
}
