//! The progress of pods: connects the server that they report to with the index of pods.
//!
//! A plan sees the reports of a child as they were up to five seconds ago. Whatever else an object is reconciled for, its
//! status is written for progress alone once in that time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use agoge_progress::{
    Authority, Board, Cached, Counters, INTERVAL, KubeReview, PodRef, Pods, Server, Serving,
};
use futures::StreamExt;
use kube::Client;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::index::Index;
use crate::names::{Kind, Target};
use crate::reconcile::{AuthorityBundle, Reports};
use crate::requests::ReconcileRequests;
use crate::{OperatorError, Options, backoff};

/// Namespace and name of a child.
type ChildName = (String, String);
/// Reports by shard.
type ShardReports = BTreeMap<u32, Value>;

/// The progress server, as the rest of the operator uses it. Clones share it.
#[derive(Clone)]
pub struct Progress {
    board: Board,
    counters: Counters,
    authority: Arc<OnceLock<String>>,
    /// The reports that plans see, and the time since which they do.
    snapshots: Arc<Mutex<HashMap<ChildName, (Instant, ShardReports)>>>,
}

impl Pods for Index {
    fn pod(&self, namespace: &str, name: &str) -> Option<PodRef> {
        self.reporter(namespace, name).map(|pod| PodRef {
            uid: pod.uid,
            child: pod.child,
            owner_kind: pod.owner.kind.as_str().to_owned(),
            owner_name: pod.owner.name,
            index: pod.index,
            namespace: pod.owner.namespace,
        })
    }
}

impl Progress {
    /// Creates a board for the pods of this index, without a server.
    #[must_use]
    pub fn new(index: &Index) -> Self {
        Self {
            board: Board::new(Arc::new(index.clone())),
            counters: Counters::default(),
            authority: Arc::default(),
            snapshots: Arc::default(),
        }
    }

    /// Returns a function that returns the last reports of a child's shards.
    #[must_use]
    pub fn reports(&self) -> Reports {
        let progress = self.clone();
        Arc::new(move |namespace, child| progress.snapshot(namespace, child))
    }

    fn snapshot(&self, namespace: &str, child: &str) -> ShardReports {
        let key = (namespace.to_owned(), child.to_owned());
        let mut snapshots = self.snapshots.lock();
        // A little less than the interval between notices of a change, so that the reconcile for a notice sees the change.
        let fresh = INTERVAL.mul_f64(0.9);
        if let Some((since, reports)) = snapshots.get(&key)
            && since.elapsed() < fresh
        {
            return reports.clone();
        }
        snapshots.retain(|_, (since, _)| since.elapsed() < fresh);
        let reports = self.board.reports(namespace, child);
        if !reports.is_empty() {
            snapshots.insert(key, (Instant::now(), reports.clone()));
        }
        reports
    }

    /// Drops the reports of a child that is gone. Its Job must have left the index before: no pod can report for it then.
    pub fn forget(&self, namespace: &str, child: &str) {
        self.board.forget(namespace, child);
        let key = (namespace.to_owned(), child.to_owned());
        self.snapshots.lock().remove(&key);
    }

    /// Returns a function that returns the certificate authority's bundle, once there is one.
    #[must_use]
    pub fn authority(&self) -> AuthorityBundle {
        let authority = self.authority.clone();
        Arc::new(move || authority.get().cloned())
    }

    /// Returns the number of reports so far by outcome.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.counters.snapshot()
    }
}

/// Starts the server, and requests a reconcile of each object that a report is about.
///
/// # Errors
/// [`OperatorError::Listen`]
pub async fn start(
    client: &Client,
    options: &Options,
    index: &Index,
    requests: &ReconcileRequests,
) -> Result<Progress, OperatorError> {
    let address = options.progress_listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| OperatorError::Listen { address, source })?;
    let progress = Progress::new(index);
    tokio::spawn(request_reconciles(progress.board.clone(), requests.clone()));
    tokio::spawn(serve(
        client.clone(),
        options.namespace.clone(),
        listener,
        progress.clone(),
    ));
    Ok(progress)
}

async fn request_reconciles(board: Board, requests: ReconcileRequests) {
    let mut changes = std::pin::pin!(board.changes());
    while let Some(change) = changes.next().await {
        if let Some(kind) = Kind::parse(&change.owner_kind) {
            requests.request(&Target {
                kind,
                namespace: change.namespace,
                name: change.owner_name,
            });
        }
    }
}

/// Serves as soon as there is a certificate authority.
async fn serve(client: Client, namespace: String, listener: TcpListener, progress: Progress) {
    let serving = certificate(&client, &namespace).await;
    let _ = progress
        .authority
        .set(serving.authority().bundle().to_owned());
    let server = Server {
        serving,
        review: Arc::new(Cached::new(KubeReview::new(client))),
        board: progress.board.clone(),
        counters: progress.counters.clone(),
    };
    if let Err(error) = server.serve(listener, std::future::pending()).await {
        tracing::error!(%error, "the progress server ended; reports are lost, results are not");
    }
}

/// Returns the serving certificate; retries until there is a certificate authority.
async fn certificate(client: &Client, namespace: &str) -> Arc<Serving> {
    let mut failures = 0;
    loop {
        let issued = match Authority::ensure(client.clone(), namespace).await {
            Ok(authority) => Serving::new(authority, namespace),
            Err(error) => Err(error),
        };
        match issued {
            Ok(serving) => return serving,
            Err(error) => tracing::warn!(%error, "there is no certificate authority yet"),
        }
        failures += 1;
        tokio::time::sleep(backoff::AUTHORITY.pause(failures)).await;
    }
}
