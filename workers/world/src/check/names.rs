//! Names of collections and fields that do not exist: in the tools, and in the conditions and texts of templates.

use agoge_sandbox::Names;
use serde_json::Value;

use super::line_of_named;
use super::writes::{knows_collection, knows_field};
use crate::domain::Domain;
use crate::expression::reaches;
use crate::problem::{Problem, line_of};
use crate::template::{Branch, Condition, Step, Template, Written, first, placeholders};

/// Returns the problems of names in the tools.
pub(super) fn in_tools(domain: &Domain, names: &Names) -> Vec<Problem> {
    let mut found = Vec::new();
    for name in &names.used {
        let collection = &name.collection;
        let (message, remedy) = match &name.field {
            None if knows_collection(domain, collection) => continue,
            None => (
                format!("neither state.json nor schema.json has the collection `{collection}`"),
                "correct the name, or add the collection",
            ),
            Some(_) if !knows_collection(domain, collection) => continue,
            Some(field) if knows_field(domain, collection, field) => continue,
            Some(field) => (
                format!("neither a record of `{collection}` nor schema.json has a field `{field}`"),
                "correct the name, or add the field to schema.json",
            ),
        };
        let (file, line) = domain.place(Some(name.line));
        found.push(Problem::new(&file, message, remedy).at(line));
    }
    found
}

/// Returns the problems of names in the templates.
pub(super) fn in_templates(domain: &Domain) -> Vec<Problem> {
    let mut found = Vec::new();
    for template in &domain.templates {
        let file = domain.template_file(template);
        for branch in &template.branches {
            for path in paths(template, branch) {
                if let Some(message) = unknown(domain, template, &path) {
                    let from = line_of_named(template, &branch.name);
                    let line = line_of(&template.text, &path, from.unwrap_or(1)).or(from);
                    let remedy = "correct the name, or add the field to schema.json";
                    let problem = Problem::new(&file, message, remedy).at(line);
                    if !found.contains(&problem) {
                        found.push(problem);
                    }
                }
            }
        }
    }
    found
}

/// The paths in the conditions, computed values, loops and texts of a branch.
fn paths(template: &Template, branch: &Branch) -> Vec<String> {
    let conditions = branch
        .conditions
        .iter()
        .flat_map(Condition::paths)
        .map(str::to_owned);
    let computed = template.compute.values().chain(branch.compute.values());
    let loops = branch
        .gold
        .iter()
        .chain(&branch.calls)
        .filter_map(|step| step.each.as_ref());
    let loops = loops.chain(
        branch
            .outputs
            .iter()
            .filter_map(|output| output.each.as_ref()),
    );
    let parsed = computed
        .chain(loops.map(|each| &each.list))
        .filter_map(Written::expression);
    let conditions = conditions.chain(parsed.flat_map(|one| one.paths.iter().cloned()));
    let texts = branch
        .gold
        .iter()
        .chain(&branch.calls)
        .flat_map(Step::texts);
    let texts = texts.chain(branch.outputs.iter().map(|output| output.text.as_str()));
    let texts = texts.chain(branch.say.iter().map(String::as_str));
    let placed = texts.flat_map(placeholders).map(str::to_owned);
    conditions.chain(placed).collect()
}

/// Returns the reason why a path leads to nothing. What is no path at all, or begins with no fact, is reported elsewhere.
fn unknown(domain: &Domain, template: &Template, path: &str) -> Option<String> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
    if !path.chars().all(plain) {
        return None;
    }
    let collection = template.collection(first(path))?;
    let rest = path.get(first(path).len()..)?.strip_prefix('.')?;
    let field = first(rest);
    domain.state.ids(collection).next()?;
    if !knows_field(domain, collection, field) {
        return Some(format!(
            "`{path}`: neither a record of `{collection}` nor schema.json has a field `{field}`"
        ));
    }
    // Within a field only the records tell; a field that they all leave empty may have anything in it.
    let within = rest
        .get(field.len()..)
        .filter(|within| !within.is_empty())?;
    let records = || {
        domain
            .state
            .ids(collection)
            .filter_map(|id| domain.state.get(collection, id))
    };
    let mut values = records()
        .filter_map(|record| record.get(field))
        .filter(|value| !is_empty(value))
        .peekable();
    values.peek()?;
    let flat = |record: &Value| record.get(rest).is_some();
    let found = values.any(|value| reaches(value, within)) || records().any(flat);
    (!found).then(|| {
        format!(
            "`{path}`: no record of `{collection}` has `{}` in `{field}`",
            within.trim_start_matches('.')
        )
    })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
