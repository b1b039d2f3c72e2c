//! agoge-store.
