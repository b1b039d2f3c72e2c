//! The registry: every strategy with one line.

pub mod given;
pub mod sea;
pub mod template;

use crate::registry::Registered;

/// Returns the strategies that every worker has.
#[must_use]
pub fn all() -> Vec<Registered> {
    vec![
        Registered::of::<template::Template>(),
        Registered::of::<sea::Sea>(),
        Registered::of::<given::Given>(),
    ]
}
