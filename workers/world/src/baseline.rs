//! Baseline agents without a model, which every score is compared with.

use agoge_dialogue::random::Rng;
use agoge_dialogue::{Message, ToolCall};
use serde_json::{Map, Value, json};

use crate::domain::Domain;
use crate::said::is_spaceless;
use crate::task::Task;

/// Says and calls nothing.
#[must_use]
pub fn empty() -> Message {
    Message::assistant("")
}

/// Refuses at once with every reason that the templates have for a refusal: the best that an agent can do that never
/// acts.
#[must_use]
pub fn always_refuse(domain: &Domain) -> Message {
    let branches = domain
        .templates
        .iter()
        .flat_map(|template| &template.branches);
    let mut reasons: Vec<&str> = branches
        .filter(|branch| branch.refusal)
        .flat_map(|branch| &branch.outputs)
        .map(|output| output.text.as_str())
        .filter(|output| !output.contains('{'))
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    Message::assistant(format!("sorry: {}.", reasons.join(", ")).as_str())
}

/// Calls a random tool with words of the dialogue, or says a random answer.
#[must_use]
pub fn random(domain: &Domain, task: &Task, messages: &[Message], seed: u64) -> Message {
    let mut rng = Rng::keyed_le(seed, &format!("random/{}/{}", task.id, messages.len()));
    let branches: Vec<_> = domain
        .templates
        .iter()
        .flat_map(|template| &template.branches)
        .collect();
    // Letters of scripts without spaces are no words that a tool takes; the ids among them are.
    let between = |c: char| !c.is_alphanumeric() || is_spaceless(c);
    let words: Vec<&str> = messages
        .iter()
        .flat_map(|message| message.content.split(between))
        .filter(|word| !word.is_empty())
        .collect();
    let chosen = rng.below(domain.tools.len() + domain.tools.len().div_ceil(3));
    let Some(tool) = domain.tools.get(chosen) else {
        let branch = rng.pick(&branches);
        let text = branch
            .and_then(|branch| branch.outputs.first())
            .map_or("ok", |output| output.text.as_str());
        return Message::assistant(&format!("it is {text}."));
    };
    let mut arguments = Map::new();
    for (name, schema) in tool.parameters["properties"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let word = rng.pick(&words).copied().unwrap_or("x");
        let value = match schema["type"].as_str() {
            Some("integer") => word
                .parse::<i64>()
                .map_or_else(|_| json!(rng.below(10)), |n| json!(n)),
            Some("number") => json!(rng.below(100) as f64),
            Some("boolean") => json!(rng.below(2) == 1),
            _ => Value::from(word),
        };
        arguments.insert(name.clone(), value);
    }
    Message::calls(vec![ToolCall {
        id: "r".into(),
        name: tool.name.clone(),
        arguments,
    }])
}
