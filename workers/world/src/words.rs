//! The words and numbers of a text, compared whole: `held` is not in `withheld`, `5` is not in `15`.

/// The words of a text, lower case, without the punctuation around them.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !(c.is_alphanumeric() || "_-@.:#".contains(c)))
        .map(|word| {
            word.trim_matches(|c: char| !c.is_alphanumeric())
                .to_lowercase()
        })
        .filter(|word| !word.is_empty())
}

/// Returns true when `text` has the words of `value` in a row. Numbers are words here: `5` is not in `5.0`. For the value of
/// an output that an agent must communicate, see the checkers' `communicates`.
#[must_use]
pub fn mentions(text: &str, value: &str) -> bool {
    let text: Vec<String> = words(text).collect();
    let value: Vec<String> = words(value).collect();
    !value.is_empty() && text.windows(value.len()).any(|window| window == value)
}

/// The runs of digits of a text.
pub(crate) fn numbers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter(|run| !run.is_empty())
}
