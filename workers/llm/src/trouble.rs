//! Reads the error that an endpoint writes into a body, in the forms that servers and gateways use.

use serde_json::Value;

use crate::error::{Because, Refusal};

/// The longest message that is shown, in characters.
const SHOWN: usize = 300;

/// An error as an endpoint wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trouble {
    /// The message, with the provider's own behind a gateway.
    pub said: String,
    /// The field that it names apart from the message, such as `tools.0.function`.
    pub field: Option<String>,
    /// Code and type.
    pub code: String,
    /// The status within the body.
    pub status: Option<u16>,
}

impl Trouble {
    /// Reads the error of a body; `None` where it holds none.
    pub fn of(body: &Value) -> Option<Self> {
        let body = match body {
            Value::Array(items) => items.first()?,
            other => other,
        };
        match body.get("error").filter(|error| !error.is_null()) {
            Some(Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Self::within(body),
            Some(Value::String(text)) => {
                let mut trouble = Self::within(body).unwrap_or_default();
                trouble.say(text);
                Some(trouble)
            }
            Some(error) => {
                Some(Self::within(error).unwrap_or_else(|| Self::plain(&error.to_string())))
            }
            None => Self::within(body),
        }
    }

    /// An error that is nothing but a text.
    pub fn plain(text: &str) -> Self {
        Self {
            said: text.trim().to_owned(),
            ..Self::default()
        }
    }

    fn within(error: &Value) -> Option<Self> {
        let mut found = Self {
            field: text_of(error.get("param")),
            status: ["code", "status", "status_code"]
                .iter()
                .find_map(|name| status_of(error.get(*name))),
            ..Self::default()
        };
        for name in ["code", "type", "status"] {
            if let Some(code) = text_of(error.get(name)) {
                found.code.push_str(&format!("{} ", code.to_lowercase()));
            }
        }
        for name in ["message", "detail", "msg", "error_description"] {
            match error.get(name) {
                Some(Value::String(text)) => found.say(text),
                Some(Value::Array(items)) => items.iter().for_each(|item| found.add(item)),
                Some(inner @ Value::Object(_)) => {
                    if let Some(inner) = Self::of(inner) {
                        found.say(&inner.said);
                        found.code.push_str(&inner.code);
                        found.field = found.field.or(inner.field);
                    }
                }
                _ => {}
            }
        }
        if let Some(raw) = error.pointer("/metadata/raw").and_then(Value::as_str) {
            found.say(raw);
        }
        (!found.said.is_empty()).then_some(found)
    }

    /// Adds one complaint of a list: a text, or a message with the place that it is about.
    fn add(&mut self, item: &Value) {
        if let Some(text) = item.as_str() {
            self.say(text);
            return;
        }
        let place = item.get("loc").and_then(Value::as_array);
        let place: Vec<String> = place
            .into_iter()
            .flatten()
            .filter_map(|part| text_of(Some(part)))
            .filter(|part| part != "body")
            .collect();
        let message = ["msg", "message"]
            .iter()
            .find_map(|name| item.get(*name)?.as_str());
        self.say(&format!(
            "{}: {}",
            place.join("."),
            message.unwrap_or_default()
        ));
        if self.field.is_none() && !place.is_empty() {
            self.field = Some(place.join("."));
        }
    }

    fn say(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() || self.said.contains(text) {
            return;
        }
        if !self.said.is_empty() {
            self.said.push_str("; ");
        }
        self.said.push_str(text);
    }

    /// Returns true when a content filter took the prompt or the answer, and not the model.
    pub fn is_filter(&self) -> bool {
        const CODES: [&str; 5] = [
            "content_filter",
            "content_policy",
            "contentpolicy",
            "responsibleai",
            "data_inspection_failed",
        ];
        let said = self.said.to_lowercase();
        CODES.iter().any(|code| self.code.contains(code))
            || said.contains("content management policy")
            || said.contains("content filter")
    }

    /// Returns true when the prompt is longer than the model's context.
    pub fn is_too_long(&self) -> bool {
        const TEXTS: [&str; 9] = [
            "context length",
            "context_length",
            "context window",
            "context size",
            "context limit",
            "max_model_len",
            "prompt is too long",
            "input is too long",
            "maximum prompt length",
        ];
        let said = self.said.to_lowercase();
        ["context_length", "exceed_context"]
            .iter()
            .any(|code| self.code.contains(code))
            || TEXTS.iter().any(|text| said.contains(text))
    }

    /// Returns true when the account may spend nothing more.
    pub fn is_credit(&self) -> bool {
        self.code.contains("insufficient_quota") || self.code.contains("billing")
    }

    fn is_about_the_model(&self) -> bool {
        let said = self.said.to_lowercase();
        self.code.contains("model_not")
            || self.field.as_deref() == Some("model")
            || said.contains("model")
                && [
                    "not exist",
                    "not found",
                    "unknown model",
                    "no such model",
                    "not available",
                    "invalid model",
                ]
                .iter()
                .any(|text| said.contains(text))
    }

    /// Returns true when the address is wrong, and not the model's name.
    pub fn is_address(&self, status: u16) -> bool {
        matches!(status, 404 | 405) && !self.is_about_the_model()
    }

    /// Returns the refusal with the advice that fits it. `field` is the field of the request that it names.
    pub fn refusal(&self, status: u16, field: Option<&str>) -> Refusal {
        let said = self.said.to_lowercase();
        let because = match status {
            401 | 403 | 407 => Because::Key,
            402 => Because::Credit,
            _ if self.is_credit() => Because::Credit,
            _ if self.is_too_long() || status == 413 => Because::TooLong,
            _ if field.is_none() && self.is_about_the_model() => Because::Model,
            300..=399 | 404 | 405 => Because::Address,
            _ => match field {
                Some("max_tokens" | "max_completion_tokens") => Because::TokenLimit,
                Some("tools" | "tool_choice") => Because::Tools,
                _ if said.contains("tool") && said.contains("support") => Because::Tools,
                _ if said.contains("tool choice") || said.contains("tool-call") => Because::Tools,
                Some(field) => Because::Field(field.to_owned()),
                None => Because::Other,
            },
        };
        Refusal {
            status,
            said: self.shown(),
            because,
        }
    }

    /// Returns the message, shortened.
    pub fn shown(&self) -> String {
        match self.said.is_empty() {
            true => "it gives no reason".to_owned(),
            false => beginning(&self.said, SHOWN),
        }
    }
}

/// Returns the first characters of a text.
pub(crate) fn beginning(text: &str, most: usize) -> String {
    text.trim().chars().take(most).collect()
}

fn text_of(value: Option<&Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

/// A status that an error carries in its body, as a number or as text.
fn status_of(value: Option<&Value>) -> Option<u16> {
    let text = text_of(value)?;
    let status = text.parse::<u16>().ok()?;
    (400..600).contains(&status).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_of_every_usual_form_are_read() {
        for (body, said, field) in [
            (
                json!({"error": {"message": "no seed", "param": "seed"}}),
                "no seed",
                Some("seed"),
            ),
            (json!([{"error": {"message": "no seed"}}]), "no seed", None),
            (json!({"error": "out of memory"}), "out of memory", None),
            (
                json!({"object": "error", "message": "no seed", "code": 400}),
                "no seed",
                None,
            ),
            (json!({"detail": "no seed"}), "no seed", None),
            (
                json!({"detail": [{"loc": ["body", "seed"], "msg": "extra inputs are not permitted", "input": {"stop": 1}}]}),
                "seed: extra inputs are not permitted",
                Some("seed"),
            ),
            (
                json!({"message": {"detail": [{"loc": ["body", "stop"], "msg": "not here"}]}}),
                "stop: not here",
                Some("stop"),
            ),
            (
                json!({"error": {"message": "Provider returned error", "metadata": {"raw": "{\"why\": \"seed\"}"}}}),
                "Provider returned error; {\"why\": \"seed\"}",
                None,
            ),
            (json!({"error": {"oops": 1}}), "{\"oops\":1}", None),
        ] {
            let trouble = Trouble::of(&body).unwrap();
            assert_eq!(
                (trouble.said.as_str(), trouble.field.as_deref()),
                (said, field),
                "{body}"
            );
        }
        assert_eq!(Trouble::of(&json!({"error": null, "choices": []})), None);
        assert_eq!(Trouble::of(&json!({"ok": 1})), None);
        let gateway = json!({"error": {"message": "gone", "code": "502"}});
        assert_eq!(Trouble::of(&gateway).unwrap().status, Some(502));
    }

    #[test]
    fn the_advice_fits_the_refusal() {
        let of = |status, said: &str, field| {
            let refusal = Trouble::plain(said).refusal(status, field);
            (refusal.because.clone(), refusal.to_string())
        };
        for (status, said, field, because) in [
            (401, "no", None, Because::Key),
            (402, "pay", None, Because::Credit),
            (404, "no route", None, Because::Address),
            (404, "the model x does not exist", None, Because::Model),
            (
                400,
                "This model's maximum context length is 4096 tokens",
                None,
                Because::TooLong,
            ),
            (
                400,
                "max_tokens must be at most 8192",
                Some("max_tokens"),
                Because::TokenLimit,
            ),
            (
                400,
                "\"auto\" tool choice requires --tool-call-parser to be set",
                None,
                Because::Tools,
            ),
            (
                422,
                "top_k is out of range",
                Some("top_k"),
                Because::Field("top_k".into()),
            ),
            (400, "that is not nice", None, Because::Other),
        ] {
            let (found, text) = of(status, said, field);
            assert_eq!(found, because, "{said}");
            assert!(text.contains(said), "{text}");
            assert_eq!(text.contains("URL"), because == Because::Address, "{text}");
            assert_eq!(
                text.contains("context"),
                because == Because::TooLong,
                "{text}"
            );
        }
    }
}
