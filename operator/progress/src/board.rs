//! The newest report of every shard, and who may write there.

use crate::changes::{Change, gathered};
use crate::review::Identity;
use crate::server::Outcome;
use futures::Stream;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::Instant;

/// Reports kept at most; the oldest goes first.
const KEPT: usize = 16_384;
/// Bytes of reports kept at most.
const KEPT_BYTES: usize = 128 << 20;
/// A shard is asked to report at most once a second; sooner than this is refused.
const SOONEST: Duration = Duration::from_millis(500);

/// A Pod of the operator's, as its caches know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRef {
    /// Its uid.
    pub uid: String,
    /// The child (Job) it works for.
    pub child: String,
    /// The kind of the object the child belongs to.
    pub owner_kind: String,
    /// Its name.
    pub owner_name: String,
    /// The Pod's completion index.
    pub index: u32,
    /// The Pod's namespace.
    pub namespace: String,
}

/// The Pods there are.
pub trait Pods: Send + Sync + 'static {
    /// The Pod of this name, if it is one of the operator's.
    fn pod(&self, namespace: &str, name: &str) -> Option<PodRef>;
}

/// What a worker says.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// The child it works for.
    pub child: String,
    /// Its attempt.
    #[serde(default)]
    pub attempt: u32,
    /// Its shard.
    pub shard: u32,
    /// How far it is.
    pub report: Value,
}

type Key = (String, String);

struct Entry {
    at: Instant,
    bytes: usize,
    report: Value,
}

#[derive(Default)]
struct Kept {
    shards: HashMap<Key, BTreeMap<u32, Entry>>,
    count: usize,
    bytes: usize,
}

/// The newest report of every (namespace, child, shard). Clones share one board.
#[derive(Clone)]
pub struct Board {
    pods: Arc<dyn Pods>,
    kept: Arc<Mutex<Kept>>,
    changes: broadcast::Sender<Change>,
}

impl Board {
    /// An empty one, for reports of these Pods.
    #[must_use]
    pub fn new(pods: Arc<dyn Pods>) -> Self {
        Self {
            pods,
            kept: Arc::default(),
            changes: broadcast::Sender::new(4096),
        }
    }

    /// The newest report of every shard of a child that has reported.
    #[must_use]
    pub fn reports(&self, namespace: &str, child: &str) -> BTreeMap<u32, Value> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let shards = kept.shards.get(&(namespace.to_owned(), child.to_owned()));
        shards
            .into_iter()
            .flatten()
            .map(|(&shard, entry)| (shard, entry.report.clone()))
            .collect()
    }

    /// Drops a child's reports.
    pub fn forget(&self, namespace: &str, child: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in kept
            .shards
            .remove(&(namespace.to_owned(), child.to_owned()))
            .into_iter()
            .flatten()
        {
            kept.count -= 1;
            kept.bytes -= entry.1.bytes;
        }
    }

    /// The objects with news, from now on: each at once, and then at most once in [`crate::INTERVAL`].
    pub fn changes(&self) -> impl Stream<Item = Change> + Send + 'static {
        gathered(self.changes.subscribe())
    }

    /// Takes a report of `bytes` bytes by a Pod, if it speaks for itself.
    pub(crate) fn submit(&self, who: &Identity, report: Report, bytes: usize) -> Outcome {
        let Some(pod) = self.pods.pod(&who.namespace, &who.pod_name) else {
            return Outcome::Forbidden;
        };
        let itself = pod.uid == who.pod_uid && pod.namespace == who.namespace;
        if !itself || pod.child != report.child || pod.index != report.shard {
            return Outcome::Forbidden;
        }
        let now = Instant::now();
        let key = (pod.namespace, pod.child);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept
            .shards
            .get(&key)
            .and_then(|shards| shards.get(&pod.index));
        if before.is_some_and(|entry| now < entry.at + SOONEST) {
            return Outcome::TooMany;
        }
        let change = Change {
            namespace: key.0.clone(),
            owner_kind: pod.owner_kind,
            owner_name: pod.owner_name,
        };
        kept.put(
            key,
            pod.index,
            Entry {
                at: now,
                bytes,
                report: report.report,
            },
        );
        drop(kept);
        // Nobody may be listening.
        let _ = self.changes.send(change);
        Outcome::Accepted
    }
}

impl Kept {
    fn put(&mut self, key: Key, shard: u32, entry: Entry) {
        self.count += 1;
        self.bytes += entry.bytes;
        if let Some(old) = self.shards.entry(key).or_default().insert(shard, entry) {
            self.count -= 1;
            self.bytes -= old.bytes;
        }
        while self.count > KEPT || self.bytes > KEPT_BYTES {
            let all = self
                .shards
                .iter()
                .flat_map(|(key, shards)| shards.iter().map(move |shard| (key, shard)));
            let Some((key, (&shard, _))) = all.min_by_key(|(_, (_, entry))| entry.at) else {
                return;
            };
            let key = key.clone();
            self.drop_one(&key, shard);
        }
    }

    fn drop_one(&mut self, key: &Key, shard: u32) {
        let Some(shards) = self.shards.get_mut(key) else {
            return;
        };
        if let Some(old) = shards.remove(&shard) {
            self.count -= 1;
            self.bytes -= old.bytes;
        }
        if shards.is_empty() {
            self.shards.remove(key);
        }
    }
}
