//! JSON as models write it, read without guessing.
//!
//! The repairs change notation and nothing else; no value, call or assertion is added, and none is taken away:
//! 1. text and code fences around the value are left out;
//! 2. `'single'` quotes are read as double ones, and `True`, `False`, `None` as JSON's own words;
//! 3. a comma before a closing bracket, and comments, are left out;
//! 4. line breaks and tabs within a string are read as `\n` and `\t`;
//! 5. closing brackets that are missing at the very end are added, when the model had ended by itself and the last thing
//!    it wrote is a whole value. After a number nothing is closed (its last digits may be missing), nor after a colon, a
//!    comma, a name, or within a string, nor when a token limit had cut the answer off.
//!
//! A name that stands twice in one object is an error: which of the two was meant would be a guess.

use serde_json::{Map, Number, Value};

/// A repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// Text or fences around the value.
    Surroundings,
    /// Quotes or words of another notation.
    Notation,
    /// A comma too many, or a comment.
    Comma,
    /// Line breaks within a string.
    LineBreak,
    /// Closing brackets at the end.
    Closing,
}

/// A value and what was repaired to read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The value.
    pub value: Value,
    /// The repairs, each once.
    pub repairs: Vec<Repair>,
}

/// Text that holds no JSON value, or one that cannot be read without guessing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// No bracket at all.
    #[error("there is no JSON in the answer")]
    None,
    /// It breaks off.
    #[error("the JSON ends too early, {0}")]
    Early(&'static str),
    /// It goes wrong.
    #[error("the JSON goes wrong near {near:?}: {why}")]
    Wrong {
        /// The text at that place.
        near: String,
        /// The cause.
        why: &'static str,
    },
}

/// The first JSON object or list in a text. `cut` says that a token limit ended the text.
///
/// # Errors
/// When there is none, or it cannot be read by the repairs above.
pub fn json_in_text(text: &str, cut: bool) -> Result<Reading, JsonError> {
    let first = text.find(['{', '[']).ok_or(JsonError::None)?;
    let fence = text.find("```").filter(|fence| *fence > first);
    let fenced = fence.and_then(|fence| Some(fence + text[fence..].find(['{', '['])?));
    match (read_at(text, first, cut), fenced) {
        // The fence stands in a string of the value.
        (Ok((reading, end)), Some(at)) if end > at => Ok(reading),
        (Err(error), Some(_)) if text.trim_start().starts_with(['{', '[']) => Err(error),
        // The brackets before the fence are prose.
        (_, Some(at)) => read_at(text, at, cut).map(|(reading, _)| reading),
        (read, None) => read.map(|(reading, _)| reading),
    }
}

/// Reads the value that begins at `start`; returns the place of its end as well.
fn read_at(text: &str, start: usize, cut: bool) -> Result<(Reading, usize), JsonError> {
    let mut parser = Parser {
        text,
        at: start,
        repairs: Vec::new(),
        may_close: !cut,
        depth: 0,
    };
    let value = parser.value()?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Reading {
        json_in_text(text, false).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn notation_is_repaired_and_named() {
        use Repair::{Closing, Comma, LineBreak, Notation, Surroundings};
        let whole = json!({"a": [1, true], "b": "x\ny"});
        for (text, repairs) in [
            (r#"{"a": [1, true], "b": "x\ny"}"#, vec![]),
            (
                "Sure:\n```json\n{\"a\": [1, true], \"b\": \"x\\ny\"}\n```",
                vec![Surroundings],
            ),
            ("{'a': [1, True], 'b': 'x\\ny'}", vec![Notation]),
            (
                "{\"a\": [1, true,], // two\n \"b\": \"x\ny\",}",
                vec![Comma, LineBreak],
            ),
            (r#"{"a": [1, true], "b": "x\ny""#, vec![Closing]),
        ] {
            let reading = read(text);
            assert_eq!(reading.value, whole, "{text}");
            assert_eq!(reading.repairs, repairs, "{text}");
        }
    }

    #[test]
    fn a_fence_within_a_string_is_part_of_it_and_brackets_before_a_fence_are_prose() {
        let source = json!({"source": "```python\nx = {}\n```"});
        assert_eq!(read(&source.to_string()).value, source);
        assert_eq!(read(&format!("Sure: {source}")).value, source);
        let fenced = "As in [the policy] and [1]:\n```json\n{\"a\": 1}\n```";
        assert_eq!(read(fenced).value, json!({"a": 1}));
    }

    #[test]
    fn nothing_is_closed_where_something_may_be_missing() {
        for text in [
            r#"{"days": 1"#,          // 1 may be 12
            r#"{"parcel": "4821"#,    // within a string
            r#"{"parcel": "48213","#, // another name would follow
            r#"{"parcel":"#,
            r#"[{"name": "hold"}, {"#,
        ] {
            assert!(
                matches!(json_in_text(text, false), Err(JsonError::Early(_))),
                "{text}"
            );
        }
        assert!(
            json_in_text(r#"{"a": "b""#, true).is_err(),
            "cut off by a limit"
        );
        assert!(json_in_text("no json", false).is_err());
        assert!(
            json_in_text(r#"{"a": 1, "a": 2}"#, false).is_err(),
            "which one?"
        );
        assert!(json_in_text(r#"{"a": 1 "b": 2}"#, false).is_err());
        assert!(json_in_text(&"[".repeat(100_000), false).is_err());
    }

    #[test]
    fn sound_json_is_read_as_serde_reads_it() {
        for text in [
            r#"{"a":{"b":[1,-2.5,1e3,"\u00e9\ud83d\ude00\/"]},"c":null}"#,
            "[]",
            "{}",
        ] {
            let plain: Value = serde_json::from_str(text).unwrap();
            assert_eq!(
                read(text),
                Reading {
                    value: plain,
                    repairs: vec![]
                }
            );
        }
    }
}
