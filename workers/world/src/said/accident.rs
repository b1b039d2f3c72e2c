//! Outputs that an agent says by accident, so that to require them proves nothing.
//!
//! An output proves something when an agent that did not find it out does not say it. A number below 100 and a word such
//! as `yes` are in many answers whatever was asked; what the user says itself is repeated to it; and what the answers of
//! other tasks say, which do not require it, belongs to the domain's small talk. The policy is not looked at: it must
//! name the outcome words.

use std::fmt;

use super::token::Token;
use super::{Text, amount, says};
use crate::task::Task;

/// Tasks that a task is compared with, at most.
const COMPARED: usize = 64;
/// The share of other tasks' answers, one in so many, in which an output is said by accident.
const ONE_IN: usize = 10;
/// Words that come up in answers of every kind.
const COMMON: [&str; 35] = [
    "a",
    "an",
    "and",
    "are",
    "done",
    "false",
    "good",
    "hello",
    "i",
    "is",
    "it",
    "none",
    "no",
    "not",
    "now",
    "of",
    "ok",
    "okay",
    "or",
    "please",
    "sorry",
    "thank you",
    "thanks",
    "the",
    "true",
    "we",
    "yes",
    "you",
    "your",
    "ja",
    "nein",
    "oui",
    "non",
    "si",
    "是的",
];

/// An output that is said by accident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accident {
    /// The output.
    pub output: String,
    /// The reason, for a person.
    pub reason: String,
}

impl fmt::Display for Accident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the output {:?} is said by accident: {}",
            self.output, self.reason
        )
    }
}

/// Returns the reason why an output is said by accident: it is too short or too common, or one of these texts says it.
/// The texts are those that an agent reads or says although it did not find the output out.
#[must_use]
pub fn said_by_accident(output: &str, texts: &[&str]) -> Option<Accident> {
    let reason = too_common(output).map(str::to_owned).or_else(|| {
        let said = texts.iter().find(|text| says(text, output))?;
        Some(format!("{:?} says it, too", excerpt(said)))
    })?;
    Some(Accident {
        output: output.to_owned(),
        reason,
    })
}

/// A suite's tasks, to find those whose outputs are said by accident.
#[derive(Debug)]
pub struct Accidents {
    /// A sample of the tasks that have a demonstration: the outputs of each, and the agent's answer in it.
    sample: Vec<(Vec<Text>, Text)>,
}

impl Accidents {
    /// Reads a suite's tasks.
    #[must_use]
    pub fn of(tasks: &[&Task]) -> Self {
        let shown = |task: &&Task| !task.agent.answer.is_empty();
        let shown: Vec<&Task> = tasks.iter().copied().filter(shown).collect();
        let step = shown.len().div_ceil(COMPARED).max(1);
        let chosen = shown.into_iter().step_by(step);
        let read = |task: &Task| {
            let required = task.outputs.iter().map(|output| Text::new(output));
            (required.collect(), Text::new(&task.agent.answer))
        };
        Self {
            sample: chosen.map(read).collect(),
        }
    }

    /// Returns the accident of a task, the first output's, when every output of the task is said by accident. One output
    /// that is not makes up for the others.
    #[must_use]
    pub fn in_task(&self, task: &Task) -> Option<Accident> {
        let all: Option<Vec<Accident>> = task
            .outputs
            .iter()
            .map(|output| self.of_output(task, output))
            .collect();
        all?.into_iter().next()
    }

    fn of_output(&self, task: &Task, output: &str) -> Option<Accident> {
        let answers = task.user.facts.iter().map(|fact| fact.answer.as_str());
        let own: Vec<&str> = answers.chain([task.user.opening.as_str()]).collect();
        said_by_accident(output, &own).or_else(|| self.elsewhere(output))
    }

    /// The accident of an output that the answers of many tasks say without requiring it.
    fn elsewhere(&self, output: &str) -> Option<Accident> {
        let (mut others, mut said) = (0, 0);
        for (required, answer) in &self.sample {
            if required.iter().any(|text| text.says(output)) {
                continue;
            }
            others += 1;
            said += usize::from(answer.says(output));
        }
        (said > 0 && said * ONE_IN >= others).then(|| Accident {
            output: output.to_owned(),
            reason: format!("{said} of {others} answers that do not require it say it, too"),
        })
    }
}

/// Returns the reason why an output is too short or too common to prove anything.
fn too_common(output: &str) -> Option<&'static str> {
    if let Some(number) = amount(output) {
        let short = !number.contains('.') && number.trim_start_matches('-').len() <= 2;
        return short
            .then_some("a number below 100 is in many answers, as a count, a time or a date");
    }
    let text = Text::new(output);
    if matches!(text.tokens.as_slice(), [Token::Word(word)] if word.chars().count() == 1) {
        return Some("one letter is in many answers");
    }
    let common = COMMON
        .iter()
        .any(|word| text.says(word) && says(word, output));
    common.then_some("it is a word of many answers")
}

/// The beginning of a text, for a message.
fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
