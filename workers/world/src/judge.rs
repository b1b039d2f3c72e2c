//! Judges the turns of a user against its script by code: the things it must say, and those it must not.

use agoge_dialogue::{Message, Role, user_view};
use serde::{Deserialize, Serialize};

use crate::task::{DONE, Task, UserScript};
use crate::user::{Asked, reading};
use crate::words::{mentions, numbers, words};

/// The kinds of faults of a user's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// It does not do what its instruction says: wants something else, does not answer, does not end.
    BrokeInstruction,
    /// It tells something that its script does not know.
    InventedFact,
    /// It tells what it should hold back until asked.
    Leaked,
    /// It closes before the agent's answer.
    StoppedEarly,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserFault {
    /// The kind.
    pub kind: FaultKind,
    /// The detail, for a person.
    pub detail: String,
}

impl UserFault {
    fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// Returns the fault of a user that gave no turn at all.
    #[must_use]
    pub fn no_turn() -> Self {
        Self::new(FaultKind::BrokeInstruction, "it gave no turn")
    }

    /// The kind, as reports name it.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            FaultKind::BrokeInstruction => "brokeInstruction",
            FaultKind::InventedFact => "inventedFact",
            FaultKind::Leaked => "leaked",
            FaultKind::StoppedEarly => "stoppedEarly",
        }
    }
}

/// Returns every fault of `turn`, said by the user after `before` (tool traffic in it is ignored).
#[must_use]
pub fn judge_user(task: &Task, before: &[Message], turn: &str) -> Vec<UserFault> {
    let script = &task.user;
    let seen = user_view(before);
    if turn.trim().is_empty() {
        return vec![UserFault::no_turn()];
    }
    let mut faults = inventions(script, turn);
    faults.extend(leaks(script, &seen, turn));
    if seen.iter().any(|m| m.role == Role::User) {
        faults.extend(answer(script, &seen, turn));
    } else {
        faults.extend(opening(script, turn));
    }
    faults
}

/// Returns every fault of the user's turns in a dialogue, in their order.
#[must_use]
pub fn user_faults(task: &Task, messages: &[Message]) -> Vec<UserFault> {
    (0..messages.len())
        .filter(|at| messages[*at].role == Role::User)
        .flat_map(|at| judge_user(task, &messages[..at], &messages[at].content))
        .collect()
}

/// An opening says what is wanted and tells what is not held back.
fn opening(script: &UserScript, turn: &str) -> Vec<UserFault> {
    let mut faults = Vec::new();
    if turn.contains(DONE) {
        faults.push(UserFault::new(
            FaultKind::StoppedEarly,
            "it closed before anything was said",
        ));
    }
    if !script.topic.is_empty() && !script.topic.iter().any(|word| has_word(turn, word)) {
        let topic = script.topic.join(", ");
        faults.push(UserFault::new(
            FaultKind::BrokeInstruction,
            format!("it does not say what it wants ({topic})"),
        ));
    }
    for fact in script
        .facts
        .iter()
        .filter(|fact| !fact.held && !mentions(turn, &fact.value))
    {
        let detail = format!("it does not tell {} {}", fact.name, fact.value);
        faults.push(UserFault::new(FaultKind::BrokeInstruction, detail));
    }
    faults
}

/// A later turn answers what was asked, and closes exactly when nothing is asked.
fn answer(script: &UserScript, seen: &[Message], turn: &str) -> Vec<UserFault> {
    let mut faults = Vec::new();
    let closes = turn.contains(DONE);
    let asked = match last_said(seen) {
        Some(said) => reading(script, said),
        None => Asked::Unknown,
    };
    match (&asked, closes) {
        (Asked::Nothing, true) => {}
        (Asked::Nothing, false) => faults.push(UserFault::new(
            FaultKind::BrokeInstruction,
            format!("it goes on after the agent's answer instead of closing with {DONE}"),
        )),
        (_, true) => {
            faults.push(UserFault::new(
                FaultKind::StoppedEarly,
                "it closed while the agent was asking",
            ));
        }
        (Asked::Facts(facts), false) => {
            for fact in facts.iter().map(|n| &script.facts[*n]) {
                if !mentions(turn, &fact.value) {
                    let detail = format!("asked for {} it does not tell {}", fact.name, fact.value);
                    faults.push(UserFault::new(FaultKind::BrokeInstruction, detail));
                }
            }
        }
        (Asked::Confirmation | Asked::Unknown, false) => {}
    }
    faults
}

/// Held-back facts that no agent turn so far asked for.
fn leaks(script: &UserScript, seen: &[Message], turn: &str) -> Vec<UserFault> {
    let agent: Vec<&str> = seen
        .iter()
        .filter(|m| m.role == Role::Assistant)
        .map(|m| m.content.as_str())
        .collect();
    let asked = |n: usize| {
        agent.iter().any(|said| match reading(script, said) {
            Asked::Facts(facts) => facts.contains(&n),
            _ => false,
        })
    };
    let told = |n: usize| mentions(turn, &script.facts[n].value);
    let known = |n: usize| {
        agent
            .iter()
            .any(|said| mentions(said, &script.facts[n].value))
    };
    (0..script.facts.len())
        .filter(|n| script.facts[*n].held && told(*n) && !asked(*n) && !known(*n))
        .filter(|n| !shared(script, *n))
        .map(|n| {
            let fact = &script.facts[n];
            UserFault::new(FaultKind::Leaked, format!("it tells {} unasked", fact.name))
        })
        .collect()
}

/// Returns true when another fact, told freely, has the same value, or the script's own opening has it.
fn shared(script: &UserScript, n: usize) -> bool {
    let value = &script.facts[n].value;
    let free = script
        .facts
        .iter()
        .enumerate()
        .any(|(i, f)| i != n && !f.held && f.value == *value);
    free || mentions(&script.opening, value)
}

/// Numbers, values, names and requests that the script does not have.
fn inventions(script: &UserScript, turn: &str) -> Vec<UserFault> {
    let mut faults = Vec::new();
    let own = own_text(script);
    let known: Vec<&str> = numbers(&own).collect();
    for number in numbers(turn).filter(|number| !known.contains(number)) {
        faults.push(UserFault::new(
            FaultKind::InventedFact,
            format!("{number} is not in its script"),
        ));
    }
    for fact in &script.facts {
        for choice in fact.choices.iter().filter(|choice| **choice != fact.value) {
            if numbers(choice).next().is_none() && mentions(turn, choice) && !mentions(&own, choice)
            {
                let detail = format!("{} is {}, not {choice}", fact.name, fact.value);
                faults.push(UserFault::new(FaultKind::InventedFact, detail));
            }
        }
    }
    for name in names(turn) {
        if !mentions(&own, name) {
            faults.push(UserFault::new(
                FaultKind::InventedFact,
                format!("{name} is not in its script"),
            ));
        }
    }
    for word in script.off_topic.iter().filter(|word| has_word(turn, word)) {
        let detail = format!("it speaks of `{word}`, which it does not want");
        faults.push(UserFault::new(FaultKind::BrokeInstruction, detail));
    }
    faults
}

/// All that the script says anywhere.
fn own_text(script: &UserScript) -> String {
    let mut text = format!(
        "{} {} {} {}",
        script.opening, script.closing, script.confirm, script.unknown
    );
    for fact in &script.facts {
        text.push_str(&format!(" {} {}", fact.value, fact.answer));
    }
    if script.topic.is_empty() {
        text.push_str(&format!(" {}", script.instruction));
    }
    text
}

/// Words that look like names: an address of mail, or a capital within a sentence.
fn names(turn: &str) -> impl Iterator<Item = &str> {
    let mut before = '.';
    turn.split_whitespace().filter_map(move |word| {
        let inner = before != '.' && before != '!' && before != '?' && before != ':';
        before = word.chars().last().unwrap_or('.');
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let capital = bare.chars().next().is_some_and(char::is_uppercase) && bare.len() > 2;
        ((inner && capital) || bare.contains('@')).then_some(bare)
    })
}

fn has_word(text: &str, word: &str) -> bool {
    words(text).any(|w| w == *word)
}

/// All that the agent said since the user spoke last is one turn; its last text counts.
fn last_said(seen: &[Message]) -> Option<&str> {
    seen.last()
        .filter(|m| m.role == Role::Assistant)
        .map(|m| m.content.as_str())
}
