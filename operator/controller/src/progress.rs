//! Progress of pods: the server they report to, tied to what the index knows of pods.
//!
//! A plan sees a child's reports as they were up to five seconds ago: whatever else has an object looked at, its status is
//! written for progress alone once in that time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use agoge_progress::{
    Authority, Board, Cached, Counters, INTERVAL, KubeReview, PodRef, Pods, Server, Serving,
};
use futures::StreamExt;
use kube::Client;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::index::{Index, Pokes};
use crate::names::{Kind, Target};
use crate::reconcile::{Bundle, Reports};
use crate::{OperatorError, Options};

type ByShard = BTreeMap<u32, Value>;
/// Reports, and since when they are shown.
type Shown = (Instant, ByShard);

/// What the driver has of the progress server.
#[derive(Clone)]
pub struct Progress {
    board: Board,
    counters: Counters,
    bundle: Arc<OnceLock<String>>,
    shown: Arc<Mutex<HashMap<(String, String), Shown>>>,
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
    /// The last reports of a child's shards.
    pub fn reports(&self) -> Reports {
        let progress = self.clone();
        Arc::new(move |namespace, child| progress.shown(namespace, child))
    }

    fn shown(&self, namespace: &str, child: &str) -> ByShard {
        let key = (namespace.to_owned(), child.to_owned());
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        // A little less than the pace at which changes are told, so that a change that is told is seen.
        let fresh = INTERVAL.mul_f64(0.9);
        if let Some((at, reports)) = shown.get(&key)
            && at.elapsed() < fresh
        {
            return reports.clone();
        }
        shown.retain(|_, (at, _)| at.elapsed() < fresh);
        let reports = self.board.reports(namespace, child);
        if !reports.is_empty() {
            shown.insert(key, (Instant::now(), reports.clone()));
        }
        reports
    }

    /// The certificate authority's bundle, once there is one.
    pub fn bundle(&self) -> Bundle {
        let bundle = self.bundle.clone();
        Arc::new(move || bundle.get().cloned())
    }

    /// Reports so far, by outcome.
    pub fn outcomes(&self) -> Vec<(&'static str, u64)> {
        self.counters.snapshot().collect()
    }
}

/// Starts the server, and has the objects looked at that reports are about.
///
/// # Errors
/// An address that cannot be listened on.
pub async fn start(
    client: &Client,
    options: &Options,
    index: &Index,
    pokes: &Pokes,
) -> Result<Progress, OperatorError> {
    let address = options.progress_listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| OperatorError::Listen { address, source })?;
    let board = Board::new(Arc::new(index.clone()));
    let progress = Progress {
        counters: Counters::default(),
        bundle: Arc::default(),
        shown: Arc::default(),
        board: board.clone(),
    };
    let (mut changes, pokes) = (Box::pin(board.changes()), pokes.clone());
    tokio::spawn(async move {
        while let Some(change) = changes.next().await {
            if let Some(kind) = Kind::parse(&change.owner_kind) {
                pokes.poke(&Target {
                    kind,
                    namespace: change.namespace,
                    name: change.owner_name,
                });
            }
        }
    });
    tokio::spawn(serve(
        client.clone(),
        options.namespace.clone(),
        listener,
        progress.clone(),
    ));
    Ok(progress)
}

/// Serves as soon as there is a certificate authority; asks for it again and again until then.
async fn serve(client: Client, namespace: String, listener: TcpListener, progress: Progress) {
    let mut pause = Duration::from_millis(500);
    let serving = loop {
        let made = match Authority::ensure(client.clone(), &namespace).await {
            Ok(authority) => Serving::new(authority, &namespace),
            Err(error) => Err(error),
        };
        match made {
            Ok(serving) => break serving,
            Err(error) => tracing::warn!(%error, "there is no certificate authority yet"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(30));
    };
    let _ = progress.bundle.set(serving.authority().bundle().to_owned());
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
