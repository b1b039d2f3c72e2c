//! Names become places: a domain a folder, an endpoint a URL. Manifests only name; each driver resolves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use agoge_contract::Endpoint;
use agoge_crds::shared::EndpointBinding;
use agoge_crds::{Manifest, Problem};
use serde::Deserialize;

use crate::manifest::{Source, problem};

/// The names that the command line resolves.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Domains by name.
    pub domains: BTreeMap<String, PathBuf>,
    /// Endpoints by name.
    pub endpoints: BTreeMap<String, String>,
    /// The URL of every endpoint that has none of its own: `AGOGE_ENDPOINT`.
    pub any_endpoint: Option<String>,
}

#[derive(Deserialize)]
struct Head {
    name: Option<String>,
}

impl Names {
    /// The domain's folder: the one the command line names, or beside the manifest `domain/`, a folder of the domain's
    /// name, or its subfolder `domain/`, whichever has a `domain.yaml` with that name.
    ///
    /// # Errors
    /// Where it was looked for, and what was found instead.
    pub fn domain(&self, source: &Source) -> Result<PathBuf, Problem> {
        let name = source.manifest.domain();
        let whole = |folder: &Path| folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if let Some(folder) = self.domains.get(name) {
            return Ok(whole(folder));
        }
        let beside = source.folder();
        let candidates = [
            beside.join("domain"),
            beside.join(name),
            beside.join(name).join("domain"),
        ];
        let mut seen = vec![];
        for folder in candidates.iter().filter(|folder| folder.is_dir()) {
            let head = folder.join("domain.yaml");
            match std::fs::read_to_string(&head) {
                Ok(text) => match serde_yaml::from_str::<Head>(&text) {
                    Ok(Head { name: Some(found) }) if found == name => return Ok(whole(folder)),
                    Ok(Head { name: Some(found) }) => {
                        seen.push(format!("{} is named {found}", head.display()))
                    }
                    Ok(Head { name: None }) => seen.push(format!("{} has no name", head.display())),
                    Err(error) => seen.push(format!("{} cannot be read: {error}", head.display())),
                },
                Err(_) => seen.push(format!("{} is missing", head.display())),
            }
        }
        if seen.is_empty() {
            seen.push(format!(
                "there is neither {} nor {}",
                candidates[0].display(),
                candidates[1].display()
            ));
        }
        let message = format!("no domain {name} was found: {}", seen.join(", "));
        let remedy = format!("put its folder there, or name it with --domain {name}=DIR");
        Err(problem(&source.file, "spec.domain", &message, &remedy))
    }

    /// The endpoints that this manifest names, resolved. With recorded answers an address is not needed.
    ///
    /// # Errors
    /// The fields whose endpoint has no address.
    pub fn endpoints(
        &self,
        source: &Source,
        replayed: bool,
    ) -> Result<BTreeMap<String, Endpoint>, Vec<Problem>> {
        let (mut found, mut problems) = (BTreeMap::new(), vec![]);
        for (field, binding) in named(&source.manifest) {
            let name = binding.endpoint;
            match self.endpoints.get(&name).or(self.any_endpoint.as_ref()) {
                Some(url) => {
                    found.insert(
                        name.clone(),
                        Endpoint {
                            url: url.trim().to_owned(),
                            key_variable: key_variable(&name),
                        },
                    );
                }
                None if replayed => {
                    found.insert(name, Endpoint::default());
                }
                None => {
                    let remedy = format!("say --endpoint {name}=URL, or set AGOGE_ENDPOINT=URL");
                    let message = format!("the endpoint {name} has no address");
                    problems.push(problem(&source.file, &field, &message, &remedy));
                }
            }
        }
        if problems.is_empty() {
            Ok(found)
        } else {
            Err(problems)
        }
    }
}

/// The variable that holds the key of an endpoint: `NAME_API_KEY`, or `AGOGE_API_KEY` for all, if set.
fn key_variable(name: &str) -> Option<String> {
    let own = format!("{}_API_KEY", name.to_uppercase().replace('-', "_"));
    [own, "AGOGE_API_KEY".to_owned()]
        .into_iter()
        .find(|variable| std::env::var_os(variable).is_some())
}

/// Every endpoint a manifest names, once, with the field that names it and how it is asked.
#[must_use]
pub fn named(manifest: &Manifest) -> Vec<(String, EndpointBinding)> {
    let mut found: Vec<(String, EndpointBinding)> = match manifest {
        Manifest::SynthesisJob(job) => {
            // Only strategies that ask a model need the address of one.
            let asks = job.spec.strategies.iter().any(|s| s.name.asks_models());
            match job.spec.models.as_ref().filter(|_| asks) {
                Some(models) => [
                    ("writer", &models.writer),
                    ("agent", &models.agent),
                    ("user", &models.user),
                    ("reflector", &models.reflector),
                    ("default", &models.default),
                ]
                .into_iter()
                .filter_map(|(part, binding)| {
                    Some((format!("spec.models.{part}.endpoint"), binding.clone()?))
                })
                .collect(),
                None => vec![],
            }
        }
        Manifest::CheckerSuite(suite) => {
            let mut found = numbered("spec.evaluate", &suite.spec.evaluate);
            let evaluation = suite.spec.evaluation.iter().flat_map(|one| one.bindings());
            found.extend(evaluation.map(|(part, binding)| {
                (format!("spec.evaluation.{part}.endpoint"), binding.clone())
            }));
            found
        }
        Manifest::GRPORun(run) => numbered(
            "spec.stages.evaluation.endpoints",
            run.spec.evaluated_endpoints(),
        ),
    };
    let mut seen = BTreeSet::new();
    found.retain(|(_, binding)| seen.insert(binding.endpoint.clone()));
    found
}

fn numbered(list: &str, bindings: &[EndpointBinding]) -> Vec<(String, EndpointBinding)> {
    bindings
        .iter()
        .enumerate()
        .map(|(i, binding)| (format!("{list}[{i}].endpoint"), binding.clone()))
        .collect()
}
