//! The kinds of defects that an audit finds.

use serde::{Deserialize, Serialize};

/// A kind of defect of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// An agent that says and does nothing gets the full reward.
    EmptyPasses,
    /// A gold call raises an error or is declined, or works although the task says that it fails.
    GoldFails,
    /// Gold does not pass the task's own checks.
    GoldFailsChecker,
    /// Two replays of gold differ.
    Nondeterministic,
    /// The user asks for a change, and gold changes nothing.
    GoldNoEffect,
    /// A required text stands nowhere where the agent could learn it.
    OutputsNotReachable,
    /// A gold call has arguments that its tool does not take.
    WrongArgument,
    /// A gold call names a tool that is not offered.
    UnknownTool,
    /// A gold argument names a record that does not exist.
    DanglingReference,
    /// The task is there twice.
    DuplicateTask,
    /// The same request has two different solutions.
    ContradictoryTask,
    /// Gold ends in another state when the domain's synchronisation does not run after its calls.
    UnsyncedGold,
    /// The checker passes solutions with a wrong edit, or nothing decides.
    CheckerAccepts,
    /// The checker fails a solution that does the same as gold.
    CheckerRejectsEquivalent,
    /// Tasks for training and held-out tasks share records.
    Leak,
    /// The gold is that of another case of the policy.
    PolicyViolation,
    /// Gold lacks a call that the policy asks for.
    MissingCall,
    /// A gold call differs from the one that the policy asks for.
    WrongGold,
    /// The required texts differ from those that the policy asks for.
    WrongOutput,
    /// The task is marked as a refusal and is none, or the other way round.
    WrongRefusal,
    /// The agent cannot learn a value that gold needs.
    UserImpossible,
    /// The task cannot begin.
    CannotBegin,
    /// A row or one of its calls cannot be read.
    Unreadable,
    /// A turn asks for something, and its gold is empty.
    EmptyTurn,
    /// The question and its gold have different numbers of turns.
    TurnMismatch,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 25] = [
        Self::EmptyPasses,
        Self::GoldFails,
        Self::GoldFailsChecker,
        Self::Nondeterministic,
        Self::GoldNoEffect,
        Self::OutputsNotReachable,
        Self::WrongArgument,
        Self::UnknownTool,
        Self::DanglingReference,
        Self::DuplicateTask,
        Self::ContradictoryTask,
        Self::UnsyncedGold,
        Self::CheckerAccepts,
        Self::CheckerRejectsEquivalent,
        Self::Leak,
        Self::PolicyViolation,
        Self::MissingCall,
        Self::WrongGold,
        Self::WrongOutput,
        Self::WrongRefusal,
        Self::UserImpossible,
        Self::CannotBegin,
        Self::Unreadable,
        Self::EmptyTurn,
        Self::TurnMismatch,
    ];

    /// Returns the name, as reports write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmptyPasses => "emptyPasses",
            Self::GoldFails => "goldFails",
            Self::GoldFailsChecker => "goldFailsChecker",
            Self::Nondeterministic => "nondeterministic",
            Self::GoldNoEffect => "goldNoEffect",
            Self::OutputsNotReachable => "outputsNotReachable",
            Self::WrongArgument => "wrongArgument",
            Self::UnknownTool => "unknownTool",
            Self::DanglingReference => "danglingReference",
            Self::DuplicateTask => "duplicateTask",
            Self::ContradictoryTask => "contradictoryTask",
            Self::UnsyncedGold => "unsyncedGold",
            Self::CheckerAccepts => "checkerAccepts",
            Self::CheckerRejectsEquivalent => "checkerRejectsEquivalent",
            Self::Leak => "leak",
            Self::PolicyViolation => "policyViolation",
            Self::MissingCall => "missingCall",
            Self::WrongGold => "wrongGold",
            Self::WrongOutput => "wrongOutput",
            Self::WrongRefusal => "wrongRefusal",
            Self::UserImpossible => "userImpossible",
            Self::CannotBegin => "cannotBegin",
            Self::Unreadable => "unreadable",
            Self::EmptyTurn => "emptyTurn",
            Self::TurnMismatch => "turnMismatch",
        }
    }

    /// Returns a sentence that says what the kind means.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::EmptyPasses => "an agent that says and does nothing gets the full reward",
            Self::GoldFails => "a gold call raises an error or is declined",
            Self::GoldFailsChecker => "gold does not pass the task's own checks",
            Self::Nondeterministic => "two replays of gold differ",
            Self::GoldNoEffect => "the user asks for a change, and gold changes nothing",
            Self::OutputsNotReachable => {
                "a required text stands nowhere where the agent could learn it"
            }
            Self::WrongArgument => "a gold call has arguments that its tool does not take",
            Self::UnknownTool => "a gold call names a tool that is not offered",
            Self::DanglingReference => "a gold argument names a record that does not exist",
            Self::DuplicateTask => "the task is there twice",
            Self::ContradictoryTask => "the same request has two different solutions",
            Self::UnsyncedGold => "gold ends in another state when its calls are not synchronised",
            Self::CheckerAccepts => "the checker passes solutions with a wrong edit",
            Self::CheckerRejectsEquivalent => {
                "the checker fails a solution that does the same as gold"
            }
            Self::Leak => "tasks for training and held-out tasks share records",
            Self::PolicyViolation => "the gold is that of another case of the policy",
            Self::MissingCall => "gold lacks a call that the policy asks for",
            Self::WrongGold => "a gold call differs from the one that the policy asks for",
            Self::WrongOutput => "the required texts differ from those that the policy asks for",
            Self::WrongRefusal => "the task is marked as a refusal and is none, or the reverse",
            Self::UserImpossible => "the agent cannot learn a value that gold needs",
            Self::CannotBegin => "the task cannot begin",
            Self::Unreadable => "a row or one of its calls cannot be read",
            Self::EmptyTurn => "a turn asks for something, and its gold is empty",
            Self::TurnMismatch => "the question and its gold have different numbers of turns",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_write_a_kind_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
