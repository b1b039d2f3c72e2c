//! The catalog of strategies: what manifests, plans and cost estimates know of each without linking it.
//!
//! `strategies.json` is printed from the registry of `agoge-synthesis`, as `docs/strategies.md` says; from it follow the names
//! that a manifest may use and the schema of `parameters`. A program that has further strategies adds them by [`extend`].

use std::collections::BTreeMap;
use std::sync::OnceLock;

use parking_lot::RwLock;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::rules::cel;
use crate::shared::Part;

/// The strategies that every program has.
const BUILT_IN: &str = include_str!("strategies.json");

/// One strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StrategyEntry {
    /// The name that manifests use.
    pub name: String,
    /// One sentence for the help texts.
    pub summary: String,
    /// The model roles that it asks; empty when it asks no model.
    #[serde(default)]
    pub roles: Vec<Part>,
    /// True if its prompts evolve in generations.
    #[serde(default)]
    pub evolves: bool,
    /// The JSON schema of its parameters, without the seed that every strategy has.
    pub parameters: Value,
}

static EXTRA: RwLock<Vec<StrategyEntry>> = RwLock::new(Vec::new());
static CATALOG: OnceLock<Vec<StrategyEntry>> = OnceLock::new();

/// Adds strategies to the catalog of this program. Call it before anything else of this crate.
///
/// # Errors
/// When the catalog is in use already, or the parameters of two strategies contradict each other.
pub fn extend(entries: Vec<StrategyEntry>) -> Result<(), String> {
    let mut all = built_in();
    all.extend(entries.iter().cloned());
    consistent(&all)?;
    if CATALOG.get().is_some() {
        return Err("the catalog of strategies is in use already; add strategies first".into());
    }
    *EXTRA.write() = entries;
    Ok(())
}

/// Returns every strategy, in the order of the registry.
#[must_use]
pub fn catalog() -> &'static [StrategyEntry] {
    CATALOG.get_or_init(|| {
        let mut all = built_in();
        all.extend(EXTRA.read().iter().cloned());
        all
    })
}

fn built_in() -> Vec<StrategyEntry> {
    // A test reads it, so that this is never empty.
    serde_json::from_str(BUILT_IN).unwrap_or_default()
}

/// Requires that a parameter of two strategies has the same schema in both: a manifest has one schema for all.
fn consistent(all: &[StrategyEntry]) -> Result<(), String> {
    let mut known: BTreeMap<&str, (&str, Value)> = BTreeMap::new();
    for entry in all {
        if !is_name(&entry.name) {
            return Err(format!(
                "{:?} is no name for a strategy; use at most 50 lower-case letters, digits and -, and begin and end with a letter",
                entry.name
            ));
        }
        for (name, schema) in entry.properties() {
            let schema = without_words(schema);
            match known.get(name.as_str()) {
                Some((other, before)) if *before != schema => {
                    let own = &entry.name;
                    return Err(format!(
                        "the parameter {name} of {own} has another schema than that of {other}; rename it"
                    ));
                }
                _ => known.insert(name, (&entry.name, schema)),
            };
        }
    }
    Ok(())
}

/// Tells whether a strategy may have this name. Its children have it in the value of a label, and in names that may have the
/// number of an attempt behind them.
fn is_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let letter = |c: char| c.is_ascii_lowercase();
    name.len() <= 50
        && name.bytes().all(inner)
        && name.starts_with(letter)
        && name.ends_with(letter)
}

/// A property's schema without its description, and without its default: the API server would write the default into the
/// parameters of other strategies, and the worker fills it in anyway.
fn without_words(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(map) = &mut schema {
        map.remove("description");
        map.remove("default");
    }
    schema
}

impl StrategyEntry {
    fn properties(&self) -> &Map<String, Value> {
        static NONE: OnceLock<Map<String, Value>> = OnceLock::new();
        let properties = self.parameters.get("properties").and_then(Value::as_object);
        properties.unwrap_or_else(|| NONE.get_or_init(Map::new))
    }
}

/// The name of a strategy of the catalog.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct StrategyName(&'static str);

/// Returns true when a name is that of a strategy that asks models.
#[must_use]
pub fn asks_models(name: &str) -> bool {
    StrategyName::of(name).is_some_and(StrategyName::asks_models)
}

impl StrategyName {
    /// Returns the strategy of this name, if there is one.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let entry = catalog().iter().find(|entry| entry.name == name)?;
        Some(Self(&entry.name))
    }

    /// Returns the name as manifests write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Returns the strategy's entry.
    #[must_use]
    pub fn entry(self) -> &'static StrategyEntry {
        let all = catalog();
        let at = all.iter().position(|entry| entry.name == self.0);
        &all[at.unwrap_or_default()]
    }

    /// Returns true when the strategy asks models.
    #[must_use]
    pub fn asks_models(self) -> bool {
        !self.entry().roles.is_empty()
    }

    /// Returns true when the strategy's prompts evolve in generations.
    #[must_use]
    pub fn evolves(self) -> bool {
        self.entry().evolves
    }
}

impl std::fmt::Debug for StrategyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl<'de> Deserialize<'de> for StrategyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::of(&name).ok_or_else(|| {
            let known: Vec<&str> = catalog().iter().map(|e| e.name.as_str()).collect();
            D::Error::custom(format!(
                "unknown strategy `{name}`, expected one of {}",
                known.join(", ")
            ))
        })
    }
}

impl JsonSchema for StrategyName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StrategyName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = catalog().iter().map(|entry| entry.name.as_str()).collect();
        let each: Vec<String> = catalog()
            .iter()
            .map(|entry| format!("`{}`: {}", entry.name, entry.summary))
            .collect();
        let value = json!({"type": "string", "enum": names, "description": each.join(" ")});
        value.try_into().unwrap_or_default()
    }
}

/// The parameters of a strategy: the seed, and the strategy's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Seed of everything that is drawn.
    #[serde(default)]
    pub seed: u64,
    /// The strategy's own parameters, by its schema in the catalog.
    #[serde(flatten)]
    pub own: Map<String, Value>,
}

impl Parameters {
    /// Reads the strategy's own parameters.
    ///
    /// # Errors
    /// The parameter that is wrong.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_value(Value::Object(self.own.clone()))
    }
}

impl JsonSchema for Parameters {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Parameters".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut properties = Map::new();
        properties.insert(
            "seed".into(),
            json!({
                "type": "integer", "format": "uint64", "minimum": 0, "maximum": 9_007_199_254_740_991_i64, "default": 0,
                "description": "Seed of everything that is drawn.",
            }),
        );
        for (name, (owners, schema)) in by_parameter() {
            let described = schema.get("description").and_then(Value::as_str);
            let described = format!(
                "{}: {}",
                quoted(&owners, "`"),
                described.unwrap_or("No description.")
            );
            let mut schema = without_words(schema);
            if let Value::Object(map) = &mut schema {
                map.insert("description".into(), described.into());
            }
            properties.insert(name.into(), schema);
        }
        let value = json!({"type": "object", "properties": properties});
        value.try_into().unwrap_or_default()
    }
}

/// Parameters by name, with the strategies that have them and the schema of the first.
fn by_parameter() -> BTreeMap<&'static str, (Vec<&'static str>, &'static Value)> {
    let mut all: BTreeMap<&str, (Vec<&str>, &Value)> = BTreeMap::new();
    for entry in catalog() {
        for (name, schema) in entry.properties() {
            let (owners, _) = all.entry(name).or_insert_with(|| (vec![], schema));
            owners.push(&entry.name);
        }
    }
    all
}

fn quoted(names: &[&str], quote: &str) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| format!("{quote}{name}{quote}"))
        .collect();
    names.join(", ")
}

/// Fills the names of the strategies that ask models, quoted for CEL, into a text.
pub(crate) fn asking(text: impl Fn(&str) -> String) -> String {
    let asks = |entry: &&StrategyEntry| !entry.roles.is_empty();
    let names: Vec<&str> = catalog()
        .iter()
        .filter(asks)
        .map(|entry| entry.name.as_str())
        .collect();
    text(&quoted(&names, "'"))
}

/// The CEL rules of a strategy in a manifest: it has no parameters of other strategies, and those it needs.
pub(crate) fn rules() -> Value {
    let mut rules = vec![];
    for (name, (owners, _)) in by_parameter() {
        let rule = format!(
            "self.name in [{}] || !has(self.parameters.{name})",
            quoted(&owners, "'")
        );
        let message = format!(
            "only the strategy {} has {name}; take it out",
            owners.join(", ")
        );
        rules.push((rule, message, format!(".parameters.{name}")));
    }
    for entry in catalog() {
        let required = entry.parameters.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            let own = &entry.name;
            rules.push((
                format!("self.name != '{own}' || has(self.parameters.{name})"),
                format!("the strategy {own} needs {name}; add it"),
                ".parameters".to_owned(),
            ));
        }
    }
    let each: Vec<(&str, &str, &str)> = rules
        .iter()
        .map(|(rule, message, path)| (rule.as_str(), message.as_str(), path.as_str()))
        .collect();
    cel(&each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalog_reads_and_its_parameters_agree() {
        let all: Vec<StrategyEntry> = serde_json::from_str(BUILT_IN).unwrap();
        assert!(all.len() >= 2);
        consistent(&all).unwrap();
        let mut other = all[1].clone();
        other.name = "other".into();
        other.parameters = json!({"properties": {"rollouts": {"type": "string"}}});
        let both = consistent(&[all, vec![other.clone()]].concat()).unwrap_err();
        assert!(both.contains("parameter rollouts of other"), "{both}");
        for wrong in ["", "Sea", "sea-2", "a b", &"a".repeat(51)] {
            let mut named = other.clone();
            named.name = wrong.to_owned();
            assert!(consistent(&[named]).is_err(), "{wrong}");
        }
    }
}
