//! Strategies by name: a worker finds the strategy of a job here and runs it with the parameters of the manifest.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

use agoge_crds::strategies::StrategyEntry;
use schemars::generate::SchemaSettings;

use serde_json::{Map, Value};

use crate::engine::{Job, Outcome, Progress, SynthesisError, run};
use crate::strategy::{Refused, Strategy};

type Running<'a> = Pin<Box<dyn Future<Output = Result<Outcome, SynthesisError>> + 'a>>;

static EXTRA: OnceLock<Vec<Registered>> = OnceLock::new();

/// Adds strategies to those of [`crate::strategies::all`], for a program that has its own. Call it first of all.
///
/// # Errors
/// When it was called before, or the catalog of `agoge-crds` refuses the strategies.
pub fn extend(strategies: Vec<Registered>) -> Result<(), String> {
    agoge_crds::strategies::extend(strategies.iter().map(Registered::entry).collect())?;
    EXTRA
        .set(strategies)
        .map_err(|_| "strategies were added before; add all at once".to_owned())
}

/// Returns the strategy of this name.
#[must_use]
pub fn find(name: &str) -> Option<Registered> {
    let extra = EXTRA.get().into_iter().flatten().copied();
    let mut all = crate::strategies::all().into_iter().chain(extra);
    all.find(|strategy| strategy.name == name)
}

/// The function that runs a strategy with its parameters.
type Run = for<'a> fn(&Map<String, Value>, Job, &'a dyn Fn(&Progress)) -> Running<'a>;

/// A strategy of the registry.
#[derive(Clone, Copy)]
pub struct Registered {
    name: &'static str,
    entry: fn() -> StrategyEntry,
    read: fn(&Map<String, Value>) -> Result<Value, Refused>,
    run: Run,
}

impl Registered {
    /// The entry of a strategy.
    #[must_use]
    pub fn of<S: Strategy>() -> Self {
        Self {
            name: S::NAME,
            entry: entry::<S>,
            read: canonical::<S>,
            run: start::<S>,
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the strategy's entry in the catalog that manifests, plans and estimates use.
    #[must_use]
    pub fn entry(&self) -> StrategyEntry {
        (self.entry)()
    }

    /// Reads parameters and writes them in their canonical form, with defaults filled in.
    ///
    /// # Errors
    /// The parameter that is wrong.
    pub fn canonical_parameters(&self, parameters: &Map<String, Value>) -> Result<Value, Refused> {
        (self.read)(parameters)
    }

    /// Runs the strategy; see [`run`].
    ///
    /// # Errors
    /// [`SynthesisError`]
    pub async fn run(
        &self,
        parameters: &Map<String, Value>,
        job: Job,
        progress: &dyn Fn(&Progress),
    ) -> Result<Outcome, SynthesisError> {
        (self.run)(parameters, job, progress).await
    }
}

fn canonical<S: Strategy>(parameters: &Map<String, Value>) -> Result<Value, Refused> {
    let strategy = read::<S>(parameters)?;
    Ok(serde_json::to_value(strategy).unwrap_or_default())
}

fn start<'a, S: Strategy>(
    parameters: &Map<String, Value>,
    job: Job,
    progress: &'a dyn Fn(&Progress),
) -> Running<'a> {
    match read::<S>(parameters) {
        Ok(strategy) => Box::pin(run(strategy, job, progress)),
        Err(refused) => Box::pin(async move { Err(refused.into()) }),
    }
}

fn read<S: Strategy>(parameters: &Map<String, Value>) -> Result<S, Refused> {
    serde_json::from_value(Value::Object(parameters.clone()))
        .map_err(|error| Refused(format!("strategies[{}].parameters: {error}", S::NAME)))
}

fn entry<S: Strategy>() -> StrategyEntry {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let schema = settings.into_generator().into_root_schema_for::<S>();
    let mut parameters = plain_enums(serde_json::to_value(schema).unwrap_or_default());
    if let Value::Object(map) = &mut parameters {
        map.retain(|key, _| matches!(key.as_str(), "type" | "properties" | "required"));
    }
    StrategyEntry {
        name: S::NAME.into(),
        summary: S::SUMMARY.into(),
        roles: S::roles().to_vec(),
        evolves: S::plan().is_some(),
        parameters,
    }
}

/// Writes an enum whose variants have descriptions as a list of its values, which is the form that a CustomResourceDefinition
/// takes.
fn plain_enums(schema: Value) -> Value {
    match schema {
        Value::Object(map) => {
            let mut plain = Map::new();
            for (key, value) in map {
                match values(&value).filter(|_| key == "oneOf") {
                    Some(values) => {
                        plain.insert("type".into(), "string".into());
                        plain.insert("enum".into(), values.into());
                    }
                    None => {
                        plain.insert(key, plain_enums(value));
                    }
                }
            }
            Value::Object(plain)
        }
        Value::Array(items) => items.into_iter().map(plain_enums).collect(),
        other => other,
    }
}

/// Returns the values of a list of variants, if it is one.
fn values(variants: &Value) -> Option<Vec<Value>> {
    let each = variants.as_array()?.iter();
    let each: Option<Vec<&Vec<Value>>> = each.map(|v| v.get("enum")?.as_array()).collect();
    Some(each?.into_iter().flatten().cloned().collect())
}
