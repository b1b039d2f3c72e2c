//! Everything that is wrong with a domain's folder, found before anything is run with it: what loading finds, what
//! templates say that cannot be, and gold that does not work.

use std::path::Path;
use std::sync::Arc;

use agoge_sandbox::Limits;

use crate::demonstrate::{DemoError, demonstrate};
use crate::domain::Domain;
use crate::draw::cells;
use crate::episode::{World, WorldError};
use crate::problem::{Problem, Problems, line_of};
use crate::task::{DONE, Split};
use crate::template::{Flaw, Template, first, placeholders};
use crate::words::words;

/// Instances of each branch that are played.
const PLAYED: usize = 4;

impl Domain {
    /// Every problem of a folder; none means that everything in it works.
    #[must_use]
    pub fn check(dir: &Path) -> Vec<Problem> {
        let domain = match Self::load(dir) {
            Ok(domain) => Arc::new(domain),
            Err(Problems(problems)) => return problems,
        };
        let mut problems = Vec::new();
        let head = dir.join("domain.yaml");
        if domain.prompt.is_empty() {
            let remedy =
                "add one, such as the desk's name; small policies learn the rest in their weights";
            problems.push(Problem::new(&head, "it has no `prompt`", remedy));
        }
        if domain.policy.trim().is_empty() {
            problems.push(Problem::new(
                &dir.join("policy.md"),
                "it is empty",
                "write the policy there",
            ));
        }
        for template in &domain.templates {
            let file = domain.template_file(template);
            for flaw in flaws(&domain, template) {
                problems.push(Problem::new(&file, flaw.message, flaw.remedy).at(flaw.line));
            }
        }
        if problems.is_empty() {
            problems.extend(played(&domain));
        }
        problems
    }
}

/// Returns the contradictions in a template.
fn flaws(domain: &Domain, template: &Template) -> Vec<Flaw> {
    let mut found = Vec::new();
    let text = &template.text;
    let within = |section: &str, needle: &str| {
        let from = line_of(text, section, 1).unwrap_or(1);
        line_of(text, needle, from).or(Some(from))
    };
    let mut add = |line: Option<u32>, message: String, remedy: &'static str| {
        found.push(Flaw {
            line,
            message,
            remedy,
        })
    };
    for (name, fact) in &template.facts {
        let line = within("facts:", &format!("{name}:"));
        let sources = [
            fact.record.is_some(),
            fact.one_of.is_some(),
            fact.between.is_some(),
            fact.digits.is_some(),
        ];
        if sources.iter().filter(|given| **given).count() != 1 {
            let message = format!("fact `{name}` has not exactly one source");
            add(
                line,
                message,
                "give one of `record`, `one_of`, `between`, `digits`",
            );
        }
        if let Some(collection) = &fact.record
            && domain.state.ids(collection).next().is_none()
        {
            let message =
                format!("fact `{name}` is of the collection `{collection}`, which has no records");
            add(line, message, "name a collection of state.json");
        }
        if fact.asked.is_empty() {
            add(
                line,
                format!("fact `{name}` has no `asked` words"),
                "list the words by which an agent asks for it",
            );
        }
        if !fact
            .answers
            .iter()
            .all(|answer| placeholders(answer).any(|p| p == name))
            || fact.answers.is_empty()
        {
            let message = format!("an answer of fact `{name}` does not tell it");
            add(
                line,
                message,
                "write the fact as a placeholder in each of `answers`",
            );
        }
    }
    for (name, link) in &template.linked {
        if template.root(name).is_none() {
            let message = format!(
                "`{name}` is linked by `{}`, which leads to no fact",
                link.by
            );
            add(
                within("linked:", &format!("{name}:")),
                message,
                "write `by: fact.field`",
            );
        }
    }
    let known = |path: &str| template.root(path).is_some();
    for branch in &template.branches {
        let at = |needle: &str| {
            let from = within("branches:", &format!("name: {}", branch.name)).unwrap_or(1);
            line_of(text, needle, from).or(Some(from))
        };
        for condition in &branch.conditions {
            if !known(&condition.path) {
                let message = format!(
                    "branch `{}` has a condition on `{}`, which is no fact",
                    branch.name, condition.path
                );
                add(
                    at(&condition.path),
                    message,
                    "begin it with a fact or a linked record",
                );
            }
        }
        for (tool, arguments) in branch.gold.iter().flatten() {
            if domain.tool(tool).is_none() {
                let message = format!("branch `{}` calls `{tool}`, which is no tool", branch.name);
                add(
                    at(&format!("{tool}:")),
                    message,
                    "name a function of tools.py",
                );
            }
            for path in arguments
                .values()
                .filter_map(|v| v.as_str())
                .flat_map(placeholders)
            {
                if !known(path) {
                    add(
                        at(path),
                        format!("`{{{path}}}` stands for nothing"),
                        "begin it with a fact or a linked record",
                    );
                }
            }
        }
        for path in branch
            .outputs
            .iter()
            .chain(&branch.say)
            .flat_map(|text| placeholders(text))
        {
            if !known(path) {
                add(
                    at(path),
                    format!("`{{{path}}}` stands for nothing"),
                    "begin it with a fact or a linked record",
                );
            }
        }
        let acts = branch.gold.len() > 1;
        if branch.outputs.is_empty() && !acts {
            let message = format!(
                "branch `{}` has no `outputs`, so that saying nothing would pass",
                branch.name
            );
            add(at("name:"), message, "list what the agent must say");
        }
        for (say, output) in branch
            .say
            .iter()
            .flat_map(|say| branch.outputs.iter().map(move |o| (say, o)))
        {
            let said: Vec<String> = words(say).collect();
            if !words(output).all(|word| said.contains(&word)) {
                let message = format!(
                    "branch `{}` says {say:?} without its output {output:?}",
                    branch.name
                );
                add(
                    at("say:"),
                    message,
                    "let each of `say` tell every one of `outputs`",
                );
            }
        }
        if branch.say.is_empty() {
            add(
                at("name:"),
                format!("branch `{}` has no `say`", branch.name),
                "write the agent's last words",
            );
        }
    }
    if template.wordings.len() < 2 && !template.unseen {
        let message =
            "it has fewer than two wordings, so that none can be kept for evaluation".to_owned();
        add(
            line_of(text, "wordings:", 1),
            message,
            "add another way of asking, or mark it `unseen: true`",
        );
    }
    for wording in &template.wordings {
        let at = |needle: &str| {
            let from = within("wordings:", &format!("name: {}", wording.name)).unwrap_or(1);
            line_of(text, needle, from).or(Some(from))
        };
        for name in wording
            .hold
            .iter()
            .filter(|name| !template.facts.contains_key(*name))
        {
            add(
                at("hold:"),
                format!(
                    "wording `{}` holds back `{name}`, which is no fact",
                    wording.name
                ),
                "name a fact",
            );
        }
        let unasked = wording.hold.iter().filter(|n| {
            template
                .facts
                .get(*n)
                .is_some_and(|f| f.question.is_empty())
        });
        for name in unasked {
            let message = format!(
                "wording `{}` holds back `{name}`, which has no `question`",
                wording.name
            );
            add(
                at("hold:"),
                message,
                "write one: a demonstration's agent asks it",
            );
        }
        if wording.open.is_empty() {
            add(
                at("name:"),
                format!("wording `{}` has no `open`", wording.name),
                "write a first turn",
            );
        }
        for open in &wording.open {
            let line = at(open);
            let told: Vec<&str> = placeholders(open).map(first).collect();
            for (name, _) in &template.facts {
                match (told.contains(&name.as_str()), wording.hold.contains(name)) {
                    (true, true) => {
                        add(
                            line,
                            format!("the opening tells `{name}`, which its wording holds back"),
                            "leave it out",
                        );
                    }
                    (false, false) => {
                        let remedy =
                            "write it as a placeholder, or list it in the wording's `hold`";
                        add(line, format!("the opening does not tell `{name}`"), remedy);
                    }
                    _ => {}
                }
            }
            if !words(open).any(|word| template.topic.contains(&word)) {
                let message = format!(
                    "the opening has none of the topic's words ({})",
                    template.topic.join(", ")
                );
                add(line, message, "use one, or add a word to `topic`");
            }
        }
    }
    for closing in template
        .closings
        .iter()
        .filter(|closing| !closing.contains(DONE))
    {
        let message = format!("the closing {closing:?} does not close");
        add(line_of(text, closing, 1), message, "end it with ###");
    }
    found
}

/// Plays a few instances of every branch in every split.
fn played(domain: &Arc<Domain>) -> Vec<Problem> {
    let mut world = match World::open(domain.clone(), Limits::default()) {
        Ok(world) => world,
        Err(WorldError::Import {
            file,
            line,
            message,
        }) => {
            let message = format!("it fails at import: {message}");
            return vec![Problem::new(&file, message, "correct the module's top level").at(line)];
        }
        Err(error @ WorldError::Start { .. }) => {
            return vec![Problem::new(
                &domain.dir,
                error.to_string(),
                "build the whole workspace, or name the binary in AGOGE_SANDBOX",
            )];
        }
    };
    let mut problems = Vec::new();
    let unseen = domain.templates.iter().any(|template| template.unseen);
    let mut splits = vec![Split::Heldout, Split::TrainSft, Split::TrainRl];
    if unseen {
        splits.push(Split::Unseen);
    }
    for split in splits.into_iter().filter(|_| !domain.templates.is_empty()) {
        let cells = match cells(domain, split) {
            Ok(cells) => cells,
            Err(error) => {
                let folder = domain.dir.join("templates");
                problems.push(Problem::new(
                    &folder,
                    error.to_string(),
                    "every branch needs records on every side",
                ));
                continue;
            }
        };
        for cell in &cells {
            let mut drawn = Vec::new();
            let result = cell
                .draw(domain, split, 0, PLAYED, &mut drawn)
                .map_err(|error| (error.to_string(), "correct the template"))
                .and_then(|()| {
                    drawn.iter().try_for_each(|task| {
                        demonstrate(&mut world, task).map(drop).map_err(|error| {
                            let remedy = match &error {
                                DemoError::Gold(_) => "correct the branch's `gold` or `where`, or the tool",
                                DemoError::User(_) => "correct the fact's `question` or `asked`, or the branch's `say`",
                            };
                            (format!("task {}: {error}", task.id), remedy)
                        })
                    })
                });
            if let Err((message, remedy)) = result {
                let text = &cell.template.text;
                let from = line_of(text, "branches:", 1).unwrap_or(1);
                let line = line_of(text, &format!("name: {}", cell.branch.name), from);
                let problem = Problem::new(&domain.template_file(cell.template), message, remedy);
                problems.push(problem.at(line));
            }
        }
    }
    problems.dedup_by(|a, b| a.file == b.file && a.line == b.line);
    problems
}
