//! The suite that all seeds learn from: the instances that the manifest's template strategy asks for, qualified, in the
//! store.

use std::collections::BTreeMap;
use std::sync::Arc;

use agoge_checker::{Thresholds, qualify_suite};
use agoge_crds::SynthesisJob;
use agoge_sandbox::Limits;
use agoge_store::{Artifact, Store};
use agoge_world::{Domain, Mix, Split, Task, World, demonstrate, tasks};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Options, manifest};
use crate::failure::Failure;
use crate::stop::Stop;

/// A part of the data and its share of the target.
#[derive(Deserialize)]
struct Part {
    split: Split,
    mix: Mix,
    share: usize,
}

/// Makes the suite and gives its digest.
pub fn suite(options: &Options, store: &Store, stop: &Stop) -> Result<String, Failure> {
    let job: SynthesisJob = manifest(&options.folder.join("synthesisjob.yaml"))?;
    let strategy = job.spec.strategies.iter().find(|s| s.name.as_str() == "template");
    let strategy = strategy.ok_or_else(|| Failure::Input("synthesisjob.yaml has no strategy `template`".into()))?;
    let parameters = serde_json::to_value(&strategy.parameters).map_err(Failure::infra)?;
    let parts: Vec<Part> = serde_json::from_value(parameters["splits"].clone())
        .map_err(|e| Failure::Input(format!("strategies[template].parameters.splits: {e}")))?;
    let seed = parameters["seed"].as_u64().unwrap_or(0);
    let domain = Arc::new(Domain::load(&options.folder.join("domain")).map_err(Failure::input)?);
    let mut world = World::open(domain.clone(), Limits::default()).map_err(Failure::infra)?;
    let all: usize = parts.iter().map(|part| part.share).sum();
    let target = usize::try_from(strategy.target.accepted).unwrap_or(0);
    let (mut drawn, mut instances): (Vec<Task>, Vec<Value>) = (Vec::new(), Vec::new());
    for part in &parts {
        let n = target * part.share / all.max(1);
        for task in tasks(&mut world, part.split, part.mix, seed, n).map_err(Failure::input)? {
            stop.check()?;
            let messages = demonstrate(&mut world, &task).map_err(Failure::input)?.messages;
            instances.push(json!({ "task": task, "split": part.split, "strategy": "template", "messages": messages }));
            drawn.push(task);
        }
    }
    tracing::info!(instances = drawn.len(), "drawn; qualifying");
    let threads = if options.threads == 0 { 2 } else { options.threads as usize };
    let (suite, found) =
        qualify_suite(&domain, &drawn, seed, &Thresholds::default(), Limits::default(), threads, &|_| {})
            .map_err(Failure::infra)?;
    tracing::info!(qualified = suite.qualified, mutation = suite.mutation_score, seconds = suite.seconds, "suite");
    let instances: Vec<Value> =
        instances.into_iter().zip(&found).filter(|(_, q)| q.qualified).map(|(instance, _)| instance).collect();
    let inputs = BTreeMap::from([("digest".to_owned(), suite.digest.clone())]);
    let text = serde_json::to_vec(&json!({ "suite": suite, "instances": instances })).map_err(Failure::infra)?;
    let digest = store.put(&text)?;
    store.put_artifact(&Artifact::new("suite", "learn", digest, inputs))?;
    Ok(suite.digest)
}
