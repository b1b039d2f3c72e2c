//! agoge-sandbox.
