//! A domain's folder and the world that is played in it: policy, tools, data, tasks, users.
//!
//! [`Domain`] is the folder's content; [`World`] runs its tools in the sandbox; an [`Episode`] is one copy-on-write run
//! over the data; [`tasks`] instantiates scenario templates; [`ScriptedUser`] and [`judge_user`] are the user's side.
//! [`play()`] is the one episode loop: two [`Speaker`]s over a [`Session`] of a [`ToolBackend`], under [`Rules`].
#![forbid(unsafe_code)]

mod backend;
pub mod baseline;
mod bound;
mod check;
mod declined;
mod demonstrate;
mod domain;
mod draw;
mod episode;
mod judge;
mod money;
mod play;
mod problem;
mod replay;
pub mod said;
mod sampler;
mod sandboxed;
mod schema;
mod skeleton;
mod speaker;
mod task;
mod template;
mod unordered;
mod user;

pub use backend::{Capabilities, MissingAbilities, Party, Session, StateView, ToolBackend};
pub use declined::Declines;
pub use demonstrate::{DemoError, Demonstration, demonstrate};
pub use domain::Domain;
pub use draw::{TemplateError, more, possible, split_of_record, tasks};
pub use episode::{Episode, Lost, ToolResult, World, WorldError};
pub use judge::{FaultKind, UserFault, judge_user, left_early, user_faults};
pub use play::{End, Fault, Played, Rules, play};
pub use problem::{Problem, Problems};
pub use replay::{GoldError, replay};
pub use said::{mentions, says};
pub use sampler::{Sampler, TokensIn, TokensOut};
pub use sandboxed::{SandboxBackend, SandboxSession};
pub use skeleton::SkeletonError;
pub use speaker::{Script, Speaker, Turn, View};
pub use task::{AgentScript, DONE, Fact, Mix, Split, Task, UserScript};
pub use template::Template;
pub use unordered::Unordered;
pub use user::{ScriptedUser, UserTurn};
