//! A generated check: a Python function `check(calls, messages)` run in the sandbox over the initial and the final state.
use crate::verdict::Part;
use agoge_dialogue::Message;
use agoge_sandbox::{CheckInput, Outcome};
use agoge_world::{Episode, Lost, World};
use serde_json::{Value, json};

/// The part's name in a verdict; parts that the check names itself are `script.<name>`.
pub const NAME: &str = "script";
/// The function that a generated check defines.
pub const FUNCTION: &str = "check";

/// The end of a script that gave no answer.
pub enum Stopped {
    /// A limit of its own ended it; the reason in words.
    Killed(String),
    /// The sandbox gave no result.
    Lost(Lost),
}

/// A script's answer: its parts, or its end without one.
pub type Answer = Result<Vec<Part>, Stopped>;

/// Runs a generated check on an episode.
pub fn check(world: &mut World, source: &str, episode: &Episode, messages: &[Message]) -> Answer {
    let calls: Vec<Value> = episode
        .calls
        .iter()
        .map(|(call, result)| {
            json!({"name": call.name, "arguments": call.arguments, "result": result.content, "error": result.error})
        })
        .collect();
    let messages: Vec<Value> = messages
        .iter()
        .map(|m| json!({"role": m.role, "content": m.content}))
        .collect();
    let (calls, messages) = (Value::Array(calls), Value::Array(messages));
    let now = world.domain().now.clone();
    let input = CheckInput {
        initial: &episode.start,
        last: &episode.overlay,
        calls: &calls,
        messages: &messages,
        now: &now,
    };
    match world.sandbox().check(source, FUNCTION, input) {
        Outcome::Value(value) => Ok(parts(&value)),
        Outcome::Raised {
            kind,
            message,
            line,
        } => {
            let line = line.map(|n| format!(" (line {n})")).unwrap_or_default();
            let evidence = match (kind.as_str(), message.is_empty()) {
                ("AssertionError", false) => format!("{message}{line}"),
                (_, true) => format!("{kind}{line}"),
                _ => format!("{kind}: {message}{line}"),
            };
            Ok(vec![Part::failed(NAME, evidence)])
        }
        Outcome::Killed(reason) => Err(Stopped::Killed(format!("the check was stopped: {reason}"))),
        Outcome::Lost(reason) => Err(Stopped::Lost(Lost(reason))),
    }
}

/// Reads what a check returned: a bool; `{name: bool}`; or `{name: {"pass": bool, "evidence": str}}`, where `pass` beside `parts`
/// is the verdict on the whole. Anything else is a check that says nothing, and fails.
pub fn parts(value: &Value) -> Vec<Part> {
    let named = |name: &str, value: &Value| -> Option<Part> {
        let (pass, evidence) = match value {
            Value::Bool(pass) => (*pass, ""),
            Value::Object(map) => (
                map.get("pass")?.as_bool()?,
                map.get("evidence")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            ),
            _ => return None,
        };
        let evidence = if !pass && evidence.is_empty() {
            "the check returned False"
        } else {
            evidence
        };
        let name = if name.is_empty() {
            NAME.to_owned()
        } else {
            format!("{NAME}.{name}")
        };
        Some(Part {
            name,
            pass,
            evidence: evidence.to_owned(),
        })
    };
    let found: Option<Vec<Part>> = match value {
        Value::Bool(_) => named("", value).map(|part| vec![part]),
        Value::Object(map) if map.contains_key("parts") => {
            let mut all = map
                .get("pass")
                .map(|pass| named("", pass))
                .into_iter()
                .collect::<Vec<_>>();
            match &map["parts"] {
                Value::Object(inner) => all.extend(inner.iter().map(|(k, v)| named(k, v))),
                Value::Array(inner) => {
                    all.extend(inner.iter().map(|v| named(v["name"].as_str()?, v)))
                }
                _ => all.push(None),
            }
            all.into_iter().collect()
        }
        Value::Object(map)
            if map.get("pass").is_some_and(Value::is_boolean) && map.contains_key("evidence") =>
        {
            named("", value).map(|part| vec![part])
        }
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| named(if k == "pass" { "" } else { k }, v))
            .collect(),
        _ => None,
    };
    match found {
        Some(found) if !found.is_empty() => found,
        _ => {
            let shown: String = value.to_string().chars().take(80).collect();
            vec![Part::failed(
                NAME,
                format!("the check must return True, False or named parts, not {shown}"),
            )]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_verdict_fails() {
        for value in [
            json!(null),
            json!(1),
            json!("True"),
            json!({}),
            json!({"a": 1}),
            json!([]),
        ] {
            let parts = parts(&value);
            assert!(parts.len() == 1 && !parts[0].pass, "{value}");
        }
    }

    #[test]
    fn named_parts_keep_their_names_and_evidence() {
        let names = |v: Value| {
            parts(&v)
                .into_iter()
                .map(|p| (p.name, p.pass))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(json!(true)), [("script".into(), true)]);
        assert_eq!(
            names(json!({"held": true, "fee": false})),
            [("script.held".into(), true), ("script.fee".into(), false)]
        );
        let whole =
            json!({"pass": false, "parts": [{"name": "fee", "pass": false, "evidence": "2 != 3"}]});
        assert_eq!(parts(&whole)[1].evidence, "2 != 3");
        assert_eq!(parts(&whole)[0].name, "script");
        assert_eq!(
            names(json!({"pass": true, "evidence": "ok"})),
            [("script".into(), true)]
        );
    }
}
