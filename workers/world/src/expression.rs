//! The expressions of templates: paths, literals, comparisons, arithmetic and a few functions, parsed once when a template is
//! read.
//!
//! Numbers are exact decimals, so that `0.1 + 0.2` is 0.3. A value that a record does not have is missing: a comparison with it
//! is false, and arithmetic with it is missing again. Everything else that has no answer, such as a division by zero or the
//! sum of texts, is an error.

mod date;
mod decimal;
mod eval;
mod function;
mod lexer;
mod parser;
mod path;

use serde_json::Value;

pub(crate) use date::{DateForm, Moment};
pub(crate) use eval::{Names, equal, order};
pub(crate) use parser::{Kind, Known};
pub(crate) use path::{first, reaches, walk};

use function::{Aggregate, Function};

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expression {
    node: Node,
    /// The names that it uses: facts, linked records, computed values and loop variables.
    pub names: Vec<String>,
    /// The paths that it reads, such as `order.items.price`; those of a list's elements begin with the list's.
    pub paths: Vec<String>,
}

impl Expression {
    /// Parses a text in which these names have a meaning.
    ///
    /// # Errors
    /// The reason why the text is no expression.
    pub(crate) fn parse(text: &str, known: Known<'_>) -> Result<Self, String> {
        parser::parse(text, known)
    }

    /// Returns its value; `None` where it is missing.
    ///
    /// # Errors
    /// The reason why it has none.
    pub(crate) fn value(&self, names: &dyn Names) -> Result<Option<Value>, String> {
        eval::value(&self.node, names)
    }

    /// Returns true when it holds. A missing value and null do not.
    ///
    /// # Errors
    /// The reason why it neither holds nor does not.
    pub(crate) fn holds(&self, names: &dyn Names) -> Result<bool, String> {
        eval::holds(&self.node, names)
    }
}

/// A part of an expression.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Literal(Value),
    /// The clock of the domain.
    Now,
    /// The element of a list under way: of the innermost for 0, of the one around it for 1.
    Item(usize),
    Name(String),
    Within(Box<Node>, Vec<Step>),
    List(Vec<Node>),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Ordered(Box<Node>, Comparison, Box<Node>),
    /// Equal to one of these, or an element of one that is a list.
    Among(Box<Node>, Vec<Node>),
    Unlike(Box<Node>, Box<Node>),
    Negated(Box<Node>),
    Arithmetic(Box<Node>, Operation, Box<Node>),
    Call(Function, Vec<Node>),
    /// A function over the elements of a list, those that fit the condition.
    Over(Aggregate, Box<Node>, Option<Box<Node>>, Vec<Node>),
}

/// A step of a path.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    /// A position, from 0 or from the end below it, or a key.
    At(Node),
}

/// An order of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
}

/// An operation on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[cfg(test)]
mod tests;
