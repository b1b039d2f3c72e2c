//! Reads `tools.json`: schemas of tools where hints do not suffice, such as a pattern, a bound or a description of an argument.

use std::collections::BTreeSet;

use agoge_dialogue::ToolSpec;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Reader;
use super::tools::Tools;
use crate::problem::Problem;

const FILE: &str = "tools.json";
const REMEDY: &str =
    "write {\"tool\": {\"description\": .., \"parameters\": a JSON schema of its arguments}}";

/// The entry of a tool; what it leaves out stays as the file of the tools has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    description: Option<String>,
    parameters: Option<Value>,
}

impl Reader<'_> {
    /// Puts the schemas of `tools.json` in the place of those that hints give.
    pub(super) fn given_schemas(&mut self, tools: &mut Tools) {
        let Some(text) = self.optional(FILE) else {
            return;
        };
        let Some(value) = self.strict(FILE, agoge_notation::json(&text)) else {
            return;
        };
        let problems: Vec<String> = match value {
            Value::Object(entries) => {
                let entries = entries.into_iter();
                entries
                    .filter_map(|(name, entry)| put(tools, &name, entry).err())
                    .collect()
            }
            _ => vec!["it is no object".to_owned()],
        };
        let file = self.dir.join(FILE);
        let problem = |message| Problem::new(&file, message, REMEDY);
        self.problems.extend(problems.into_iter().map(problem));
    }
}

fn put(tools: &mut Tools, name: &str, entry: Value) -> Result<(), String> {
    let mut all = tools.agent.iter_mut().chain(&mut tools.user);
    let Some(tool) = all.find(|tool| tool.name == name) else {
        return Err(format!("`{name}` is no tool of tools.py or user_tools.py"));
    };
    let given: Given = serde_json::from_value(entry).map_err(|why| format!("`{name}`: {why}"))?;
    if let Some(schema) = given.parameters {
        fit(tool, &schema).map_err(|why| format!("`{name}.parameters`: {why}"))?;
        tool.parameters = schema;
    }
    if let Some(description) = given.description {
        tool.description = description;
    }
    Ok(())
}

/// Returns the reason why a schema does not describe the arguments of a tool's function.
fn fit(tool: &ToolSpec, schema: &Value) -> Result<(), String> {
    if schema["type"] != "object" {
        return Err("its `type` is not `object`".into());
    }
    jsonschema::validator_for(schema).map_err(|why| format!("it is no JSON schema: {why}"))?;
    let names = |schema: &Value| -> BTreeSet<String> {
        let properties = schema["properties"].as_object();
        properties
            .into_iter()
            .flat_map(Map::keys)
            .cloned()
            .collect()
    };
    let needed = |schema: &Value| -> BTreeSet<String> {
        let required = schema["required"].as_array().into_iter().flatten();
        required
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let (has, needs) = (names(&tool.parameters), needed(&tool.parameters));
    if let Some(name) = names(schema).difference(&has).next() {
        return Err(format!("the function has no argument `{name}`"));
    }
    if let Some(name) = needed(schema).difference(&names(schema)).next() {
        return Err(format!(
            "`{name}` is required, and is none of its `properties`"
        ));
    }
    match needs.difference(&needed(schema)).next() {
        Some(name) => Err(format!(
            "the function needs `{name}`, and it is not `required`"
        )),
        None => Ok(()),
    }
}
