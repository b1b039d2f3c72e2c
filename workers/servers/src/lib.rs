//! The tools of a domain on servers: MCP over stdio or streamable HTTP, and services that OpenAPI describes.
//!
//! [`load`] reads a domain's folder and, where its `domain.yaml` has `tools:`, starts the servers, lists their tools, reads
//! their initial state and attaches all that to the domain. A [`World`](agoge_world::World) of that domain then sends each
//! call to the sandbox or to a server, so that checkers, qualification, synthesis and training work over both.
//!
//! # What is covered
//! - A server's state after a call is that of the episode: a pool of servers is reset and replays the episode's calls where
//!   no server is there already. A server that dies or keeps silent is replaced once; then the call is lost, never a result.
//! - A server that is started here talks over its pipes, has an environment and a folder of its own, and no network where
//!   the kernel lets an unprivileged user take it away ([`isolation`]). It is killed with its children.
//!
//! # What is not covered
//! - The file system: a server reads what its user may read. Serve only programs that you would run yourself.
//! - The clock: a server that reads it is not deterministic; [`check`] finds that out where the gold of a task shows it.
//! - A service that is reached over HTTP keeps its network; on a cluster a NetworkPolicy takes it away.
#![forbid(unsafe_code)]

mod attach;
mod check;
mod files;
mod launch;
mod mcp;
mod openapi;
mod pool;
mod reactor;
mod records;
mod server;
mod site;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tools;

pub use attach::{ServerError, attach, load};
pub use check::check;
pub use launch::isolation;
