//! The values of expressions.

mod over;

use std::cell::Cell;
use std::cmp::Ordering;

use serde_json::Value;

use super::date::Moment;
use super::decimal::Decimal;
use super::function::{self, Function, number, shown};
use super::{Comparison, Node, Operation, Step, path};

/// Parts that one evaluation may look at.
const EFFORT: u32 = 1_000_000;

/// The values that names stand for.
pub(crate) trait Names {
    /// The clock.
    fn now(&self) -> &str;
    /// The value of a name; `None` where it is missing.
    ///
    /// # Errors
    /// The reason why a computed value has none.
    fn value(&self, name: &str) -> Result<Option<Value>, String>;
    /// The record that a name stands for, where it stands for one.
    fn of_name(&self, name: &str) -> Option<&Value>;
    /// A record, with its id as the field `id` where it has no such field.
    fn record(&self, collection: &str, id: &str) -> Option<Value>;
    /// The records of a collection, those whose field has this value.
    ///
    /// # Errors
    /// There is no such collection.
    fn records(&self, collection: &str, by: Option<(&str, &Value)>) -> Result<Vec<Value>, String>;
}

/// Returns true when two values are equal; numbers are by value.
pub(crate) fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => match (Decimal::of(a), Decimal::of(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64() == b.as_f64(),
        },
        _ => one == other,
    }
}

/// Returns true when a value is another, or an element of it where that is a list.
fn is_element(value: &Value, of: &Value) -> bool {
    match of {
        Value::Array(items) if !value.is_array() => items.iter().any(|item| equal(value, item)),
        of => equal(value, of),
    }
}

/// Returns the order of two numbers or of two dates.
///
/// # Errors
/// They are neither.
pub(crate) fn order(one: &Value, other: &Value) -> Result<Ordering, String> {
    if let (Value::Number(a), Value::Number(b)) = (one, other) {
        let rough = || {
            a.as_f64()
                .unwrap_or(f64::NAN)
                .total_cmp(&b.as_f64().unwrap_or(f64::NAN))
        };
        let exact = Decimal::of(a).zip(Decimal::of(b));
        return Ok(exact.map_or_else(rough, |(a, b)| a.compare(b)));
    }
    let moment = |value| Value::as_str(value).and_then(Moment::of);
    match (moment(one), moment(other)) {
        (Some(one), Some(other)) => Ok(one.instant.cmp(&other.instant)),
        _ => Err(format!(
            "{one} and {other} are neither two numbers nor two dates, so neither is larger"
        )),
    }
}

/// Returns the value of a part; `None` where it is missing.
pub(super) fn value(node: &Node, names: &dyn Names) -> Result<Option<Value>, String> {
    let effort = Cell::new(0);
    Context::of(names, &effort).value(node)
}

/// Returns true when a part holds.
pub(super) fn holds(node: &Node, names: &dyn Names) -> Result<bool, String> {
    let effort = Cell::new(0);
    Context::of(names, &effort).holds(node)
}

/// An element of a list under way, and that of the list around it.
#[derive(Clone, Copy)]
struct Item<'a> {
    value: &'a Value,
    around: Option<&'a Item<'a>>,
}

/// An evaluation under way.
struct Context<'a> {
    names: &'a dyn Names,
    item: Option<&'a Item<'a>>,
    /// Parts that were looked at.
    effort: &'a Cell<u32>,
}

impl<'a> Context<'a> {
    fn of(names: &'a dyn Names, effort: &'a Cell<u32>) -> Self {
        Self {
            names,
            item: None,
            effort,
        }
    }

    fn value(&self, node: &Node) -> Result<Option<Value>, String> {
        self.count()?;
        Ok(match node {
            Node::Literal(value) => Some(value.clone()),
            Node::Now => Some(Value::from(self.names.now())),
            Node::Item(out) => self.element(*out).cloned(),
            Node::Name(name) => self.names.value(name)?,
            Node::Within(base, steps) => self.within(base, steps)?,
            Node::List(items) => {
                let mut values = Vec::new();
                for item in items {
                    values.extend(self.value(item)?);
                }
                Some(Value::Array(values))
            }
            Node::Not(_)
            | Node::And(..)
            | Node::Or(..)
            | Node::Ordered(..)
            | Node::Among(..)
            | Node::Unlike(..) => Some(Value::Bool(self.holds(node)?)),
            Node::Negated(inner) => match self.given(inner)? {
                Some(value) => Some(shown(number(&value)?.negated())?),
                None => None,
            },
            Node::Arithmetic(left, operation, right) => self.arithmetic(left, *operation, right)?,
            Node::Call(function, arguments) => self.called(*function, arguments)?,
            Node::Over(aggregate, list, condition, rest) => {
                self.over(*aggregate, list, condition.as_deref(), rest)?
            }
        })
    }

    fn element(&self, out: usize) -> Option<&'a Value> {
        let mut item = self.item?;
        for _ in 0..out {
            item = item.around?;
        }
        Some(item.value)
    }

    fn count(&self) -> Result<(), String> {
        let effort = self.effort.get().saturating_add(1);
        self.effort.set(effort);
        match effort > EFFORT {
            true => Err("it looks at too many values; compute over fewer records".into()),
            false => Ok(()),
        }
    }

    /// Returns a value that is neither missing nor null.
    fn given(&self, node: &Node) -> Result<Option<Value>, String> {
        Ok(self.value(node)?.filter(|value| !value.is_null()))
    }

    fn holds(&self, node: &Node) -> Result<bool, String> {
        self.count()?;
        Ok(match node {
            Node::Not(inner) => !self.holds(inner)?,
            Node::And(left, right) => self.holds(left)? && self.holds(right)?,
            Node::Or(left, right) => self.holds(left)? || self.holds(right)?,
            Node::Ordered(left, comparison, right) => {
                let (Some(left), Some(right)) = (self.given(left)?, self.given(right)?) else {
                    return Ok(false);
                };
                let order = order(&left, &right)?;
                match comparison {
                    Comparison::Less => order == Ordering::Less,
                    Comparison::AtMost => order != Ordering::Greater,
                    Comparison::More => order == Ordering::Greater,
                    Comparison::AtLeast => order != Ordering::Less,
                }
            }
            Node::Among(one, choices) => {
                let Some(one) = self.value(one)? else {
                    return Ok(false);
                };
                for choice in choices {
                    if self
                        .value(choice)?
                        .is_some_and(|choice| is_element(&one, &choice))
                    {
                        return Ok(true);
                    }
                }
                false
            }
            Node::Unlike(left, right) => match (self.value(left)?, self.value(right)?) {
                (Some(left), Some(right)) => !equal(&left, &right),
                _ => false,
            },
            other => match self.given(other)? {
                None => false,
                Some(Value::Bool(holds)) => holds,
                Some(value) => return Err(format!("{value} is neither true nor false")),
            },
        })
    }

    fn within(&self, base: &Node, steps: &[Step]) -> Result<Option<Value>, String> {
        // A record is not copied for one of its fields.
        let (mut value, steps) = match (base, steps) {
            (Node::Name(name), [Step::Field(field), rest @ ..]) => match self.names.of_name(name) {
                Some(record) => (path::field(record, field), rest),
                None => (self.names.value(name)?, steps),
            },
            (Node::Item(out), [Step::Field(field), rest @ ..]) => (
                self.element(*out).and_then(|item| path::field(item, field)),
                rest,
            ),
            _ => (self.value(base)?, steps),
        };
        for step in steps {
            let Some(one) = value else {
                return Ok(None);
            };
            value = match step {
                Step::Field(field) => path::field(&one, field),
                Step::At(key) => match self.given(key)? {
                    Some(key) => path::at(&one, &crate::bound::text(&key)),
                    None => None,
                },
            };
        }
        Ok(value)
    }

    fn arithmetic(
        &self,
        left: &Node,
        operation: Operation,
        right: &Node,
    ) -> Result<Option<Value>, String> {
        let (Some(left), Some(right)) = (self.given(left)?, self.given(right)?) else {
            return Ok(None);
        };
        let (left, right) = (number(&left)?, number(&right)?);
        let divides = matches!(operation, Operation::Divide | Operation::Remainder);
        if divides && right.is_zero() {
            return Err(format!("it divides {left} by zero"));
        }
        let result = match operation {
            Operation::Add => left.add(right),
            Operation::Subtract => left.subtract(right),
            Operation::Multiply => left.multiply(right),
            Operation::Divide => left.divide(right),
            Operation::Remainder => left.remainder(right),
        };
        shown(result).map(Some)
    }

    fn called(&self, function: Function, arguments: &[Node]) -> Result<Option<Value>, String> {
        let mut values = Vec::new();
        for argument in arguments {
            match self.given(argument)? {
                Some(value) => values.push(value),
                None => return Ok(None),
            }
        }
        let name = |value: &Value| {
            value
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| format!("{value} is no name"))
        };
        match (function, values.as_slice()) {
            (Function::Record, [collection, id]) => Ok(self
                .names
                .record(&name(collection)?, &crate::bound::text(id))),
            (Function::Records, [collection]) => self
                .names
                .records(&name(collection)?, None)
                .map(|all| Some(Value::Array(all))),
            (Function::Records, [collection, field, value]) => {
                let found = self
                    .names
                    .records(&name(collection)?, Some((&name(field)?, value)));
                found.map(|all| Some(Value::Array(all)))
            }
            (function, values) => function::call(function, values),
        }
    }
}
