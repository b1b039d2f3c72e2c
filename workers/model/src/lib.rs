//! agoge-model.
