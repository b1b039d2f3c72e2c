//! The lives of the three kinds, step by step; this module plays the user and the kubelet.
//!
//! A step is taken only when the operator has nothing to write any more, so that every life makes the same writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use agoge_crds::{CheckerSuite, GRPORun, Manifest, Phase, SynthesisJob};
use anyhow::{Context, bail};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::{Value, json};

use crate::objects;
use crate::operator::Operator;
use crate::proxy::{Cut, Proxy, Write};

/// The operator has nothing to write when it wrote nothing for so long.
const QUIET: Duration = Duration::from_millis(350);
/// A life that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(150);
const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

/// The events of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// All goes well.
    Normal,
    /// It is suspended while its first child runs, and resumed.
    Suspend,
    /// Its first child fails once in a way that another attempt may mend.
    Retry,
    /// Its first child fails for good.
    Failure,
    /// It is deleted while its first child runs.
    Delete,
}

/// One kind's life.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// In lower case.
    pub kind: &'static str,
    /// The event.
    pub story: Story,
}

/// The end of a life.
pub struct Ended {
    /// The objects at the end.
    pub objects: BTreeMap<String, Value>,
    /// The events reported, with their counts.
    pub events: BTreeMap<String, i32>,
    /// The operator's writes.
    pub writes: Vec<Write>,
    /// True when the cut was made.
    pub cut: bool,
    /// The time it took.
    pub seconds: f64,
}

/// The API server, and where lives leave their files.
pub struct World {
    client: Client,
    folder: PathBuf,
    lives: AtomicU64,
}

impl World {
    /// The cluster of `KUBECONFIG`, with the kinds installed.
    pub async fn new(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path =
            std::env::var("KUBECONFIG").context("KUBECONFIG names no cluster; run `make crash`")?;
        let config = Config::from_custom_kubeconfig(
            Kubeconfig::read_from(path)?,
            &KubeConfigOptions::default(),
        )
        .await?;
        Ok(Self {
            client: Client::try_from(config)?,
            folder: folder.to_owned(),
            lives: AtomicU64::new(0),
        })
    }

    /// A namespace that no life has had, with what the examples' names stand for.
    async fn namespace(&self) -> anyhow::Result<String> {
        let name = format!("life-{:04}", self.lives.fetch_add(1, Ordering::SeqCst));
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let wanted: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
        namespaces.create(&PostParams::default(), &wanted).await?;
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &name);
        for (map, data) in [
            ("courier", json!({ "store": DIGEST })),
            ("qwen", json!({ "url": "http://192.0.2.1:8080" })),
        ] {
            let map: ConfigMap =
                serde_json::from_value(json!({ "metadata": { "name": map }, "data": data }))?;
            maps.create(&PostParams::default(), &map).await?;
        }
        // Pods are admitted when there is their account.
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &name);
        while accounts.get_opt("default").await?.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(name)
    }
}

impl Life {
    /// Every life.
    pub fn all() -> Vec<Self> {
        let stories = [
            Story::Normal,
            Story::Suspend,
            Story::Retry,
            Story::Failure,
            Story::Delete,
        ];
        ["synthesisjob", "checkersuite", "grporun"]
            .into_iter()
            .flat_map(|kind| stories.map(|story| Self { kind, story }))
            .collect()
    }

    /// For results.
    pub fn name(&self) -> String {
        format!("{}/{:?}", self.kind, self.story).to_lowercase()
    }

    /// Lives it to its end, with a cut or without.
    pub async fn live(&self, world: &World, cut: Option<Cut>) -> anyhow::Result<Ended> {
        let began = Instant::now();
        let namespace = world.namespace().await?;
        let proxy = Proxy::start(world.client.clone(), cut).await?;
        let stage = Stage::new(*self, world.client.clone(), &namespace);
        stage.before().await?;
        let mut operator = Operator::new(&proxy, world.client.clone(), &namespace, &world.folder);
        let mut acts = Acts::default();
        loop {
            tokio::time::sleep(Duration::from_millis(60)).await;
            if began.elapsed() > LIMIT {
                bail!("it did not end within {LIMIT:?}: {}", stage.told().await);
            }
            if !operator.leads().await? {
                continue;
            }
            if proxy.stale() {
                operator.look_at_all().await;
                continue;
            }
            if proxy.quiet() < QUIET {
                continue;
            }
            if stage.over(&acts).await? {
                break;
            }
            if stage.step(&mut acts).await? {
                // What it did reaches the operator a little later.
                tokio::time::sleep(QUIET).await;
            }
        }
        // Nothing is written after the end.
        tokio::time::sleep(QUIET).await;
        let ended = Ended {
            objects: objects::of(&world.client, &namespace).await?,
            events: objects::events_of(&world.client, &namespace).await?,
            writes: proxy.writes(),
            cut: proxy.cut(),
            seconds: began.elapsed().as_secs_f64(),
        };
        drop(operator);
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        namespaces
            .delete(&namespace, &DeleteParams::background())
            .await?;
        Ok(ended)
    }
}

/// The steps that are done.
#[derive(Default)]
struct Acts {
    made: bool,
    suspended: bool,
    resumed: bool,
    deleted: bool,
}

/// The namespace of one life, as its user and its kubelet see it.
struct Stage {
    life: Life,
    objects: Api<DynamicObject>,
    jobs: Api<Job>,
    pods: Api<Pod>,
    client: Client,
    namespace: String,
}

fn resource(kind: &str) -> ApiResource {
    match kind {
        "synthesisjob" => ApiResource::erase::<SynthesisJob>(&()),
        "checkersuite" => ApiResource::erase::<CheckerSuite>(&()),
        _ => ApiResource::erase::<GRPORun>(&()),
    }
}

/// The example's manifest of a kind, with no more stages than show something new.
fn manifest(kind: &str) -> anyhow::Result<Value> {
    let text = match kind {
        "synthesisjob" => include_str!("../../examples/courier/synthesisjob.yaml"),
        "checkersuite" => include_str!("../../examples/courier/checkersuite.yaml"),
        _ => include_str!("../../examples/courier/grporun.yaml"),
    };
    let manifest = agoge_crds::check(text, kind)
        .ok()
        .and_then(|mut all| all.pop())
        .context("the example is valid")?;
    Ok(match manifest {
        Manifest::SynthesisJob(mut job) => {
            for strategy in &mut job.spec.strategies {
                strategy.target.accepted = 4;
            }
            serde_json::to_value(job)?
        }
        Manifest::CheckerSuite(suite) => serde_json::to_value(suite)?,
        Manifest::GRPORun(run) => {
            let mut run = serde_json::to_value(run)?;
            run["spec"]["user"] = json!({ "model": "scripted" });
            if let Some(stages) = run["spec"]["stages"].as_object_mut() {
                stages.shift_remove("userSFT");
            }
            run["spec"]["stages"]["evaluation"]["arms"] = json!(["sft", "grpo"]);
            run
        }
    })
}

impl Stage {
    fn new(life: Life, client: Client, namespace: &str) -> Self {
        Self {
            life,
            objects: Api::namespaced_with(client.clone(), namespace, &resource(life.kind)),
            jobs: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
        }
    }

    /// Its references exist and are complete.
    async fn before(&self) -> anyhow::Result<()> {
        let (kind, status) = match self.life.kind {
            "checkersuite" => (
                "synthesisjob",
                json!({ "digest": DIGEST, "suite": "courier", "strategies": { "template": { "digest": DIGEST, "ended": "TargetsReached" } } }),
            ),
            "grporun" => (
                "checkersuite",
                json!({ "digest": DIGEST, "mutationScore": "1.000" }),
            ),
            _ => return Ok(()),
        };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource(kind));
        let object: DynamicObject = serde_json::from_value(manifest(kind)?)?;
        api.create(&PostParams::default(), &object).await?;
        let now = agoge_crds::Time(agoge_crds::Timestamp::now());
        let mut status = status;
        status["phase"] = json!("Complete");
        status["observedGeneration"] = json!(1);
        status["completionTime"] = json!(now);
        status["conditions"] = json!([{
            "type": "Complete", "status": "True", "reason": "TargetsReached", "message": "", "observedGeneration": 1,
            "lastTransitionTime": now,
        }]);
        api.patch_status(
            "courier",
            &PatchParams::default(),
            &Patch::Merge(json!({ "status": status })),
        )
        .await?;
        Ok(())
    }

    async fn object(&self) -> anyhow::Result<Option<DynamicObject>> {
        Ok(self.objects.get_opt("courier").await?)
    }

    async fn phase(&self) -> anyhow::Result<Option<Phase>> {
        let object = self.object().await?;
        Ok(object
            .and_then(|object| serde_json::from_value(object.data["status"]["phase"].clone()).ok()))
    }

    /// For the message of a life that hangs.
    async fn told(&self) -> String {
        match self.object().await {
            Ok(Some(object)) => object.data["status"].to_string(),
            Ok(None) => "the object is gone".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// Returns true when nothing more will happen.
    async fn over(&self, acts: &Acts) -> anyhow::Result<bool> {
        if acts.deleted {
            let ours = ListParams::default().labels(agoge_controller::names::SELECTOR);
            let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
            let left = self.jobs.list(&ours).await?.items.len()
                + self.pods.list(&ours).await?.items.len()
                + maps.list(&ours).await?.items.len();
            return Ok(left == 0 && self.object().await?.is_none());
        }
        if !self.phase().await?.is_some_and(Phase::is_terminal) {
            return Ok(false);
        }
        // The Job controller finishes its own book-keeping, and the garbage collector what was stopped.
        let jobs = self.jobs.list(&ListParams::default()).await?;
        Ok(jobs
            .items
            .iter()
            .all(|job| ended(job) && job.metadata.deletion_timestamp.is_none()))
    }

    /// Does what comes next; whether there was anything to do.
    async fn step(&self, acts: &mut Acts) -> anyhow::Result<bool> {
        if !acts.made {
            acts.made = true;
            let object: DynamicObject = serde_json::from_value(manifest(self.life.kind)?)?;
            self.objects.create(&PostParams::default(), &object).await?;
            return Ok(true);
        }
        if acts.suspended && !acts.resumed {
            if self.phase().await? == Some(Phase::Suspended) {
                acts.resumed = true;
                self.suspend(false).await?;
                return Ok(true);
            }
            return Ok(false);
        }
        if acts.deleted {
            return Ok(false);
        }
        let mut jobs = self.jobs.list(&ListParams::default()).await?.items;
        jobs.retain(|job| !ended(job) && job.metadata.deletion_timestamp.is_none());
        jobs.sort_by_key(ResourceExt::name_any);
        let mut running = vec![];
        let mut all_run = true;
        for job in &jobs {
            let of_job = format!("batch.kubernetes.io/job-name={}", job.name_any());
            let pods = self
                .pods
                .list(&ListParams::default().labels(&of_job))
                .await?
                .items;
            all_run &= !pods.is_empty();
            for pod in pods {
                match pod
                    .status
                    .as_ref()
                    .and_then(|status| status.phase.as_deref())
                {
                    Some("Pending") => {
                        let state = json!({ "running": { "startedAt": now() } });
                        self.run(&pod, state, "Running").await?;
                        return Ok(true);
                    }
                    Some("Running") => running.push((job, pod)),
                    // The Job controller has not seen its end yet.
                    _ => return Ok(false),
                }
            }
        }
        // Nothing ends before every pod of every Job runs: in every life the same one is the first.
        match running.first() {
            Some((job, pod)) if all_run => self.end(acts, job, pod).await,
            _ => Ok(false),
        }
    }

    async fn end(&self, acts: &mut Acts, job: &Job, pod: &Pod) -> anyhow::Result<bool> {
        match self.life.story {
            Story::Suspend if !acts.suspended => {
                acts.suspended = true;
                self.suspend(true).await?;
                return Ok(true);
            }
            Story::Delete => {
                acts.deleted = true;
                self.objects
                    .delete("courier", &DeleteParams::background())
                    .await?;
                return Ok(true);
            }
            _ => {}
        }
        let label = |name: &str| job.labels().get(name).cloned().unwrap_or_default();
        let (key, first) = (label("agoge.dev/key"), label("agoge.dev/attempt") == "0");
        let (code, words, phase) = match self.life.story {
            Story::Retry
                if first && matches!(key.as_str(), "synthesize-sea" | "qualify" | "agent-sft") =>
            {
                (
                    3,
                    json!({ "reason": "StoreUnreachable", "message": "connection refused", "retryable": true }),
                    "Failed",
                )
            }
            Story::Failure => (
                2,
                json!({ "reason": "BadInput", "message": "tools.py is no Python" }),
                "Failed",
            ),
            _ => (0, json!({ "result": result(&key) }), "Succeeded"),
        };
        let ended = json!({ "terminated": { "exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" }, "message": words.to_string(), "startedAt": now(), "finishedAt": now() } });
        self.run(pod, ended, phase).await?;
        Ok(true)
    }

    async fn suspend(&self, on: bool) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({ "spec": { "runPolicy": { "suspend": on } } }));
        self.objects
            .patch("courier", &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// A pod's status as its kubelet would write it.
    async fn run(&self, pod: &Pod, state: Value, phase: &str) -> anyhow::Result<()> {
        let status = json!({ "status": {
            "phase": phase,
            "containerStatuses": [{ "name": "worker", "image": "worker", "imageID": "", "ready": phase == "Running", "restartCount": 0, "state": state }],
        } });
        self.pods
            .patch_status(
                &pod.name_any(),
                &PatchParams::default(),
                &Patch::Merge(status),
            )
            .await?;
        Ok(())
    }
}

fn now() -> Value {
    json!(agoge_crds::Time(agoge_crds::Timestamp::now()))
}

fn ended(job: &Job) -> bool {
    let conditions = job
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| {
        all.iter()
            .any(|c| c.status == "True" && matches!(c.type_.as_str(), "Complete" | "Failed"))
    })
}

/// Returns a worker's termination message.
fn result(key: &str) -> Value {
    match key {
        "synthesize-template" | "synthesize-sea" => {
            json!({ "attempted": 5, "valid": 4, "accepted": 4, "tokens": 900, "digest": DIGEST, "generation": 1 })
        }
        "qualify" => {
            json!({ "checkers": 8, "qualified": 8, "mutationScore": 1.0, "p95Ms": 2.0, "digest": DIGEST })
        }
        "evaluate" => {
            json!({ "step": 200, "total": 200, "seconds": 9.0, "digest": DIGEST, "arms": { "grpo": { "pass": [0.5], "low": 0.4, "high": 0.6, "tasks": 200 } } })
        }
        _ => {
            json!({ "step": 6, "total": 6, "seconds": 60.0, "trainedTokens": 1000, "digest": DIGEST })
        }
    }
}
