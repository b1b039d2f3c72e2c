//! The controllers of the three kinds, and the watches of their children.

use std::sync::Arc;

use agoge_crds::{CheckerSuite, GRPORun, SynthesisJob};
use futures::channel::mpsc::UnboundedReceiver;
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as CoreEvent, Pod};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Controller, WatchStreamExt, controller};
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use crate::index::{self, Index};
use crate::kinds::AgogeResource;
use crate::names::{SELECTOR, Target};
use crate::progress::Progress;
use crate::reconcile::{Context, Guarded, Shared, Stores, error_policy, reconcile};
use crate::references::target_of;
use crate::requests::{ReconcileRequests, RequestReceivers};
use crate::{Options, cluster};

/// The writing sides of [`Stores`].
pub struct StoreWriters {
    /// Of SynthesisJobs.
    pub synthesis_jobs: Writer<Guarded<SynthesisJob>>,
    /// Of CheckerSuites.
    pub checker_suites: Writer<Guarded<CheckerSuite>>,
    /// Of GRPORuns.
    pub grpo_runs: Writer<Guarded<GRPORun>>,
}

/// Creates empty stores for the three kinds.
#[must_use]
pub fn stores() -> (Stores, StoreWriters) {
    let (synthesis_jobs, synthesis_jobs_writer) = store();
    let (checker_suites, checker_suites_writer) = store();
    let (grpo_runs, grpo_runs_writer) = store();
    (
        Stores {
            synthesis_jobs,
            checker_suites,
            grpo_runs,
        },
        StoreWriters {
            synthesis_jobs: synthesis_jobs_writer,
            checker_suites: checker_suites_writer,
            grpo_runs: grpo_runs_writer,
        },
    )
}

/// Everything that the controllers of all kinds are made from.
pub struct Controllers {
    /// Watches the objects.
    pub client: Client,
    /// The settings.
    pub options: Options,
    /// The parts that reconciles share.
    pub shared: Arc<Shared>,
    /// Requests to reconcile.
    pub requests: ReconcileRequests,
    /// Ends the controllers, after the reconciles under way.
    pub stop: CancellationToken,
}

impl Controllers {
    /// Runs the controllers of the three kinds until they are stopped.
    pub async fn run(&self, writers: StoreWriters, receivers: RequestReceivers) {
        let stores = &self.shared.stores;
        futures::future::join3(
            self.control(
                self.context(&stores.synthesis_jobs),
                self.watch(),
                writers.synthesis_jobs,
                receivers.synthesis_jobs,
            ),
            self.control(
                self.context(&stores.checker_suites),
                self.watch(),
                writers.checker_suites,
                receivers.checker_suites,
            ),
            self.control(
                self.context(&stores.grpo_runs),
                self.watch(),
                writers.grpo_runs,
                receivers.grpo_runs,
            ),
        )
        .await;
    }

    fn context<K: AgogeResource>(&self, store: &Store<Guarded<K>>) -> Arc<Context<K>> {
        Arc::new(Context::new(self.shared.clone(), store.clone()))
    }

    fn watch<K: AgogeResource>(
        &self,
    ) -> impl Stream<Item = watcher::Result<Event<Guarded<K>>>> + Send + 'static {
        cluster::watch(&self.client, &self.options, watcher::Config::default())
    }

    /// Runs the controller of one kind until it is stopped.
    pub async fn control<K: AgogeResource>(
        &self,
        context: Arc<Context<K>>,
        objects: impl Stream<Item = watcher::Result<Event<Guarded<K>>>> + Send + 'static,
        writer: Writer<Guarded<K>>,
        requested: UnboundedReceiver<Target>,
    ) {
        let reader = context.store.clone();
        let metrics = self.shared.metrics.clone();
        let (observer, requests) = (context.clone(), self.requests.clone());
        let queued = metrics.clone();
        let objects = objects
            .reflect(writer)
            .inspect_ok(move |event| observer.observe(event, &requests))
            .applied_objects()
            .inspect_ok(move |guard| queued.queued(&target_of(guard)));
        let queued = metrics.clone();
        let requested = requested.map(move |target| {
            queued.queued(&target);
            ObjectRef::<Guarded<K>>::new(&target.name).within(&target.namespace)
        });
        let config = controller::Config::default().concurrency(self.options.concurrency);
        Controller::for_stream(objects, reader)
            .with_config(config)
            .reconcile_on(requested)
            .graceful_shutdown_on(self.stop.clone().cancelled_owned())
            .run(reconcile::<K>, error_policy::<K>, context)
            .for_each(|result| {
                match result {
                    // Failures were logged by the error policy.
                    Ok(_) | Err(controller::Error::ReconcilerFailed(..)) => {}
                    // The object was deleted before its turn came.
                    Err(controller::Error::ObjectNotFound(object)) => {
                        metrics.dequeued(&Target {
                            kind: K::KIND,
                            namespace: object.namespace.unwrap_or_default(),
                            name: object.name,
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, kind = %K::KIND, "a watch was interrupted; it is resumed");
                    }
                }
                futures::future::ready(())
            })
            .await;
    }
}

/// Watches the children of all kinds until the process ends.
pub async fn watch_children(client: Client, options: Options, index: Index, progress: Progress) {
    let children = || watcher::Config::default().labels(SELECTOR);
    let refusals = watcher::Config::default().fields("involvedObject.kind=Job,reason=FailedCreate");
    let jobs = cluster::watch::<Job>(&client, &options, children());
    let pods = cluster::watch::<Pod>(&client, &options, children());
    let refusals = cluster::watch::<CoreEvent>(&client, &options, refusals);
    futures::join!(
        index::follow("jobs", jobs, |event| {
            for gone in index.update_jobs(event) {
                progress.forget(&gone.owner.namespace, &gone.name);
            }
        }),
        index::follow("pods", pods, |event| index.update_pods(event)),
        index::follow("events", refusals, |event| index.update_refusals(event)),
    );
}

/// Returns all objects of the three kinds.
#[must_use]
pub fn all_targets(stores: &Stores) -> Vec<Target> {
    let mut targets = vec![];
    add_targets(&stores.synthesis_jobs, &mut targets);
    add_targets(&stores.checker_suites, &mut targets);
    add_targets(&stores.grpo_runs, &mut targets);
    targets
}

fn add_targets<K: AgogeResource>(store: &Store<Guarded<K>>, targets: &mut Vec<Target>) {
    targets.extend(store.state().iter().map(|guard| Target {
        kind: K::KIND,
        namespace: guard.namespace().unwrap_or_default(),
        name: guard.name_any(),
    }));
}

#[cfg(test)]
mod tests;
