//! The scripted user: opens, answers what is asked, gives what it holds back only then, closes after the answer.

use crate::task::{DONE, Fact, Task, UserScript};
use crate::words::{mentions, words};

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
/// Questions of politeness, which end a dialogue.
const POLITE: [&str; 4] = [
    "anything else",
    "something else",
    "further help",
    "else i can",
];

/// The request that an agent's turn makes of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// No request: the turn is the answer.
    Nothing,
    /// These facts, by number.
    Facts(Vec<usize>),
    /// To confirm the facts it names.
    Confirmation,
    /// For something that the user does not know.
    Unknown,
}

/// Reads an agent's turn. A sentence asks when it has a question mark or one of the request phrases; it asks for the
/// facts of whose words it has one and whose value it does not name itself.
pub(crate) fn reading(script: &UserScript, said: &str) -> Asked {
    let mut facts = Vec::new();
    let (mut confirmed, mut unknown) = (false, false);
    for sentence in sentences(said) {
        let lower = sentence.to_lowercase();
        let asks =
            sentence.ends_with('?') || REQUESTS.iter().any(|request| lower.contains(request));
        if !asks {
            continue;
        }
        let named: Vec<usize> = (0..script.facts.len())
            .filter(|n| names(&script.facts[*n], &lower))
            .collect();
        let (told, open): (Vec<usize>, Vec<usize>) = named
            .iter()
            .copied()
            .partition(|n| tells(&script.facts[*n], &lower));
        if !open.is_empty() {
            facts.extend(open);
        } else if !told.is_empty() {
            confirmed = true;
        } else if !POLITE.iter().any(|polite| lower.contains(polite)) {
            unknown = true;
        }
    }
    facts.sort_unstable();
    facts.dedup();
    match (facts.is_empty(), confirmed, unknown) {
        (false, _, _) => Asked::Facts(facts),
        (true, true, _) => Asked::Confirmation,
        (true, false, true) => Asked::Unknown,
        (true, false, false) => Asked::Nothing,
    }
}

/// Returns true when a sentence has one of the words that ask for the fact, or its value.
fn names(fact: &Fact, sentence: &str) -> bool {
    let asked = |word: &str| fact.asked.iter().any(|asked| asked.to_lowercase() == word);
    words(sentence).any(|word| asked(&word) || asked(word.trim_end_matches('s')))
        || tells(fact, sentence)
}

/// Returns true when a sentence names the fact's value and does not offer it among others.
fn tells(fact: &Fact, sentence: &str) -> bool {
    let others = fact.choices.iter().filter(|choice| **choice != fact.value);
    mentions(sentence, &fact.value) && !others.into_iter().any(|choice| mentions(sentence, choice))
}

/// Sentences with the mark that ends them; a point between two digits ends none.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let bytes = text.as_bytes();
    for (at, c) in text.char_indices() {
        let next = bytes.get(at + 1);
        let ends =
            matches!(c, '?' | '!' | '\n') || (c == '.' && next.is_none_or(u8::is_ascii_whitespace));
        if ends {
            found.push(text[start..=at].trim());
            start = at + 1;
        }
    }
    found.push(text[start..].trim());
    found.retain(|sentence| !sentence.is_empty());
    found
}

/// A user's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserTurn {
    /// The text.
    pub text: String,
    /// True when it closes the dialogue; the text then contains [`DONE`].
    pub done: bool,
}

/// The scripted user of a task.
#[derive(Clone, Debug)]
pub struct ScriptedUser {
    script: UserScript,
}

impl ScriptedUser {
    /// Returns the user of this task.
    #[must_use]
    pub fn new(task: &Task) -> Self {
        Self {
            script: task.user.clone(),
        }
    }

    /// Returns the first turn.
    #[must_use]
    pub fn open(&self) -> String {
        self.script.opening.clone()
    }

    /// Answers the agent: a question with the facts it asks for, anything else with the closing.
    pub fn reply(&mut self, agent: &str) -> UserTurn {
        let script = &self.script;
        let text = match reading(script, agent) {
            Asked::Nothing => {
                return UserTurn {
                    text: script.closing.clone(),
                    done: true,
                };
            }
            Asked::Facts(asked) => {
                let answers: Vec<&str> = asked
                    .iter()
                    .map(|n| script.facts[*n].answer.as_str())
                    .collect();
                answers.join(" ")
            }
            Asked::Confirmation => script.confirm.clone(),
            Asked::Unknown => script.unknown.clone(),
        };
        UserTurn {
            done: text.contains(DONE),
            text,
        }
    }
}
