//! Results of calls: the stand-in for the final state where a tool server does not show its state. Each gold call was made, and
//! answered as in a replay of gold.
//!
//! Not covered: calls beyond gold, whatever they change, and right solutions by other calls, which fail.
use crate::verdict::Part;
use agoge_dialogue::ToolCall;
use agoge_digest::canonical_numbers;
use agoge_world::ToolResult;
use serde_json::Value;

/// The part's name in a verdict.
pub const NAME: &str = "results";

/// Compares the calls of an episode with those of a replay of gold.
pub fn check(gold: &[(ToolCall, ToolResult)], made: &[(ToolCall, ToolResult)]) -> Part {
    let arguments = |call: &ToolCall| canonical_numbers(&Value::Object(call.arguments.clone()));
    let made: Vec<(&str, String, &str)> = made
        .iter()
        .map(|(call, result)| (&*call.name, arguments(call), &*result.content))
        .collect();
    let mut missing = Vec::new();
    for (call, result) in gold {
        let wanted = arguments(call);
        let alike = made
            .iter()
            .filter(|(name, given, _)| *name == call.name && *given == wanted);
        let answers: Vec<&str> = alike.map(|(_, _, answer)| *answer).collect();
        let short = |text: &str| text.chars().take(120).collect::<String>();
        match answers.last() {
            None => missing.push(format!("{} with {wanted} was never called", call.name)),
            Some(_) if answers.contains(&result.content.as_str()) => {}
            Some(answer) => missing.push(format!(
                "{} with {wanted} answered {:?}, not {:?}",
                call.name,
                short(answer),
                short(&result.content)
            )),
        }
    }
    match missing.is_empty() {
        true => Part::passed(NAME),
        false => Part::failed(NAME, missing.join("; ")),
    }
}
