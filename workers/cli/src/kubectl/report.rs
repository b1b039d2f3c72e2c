//! `kubectl agoge report`: the laptop's report page, of objects in a cluster and their store.

use std::path::PathBuf;

use agoge_contract::Assignment;
use agoge_controller::kinds::AgogeResource;
use agoge_controller::names::{KIND, OWNER};
use agoge_controller::render::StoreFrom;
use agoge_crds::Manifest;
use clap::Args;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use serde_json::Value;

use super::cluster::{Cluster, Where, id, refused};
use super::store;
use crate::failure::Failure;
use crate::report::{self, Material};

/// Writes the report page, as `agoge report` does, from the cluster's objects and their store.
#[derive(Debug, Args)]
pub struct Report {
    /// KIND/NAME of one object: the page is about it and what it refers to. Unset: everything in the namespace.
    #[arg(value_name = "KIND/NAME")]
    pub object: Option<String>,
    /// The page to write.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub output: PathBuf,
    /// The store, where it is not what the cluster says: a folder, or such as s3://bucket/prefix.
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
}

/// The objects that the API server has.
pub struct Fetched {
    objects: Vec<Manifest>,
    assignments: Vec<Assignment>,
    store: StoreFrom,
}

/// Fetches it.
///
/// # Errors
/// No such object, or a refusal of the API server.
pub async fn fetch(report: &Report, at: &Where) -> Result<Fetched, Failure> {
    let cluster = Cluster::connect(at).await?;
    let mut objects = cluster.all().await?;
    if let Some(asked) = &report.object {
        let one = cluster.find(asked).await?;
        objects = with_what_it_refers_to(one, objects);
    }
    if objects.is_empty() {
        return Err(Failure::Input(format!(
            "the namespace {} has nothing to report",
            cluster.namespace
        )));
    }
    let jobs = store::children(&cluster)
        .await
        .map_err(|error| refused("list", "Jobs", &error))?;
    let ours = |job: &&Job| {
        let label = |name: &str| job.labels().get(name).map_or("", String::as_str);
        objects
            .iter()
            .any(|object| label(KIND) == object.kind() && label(OWNER) == object.name())
    };
    let assignments = jobs
        .iter()
        .filter(ours)
        .filter_map(|job| serde_json::from_value(store::assignment(job)?).ok())
        .collect();
    let name = objects.iter().find_map(|object| match object {
        Manifest::SynthesisJob(object) => object.store(),
        Manifest::CheckerSuite(object) => object.store(),
        Manifest::GRPORun(object) => object.store(),
    });
    let store = store::find(&cluster, report.store.as_deref(), name).await?;
    Ok(Fetched {
        objects,
        assignments,
        store,
    })
}

/// An object with the suite it trains on, and the job that made the suite's tasks.
fn with_what_it_refers_to(one: Manifest, all: Vec<Manifest>) -> Vec<Manifest> {
    let mut chosen = vec![one];
    loop {
        let last = &chosen[chosen.len() - 1];
        let to = match last {
            Manifest::SynthesisJob(object) => object.refers_to(),
            Manifest::CheckerSuite(object) => object.refers_to(),
            Manifest::GRPORun(object) => object.refers_to(),
        };
        let next = to.and_then(|to| {
            all.iter()
                .find(|object| object.kind() == to.kind.as_str() && object.name() == to.name)
        });
        match next {
            Some(next) if chosen.iter().all(|known| id(known) != id(next)) => {
                chosen.push(next.clone())
            }
            _ => return chosen,
        }
    }
}

/// Writes the page.
///
/// # Errors
/// A store that cannot be opened, or a page that cannot be written.
pub fn report(report: &Report, fetched: Fetched) -> Result<(), Failure> {
    let material = Material {
        objects: fetched.objects,
        assignments: fetched.assignments,
        result: Value::Null,
        store: Some(store::open(&fetched.store)?),
        notes: vec![],
    };
    report::write_to(material, &report.output)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    println!("{}", report.output.display());
    Ok(())
}
