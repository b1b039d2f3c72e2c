//! Reasons without the details that differ from case to case, so that like reasons are counted together.

use std::collections::BTreeMap;

/// Characters of a general reason at most.
const GENERAL: usize = 160;
/// Characters of a title at most where all cases give the same reason.
const TITLE: usize = 400;

/// Returns a reason without numbers, quoted values and what follows a dash.
#[must_use]
pub fn general(reason: &str) -> String {
    let head = reason.split(" - ").next().unwrap_or(reason);
    let mut out = String::with_capacity(head.len());
    let (mut in_number, mut quote) = (false, None);
    for c in head.chars() {
        if let Some(end) = quote {
            if c == end {
                quote = None;
                out.push_str("#\"");
            }
            continue;
        }
        let digit = c.is_ascii_digit();
        match c {
            '"' | '`' => {
                quote = Some(c);
                out.push('"');
            }
            _ if digit && in_number => {}
            _ if digit => out.push('#'),
            _ => out.push(c),
        }
        in_number = digit;
    }
    first(out.trim(), GENERAL)
}

/// Cases whose reasons are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Alike<'a, T> {
    /// The reason itself when all cases give the same one, the general reason otherwise.
    pub title: String,
    /// The cases with their own reasons, in the order they came. There is at least one.
    pub cases: Vec<(&'a str, T)>,
}

/// Groups cases by their general reason, the most frequent first.
pub fn by_reason<'a, T>(cases: impl IntoIterator<Item = (&'a str, T)>) -> Vec<Alike<'a, T>> {
    let mut found: BTreeMap<String, Vec<(&str, T)>> = BTreeMap::new();
    for (reason, case) in cases {
        found
            .entry(general(reason))
            .or_default()
            .push((reason, case));
    }
    let mut found: Vec<_> = found.into_iter().collect();
    // The map has sorted them by general reason, and this sort keeps that order among equals.
    found.sort_by_key(|(_, cases)| std::cmp::Reverse(cases.len()));
    found
        .into_iter()
        .map(|(general, cases)| {
            let same = cases.windows(2).all(|pair| pair[0].0 == pair[1].0);
            let title = match cases.first() {
                Some((reason, _)) if same => first(reason, TITLE),
                _ => general,
            };
            Alike { title, cases }
        })
        .collect()
}

/// Returns the first characters of a text, with a mark where it was cut.
fn first(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_reasons_fall_together_and_unlike_ones_do_not() {
        assert_eq!(
            general("parcel 48213 has no \"hold\" - see policy"),
            general("parcel 1 has no \"move\"")
        );
        assert_ne!(general("no call"), general("no checker"));
    }

    #[test]
    fn a_reason_that_all_give_is_its_own_title() {
        let cases = [
            "parcel 7 is unknown",
            "parcel 8 is unknown",
            "no call 3",
            "no call 3",
        ];
        let found = by_reason(cases.into_iter().zip(0..));
        let titles: Vec<&str> = found.iter().map(|alike| alike.title.as_str()).collect();
        assert_eq!(titles, ["no call 3", "parcel # is unknown"]);
        assert_eq!(found[1].cases[1], ("parcel 8 is unknown", 1));
    }
}
