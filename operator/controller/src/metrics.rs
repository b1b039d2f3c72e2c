//! What the operator counts, in the Prometheus text format. No label takes an object's name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::names::{Kind, Target};

/// Buckets of a reconcile, in seconds.
const FAST: [f64; 12] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0, 10.0,
];
/// Buckets of the time to something, in seconds.
const SLOW: [f64; 12] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0,
];

/// The metrics. Cloned freely.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    duration: HistogramVec,
    reconciles: IntCounterVec,
    errors: IntCounterVec,
    requests: IntCounterVec,
    objects: IntGaugeVec,
    children: IntGaugeVec,
    depth: IntGaugeVec,
    age: prometheus::GaugeVec,
    to_pods: HistogramVec,
    to_ready: HistogramVec,
    to_step: HistogramVec,
    leader: IntGauge,
    transitions: IntCounter,
    reports: IntCounterVec,
    accepted: IntCounter,
    attempted: IntCounter,
    trained: IntCounter,
    queued: Mutex<HashMap<Target, Instant>>,
}

impl Metrics {
    /// New ones, all at nothing.
    ///
    /// # Errors
    /// Never in practice: the names are fixed and differ.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauges.clone()))?;
            Ok::<_, prometheus::Error>(gauges)
        };
        let histograms = |name: &str, help: &str, buckets: &[f64]| {
            let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let histograms = HistogramVec::new(opts, &["kind"])?;
            registry.register(Box::new(histograms.clone()))?;
            Ok::<_, prometheus::Error>(histograms)
        };
        let age = prometheus::GaugeVec::new(
            Opts::new(
                "agoge_queue_age_seconds",
                "Age of the oldest object that waits to be looked at",
            ),
            &["kind"],
        )?;
        registry.register(Box::new(age.clone()))?;
        let leader = IntGauge::new("agoge_leader", "Whether this replica leads")?;
        registry.register(Box::new(leader.clone()))?;
        Ok(Self(Arc::new(Inner {
            duration: histograms(
                "agoge_reconcile_duration_seconds",
                "Time of one reconcile",
                &FAST,
            )?,
            reconciles: counters(
                "agoge_reconciles_total",
                "Reconciles by their result",
                &["kind", "result"],
            )?,
            errors: counters(
                "agoge_reconcile_errors_total",
                "Failed reconciles by class",
                &["kind", "reason"],
            )?,
            requests: counters(
                "agoge_api_requests_total",
                "Writes to the API server",
                &["verb", "resource", "outcome"],
            )?,
            objects: gauges("agoge_objects", "Objects by phase", &["kind", "phase"])?,
            children: gauges(
                "agoge_children",
                "Children by what they do and how they are",
                &["kind", "role", "state"],
            )?,
            depth: gauges(
                "agoge_queue_depth",
                "Objects that wait to be looked at",
                &["kind"],
            )?,
            age,
            to_pods: histograms(
                "agoge_time_to_pods_seconds",
                "From an object's creation to its first Job",
                &SLOW,
            )?,
            to_ready: histograms(
                "agoge_time_to_ready_seconds",
                "From an object's creation to its first running pod",
                &SLOW,
            )?,
            to_step: histograms(
                "agoge_time_to_first_step_seconds",
                "From an object's creation to its first reported work",
                &SLOW,
            )?,
            leader,
            transitions: counter(
                "agoge_lease_transitions_total",
                "Times this replica took or lost the lease",
            )?,
            reports: counters(
                "agoge_progress_reports_total",
                "Progress reports by their outcome",
                &["outcome"],
            )?,
            accepted: counter(
                "agoge_instances_accepted_total",
                "Instances accepted, as statuses told",
            )?,
            attempted: counter(
                "agoge_instances_attempted_total",
                "Instances attempted, as statuses told",
            )?,
            trained: counter(
                "agoge_trained_tokens_total",
                "Tokens trained in finished stages, as statuses told",
            )?,
            queued: Mutex::default(),
            registry,
        })))
    }

    /// An object is to be looked at.
    pub fn queued(&self, target: &Target) {
        let mut queued = self.0.queued.lock().unwrap_or_else(PoisonError::into_inner);
        if !queued.contains_key(target) {
            queued.insert(target.clone(), Instant::now());
        }
    }

    /// An object is being looked at.
    pub fn taken(&self, target: &Target) {
        let mut queued = self.0.queued.lock().unwrap_or_else(PoisonError::into_inner);
        queued.remove(target);
    }

    /// A reconcile came to its end.
    pub fn reconciled(&self, kind: Kind, took: Duration, result: Result<&str, &str>) {
        let kind = kind.as_str();
        let inner = &self.0;
        inner
            .duration
            .with_label_values(&[kind])
            .observe(took.as_secs_f64());
        match result {
            Ok(result) => inner.reconciles.with_label_values(&[kind, result]).inc(),
            Err(reason) => {
                inner.reconciles.with_label_values(&[kind, "error"]).inc();
                inner.errors.with_label_values(&[kind, reason]).inc();
            }
        }
    }

    /// A write was answered.
    pub fn api_request(&self, verb: &str, resource: &str, outcome: &str) {
        self.0
            .requests
            .with_label_values(&[verb, resource, outcome])
            .inc();
    }

    /// An object got its first Job, its first running pod, or its first report.
    pub fn reached(&self, kind: Kind, milestone: Milestone, after: Duration) {
        let histogram = match milestone {
            Milestone::Pods => &self.0.to_pods,
            Milestone::Ready => &self.0.to_ready,
            Milestone::Step => &self.0.to_step,
        };
        histogram
            .with_label_values(&[kind.as_str()])
            .observe(after.as_secs_f64());
    }

    /// What statuses told of instances and tokens since the last one.
    pub fn made(&self, attempted: u64, accepted: u64, trained: u64) {
        self.0.attempted.inc_by(attempted);
        self.0.accepted.inc_by(accepted);
        self.0.trained.inc_by(trained);
    }

    /// Whether this replica leads now.
    pub fn leads(&self, leads: bool) {
        if (self.0.leader.get() == 1) != leads {
            self.0.transitions.inc();
        }
        self.0.leader.set(i64::from(leads));
    }

    /// Progress reports so far, by outcome.
    pub fn reports(&self, outcome: &str, so_far: u64) {
        let counter = self.0.reports.with_label_values(&[outcome]);
        counter.inc_by(so_far.saturating_sub(counter.get()));
    }

    /// The whole in the Prometheus text format, with what is counted only when it is asked for.
    #[must_use]
    pub fn text(
        &self,
        objects: &HashMap<(Kind, String), i64>,
        children: impl IntoIterator<Item = ((Kind, String, &'static str), usize)>,
    ) -> String {
        let inner = &self.0;
        inner.objects.reset();
        for ((kind, phase), count) in objects {
            inner
                .objects
                .with_label_values(&[kind.as_str(), phase.as_str()])
                .set(*count);
        }
        inner.children.reset();
        for ((kind, component, state), count) in children {
            inner
                .children
                .with_label_values(&[kind.as_str(), component.as_str(), state])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        {
            let queued = inner.queued.lock().unwrap_or_else(PoisonError::into_inner);
            for kind in Kind::ALL {
                let ages = || queued.iter().filter(|(target, _)| target.kind == kind);
                let oldest = ages().map(|(_, at)| at.elapsed().as_secs_f64());
                let oldest = oldest.fold(0.0, f64::max);
                let depth = i64::try_from(ages().count()).unwrap_or(i64::MAX);
                inner.depth.with_label_values(&[kind.as_str()]).set(depth);
                inner.age.with_label_values(&[kind.as_str()]).set(oldest);
            }
        }
        let mut text = vec![];
        if let Err(error) = TextEncoder::new().encode(&inner.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics were not written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// A moment in an object's life that is timed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// Its first Job was made.
    Pods,
    /// Its first pod runs.
    Ready,
    /// Its first report came.
    Step,
}
