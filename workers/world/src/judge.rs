//! Judges the turns of a user against its script by code: the things it must say, and those it must not.

use agoge_dialogue::{Message, Role, ToolCall, user_view};
use serde::{Deserialize, Serialize};

use crate::backend::Party;
use crate::domain::Domain;
use crate::episode::Episode;
use crate::said::{Text, digit_runs, mentions};
use crate::task::{DONE, Task, UserScript};
use crate::user::{Due, all_said, due, is_call};

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

/// Returns every fault of `turn`, said by the user after `before` (tool traffic in it is ignored). `error_text` is that of
/// the domain.
#[must_use]
pub fn judge_user(task: &Task, error_text: &str, before: &[Message], turn: &str) -> Vec<UserFault> {
    let script = &task.user;
    let seen = user_view(before);
    if turn.trim().is_empty() {
        return vec![UserFault::no_turn()];
    }
    let mut faults = inventions(script, &results(&seen), turn);
    faults.extend(leaks(task, error_text, before, turn));
    if seen.iter().any(|m| m.role == Role::User) {
        faults.extend(answer(task, error_text, before, turn));
    } else {
        faults.extend(opening(script, turn));
    }
    faults
}

/// Returns every fault of the user's turns in a dialogue, in their order. `error_text` is that of the domain.
#[must_use]
pub fn user_faults(task: &Task, error_text: &str, messages: &[Message]) -> Vec<UserFault> {
    (0..messages.len())
        .filter(|at| messages[*at].role == Role::User && messages[*at].tool_calls.is_empty())
        .flat_map(|at| judge_user(task, error_text, &messages[..at], &messages[at].content))
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
    if !script.topic.is_empty() && !script.topic.iter().any(|word| mentions(turn, word)) {
        let topic = script.topic.join(", ");
        faults.push(UserFault::new(
            FaultKind::BrokeInstruction,
            format!("it does not say what it wants ({topic})"),
        ));
    }
    let said = Text::new(turn);
    for fact in script
        .facts
        .iter()
        .filter(|fact| !fact.held && !fact.is_told(&said))
    {
        let detail = format!("it does not tell {} {}", fact.name, fact.value);
        faults.push(UserFault::new(FaultKind::BrokeInstruction, detail));
    }
    faults
}

/// Returns the fault of a user that closed before the agent was done, so that the failure is not the agent's: its last text
/// did not finish the task and was no second idle one, it has not said the outputs, and it has done nothing but what the
/// task needs. The scripted user never does so.
#[must_use]
pub fn left_early(
    domain: &Domain,
    task: &Task,
    messages: &[Message],
    episode: &Episode,
) -> Option<UserFault> {
    let (last, before) = messages.split_last()?;
    let closes = last.role == Role::User && last.content.contains(DONE);
    let told = !task.outputs.is_empty() && all_said(task, before);
    if !closes || told || !matches!(due(task, &domain.error_text, before), Due::GoOn(_)) {
        return None;
    }
    let needed = |call: &ToolCall| task.gold.iter().any(|gold| is_call(gold, call));
    let of_agent = |call: &ToolCall| domain.party(&call.name) != Some(Party::User);
    let mut calls = episode.calls.iter().filter(|(call, _)| of_agent(call));
    let harmless = calls.all(|(call, result)| !result.worked() || needed(call));
    (harmless || episode.diff(domain).is_empty()).then(|| {
        UserFault::new(
            FaultKind::StoppedEarly,
            "it closed although the agent had not finished",
        )
    })
}

/// A later turn answers what was asked, and closes when nothing is asked.
///
/// A user may also close at a statement that does not finish the task, which its model may take for the answer: that is
/// no breach of its instruction. See [`left_early`].
fn answer(task: &Task, error_text: &str, before: &[Message], turn: &str) -> Vec<UserFault> {
    let mut faults = Vec::new();
    match (due(task, error_text, before), turn.contains(DONE)) {
        (Due::Close, false) => faults.push(UserFault::new(
            FaultKind::BrokeInstruction,
            format!("it goes on after the agent's answer instead of closing with {DONE}"),
        )),
        (Due::Facts(_) | Due::Confirm | Due::Unknown, true) => {
            faults.push(UserFault::new(
                FaultKind::StoppedEarly,
                "it closed while the agent was asking",
            ));
        }
        (Due::Facts(facts), false) => {
            let said = Text::new(turn);
            for fact in facts.iter().map(|n| &task.user.facts[*n]) {
                if !fact.is_told(&said) {
                    let detail = format!("asked for {} it does not tell {}", fact.name, fact.value);
                    faults.push(UserFault::new(FaultKind::BrokeInstruction, detail));
                }
            }
        }
        (Due::Close, true)
        | (Due::CloseOrAnswer | Due::GoOn(_), _)
        | (Due::Confirm | Due::Unknown, false) => {}
    }
    faults
}

/// Held-back facts that no agent turn so far asked for.
fn leaks(task: &Task, error_text: &str, before: &[Message], turn: &str) -> Vec<UserFault> {
    let script = &task.user;
    let spoke = |at: &usize| {
        let message = &before[*at];
        message.role == Role::Assistant && message.tool_calls.is_empty()
    };
    let agent: Vec<usize> = (0..before.len()).filter(spoke).collect();
    let asked = |n: usize| {
        agent
            .iter()
            .any(|at| match due(task, error_text, &before[..=*at]) {
                Due::Facts(facts) | Due::GoOn(facts) => facts.contains(&n),
                _ => false,
            })
    };
    let said = Text::new(turn);
    let told = |n: usize| script.facts[n].is_told(&said);
    let known = |n: usize| {
        let fact = &script.facts[n];
        agent
            .iter()
            .any(|at| fact.is_told(&Text::new(&before[*at].content)))
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
    free || script.facts[n].is_told(&Text::new(&script.opening))
}

/// Numbers, values, names and requests that neither the script nor the results of the user's own calls have.
fn inventions(script: &UserScript, results: &str, turn: &str) -> Vec<UserFault> {
    let mut faults = Vec::new();
    let own = own_text(script) + results;
    let known = digit_runs(&own);
    for number in digit_runs(turn)
        .iter()
        .filter(|number| !known.contains(number))
    {
        faults.push(UserFault::new(
            FaultKind::InventedFact,
            format!("{number} is not in its script"),
        ));
    }
    for fact in &script.facts {
        for choice in fact.choices.iter().filter(|choice| **choice != fact.value) {
            if digit_runs(choice).is_empty() && mentions(turn, choice) && !mentions(&own, choice) {
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
    for word in script.off_topic.iter().filter(|word| mentions(turn, word)) {
        let detail = format!("it speaks of `{word}`, which it does not want");
        faults.push(UserFault::new(FaultKind::BrokeInstruction, detail));
    }
    faults
}

/// Returns the results of the user's own calls among what it sees, each after a space.
fn results(seen: &[Message]) -> String {
    let results = seen.iter().filter(|m| m.role == Role::Tool);
    results.map(|m| format!(" {}", m.content)).collect()
}

/// All that the script says anywhere.
fn own_text(script: &UserScript) -> String {
    let mut text = format!(
        "{} {} {} {} {}",
        script.opening, script.closing, script.confirm, script.unknown, script.go_on
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
