//! The election at work: does what the candidate decides, over the API.

use crate::candidate::{Candidate, Seen, Step};
use crate::{Leadership, clock};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use std::time::Duration;
use tokio::task::JoinHandle;

/// The annotation by which a holder that gave its lease back says so; its value is the identity it held under.
pub const RELEASED: &str = "agoge.dev/released-by";

/// One candidate of an election.
pub struct Election {
    /// Reaches the API server.
    pub client: Client,
    /// Where the Lease is.
    pub namespace: String,
    /// The Lease's name, shared by all candidates.
    pub name: String,
    /// Who this is, for people to read. A suffix of this process's own follows it in the Lease: a container that restarts in
    /// the same Pod is another candidate.
    pub identity: String,
    /// After how long without a sign of life others may take over. The leader itself stops at three quarters of it.
    pub duration: Duration,
}

impl Election {
    /// Takes part until `shutdown` resolves; then releases the lease and ends. At that moment nothing must write any more:
    /// resolve it after the controllers have drained.
    pub fn start(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> (Leadership, JoinHandle<()>) {
        self.start_with(Timestamp::now, shutdown)
    }

    /// As [`Election::start`], with a clock of one's own for `renewTime` and `acquireTime`, which decide nothing.
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
    /// As last seen or written, to keep what others put there.
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
            let limit = self.candidate.patience() * 2;
            if tokio::time::timeout(limit, self.take_part()).await.is_err() {
                tracing::warn!(lease = self.name, "the lease could not be released in time");
            }
        };
        tokio::select! {
            () = work => {}
            () = leadership.expire() => {}
        }
    }

    /// Follows the candidate's steps until there are none. May be dropped at any await: what was under way is then unknown.
    async fn take_part(&mut self) {
        loop {
            let now = clock::now();
            match self.candidate.step(now) {
                Step::Wait(until) => tokio::time::sleep(until.saturating_sub(now)).await,
                Step::Look => self.look().await,
                Step::Take(over) => self.take(now, over).await,
                Step::Release(version) => self.release(version).await,
                Step::Done => return,
            }
            self.leadership.set(self.candidate.claim());
        }
    }

    async fn look(&mut self) {
        match self.call(self.api.get_opt(&self.name)).await {
            Some(lease) => {
                let seen = lease.as_ref().map(seen);
                self.lease = lease;
                self.candidate.looked(clock::now(), seen, rand::random());
            }
            None => self.candidate.unsure(clock::now(), rand::random()),
        }
    }

    async fn take(&mut self, sent: Duration, over: Option<String>) {
        let lease = self.claimed(over.as_deref());
        // Until there is an answer, this is a write that may have happened.
        self.candidate.unsure(sent, rand::random());
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
                self.candidate.took(
                    sent,
                    lease.resource_version().unwrap_or_default(),
                    rand::random(),
                );
                self.lease = Some(lease);
            }
            None => self.candidate.unsure(clock::now(), rand::random()),
        }
    }

    async fn release(&mut self, version: String) {
        let mut lease = self.claimed(Some(&version));
        lease
            .annotations_mut()
            .insert(RELEASED.to_owned(), self.identity.clone());
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
        }
        self.candidate.unsure(clock::now(), rand::random());
        match self
            .call(self.api.replace(&self.name, &PostParams::default(), &lease))
            .await
        {
            Some(_) => self.candidate.released(),
            None => self.candidate.unsure(clock::now(), rand::random()),
        }
    }

    /// The lease as it reads while it is ours, with `version` as the write's precondition.
    fn claimed(&self, version: Option<&str>) -> Lease {
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

    /// `None`: refused, or no answer that says whether it was carried out.
    async fn call<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Option<T> {
        match tokio::time::timeout(self.candidate.patience(), request).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(kube::Error::Api(status)))
                if status.is_conflict() || status.is_already_exists() =>
            {
                tracing::debug!(lease = self.name, "another wrote the lease first");
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

fn seen(lease: &Lease) -> Seen {
    let empty = LeaseSpec::default();
    let spec = lease.spec.as_ref().unwrap_or(&empty);
    Seen {
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
