//! agoge-plan.
