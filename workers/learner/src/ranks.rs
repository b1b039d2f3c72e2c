//! Exchanges of data-parallel trainers: the whole gradient from the shares of all ranks, and one state for all of them.
//!
//! A rank alone exchanges nothing, and its results are the same bits as without these calls.

use agoge_c10d::{Ranks, RanksError};
use agoge_model::Decoder;
use serde::{Serialize, de::DeserializeOwned};
use tch::Tensor;

use crate::LearnerError;

/// Returns the sum of every rank's share of a gradient. A rank without a share passes an empty one.
pub fn whole_gradient(
    ranks: &Ranks,
    decoder: &Decoder,
    share: Vec<Tensor>,
) -> Result<Vec<Tensor>, RanksError> {
    if ranks.world() == 1 {
        return Ok(share);
    }
    let share = if share.is_empty() {
        let parameters = decoder.parameters().into_iter();
        parameters.map(|(_, p)| p.detach().zeros_like()).collect()
    } else {
        share
    };
    ranks.all_reduce_sum("summing gradients", &share)
}

/// A trainer's tensors by name, and its own state.
pub type State<S> = (Vec<(String, Tensor)>, S);

/// Returns rank 0's tensors and state on the other ranks, and nothing on rank 0 itself. `own` are this rank's tensors: the same names and
/// shapes in the same order on all ranks.
pub fn state_of_rank_0<S: Serialize + DeserializeOwned>(
    ranks: &Ranks,
    own: Vec<(String, Tensor)>,
    state: &S,
) -> Result<Option<State<S>>, LearnerError> {
    const DOING: &str = "sharing the initial state";
    let unread = |error: serde_json::Error| LearnerError::Message(error.to_string());
    let bytes = serde_json::to_vec(state).map_err(unread)?;
    let bytes = ranks.broadcast_bytes(DOING, bytes)?;
    let (names, mut tensors): (Vec<String>, Vec<Tensor>) = own.into_iter().unzip();
    if !ranks.leads() {
        // Received tensors must not share memory with `own`.
        tensors = tensors.iter().map(|t| t.detach().copy()).collect();
    }
    ranks.broadcast(DOING, &mut tensors)?;
    if ranks.leads() {
        return Ok(None);
    }
    let state = serde_json::from_slice(&bytes).map_err(unread)?;
    Ok(Some((names.into_iter().zip(tensors).collect(), state)))
}

/// Copies rank 0's weights to every rank. Machines of one kind compute the same bits; where kinds differ, this keeps the
/// weights equal.
pub fn same_weights(ranks: &Ranks, decoder: &Decoder) -> Result<(), RanksError> {
    let mut weights: Vec<Tensor> = decoder.parameters().into_iter().map(|(_, p)| p).collect();
    ranks.broadcast("sharing weights", &mut weights)
}
