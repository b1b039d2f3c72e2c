//! The report of an import: what was taken, and what was refused and why.

use std::collections::BTreeMap;

use serde::Serialize;

/// The kind of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// The row has no form that is known, or a field that cannot be read.
    Form,
    /// Speakers do not take turns as they must.
    Roles,
    /// A call names a tool that its speaker does not have.
    Tool,
    /// A call's arguments do not fit its tool.
    Arguments,
    /// A call has no result, or a result no call.
    Results,
    /// The domain's tools give another result.
    Replay,
    /// A tool was stopped by a limit.
    Stopped,
    /// The row itself says that the dialogue failed.
    Reward,
    /// The same dialogue was taken before.
    Duplicate,
}

impl Why {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Roles => "roles",
            Self::Tool => "tool",
            Self::Arguments => "arguments",
            Self::Results => "results",
            Self::Replay => "replay",
            Self::Stopped => "stopped",
            Self::Reward => "reward",
            Self::Duplicate => "duplicate",
        }
    }
}

/// A row that was refused.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Its place, such as `train.jsonl:3`.
    pub place: String,
    /// The kind of the reason.
    pub why: Why,
    /// The reason, with the message or field.
    pub reason: String,
}

/// The report of an import.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The domain's name.
    pub domain: String,
    /// The domain's digest.
    pub domain_digest: String,
    /// True when calls were made again and their results compared.
    pub replayed: bool,
    /// Rows that were read.
    pub rows: usize,
    /// Rows by form.
    pub forms: BTreeMap<String, usize>,
    /// Dialogues that were taken.
    pub taken: usize,
    /// Seeds that were taken, those of the dialogues included.
    pub seeds: usize,
    /// Rows that are the beginning of another row, in forms with one row a turn.
    pub parts: usize,
    /// Taken dialogues whose system message is not the domain's policy. They are trained on under the domain's.
    pub other_system: usize,
    /// Taken dialogues that began with a greeting of the agent, which was left out.
    pub greetings: usize,
    /// Refused rows by reason.
    pub refused_by: BTreeMap<&'static str, usize>,
    /// Refused rows.
    pub refused: Vec<Refused>,
}

impl Report {
    pub(super) fn refuse(&mut self, place: &str, why: Why, reason: String) {
        let count = self.refused_by.entry(why.name()).or_default();
        *count = count.saturating_add(1);
        self.refused.push(Refused {
            place: place.to_owned(),
            why,
            reason,
        });
    }
}
