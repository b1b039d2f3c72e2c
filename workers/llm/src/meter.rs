//! The tokens and dollars spent, and their budget, counted over all clients that share a meter.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::answer::Usage;

/// US dollars for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Of the prompt.
    pub input: f64,
    /// Of the answer.
    pub output: f64,
}

impl Price {
    /// Returns the cost of an exchange, in dollars.
    #[must_use]
    pub fn of(&self, usage: &Usage) -> f64 {
        (usage.prompt as f64 * self.input + usage.completion as f64 * self.output) / 1e6
    }
}

/// Sums over exchanges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Exchanges that came to an answer.
    pub calls: u64,
    /// Tokens of prompts.
    pub prompt: u64,
    /// Generated tokens.
    pub completion: u64,
    /// Dollars.
    pub usd: f64,
}

impl Spent {
    /// Prompt and answer.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.prompt + self.completion
    }

    /// Adds an exchange.
    pub fn add(&mut self, usage: &Usage, usd: f64) {
        self.calls += 1;
        self.prompt += usage.prompt;
        self.completion += usage.completion;
        self.usd += usd;
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.prompt += other.prompt;
        self.completion += other.completion;
        self.usd += other.usd;
    }
}

/// Counts what is spent and stops at a bound. A request in flight is not cut off, so a bound may be overshot by those.
#[derive(Debug, Default)]
pub struct Meter {
    tokens: Option<u64>,
    usd: Option<f64>,
    spent: Mutex<Spent>,
    /// The number of times that each item has sent each request, by a hash of both.
    asked: Mutex<HashMap<u64, u32>>,
    hasher: RandomState,
}

impl Meter {
    /// A meter that stops at so many tokens (prompt and answer) or dollars.
    #[must_use]
    pub fn new(tokens: Option<u64>, usd: Option<f64>) -> Self {
        Self {
            tokens,
            usd,
            ..Self::default()
        }
    }

    /// Returns the amounts spent so far.
    #[must_use]
    pub fn spent(&self) -> Spent {
        *self.spent.lock()
    }

    /// Takes over what an earlier attempt spent.
    pub fn resume(&self, before: Spent) {
        *self.spent.lock() = before;
    }

    /// The ordinal of the item's next question of this digest: what an endpoint that replays tells answers apart by.
    pub(crate) fn ordinal(&self, digest: &str, item: &str) -> u32 {
        let key = self.hasher.hash_one((digest, item));
        let mut asked = self.asked.lock();
        let next = asked.entry(key).or_default();
        *next += 1;
        *next - 1
    }

    pub(crate) fn charge(&self, usage: &Usage, price: &Price) {
        let mut spent = self.spent.lock();
        spent.add(usage, price.of(usage));
    }

    /// Returns the name of the budget that is used up, if one is.
    #[must_use]
    pub fn exhausted(&self) -> Option<String> {
        let spent = self.spent();
        if let Some(tokens) = self.tokens.filter(|most| spent.tokens() >= *most) {
            return Some(format!("{} of {tokens} tokens", spent.tokens()));
        }
        let usd = self.usd.filter(|most| spent.usd >= *most)?;
        Some(format!("{:.2} of {usd:.2} dollars", spent.usd))
    }
}
