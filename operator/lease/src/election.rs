//! The election: carries out the steps of a candidate against the API server.

use crate::candidate::{Candidate, LeaseState, Step};
use crate::{Leadership, clock};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use std::time::Duration;
use tokio::task::JoinHandle;

/// The annotation of a lease that its holder released; its value is the holder's identity.
pub const RELEASED: &str = "agoge.dev/released-by";

/// The settings of one candidate in an election.
pub struct Election {
    /// The client.
    pub client: Client,
    /// The namespace of the Lease.
    pub namespace: String,
    /// The Lease's name, shared by all candidates.
    pub name: String,
    /// The name of this candidate, for people. In the Lease, a suffix of this process follows it: a container that restarts
    /// in the same Pod is another candidate.
    pub identity: String,
    /// The time without renewal after which others may acquire the lease. The leader itself stops after three quarters of it.
    pub duration: Duration,
}

impl Election {
    /// Takes part until `shutdown` resolves, then releases the lease and ends. Nothing may write any more at that time: resolve
    /// it after the controllers have ended.
    pub fn start(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> (Leadership, JoinHandle<()>) {
        self.start_with(Timestamp::now, shutdown)
    }

    /// Takes part like [`Election::start`], with another clock for `renewTime` and `acquireTime`, which decide nothing.
    pub fn start_with(
        self,
        wall_clock: impl Fn() -> Timestamp + Send + Sync + 'static,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> (Leadership, JoinHandle<()>) {
        let leadership = Leadership::new();
        let identity = format!("{}_{:08x}", self.identity, rand::random::<u32>());
        let runner = Runner {
            api: Api::namespaced(self.client, &self.namespace),
            name: self.name,
            candidate: Candidate::new(&identity, self.duration),
            identity,
            duration: self.duration,
            lease: None,
            leadership: leadership.clone(),
            wall_clock: Box::new(wall_clock),
        };
        (leadership, tokio::spawn(runner.run(shutdown)))
    }
}

struct Runner {
    api: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    candidate: Candidate,
    /// The Lease as last read or written: fields of others are kept.
    lease: Option<Lease>,
    leadership: Leadership,
    wall_clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Runner {
    async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        let leadership = self.leadership.clone();
        let work = async {
            tokio::select! {
                () = self.take_part() => {}
                () = shutdown => {}
            }
            self.candidate.resign();
            self.leadership.set(None);
            // A lease that cannot be released expires by itself.
            let limit = self.candidate.timeout() * 2;
            if tokio::time::timeout(limit, self.take_part()).await.is_err() {
                tracing::warn!(lease = self.name, "the lease could not be released in time");
            }
        };
        tokio::select! {
            () = work => {}
            () = leadership.expire() => {}
        }
    }

    /// Carries out the candidate's steps until there are none. It may be dropped at any await: the outcome of the request under
    /// way is then unknown.
    async fn take_part(&mut self) {
        loop {
            let now = clock::now();
            match self.candidate.step(now) {
                Step::Wait(until) => tokio::time::sleep(until.saturating_sub(now)).await,
                Step::Read => self.read().await,
                Step::Acquire(over) => self.acquire(now, over).await,
                Step::Release(version) => self.release(version).await,
                Step::Done => return,
            }
            self.leadership.set(self.candidate.claim());
        }
    }

    async fn read(&mut self) {
        match self.call(self.api.get_opt(&self.name)).await {
            Some(lease) => {
                let state = lease.as_ref().map(lease_state);
                self.lease = lease;
                self.candidate.was_read(clock::now(), state, rand::random());
            }
            None => self.candidate.outcome_unknown(clock::now(), rand::random()),
        }
    }

    async fn acquire(&mut self, sent: Duration, over: Option<String>) {
        let lease = self.held_lease(over.as_deref());
        // Until it is answered, this write may have happened.
        self.candidate.outcome_unknown(sent, rand::random());
        let parameters = PostParams::default();
        let outcome = match over {
            None => self.call(self.api.create(&parameters, &lease)).await,
            Some(_) => {
                self.call(self.api.replace(&self.name, &parameters, &lease))
                    .await
            }
        };
        match outcome {
            Some(lease) => {
                self.candidate.acquired(
                    sent,
                    lease.resource_version().unwrap_or_default(),
                    rand::random(),
                );
                self.lease = Some(lease);
            }
            None => self.candidate.outcome_unknown(clock::now(), rand::random()),
        }
    }

    async fn release(&mut self, version: String) {
        let mut lease = self.held_lease(Some(&version));
        lease
            .annotations_mut()
            .insert(RELEASED.to_owned(), self.identity.clone());
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
        }
        self.candidate.outcome_unknown(clock::now(), rand::random());
        match self
            .call(self.api.replace(&self.name, &PostParams::default(), &lease))
            .await
        {
            Some(_) => self.candidate.released(),
            None => self.candidate.outcome_unknown(clock::now(), rand::random()),
        }
    }

    /// Returns the Lease as held by this candidate, with `version` as the precondition of the write.
    fn held_lease(&self, version: Option<&str>) -> Lease {
        let mut lease = match (&self.lease, version) {
            (Some(lease), Some(_)) => lease.clone(),
            _ => Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: None,
            },
        };
        lease.metadata.managed_fields = None;
        lease.metadata.resource_version = version.map(str::to_owned);
        lease.annotations_mut().remove(RELEASED);
        let time = MicroTime((self.wall_clock)());
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            spec.acquire_time = Some(time.clone());
            spec.lease_transitions = Some(
                spec.lease_transitions
                    .map_or(0, |count| count.saturating_add(1)),
            );
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = i32::try_from(self.duration.as_secs_f64().ceil() as i64).ok();
        spec.renew_time = Some(time);
        lease
    }

    /// Sends a request; returns `None` if it was refused or its outcome is unknown.
    async fn call<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Option<T> {
        match tokio::time::timeout(self.candidate.timeout(), request).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(kube::Error::Api(status)))
                if status.is_conflict() || status.is_already_exists() =>
            {
                tracing::debug!(lease = self.name, "another candidate wrote the lease first");
            }
            Ok(Err(error)) => {
                tracing::warn!(lease = self.name, %error, "the lease could not be reached")
            }
            Err(_) => tracing::warn!(
                lease = self.name,
                "the API server did not answer about the lease in time"
            ),
        }
        None
    }
}

fn lease_state(lease: &Lease) -> LeaseState {
    let empty = LeaseSpec::default();
    let spec = lease.spec.as_ref().unwrap_or(&empty);
    LeaseState {
        version: lease.resource_version().unwrap_or_default(),
        holder: spec.holder_identity.clone().unwrap_or_default(),
        released: lease.annotations().contains_key(RELEASED),
        duration: Duration::from_secs(
            spec.lease_duration_seconds
                .and_then(|seconds| u64::try_from(seconds).ok())
                .unwrap_or(0),
        ),
    }
}
