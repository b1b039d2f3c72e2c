//! A call as JSON without marks: the whole text, or an object in prose that calls an offered tool.

use super::fenced::EARLY;
use super::{Form, Found, Place};
use crate::json::value_at;
use crate::normalise::call::{CallError, Trust, calls_of};

pub(super) const FORM: Form = Form {
    marked: false,
    opens: |text| text.starts_with(['{', '[']).then_some(1),
    read,
};

fn read(place: Place<'_>) -> Found {
    let rest = &place.text[place.start..];
    let Some((value, length)) = value_at(rest) else {
        let begun = rest[1..].trim_start().starts_with(['"', '\'', '{']);
        if place.alone && begun && rest.contains("\"arguments\"") && !rest.contains("```") {
            return Found::Broken(CallError::Json(EARLY.into()), place.text.len());
        }
        return Found::Nothing(place.after);
    };
    let trust = if place.alone {
        Trust::Shaped
    } else {
        Trust::Named
    };
    let end = place.start + length;
    match calls_of(&value, trust, place.tools) {
        Ok(calls) if calls.is_empty() => Found::Nothing(end),
        calls => Found::of(calls, end),
    }
}
