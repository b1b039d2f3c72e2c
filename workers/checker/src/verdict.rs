//! The verdict of a check: pass or failure, part by part, with evidence that a person can read.
use serde::{Deserialize, Serialize};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// `finalState`, `outputs`, `script`, or `script.<part>` for a part that a generated check names itself.
    pub name: String,
    pub pass: bool,
    /// Why, in words and values; empty where a pass needs no reason.
    pub evidence: String,
}

impl Part {
    /// A part that passed.
    pub fn passed(name: impl Into<String>) -> Part {
        Part {
            name: name.into(),
            pass: true,
            evidence: String::new(),
        }
    }

    /// A part that failed, and what shows it.
    pub fn failed(name: impl Into<String>, evidence: impl Into<String>) -> Part {
        Part {
            name: name.into(),
            pass: false,
            evidence: evidence.into(),
        }
    }
}

/// The outcome of all checkers of a task on one episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// All parts passed and nothing was killed.
    pub pass: bool,
    /// Share of parts that passed, for reports. The reward is `pass`.
    pub score: f64,
    pub parts: Vec<Part>,
    /// A limit ended a run: neither a pass nor a fail, and never a reward.
    pub killed: Option<String>,
}

impl Verdict {
    /// Combines parts: all must pass, and there must be at least one.
    pub fn of(parts: Vec<Part>, killed: Option<String>) -> Verdict {
        let passed = parts.iter().filter(|p| p.pass).count();
        let score = if parts.is_empty() {
            0.0
        } else {
            passed as f64 / parts.len() as f64
        };
        let pass = killed.is_none() && !parts.is_empty() && passed == parts.len();
        Verdict {
            pass,
            score,
            parts,
            killed,
        }
    }

    /// Names and evidence of what did not pass, one line for a log.
    pub fn why(&self) -> String {
        let mut reasons: Vec<String> = self
            .killed
            .iter()
            .map(|reason| format!("killed: {reason}"))
            .collect();
        let failed = self.parts.iter().filter(|p| !p.pass);
        reasons.extend(failed.map(|p| format!("{}: {}", p.name, p.evidence)));
        reasons.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_passes_only_when_everything_did_and_nothing_was_killed() {
        let good = Part::passed("finalState");
        let bad = Part::failed("outputs", "\"12\" was not said");
        assert!(Verdict::of(vec![good.clone()], None).pass);
        assert!(!Verdict::of(vec![good.clone()], Some("time".into())).pass);
        assert!(!Verdict::of(vec![], None).pass);
        let mixed = Verdict::of(vec![good, bad], None);
        assert_eq!((mixed.pass, mixed.score), (false, 0.5));
        assert_eq!(mixed.why(), "outputs: \"12\" was not said");
    }
}
