//! Functions over lists.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Context, Item, order};
use crate::expression::Node;
use crate::expression::decimal::Decimal;
use crate::expression::function::{Aggregate, number, shown};

impl Context<'_> {
    /// Returns the result of a function over a list. The least and the largest of several plain values are also found so.
    pub(super) fn over(
        &self,
        aggregate: Aggregate,
        list: &Node,
        condition: Option<&Node>,
        rest: &[Node],
    ) -> Result<Option<Value>, String> {
        let Some(list) = self.given(list)? else {
            return Ok(None);
        };
        let items = match list {
            Value::Array(items) => items,
            Value::Object(map) => map.into_iter().map(|(_, value)| value).collect(),
            first
                if matches!(aggregate, Aggregate::Min | Aggregate::Max)
                    && condition.is_none()
                    && !rest.is_empty() =>
            {
                let mut values = vec![first];
                for one in rest {
                    values.extend(self.given(one)?);
                }
                return extreme(aggregate, values);
            }
            other => return Err(format!("{other} is no list")),
        };
        let mut found = Vec::new();
        for item in &items {
            let element = Item {
                value: item,
                around: self.item,
            };
            let inner = Context {
                names: self.names,
                item: Some(&element),
                effort: self.effort,
            };
            if let Some(condition) = condition
                && !inner.holds(condition)?
            {
                continue;
            }
            let wanted = rest.first();
            match aggregate {
                Aggregate::Any | Aggregate::All => {
                    let holds = wanted.map_or(Ok(true), |wanted| inner.holds(wanted))?;
                    if holds == (aggregate == Aggregate::Any) {
                        return Ok(Some(Value::Bool(holds)));
                    }
                }
                _ => found.extend(match wanted {
                    Some(wanted) => inner.value(wanted)?,
                    None => Some(item.clone()),
                }),
            }
        }
        result(aggregate, found)
    }
}

/// Returns the result over the values of a list.
fn result(aggregate: Aggregate, values: Vec<Value>) -> Result<Option<Value>, String> {
    match aggregate {
        Aggregate::Any => Ok(Some(Value::Bool(false))),
        Aggregate::All => Ok(Some(Value::Bool(true))),
        Aggregate::Count => Ok(Some(Value::from(values.len()))),
        Aggregate::List => Ok(Some(Value::Array(values))),
        Aggregate::First => Ok(values.into_iter().next()),
        Aggregate::Min | Aggregate::Max => extreme(aggregate, values),
        Aggregate::Sum => {
            let mut sum = Decimal::from(0);
            for value in values.iter().filter(|value| !value.is_null()) {
                sum = sum.add(number(value)?).ok_or("the sum is too large")?;
            }
            shown(Some(sum)).map(Some)
        }
    }
}

/// Returns the least or the largest value; of equal ones, the first.
fn extreme(aggregate: Aggregate, values: Vec<Value>) -> Result<Option<Value>, String> {
    let wanted = match aggregate {
        Aggregate::Min => Ordering::Less,
        _ => Ordering::Greater,
    };
    let mut found: Option<Value> = None;
    for value in values.into_iter().filter(|value| !value.is_null()) {
        let better = match &found {
            None => true,
            Some(best) => order(&value, best)? == wanted,
        };
        if better {
            found = Some(value);
        }
    }
    Ok(found)
}
