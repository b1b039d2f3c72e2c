//! The verdict of a check: pass or failure, part by part, with evidence that a person can read.
use agoge_world::Lost;
use serde::{Deserialize, Serialize};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// `finalState`, `outputs`, `calls`, `script`, or `script.<part>` for a part that a generated check names itself.
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
    /// The sandbox gave no result: nothing is known, another attempt may help, and it is never a reward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

/// The name of the part that fails when gold itself does not work.
pub const GOLD: &str = "gold";

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
            lost: None,
        }
    }

    /// The verdict of a check whose run is lost.
    pub fn lost(lost: Lost) -> Verdict {
        Verdict {
            lost: Some(lost.0),
            ..Verdict::of(Vec::new(), None)
        }
    }

    /// Returns true when the verdict is about the agent: nothing was killed or lost, and gold itself works. Only then may it
    /// become a reward.
    pub fn is_about_the_agent(&self) -> bool {
        let stopped = self.killed.is_some() || self.lost.is_some();
        !stopped && self.parts.iter().all(|part| part.name != GOLD)
    }

    /// Names and evidence of what did not pass, one line for a log.
    pub fn why(&self) -> String {
        let mut reasons: Vec<String> = self
            .killed
            .iter()
            .map(|reason| format!("killed: {reason}"))
            .collect();
        reasons.extend(
            self.lost
                .iter()
                .map(|reason| format!("no result: {reason}")),
        );
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

    #[test]
    fn only_a_verdict_that_was_reached_is_about_the_agent() {
        let bad = Part::failed("outputs", "\"12\" was not said");
        assert!(Verdict::of(vec![bad], None).is_about_the_agent());
        let lost = Verdict::lost(Lost("the machine is too busy".into()));
        let gold = Verdict::of(vec![Part::failed(GOLD, "call 1 (hold): no parcel 7")], None);
        for none in [lost.clone(), gold, Verdict::of(vec![], Some("time".into()))] {
            assert!(!none.pass && !none.is_about_the_agent(), "{none:?}");
        }
        let written = serde_json::to_value(&lost).unwrap();
        assert_eq!(serde_json::from_value::<Verdict>(written).unwrap(), lost);
        let old = serde_json::json!({"pass": true, "score": 1.0, "parts": [], "killed": null});
        assert_eq!(serde_json::from_value::<Verdict>(old).unwrap().lost, None);
    }
}
