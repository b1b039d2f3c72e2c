//! A domain's folder and the world that is played in it: policy, tools, data, tasks, users.
//!
//! [`Domain`] is the folder's content; [`World`] runs its tools in the sandbox; an [`Episode`] is one copy-on-write run
//! over the data; [`tasks()`] instantiates scenario templates; [`ScriptedUser`] and [`judge_user`] are the user's side.
//! [`play()`] is the one episode loop: two [`Speaker`]s over a [`Session`] of a [`ToolBackend`], under [`Rules`].
#![forbid(unsafe_code)]

mod alike;
mod backend;
pub mod baseline;
mod begin;
mod bound;
mod check;
mod compare;
mod declined;
mod demonstrate;
mod domain;
mod draw;
mod end;
mod episode;
mod expected;
mod expression;
mod folder;
mod history;
mod identity;
mod judge;
mod money;
mod names;
mod play;
mod problem;
pub mod python_json;
mod replay;
mod rules;
pub mod said;
mod sampler;
mod sandboxed;
mod schema;
mod seeds;
mod served;
mod servers;
mod shape;
mod skeleton;
mod speaker;
mod split;
mod task;
mod tasks;
mod template;
mod unordered;
mod user;

pub use alike::Alike;
pub use backend::{Capabilities, MissingAbilities, Party, Session, StateView, ToolBackend};
pub use begin::StartError;
pub use check::{Raised, Review, Trace, TracedCall, trace, trace_call};
pub use compare::Compare;
pub use declined::Declines;
pub use demonstrate::{DemoError, Demonstration, demonstrate};
pub use domain::{Domain, DomainLimits, Results};
pub use draw::{TemplateError, more, possible, tasks};
pub use end::{End, Fault};
pub use episode::{Episode, Lost, ToolResult, World, WorldError};
pub use expected::{Expected, Solutions};
pub use judge::{FaultKind, UserFault, judge_user, left_early, user_faults};
pub use names::{Alphabet, Named, Names};
pub use play::{Played, play};
pub use problem::{Findings, Problem, Problems};
pub use replay::{GoldError, replay};
pub use rules::Rules;
pub use said::{mentions, says};
pub use sampler::{Sampler, TokensIn, TokensOut};
pub use sandboxed::{SandboxBackend, SandboxSession};
pub use schema::arguments as read_arguments;
pub use seeds::Seed;
pub use servers::{Foreign, Place, Protocol, SeenState, Served, ServerSpec, ServerState};
pub use skeleton::SkeletonError;
pub use speaker::{Script, Speaker, Turn, View};
pub use split::SplitRule;
pub use task::{
    AgentScript, Assertion, Basis, DONE, Fact, Matching, Mix, OUT_OF_SCOPE, Split, Task, UserScript,
};
pub use tasks::{rows as numbered_rows, split as read_split};
pub use template::Template;
pub use unordered::Unordered;
pub use user::{ScriptedUser, UserTurn};
