//! Replays the gold of a task.

use agoge_dialogue::ToolCall;

use crate::begin::StartError;
use crate::episode::{Episode, Lost, ToolResult, World};
use crate::task::Task;

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
    /// The tool did what the task says that it refuses.
    #[error("call {number} ({name}): `fails` says that the tool refuses it, but it worked")]
    Worked {
        /// The number of the call, from 1.
        number: usize,
        /// The tool.
        name: String,
    },
    /// The task cannot begin.
    #[error(transparent)]
    Start(StartError),
    /// The sandbox gave no result, so nothing is known about the call.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl From<StartError> for GoldError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Lost(lost) => Self::Lost(lost),
            refused @ (StartError::Refused { .. } | StartError::Held) => Self::Start(refused),
        }
    }
}

impl GoldError {
    /// Checks the gold call of this number, from 1, in its task: it worked, or the task says that it does not. The gold of
    /// a refusal may be declined by the tool, as long as the tool returns its error.
    ///
    /// # Errors
    /// The reason why it is not as the task says.
    pub fn check_in(
        task: &Task,
        number: usize,
        call: &ToolCall,
        result: &ToolResult,
    ) -> Result<(), Self> {
        if !task.fails_at(number) {
            return Self::check(number, call, result, task.refusal);
        }
        result.known()?;
        match result.worked() {
            false => Ok(()),
            true => Err(Self::Worked {
                number,
                name: call.name.clone(),
            }),
        }
    }

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

/// Begins a task, makes its gold calls and returns the episode after them.
///
/// # Errors
/// The task cannot begin, or the first call that is not as the task says: see [`GoldError::check_in`].
pub fn replay(world: &mut World, task: &Task) -> Result<Episode, GoldError> {
    let mut episode = world.begin(task)?;
    for (number, call) in (1..).zip(&task.gold) {
        let result = world.call(&mut episode, call);
        GoldError::check_in(task, number, call, &result)?;
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
