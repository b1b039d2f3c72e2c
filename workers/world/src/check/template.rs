//! Contradictions in a template, found without playing it.

mod extras;

use super::expressions;
use crate::domain::Domain;
use crate::problem::line_of;
use crate::said::{mentions, says};
use crate::task::DONE;
use crate::template::{Branch, FactSpec, Flaw, Template, Wording, first, placeholders};

const BEGIN: &str = "begin it with a fact or a linked record";

/// Returns the contradictions in a template: facts, links, branches, wordings and closings, in this order.
pub(super) fn flaws(domain: &Domain, template: &Template) -> Vec<Flaw> {
    let mut check = Check {
        domain,
        template,
        found: Vec::new(),
    };
    for (name, fact) in &template.facts {
        check.fact(name, fact);
    }
    check.links();
    check.script(template.checker.as_deref(), None);
    for branch in &template.branches {
        check.conditions(branch);
        check.compare(branch);
        check.script(branch.checker.as_deref(), Some(branch));
        check.gold(branch);
        check.outputs(branch);
        check.say(branch);
    }
    check.number_of_wordings();
    for wording in &template.wordings {
        check.held_back(wording);
        check.openings(wording);
    }
    check.closings();
    check.found
}

/// A template under check, with the contradictions so far.
struct Check<'a> {
    domain: &'a Domain,
    template: &'a Template,
    found: Vec<Flaw>,
}

impl Check<'_> {
    fn add(&mut self, line: Option<u32>, message: impl Into<String>, remedy: &'static str) {
        self.found.push(Flaw {
            line,
            message: message.into(),
            remedy,
        });
    }

    /// Returns the line of `needle` in a section, or the section's own.
    fn within(&self, section: &str, needle: &str) -> Option<u32> {
        let from = line_of(&self.template.text, section, 1).unwrap_or(1);
        line_of(&self.template.text, needle, from).or(Some(from))
    }

    /// Returns the line of `needle` in the branch or wording of this name.
    fn of_named(&self, section: &str, name: &str, needle: &str) -> Option<u32> {
        let named = format!("name: {name}");
        let from = self.within(section, &named).unwrap_or(1);
        line_of(&self.template.text, needle, from).or(Some(from))
    }

    fn of_branch(&self, branch: &Branch, needle: &str) -> Option<u32> {
        self.of_named("branches:", &branch.name, needle)
    }

    fn of_wording(&self, wording: &Wording, needle: &str) -> Option<u32> {
        self.of_named("wordings:", &wording.name, needle)
    }

    fn fact(&mut self, name: &str, fact: &FactSpec) {
        let line = self.within("facts:", &format!("{name}:"));
        let sources = [
            fact.record.is_some(),
            fact.one_of.is_some(),
            fact.between.is_some(),
            fact.digits.is_some(),
        ];
        if sources.iter().filter(|given| **given).count() != 1 {
            let message = format!("fact `{name}` has not exactly one source");
            let remedy = "give one of `record`, `one_of`, `between`, `digits`";
            self.add(line, message, remedy);
        }
        if let Some(collection) = &fact.record
            && self.domain.state.ids(collection).next().is_none()
        {
            let message =
                format!("fact `{name}` is of the collection `{collection}`, which has no records");
            self.add(line, message, "name a collection of state.json");
        }
        if fact.asked.is_empty() {
            let message = format!("fact `{name}` has no `asked` words");
            let remedy = "list the words by which an agent asks for it";
            self.add(line, message, remedy);
        }
        self.known_by(name, fact, line);
        let paths = told_by(name, fact);
        let tells = |answer: &String| {
            paths
                .iter()
                .all(|path| placeholders(answer).any(|placed| placed == path))
        };
        if fact.answers.is_empty() || !fact.answers.iter().all(tells) {
            let message = format!("an answer of fact `{name}` does not tell it");
            let remedy = "write the fact as a placeholder in each of `answers`";
            self.add(line, message, remedy);
        }
    }

    fn links(&mut self) {
        for (name, link) in &self.template.linked {
            if self.template.root(name).is_none() {
                let line = self.within("linked:", &format!("{name}:"));
                let by = &link.by;
                let message = format!("`{name}` is linked by `{by}`, which leads to no fact");
                self.add(line, message, "write `by: fact.field`");
            }
        }
    }

    fn conditions(&mut self, branch: &Branch) {
        for condition in &branch.conditions {
            let path = &condition.path;
            if !condition.is_full() && !self.template.knows(Some(branch), first(path)) {
                let name = &branch.name;
                let message =
                    format!("branch `{name}` has a condition on `{path}`, which is no fact");
                self.add(self.of_branch(branch, path), message, BEGIN);
            }
            if let Some((why, remedy)) =
                expressions::failing(self.domain, self.template, branch, condition)
            {
                let message = format!("branch `{}`: {why}", branch.name);
                self.add(self.of_branch(branch, condition.text()), message, remedy);
            }
        }
    }

    fn gold(&mut self, branch: &Branch) {
        for tool in branch
            .gold
            .iter()
            .chain(&branch.calls)
            .flat_map(|step| step.calls.keys())
        {
            let served = self.domain.servers.is_some() && self.domain.foreign.is_none();
            if !served && self.domain.tool(tool).is_none() {
                let line = self.of_branch(branch, &format!("{tool}:"));
                let message = format!("branch `{}` calls `{tool}`, which is no tool", branch.name);
                self.add(line, message, "name a function of tools.py");
            }
        }
        for step in branch.gold.iter().chain(&branch.calls) {
            let item = step.each.as_ref().map(|each| each.item.as_str());
            for path in step.texts().into_iter().flat_map(placeholders) {
                self.placeholder(branch, item, path);
            }
        }
        for tool in branch.calls.iter().flat_map(|step| step.calls.keys()) {
            if !branch.gold.iter().any(|step| step.calls.contains_key(tool)) {
                let message = format!(
                    "branch `{}` requires a call of `{tool}`, which its gold does not make",
                    branch.name
                );
                let line = self.of_branch(branch, "calls:");
                self.add(
                    line,
                    message,
                    "add the call to `gold`, or leave it out of `calls`",
                );
            }
        }
    }

    fn placeholder(&mut self, branch: &Branch, item: Option<&str>, path: &str) {
        let name = first(path);
        if item != Some(name) && !self.template.knows(Some(branch), name) {
            let message = format!("`{{{path}}}` names neither a fact nor a linked record");
            self.add(self.of_branch(branch, path), message, BEGIN);
        }
    }

    fn outputs(&mut self, branch: &Branch) {
        for output in &branch.outputs {
            let item = output.each.as_ref().map(|each| each.item.as_str());
            for path in placeholders(&output.text) {
                self.placeholder(branch, item, path);
            }
        }
        for path in branch.say.iter().flat_map(|text| placeholders(text)) {
            self.placeholder(branch, None, path);
        }
        let acts = branch.gold.len() > 1 || !branch.calls.is_empty();
        if branch.outputs.is_empty() && !acts {
            let message = format!(
                "branch `{}` has no `outputs`, so that saying nothing would pass",
                branch.name
            );
            let line = self.of_branch(branch, "name:");
            self.add(line, message, "list what the agent must say");
        }
    }

    fn say(&mut self, branch: &Branch) {
        let name = &branch.name;
        for say in &branch.say {
            // What a loop or a computed value says is known only for a task, and compared there.
            let computed = placeholders(say).any(|path| self.template.root(path).is_none());
            let plain = branch
                .outputs
                .iter()
                .filter(|output| output.each.is_none() && !computed);
            for output in plain.map(|output| output.text.as_str()) {
                if !says(say, output) {
                    let message =
                        format!("branch `{name}` says {say:?} without its output {output:?}");
                    let remedy = "let each of `say` tell every one of `outputs`";
                    self.add(self.of_branch(branch, "say:"), message, remedy);
                }
            }
        }
        if branch.say.is_empty() {
            let message = format!("branch `{name}` has no `say`");
            let line = self.of_branch(branch, "name:");
            self.add(line, message, "write the agent's last turn");
        }
    }

    fn number_of_wordings(&mut self) {
        if self.template.wordings.len() < 2 && !self.template.unseen {
            let line = line_of(&self.template.text, "wordings:", 1);
            let message = "it has fewer than two wordings, so that none can be kept for evaluation";
            let remedy = "add another way of asking, or mark it `unseen: true`";
            self.add(line, message, remedy);
        }
    }

    fn held_back(&mut self, wording: &Wording) {
        let line = self.of_wording(wording, "hold:");
        let facts = &self.template.facts;
        for name in wording
            .hold
            .iter()
            .filter(|name| !facts.contains_key(*name))
        {
            let of = &wording.name;
            let message = format!("wording `{of}` holds back `{name}`, which is no fact");
            self.add(line, message, "name a fact");
        }
        let unasked = |name: &&String| facts.get(*name).is_some_and(|f| f.question.is_empty());
        for name in wording.hold.iter().filter(unasked) {
            let of = &wording.name;
            let message = format!("wording `{of}` holds back `{name}`, which has no `question`");
            let remedy = "write one: a demonstration's agent asks it";
            self.add(line, message, remedy);
        }
    }

    fn openings(&mut self, wording: &Wording) {
        if wording.open.is_empty() {
            let message = format!("wording `{}` has no `open`", wording.name);
            let line = self.of_wording(wording, "name:");
            self.add(line, message, "write a first turn");
        }
        for open in &wording.open {
            self.opening(wording, open);
        }
    }

    /// An opening tells the facts that its wording does not hold back, and has a word of the topic.
    fn opening(&mut self, wording: &Wording, open: &str) {
        let line = self.of_wording(wording, open);
        let template = self.template;
        let placed: Vec<&str> = placeholders(open).collect();
        for (name, fact) in &template.facts {
            let tells = match fact.by.0.is_empty() {
                true => placed.iter().any(|path| first(path) == name),
                false => told_by(name, fact)
                    .iter()
                    .all(|path| placed.contains(&path.as_str())),
            };
            match (tells, wording.hold.contains(name)) {
                (true, true) => {
                    let message =
                        format!("the opening tells `{name}`, which its wording holds back");
                    self.add(line, message, "leave it out");
                }
                (false, false) => {
                    let remedy = "write it as a placeholder, or list it in the wording's `hold`";
                    self.add(line, format!("the opening does not tell `{name}`"), remedy);
                }
                _ => {}
            }
        }
        if !template.topic.iter().any(|word| mentions(open, word)) {
            let topic = template.topic.join(", ");
            let message = format!("the opening has none of the topic's words ({topic})");
            self.add(line, message, "use one, or add a word to `topic`");
        }
    }

    fn closings(&mut self) {
        let template = self.template;
        let open = |closing: &&String| !closing.contains(DONE);
        for closing in template.closings.iter().filter(open) {
            let message = format!("the closing {closing:?} does not close");
            let line = line_of(&template.text, closing, 1);
            self.add(line, message, "end it with ###");
        }
    }
}

/// Returns the placeholders that tell a fact: its own, or those of the fields by which the user knows it.
fn told_by(name: &str, fact: &FactSpec) -> Vec<String> {
    match fact.by.0.is_empty() {
        true => vec![name.to_owned()],
        false => fact
            .by
            .0
            .iter()
            .map(|field| format!("{name}.{field}"))
            .collect(),
    }
}
