//! The validate step: separates the children that can be started from those with a name that cannot be resolved.
//!
//! After this step every child to start has a complete site, and a child that cannot start is part of the observations. Pure.

use agoge_crds::Timestamp;
use agoge_plan::{Child, ChildState, Observed, Plan, Seen};

use super::dereference::Dereferenced;
use super::memory::Attempt;
use crate::index::ChildFacts;
use crate::render::Site;

/// An object whose missing children are either complete or accounted for.
pub(super) struct Validated<S> {
    /// The time of the observation.
    pub(super) now: Timestamp,
    /// The children as the API server has them.
    pub(super) children: Vec<ChildFacts>,
    /// The observations, with the children that cannot start.
    pub(super) observed: Observed,
    /// The plan for the observations before this step.
    pub(super) plan: Plan<S>,
    /// The children that can be started.
    pub(super) startable: Vec<(Child, Site)>,
    /// The children that cannot be started, with the state that says why.
    pub(super) obstacles: Vec<(Attempt, ChildState)>,
}

/// Separates the children that can be started from those that cannot.
pub(super) fn validate<S>(dereferenced: Dereferenced<S>) -> Validated<S> {
    let mut validated = Validated {
        now: dereferenced.now,
        children: dereferenced.children,
        observed: dereferenced.observed,
        plan: dereferenced.plan,
        startable: vec![],
        obstacles: vec![],
    };
    for (child, site) in dereferenced.missing {
        match site {
            Ok(site) => validated.startable.push((child, site)),
            Err(state) => validated.block(&child, state),
        }
    }
    validated
}

impl<S> Validated<S> {
    /// Observes a child as blocked.
    pub(super) fn block(&mut self, child: &Child, state: ChildState) {
        let seen = Seen {
            attempt: child.attempt,
            state: state.clone(),
        };
        self.observed.children.insert(child.key.clone(), seen);
        let attempt = (child.key.clone(), child.attempt);
        self.obstacles.push((attempt, state));
    }
}
