//! The way to a cluster, and to its objects of ours by the names people type.

use std::path::PathBuf;

use agoge_controller::kinds::AgogeResource;
use agoge_controller::names::{Kind, Target};
use agoge_crds::{CheckerSuite, GRPORun, Manifest, SynthesisJob};
use clap::Args;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::failure::Failure;

/// Field manager of everything the plugin writes.
pub const MANAGER: &str = "kubectl-agoge";

/// Which cluster and which namespace.
#[derive(Clone, Debug, Default, Args)]
pub struct Where {
    /// The namespace; unset takes the kubeconfig's.
    #[arg(short, long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// The context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig; unset takes $KUBECONFIG, then ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// A cluster, seen from one namespace.
#[derive(Clone)]
pub struct Cluster {
    /// Its client.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

/// Runs an expression with `$K` as the type of a kind.
#[macro_export]
macro_rules! with_kind {
    ($kind:expr, $K:ident => $do:expr) => {
        match $kind {
            agoge_controller::names::Kind::SynthesisJob => {
                type $K = agoge_crds::SynthesisJob;
                $do
            }
            agoge_controller::names::Kind::CheckerSuite => {
                type $K = agoge_crds::CheckerSuite;
                $do
            }
            agoge_controller::names::Kind::GRPORun => {
                type $K = agoge_crds::GRPORun;
                $do
            }
        }
    };
}

/// A kind of ours that goes into a [`Manifest`].
pub trait Listed: AgogeResource {
    /// As one of the three.
    fn manifest(self) -> Manifest;
}

impl Listed for SynthesisJob {
    fn manifest(self) -> Manifest {
        Manifest::SynthesisJob(Box::new(self))
    }
}

impl Listed for CheckerSuite {
    fn manifest(self) -> Manifest {
        Manifest::CheckerSuite(Box::new(self))
    }
}

impl Listed for GRPORun {
    fn manifest(self) -> Manifest {
        Manifest::GRPORun(Box::new(self))
    }
}

impl Cluster {
    /// Finds the cluster. Nothing is asked yet.
    ///
    /// # Errors
    /// No kubeconfig, or one without that context.
    pub async fn connect(at: &Where) -> Result<Self, Failure> {
        // Another part of the process may have installed it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = KubeConfigOptions {
            context: at.context.clone(),
            ..KubeConfigOptions::default()
        };
        let none = |error: &dyn std::fmt::Display| {
            Failure::Input(format!(
                "no cluster: {error}; set KUBECONFIG, or name a file with --kubeconfig and one of its contexts with --context"
            ))
        };
        let config = match (&at.kubeconfig, &at.context) {
            (Some(file), _) => {
                let kubeconfig = Kubeconfig::read_from(file).map_err(|error| none(&error))?;
                Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .map_err(|error| none(&error))?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options)
                .await
                .map_err(|error| none(&error))?,
            (None, None) => Config::infer().await.map_err(|error| none(&error))?,
        };
        let namespace = at
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| none(&error))?;
        Ok(Self { client, namespace })
    }

    /// Objects of a namespaced kind.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The object that a person means by `KIND/NAME` or `NAME`.
    ///
    /// # Errors
    /// No such object, or several.
    pub async fn find(&self, asked: &str) -> Result<Manifest, Failure> {
        let (kinds, name) = asked_for(asked)?;
        let mut found = vec![];
        for kind in kinds {
            let object = with_kind!(kind, K => self
                .api::<K>()
                .get_opt(&name)
                .await
                .map_err(|error| refused("read", kind.as_str(), &error))?
                .map(Listed::manifest));
            found.extend(object);
        }
        match found.len() {
            0 => Err(Failure::Input(format!(
                "there is no {asked} in the namespace {}; `kubectl agoge status` lists what there is",
                self.namespace
            ))),
            1 => Ok(found.remove(0)),
            _ => {
                let all: Vec<String> = found.iter().map(id).collect();
                Err(Failure::Input(format!(
                    "{asked} may be {}; say which",
                    all.join(" or ")
                )))
            }
        }
    }

    /// Every object of ours in the namespace.
    ///
    /// # Errors
    /// The API server refuses, or does not answer.
    pub async fn all(&self) -> Result<Vec<Manifest>, Failure> {
        let mut all = vec![];
        for kind in Kind::ALL {
            with_kind!(kind, K => all.extend(
                self.api::<K>()
                    .list(&ListParams::default())
                    .await
                    .map_err(|error| refused("list", kind.as_str(), &error))?
                    .items
                    .into_iter()
                    .map(Listed::manifest)
            ));
        }
        Ok(all)
    }
}

/// `kind/name` as `kubectl` prints it.
#[must_use]
pub fn id(manifest: &Manifest) -> String {
    format!("{}/{}", manifest.kind().to_lowercase(), manifest.name())
}

/// The object's target.
#[must_use]
pub fn target(manifest: &Manifest) -> Target {
    match manifest {
        Manifest::SynthesisJob(object) => object.target(),
        Manifest::CheckerSuite(object) => object.target(),
        Manifest::GRPORun(object) => object.target(),
    }
}

/// The kinds and the name of `KIND/NAME`, or of `NAME` alone.
///
/// # Errors
/// A kind that is none of ours.
pub fn asked_for(asked: &str) -> Result<(Vec<Kind>, String), Failure> {
    let Some((word, name)) = asked.split_once('/') else {
        return Ok((Kind::ALL.to_vec(), asked.to_owned()));
    };
    match kind(word) {
        Some(kind) if !name.is_empty() => Ok((vec![kind], name.to_owned())),
        _ => Err(Failure::Input(format!(
            "{asked:?} is no KIND/NAME; kinds are synthesisjob, checkersuite and grporun"
        ))),
    }
}

/// The kind that a word names, in any of the ways `kubectl` takes it.
#[must_use]
pub fn kind(word: &str) -> Option<Kind> {
    let word = word.to_lowercase();
    let word = word
        .split_once('.')
        .map_or(word.as_str(), |(first, _)| first);
    agoge_crds::crds()
        .into_iter()
        .map(|crd| crd.spec.names)
        .find(|names| {
            names.kind.to_lowercase() == word
                || names.plural == word
                || names.singular.as_deref() == Some(word)
                || names
                    .short_names
                    .iter()
                    .flatten()
                    .any(|short| short == word)
        })
        .and_then(|names| Kind::parse(&names.kind))
}

/// Returns the API server's message with a suggested fix.
#[must_use]
pub fn refused(doing: &str, what: &str, error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 404 && status.details.is_none() => {
            Failure::Input(format!(
                "this cluster does not know the kind {what}; install the chart agoge-crds first"
            ))
        }
        kube::Error::Api(status) => {
            let message = if status.message.is_empty() {
                &status.reason
            } else {
                &status.message
            };
            Failure::Input(format!("cannot {doing} {what}: {message}"))
        }
        other => Failure::Failed(format!("cannot {doing} {what}: {}", causes(other))),
    }
}

/// An error with what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_every_name_that_kubectl_takes() {
        for word in [
            "synth",
            "synthesisjobs",
            "SynthesisJob",
            "synthesisjobs.agoge.dev",
        ] {
            assert_eq!(kind(word), Some(Kind::SynthesisJob), "{word}");
        }
        assert_eq!(kind("grpo"), Some(Kind::GRPORun));
        assert_eq!(kind("job"), None);
        assert_eq!(asked_for("courier").unwrap().0.len(), 3);
        assert!(asked_for("pod/courier").is_err());
    }
}
