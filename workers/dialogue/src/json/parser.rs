//! The parser that reads one value and notes what it repairs.

use serde_json::{Map, Number, Value};

use super::{JsonError, Reading, Repair};

/// Reads the value that begins at `start`; returns the place of its end as well, or that at which it goes wrong.
pub(super) fn read_at(
    text: &str,
    start: usize,
    cut: bool,
) -> Result<(Reading, usize), (JsonError, usize)> {
    let mut parser = Parser {
        text,
        at: start,
        repairs: Vec::new(),
        may_close: !cut,
        depth: 0,
    };
    let value = match parser.value() {
        Ok(value) => value,
        Err(error) => return Err((error, parser.at)),
    };
    let around = text[..start].trim().len() + text[parser.at..].trim().len();
    if around > 0 {
        parser.repaired(Repair::Surroundings);
    }
    parser.repairs.sort_unstable();
    let reading = Reading {
        value,
        repairs: parser.repairs,
    };
    Ok((reading, parser.at))
}

/// Values nested deeper than this are no answer.
const DEEPEST: usize = 64;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    repairs: Vec<Repair>,
    may_close: bool,
    depth: usize,
}

impl Parser<'_> {
    fn repaired(&mut self, repair: Repair) {
        if !self.repairs.contains(&repair) {
            self.repairs.push(repair);
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn wrong<T>(&self, why: &'static str) -> Result<T, JsonError> {
        let near = self.text[self.at..].chars().take(20).collect();
        Err(JsonError::Wrong { near, why })
    }

    /// Over white space and comments.
    fn space(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            self.at += rest.len() - rest.trim_start().len();
            let rest = &self.text[self.at..];
            if !rest.starts_with("//") && !rest.starts_with('#') {
                return;
            }
            self.repaired(Repair::Comma);
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    fn value(&mut self) -> Result<Value, JsonError> {
        self.space();
        match self.peek() {
            None => Err(JsonError::Early("before a value")),
            Some('{') => self.nested('}'),
            Some('[') => self.nested(']'),
            Some('"' | '\'') => self.string().map(Value::String),
            Some('-' | '0'..='9') => self.number(),
            Some(c) if c.is_ascii_alphabetic() => self.word(),
            Some(_) => self.wrong("no value begins like this"),
        }
    }

    fn nested(&mut self, close: char) -> Result<Value, JsonError> {
        if self.depth == DEEPEST {
            return self.wrong("it is nested too deep");
        }
        self.depth += 1;
        self.at += 1;
        let mut map = Map::new();
        let mut items = Vec::new();
        let mut last_is_number = false;
        let mut comma = true;
        loop {
            self.space();
            match self.peek() {
                Some(c) if c == close => {
                    if comma && !(map.is_empty() && items.is_empty()) {
                        self.repaired(Repair::Comma);
                    }
                    self.at += c.len_utf8();
                    break;
                }
                None if self.may_close && !comma && !last_is_number => {
                    self.repaired(Repair::Closing);
                    break;
                }
                None => return Err(JsonError::Early("and what is missing is not known")),
                Some(_) if !comma => return self.wrong("a comma or a closing bracket is missing"),
                Some(_) => {}
            }
            if close == '}' {
                let name = self.name()?;
                let value = self.value()?;
                last_is_number = value.is_number();
                if map.insert(name, value).is_some() {
                    return self.wrong("the name before stands twice in one object");
                }
            } else {
                let value = self.value()?;
                last_is_number = value.is_number();
                items.push(value);
            }
            self.space();
            comma = self.peek() == Some(',');
            if comma {
                self.at += 1;
            }
        }
        self.depth -= 1;
        Ok(if close == '}' {
            Value::Object(map)
        } else {
            Value::Array(items)
        })
    }

    fn name(&mut self) -> Result<String, JsonError> {
        if !matches!(self.peek(), Some('"' | '\'')) {
            return self.wrong("a quoted name is missing");
        }
        let name = self.string()?;
        self.space();
        match self.peek() {
            Some(':') => self.at += 1,
            None => return Err(JsonError::Early("after a name")),
            Some(_) => return self.wrong("a colon is missing"),
        }
        Ok(name)
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let Some(quote) = self.peek() else {
            return Err(JsonError::Early("before a string"));
        };
        if quote == '\'' {
            self.repaired(Repair::Notation);
        }
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.peek() else {
                return Err(JsonError::Early("within a string"));
            };
            self.at += c.len_utf8();
            match c {
                c if c == quote => return Ok(out),
                '\\' => out.push(self.escape()?),
                '\n' | '\t' | '\r' => {
                    self.repaired(Repair::LineBreak);
                    out.push(c);
                }
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(c) = self.peek() else {
            return Err(JsonError::Early("within a string"));
        };
        self.at += c.len_utf8();
        Ok(match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            '"' | '\\' | '/' | '\'' => c,
            'u' => return self.unicode(),
            _ => return self.wrong("there is no such escape"),
        })
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let high = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let low = self.hex4()?;
            if !(0xdc00..0xe000).contains(&low) {
                return self.wrong("half a character");
            }
            0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        match char::from_u32(code) {
            Some(c) => Ok(c),
            None => self.wrong("half a character"),
        }
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4);
        // `from_str_radix` by itself would take a sign.
        let digits = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|d| u32::from_str_radix(d, 16).ok()) {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => self.wrong("four hexadecimal digits are missing"),
        }
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let rest = &self.text[self.at..];
        let end = rest
            .find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'))
            .unwrap_or(rest.len());
        match rest[..end].parse::<Number>() {
            Ok(number) => {
                self.at += end;
                Ok(Value::Number(number))
            }
            Err(_) => self.wrong("this is not a number"),
        }
    }

    fn word(&mut self) -> Result<Value, JsonError> {
        let rest = &self.text[self.at..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let value = match &rest[..end] {
            "true" | "True" => Value::Bool(true),
            "false" | "False" => Value::Bool(false),
            "null" | "None" => Value::Null,
            _ => return self.wrong("this word is not a value"),
        };
        if rest.starts_with(|c: char| c.is_ascii_uppercase()) {
            self.repaired(Repair::Notation);
        }
        self.at += end;
        Ok(value)
    }
}
