//! Outputs communicated: each required text must be said by the agent, in any of its messages.
use crate::verdict::Part;
use agoge_dialogue::{Message, Role};
use agoge_world::Matching;
use agoge_world::said::Text;

/// The part's name in a verdict.
pub const NAME: &str = "outputs";

/// Checks that every required output was said, by the task's rule: see [`Matching`].
pub fn check(required: &[String], matching: Matching, messages: &[Message]) -> Part {
    let missing = missing(required, matching, messages);
    if missing.is_empty() {
        return Part::passed(NAME);
    }
    let listed: Vec<String> = missing.iter().map(|m| format!("{m:?}")).collect();
    Part::failed(NAME, format!("the agent never said {}", listed.join(", ")))
}

/// The required outputs that no message of the agent says.
fn missing<'a>(required: &'a [String], matching: Matching, messages: &[Message]) -> Vec<&'a str> {
    let said = messages
        .iter()
        .filter(|m| m.role == Role::Assistant && !m.content.is_empty());
    let required = required.iter().map(String::as_str);
    match matching {
        Matching::Words => {
            let said: Vec<Text> = said.map(|m| Text::new(&m.content)).collect();
            required
                .filter(|output| !said.iter().any(|text| text.says(output)))
                .collect()
        }
        Matching::Substring => {
            let said: Vec<&str> = said.map(|m| m.content.as_str()).collect();
            required
                .filter(|output| !said.iter().any(|text| matching.says(text, output)))
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Matching = Matching::Words;

    #[test]
    fn a_substring_is_said_inside_a_number_and_a_word_is_not() {
        let required = vec!["1628".to_owned(), "Economy".to_owned()];
        let messages = [Message::assistant("It is $1,628.50 in basic economy-plus.")];
        assert!(check(&required, Matching::Substring, &messages).pass);
        assert_eq!(missing(&required, WORDS, &messages), ["1628"]);
        let exact = [Message::assistant("$1,628.00, economy")];
        assert!(check(&required, WORDS, &exact).pass);
    }

    #[test]
    fn only_what_the_agent_says_counts() {
        let required = vec!["42".to_owned(), "held".to_owned()];
        let messages = [
            Message::user("42 and held"),
            Message::assistant("It is held."),
        ];
        assert_eq!(missing(&required, WORDS, &messages), ["42"]);
        assert!(
            check(&required, WORDS, &messages)
                .evidence
                .contains("\"42\"")
        );
        assert!(check(&[], WORDS, &[]).pass);
    }

    #[test]
    fn a_message_without_text_says_nothing() {
        let required = vec!["已续".to_owned()];
        let called = Message::calls(Vec::new());
        assert_eq!(
            missing(&required, WORDS, std::slice::from_ref(&called)),
            ["已续"]
        );
        let said = [called, Message::assistant("您的会员已续。")];
        assert!(check(&required, WORDS, &said).pass);
    }
}
