//! The build step: renders the children to start, and computes the desired state of the object. Pure: it needs no client.
//!
//! If a child cannot be started, the plan is computed again with that observation, so that the status says so at once.

use agoge_plan::{ChildState, Plan, Plannable};
use kube::ResourceExt;

use super::memory::Attempt;
use super::validate::Validated;
use crate::index::ChildFacts;
use crate::render::{self, RenderError, Rendered};

/// The desired state of an object.
pub(super) struct Desired<S> {
    /// The children as the API server has them.
    pub(super) children: Vec<ChildFacts>,
    /// The plan.
    pub(super) plan: Plan<S>,
    /// The children to start.
    pub(super) to_start: Vec<Rendered>,
    /// The children that cannot be started, with the state that says why.
    pub(super) obstacles: Vec<(Attempt, ChildState)>,
}

impl<S> Desired<S> {
    /// Returns true if there are children to start that need nothing of the status.
    pub(super) fn starts_before_status(&self) -> bool {
        !self.plan.status_first && !self.to_start.is_empty()
    }

    /// Returns the running children that the plan does not want.
    pub(super) fn to_stop(&self) -> impl Iterator<Item = &ChildFacts> {
        self.children
            .iter()
            .filter(|child| runs(child) && !self.wants(child))
    }

    fn wants(&self, child: &ChildFacts) -> bool {
        self.plan
            .children
            .iter()
            .any(|wanted| wanted.key == child.job.key && wanted.attempt == child.job.attempt)
    }
}

fn runs(child: &ChildFacts) -> bool {
    !child.job.complete && child.job.failed.is_none() && !child.job.deleting
}

/// Renders the children to start, and computes the desired state.
pub(super) fn build<K: Plannable>(
    object: &K,
    mut validated: Validated<K::Status>,
) -> Desired<K::Status> {
    let mut to_start = vec![];
    for (child, site) in std::mem::take(&mut validated.startable) {
        match render::render(&child, &site) {
            Ok(rendered) => to_start.push(rendered),
            Err(error) => validated.block(&child, invalid_template(&error)),
        }
    }
    let Validated {
        now,
        children,
        observed,
        mut plan,
        obstacles,
        ..
    } = validated;
    if !obstacles.is_empty() {
        plan = object.plan(&observed, now);
        // The new plan may want fewer children.
        to_start.retain(|rendered: &Rendered| {
            let name = rendered.job.name_any();
            plan.children.iter().any(|child| child.name == name)
        });
    }
    Desired {
        children,
        plan,
        to_start,
        obstacles,
    }
}

fn invalid_template(error: &RenderError) -> ChildState {
    ChildState::Failed {
        exit_code: None,
        reason: "InvalidTemplate".into(),
        message: error.to_string(),
        retryable: false,
        disrupted: false,
    }
}
