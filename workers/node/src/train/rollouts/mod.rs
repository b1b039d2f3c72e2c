//! Rollouts apart from their trainer: servers that play what they are asked, and the trainer's side that asks them.
//!
//! Expected flow of a step: the trainer deals its seats into pieces; a server that does not hold the step's weights gets
//! them (`PUT /weights/DIGEST`); it plays its pieces (`POST /play`). A server that fails has its pieces dealt to others and
//! is tried again later. Nothing is kept on a server: one that is new is as good as one that is old.
//!
//! Weights go by the digest of their bytes, so that no server plays with those of a trainer that is gone.

mod client;
mod deal;
mod server;
mod tables;
mod wire;

use agoge_contract::TrainStage;
use agoge_crds::grpo_run::GrpoSpec;
use agoge_store::{Digest, canonical_json};
use serde_json::json;

use super::{Stage, grpo};
pub use client::Remote;
pub use server::run;

/// A digest of all that trainer and server must agree on beside the weights, lest they play different games.
fn game(stage: &Stage, spec: &GrpoSpec) -> String {
    let arguments = &stage.arguments;
    let models =
        [TrainStage::AgentSft, TrainStage::UserSft].map(|stage| arguments.inputs.get(&stage));
    let agreed = json!({
        "code": env!("CARGO_PKG_VERSION"),
        "domain": stage.domain.digest,
        "suite": arguments.suite.digest,
        "fresh": arguments.policy.fresh.is_some(),
        "models": models,
        "user": arguments.user,
        "bounds": grpo::bounds(spec),
        "seed": arguments.seed,
    });
    Digest::of(canonical_json(&agreed).as_bytes()).to_string()
}
