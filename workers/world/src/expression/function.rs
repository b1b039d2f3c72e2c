//! The functions of expressions.

use serde_json::Value;

use super::date::Moment;
use super::decimal::Decimal;

/// A function of plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Date,
    Days,
    Hours,
    AddDays,
    Len,
    Round,
    Abs,
    Lower,
    Join,
    Record,
    Records,
}

/// A function over a list, or over the values of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Count,
    Min,
    Max,
    Any,
    All,
    List,
    First,
}

/// The functions with their names and the least and the largest number of arguments.
const FUNCTIONS: [(&str, Function, usize, usize); 11] = [
    ("date", Function::Date, 1, 1),
    ("days", Function::Days, 2, 2),
    ("hours", Function::Hours, 2, 2),
    ("add_days", Function::AddDays, 2, 2),
    ("len", Function::Len, 1, 1),
    ("round", Function::Round, 1, 2),
    ("abs", Function::Abs, 1, 1),
    ("lower", Function::Lower, 1, 1),
    ("join", Function::Join, 2, 2),
    ("record", Function::Record, 2, 2),
    ("records", Function::Records, 1, 3),
];

/// The functions over lists with their names and the least and the largest number of arguments, the list included.
const AGGREGATES: [(&str, Aggregate, usize, usize); 8] = [
    ("sum", Aggregate::Sum, 1, 2),
    ("count", Aggregate::Count, 1, 1),
    ("min", Aggregate::Min, 1, 8),
    ("max", Aggregate::Max, 1, 8),
    ("any", Aggregate::Any, 2, 2),
    ("all", Aggregate::All, 2, 2),
    ("list", Aggregate::List, 1, 2),
    ("first", Aggregate::First, 1, 2),
];

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        FUNCTIONS.iter().find(|one| one.0 == name).map(|one| one.1)
    }

    pub(super) fn takes(self, arguments: usize) -> bool {
        let mut all = FUNCTIONS.iter();
        all.any(|(_, one, least, most)| *one == self && (*least..=*most).contains(&arguments))
    }

    /// Returns true when its first argument is the name of a collection.
    pub(super) fn reads_records(self) -> bool {
        matches!(self, Self::Record | Self::Records)
    }
}

impl Aggregate {
    pub(super) fn named(name: &str) -> Option<Self> {
        AGGREGATES.iter().find(|one| one.0 == name).map(|one| one.1)
    }

    pub(super) fn takes(self, arguments: usize) -> bool {
        let mut all = AGGREGATES.iter();
        all.any(|(_, one, least, most)| *one == self && (*least..=*most).contains(&arguments))
    }
}

/// Returns the names of all functions, for messages.
pub(super) fn names() -> String {
    let functions = FUNCTIONS.iter().map(|one| one.0);
    let all: Vec<&str> = functions
        .chain(AGGREGATES.iter().map(|one| one.0))
        .collect();
    all.join(", ")
}

/// Returns the result of a function of plain values; those that read records are not among them. An argument that is
/// missing or null makes the result missing.
pub(super) fn call(function: Function, arguments: &[Value]) -> Result<Option<Value>, String> {
    let result = match (function, arguments) {
        (Function::Date, [one]) => Value::from(moment(one)?.date),
        (Function::Days, [from, to]) => {
            let (from, to) = (moment(from)?, moment(to)?);
            to.days
                .checked_sub(from.days)
                .map(Value::from)
                .ok_or_else(large)?
        }
        (Function::Hours, [from, to]) => {
            let (from, to) = (moment(from)?, moment(to)?);
            let between = to.instant.checked_sub(from.instant).ok_or_else(large)?;
            let hours = Decimal::from(between).divide(Decimal::from(3_600_000_000));
            hours.and_then(Decimal::to_value).ok_or_else(large)?
        }
        (Function::AddDays, [from, days]) => {
            let days = whole(days)?;
            let later = moment(from)?.later(days);
            later
                .map(Value::from)
                .ok_or_else(|| format!("{days} days from {from} is no date"))?
        }
        (Function::Len, [Value::Array(items)]) => Value::from(items.len()),
        (Function::Len, [Value::Object(map)]) => Value::from(map.len()),
        (Function::Len, [Value::String(text)]) => Value::from(text.chars().count()),
        (Function::Len, [other]) => return Err(format!("{other} has no length")),
        (Function::Round, [one, rest @ ..]) => {
            let digits = rest.first().map_or(Ok(0), whole)?;
            let digits = u32::try_from(digits).map_err(|_| format!("{digits} are no digits"))?;
            shown(number(one)?.round(digits))?
        }
        (Function::Abs, [one]) => {
            let number = number(one)?;
            shown(match number.is_negative() {
                true => number.negated(),
                false => Some(number),
            })?
        }
        (Function::Lower, [Value::String(text)]) => Value::from(text.to_lowercase()),
        (Function::Lower, [other]) => return Err(format!("{other} is no text")),
        (Function::Join, [Value::Array(items), Value::String(between)]) => {
            let texts: Vec<String> = items.iter().map(crate::bound::text).collect();
            Value::from(texts.join(between))
        }
        (Function::Join, _) => return Err("`join` needs a list and a text".into()),
        _ => return Err("a function has other arguments than it takes".into()),
    };
    Ok(Some(result))
}

/// Returns a value as a number.
pub(super) fn number(value: &Value) -> Result<Decimal, String> {
    match value {
        Value::Number(number) => Decimal::of(number).ok_or_else(large),
        other => Err(format!("{other} is no number")),
    }
}

/// Returns the value of a result, or the error of one that is too large.
pub(super) fn shown(result: Option<Decimal>) -> Result<Value, String> {
    result.and_then(Decimal::to_value).ok_or_else(large)
}

fn whole(value: &Value) -> Result<i64, String> {
    let whole = number(value)?.whole();
    whole.ok_or_else(|| format!("{value} is no whole number"))
}

fn moment(value: &Value) -> Result<Moment<'_>, String> {
    let read = value.as_str().and_then(Moment::of);
    read.ok_or_else(|| format!("{value} is no date such as 2025-03-10"))
}

fn large() -> String {
    "the result is too large".into()
}
