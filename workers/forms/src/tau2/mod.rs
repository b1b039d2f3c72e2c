//! tau2-bench: its tasks, states and splits as domains of ours, and the hash by which it compares states.
//!
//! Tools, schemas and settings of four domains are our own ([`ported()`]); policies, states and tasks are read from a checkout of
//! tau2-bench or from an installed package ([`import()`]). Nothing of theirs is kept here.

mod error;
mod folder;
mod hash;
mod import;
mod ported;
mod refused;
mod row;
mod source;
mod state;
mod task;
mod toml;

pub use error::Tau2Error;
pub use folder::Written;
pub use hash::{is_users, tau2_hash};
pub use import::{Imported, import};
pub use ported::{PORTED, Ported, ported};
pub use refused::{Refused, mark_refused};
pub use source::locate;
pub use task::{GivenTask, TaskReader};
