//! The arguments of functions and the items of lists.

use serde_json::Value;

use super::{ITEM, Parser};
use crate::expression::Node;
use crate::expression::function::{Aggregate, Function, names};
use crate::expression::lexer::Token;

impl Parser<'_> {
    /// Reads a part in which commas have another meaning.
    pub(super) fn within<T>(
        &mut self,
        lists: bool,
        read: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        let before = std::mem::replace(&mut self.lists, lists);
        let found = read(self);
        self.lists = before;
        found
    }

    /// Reads parts between commas, up to the closing sign.
    pub(super) fn separated(
        &mut self,
        close: &str,
        read: fn(&mut Self) -> Result<Node, String>,
    ) -> Result<Vec<Node>, String> {
        let mut found = Vec::new();
        if self.sign(close) {
            return Ok(found);
        }
        loop {
            found.push(read(self)?);
            if !self.sign(",") {
                self.closed(close)?;
                return Ok(found);
            }
        }
    }

    /// Reads an item of a list in brackets: a word alone is a text.
    pub(super) fn choice_or_any(&mut self) -> Result<Node, String> {
        match self.is_sign(1, ",") || self.is_sign(1, "]") {
            true => self.choice(),
            false => self.any(),
        }
    }

    pub(super) fn called(&mut self, name: &str) -> Result<Node, String> {
        let wrong = || format!("`{name}` has other arguments than it takes");
        if let Some(function) = Function::named(name) {
            let mut arguments = Vec::new();
            if function.reads_records()
                && let Some(Token::Word(collection)) = self.tokens.get(self.at)
            {
                arguments.push(Node::Literal(Value::from(collection.as_str())));
                self.at += 1;
                if !self.sign(",") {
                    self.closed(")")?;
                    return function
                        .takes(1)
                        .then_some(Node::Call(function, arguments))
                        .ok_or_else(wrong);
                }
                // The field of the records is a name of theirs.
                if let (Function::Records, Some(Token::Word(field))) =
                    (function, self.tokens.get(self.at))
                {
                    arguments.push(Node::Literal(Value::from(field.as_str())));
                    self.at += 1;
                    self.closed(",")?;
                }
            }
            arguments.extend(self.separated(")", Self::any)?);
            let fits = function.takes(arguments.len())
                && !(function == Function::Records && arguments.len() == 2);
            return fits
                .then_some(Node::Call(function, arguments))
                .ok_or_else(wrong);
        }
        let Some(aggregate) = Aggregate::named(name) else {
            return Err(format!(
                "there is no function `{name}`; the functions are {}",
                names()
            ));
        };
        self.over(aggregate, name)
    }

    /// Reads the name of an element, `line in`, before a list.
    fn element(&mut self) -> Result<String, String> {
        let named = matches!(self.tokens.get(self.at + 1), Some(Token::Word(word)) if word == "in");
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) if named => {
                let (word, taken) = (word.clone(), (self.known)(word).is_some() || word == "now");
                self.at += 2;
                match taken {
                    true => Err(format!(
                        "`{word}` has a meaning already; give the element another name"
                    )),
                    false => Ok(word),
                }
            }
            _ => Ok(ITEM.to_owned()),
        }
    }

    /// Reads the arguments of a function over a list: the list, `where` and a condition, and what is wanted of each element.
    fn over(&mut self, aggregate: Aggregate, name: &str) -> Result<Node, String> {
        let item = self.element()?;
        let before = self.paths.len();
        let list = self.any()?;
        let path = match &list {
            Node::Name(_) | Node::Within(..) => self.paths.get(before).cloned(),
            _ => None,
        };
        self.items.push((item, path.unwrap_or_default()));
        let condition = match self.word("where") {
            true => Some(Box::new(self.any()?)),
            false => None,
        };
        let rest = match self.sign(",") {
            true => self.separated(")", Self::any)?,
            false => {
                self.closed(")")?;
                Vec::new()
            }
        };
        self.items.pop();
        match aggregate.takes(rest.len() + 1) {
            true => Ok(Node::Over(aggregate, Box::new(list), condition, rest)),
            false => Err(format!("`{name}` has other arguments than it takes")),
        }
    }
}
