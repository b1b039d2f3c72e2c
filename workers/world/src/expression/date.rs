//! Dates and times of ISO 8601, as records and the clock of a domain write them.

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// Microseconds of a minute.
const MINUTE: i64 = 60_000_000;

/// The form of a written date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DateForm {
    /// `2025-03-10`
    Date,
    /// `2025-03-10T09:00:00`, with or without seconds, fractions and an offset.
    Time,
}

/// A date, or a date with its time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment<'a> {
    pub form: DateForm,
    /// Days since 1970-01-01, by its own calendar.
    pub days: i64,
    /// Microseconds since 1970-01-01T00:00Z. A date stands for its midnight; a time without an offset is in UTC.
    pub instant: i64,
    /// The date as it is written.
    pub date: &'a str,
    /// Everything after the date, the separator included.
    rest: &'a str,
}

impl<'a> Moment<'a> {
    /// Reads a date; `None` for any other text.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        let end = text.find(['T', ' ']).unwrap_or(text.len());
        let (date, rest) = text.split_at(end);
        let parts: Vec<&str> = date.split('-').collect();
        let [year, month, day] = parts[..] else {
            return None;
        };
        let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
        if year == 0 || day == 0 || day > length(year, month)? {
            return None;
        }
        let days = days_of(year, month, day);
        let within = match rest.get(1..) {
            Some(time) => time_of(time)?,
            None => 0,
        };
        Some(Self {
            form: match rest.is_empty() {
                true => DateForm::Date,
                false => DateForm::Time,
            },
            days,
            instant: days.checked_mul(DAY)?.checked_add(within)?,
            date,
            rest,
        })
    }

    /// Returns the text of this moment so many days later; `None` beyond the years 1 to 9999.
    pub(crate) fn later(&self, days: i64) -> Option<String> {
        let (year, month, day) = date_of(self.days.checked_add(days)?)?;
        Some(format!("{year:04}-{month:02}-{day:02}{}", self.rest))
    }
}

fn length(year: i64, month: i64) -> Option<i64> {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => Some(29),
        2 => Some(28),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}

/// The days since 1970-01-01 of a date. Years begin in March, so that leap days are at their end.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

/// The date of days since 1970-01-01: the inverse of [`days_of`], in the years 1 to 9999.
fn date_of(days: i64) -> Option<(i64, i64, i64)> {
    let first = days_of(1, 1, 1);
    let last = days_of(9999, 12, 31);
    if !(first..=last).contains(&days) {
        return None;
    }
    let since = days + 719_468;
    let era = since.div_euclid(146_097);
    let of_era = since.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some((year, month, day))
}

/// Returns the microseconds from midnight in UTC of `HH:MM`, `HH:MM:SS` and `HH:MM:SS.ffffff`, with an offset or without.
fn time_of(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (clock, offset) = match text.rfind(['+', '-']) {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    };
    let (whole, fraction) = match clock.split_once('.') {
        Some((whole, fraction)) => (whole, micros(fraction)?),
        None => (clock, 0),
    };
    let parts: Vec<&str> = whole.split(':').collect();
    let (hour, minute, second) = match parts[..] {
        [hour, minute] => (below(hour, 24)?, below(minute, 60)?, 0),
        [hour, minute, second] => (below(hour, 24)?, below(minute, 60)?, below(second, 60)?),
        _ => return None,
    };
    let offset = match offset {
        None => 0,
        Some(offset) => {
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let minutes = below(hours, 24)? * 60 + below(minutes, 60)?;
            if offset.starts_with('-') {
                -minutes
            } else {
                minutes
            }
        }
    };
    Some((hour * 60 + minute - offset) * MINUTE + second * 1_000_000 + fraction)
}

fn micros(fraction: &str) -> Option<i64> {
    let plain = (1..=6).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| format!("{fraction:0<6}").parse().ok())?
}

fn below(text: &str, limit: i64) -> Option<i64> {
    number(text, 2).filter(|number| *number < limit)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}
