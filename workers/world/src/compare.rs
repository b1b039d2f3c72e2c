//! Comparisons of an argument that is not compared as it is: free text that counts only roughly or not at all, and numbers with
//! a tolerance.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::expression::equal;

/// The part of a number by which two computations of it may differ.
const ROUNDING: f64 = 1e-9;

/// The rule by which an argument, and whatever it wrote, is compared. Each rule is symmetric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Compare {
    /// Not at all: every value will do. Written `ignore`.
    Ignore,
    /// Numbers that differ by no more than this are alike. Written `{tolerance: 0.01}`.
    Tolerance(f64),
    /// Texts are alike whose pairs of neighbouring letters agree to this share, from 0 to 1: the coefficient of Dice.
    /// Written `{like: 0.8}`.
    Like(f64),
}

impl TryFrom<Value> for Compare {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let only = value.as_object().filter(|map| map.len() == 1);
        let given = |key: &str| only.and_then(|map| map.get(key)?.as_f64());
        if value == "ignore" {
            return Ok(Self::Ignore);
        }
        match (given("tolerance"), given("like")) {
            (Some(most), _) if most >= 0.0 => Ok(Self::Tolerance(most)),
            (_, Some(share)) if share > 0.0 && share <= 1.0 => Ok(Self::Like(share)),
            _ => Err(format!(
                "{value} is no comparison; write `ignore`, `{{tolerance: 0.01}}` or `{{like: 0.8}}`"
            )),
        }
    }
}

impl From<Compare> for Value {
    fn from(compare: Compare) -> Self {
        match compare {
            Compare::Ignore => json!("ignore"),
            Compare::Tolerance(most) => json!({"tolerance": most}),
            Compare::Like(share) => json!({"like": share}),
        }
    }
}

impl Compare {
    /// Returns true when two values are alike by this rule, at every depth.
    #[must_use]
    pub fn alike(self, one: &Value, other: &Value) -> bool {
        match (self, one, other) {
            (Self::Ignore, ..) => true,
            (_, Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.alike(a, b))
            }
            (_, Value::Object(a), Value::Object(b)) => {
                let same = |(key, value)| b.get(key).is_some_and(|other| self.alike(value, other));
                a.len() == b.len() && a.iter().all(same)
            }
            (Self::Tolerance(most), Value::Number(a), Value::Number(b)) => {
                match (a.as_f64(), b.as_f64()) {
                    (Some(a), Some(b)) => (a - b).abs() <= most + ROUNDING * a.abs().max(b.abs()),
                    _ => false,
                }
            }
            (Self::Like(share), Value::String(a), Value::String(b)) => likeness(a, b) >= share,
            _ => equal(one, other),
        }
    }
}

/// Returns the share of pairs of neighbouring letters that two texts have in common. Case, and how words are set apart, do
/// not count.
fn likeness(one: &str, other: &str) -> f64 {
    let (one, other) = (plain(one), plain(other));
    if one == other {
        return 1.0;
    }
    let mut pairs: HashMap<&[char], usize> = HashMap::new();
    for pair in one.windows(2) {
        *pairs.entry(pair).or_default() += 1;
    }
    let mut common = 0_usize;
    for pair in other.windows(2) {
        if let Some(left) = pairs.get_mut(pair).filter(|left| **left > 0) {
            *left -= 1;
            common += 1;
        }
    }
    let all = one.len().saturating_sub(1) + other.len().saturating_sub(1);
    if all == 0 {
        0.0
    } else {
        2.0 * common as f64 / all as f64
    }
}

fn plain(text: &str) -> Vec<char> {
    let lower = text.to_lowercase();
    let words = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rule_is_read_as_it_is_written_and_nothing_else_is() {
        for written in [
            json!("ignore"),
            json!({"tolerance": 0.01}),
            json!({"like": 0.8}),
        ] {
            let read: Compare = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), written);
        }
        for bad in [
            json!("no"),
            json!({"like": 2}),
            json!({"tolerance": -1}),
            json!({"like": 0.5, "tolerance": 1}),
            json!(1),
        ] {
            assert!(
                serde_json::from_value::<Compare>(bad.clone()).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_tolerance_holds_at_every_depth_and_texts_are_alike_by_their_letters() {
        let near = Compare::Tolerance(0.01);
        assert!(near.alike(&json!(1.01), &json!(1.0)) && !near.alike(&json!(1.02), &json!(1)));
        assert!(near.alike(
            &json!([{"a": 2.0, "b": "x"}]),
            &json!([{"b": "x", "a": 2.009}])
        ));
        assert!(
            !near.alike(&json!("1.0"), &json!("1.01")) && !near.alike(&json!([1]), &json!([1, 1]))
        );
        let like = Compare::Like(0.7);
        assert!(like.alike(
            &json!("Please leave it at the door"),
            &json!("please leave it at door.")
        ));
        assert!(!like.alike(
            &json!("Please leave it at the door"),
            &json!("call me first")
        ));
        assert!(!like.alike(&json!("a"), &json!("b")) && !like.alike(&json!(1), &json!(2)));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            (-1e6..1e6_f64).prop_map(|number| json!(number)),
            (-9_i64..9).prop_map(|number| json!(number)),
            "[a-c ]{0,6}".prop_map(|text| json!(text)),
            Just(Value::Null),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(|items| json!(items)),
                prop::collection::btree_map("[ab]", inner, 0..3).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_rule_is_symmetric_and_finds_a_value_like_itself(
            one in value(), other in value(), most in 0.0..10.0_f64, share in 0.01..1.0_f64,
        ) {
            for rule in [Compare::Ignore, Compare::Tolerance(most), Compare::Like(share)] {
                prop_assert_eq!(rule.alike(&one, &other), rule.alike(&other, &one));
                prop_assert!(rule.alike(&one, &one));
            }
            prop_assert!(Compare::Ignore.alike(&one, &other));
        }
    }
}
