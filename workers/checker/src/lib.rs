//! agoge-checker.
