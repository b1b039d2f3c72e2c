//! The value of a number as people write it: `1,234.50`, `1.234,50`, `1 234,50`, `1'234.50`, `12,34,567`.

use super::fold::GROUP;

/// Returns the values that digits with separators can have, the likelier first, each as a decimal without needless zeros.
/// A separator before three digits is read in both ways: `1.234` is 1.234 or 1234. Returns `None` for what is no number,
/// such as a date, a time, a version or a range.
///
/// A whole number that begins with 0 is a name and not an amount: its value is itself, `007`.
pub(super) fn readings(digits: &[char]) -> Option<Vec<String>> {
    let groups: Vec<&[char]> = digits.split(|c| !c.is_ascii_digit()).collect();
    let marks: Vec<char> = digits
        .iter()
        .copied()
        .filter(|c| !c.is_ascii_digit())
        .collect();
    if groups.iter().any(|group| group.is_empty()) {
        return None;
    }
    let Some((last, others)) = marks.split_last() else {
        return Some(vec![digits.iter().collect()]);
    };
    let grouped = |count: usize, mark: char| is_grouped(&groups[..count], mark);
    let whole = || value(&groups, &[]);
    let decimal = || {
        let (fraction, whole) = groups.split_last()?;
        Some(value(whole, fraction))
    };
    match (others.first(), last) {
        (None, '.') if grouped(2, '.') => Some(vec![decimal()?, whole()]),
        (None, ',') if grouped(2, ',') => Some(vec![whole(), decimal()?]),
        (None, '.' | ',') => Some(vec![decimal()?]),
        (_, mark) if others.iter().all(|other| other == mark) => {
            grouped(groups.len(), *mark).then(|| vec![whole()])
        }
        (Some(mark), '.' | ',') if others.iter().all(|other| other == mark) => {
            if grouped(groups.len() - 1, *mark) {
                Some(vec![decimal()?])
            } else {
                None
            }
        }
        _ => None,
    }
}

/// Returns true for groups of three digits after a first one of at most three, or, by Indian custom, of two digits before
/// the last three.
fn is_grouped(groups: &[&[char]], mark: char) -> bool {
    let Some((first, rest)) = groups.split_first() else {
        return false;
    };
    if !matches!(mark, '.' | ',' | '\'' | ' ' | GROUP) || first.first() == Some(&'0') {
        return false;
    }
    let by_three = first.len() <= 3 && rest.iter().all(|group| group.len() == 3);
    let by_two = mark == ','
        && first.len() <= 2
        && rest
            .split_last()
            .is_some_and(|(last, middle)| last.len() == 3 && middle.iter().all(|g| g.len() == 2));
    by_three || by_two
}

fn value(whole: &[&[char]], fraction: &[char]) -> String {
    let whole: String = whole.iter().copied().flatten().collect();
    let fraction: String = fraction.iter().collect();
    let (whole, fraction) = (
        whole.trim_start_matches('0'),
        fraction.trim_end_matches('0'),
    );
    let whole = if whole.is_empty() { "0" } else { whole };
    if fraction.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    }
}
