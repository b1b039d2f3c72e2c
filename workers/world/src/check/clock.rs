//! Dates: the clock of a domain, and the forms in which records write them.

use crate::domain::Domain;
use crate::expression::Moment;
use crate::problem::{Problem, line_of};

pub(super) use crate::expression::DateForm;

/// Returns the form of an ISO 8601 date; `None` for any other text.
pub(super) fn date_form(text: &str) -> Option<DateForm> {
    Moment::of(text).map(|moment| moment.form)
}

/// Returns the problem of a clock that the tools cannot read.
pub(super) fn unreadable(domain: &Domain) -> Option<Problem> {
    if date_form(domain.now.trim()).is_some() {
        return None;
    }
    let file = domain.dir.join("domain.yaml");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let message = format!("`now` is {:?}, which is no date and time", domain.now);
    let remedy = "write it as \"2025-03-10T09:00:00\"";
    Some(Problem::new(&file, message, remedy).at(line_of(&text, "now:", 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_dates_and_times_are_told_from_other_texts() {
        for date in ["2025-03-10", "2024-02-29"] {
            assert_eq!(date_form(date), Some(DateForm::Date), "{date}");
        }
        for time in [
            "2025-03-10T09:00",
            "2025-03-10 09:00:59.5",
            "2025-03-10T09:00:00Z",
            "2025-03-10T09:00:00+05:30",
        ] {
            assert_eq!(date_form(time), Some(DateForm::Time), "{time}");
        }
        for other in [
            "10/03/2025",
            "2025-3-10",
            "2025-02-29",
            "2025-13-01",
            "2025-03-10T25:00",
            "Monday",
            "",
            "2025-03-10Tx",
        ] {
            assert_eq!(date_form(other), None, "{other}");
        }
    }
}
