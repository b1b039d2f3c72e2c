//! A domain's folder and the world that is played in it: policy, tools, data, tasks, users.
//!
//! [`Domain`] is what the folder says; [`World`] runs its tools in the sandbox; an [`Episode`] is one copy-on-write run
//! over the data; [`tasks`] instantiates scenario templates; [`ScriptedUser`] and [`judge_user`] are the user's side.
#![forbid(unsafe_code)]

pub mod baseline;
mod bound;
mod check;
mod demonstrate;
mod domain;
mod draw;
mod episode;
mod judge;
mod problem;
mod replay;
mod rng;
mod schema;
mod skeleton;
mod task;
mod template;
mod user;
mod words;

pub use demonstrate::{DemoError, Demonstration, demonstrate};
pub use domain::Domain;
pub use draw::{TemplateError, more, possible, split_of_record, tasks};
pub use episode::{Episode, ToolResult, World, WorldError};
pub use judge::{FaultKind, UserFault, judge_user};
pub use problem::{Problem, Problems};
pub use replay::{GoldError, replay};
pub use skeleton::SkeletonError;
pub use task::{AgentScript, DONE, Fact, Mix, Split, Task, UserScript};
pub use template::Template;
pub use user::{ScriptedUser, UserTurn};
