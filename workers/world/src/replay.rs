//! Replays calls from the initial state.

use agoge_dialogue::ToolCall;

use crate::episode::{Episode, Lost, ToolResult, World};

/// The reason why a gold call did not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoldError {
    /// The tool refused it: it raised an exception, reached a limit, or returned an error.
    #[error("call {number} ({name}): {message}")]
    Refused {
        /// The number of the call, from 1.
        number: usize,
        /// The tool.
        name: String,
        /// The tool's answer.
        message: String,
    },
    /// The sandbox gave no result, so nothing is known about the call.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl GoldError {
    /// Checks that the gold call of this number, from 1, worked. The gold of a refusal may be declined by the tool, as
    /// long as the tool returns its error.
    ///
    /// # Errors
    /// The reason why it did not.
    pub fn check(
        number: usize,
        call: &ToolCall,
        result: &ToolResult,
        refusal: bool,
    ) -> Result<(), Self> {
        result.known()?;
        let refused = |message: String| Self::Refused {
            number,
            name: call.name.clone(),
            message,
        };
        match &result.declined {
            _ if result.error => Err(refused(result.content.clone())),
            Some(reason) if !refusal => Err(refused(format!("the tool declined it: {reason}"))),
            _ => Ok(()),
        }
    }
}

/// Runs calls from the initial state and returns the episode after them. `refusal` is true for the gold of a refusal.
///
/// # Errors
/// The first call that does not work, see [`GoldError::check`].
pub fn replay(world: &mut World, calls: &[ToolCall], refusal: bool) -> Result<Episode, GoldError> {
    let mut episode = Episode::default();
    for (number, call) in (1..).zip(calls) {
        let result = world.call(&mut episode, call);
        GoldError::check(number, call, &result, refusal)?;
    }
    Ok(episode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gold_call_is_refused_declined_or_lost_and_a_refusal_may_be_declined() {
        let call = ToolCall::new("hold", serde_json::Map::new());
        let check = |result: &ToolResult, refusal| GoldError::check(2, &call, result, refusal);
        let raised = ToolResult::error("no parcel 7");
        let declined = ToolResult {
            declined: Some("{\"error\":\"late\"}".into()),
            ..ToolResult::default()
        };
        let lost = ToolResult {
            lost: true,
            ..ToolResult::error("the machine is too busy")
        };
        assert_eq!(check(&ToolResult::default(), false), Ok(()));
        for refusal in [false, true] {
            let refused = check(&raised, refusal).unwrap_err().to_string();
            assert_eq!(refused, "call 2 (hold): error: no parcel 7");
            assert!(matches!(check(&lost, refusal), Err(GoldError::Lost(_))));
        }
        assert!(matches!(
            check(&declined, false),
            Err(GoldError::Refused { message, .. }) if message.contains("declined")
        ));
        assert_eq!(check(&declined, true), Ok(()));
    }
}
