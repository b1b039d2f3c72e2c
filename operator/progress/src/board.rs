//! The board: the newest report of every shard. A Pod may report for its own child and shard only.

use crate::changes::{Change, throttled};
use crate::outcome::Outcome;
use crate::review::Identity;
use futures::Stream;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::Instant;

/// The most reports that are kept; the oldest is dropped first.
const MAX_REPORTS: usize = 16_384;
/// The most bytes of reports that are kept.
const MAX_BYTES: usize = 128 << 20;
/// The shortest time between two reports of a shard. Workers report at most once a second.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// A Pod that the operator created, as its caches know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRef {
    /// Its uid.
    pub uid: String,
    /// The child (Job) that it belongs to.
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

/// The Pods that exist.
pub trait Pods: Send + Sync + 'static {
    /// Returns the Pod of this name if the operator created it and it has not ended.
    fn pod(&self, namespace: &str, name: &str) -> Option<PodRef>;
}

/// A report of a worker.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// The child that the worker belongs to.
    pub child: String,
    /// Its attempt.
    #[serde(default)]
    pub attempt: u32,
    /// Its shard.
    pub shard: u32,
    /// Its progress.
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

/// The newest report of every (namespace, child, shard). Clones share them.
#[derive(Clone)]
pub struct Board {
    pods: Arc<dyn Pods>,
    kept: Arc<Mutex<Kept>>,
    changes: broadcast::Sender<Change>,
}

impl Board {
    /// Creates an empty board for reports of these Pods.
    #[must_use]
    pub fn new(pods: Arc<dyn Pods>) -> Self {
        Self {
            pods,
            kept: Arc::default(),
            changes: broadcast::Sender::new(4096),
        }
    }

    /// Returns the newest report of each shard of a child that has reported.
    #[must_use]
    pub fn reports(&self, namespace: &str, child: &str) -> BTreeMap<u32, Value> {
        let kept = self.kept.lock();
        let shards = kept.shards.get(&(namespace.to_owned(), child.to_owned()));
        shards
            .into_iter()
            .flatten()
            .map(|(&shard, entry)| (shard, entry.report.clone()))
            .collect()
    }

    /// Drops the reports of a child. If the child's Pods do not exist any more, no report can follow.
    pub fn forget(&self, namespace: &str, child: &str) {
        let mut kept = self.kept.lock();
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

    /// Returns the objects that are reported about from now on: each at once, and then at most once per [`crate::INTERVAL`].
    pub fn changes(&self) -> impl Stream<Item = Change> + Send + 'static {
        throttled(self.changes.subscribe())
    }

    /// Keeps a report of `bytes` bytes, if the Pod reports about itself.
    pub(crate) fn submit(&self, identity: &Identity, report: Report, bytes: usize) -> Outcome {
        // The lock is held from here on, so that no report is kept after its child was forgotten.
        let mut kept = self.kept.lock();
        let Some(pod) = self.pods.pod(&identity.namespace, &identity.pod_name) else {
            return Outcome::Forbidden;
        };
        let same_pod = pod.uid == identity.pod_uid && pod.namespace == identity.namespace;
        if !same_pod || pod.child != report.child || pod.index != report.shard {
            return Outcome::Forbidden;
        }
        let now = Instant::now();
        let key = (pod.namespace, pod.child);
        let before = kept
            .shards
            .get(&key)
            .and_then(|shards| shards.get(&pod.index));
        if before.is_some_and(|entry| now < entry.at + MIN_INTERVAL) {
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
        // There may be no subscriber.
        let _ = self.changes.send(change);
        Outcome::Accepted
    }
}

impl Kept {
    /// Keeps a report, and drops the oldest ones beyond the limits.
    fn put(&mut self, key: Key, shard: u32, entry: Entry) {
        self.count += 1;
        self.bytes += entry.bytes;
        if let Some(old) = self.shards.entry(key).or_default().insert(shard, entry) {
            self.count -= 1;
            self.bytes -= old.bytes;
        }
        while self.count > MAX_REPORTS || self.bytes > MAX_BYTES {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    /// Pods of Jobs of the same name, as long as they exist.
    #[derive(Default)]
    struct Existing(Mutex<BTreeSet<String>>);

    impl Pods for Existing {
        fn pod(&self, namespace: &str, name: &str) -> Option<PodRef> {
            self.0.lock().contains(name).then(|| PodRef {
                uid: name.to_owned(),
                child: name.to_owned(),
                owner_kind: "GRPORun".to_owned(),
                owner_name: name.to_owned(),
                index: 0,
                namespace: namespace.to_owned(),
            })
        }
    }

    fn report(board: &Board, pod: &str) -> Outcome {
        let identity = Identity {
            namespace: "team".to_owned(),
            pod_name: pod.to_owned(),
            pod_uid: pod.to_owned(),
        };
        let report = Report {
            child: pod.to_owned(),
            attempt: 0,
            shard: 0,
            report: json!({"step": 3}),
        };
        board.submit(&identity, report, 10)
    }

    #[test]
    fn a_thousand_children_that_report_and_go_leave_nothing() {
        let pods = Arc::new(Existing::default());
        let board = Board::new(Arc::<Existing>::clone(&pods));
        for n in 0..1000 {
            let name = format!("run-{n}");
            pods.0.lock().insert(name.clone());
            assert_eq!(report(&board, &name), Outcome::Accepted);
        }
        for n in 0..1000 {
            let name = format!("run-{n}");
            pods.0.lock().remove(&name);
            board.forget("team", &name);
            assert_eq!(report(&board, &name), Outcome::Forbidden, "its Pod is gone");
        }
        let kept = board.kept.lock();
        assert_eq!((kept.shards.len(), kept.count, kept.bytes), (0, 0, 0));
    }
}
