//! The formats of texts that are checked: dates.

/// Tells whether a text has a format. Only dates are checked.
pub(super) fn holds(format: &str, text: &str) -> bool {
    match format {
        "date" => is_date(text),
        "date-time" => text
            .split_once(['T', 't', ' '])
            .is_some_and(|(date, time)| {
                is_date(date) && time.starts_with(|c: char| c.is_ascii_digit())
            }),
        _ => true,
    }
}

fn is_date(text: &str) -> bool {
    let number = |digits: &str, length: usize| {
        let all = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| digits.parse::<u32>().ok()).flatten()
    };
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let within = |part: Option<&str>, length: usize, most: u32| {
        let part = part.and_then(|part| number(part, length));
        part.is_some_and(|part| (1..=most).contains(&part))
    };
    parts.next().is_none() && within(year, 4, 9999) && within(month, 2, 12) && within(day, 2, 31)
}

/// A text of a format.
pub(super) fn example(format: &str) -> &'static str {
    match format {
        "date" => "2025-01-31",
        _ => "2025-01-31T09:00:00",
    }
}
