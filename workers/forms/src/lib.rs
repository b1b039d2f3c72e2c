//! The forms of other stacks: tasks, rows and logs that they write, read and written.
#![forbid(unsafe_code)]

pub mod bfcl;
pub mod card;
pub mod export;
pub mod import;
pub mod nemo;
pub mod parquet;
pub mod rows;
pub mod sign;
pub mod tau2;

pub mod inspect;
pub mod submission;

#[cfg(test)]
mod example;
