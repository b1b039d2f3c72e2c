//! The observations of a driver: the state of children, and of the objects that are referred to.

use std::collections::BTreeMap;

use agoge_contract::ChildState;
use agoge_crds::lineage::Decision;
use agoge_crds::report::Report;
use agoge_crds::{CheckerSuite, Phase, SynthesisJob};

/// Everything a plan may know beside the object itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The newest attempt of each child, by key. A child that is not listed does not exist.
    pub children: BTreeMap<String, Seen>,
    /// The SynthesisJob that a CheckerSuite names; `None` when there is none.
    pub synthesis: Option<SynthesisSeen>,
    /// The CheckerSuite that a GRPORun names; `None` when there is none.
    pub suite: Option<SuiteSeen>,
    /// A person's decision about a plan pair.
    pub decision: Option<Decision>,
    /// The name of a CheckerSuite made from this SynthesisJob.
    pub used_by: Option<String>,
}

/// A child as it is seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Which attempt it is.
    pub attempt: u32,
    /// Its state.
    pub state: ChildState,
}

/// A SynthesisJob that is referred to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SynthesisSeen {
    /// Its phase.
    pub phase: Phase,
    /// Its dataset's digest.
    pub digest: Option<String>,
    /// The digest of what each strategy made: objects in the store.
    pub parts: BTreeMap<String, String>,
}

/// A CheckerSuite that is referred to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SuiteSeen {
    /// Its phase.
    pub phase: Phase,
    /// Its digest.
    pub digest: Option<String>,
    /// Its mutation score.
    pub mutation_score: Option<f64>,
}

impl From<&SynthesisJob> for SynthesisSeen {
    fn from(job: &SynthesisJob) -> Self {
        let status = job.status.clone().unwrap_or_default();
        let made = status.strategies.into_iter();
        Self {
            phase: status.run.phase,
            digest: status.digest,
            parts: made
                .filter_map(|(name, s)| s.digest.map(|digest| (name, digest)))
                .collect(),
        }
    }
}

impl From<&CheckerSuite> for SuiteSeen {
    fn from(suite: &CheckerSuite) -> Self {
        let status = suite.status.clone().unwrap_or_default();
        let mutation_score = status.mutation_score.and_then(|score| score.parse().ok());
        Self {
            phase: status.run.phase,
            digest: status.digest,
            mutation_score,
        }
    }
}

impl Observed {
    /// The state of this attempt of a child; an older attempt does not count.
    pub(crate) fn state(&self, key: &str, attempt: u32) -> &ChildState {
        static ABSENT: ChildState = ChildState::Absent;
        self.children
            .get(key)
            .filter(|seen| seen.attempt == attempt)
            .map_or(&ABSENT, |seen| &seen.state)
    }

    /// Returns the last report of this attempt of a child, and true if it is the result. Returns none where there is no report
    /// that can be read yet.
    ///
    /// # Errors
    /// When the result cannot be read.
    pub(crate) fn report<T>(
        &self,
        key: &str,
        attempt: u32,
        of: fn(&Report) -> Option<&T>,
    ) -> Result<Option<(&T, bool)>, String> {
        match self.state(key, attempt) {
            ChildState::Running { progress } => {
                let report = progress.as_ref().and_then(of);
                Ok(report.map(|report| (report, false)))
            }
            ChildState::Succeeded { result } => {
                let report = of(result.as_ref().map_err(Clone::clone)?);
                let report = report.ok_or("the result is one of another role")?;
                Ok(Some((report, true)))
            }
            _ => Ok(None),
        }
    }

    /// Returns true if any child runs, of whatever attempt.
    pub(crate) fn anything_runs(&self) -> bool {
        self.children
            .values()
            .any(|seen| matches!(seen.state, ChildState::Running { .. }))
    }
}
