//! The grammar of expressions, from the weakest to the strongest: `or`; `and`; `not`; comparisons and `in`; `+` and `-`; `*`, `/`
//! and `%`; a sign; fields and positions.

mod arguments;

use serde_json::Value;

use super::lexer::{Token, tokens};
use super::{Comparison, Expression, Node, Operation, Step};

/// The longest text that is read.
const LONGEST: usize = 2_000;
/// The depth to which parts stand within each other.
const DEEPEST: usize = 40;
/// The name of an element within a function over a list that gives it no other.
const ITEM: &str = "item";

/// The kind of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A fact or a linked record. Alone on the right of `==`, `!=` and `in` it is read as a text.
    Fact,
    /// A computed value or a loop variable.
    Value,
}

/// Tells the names that have a meaning.
pub(crate) type Known<'a> = &'a dyn Fn(&str) -> Option<Kind>;

pub(super) fn parse(text: &str, known: Known<'_>) -> Result<Expression, String> {
    if text.len() > LONGEST {
        return Err(format!(
            "it is longer than {LONGEST} bytes; compute a part of it apart"
        ));
    }
    let is_name = |word: &str| known(word).is_some();
    let mut parser = Parser {
        tokens: tokens(text, &is_name)?,
        at: 0,
        depth: 0,
        lists: true,
        known,
        items: Vec::new(),
        names: Vec::new(),
        paths: Vec::new(),
    };
    let node = parser.any()?;
    match parser.tokens.get(parser.at) {
        None => Ok(Expression {
            node,
            names: parser.names,
            paths: parser.paths,
        }),
        Some(Token::Word(word)) => Err(format!(
            "`{word}` is not expected there; put a text of several words into quotes"
        )),
        Some(Token::Sign(sign)) => Err(format!("`{sign}` is not expected there")),
        Some(Token::Literal(value)) => Err(format!("{value} is not expected there")),
    }
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// True where commas stand between the choices of `in`, and not between arguments.
    lists: bool,
    known: Known<'a>,
    /// The lists that are gone through, the innermost last: the name of an element, and the list's path, empty where it has
    /// none.
    items: Vec<(String, String)>,
    names: Vec<String>,
    paths: Vec<String>,
}

impl Parser<'_> {
    fn sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(0, sign);
        self.at += usize::from(found);
        found
    }

    fn is_sign(&self, ahead: usize, sign: &str) -> bool {
        matches!(self.tokens.get(self.at + ahead), Some(Token::Sign(one)) if *one == sign)
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(one)) if one == word);
        self.at += usize::from(found);
        found
    }

    fn closed(&mut self, sign: &str) -> Result<(), String> {
        match self.sign(sign) {
            true => Ok(()),
            false => Err(format!("a `{sign}` is missing")),
        }
    }

    fn any(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!(
                "its parts stand within each other more than {DEEPEST} deep"
            ));
        }
        let mut left = self.all()?;
        while self.word("or") {
            left = Node::Or(Box::new(left), Box::new(self.all()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn all(&mut self) -> Result<Node, String> {
        let mut left = self.not()?;
        while self.word("and") {
            left = Node::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Node, String> {
        let mut negated = false;
        while self.word("not") {
            negated = !negated;
        }
        let inner = self.comparison()?;
        Ok(match negated {
            true => Node::Not(Box::new(inner)),
            false => inner,
        })
    }

    fn comparison(&mut self) -> Result<Node, String> {
        let left = self.sum()?;
        for (sign, order) in [
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Less),
            (">", Comparison::More),
        ] {
            if self.sign(sign) {
                let right = self.sum()?;
                return Ok(Node::Ordered(Box::new(left), order, Box::new(right)));
            }
        }
        if self.sign("!=") {
            let right = self.choice()?;
            return sides(&left, std::slice::from_ref(&right))
                .map(|()| Node::Unlike(Box::new(left), Box::new(right)));
        }
        let negated = matches!(self.tokens.get(self.at + 1), Some(Token::Word(word)) if word == "in")
            && self.word("not");
        if !self.sign("==") && !self.word("in") {
            return Ok(left);
        }
        let mut choices = vec![self.choice()?];
        while self.lists && self.sign(",") {
            choices.push(self.choice()?);
        }
        sides(&left, &choices)?;
        let among = Node::Among(Box::new(left), choices);
        Ok(match negated {
            true => Node::Not(Box::new(among)),
            false => among,
        })
    }

    /// Reads what stands on the right of `==`, `!=` and `in`. A word alone is a text there, also where it is a fact's name.
    fn choice(&mut self) -> Result<Node, String> {
        const GOES_ON: [&str; 8] = [".", "[", "(", "+", "-", "*", "/", "%"];
        if let Some(Token::Word(word)) = self.tokens.get(self.at) {
            let alone = !GOES_ON.iter().any(|sign| self.is_sign(1, sign));
            let own = matches!(word.as_str(), "true" | "false" | "null" | "now")
                || self.items.iter().any(|(item, _)| item == word)
                || (self.known)(word) == Some(Kind::Value);
            if alone && !own {
                let text = Node::Literal(Value::from(word.as_str()));
                self.at += 1;
                return Ok(text);
            }
        }
        self.sum()
    }

    fn sum(&mut self) -> Result<Node, String> {
        let mut left = self.product()?;
        loop {
            let operation = if self.sign("+") {
                Operation::Add
            } else if self.sign("-") {
                Operation::Subtract
            } else {
                return Ok(left);
            };
            left = Node::Arithmetic(Box::new(left), operation, Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Node, String> {
        let mut left = self.signed()?;
        loop {
            let operation = if self.sign("*") {
                Operation::Multiply
            } else if self.sign("/") {
                Operation::Divide
            } else if self.sign("%") {
                Operation::Remainder
            } else {
                return Ok(left);
            };
            left = Node::Arithmetic(Box::new(left), operation, Box::new(self.signed()?));
        }
    }

    fn signed(&mut self) -> Result<Node, String> {
        let mut negative = false;
        while self.sign("-") {
            negative = !negative;
        }
        let inner = self.primary()?;
        Ok(match negative {
            true => Node::Negated(Box::new(inner)),
            false => inner,
        })
    }

    fn primary(&mut self) -> Result<Node, String> {
        let Some(token) = self.tokens.get(self.at).cloned() else {
            return Err("it ends too early".into());
        };
        self.at += 1;
        match token {
            Token::Literal(value) => Ok(Node::Literal(value)),
            Token::Sign("(") => {
                let inner = self.within(true, Self::any)?;
                self.closed(")")?;
                self.steps(inner, None)
            }
            Token::Sign("[") => {
                let items =
                    self.within(false, |parser| parser.separated("]", Self::choice_or_any))?;
                Ok(Node::List(items))
            }
            Token::Sign(sign) => Err(format!("`{sign}` is not expected there")),
            Token::Word(word) if self.sign("(") => {
                let called = self.within(false, |parser| parser.called(&word))?;
                self.steps(called, None)
            }
            Token::Word(word) => self.name(&word),
        }
    }

    fn name(&mut self, word: &str) -> Result<Node, String> {
        match word {
            "true" => return Ok(Node::Literal(Value::Bool(true))),
            "false" => return Ok(Node::Literal(Value::Bool(false))),
            "null" => return Ok(Node::Literal(Value::Null)),
            "now" => return Ok(Node::Now),
            _ => {}
        }
        let mut outwards = self.items.iter().rev().enumerate();
        if let Some((out, (_, list))) = outwards.find(|(_, (item, _))| item == word) {
            let path = list.clone();
            return self.steps(Node::Item(out), Some(path));
        }
        if (self.known)(word).is_none() {
            return Err(format!(
                "`{word}` is no fact, linked record or computed value; put a text into quotes"
            ));
        }
        if !self.names.iter().any(|name| name == word) {
            self.names.push(word.to_owned());
        }
        self.steps(Node::Name(word.to_owned()), Some(word.to_owned()))
    }

    /// Reads the fields and positions after a part. `path` is the part as a path, where it is one.
    fn steps(&mut self, base: Node, path: Option<String>) -> Result<Node, String> {
        let mut path = path.filter(|path| !path.is_empty());
        let mut steps = Vec::new();
        // The path is noted before those of its positions.
        let noted = self.paths.len();
        loop {
            if self.sign(".") {
                let field = match self.tokens.get(self.at) {
                    Some(Token::Word(field)) => field.clone(),
                    Some(Token::Literal(value)) => value.to_string(),
                    _ => return Err("a `.` without a field".into()),
                };
                self.at += 1;
                if let Some(path) = &mut path {
                    path.push('.');
                    path.push_str(&field);
                }
                steps.push(Step::Field(field));
            } else if self.sign("[") {
                let at = self.within(false, Self::any)?;
                self.closed("]")?;
                if let Some(path) = &mut path {
                    path.push_str("[0]");
                }
                steps.push(Step::At(at));
            } else {
                break;
            }
        }
        if let Some(path) = path {
            self.paths.insert(noted, path);
        }
        Ok(match steps.is_empty() {
            true => base,
            false => Node::Within(Box::new(base), steps),
        })
    }
}

/// Refuses a comparison of literals with each other, which is always the same.
fn sides(left: &Node, right: &[Node]) -> Result<(), String> {
    let literal = |node: &Node| matches!(node, Node::Literal(_));
    match literal(left) && right.iter().all(literal) {
        true => Err(
            "it compares two fixed values; begin one side with a fact or a linked record".into(),
        ),
        false => Ok(()),
    }
}
