//! The conditions of a branch: `fact.field op value` as a plain form, any other expression in full.

use serde::Deserialize;
use serde_json::Value;

use crate::bound::Bound;
use crate::expression::{Expression, Kind, Known, Moment, equal, first, order};

/// A condition, such as `parcel.status in new, sorted` or `days(order.placed, now) <= 30 or order.kept`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "String")]
pub struct Condition {
    /// The path of a plain condition: `fact`, `fact.field` or `linked.field`; the whole text of any other.
    pub path: String,
    text: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// Not parsed yet.
    Written,
    Plain(Op, Vec<Value>),
    Full(Expression),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    In,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl From<String> for Condition {
    fn from(text: String) -> Self {
        Self {
            path: text.clone(),
            text,
            test: Test::Written,
        }
    }
}

impl Condition {
    /// Parses the condition; `known` tells the names that have a meaning.
    ///
    /// # Errors
    /// The reason why it is no condition.
    pub(super) fn read(&mut self, known: Known<'_>) -> Result<(), String> {
        if let Some((path, op, values)) = plain(&self.text, known)? {
            self.path = path;
            self.test = Test::Plain(op, values);
            return Ok(());
        }
        let read = Expression::parse(&self.text, known);
        self.test = Test::Full(read.map_err(|why| format!("`{}`: {why}", self.text))?);
        Ok(())
    }

    /// The condition as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The paths that it reads.
    pub(crate) fn paths(&self) -> Vec<&str> {
        match &self.test {
            Test::Full(expression) => expression.paths.iter().map(String::as_str).collect(),
            Test::Plain(..) | Test::Written => vec![&self.path],
        }
    }

    /// The names that it uses: facts, linked records and computed values.
    pub(crate) fn names(&self) -> Vec<&str> {
        match &self.test {
            Test::Full(expression) => expression.names.iter().map(String::as_str).collect(),
            Test::Plain(..) | Test::Written => vec![first(&self.path)],
        }
    }

    /// Returns true for a condition that is more than `path op value`.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self.test, Test::Full(_))
    }

    /// Returns true for a plain condition that holds for this value at its path.
    pub(crate) fn admits(&self, value: &Value) -> bool {
        matches!(&self.test, Test::Plain(op, values) if fits(*op, values, value))
    }

    /// Returns true when it holds for these facts.
    ///
    /// # Errors
    /// The reason why it neither holds nor does not, such as a division by zero.
    pub(crate) fn holds(&self, bound: &Bound<'_>) -> Result<bool, String> {
        let failed = |why: String| format!("`{}`: {why}", self.text);
        match &self.test {
            Test::Written => Err(failed("it was not read".into())),
            Test::Full(expression) => expression.holds(bound).map_err(failed),
            Test::Plain(op, values) => match bound.at(&self.path).map_err(failed)? {
                Some(value) => Ok(fits(*op, values, &value)),
                None => Ok(false),
            },
        }
    }
}

/// Reads a condition in the plain form; `None` for what is more than that: its right side compares, calls a function, or names
/// a fact's field.
///
/// # Errors
/// It has the plain form and orders a text.
fn plain(text: &str, known: Known<'_>) -> Result<Option<(String, Op, Vec<Value>)>, String> {
    let mut parts = text.splitn(3, ' ');
    let (Some(path), Some(op), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
        let name = text.trim_start_matches("not ").trim();
        return match text.contains(['(', '.']) || known(name).is_some() {
            true => Ok(None),
            false => Err(format!(
                "`{text}` is not a condition; write it as `parcel.status == new`"
            )),
        };
    };
    let op = match op {
        "==" | "in" => Op::In,
        "!=" => Op::NotEqual,
        "<" => Op::Less,
        "<=" => Op::AtMost,
        ">" => Op::More,
        ">=" => Op::AtLeast,
        _ => return Ok(None),
    };
    let ordered = !matches!(op, Op::In | Op::NotEqual);
    if path.contains(['(', '[', '"', '\'']) || is_more(value, ordered, known) {
        return Ok(None);
    }
    let literal = |text: &str| {
        let text = text.trim();
        serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
    };
    let values: Vec<Value> = value.split(',').map(literal).collect();
    let has_order = |value: &Value| {
        value.is_number()
            || value
                .as_str()
                .is_some_and(|text| Moment::of(text).is_some())
    };
    if ordered && !values.iter().all(has_order) {
        return Err(format!(
            "`{text}` orders a value that is neither a number nor a date"
        ));
    }
    Ok(Some((path.into(), op, values)))
}

/// Returns true when the right side of a condition is more than values between commas. A word alone is a value, also where a
/// fact has its name; between two values that are ordered it is not.
fn is_more(value: &str, ordered: bool, known: Known<'_>) -> bool {
    const SIGNS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
    let bare = outside_quotes(value);
    let called = bare.match_indices('(').any(|(at, _)| {
        let before = bare.get(..at).and_then(|before| before.chars().next_back());
        before.is_some_and(char::is_alphanumeric)
    });
    let begins = bare.trim_start().starts_with(['[', '(']);
    if begins || called || bare.split_whitespace().any(|word| SIGNS.contains(&word)) {
        return true;
    }
    let of_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']');
    let mut words = bare.split(|c| !of_path(c)).filter(|word| !word.is_empty());
    words.any(|word| {
        let name = first(word);
        let means = match (word.contains(['.', '[']), ordered) {
            (false, true) => name == "now" || known(name).is_some(),
            (false, false) => known(name) == Some(Kind::Value),
            (true, _) => known(name).is_some(),
        };
        means && !word.ends_with('.')
    })
}

/// Returns a text with blanks for what stands in double quotes.
fn outside_quotes(text: &str) -> String {
    let mut inside = false;
    let blank = |c: char| {
        inside ^= c == '"';
        if inside || c == '"' { ' ' } else { c }
    };
    text.chars().map(blank).collect()
}

/// Returns true when a plain condition holds for the value at its path.
fn fits(op: Op, values: &[Value], value: &Value) -> bool {
    let Some(first) = values.first() else {
        return false;
    };
    let ordered = |by: fn(std::cmp::Ordering) -> bool| order(value, first).is_ok_and(by);
    match op {
        Op::In => values.iter().any(|other| equal(value, other)),
        Op::NotEqual => !equal(value, first),
        Op::Less => ordered(std::cmp::Ordering::is_lt),
        Op::AtMost => ordered(std::cmp::Ordering::is_le),
        Op::More => ordered(std::cmp::Ordering::is_gt),
        Op::AtLeast => ordered(std::cmp::Ordering::is_ge),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn known(name: &str) -> Option<Kind> {
        match name {
            "p" | "point" => Some(Kind::Fact),
            "total" => Some(Kind::Value),
            _ => None,
        }
    }

    fn read(text: &str) -> Result<Condition, String> {
        let mut condition = Condition::from(text.to_owned());
        condition.read(&known).map(|()| condition)
    }

    #[test]
    fn plain_conditions_hold_for_the_values_they_name() {
        let holds = |text: &str, value: Value| match read(text).unwrap().test {
            Test::Plain(op, values) => fits(op, &values, &value),
            other => panic!("{text}: {other:?}"),
        };
        assert!(
            holds("p.s in new, sorted", json!("sorted"))
                && !holds("p.s in new, sorted", json!("out"))
        );
        assert!(holds("p.a == true", json!(true)) && !holds("p.a == true", json!("true")));
        assert!(holds("p.v >= 500", json!(500.0)) && !holds("p.v > 500", json!(500.0)));
        assert!(holds("p.n == 0", json!(0)) && holds("p.n != 0", json!(3)));
        assert!(holds("p.s == black and white", json!("black and white")));
        assert!(holds("p.s == point", json!("point")) && holds("p.s == \"p.x\"", json!("p.x")));
        assert!(
            holds("p.d < 2025-03-10", json!("2025-03-09T23:59"))
                && !holds("p.d < 2025-03-10", json!("x"))
        );
    }

    #[test]
    fn what_is_more_than_values_is_an_expression() {
        for text in [
            "p.s == new or p.t == old",
            "p.a < p.b",
            "p.due < now",
            "p.n == total",
            "p.a == p.b",
            "not p.kept",
            "p.kept",
            "p.s == (point)",
        ] {
            assert!(matches!(read(text).unwrap().test, Test::Full(_)), "{text}");
        }
        for bad in ["kept", "p.s ~ x", "p.s < new", "p.s == new or q.s == old"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
