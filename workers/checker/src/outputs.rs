//! Outputs communicated: each required text must be said by the agent, in any of its messages, as whole words.
use crate::verdict::Part;
use agoge_dialogue::{Message, Role};

/// The part's name in a verdict.
pub const NAME: &str = "outputs";

/// Checks that every required output was said. Case, spacing and thousands separators do not matter; numbers are compared by value,
/// so `12.5` is said by `12.50` but not by `112.5`, `12.55`, `12-05-01` or `P12`.
pub fn check(required: &[String], messages: &[Message]) -> Part {
    let missing = missing(required, messages);
    if missing.is_empty() {
        return Part::passed(NAME);
    }
    let listed: Vec<String> = missing.iter().map(|m| format!("{m:?}")).collect();
    Part::failed(NAME, format!("the agent never said {}", listed.join(", ")))
}

/// The required outputs that no message of the agent says.
pub fn missing<'a>(required: &'a [String], messages: &[Message]) -> Vec<&'a str> {
    let said: Vec<String> = messages
        .iter()
        .filter(|m| m.role == Role::Assistant && !m.content.is_empty())
        .map(|m| normal(&m.content))
        .collect();
    required
        .iter()
        .map(String::as_str)
        .filter(|output| !said.iter().any(|text| contains(text, &normal(output))))
        .collect()
}

/// Returns true when one text communicates an output: the words in a row, or a number by its value.
pub fn communicates(text: &str, output: &str) -> bool {
    contains(&normal(text), &normal(output))
}

/// [`communicates`] on normalised texts.
fn contains(text: &str, output: &str) -> bool {
    if output.is_empty() {
        return true;
    }
    match number(output) {
        Some(wanted) => words(text).any(|w| number(w) == Some(wanted)),
        None => text
            .match_indices(output)
            .any(|(start, found)| whole(text, start, start + found.len())),
    }
}

/// Lower case, single spaces, no thousands separators.
fn normal(text: &str) -> String {
    let spaced = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase();
    let chars: Vec<char> = spaced.chars().collect();
    let digit = |i: usize| chars.get(i).is_some_and(char::is_ascii_digit);
    let mut out = String::with_capacity(spaced.len());
    for (i, c) in chars.iter().enumerate() {
        let separator =
            *c == ',' && i > 0 && digit(i - 1) && (1..=3).all(|k| digit(i + k)) && !digit(i + 4);
        if !separator {
            out.push(*c);
        }
    }
    out
}

/// Pieces between spaces and brackets, without the punctuation around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "()[]{}<>|;\"*".contains(c))
        .map(|w| w.trim_matches(|c: char| !c.is_alphanumeric() && c != '-'))
        .filter(|w| !w.is_empty())
}

/// The value of a plain number, with or without a currency or percent sign.
fn number(text: &str) -> Option<f64> {
    let bare = text.trim_matches(|c: char| "$€£%.,!?:".contains(c));
    let plain = bare.bytes().any(|b| b.is_ascii_digit())
        && bare
            .bytes()
            .enumerate()
            .all(|(i, b)| b.is_ascii_digit() || b == b'.' || (b == b'-' && i == 0));
    if plain { bare.parse().ok() } else { None }
}

/// Returns true when a match begins and ends at a word's edge, so that `held` is not said by `withheld`, nor `P-1` by
/// `P-12`.
fn whole(text: &str, start: usize, end: usize) -> bool {
    let inner = &text[start..end];
    let joins = |outside: Option<char>, beyond: Option<char>, edge: Option<char>| {
        let Some(outside) = outside else { return false };
        if !edge.is_some_and(char::is_alphanumeric) {
            return false;
        }
        // `.`, `-`, `:` and `/` bind only between two digits or letters: "P-1." is a sentence's end, "P-1.5" is not.
        outside.is_alphanumeric()
            || outside == '_'
            || (".-:/".contains(outside)
                && edge.is_some_and(|c| c.is_ascii_digit())
                && beyond.is_some_and(|c| c.is_ascii_digit()))
    };
    let mut before = text[..start].chars().rev();
    let mut after = text[end..].chars();
    !joins(before.next(), before.next(), inner.chars().next())
        && !joins(after.next(), after.next(), inner.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_matched_as_whole_words_and_by_value() {
        for said in [
            "It costs $12.50.",
            "12.5",
            "total: 12.50!",
            "(12.5)",
            "that is **12.50** EUR",
        ] {
            assert!(communicates(said, "12.5"), "{said}");
        }
        for not in [
            "112.5", "12.55", "12", "P12.5", "12.5-13", "2012.5", "12-5", "12:5", "x12.5",
        ] {
            assert!(!communicates(not, "12.5"), "{not}");
        }
        assert!(communicates("You get 1,250 points", "1250"));
        assert!(communicates("You get 1250 points", "1,250"));
        assert!(!communicates("Items 1,2,3", "123"));
        assert!(communicates("Delivered in 3 days.", "3"));
        assert!(!communicates("Delivered on 2025-03-03", "3"));
    }

    #[test]
    fn words_are_matched_whole_whatever_their_case_and_spacing() {
        assert!(communicates(
            "Your parcel is  HELD\nat the depot.",
            "held at the depot"
        ));
        assert!(!communicates("We withheld it", "held"));
        assert!(communicates("Reference P-1.", "p-1"));
        assert!(!communicates("Reference P-12", "P-1"));
        assert!(communicates("arrives 2025-03-04, latest", "2025-03-04"));
    }

    #[test]
    fn only_what_the_agent_says_counts() {
        let required = vec!["42".to_owned(), "held".to_owned()];
        let messages = [
            Message::user("42 and held"),
            Message::assistant("It is held."),
        ];
        assert_eq!(missing(&required, &messages), ["42"]);
        assert!(check(&required, &messages).evidence.contains("\"42\""));
        assert!(check(&[], &[]).pass);
    }
}
