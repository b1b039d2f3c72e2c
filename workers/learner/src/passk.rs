//! pass^k, as the checkers' crate defines it.

pub use agoge_checker::passk::*;
