//! Rollouts apart from their trainer: servers that play pieces of a step, and the client in the trainer that asks them.
//!
//! Expected flow of a step: the trainer deals its seats into pieces; a server that does not hold the step's weights gets
//! them (`PUT /weights/DIGEST`); it plays its pieces (`POST /play`). The pieces of a failed server go to others, and the
//! server is retried later. A server keeps no state, so a new one is as good as an old one.
//!
//! Weights are named by the digest of their bytes, so that no server plays with those of a trainer that is gone.

mod client;
mod deal;
mod server;
mod tables;
mod wire;

use agoge_contract::TrainStage;
use agoge_crds::grpo_run::GrpoSpec;
use agoge_store::{Digest, canonical_json};
use serde_json::json;

use super::{Stage, episodes};
pub use client::RemoteRollouts;
pub use server::run;

/// Returns a digest of all that trainer and server must agree on beside the weights.
fn setup_digest(stage: &Stage, spec: &GrpoSpec) -> String {
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
        "rules": episodes::rules(spec),
        "seed": arguments.seed,
    });
    Digest::of(canonical_json(&agreed).as_bytes()).to_string()
}
