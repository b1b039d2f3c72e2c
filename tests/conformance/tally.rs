//! The counts of a domain: what agrees, what does not, and what is known not to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Disagreements that are described in full; all are counted.
const SHOWN: usize = 20;

/// A disagreement that is an error of tau2-bench.
pub struct Known {
    pub domain: &'static str,
    pub task: &'static str,
    /// The comparisons that it makes fail, each of them.
    pub what: &'static [&'static str],
    pub reason: &'static str,
}

/// All of them. `docs/tau2.md` lists them too.
pub static KNOWN: [Known; 1] = [Known {
    domain: "mock",
    task: "update_task_with_initialization_data",
    what: &[
        "user hash before",
        "user hash after",
        "unsynced user hash",
        "user changes",
        "user changes before",
    ],
    reason: "when a task brings initialization_data, tau2-bench replaces the user's database by the agent's: its user hashes \
             and user changes are those of the agent's database",
}];

/// The comparisons of one domain.
#[derive(Default)]
pub struct Tally {
    domain: String,
    counts: BTreeMap<&'static str, (u64, u64)>,
    missed: Vec<String>,
    misses: u64,
    known: Vec<(&'static str, &'static str)>,
    /// The failed comparisons of the task at hand that are known to fail.
    failed: Vec<&'static str>,
}

impl Tally {
    pub fn of(domain: &str) -> Self {
        Self {
            domain: domain.into(),
            ..Self::default()
        }
    }

    /// Records a comparison; `detail` is shown when it fails.
    pub fn compare(
        &mut self,
        task: &str,
        what: &'static str,
        agrees: bool,
        detail: impl FnOnce() -> String,
    ) {
        let count = self.counts.entry(what).or_default();
        count.0 += u64::from(agrees);
        count.1 += 1;
        if agrees {
            return;
        }
        if self
            .known_of(task)
            .is_some_and(|known| known.what.contains(&what))
        {
            self.failed.push(what);
            return;
        }
        self.miss(format!("{task}: {what}: {}", detail()));
    }

    /// Counts texts that are equal byte by byte. Others are equal as JSON: a folder may have lost the order of fields.
    pub fn text(&mut self, equal: bool) {
        let count = self.counts.entry("results, byte by byte").or_default();
        count.0 += u64::from(equal);
        count.1 += 1;
    }

    /// Ends a task: a known disagreement must still be one, in each of its comparisons. All of them are about the user's
    /// database, which some versions of tau2-bench do not have.
    pub fn end(&mut self, task: &str, has_user: bool) {
        let failed = std::mem::take(&mut self.failed);
        let Some(known) = self.known_of(task).filter(|_| has_user) else {
            return;
        };
        match known.what.iter().find(|what| !failed.contains(*what)) {
            None => self.known.push((known.task, known.reason)),
            Some(what) => self.miss(format!(
                "{task}: {what}: it agrees, though it is listed as an error of tau2-bench; remove it from the list"
            )),
        }
    }

    fn known_of(&self, task: &str) -> Option<&'static Known> {
        KNOWN
            .iter()
            .find(|known| known.domain == self.domain && known.task == task)
    }

    fn miss(&mut self, text: String) {
        self.misses += 1;
        if self.missed.len() < SHOWN {
            self.missed.push(text);
        }
    }

    pub fn agrees(&self) -> bool {
        self.misses == 0
    }

    pub fn print(&self) {
        for (what, (agree, of)) in &self.counts {
            println!("  {what}: {agree}/{of}");
        }
        for (task, reason) in &self.known {
            println!("  known: {task}: {reason}");
        }
        for text in &self.missed {
            println!("  MISSED {text}");
        }
        if self.misses > self.missed.len() as u64 {
            println!("  MISSED {} more", self.misses - self.missed.len() as u64);
        }
    }

    pub fn to_json(&self) -> Value {
        let counts = self.counts.iter();
        let counts = counts
            .map(|(what, (agree, of))| ((*what).to_owned(), json!({"agree": agree, "of": of})));
        let known = self.known.iter();
        let known = known.map(|(task, reason)| json!({"task": task, "reason": reason}));
        json!({
            "counts": counts.collect::<serde_json::Map<_, _>>(),
            "known": known.collect::<Vec<_>>(),
            "misses": self.misses,
            "missed": self.missed,
        })
    }
}
