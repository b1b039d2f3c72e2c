//! What a job has finished, on disk: every attempt, rollout, plan and decision exactly once, in the order of items.
//!
//! A killed job opens its book again and goes on after the last whole line; what was in flight is made anew.

use std::path::Path;

use agoge_llm::Spent;
use agoge_store::{Ledger, LedgerError};
use serde::{Deserialize, Serialize};

use crate::instance::Attempt;
use crate::plan::PlanPair;

/// A finished attempt with what it cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Item {
    pub attempt: Attempt,
    /// Tokens of the stages alone: what the yield of a plan is measured by.
    pub stage_tokens: u64,
    /// All that it cost, rollouts included.
    pub spent: Spent,
}

/// The plan pair of a generation, as it was proposed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Proposal {
    pub pair: PlanPair,
    /// The pair it was made from; `None` when it is not new.
    pub parent: Option<String>,
    pub change: String,
    /// What reflecting cost.
    pub spent: Spent,
}

/// The ledger of a job.
pub(super) struct Book {
    ledger: Ledger,
    items: Vec<Item>,
    reflecting: Spent,
}

impl Book {
    /// Opens the book of a work folder.
    pub fn open(work: &Path) -> Result<Self, LedgerError> {
        let ledger = Ledger::open(work.join("sea.jsonl"))?;
        let mut book = Self {
            ledger,
            items: Vec::new(),
            reflecting: Spent::default(),
        };
        let keys: Vec<String> = book.ledger.keys().map(str::to_owned).collect();
        for key in keys {
            if key.starts_with("attempt/") || key.starts_with("rollout/") {
                if let Some(item) = book.ledger.get(&key)? {
                    book.place(item);
                }
            } else if key.starts_with("plan/")
                && let Some(proposal) = book.ledger.get::<Proposal>(&key)?
            {
                book.reflecting.merge(&proposal.spent);
            }
        }
        Ok(book)
    }

    fn place(&mut self, item: Item) {
        match self
            .items
            .iter_mut()
            .find(|i| i.attempt.id == item.attempt.id)
        {
            Some(old) => *old = item,
            None => self.items.push(item),
        }
    }

    /// All attempts so far, in item order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The attempt of this id.
    pub fn item(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.attempt.id == id)
    }

    /// Whether the instance has been played.
    pub fn played(&self, id: &str) -> bool {
        self.ledger.contains(&format!("rollout/{id}"))
    }

    /// Keeps an attempt that came as far as it does without a rollout.
    pub fn attempted(&mut self, item: Item) -> Result<(), LedgerError> {
        self.ledger
            .append(&format!("attempt/{}", item.attempt.id), &item)?;
        self.place(item);
        Ok(())
    }

    /// Keeps what became of an instance's rollout.
    pub fn rolled_out(&mut self, item: Item) -> Result<(), LedgerError> {
        self.ledger
            .append(&format!("rollout/{}", item.attempt.id), &item)?;
        self.place(item);
        Ok(())
    }

    /// The plan of a generation, when it has been proposed.
    pub fn plan(&self, generation: u32) -> Result<Option<Proposal>, LedgerError> {
        self.ledger.get(&format!("plan/{generation}"))
    }

    /// Keeps the plan of a generation.
    pub fn propose(&mut self, generation: u32, proposal: &Proposal) -> Result<(), LedgerError> {
        self.ledger
            .append(&format!("plan/{generation}"), proposal)?;
        self.reflecting.merge(&proposal.spent);
        Ok(())
    }

    /// What a person decided about a pair; a new decision is kept, the first one stays.
    pub fn decided(
        &mut self,
        digest: &str,
        now: Option<bool>,
    ) -> Result<Option<bool>, LedgerError> {
        let key = format!("decision/{digest}");
        if let Some(promote) = now {
            self.ledger.append(&key, &promote)?;
        }
        self.ledger.get(&key)
    }

    /// What everything so far cost.
    pub fn spent(&self) -> Spent {
        let mut all = self.reflecting;
        for item in &self.items {
            all.merge(&item.spent);
        }
        all
    }
}
