//! The trait that a strategy implements, and the types that pass between a strategy and the engine.
//!
//! A strategy says how one instance is made. The engine decides how many are made, keeps what is finished, counts what is
//! spent, refuses duplicates, plays rollouts, evolves prompts and publishes. `docs/strategies.md` shows how to add one.

use std::future::Future;

use agoge_artifacts::Gate;
use agoge_checker::{Cause, Qualification, Verdict};
use agoge_crds::shared::Part;
use agoge_dialogue::Message;
use agoge_llm::LlmError;
use agoge_store::Digest;
use agoge_world::{Lost, Split, Task};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cx::Cx;
use crate::plan::Plan;

/// A way to make instances. The type's fields are the strategy's parameters, as a manifest writes them.
pub trait Strategy: DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static {
    /// The name that manifests use. Use the name of the file.
    const NAME: &'static str;
    /// One sentence for the help texts.
    const SUMMARY: &'static str;
    /// True if the items are a list that somebody else wrote: a rejected item is not replaced, and items that ask for the
    /// same are no duplicates.
    const FIXED: bool = false;
    /// The result of [`Strategy::prepare`], which all attempts read.
    type Shared: Send + Sync + 'static;

    /// Returns the model roles that the strategy asks; none by default.
    #[must_use]
    fn roles() -> &'static [Part] {
        &[]
    }

    /// Returns the prompts that evolve; by default there are none, and the strategy runs without generations.
    #[must_use]
    fn plan() -> Option<Plan> {
        None
    }

    /// Returns the highest number of rollouts after each pilot; by default every valid instance is played.
    fn rollouts(&self) -> usize {
        usize::MAX
    }

    /// Prepares what all attempts share, once in each worker.
    fn prepare(&self, cx: &mut Cx) -> impl Future<Output = Result<Self::Shared, Stop>> + Send;

    /// Lists the items of all shards, in an order that depends on domain, seed and target alone. By default these are as
    /// many numbered items as instances are asked for.
    fn items(&self, _shared: &Self::Shared, target: usize) -> Vec<Item> {
        (0..target as u64)
            .map(|number| Item::numbered(Self::NAME, number))
            .collect()
    }

    /// Returns the item that replaces a rejected one: the `nth` replacement of its kind, from 0, where `listed` items were
    /// listed at first. `None` says that there are no more.
    ///
    /// # Errors
    /// [`Refused`], when the replacement cannot be made.
    fn replacement(
        &self,
        _shared: &Self::Shared,
        _rejected: &Item,
        nth: usize,
        listed: usize,
    ) -> Result<Option<Item>, Refused> {
        Ok(Some(Item::numbered(Self::NAME, (listed + nth) as u64)))
    }

    /// Makes one instance: straight-line code whose calls of `cx` are steps.
    fn attempt(
        &self,
        cx: &mut Cx,
        shared: &Self::Shared,
    ) -> impl Future<Output = Result<Product, Stop>> + Send;
}

/// The place of one instance in a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Unique in its job.
    pub id: String,
    /// Its number, from 0.
    pub number: u64,
    /// Items of one kind can replace one another.
    pub kind: String,
    /// The part of the data its task belongs to.
    pub split: Split,
    /// The task, for strategies that know it before the attempt.
    pub task: Option<Task>,
}

impl Item {
    /// An item that is nothing but a number.
    #[must_use]
    pub fn numbered(strategy: &str, number: u64) -> Self {
        Self {
            id: format!("{strategy}-{number}"),
            number,
            kind: strategy.into(),
            split: Split::TrainRl,
            task: None,
        }
    }
}

/// The outcome of an attempt that was not rejected.
#[derive(Clone, Debug)]
pub enum Product {
    /// A task whose checker qualified. The engine has it played.
    Task(Qualified),
    /// A task with a dialogue that its checkers passed.
    Trajectory(Demonstrated),
    /// A task that is accepted as it is, because its checker qualified.
    Given(Box<Given>),
}

/// A task whose checker qualified, with the dialogue of its demonstration where there is one.
#[derive(Clone, Debug)]
pub struct Given {
    /// The task.
    pub task: Qualified,
    /// The demonstration.
    pub shown: Option<Demonstrated>,
}

/// A task whose checker passed the fixed qualification; only [`Cx::qualify`] makes one.
#[derive(Clone, Debug)]
pub struct Qualified {
    task: Task,
    found: (Digest, Qualification),
}

impl Qualified {
    pub(crate) fn new(task: Task, found: (Digest, Qualification)) -> Self {
        Self { task, found }
    }

    /// Returns the task, and its qualification with the key.
    pub(crate) fn into_parts(self) -> (Task, (Digest, Qualification)) {
        (self.task, self.found)
    }
}

/// A task demonstrated by its gold actions, with the verdict of its checkers; only [`Cx::demonstrate`] makes one.
#[derive(Clone, Debug)]
pub struct Demonstrated {
    pub(crate) task: Task,
    pub(crate) messages: Vec<Message>,
    pub(crate) verdict: Verdict,
}

/// The gate at which an attempt ended, with cause and reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    /// The gate.
    pub gate: Gate,
    /// Whose fault it was.
    pub cause: Cause,
    /// The reason, for a person.
    pub reason: String,
    /// The task, where it was whole, with the dialogue of its demonstration and the verdict.
    pub shown: Option<Box<Demonstrated>>,
}

impl Reject {
    /// A rejection of a task that is wrong.
    #[must_use]
    pub fn task(gate: Gate, reason: impl Into<String>) -> Self {
        Self::new(gate, Cause::Task, reason)
    }

    /// A rejection.
    #[must_use]
    pub fn new(gate: Gate, cause: Cause, reason: impl Into<String>) -> Self {
        Self {
            gate,
            cause,
            reason: reason.into(),
            shown: None,
        }
    }
}

impl PartialEq for Demonstrated {
    fn eq(&self, other: &Self) -> bool {
        (&self.task, &self.messages) == (&other.task, &other.messages)
    }
}

/// The end of an attempt that made nothing.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The instance is rejected; the job goes on.
    #[error("{}", .0.reason)]
    Reject(Reject),
    /// Nothing more can be asked of any model.
    #[error(transparent)]
    Endpoint(#[from] LlmError),
    /// The request cannot be met.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The sandbox gave no result, so nothing is known about the instance. The job ends, and another attempt goes on.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl From<Reject> for Stop {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

/// A request that cannot be met: the field, the cause and a suggested fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);
