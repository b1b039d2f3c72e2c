//! agoge-crds.
