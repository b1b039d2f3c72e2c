//! `kubectl agoge submit`: checks manifests offline, then applies them; with `--dry-run` shows what would come of them.
//!
//! A dry run prints YAML: the children that the plan would make first, as the operator would render them, and in comments
//! what the API server says of each and what the whole may cost.

use std::path::PathBuf;

use agoge_controller::kinds::AgogeResource;
use agoge_controller::render::{Rendered, render};
use agoge_controller::resolve::{Defaults, Resolver};
use agoge_crds::{CheckerSuite, GRPORun, Manifest, Phase, SynthesisJob, Timestamp};
use agoge_plan::{Child, Observed, Plannable, SuiteSeen, SynthesisSeen};
use clap::Args;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cluster::{Cluster, Listed, MANAGER, Where, id, refused};
use super::{cost, resolved};
use crate::failure::Failure;
use crate::manifest::{self, Depth};

/// Stands for the digest of something that is not made yet.
const LATER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Checks manifests as `agoge check` does, then applies them.
///
/// With --dry-run nothing is changed: it prints the children that would be made first, with names resolved, asks the API
/// server whether it would take them, and estimates what the whole may cost at most.
#[derive(Debug, Args)]
pub struct Submit {
    /// A manifest, or a folder of manifests. May be given several times.
    #[arg(short, long = "file", value_name = "PATH", required = true)]
    pub files: Vec<PathBuf>,
    /// A file of patches: documents with kind, metadata.name and the fields to change. May be given several times.
    #[arg(long = "patch", value_name = "FILE")]
    pub patches: Vec<PathBuf>,
    /// Change nothing; show what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: ask no cluster. Names stay placeholders.
    #[arg(long, requires = "dry_run")]
    pub offline: bool,
    /// Take over fields that another manager set.
    #[arg(long)]
    pub force_conflicts: bool,
}

/// Runs it.
///
/// # Errors
/// Every problem of the manifests, or a refusal of the API server.
pub async fn submit(submit: &Submit, at: &Where) -> Result<(), Failure> {
    let found = manifest::find(&submit.files, &submit.patches, Depth::Folder)
        .map_err(|problems| Failure::problems(&problems))?;
    for line in found.not_judged() {
        eprintln!("{line}, and left alone");
    }
    let mut sources = found.sources;
    // What is referred to comes first.
    sources.sort_by_key(|source| match source.manifest {
        Manifest::SynthesisJob(_) => 0,
        Manifest::CheckerSuite(_) => 1,
        Manifest::GRPORun(_) => 2,
    });
    let cluster = match submit.offline {
        true => None,
        false => Some(Cluster::connect(at).await?),
    };
    if !submit.dry_run {
        let cluster = cluster.ok_or_else(|| Failure::input("no cluster"))?;
        for source in sources {
            let id = id(&source.manifest);
            let (object, was) = each(&cluster, source.manifest, submit, at).await?;
            let word = match was {
                None => "created",
                Some(before) if before == version(&object) => "unchanged",
                Some(_) => "configured",
            };
            println!("{id} {word}");
        }
        return Ok(());
    }
    let (defaults, note) = resolved::defaults(cluster.as_ref()).await;
    let resolver = cluster
        .as_ref()
        .map(|cluster| Resolver::new(cluster.client.clone(), defaults.clone()));
    let site = Site {
        cluster,
        resolver,
        defaults,
    };
    if let Some(note) = note {
        println!("# note: {note}");
    }
    for source in sources {
        let object = match &site.cluster {
            Some(cluster) => {
                let (object, was) = each(cluster, source.manifest, submit, at).await?;
                let word = if was.is_some() {
                    "would be configured"
                } else {
                    "would be created"
                };
                println!("# {} {word}; the API server accepts it", id(&object));
                object
            }
            None => {
                println!("# {} is valid; no cluster was asked", id(&source.manifest));
                source.manifest
            }
        };
        show(&site, &object).await?;
    }
    Ok(())
}

/// Where children would be made.
struct Site {
    cluster: Option<Cluster>,
    resolver: Option<Resolver>,
    defaults: Defaults,
}

fn version(object: &Manifest) -> Option<String> {
    match object {
        Manifest::SynthesisJob(object) => object.resource_version(),
        Manifest::CheckerSuite(object) => object.resource_version(),
        Manifest::GRPORun(object) => object.resource_version(),
    }
}

/// Applies one manifest; returns it as the API server has it, and the version it had before.
async fn each(
    cluster: &Cluster,
    object: Manifest,
    submit: &Submit,
    at: &Where,
) -> Result<(Manifest, Option<Option<String>>), Failure> {
    match object {
        Manifest::SynthesisJob(object) => apply(cluster, *object, submit, at).await,
        Manifest::CheckerSuite(object) => apply(cluster, *object, submit, at).await,
        Manifest::GRPORun(object) => apply(cluster, *object, submit, at).await,
    }
}

async fn apply<K: Listed>(
    cluster: &Cluster,
    mut object: K,
    submit: &Submit,
    at: &Where,
) -> Result<(Manifest, Option<Option<String>>), Failure> {
    let own = object.namespace();
    if let (Some(own), Some(asked)) = (&own, &at.namespace)
        && own != asked
    {
        return Err(Failure::Input(format!(
            "{} says namespace {own}, and --namespace says {asked}; take one of them out",
            object.name_any()
        )));
    }
    let namespace = own.unwrap_or_else(|| cluster.namespace.clone());
    object.meta_mut().namespace = Some(namespace.clone());
    let api: Api<K> = Api::namespaced(cluster.client.clone(), &namespace);
    let kind = K::KIND.as_str();
    let name = object.name_any();
    let before = api
        .get_opt(&name)
        .await
        .map_err(|error| refused("read", kind, &error))?;
    let params = PatchParams {
        dry_run: submit.dry_run,
        force: submit.force_conflicts,
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let applied = api
        .patch(&name, &params, &Patch::Apply(&object))
        .await
        .map_err(|error| refused("apply", &format!("{kind} {name}"), &error))?;
    Ok((
        applied.manifest(),
        before.map(|before| before.resource_version()),
    ))
}

/// Prints the children that the plan of an object makes first, and the estimate.
async fn show(site: &Site, object: &Manifest) -> Result<(), Failure> {
    let (children, mut notes) = match object {
        Manifest::SynthesisJob(job) => first(job.as_ref(), &Observed::default(), vec![]),
        Manifest::CheckerSuite(suite) => {
            let (observed, notes) = of_suite(site, suite).await;
            first(suite.as_ref(), &observed, notes)
        }
        Manifest::GRPORun(run) => {
            let (observed, notes) = of_run(site, run).await;
            first(run.as_ref(), &observed, notes)
        }
    };
    let (domain, store) = match object {
        Manifest::SynthesisJob(job) => (job.domain(), job.store()),
        Manifest::CheckerSuite(suite) => (suite.domain(), suite.store()),
        Manifest::GRPORun(run) => (run.domain(), run.store()),
    };
    let mut rendered = vec![];
    for child in &children {
        let (site, missing) =
            resolved::site(site.resolver.as_ref(), &site.defaults, child, domain, store).await;
        for note in missing {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        rendered.push(render(child, &site).map_err(Failure::input)?);
    }
    for note in notes {
        println!("# note: {note}");
    }
    if children.is_empty() {
        println!("# it would make no child now");
    }
    for (child, made) in children.iter().zip(&rendered) {
        println!(
            "# child {}: {} worker(s), attempt {}",
            child.name, child.shards, child.attempt
        );
        if let Some(cluster) = &site.cluster {
            for (what, verdict) in verdicts(cluster, child, made).await {
                println!("# {what}: {verdict}");
            }
        }
        print!("{}", yaml(made)?);
    }
    println!("# what it may cost at most:");
    for line in cost::estimate(object, &children).to_string().lines() {
        println!("#   {line}");
    }
    Ok(())
}

/// The children that the plan makes first, and what must be known of them.
fn first<K: Plannable>(
    object: &K,
    observed: &Observed,
    mut notes: Vec<String>,
) -> (Vec<Child>, Vec<String>)
where
    K::Status: Serialize,
{
    let plan = object.plan(observed, Timestamp::now());
    if plan.children.is_empty() {
        let status = serde_json::to_value(&plan.status).unwrap_or_default();
        let phase = status["phase"].as_str().unwrap_or_default();
        notes.push(format!("its plan says {phase}"));
    }
    (plan.children, notes)
}

/// Returns the references of a suite, taken as complete where they are not yet.
async fn of_suite(site: &Site, suite: &CheckerSuite) -> (Observed, Vec<String>) {
    let Some(name) = &suite.spec.source.synthesis_job else {
        return (Observed::default(), vec![]);
    };
    let there = look::<SynthesisJob>(site, suite.namespace(), name).await;
    let mut seen = there.as_ref().map(SynthesisSeen::from).unwrap_or_default();
    let notes = assumed("SynthesisJob", name, there.map(|_| seen.phase));
    if seen.phase != Phase::Complete {
        seen = SynthesisSeen {
            phase: Phase::Complete,
            digest: Some(LATER.to_owned()),
            ..seen
        };
    }
    let observed = Observed {
        synthesis: Some(seen),
        ..Observed::default()
    };
    (observed, notes)
}

/// Returns the references of a run, taken as complete where they are not yet.
async fn of_run(site: &Site, run: &GRPORun) -> (Observed, Vec<String>) {
    let asked = &run.spec.suite;
    let there = look::<CheckerSuite>(site, run.namespace(), &asked.name).await;
    let mut seen = there.as_ref().map(SuiteSeen::from).unwrap_or_default();
    let notes = assumed("CheckerSuite", &asked.name, there.map(|_| seen.phase));
    if seen.phase != Phase::Complete {
        let pinned = asked.digest.clone();
        seen = SuiteSeen {
            phase: Phase::Complete,
            digest: Some(pinned.unwrap_or_else(|| LATER.to_owned())),
            mutation_score: Some(1.0),
        };
    }
    let observed = Observed {
        suite: Some(seen),
        ..Observed::default()
    };
    (observed, notes)
}

/// An object that is referred to, if it is there and can be read.
async fn look<K: Listed>(site: &Site, namespace: Option<String>, name: &str) -> Option<K> {
    let cluster = site.cluster.as_ref()?;
    let namespace = namespace.unwrap_or_else(|| cluster.namespace.clone());
    let api: Api<K> = Api::namespaced(cluster.client.clone(), &namespace);
    api.get_opt(name).await.ok().flatten()
}

fn assumed(kind: &str, name: &str, phase: Option<Phase>) -> Vec<String> {
    match phase {
        Some(Phase::Complete) => vec![],
        Some(phase) => vec![format!(
            "{kind} {name} is {phase:?}: what follows is made once it is Complete"
        )],
        None => vec![format!(
            "there is no {kind} {name} yet: what follows is made once it is Complete"
        )],
    }
}

/// Returns the API server's verdicts on a child's objects.
async fn verdicts(
    cluster: &Cluster,
    child: &Child,
    made: &Rendered,
) -> Vec<(&'static str, String)> {
    let namespace = child
        .owner
        .namespace
        .as_deref()
        .unwrap_or(&cluster.namespace);
    let mut all = vec![];
    if let Some(service) = &made.service {
        all.push(("Service", taken(cluster, namespace, service).await));
    }
    all.push(("Job", taken(cluster, namespace, &made.job).await));
    all
}

async fn taken<K>(cluster: &Cluster, namespace: &str, object: &K) -> String
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(cluster.client.clone(), namespace);
    let params = PostParams {
        dry_run: true,
        field_manager: Some(MANAGER.to_owned()),
    };
    match api.create(&params, object).await {
        Ok(_) => "the API server would take it".to_owned(),
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
            "exists already, and stays as it is".to_owned()
        }
        Err(kube::Error::Api(status))
            if status.code == 403 && !status.message.contains("quota") =>
        {
            format!("not tried with the operator's rights: {}", status.message)
        }
        Err(error) => format!("would be refused: {error}"),
    }
}

/// A child's objects as documents.
fn yaml(made: &Rendered) -> Result<String, Failure> {
    let mut text = String::new();
    let mut add = |document: Result<String, serde_yaml::Error>| -> Result<(), Failure> {
        text.push_str("---\n");
        text.push_str(&document.map_err(Failure::input)?);
        Ok(())
    };
    if let Some(service) = &made.service {
        add(serde_yaml::to_string(service))?;
    }
    if let Some(group) = &made.group {
        add(serde_yaml::to_string(group))?;
    }
    add(serde_yaml::to_string(&made.job))?;
    Ok(text)
}
