//! A task: the user's request, the right calls, and the texts that the agent must say.

use std::collections::BTreeMap;

pub use agoge_crds::synthesis_job::{Mix, Split};
use agoge_dialogue::ToolCall;
use serde::{Deserialize, Serialize};

/// The token by which a user closes a dialogue.
pub const DONE: &str = "###";

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Unique in its domain.
    pub id: String,
    /// The template it is an instance of; empty when it has none.
    #[serde(default)]
    pub template: String,
    /// The user's intent.
    #[serde(default)]
    pub intent: String,
    /// The case of the policy that the records are.
    #[serde(default)]
    pub condition: String,
    /// The way of asking.
    #[serde(default)]
    pub wording: String,
    /// The branch of the policy. Tasks of one branch succeed and fail together, so statistics are clustered by it.
    #[serde(default)]
    pub branch: String,
    /// True when the branch is rare in real life.
    #[serde(default)]
    pub corner: bool,
    /// True when the agent must change nothing and say why.
    #[serde(default)]
    pub refusal: bool,
    /// The user.
    pub user: UserScript,
    /// The agent's words in a demonstration.
    #[serde(default)]
    pub agent: AgentScript,
    /// The right calls.
    pub gold: Vec<ToolCall>,
    /// The texts that the agent must say.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// The calls that the agent must have made, each with the arguments that matter: for calls that leave no trace in the
    /// records, such as handing the user over to a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// A generated check, in Python.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checker: Option<String>,
}

/// The user's side of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UserScript {
    /// The system prompt of a user model.
    pub instruction: String,
    /// The first turn.
    pub opening: String,
    /// Words of which the opening has at least one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topic: Vec<String>,
    /// Words of other requests, which no turn has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub off_topic: Vec<String>,
    /// The facts that the user knows.
    pub facts: Vec<Fact>,
    /// The last turn; it contains [`DONE`].
    pub closing: String,
    /// The answer to a question that names the right facts, and to one that asks for a yes.
    pub confirm: String,
    /// The answer to a question that no fact answers.
    pub unknown: String,
    /// The answer to a statement that does not finish the task; a plain yes when left out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub go_on: String,
}

/// One thing the user knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Fact {
    /// Its name in the template.
    pub name: String,
    /// Its value, as it is said.
    pub value: String,
    /// True when it is told only when asked for.
    pub held: bool,
    /// Words of an agent's question that ask for it.
    pub asked: Vec<String>,
    /// The answer.
    pub answer: String,
    /// All values it could have had, for a fact of few values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

/// The texts of a demonstration's agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentScript {
    /// The question for each fact that is held back.
    pub ask: BTreeMap<String, String>,
    /// The final answer.
    pub answer: String,
}

impl UserScript {
    /// A script without a template's wordings: facts told at once or held back, plain answers. The instruction is the
    /// caller's prose, for a language model that plays this user.
    #[must_use]
    pub fn of_facts(instruction: &str, opening: &str, facts: Vec<Fact>) -> Self {
        let complete = |mut fact: Fact| {
            if fact.asked.is_empty() {
                let words = fact
                    .name
                    .split(['_', ' ', '-'])
                    .filter(|w| *w != "id" && *w != "new");
                fact.asked = words.map(str::to_lowercase).collect();
            }
            if fact.answer.is_empty() {
                fact.answer = format!("It is {}.", fact.value);
            }
            fact
        };
        Self {
            instruction: instruction.into(),
            opening: opening.into(),
            facts: facts.into_iter().map(complete).collect(),
            closing: format!("Thank you. {DONE}"),
            confirm: "Yes, please.".into(),
            unknown: "I do not know that.".into(),
            ..Self::default()
        }
    }

    /// Names and values of all facts.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.facts
            .iter()
            .map(|fact| (fact.name.as_str(), fact.value.as_str()))
    }
}
