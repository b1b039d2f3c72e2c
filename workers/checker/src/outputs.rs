//! Outputs communicated: each required text must be said by the agent, in any of its messages.
use crate::verdict::Part;
use agoge_dialogue::{Message, Role};
use agoge_world::said::Text;

/// The part's name in a verdict.
pub const NAME: &str = "outputs";

/// Checks that every required output was said: see [`agoge_world::said`].
pub fn check(required: &[String], messages: &[Message]) -> Part {
    let missing = missing(required, messages);
    if missing.is_empty() {
        return Part::passed(NAME);
    }
    let listed: Vec<String> = missing.iter().map(|m| format!("{m:?}")).collect();
    Part::failed(NAME, format!("the agent never said {}", listed.join(", ")))
}

/// The required outputs that no message of the agent says.
fn missing<'a>(required: &'a [String], messages: &[Message]) -> Vec<&'a str> {
    let said: Vec<Text> = messages
        .iter()
        .filter(|m| m.role == Role::Assistant && !m.content.is_empty())
        .map(|m| Text::new(&m.content))
        .collect();
    required
        .iter()
        .map(String::as_str)
        .filter(|output| !said.iter().any(|text| text.says(output)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_agent_says_counts() {
        let required = vec!["42".to_owned(), "held".to_owned()];
        let messages = [
            Message::user("42 and held"),
            Message::assistant("It is held."),
        ];
        assert_eq!(missing(&required, &messages), ["42"]);
        assert!(check(&required, &messages).evidence.contains("\"42\""));
        assert!(check(&[], &[]).pass);
    }

    #[test]
    fn a_message_without_text_says_nothing() {
        let required = vec!["已续".to_owned()];
        let called = Message::calls(Vec::new());
        assert_eq!(missing(&required, std::slice::from_ref(&called)), ["已续"]);
        let said = [called, Message::assistant("您的会员已续。")];
        assert!(check(&required, &said).pass);
    }
}
