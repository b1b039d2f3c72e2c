//! agoge-world.
