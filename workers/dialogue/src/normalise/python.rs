//! Calls in Python's notation: `look(id="4", deep=True)`, with literals as arguments.

use serde_json::{Map, Number, Value, json};

/// Values nested deeper than this are no arguments.
const DEEPEST: usize = 64;
const QUOTES: [char; 2] = ['"', '\''];

/// A call as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct PythonCall {
    /// The name, with its dots.
    pub name: String,
    /// The arguments by name.
    pub arguments: Map<String, Value>,
    /// The arguments without a name, in order.
    pub positional: Vec<Value>,
}

/// Reads a text that is one call in Python's notation and nothing else.
#[must_use]
pub fn python_call(text: &str) -> Option<PythonCall> {
    let mut parser = Parser::new(text);
    parser.space();
    let call = parser.call()?;
    parser.space();
    parser.rest().is_empty().then_some(call)
}

/// Reads the list of calls that begins a text, and its length in bytes: `[look(id="4"), now()]`.
pub(super) fn list_at(text: &str) -> Option<(Vec<PythonCall>, usize)> {
    let mut parser = Parser::new(text);
    parser.take('[')?;
    let mut calls = Vec::new();
    loop {
        parser.space();
        if !calls.is_empty() && parser.take(']').is_some() {
            return Some((calls, parser.at));
        }
        calls.push(parser.call()?);
        parser.space();
        if parser.take(',').is_none() {
            parser.take(']')?;
            return Some((calls, parser.at));
        }
    }
}

/// Reads the calls that begin a text, in a list or one after another, and their length in bytes.
pub(super) fn calls_at(text: &str) -> Option<(Vec<PythonCall>, usize)> {
    list_at(text).or_else(|| run_at(text))
}

/// Reads the calls that begin a text, one after another, and their length in bytes. They stand on lines of their own or
/// between `;`, also within `print(..)`.
fn run_at(text: &str) -> Option<(Vec<PythonCall>, usize)> {
    let mut parser = Parser::new(text);
    let mut calls = Vec::new();
    let mut end = 0;
    while let Some(call) = parser.statement() {
        calls.push(call);
        end = parser.at;
        parser.space();
        while parser.take(';').is_some() {
            end = parser.at;
            parser.space();
        }
    }
    (!calls.is_empty()).then_some((calls, end))
}

/// Returns the name that a text begins with if `(` follows it: the beginning of a call.
pub(super) fn name_at(text: &str) -> Option<&str> {
    let mut parser = Parser::new(text);
    let name = parser.name()?;
    parser.space();
    parser.take('(').map(|()| name)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Over white space and comments.
    fn space(&mut self) {
        loop {
            self.at += self.rest().len() - self.rest().trim_start().len();
            if self.peek() != Some('#') {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or_else(|| self.rest().len());
        }
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        (self.peek() == Some(wanted)).then(|| self.at += wanted.len_utf8())
    }

    fn identifier(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let word = &rest[..length];
        if word.is_empty() || word.starts_with(|c: char| c.is_numeric()) {
            return None;
        }
        self.at += length;
        Some(word)
    }

    /// Identifiers with dots between them.
    fn name(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.identifier()?;
        while self.peek() == Some('.') {
            self.at += 1;
            self.identifier()?;
        }
        Some(&self.text[start..self.at])
    }

    /// A call, or one within `print(..)`.
    fn statement(&mut self) -> Option<PythonCall> {
        self.space();
        let start = self.at;
        if self.name() == Some("print") && self.take('(').is_some() {
            let inner = self.call().filter(|_| {
                self.space();
                self.take(')').is_some()
            });
            if inner.is_some() {
                return inner;
            }
        }
        self.at = start;
        self.call()
    }

    fn call(&mut self) -> Option<PythonCall> {
        let mut call = PythonCall {
            name: self.name()?.to_owned(),
            arguments: Map::new(),
            positional: Vec::new(),
        };
        self.space();
        self.take('(')?;
        loop {
            self.space();
            if self.take(')').is_some() {
                return Some(call);
            }
            let (name, value) = self.argument()?;
            match name {
                Some(name) if call.arguments.contains_key(name) => return None,
                Some(name) => {
                    call.arguments.insert(name.to_owned(), value);
                }
                None => call.positional.push(value),
            }
            self.space();
            if self.take(',').is_none() {
                self.take(')')?;
                return Some(call);
            }
        }
    }

    fn argument(&mut self) -> Option<(Option<&'a str>, Value)> {
        let start = self.at;
        if let Some(name) = self.identifier() {
            self.space();
            if self.peek() == Some('=') {
                self.at += 1;
                return Some((Some(name), self.value()?));
            }
        }
        self.at = start;
        Some((None, self.value()?))
    }

    fn value(&mut self) -> Option<Value> {
        self.space();
        match self.peek()? {
            '[' => self.items(']').map(|(items, _)| Value::Array(items)),
            '(' => {
                // Brackets around one value are no tuple.
                let (mut items, tuple) = self.items(')')?;
                match items.len() {
                    1 if !tuple => items.pop(),
                    _ => Some(Value::Array(items)),
                }
            }
            '{' => self.object(),
            '-' | '+' | '.' | '0'..='9' => self.number(),
            _ => self.word_or_text(),
        }
    }

    /// The values up to a bracket, and whether a comma stands after the last one or between two.
    fn items(&mut self, close: char) -> Option<(Vec<Value>, bool)> {
        self.enter()?;
        let (mut items, mut comma) = (Vec::new(), false);
        loop {
            self.space();
            if self.take(close).is_some() {
                self.depth -= 1;
                return Some((items, comma));
            }
            items.push(self.value()?);
            self.space();
            if self.take(',').is_some() {
                comma = true;
            } else if self.peek() != Some(close) {
                return None;
            }
        }
    }

    fn object(&mut self) -> Option<Value> {
        self.enter()?;
        let mut map = Map::new();
        loop {
            self.space();
            if self.take('}').is_some() {
                self.depth -= 1;
                return Some(Value::Object(map));
            }
            let name = match self.value()? {
                Value::String(name) => name,
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            self.space();
            self.take(':')?;
            let value = self.value()?;
            if map.insert(name, value).is_some() {
                return None;
            }
            self.space();
            if self.take(',').is_none() && self.peek() != Some('}') {
                return None;
            }
        }
    }

    /// Over an opening bracket.
    fn enter(&mut self) -> Option<()> {
        self.depth += 1;
        self.at += 1;
        (self.depth <= DEEPEST).then_some(())
    }

    fn number(&mut self) -> Option<Value> {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !"+-._".contains(c))
            .unwrap_or(rest.len());
        let written = rest[..length].replace('_', "");
        let plain = written.strip_prefix('+').unwrap_or(&written);
        let number: Number = match plain.parse() {
            Ok(number) => number,
            // `.5` and `5.`, which JSON does not have.
            Err(_) if plain.contains('.') => Number::from_f64(plain.parse().ok()?)?,
            Err(_) => return None,
        };
        // A whole number that 64 bits do not hold.
        let mut digits = plain.trim_start_matches('-').bytes();
        if number.is_f64() && digits.all(|b| b.is_ascii_digit()) {
            return None;
        }
        self.at += length;
        Some(Value::Number(number))
    }

    fn word_or_text(&mut self) -> Option<Value> {
        let rest = self.rest();
        let prefix = rest.starts_with(['r', 'R', 'u', 'U']);
        let quoted = rest.get(usize::from(prefix)..)?.starts_with(QUOTES);
        if quoted {
            self.at += usize::from(prefix);
            let mut text = self.quoted(rest.starts_with(['r', 'R']))?;
            // Neighbouring texts are one.
            loop {
                let end = self.at;
                self.space();
                if !self.rest().starts_with(QUOTES) {
                    self.at = end;
                    return Some(Value::String(text));
                }
                text.push_str(&self.quoted(false)?);
            }
        }
        match self.identifier()? {
            "True" | "true" => Some(json!(true)),
            "False" | "false" => Some(json!(false)),
            "None" | "null" => Some(Value::Null),
            _ => None,
        }
    }

    fn quoted(&mut self, raw: bool) -> Option<String> {
        let quote = self.peek()?;
        let three: String = [quote; 3].iter().collect();
        let close = if self.rest().starts_with(&three) {
            three
        } else {
            quote.to_string()
        };
        self.at += close.len();
        let mut out = String::new();
        loop {
            if self.rest().starts_with(&close) {
                self.at += close.len();
                return Some(out);
            }
            let c = self.peek()?;
            self.at += c.len_utf8();
            match c {
                '\\' if raw => {
                    out.push(c);
                    let next = self.peek()?;
                    self.at += next.len_utf8();
                    out.push(next);
                }
                '\\' => self.escape(&mut out)?,
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        let plain = match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '0' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => '\0',
            '\\' | '\'' | '"' => c,
            '\n' => return Some(()),
            'x' => self.code(2)?,
            'u' => self.code(4)?,
            'U' => self.code(8)?,
            'N' | '0'..='9' => return None,
            // Python keeps the backslash of an escape that it does not know.
            other => {
                out.push('\\');
                other
            }
        };
        out.push(plain);
        Some(())
    }

    /// The character of so many hexadecimal digits; halves of one, as JSON writes them, are joined.
    fn code(&mut self, digits: usize) -> Option<char> {
        let high = self.hex(digits)?;
        if digits != 4 || !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high);
        }
        self.at += self.rest().strip_prefix("\\u").map(|_| 2)?;
        let low = self.hex(4)?;
        if !(0xdc00..0xe000).contains(&low) {
            return None;
        }
        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let text = self.rest().get(..digits)?;
        if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at += digits;
        u32::from_str_radix(text, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Map<String, Value> {
        let (calls, length) = run_at(text).unwrap();
        assert_eq!((calls.len(), length), (1, text.len()), "{text}");
        calls[0].arguments.clone()
    }

    #[test]
    fn literals_of_python_are_read_as_the_values_they_are() {
        let read = one(
            r#"f(a=1, b='x"y', c=-2.5, d=True, e=None, f=[1, (2, 3)], g={'k': "v", 7: .5}, h=("a" 'b'), i=1_000, j=r'\d', k="\u00e9\x41\n",)"#,
        );
        let wanted = json!({"a": 1, "b": "x\"y", "c": -2.5, "d": true, "e": null, "f": [1, [2, 3]],
            "g": {"k": "v", "7": 0.5}, "h": "ab", "i": 1000, "j": "\\d", "k": "éA\n"});
        assert_eq!(Value::Object(read), wanted);
        assert_eq!(
            json!(one("f(a='''two\nlines''')")),
            json!({"a": "two\nlines"})
        );
        assert!(one("print(now())").is_empty());
    }

    #[test]
    fn lists_and_runs_end_where_the_calls_end() {
        let (calls, length) = list_at(r#"[a.look(id="]"), now()] and so on"#).unwrap();
        let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!((names, length), (vec!["a.look", "now"], 23));
        let (calls, length) = run_at("look(id='4'); now()\nThen I answer.").unwrap();
        assert_eq!((calls.len(), length), (2, 19));
        assert!(list_at("[1, 2]").is_none() && list_at("[see (policy)").is_none());
        assert_eq!(run_at("look(4)").unwrap().0[0].positional, [json!(4)]);
        assert_eq!(name_at("look (4)"), Some("look"));
    }

    #[test]
    fn text_that_is_no_literal_is_not_read() {
        for text in [
            "f(a=b)",
            "f(a=007)",
            "f(a=1, a=2)",
            "f(a=f'{x}')",
            "f(a='x)",
            "f(a=123456789012345678901234567890)",
            "f(a={1})",
            "f(a=\"\\ud83d\")",
        ] {
            assert!(run_at(text).is_none(), "{text}");
        }
        let deep = format!("f(a={})", "[".repeat(100_000));
        assert!(run_at(&deep).is_none());
    }
}
