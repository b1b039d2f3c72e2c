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

mod parser;

use serde_json::Value;

use parser::read_at;

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

/// The brackets that a value begins with.
const BRACKETS: [char; 2] = ['{', '['];
/// Places of a text at which a value is looked for, at most: a bound on the work that a text of brackets makes.
const PLACES: usize = 256;

/// Returns every JSON object and list in a text that does not lie within another: first those after the first fence, then
/// those before it, each group in the order of the text. `cut` says that a token limit ended the text.
///
/// The first of them that has the form that was asked for is the answer: drafts and examples stand before a fence, and small
/// models go on after their answer. The pieces of a value that breaks off are no values.
#[must_use]
pub fn values_in_text(text: &str, cut: bool) -> Vec<Reading> {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let (mut at, mut places, mut fenced) = (0, 0, false);
    while let Some(next) = text[at..].find(['{', '[', '`', '~']) {
        at += next;
        if !text[at..].starts_with(BRACKETS) {
            fenced |= is_fence(&text[at..]);
            at += 1;
            continue;
        }
        places += 1;
        if places > PLACES {
            break;
        }
        match read_at(text, at, cut) {
            Ok((reading, end)) => {
                let group = if fenced { &mut after } else { &mut before };
                group.push(reading);
                at = end;
            }
            Err((JsonError::Early(_), _)) => match next_fence(text, at) {
                Some(fence) => at = fence,
                None => break,
            },
            Err((_, wrong)) => at = wrong.max(at + 1),
        }
    }
    after.append(&mut before);
    after
}

fn is_fence(text: &str) -> bool {
    text.starts_with("```") || text.starts_with("~~~")
}

/// The next fence after a place that begins a line.
fn next_fence(text: &str, at: usize) -> Option<usize> {
    let mut lines = text[at..].match_indices('\n').map(|(n, _)| at + n + 1);
    lines.find(|line| is_fence(&text[*line..]))
}

/// Returns the object or list that begins a text, and its length in bytes: sound JSON as it is, else by the repairs above,
/// of which nothing that is missing is added.
pub(crate) fn value_at(text: &str) -> Option<(Value, usize)> {
    if !text.starts_with(BRACKETS) {
        return None;
    }
    sound_at(text).or_else(|| {
        let (reading, end) = read_at(text, 0, true).ok()?;
        Some((reading.value, end))
    })
}

/// Returns the value that a text is, whatever its type. Nothing that is missing is added.
pub(crate) fn whole(text: &str) -> Option<Value> {
    let text = text.trim();
    serde_json::from_str(text).ok().or_else(|| {
        let (value, length) = value_at(text)?;
        text[length..].trim().is_empty().then_some(value)
    })
}

/// Returns the piece of a text that ends before the first of `closers` behind the JSON value that the text begins with, so
/// that a closer within a string ends nothing; and the place after that closer. Without a closer it is the whole text.
pub(crate) fn until<'a>(text: &'a str, closers: &[&str]) -> (&'a str, usize) {
    let start = text.len() - text.trim_start().len();
    let value = sound_at(&text[start..]).map_or(0, |(_, length)| start + length);
    match first_of(&text[value..], closers) {
        Some((at, length)) => (&text[..value + at], value + at + length),
        None => (text, text.len()),
    }
}

/// Returns the place and the length of the first of some marks in a text; of those at one place, of the shortest.
pub(crate) fn first_of(text: &str, marks: &[&str]) -> Option<(usize, usize)> {
    let found = |mark: &&str| Some((text.find(*mark)?, mark.len()));
    marks.iter().filter_map(found).min()
}

/// Returns the object or list that begins a text if it is sound JSON, and its length in bytes.
fn sound_at(text: &str) -> Option<(Value, usize)> {
    if !text.starts_with(BRACKETS) {
        return None;
    }
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match stream.next() {
        Some(Ok(value)) => Some((value, stream.byte_offset())),
        _ => None,
    }
}

/// The first of [`values_in_text`].
///
/// # Errors
/// When there is none: the reason why the text, or what stands in its fence, cannot be read by the repairs above.
pub fn json_in_text(text: &str, cut: bool) -> Result<Reading, JsonError> {
    if let Some(reading) = values_in_text(text, cut).into_iter().next() {
        return Ok(reading);
    }
    let first = text.find(BRACKETS).ok_or(JsonError::None)?;
    let fence = text.find("```").unwrap_or(0);
    let fenced = text[fence..].find(BRACKETS).map(|n| fence + n);
    let place = fenced.filter(|_| !text.trim_start().starts_with(BRACKETS));
    match read_at(text, place.unwrap_or(first), cut) {
        Ok((reading, _)) => Ok(reading),
        Err((error, _)) => Err(error),
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
    fn of_several_values_those_in_fences_come_first_and_pieces_of_a_broken_one_are_none() {
        let values = |text: &str| -> Vec<Value> {
            values_in_text(text, false)
                .into_iter()
                .map(|reading| reading.value)
                .collect()
        };
        let text =
            "I fill {wants, knows}, not {\"a\": 0}.\n```json\n{\"a\": 1}\n```\nor {\"a\": 2}";
        assert_eq!(
            values(text),
            [json!({"a": 1}), json!({"a": 2}), json!({"a": 0})]
        );
        for broken in [r#"{"a": {"b": 1}, "c": "#, r#"{"a": {"b": 1} "c": 2}"#] {
            assert!(values(broken).is_empty(), "{broken}");
        }
        assert!(values(&"{\"a\": [".repeat(50_000)).is_empty());
    }

    #[test]
    fn a_closer_within_a_string_ends_nothing() {
        let text = "{\"a\": \"x</t>y\"}</t> and </t>";
        assert_eq!(until(text, &["</t>"]), ("{\"a\": \"x</t>y\"}", 19));
        assert_eq!(until("{oops</t>", &["</t>", "<t>"]), ("{oops", 9));
        assert_eq!(until("{}", &["</t>"]), ("{}", 2));
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
