//! Metrics in the Prometheus text format. No label contains an object's name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::kinds::WorkDone;
use crate::names::{Kind, Target};

/// Buckets for the duration of a reconcile, in seconds.
const RECONCILE_BUCKETS: [f64; 12] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0, 10.0,
];
/// Buckets for the time to a milestone, in seconds.
const MILESTONE_BUCKETS: [f64; 12] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0,
];

/// The metrics of this process. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    reconciles: Reconciles,
    cluster: Cluster,
    queue: Queue,
    milestones: Milestones,
    leadership: Leadership,
    reports: IntCounterVec,
    work: Work,
}

/// Reconciles and the writes they send.
struct Reconciles {
    duration: HistogramVec,
    results: IntCounterVec,
    errors: IntCounterVec,
    requests: IntCounterVec,
}

/// Objects and children, counted when metrics are read.
struct Cluster {
    objects: IntGaugeVec,
    children: IntGaugeVec,
}

/// Objects that wait to be reconciled.
struct Queue {
    depth: IntGaugeVec,
    age: GaugeVec,
    /// The time since which an object waits. It is removed when the object is reconciled or turns out not to exist.
    waiting: Mutex<HashMap<Target, Instant>>,
}

/// The time from the creation of an object to its milestones.
struct Milestones {
    pods: HistogramVec,
    ready: HistogramVec,
    step: HistogramVec,
}

struct Leadership {
    leader: IntGauge,
    transitions: IntCounter,
}

/// Work, as statuses report it.
struct Work {
    accepted: IntCounter,
    attempted: IntCounter,
    trained: IntCounter,
}

/// Creates metrics and registers them.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.register(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, by: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), by)?)
    }

    fn gauges(&self, name: &str, help: &str, by: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(name, help), by)?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(opts, &["kind"])?)
    }
}

impl Reconciles {
    fn new(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            duration: registrar.histograms(
                "agoge_reconcile_duration_seconds",
                "Duration of one reconcile",
                &RECONCILE_BUCKETS,
            )?,
            results: registrar.counters(
                "agoge_reconciles_total",
                "Reconciles by result",
                &["kind", "result"],
            )?,
            errors: registrar.counters(
                "agoge_reconcile_errors_total",
                "Failed reconciles by class of error",
                &["kind", "reason"],
            )?,
            requests: registrar.counters(
                "agoge_api_requests_total",
                "Writes to the API server",
                &["verb", "resource", "outcome"],
            )?,
        })
    }
}

impl Cluster {
    fn new(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            objects: registrar.gauges("agoge_objects", "Objects by phase", &["kind", "phase"])?,
            children: registrar.gauges(
                "agoge_children",
                "Children by role and state",
                &["kind", "role", "state"],
            )?,
        })
    }
}

impl Queue {
    fn new(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        let age = Opts::new(
            "agoge_queue_age_seconds",
            "Time for which the oldest object in the queue has waited",
        );
        Ok(Self {
            depth: registrar.gauges(
                "agoge_queue_depth",
                "Objects that wait to be reconciled",
                &["kind"],
            )?,
            age: registrar.register(GaugeVec::new(age, &["kind"])?)?,
            waiting: Mutex::default(),
        })
    }

    /// Sets the gauges from the objects that wait now.
    fn measure(&self) {
        let waiting = self.waiting.lock();
        for kind in Kind::ALL {
            let of_kind = || waiting.iter().filter(|(target, _)| target.kind == kind);
            let ages = of_kind().map(|(_, since)| since.elapsed().as_secs_f64());
            let oldest = ages.fold(0.0, f64::max);
            let depth = i64::try_from(of_kind().count()).unwrap_or(i64::MAX);
            self.depth.with_label_values(&[kind.as_str()]).set(depth);
            self.age.with_label_values(&[kind.as_str()]).set(oldest);
        }
    }
}

impl Milestones {
    fn new(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        let histograms =
            |name: &str, help: &str| registrar.histograms(name, help, &MILESTONE_BUCKETS);
        Ok(Self {
            pods: histograms(
                "agoge_time_to_pods_seconds",
                "Time from an object's creation to its first Job",
            )?,
            ready: histograms(
                "agoge_time_to_ready_seconds",
                "Time from an object's creation to its first running pod",
            )?,
            step: histograms(
                "agoge_time_to_first_step_seconds",
                "Time from an object's creation to its first reported work",
            )?,
        })
    }
}

impl Leadership {
    fn new(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            leader: registrar.register(IntGauge::new(
                "agoge_leader",
                "1 while this replica leads, otherwise 0",
            )?)?,
            transitions: registrar.counter(
                "agoge_lease_transitions_total",
                "Times this replica acquired or lost the lease",
            )?,
        })
    }
}

impl Work {
    fn new(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            accepted: registrar.counter(
                "agoge_instances_accepted_total",
                "Instances accepted, as statuses report them",
            )?,
            attempted: registrar.counter(
                "agoge_instances_attempted_total",
                "Instances attempted, as statuses report them",
            )?,
            trained: registrar.counter(
                "agoge_trained_tokens_total",
                "Tokens trained in finished stages, as statuses report them",
            )?,
        })
    }
}

impl Metrics {
    /// Creates all metrics.
    ///
    /// # Errors
    /// None in practice: the names are fixed and distinct.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let registrar = Registrar(&registry);
        let inner = Inner {
            reconciles: Reconciles::new(&registrar)?,
            cluster: Cluster::new(&registrar)?,
            queue: Queue::new(&registrar)?,
            milestones: Milestones::new(&registrar)?,
            leadership: Leadership::new(&registrar)?,
            reports: registrar.counters(
                "agoge_progress_reports_total",
                "Progress reports by outcome",
                &["outcome"],
            )?,
            work: Work::new(&registrar)?,
            registry,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Records that an object waits to be reconciled.
    pub fn queued(&self, target: &Target) {
        let mut waiting = self.0.queue.waiting.lock();
        if !waiting.contains_key(target) {
            waiting.insert(target.clone(), Instant::now());
        }
    }

    /// Records that an object waits no more: it is being reconciled, or does not exist.
    pub fn dequeued(&self, target: &Target) {
        self.0.queue.waiting.lock().remove(target);
    }

    /// Records the end of a reconcile.
    pub fn reconciled(&self, kind: Kind, took: Duration, result: Result<&str, &str>) {
        let kind = kind.as_str();
        let reconciles = &self.0.reconciles;
        reconciles
            .duration
            .with_label_values(&[kind])
            .observe(took.as_secs_f64());
        let (result, error) = match result {
            Ok(result) => (result, None),
            Err(reason) => ("error", Some(reason)),
        };
        reconciles.results.with_label_values(&[kind, result]).inc();
        if let Some(reason) = error {
            reconciles.errors.with_label_values(&[kind, reason]).inc();
        }
    }

    /// Records the outcome of a write.
    pub fn api_request(&self, verb: &str, resource: &str, outcome: &str) {
        self.0
            .reconciles
            .requests
            .with_label_values(&[verb, resource, outcome])
            .inc();
    }

    /// Records the time after which an object reached a milestone.
    pub fn reached(&self, kind: Kind, milestone: Milestone, after: Duration) {
        let milestones = &self.0.milestones;
        let histogram = match milestone {
            Milestone::Pods => &milestones.pods,
            Milestone::Ready => &milestones.ready,
            Milestone::Step => &milestones.step,
        };
        histogram
            .with_label_values(&[kind.as_str()])
            .observe(after.as_secs_f64());
    }

    /// Records the work between two statuses of one object.
    pub fn work_done(&self, before: WorkDone, after: WorkDone) {
        let work = &self.0.work;
        let more = |counter: &IntCounter, before: u64, after: u64| {
            counter.inc_by(after.saturating_sub(before));
        };
        more(&work.attempted, before.attempted, after.attempted);
        more(&work.accepted, before.accepted, after.accepted);
        more(&work.trained, before.trained_tokens, after.trained_tokens);
    }

    /// Records if this replica leads.
    pub fn leads(&self, leads: bool) {
        let leadership = &self.0.leadership;
        if (leadership.leader.get() == 1) != leads {
            leadership.transitions.inc();
        }
        leadership.leader.set(i64::from(leads));
    }

    /// Records the number of progress reports with an outcome, since the process started.
    pub fn reports(&self, outcome: &str, total: u64) {
        let counter = self.0.reports.with_label_values(&[outcome]);
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    /// Returns all metrics in the Prometheus text format, with the given counts of objects and children.
    #[must_use]
    pub fn text(
        &self,
        objects: &HashMap<(Kind, String), i64>,
        children: impl IntoIterator<Item = ((Kind, String, &'static str), usize)>,
    ) -> String {
        let inner = &self.0;
        inner.cluster.objects.reset();
        for ((kind, phase), count) in objects {
            let gauges = &inner.cluster.objects;
            gauges
                .with_label_values(&[kind.as_str(), phase.as_str()])
                .set(*count);
        }
        inner.cluster.children.reset();
        for ((kind, component, state), count) in children {
            let gauges = &inner.cluster.children;
            gauges
                .with_label_values(&[kind.as_str(), component.as_str(), state])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        inner.queue.measure();
        let mut text = vec![];
        if let Err(error) = TextEncoder::new().encode(&inner.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics were not encoded");
        }
        String::from_utf8(text).unwrap_or_default()
    }

    /// Returns the number of objects that wait to be reconciled.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.0.queue.waiting.lock().len()
    }
}

/// A moment in an object's life that is measured once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// Its first Job was created.
    Pods,
    /// Its first pod runs.
    Ready,
    /// Its first work was reported.
    Step,
}
