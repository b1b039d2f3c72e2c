//! Reports foreseeable failures before anything is started: missing references, broken domains, targets beyond what
//! templates yield or a domain gives, policies that do not fit, endpoints that do not answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agoge_crds::synthesis_job::StrategySpec;
use agoge_crds::{Manifest, Problem};
use agoge_sandbox::Limits;
use agoge_synthesis::registry;
use agoge_synthesis::strategies::given::Given;
use agoge_synthesis::strategies::template::{Template, divide};
use agoge_synthesis::strategy::Strategy;
use agoge_world::{Domain, Problems, World, possible};
use serde_json::Value;

use crate::driver::changed;
use crate::manifest::{Source, problem};

/// Objects that are named and neither asked for nor there already.
#[must_use]
pub fn references(sources: &[&Source], there: &[&Manifest]) -> Vec<Problem> {
    let known = |kind: &str, name: &str| {
        let asked = sources.iter().map(|source| &source.manifest);
        asked
            .chain(there.iter().copied())
            .any(|m| m.kind() == kind && m.name() == name)
    };
    let mut problems = vec![];
    for source in sources {
        let Some((kind, name)) = changed::base(&source.manifest) else {
            continue;
        };
        let field = match kind {
            "SynthesisJob" => "spec.source.synthesisJob",
            _ => "spec.suite.name",
        };
        if !known(kind, name) {
            let message = format!(
                "there is no {kind} {name}, neither in these manifests nor in the run's folder"
            );
            problems.push(problem(
                &source.file,
                field,
                &message,
                "add its manifest, or correct the name",
            ));
        }
    }
    problems
}

/// A domain's folder that can be used, and every template target that it can reach.
///
/// # Errors
/// A line for every problem, with its file.
pub fn domains(asked: &[(&Source, PathBuf)]) -> Result<(), Vec<String>> {
    let mut worlds: BTreeMap<&Path, World> = BTreeMap::new();
    let mut lines = vec![];
    for (source, folder) in asked {
        if !worlds.contains_key(folder.as_path()) {
            match open(folder) {
                Ok(world) => {
                    worlds.insert(folder, world);
                }
                Err(found) => {
                    lines.extend(
                        found
                            .into_iter()
                            .filter(|line| !lines.contains(line))
                            .collect::<Vec<_>>(),
                    );
                    continue;
                }
            }
        }
        if let (Some(world), Manifest::SynthesisJob(job)) =
            (worlds.get_mut(folder.as_path()), &source.manifest)
        {
            for (index, strategy) in job.spec.strategies.iter().enumerate() {
                lines.extend(parameters(source, index, strategy));
                if strategy.name.as_str() == Template::NAME {
                    lines.extend(
                        beyond(world, source, index, strategy)
                            .iter()
                            .map(ToString::to_string),
                    );
                }
                if strategy.name.as_str() == Given::NAME {
                    let found = lacking(world.domain(), source, index, strategy);
                    lines.extend(found.as_ref().map(ToString::to_string));
                }
            }
        }
    }
    if lines.is_empty() { Ok(()) } else { Err(lines) }
}

fn open(folder: &Path) -> Result<World, Vec<String>> {
    let domain = agoge_servers::load(folder).map_err(|Problems(problems)| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    })?;
    World::open(Arc::new(domain), Limits::default()).map_err(|error| {
        let file = folder.join("tools.py");
        vec![format!(
            "{}: {}; correct the module's top level, `agoge domain check` shows more",
            file.display(),
            causes(&error)
        )]
    })
}

/// An error with its causes.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// Targets that the templates cannot reach, split by split.
fn beyond(
    world: &mut World,
    source: &Source,
    index: usize,
    strategy: &StrategySpec,
) -> Vec<Problem> {
    let target = strategy.target.accepted;
    let Ok(template) = strategy.parameters.read::<Template>() else {
        return vec![];
    };
    let all = usize::try_from(target).unwrap_or(usize::MAX);
    let shares = divide(all, &template.parts());
    let mut problems = vec![];
    for (part, wanted) in shares {
        let most = possible(world, part.split, part.mix);
        if wanted > most {
            let field = format!("spec.strategies[{index}].target.accepted");
            let message = format!(
                "{target} asks {wanted} of the split {}, and the templates yield {most}",
                part.split.as_str()
            );
            let remedy = "ask for fewer, add records or templates, or change the split's share";
            problems.push(problem(&source.file, &field, &message, remedy));
        }
    }
    problems
}

/// Reports a target beyond the tasks that a domain gives.
fn lacking(
    domain: &Domain,
    source: &Source,
    index: usize,
    strategy: &StrategySpec,
) -> Option<Problem> {
    let target = strategy.target.accepted;
    let most = strategy.parameters.read::<Given>().ok()?.most(domain);
    if target <= most as u64 {
        return None;
    }
    let field = format!("spec.strategies[{index}].target.accepted");
    let message =
        format!("{target} tasks are asked for, and the domain gives {most} in the wanted parts");
    let remedy = match most {
        0 => "write tasks.jsonl into the domain's folder, or take another strategy".to_owned(),
        most => format!("ask for at most {most}"),
    };
    Some(problem(&source.file, &field, &message, &remedy))
}

/// Reports parameters that the strategy itself cannot read.
fn parameters(source: &Source, index: usize, strategy: &StrategySpec) -> Option<String> {
    let registered = registry::find(strategy.name.as_str())?;
    let error = registered
        .canonical_parameters(&strategy.parameters.own)
        .err()?;
    let field = format!("spec.strategies[{index}].parameters");
    let remedy = "see docs/strategies.md for the parameters of each strategy";
    Some(problem(&source.file, &field, &error.to_string(), remedy).to_string())
}

/// A policy folder that a run cannot begin with: files that are missing, or a tokenizer with more tokens than the policy.
#[must_use]
pub fn policy(source: &Source) -> Vec<Problem> {
    let Manifest::GRPORun(run) = &source.manifest else {
        return vec![];
    };
    let Some(path) = &run.spec.policy.path else {
        return vec![];
    };
    if path.starts_with("store:") {
        return vec![];
    }
    let folder = source.folder().join(path);
    let tell = |message: String, remedy: &str| {
        vec![problem(&source.file, "spec.policy.path", &message, remedy)]
    };
    let read = |name: &str| -> Result<Value, String> {
        let file = folder.join(name);
        let text = std::fs::read(&file)
            .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        serde_json::from_slice(&text)
            .map_err(|error| format!("{} is no JSON: {error}", file.display()))
    };
    let (config, tokenizer) = match (read("config.json"), read("tokenizer.json")) {
        (Ok(config), Ok(tokenizer)) => (config, tokenizer),
        (Err(message), _) | (_, Err(message)) => {
            return tell(
                message,
                "name a folder of config.json, safetensors and tokenizer.json",
            );
        }
    };
    let Some(size) = config.get("vocab_size").and_then(Value::as_u64) else {
        let file = folder.join("config.json");
        return tell(
            format!("{} has no vocab_size", file.display()),
            "take the model's own config.json",
        );
    };
    let words = tokenizer.pointer("/model/vocab").and_then(Value::as_object);
    let ids = words
        .into_iter()
        .flat_map(|words| words.values().filter_map(Value::as_u64));
    let added = tokenizer.get("added_tokens").and_then(Value::as_array);
    let added = added
        .into_iter()
        .flatten()
        .filter_map(|token| token.get("id")?.as_u64());
    match ids.chain(added).max() {
        Some(highest) if highest < size => vec![],
        Some(highest) => {
            let (file, config) = (folder.join("tokenizer.json"), folder.join("config.json"));
            let message = format!(
                "{} has a token {highest}, and {} has a vocab_size of {size}: the tokenizer does not fit its policy",
                file.display(),
                config.display()
            );
            tell(message, "take both files from the same model")
        }
        None => tell(
            format!(
                "{} has no vocabulary",
                folder.join("tokenizer.json").display()
            ),
            "take the model's own tokenizer.json",
        ),
    }
}
