//! The request that an agent's turn makes of the user, read by rules.
//!
//! Words of a few languages only choose between answers to a question. What they do not know is still answered: see
//! [`super::due`].

use crate::said::{Text, is_question, sentences};
use crate::task::{Fact, UserScript};

/// Words that make a sentence without a question mark a request for something.
const REQUESTS: [&str; 7] = [
    "please give",
    "please tell",
    "please provide",
    "please share",
    "i need your",
    "tell me your",
    "provide your",
];
/// Words that make a sentence without a question mark a request for a yes.
const CONSENT: [&str; 3] = ["please confirm", "to confirm", "confirm with"];
/// Questions of politeness, which end a dialogue.
const POLITE: [&str; 4] = [
    "anything else",
    "something else",
    "further help",
    "else i can",
];
/// Words of questions that a yes does not answer.
const OPEN: [&str; 72] = [
    "what",
    "which",
    "who",
    "whose",
    "whom",
    "when",
    "where",
    "why",
    "how",
    "or", // English
    "welche",
    "welcher",
    "welches",
    "wer",
    "wann",
    "wo",
    "warum",
    "wie",
    "oder", // German
    "quel",
    "quelle",
    "quels",
    "quelles",
    "qui",
    "quand",
    "où",
    "comment",
    "combien",
    "pourquoi", // French
    "qué",
    "cuál",
    "cuáles",
    "quién",
    "cuándo",
    "dónde",
    "cómo",
    "cuánto",
    "cuántos", // Spanish
    "qual",
    "quais",
    "quem",
    "quando",
    "onde",
    "quale",
    "quanto", // Portuguese, Italian
    "什么",
    "什麼",
    "哪",
    "谁",
    "誰",
    "几",
    "多少",
    "怎么",
    "怎麼",
    "何",
    "还是", // Chinese
    "どこ",
    "どれ",
    "どの",
    "どちら",
    "いつ",
    "いくら",
    "なぜ", // Japanese
    "무엇",
    "어느",
    "누구",
    "언제",
    "어디", // Korean
    "что",
    "какой",
    "какая",
    "кто", // Russian
];

/// The request that an agent's turn makes of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// No request: the turn is a statement.
    Nothing,
    /// These facts, by number.
    Facts(Vec<usize>),
    /// To confirm the facts it names.
    Confirmation,
    /// For something that the user does not know.
    Unknown,
    /// For a yes.
    Consent,
}

/// Reads an agent's turn. A sentence asks when it has a question mark or one of the request phrases; it asks for the
/// facts of whose words it has one and whose value it does not name itself.
pub(super) fn reading(script: &UserScript, said: &str) -> Asked {
    let mut facts = Vec::new();
    let (mut confirmed, mut unknown, mut consent) = (false, false, false);
    for sentence in sentences(said) {
        let lower = sentence.to_lowercase();
        let has = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
        let (question, request) = (is_question(sentence), has(&REQUESTS));
        if !(question || request || has(&CONSENT)) {
            continue;
        }
        let text = Text::new(sentence);
        let named: Vec<usize> = (0..script.facts.len())
            .filter(|n| names(&script.facts[*n], &text))
            .collect();
        let (told, open): (Vec<usize>, Vec<usize>) = named
            .iter()
            .copied()
            .partition(|n| tells(&script.facts[*n], &text));
        if !open.is_empty() {
            facts.extend(open);
        } else if !told.is_empty() {
            confirmed = true;
        } else if !has(&POLITE) {
            let information = request || OPEN.iter().any(|word| text.says(word));
            unknown |= information;
            consent |= !information;
        }
    }
    facts.sort_unstable();
    facts.dedup();
    if !facts.is_empty() {
        Asked::Facts(facts)
    } else if confirmed {
        Asked::Confirmation
    } else if unknown {
        Asked::Unknown
    } else if consent {
        Asked::Consent
    } else {
        Asked::Nothing
    }
}

/// Returns true when a text has one of the words that ask for the fact, or its value.
pub(super) fn names(fact: &Fact, text: &Text) -> bool {
    let plural = |asked: &String| {
        let asked = asked.to_lowercase();
        text.words().any(|word| word.trim_end_matches('s') == asked)
    };
    let asks = |asked: &String| text.mentions(asked) || plural(asked);
    fact.asked.iter().any(asks) || tells(fact, text)
}

/// Returns true when a text names the fact's value and does not offer it among others.
pub(super) fn tells(fact: &Fact, text: &Text) -> bool {
    let mut others = fact.choices.iter().filter(|choice| **choice != fact.value);
    fact.is_told(text) && !others.any(|choice| text.mentions(choice))
}
