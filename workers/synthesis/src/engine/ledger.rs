//! The job ledger: every finished attempt, rollout, plan and decision on disk, exactly once, in the order of items.
//!
//! A killed job opens its ledger again and goes on after the last whole line; what was in flight is made anew, from the
//! model answers that were kept.

use std::collections::HashMap;
use std::path::Path;

use agoge_artifacts::{Attempt, Qualifications};
use agoge_checker::Qualification;
use agoge_llm::Spent;
use agoge_store::{Digest, Ledger, LedgerError};
use serde::{Deserialize, Serialize};

use super::tally::Tally;
use crate::reflect::Proposal;

/// A finished attempt with its cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub attempt: Attempt,
    /// Tokens of the attempt without its rollout: the yield of a plan is measured by these.
    pub stage_tokens: u64,
    /// Everything it cost, the rollout included.
    pub spent: Spent,
    /// The qualification of its task with the key, where the strategy had it qualified. The ledgers of 0.2.0 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qualification: Option<(Digest, Qualification)>,
}

/// The ledger of a job.
pub(crate) struct JobLedger {
    ledger: Ledger,
    items: Vec<Finished>,
    index: HashMap<String, usize>,
    /// The figures of all items.
    pub tally: Tally,
}

impl JobLedger {
    /// Opens the ledger of a job.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let ledger = Ledger::open(path)?;
        let mut job = Self {
            items: Vec::new(),
            index: HashMap::new(),
            tally: Tally::default(),
            ledger,
        };
        let keys: Vec<String> = job.ledger.keys().map(str::to_owned).collect();
        for key in keys {
            if key.starts_with("attempt/") || key.starts_with("rollout/") {
                if let Some(item) = job.ledger.get(&key)? {
                    job.place(item);
                }
            } else if key.starts_with("plan/")
                && let Some(proposal) = job.ledger.get::<Proposal>(&key)?
            {
                job.tally.reflected(&proposal.spent);
            }
        }
        Ok(job)
    }

    fn place(&mut self, item: Finished) {
        match self.index.get(&item.attempt.id) {
            Some(at) => {
                self.tally.count(Some(&self.items[*at]), &item);
                self.items[*at] = item;
            }
            None => {
                self.tally.count(None, &item);
                self.index.insert(item.attempt.id.clone(), self.items.len());
                self.items.push(item);
            }
        }
    }

    /// Returns all attempts so far, in the order of items.
    pub fn items(&self) -> &[Finished] {
        &self.items
    }

    /// Returns the qualifications of all items so far.
    pub fn qualifications(&self) -> Qualifications {
        let found = self.items.iter().filter_map(|i| i.qualification.clone());
        Qualifications {
            by_key: found.collect(),
        }
    }

    /// Returns the attempt of this id.
    pub fn item(&self, id: &str) -> Option<&Finished> {
        self.index.get(id).map(|at| &self.items[*at])
    }

    /// Returns true when the instance has been played.
    pub fn played(&self, id: &str) -> bool {
        self.ledger.contains(&format!("rollout/{id}"))
    }

    /// Keeps attempts that have come as far as they do without a rollout, with one write.
    pub fn attempted(&mut self, items: Vec<Finished>) -> Result<(), LedgerError> {
        self.keep("attempt", items)
    }

    /// Keeps the results of rollouts, with one write.
    pub fn rolled_out(&mut self, items: Vec<Finished>) -> Result<(), LedgerError> {
        self.keep("rollout", items)
    }

    fn keep(&mut self, kind: &str, items: Vec<Finished>) -> Result<(), LedgerError> {
        let keys: Vec<String> = items
            .iter()
            .map(|item| format!("{kind}/{}", item.attempt.id))
            .collect();
        let lines = keys.iter().map(String::as_str).zip(&items);
        self.ledger.append_all(lines)?;
        for item in items {
            self.place(item);
        }
        Ok(())
    }

    /// Returns the plan of a generation, when it has been proposed.
    pub fn plan(&self, generation: u32) -> Result<Option<Proposal>, LedgerError> {
        self.ledger.get(&format!("plan/{generation}"))
    }

    /// Keeps the plan of a generation.
    pub fn propose(&mut self, generation: u32, proposal: &Proposal) -> Result<(), LedgerError> {
        self.ledger
            .append(&format!("plan/{generation}"), proposal)?;
        self.tally.reflected(&proposal.spent);
        Ok(())
    }

    /// Returns a person's decision about a pair. A new decision is kept; the first one stays.
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
}
