//! `kubectl agoge suspend`, `resume` and `promote`: the few fields that a person changes on a run.

use std::collections::BTreeMap;

use agoge_crds::lineage::{PROMOTE, ROLL_BACK};
use agoge_crds::{Manifest, Phase, SynthesisJob};
use clap::Args;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::cluster::{Cluster, MANAGER, Where, id, refused, target};
use crate::failure::Failure;
use crate::with_kind;

/// Stops all work of an object and its clock; what was done is kept.
#[derive(Debug, Args)]
pub struct Suspend {
    /// KIND/NAME, or NAME where only one kind has it. Several may be given.
    #[arg(required = true, value_name = "KIND/NAME")]
    pub objects: Vec<String>,
}

/// Lets a suspended object go on from where it was.
#[derive(Debug, Args)]
pub struct Resume {
    /// KIND/NAME, or NAME where only one kind has it. Several may be given.
    #[arg(required = true, value_name = "KIND/NAME")]
    pub objects: Vec<String>,
}

/// Decides about the plan pair of a SynthesisJob that waits for a person (`evolution.promotion: manual`).
#[derive(Debug, Args)]
pub struct Promote {
    /// The SynthesisJob.
    #[arg(value_name = "NAME")]
    pub job: String,
    /// The plan pair: its digest, or the beginning of it. Unset: the one that waits.
    #[arg(value_name = "DIGEST")]
    pub digest: Option<String>,
    /// Keep the parent instead.
    #[arg(long)]
    pub rollback: bool,
}

/// Runs it.
///
/// # Errors
/// No such object, one that is over, or a refusal of the API server.
pub async fn suspend(suspend: &Suspend, at: &Where) -> Result<(), Failure> {
    set(&suspend.objects, true, at).await
}

/// Runs it.
///
/// # Errors
/// No such object, one that is over, or a refusal of the API server.
pub async fn resume(resume: &Resume, at: &Where) -> Result<(), Failure> {
    set(&resume.objects, false, at).await
}

async fn set(objects: &[String], suspend: bool, at: &Where) -> Result<(), Failure> {
    let cluster = Cluster::connect(at).await?;
    for asked in objects {
        let object = cluster.find(asked).await?;
        let (id, is) = (id(&object), suspended(&object));
        let word = if suspend { "suspended" } else { "resumed" };
        if let Some(phase) = over(&object) {
            return Err(Failure::Input(format!(
                "{id} is {phase:?}: it is over, and nothing of it can be {word}"
            )));
        }
        if is == suspend {
            println!("{id} was {word} already");
            continue;
        }
        merge(
            &cluster,
            &object,
            &json!({ "spec": { "runPolicy": { "suspend": suspend } } }),
        )
        .await?;
        println!("{id} {word}");
    }
    Ok(())
}

/// Runs it.
///
/// # Errors
/// No such job, nothing that waits, another digest than the one that waits, or a refusal of the API server.
pub async fn promote(promote: &Promote, at: &Where) -> Result<(), Failure> {
    let cluster = Cluster::connect(at).await?;
    let name = promote
        .job
        .split_once('/')
        .map_or(promote.job.as_str(), |(_, name)| name);
    let job = cluster
        .api::<SynthesisJob>()
        .get_opt(name)
        .await
        .map_err(|error| refused("read", "SynthesisJob", &error))?
        .ok_or_else(|| {
            Failure::Input(format!(
                "there is no SynthesisJob {name} in the namespace {}",
                cluster.namespace
            ))
        })?;
    let digest = waiting(&job, promote.digest.as_deref()).map_err(Failure::Input)?;
    let object = Manifest::SynthesisJob(Box::new(job));
    merge(
        &cluster,
        &object,
        &json!({ "metadata": { "annotations": decision(&digest, promote.rollback) } }),
    )
    .await?;
    let word = if promote.rollback {
        "rolled back"
    } else {
        "promoted"
    };
    println!("{} plan {digest} is to be {word}", id(&object));
    Ok(())
}

/// The digest that waits in a job, if it is the one meant.
///
/// # Errors
/// Why there is nothing to decide.
pub fn waiting(job: &SynthesisJob, meant: Option<&str>) -> Result<String, String> {
    let status = job.status.clone().unwrap_or_default();
    let name = job.metadata.name.clone().unwrap_or_default();
    let Some(waits) = status.awaiting_promotion else {
        let why = if status.run.phase.is_terminal() {
            format!("it is {:?}", status.run.phase)
        } else if job.spec.evolution.promotion == agoge_crds::synthesis_job::Promotion::Automatic {
            "its evolution.promotion is automatic, so the rule decides".to_owned()
        } else if let Some(decided) = status.decided {
            format!("the last decision, about {decided}, was acted on")
        } else {
            "no pilot has recommended a child yet".to_owned()
        };
        return Err(format!(
            "no plan of synthesisjob/{name} waits for a decision: {why}"
        ));
    };
    let bare = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    match meant {
        Some(meant) if bare(meant).len() < 6 => Err(format!(
            "{meant} is too short; give at least 6 digits of {waits}"
        )),
        Some(meant) if !bare(&waits).starts_with(&bare(meant)) => Err(format!(
            "{meant} does not wait for a decision; the plan that waits in synthesisjob/{name} is {waits}"
        )),
        _ => Ok(waits),
    }
}

/// The annotations that say so; the opposite decision goes away.
fn decision(digest: &str, rollback: bool) -> Value {
    let (set, unset) = if rollback {
        (ROLL_BACK, PROMOTE)
    } else {
        (PROMOTE, ROLL_BACK)
    };
    let annotations: BTreeMap<&str, Value> =
        BTreeMap::from([(set, json!(digest)), (unset, Value::Null)]);
    json!(annotations)
}

fn suspended(object: &Manifest) -> bool {
    match object {
        Manifest::SynthesisJob(object) => object.spec.run_policy.suspend,
        Manifest::CheckerSuite(object) => object.spec.run_policy.suspend,
        Manifest::GRPORun(object) => object.spec.run_policy.suspend,
    }
}

fn over(object: &Manifest) -> Option<Phase> {
    let phase = match object {
        Manifest::SynthesisJob(object) => object.status.as_ref().map(|s| s.run.phase),
        Manifest::CheckerSuite(object) => object.status.as_ref().map(|s| s.run.phase),
        Manifest::GRPORun(object) => object.status.as_ref().map(|s| s.run.phase),
    };
    phase.filter(|phase| phase.is_terminal())
}

async fn merge(cluster: &Cluster, object: &Manifest, change: &Value) -> Result<(), Failure> {
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    with_kind!(target(object).kind, K => cluster
        .api::<K>()
        .patch(&object.name(), &params, &Patch::Merge(change))
        .await
        .map(drop)
        .map_err(|error| refused("change", object.kind(), &error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: Value) -> SynthesisJob {
        let spec = json!({ "domain": "courier", "strategies": [], "evolution": { "promotion": "manual" } });
        serde_json::from_value(json!({
            "apiVersion": "agoge.dev/v1alpha1", "kind": "SynthesisJob", "metadata": { "name": "a" }, "spec": spec, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn only_what_waits_can_be_decided_about() {
        let waits = job(json!({ "awaitingPromotion": "sha256:0123456789ab" }));
        assert_eq!(waiting(&waits, None).unwrap(), "sha256:0123456789ab");
        assert_eq!(
            waiting(&waits, Some("012345")).unwrap(),
            "sha256:0123456789ab"
        );
        assert!(
            waiting(&waits, Some("0123"))
                .unwrap_err()
                .contains("too short")
        );
        assert!(
            waiting(&waits, Some("sha256:ffffff"))
                .unwrap_err()
                .contains("the plan that waits")
        );
        let done = job(json!({ "decided": "sha256:aa" }));
        assert!(waiting(&done, None).unwrap_err().contains("was acted on"));
    }

    #[test]
    fn the_later_decision_replaces_the_earlier() {
        assert_eq!(
            decision("d", false),
            json!({ "agoge.dev/promote": "d", "agoge.dev/rollback": null })
        );
    }
}
