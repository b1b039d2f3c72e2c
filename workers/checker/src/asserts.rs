//! Assertions: functions of the domain that look at the final state and return True or False.
use crate::script::Stopped;
use crate::verdict::Part;
use agoge_sandbox::Outcome;
use agoge_world::{Assertion, Episode, Lost, World};
use serde_json::Value;

/// The beginning of the parts' names in a verdict: `asserts.<function>`.
pub const NAME: &str = "asserts";

/// Evaluates each assertion on a copy of the final state; what it writes is forgotten. An assertion that raises an exception,
/// or returns neither True nor False, does not hold.
///
/// # Errors
/// When an assertion reaches a limit, or the sandbox gives no result.
pub fn check(
    world: &mut World,
    asserts: &[Assertion],
    episode: &Episode,
) -> Result<Vec<Part>, Stopped> {
    let mut parts = Vec::with_capacity(asserts.len());
    for assertion in asserts {
        let mut last = Episode {
            start: episode.start.clone(),
            overlay: episode.overlay.clone(),
            served: episode.served.clone(),
            ..Episode::default()
        };
        let name = format!("{NAME}.{}", assertion.name);
        parts.push(
            match world.run(&mut last, &assertion.name, &assertion.arguments) {
                Outcome::Value(Value::Bool(is)) if is == assertion.is => Part::passed(name),
                Outcome::Value(value) => Part::failed(name, returned(assertion, &value)),
                Outcome::Raised { kind, message, .. } => {
                    Part::failed(name, format!("it raised {kind}: {message}"))
                }
                Outcome::Killed(reason) => {
                    let reason = format!("the assertion {} was stopped: {reason}", assertion.name);
                    return Err(Stopped::Killed(reason));
                }
                Outcome::Lost(reason) => return Err(Stopped::Lost(Lost(reason))),
            },
        );
    }
    Ok(parts)
}

fn returned(assertion: &Assertion, value: &Value) -> String {
    let python = |is: bool| if is { "True" } else { "False" };
    let wanted = python(assertion.is);
    match value {
        Value::Bool(is) => format!("it returned {}, not {wanted}", python(*is)),
        other => {
            let shown: String = other.to_string().chars().take(80).collect();
            format!("it must return True or False, not {shown}")
        }
    }
}
