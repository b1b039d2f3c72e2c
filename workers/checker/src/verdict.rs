//! The verdict of a check: pass or failure, part by part, with evidence that a person can read.
use agoge_world::Lost;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::statements::{self, Judged};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// `finalState`, `outputs`, `calls`, `asserts.<function>`, `judge`, `script`, or `script.<part>` for a part that a
    /// generated check names itself.
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
    /// The task's basis counts statements that no model has judged, for this reason: there is no reward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unjudged: Option<String>,
    /// The judgements of a model on the task's statements, where one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
}

/// The name of the part that fails when gold itself does not work.
pub const GOLD: &str = "gold";

/// The components of a breakdown: the beginning of a part's name up to the first point, and the component's name.
const COMPONENTS: [(&str, &str); 7] = [
    (crate::final_state::NAME, "state"),
    (crate::outputs::NAME, "outputs"),
    (crate::asserts::NAME, "asserts"),
    (crate::calls::NAME, "calls"),
    (crate::script::NAME, "script"),
    (statements::NAME, "judge"),
    (crate::results::NAME, "results"),
];

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
            unjudged: None,
            judged: None,
        }
    }

    /// Adds a model's judgements on the task's statements. They count only where the task's basis names them, see
    /// [`Verdict::unjudged`]; otherwise they stand beside the verdict.
    #[must_use]
    pub fn with_judged(self, judged: Judged) -> Verdict {
        let counts = self.unjudged.is_some();
        let stopped = self.killed.is_some() || self.lost.is_some();
        let open = judged.open();
        if !counts || stopped || open.is_some() {
            let unjudged = if counts { open.or(self.unjudged) } else { None };
            return Verdict {
                unjudged,
                judged: Some(judged),
                ..self
            };
        }
        let mut parts = self.parts;
        parts.push(judged.part());
        Verdict {
            judged: Some(judged),
            ..Verdict::of(parts, None)
        }
    }

    /// Returns the components that decide the reward, each 1 when all of its parts passed, else 0: `state`, `outputs`,
    /// `asserts`, `calls`, `script`, `judge`, `results`. The reward is their product. The map is empty for a verdict that is
    /// not about the agent.
    pub fn breakdown(&self) -> BTreeMap<&'static str, f64> {
        let mut components = BTreeMap::new();
        if !self.is_about_the_agent() {
            return components;
        }
        for part in &self.parts {
            let kind = part.name.split('.').next().unwrap_or_default();
            if let Some((_, name)) = COMPONENTS.iter().find(|(of, _)| *of == kind) {
                *components.entry(*name).or_insert(1.0) *= f64::from(u8::from(part.pass));
            }
        }
        components
    }

    /// Returns the reward: 1 for a pass, else 0; `None` for a verdict that is not about the agent.
    pub fn reward(&self) -> Option<f64> {
        self.is_about_the_agent()
            .then(|| f64::from(u8::from(self.pass)))
    }

    /// This verdict, whose reward also depends on statements that no model has judged, for this reason.
    pub(crate) fn awaiting(self, reason: impl Into<String>) -> Verdict {
        Verdict {
            pass: false,
            unjudged: Some(reason.into()),
            ..self
        }
    }

    /// The verdict of a check whose run is lost.
    pub fn lost(lost: Lost) -> Verdict {
        Verdict {
            lost: Some(lost.0),
            ..Verdict::of(Vec::new(), None)
        }
    }

    /// Returns true when the verdict is about the agent: nothing was killed or lost, all that counts was judged, and gold
    /// itself works. Only then may it become a reward.
    pub fn is_about_the_agent(&self) -> bool {
        let stopped = self.killed.is_some() || self.lost.is_some() || self.unjudged.is_some();
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
        reasons.extend(
            self.unjudged
                .iter()
                .map(|reason| format!("not judged: {reason}")),
        );
        let failed = self.parts.iter().filter(|p| !p.pass);
        reasons.extend(failed.map(|p| format!("{}: {}", p.name, p.evidence)));
        reasons.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::statements::Statement;

    /// Parts of every kind, each passed or failed.
    fn some_parts() -> impl Strategy<Value = Vec<Part>> {
        let names = [
            "finalState",
            "outputs",
            "asserts.is_active",
            "asserts.is_paid",
            "calls",
            "script",
            "script.fee",
            "results",
        ];
        let part = (proptest::sample::select(names.to_vec()), any::<bool>());
        let made = part.prop_map(|(name, pass)| match pass {
            true => Part::passed(name),
            false => Part::failed(name, "no"),
        });
        proptest::collection::vec(made, 1..9)
    }

    fn judgement(met: &[Option<bool>]) -> Judged {
        let one = |met: &Option<bool>| Statement {
            statement: "it is polite".into(),
            met: *met,
            why: String::new(),
        };
        Judged {
            statements: met.iter().map(one).collect(),
        }
    }

    proptest! {
        #[test]
        fn the_reward_is_the_product_of_the_breakdown(parts in some_parts(), met in proptest::collection::vec(proptest::option::of(any::<bool>()), 1..4)) {
            let verdict = Verdict::of(parts, None);
            let product: f64 = verdict.breakdown().values().product();
            prop_assert_eq!(verdict.reward(), Some(product));

            let beside = verdict.clone().with_judged(judgement(&met));
            prop_assert_eq!(beside.reward(), verdict.reward());
            prop_assert_eq!(beside.breakdown(), verdict.breakdown());

            let awaiting = verdict.awaiting("nobody was asked");
            prop_assert!(awaiting.reward().is_none() && awaiting.breakdown().is_empty());
            let counted = awaiting.with_judged(judgement(&met));
            let reward = counted.reward();
            if met.contains(&None) {
                prop_assert!(reward.is_none() && !counted.pass);
            } else {
                let judge = f64::from(u8::from(met.iter().all(|one| *one == Some(true))));
                prop_assert_eq!(counted.breakdown()["judge"], judge);
                prop_assert_eq!(reward, Some(product * judge));
            }
        }
    }

    #[test]
    fn a_breakdown_has_one_component_for_all_parts_of_a_kind() {
        let parts = vec![
            Part::passed("finalState"),
            Part::passed("asserts.is_active"),
            Part::failed("asserts.is_paid", "returned False"),
        ];
        let breakdown = Verdict::of(parts, None).breakdown();
        assert_eq!(
            breakdown,
            BTreeMap::from([("asserts", 0.0), ("state", 1.0)])
        );
    }

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
            assert!(none.reward().is_none() && none.breakdown().is_empty());
            assert!(!none.pass && !none.is_about_the_agent(), "{none:?}");
        }
        let written = serde_json::to_value(&lost).unwrap();
        assert_eq!(serde_json::from_value::<Verdict>(written).unwrap(), lost);
        let old = serde_json::json!({"pass": true, "score": 1.0, "parts": [], "killed": null});
        assert_eq!(serde_json::from_value::<Verdict>(old).unwrap().lost, None);
    }
}
