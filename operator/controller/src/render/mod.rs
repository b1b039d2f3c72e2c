//! The Kubernetes objects of a child: an Indexed Job; a Service if its pods must find each other; a pod group if they start
//! together. Pure: nothing is read or written. A child is rendered once and never changed afterwards.
//!
//! The assignment travels as an annotation of the pod template, which the pod reads as a file. A child that needs no other
//! object is therefore created by a single write: it exists with everything it needs, or not at all.

mod assignment;
pub mod gang;
mod job;
pub mod overlay;
mod pod;
mod service;
mod site;
mod tools;
mod volumes;

use std::collections::BTreeMap;

use agoge_contract::Role;
use agoge_plan::Child;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

pub use gang::GangGroup;
pub use site::{DomainFrom, EndpointFrom, Site, StoreFrom};

use crate::names;

/// The folder with the files that a pod is given.
const RUN_DIR: &str = "/etc/agoge/run";
const ASSIGNMENT_FILE: &str = "assignment.json";
const AUTHORITY_FILE: &str = "ca.crt";
const TOKEN_FILE: &str = "token";
/// The folder of the domain, unless the domain is read from the store.
const DOMAIN_DIR: &str = "/etc/agoge/domain";
/// The folder with everything that a worker needs to resume.
const WORK_DIR: &str = "/work";

/// The objects of one child.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The Service by which trainer ranks or rollout servers are found.
    pub service: Option<Service>,
    /// The pod group that lets pods start together.
    pub group: Option<GangGroup>,
    /// The Job.
    pub job: Job,
}

/// A child that cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The manifest's overlay is not allowed.
    #[error(transparent)]
    Overlay(#[from] overlay::OverlayError),
    /// The assignment cannot be serialised: a defect of this program.
    #[error("cannot serialise the assignment: {0}; please report this")]
    Assignment(#[source] serde_json::Error),
}

/// Renders the objects of a child.
///
/// # Errors
/// [`RenderError`]
pub fn render(child: &Child, site: &Site) -> Result<Rendered, RenderError> {
    Ok(Rendered {
        service: service::service(child),
        group: gang::group(child),
        job: job::job(child, site)?,
    })
}

/// Returns true if the pods of a child are ranks of one trainer.
fn is_trainer_group(child: &Child) -> bool {
    child.shards > 1 && child.role() == Role::Train
}

/// Returns true if the pods of a child are rollout servers: independent of each other, and replaceable.
fn is_rollout(child: &Child) -> bool {
    child.role() == Role::Rollout
}

fn metadata(child: &Child) -> ObjectMeta {
    ObjectMeta {
        name: Some(child.name.clone()),
        namespace: child.owner.namespace.clone(),
        labels: Some(names::labels(child)),
        annotations: Some([(names::SPEC_HASH.to_owned(), child.digest())].into()),
        owner_references: Some(vec![OwnerReference {
            api_version: child.owner.api_version.clone(),
            kind: child.owner.kind.clone(),
            name: child.owner.name.clone(),
            uid: child.owner.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]),
        ..ObjectMeta::default()
    }
}

/// Returns the number of pods as Kubernetes writes it.
fn count(shards: u32) -> i32 {
    i32::try_from(shards).unwrap_or(i32::MAX)
}

fn string_map<const N: usize>(entries: [(&str, &String); N]) -> BTreeMap<String, String> {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests;
