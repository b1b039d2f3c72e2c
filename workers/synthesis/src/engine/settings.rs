//! The settings of a job, the model clients by role, and the errors that stop a job.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use agoge_artifacts::Instance;
use agoge_crds::checker_suite::QualificationSpec;
use agoge_crds::lineage::Decision;
use agoge_crds::shared::{Budget, Part};
use agoge_crds::synthesis_job::Evolution;
use agoge_llm::{Client, LlmError};
use agoge_sandbox::Limits;
use agoge_store::{LedgerError, Store, StoreError};
use agoge_world::{Domain, WorldError};

use crate::strategy::Refused;

/// Generated tokens of an instance, where the job sets no bound.
pub const TOKENS_PER_INSTANCE: u32 = 450;

/// The settings of one strategy in one worker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seed of everything that is drawn and sampled.
    pub seed: u64,
    /// Accepted instances over all shards.
    pub target: usize,
    /// The index of this shard.
    pub shard: usize,
    /// The number of shards.
    pub shards: usize,
    /// Instances in flight at once; `None` takes as many as the writer's endpoint, or the threads.
    pub parallelism: Option<usize>,
    /// Requires that the result does not depend on what runs at once.
    pub deterministic: bool,
    /// The share of the budget that this worker may spend.
    pub budget: Budget,
    /// Generated tokens of an instance, over all its requests.
    pub tokens_per_instance: u32,
    /// The evolution of plan pairs, for strategies that have any.
    pub evolution: Evolution,
    /// The time at which the job ends with what there is.
    pub deadline: Option<Instant>,
    /// The decision of a person about a plan pair that was awaiting one.
    pub decision: Option<Decision>,
    /// The qualification, fixed for all plans of the job: by default that of a CheckerSuite, which then need not repeat it.
    pub qualification: QualificationSpec,
    /// Sampling temperature of writer and reflector.
    pub temperature: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            target: 0,
            shard: 0,
            shards: 1,
            parallelism: None,
            deterministic: false,
            budget: Budget::default(),
            tokens_per_instance: TOKENS_PER_INSTANCE,
            evolution: Evolution::default(),
            deadline: None,
            decision: None,
            qualification: QualificationSpec::default(),
            temperature: 0.4,
        }
    }
}

/// The model clients by role. They share a meter, which holds the worker's budget.
#[derive(Clone, Debug)]
pub struct RoleClients {
    /// Writes scenario, gold and checker.
    pub writer: Client,
    /// Plays the agent.
    pub agent: Client,
    /// Plays the user.
    pub user: Client,
    /// Reflects on failures.
    pub reflector: Client,
}

impl RoleClients {
    /// One client in all roles.
    #[must_use]
    pub fn all(client: &Client) -> Self {
        Self {
            writer: client.clone(),
            agent: client.clone(),
            user: client.clone(),
            reflector: client.clone(),
        }
    }

    /// Returns the client of a role.
    #[must_use]
    pub fn of(&self, role: Part) -> &Client {
        match role {
            Part::Writer => &self.writer,
            Part::Agent => &self.agent,
            Part::User => &self.user,
            Part::Reflector => &self.reflector,
        }
    }
}

/// A job with everything it runs on.
pub struct Job {
    /// The settings.
    pub settings: Settings,
    /// The domain.
    pub domain: Arc<Domain>,
    /// Limits of generated code.
    pub limits: Limits,
    /// Threads that may be kept busy.
    pub threads: usize,
    /// The clients, for strategies that ask models.
    pub clients: Option<RoleClients>,
    /// The instances that earlier strategies of the job made: none of them is new.
    pub known: Vec<Instance>,
    /// The store, for plan pairs.
    pub store: Store,
    /// The ledger file of finished items.
    pub ledger: PathBuf,
}

/// The reason a job cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SynthesisError {
    /// An endpoint or a recording.
    #[error(transparent)]
    Endpoint(#[from] LlmError),
    /// The ledger of finished items.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The domain's tools do not start.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The request cannot be met.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// So many items failed that the target is out of reach.
    #[error(
        "strategies[{strategy}]: {tried} items of the kind {kind} were tried in place of rejected ones, and none was accepted; \
         the last: {reason}. Run `agoge domain check`, and correct the domain or the strategy's parameters"
    )]
    Barren {
        /// The strategy.
        strategy: &'static str,
        /// The kind of item.
        kind: String,
        /// The number of items tried.
        tried: usize,
        /// The reason of the last rejection.
        reason: String,
    },
}
