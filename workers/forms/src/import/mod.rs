//! Imports: dialogues that a team has, in the forms of other stacks, as training data of ours and as seeds for synthesis.
//!
//! 1. [`load`] reads the rows of a file or folder: JSON lines, JSON or Parquet.
//! 2. A [`Reader`] of their form turns each row into a [`Given`]; a form is one file here and one line of [`READERS`].
//! 3. [`Importer::take`] holds each dialogue against a domain and, where that is executable, makes its calls again.
//! 4. What passes becomes an attempt that was accepted, and a seed; what does not stands in the [`Report`] with the reason.

mod atif;
mod chat;
mod load;
mod messages;
mod nemo;
mod replay;
mod report;
mod sharegpt;
mod take;
mod tau2;
mod trl;
mod turns;
mod validate;

use agoge_dialogue::Message;
use agoge_world::{Domain, Task};
use serde_json::Value;

pub use load::{LoadError, Loaded, load};
pub use report::{Refused, Report, Why};
pub use take::{Importer, Taken};

/// A reader of one form.
pub trait Reader: Sync {
    /// The form's name, that of the export where there is one.
    fn name(&self) -> &'static str;

    /// Returns true for a row that has this form.
    fn fits(&self, row: &Value) -> bool;

    /// Reads a row.
    ///
    /// # Errors
    /// The field and the problem.
    fn read(&self, row: &Value, domain: &Domain) -> Result<Given, String>;

    /// True where a dialogue has a row for each of its turns: a row that is the beginning of another one is part of it.
    fn by_turn(&self) -> bool {
        false
    }
}

/// All readers. The first that fits a row is taken.
pub const READERS: &[&dyn Reader] = &[
    &atif::Atif,
    &nemo::Nemo,
    &tau2::Tau2,
    &sharegpt::ShareGpt,
    &trl::Trl,
    &turns::Turns,
    &messages::Messages,
];

/// Returns the reader of a form.
#[must_use]
pub fn reader(name: &str) -> Option<&'static dyn Reader> {
    READERS.iter().copied().find(|reader| reader.name() == name)
}

/// Returns the reader of the form that a row has.
#[must_use]
pub fn reader_of(row: &Value) -> Option<&'static dyn Reader> {
    READERS.iter().copied().find(|reader| reader.fits(row))
}

/// A row as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Its id, where it has one.
    pub id: Option<String>,
    /// The dialogue; empty where the row only asks for something.
    pub messages: Vec<Message>,
    /// The reward of the dialogue, where the row has one.
    pub reward: Option<f64>,
    /// The task, where the row has one.
    pub task: Option<Task>,
}

#[cfg(test)]
mod tests;
