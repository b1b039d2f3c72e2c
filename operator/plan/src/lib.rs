//! The decisions about objects: pure functions from spec and observations to children and status.
//!
//! For each kind: *object + observations + time -> the children that should exist, the status that should be written, and
//! the time of the next decision*. No client, no clock, no input or output. The cluster driver makes Jobs of the children,
//! the local driver processes; both write the same status.
//!
//! Expected flow of a driver:
//! 1. Observe the children it made (by key and attempt) and the objects that are referred to.
//! 2. Call [`Plannable::plan`].
//! 3. Write the status if it differs from the one there is. Nothing else is ever written to the object. Children may begin
//!    before it is written unless [`Plan::status_first`] says otherwise.
//! 4. Start each child of the plan that does not exist. Ask each running child that is not in the plan to stop; leave
//!    finished ones alone. A child that exists is never changed, whatever its template looks like now.
//! 5. Delete the object if the plan says so. Look again after `requeue`, and whenever something observed changes.
//!
//! Guarantees (property tests): the plan of a status that a plan made is that plan again; what is Complete or Failed stays
//! so; every child has an owner; a suspended object wants no children.
#![forbid(unsafe_code)]

pub mod child;
pub mod event;
mod grpo;
mod learned;
mod life;
mod names;
pub mod observed;
mod suite;
mod synthesis;

use std::time::Duration;

use agoge_crds::Timestamp;

pub use agoge_contract::ChildState;
pub use agoge_crds::lineage::Decision;
pub use child::{Child, Needs};
pub use event::{Event, events};
pub use life::sooner;
pub use observed::{Observed, Seen, SuiteSeen, SynthesisSeen};

/// The decision about an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<S> {
    /// The children that should exist and run now.
    pub children: Vec<Child>,
    /// The status that should be written, if it differs from the one there is.
    pub status: S,
    /// True when the children are made from the status (a pinned digest, a counted attempt): it has to be written before
    /// they begin.
    pub status_first: bool,
    /// When to look again though nothing observed has changed.
    pub requeue: Option<Duration>,
    /// True when the object has outlived its `ttlSecondsAfterFinished`.
    pub delete: bool,
}

/// A kind that can be planned.
pub trait Plannable {
    /// Its status.
    type Status;

    /// Decides about this object, given the observations of its children and references.
    fn plan(&self, observed: &Observed, now: Timestamp) -> Plan<Self::Status>;
}
