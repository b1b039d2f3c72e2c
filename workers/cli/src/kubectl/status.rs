//! `kubectl agoge status`: fetches what a page is made from.

use agoge_controller::names::{KIND, OWNER};
use agoge_crds::{Manifest, Timestamp};
use clap::Args;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;
use kube::api::ListParams;

use super::cluster::{Cluster, Where, refused};
use super::page::{Seen, overview, page};
use crate::failure::Failure;

/// Shows one page about an object: why it is not ready, each of its children, its figures, the last events.
#[derive(Debug, Args)]
pub struct Status {
    /// KIND/NAME, or NAME where only one kind has it. Without any: a line for each object of the namespace.
    #[arg(value_name = "KIND/NAME")]
    pub objects: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// No such object, or a refusal of the API server.
pub async fn status(status: &Status, at: &Where) -> Result<(), Failure> {
    let cluster = Cluster::connect(at).await?;
    if status.objects.is_empty() {
        let objects = cluster.all().await?;
        if objects.is_empty() {
            println!(
                "the namespace {} has no SynthesisJob, CheckerSuite or GRPORun",
                cluster.namespace
            );
        } else {
            print!("{}", overview(&objects, Timestamp::now()));
        }
        return Ok(());
    }
    for (n, asked) in status.objects.iter().enumerate() {
        let object = cluster.find(asked).await?;
        let seen = see(&cluster, object).await?;
        let line = if n > 0 { "\n" } else { "" };
        print!("{line}{}", page(&seen, Timestamp::now()));
    }
    Ok(())
}

/// The selector of an object's children and their pods.
#[must_use]
pub fn selector(object: &Manifest) -> ListParams {
    ListParams::default().labels(&format!(
        "{KIND}={},{OWNER}={}",
        object.kind(),
        object.name()
    ))
}

/// Fetches everything about an object.
///
/// # Errors
/// A refusal of the API server.
pub async fn see(cluster: &Cluster, object: Manifest) -> Result<Seen, Failure> {
    let selector = selector(&object);
    let jobs = cluster.api::<Job>();
    let pods = cluster.api::<Pod>();
    let events = cluster.api::<Event>();
    let all = ListParams::default();
    let (jobs, pods, events) = tokio::join!(
        jobs.list(&selector),
        pods.list(&selector),
        events.list(&all)
    );
    let jobs = jobs.map_err(|error| refused("list", "Jobs", &error))?.items;
    let pods = pods.map_err(|error| refused("list", "pods", &error))?.items;
    // Who may not read events still gets the page.
    let events = events.map(|list| list.items).unwrap_or_default();
    let about = |event: &Event| {
        let (kind, name) = (
            event.involved_object.kind.as_deref(),
            event.involved_object.name.as_deref(),
        );
        match (kind, name) {
            (Some("Job"), Some(name)) => jobs.iter().any(|job| job.name_any() == name),
            (Some("Pod"), Some(name)) => pods.iter().any(|pod| pod.name_any() == name),
            (Some(kind), Some(name)) => kind == object.kind() && name == object.name(),
            _ => false,
        }
    };
    let events = events.into_iter().filter(|event| about(event)).collect();
    Ok(Seen {
        object,
        jobs,
        pods,
        events,
    })
}
