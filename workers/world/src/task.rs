//! A task: the user's request, the right calls, and the texts that the agent must say.

use std::collections::BTreeMap;

pub use agoge_crds::synthesis_job::{Mix, Split};
use agoge_dialogue::{Message, ToolCall};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::compare::Compare;
use crate::said::Text;

/// The token by which a user closes a dialogue.
pub const DONE: &str = "###";

/// The token by which a user model says that it was asked something outside its instruction. The dialogue then proves
/// nothing about the agent.
pub const OUT_OF_SCOPE: &str = "###OUT-OF-SCOPE###";

/// A task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// The split that the task was given with; without one the domain's rule decides, see
    /// [`Domain::given`](crate::Domain::given).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Fields that are merged into the records before the first word, as `{collection: {id: fields}}`. Objects are merged
    /// at every depth; a record that is null is deleted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub records: BTreeMap<String, BTreeMap<String, Value>>,
    /// Calls that are made before the first word. They may name private functions, with or without the leading `_`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub start: Vec<ToolCall>,
    /// The dialogue before the first word. Its calls are made again when an episode begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Message>,
    /// The numbers, from 1, of the gold calls that the tool refuses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fails: Vec<u32>,
    /// Statements about the final state, each a call that returns true or false.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asserts: Vec<Assertion>,
    /// Statements about the dialogue that a model judges. They are reported apart from the other checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judge: Vec<String>,
    /// The checks that decide the reward; when empty, all that the task brings except [`Basis::Judge`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub basis: Vec<Basis>,
    /// The comparisons of arguments that are not compared as they are, by `argument` or `tool.argument`: in
    /// [`Task::calls`], and in the fields of records that they write.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub compare: BTreeMap<String, Compare>,
    /// The rule by which the agent's words are compared with [`Task::outputs`].
    #[serde(default, rename = "match", skip_serializing_if = "Matching::is_words")]
    pub matching: Matching,
}

impl Task {
    /// Returns true when the agent must change nothing and say nothing in particular: the task is marked as a refusal, or
    /// it asks for no call, text or state.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        let asks_nothing = self.gold.is_empty()
            && self.outputs.is_empty()
            && self.calls.is_empty()
            && self.asserts.is_empty();
        self.refusal || asks_nothing
    }

    /// Returns the comparison of a tool's argument, where it is not compared as it is.
    #[must_use]
    pub fn comparison(&self, tool: &str, argument: &str) -> Option<Compare> {
        let of_tool = self.compare.get(&format!("{tool}.{argument}"));
        of_tool.or_else(|| self.compare.get(argument)).copied()
    }

    /// Returns true when the tool refuses the gold call of this number, from 1.
    #[must_use]
    pub fn fails_at(&self, number: usize) -> bool {
        self.fails.iter().any(|one| *one as usize == number)
    }
}

/// A statement about the final state: a function of the domain, called with these arguments, returns true, or false where
/// `is` is false.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assertion {
    /// The function. The leading `_` of a private one may be left out.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// The value that it must return.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub is: bool,
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

/// A rule by which a message says a required output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Matching {
    /// The output's words stand in the message in a row, and numbers are compared by value, see [`crate::said`].
    #[default]
    Words,
    /// The message without its commas contains the output, whatever the case: the rule of tau2-bench.
    Substring,
}

impl Matching {
    fn is_words(&self) -> bool {
        *self == Self::Words
    }

    /// Returns true when a message says an output. By both rules every message says an empty one.
    #[must_use]
    pub fn says(self, message: &str, output: &str) -> bool {
        match self {
            Self::Words => crate::said::says(message, output),
            Self::Substring => {
                let message = message.to_lowercase().replace(',', "");
                message.contains(&output.to_lowercase())
            }
        }
    }
}

/// A kind of check that a reward may rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Basis {
    /// The final state equals that of the gold.
    State,
    /// The outputs were said.
    Outputs,
    /// The assertions hold.
    Asserts,
    /// The required calls were made.
    Calls,
    /// A model agrees with the statements of `judge`.
    Judge,
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
    /// The character that a user model plays.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub persona: String,
}

/// One thing the user knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Fact {
    /// Its name in the template.
    pub name: String,
    /// Its value, as it is said.
    pub value: String,
    /// The parts that tell it together, such as a name and a postcode, where no single text does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
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

impl Fact {
    /// Returns true when a text tells the value: all parts of it, where it has parts.
    #[must_use]
    pub fn is_told(&self, text: &Text) -> bool {
        match self.parts.is_empty() {
            true => text.mentions(&self.value),
            false => self.parts.iter().all(|part| text.mentions(part)),
        }
    }

    /// Returns the fact with the words that ask for it and a plain answer, where it has none.
    #[must_use]
    pub fn completed(mut self) -> Self {
        if self.asked.is_empty() {
            let words = self
                .name
                .split(['_', ' ', '-'])
                .filter(|w| *w != "id" && *w != "new");
            self.asked = words.map(str::to_lowercase).collect();
        }
        if self.answer.is_empty() {
            self.answer = format!("It is {}.", self.value);
        }
        self
    }
}

/// The texts of a demonstration's agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentScript {
    /// The question for each fact that is held back, and the request for each call that is the user's, by the tool's name.
    pub ask: BTreeMap<String, String>,
    /// The final answer.
    pub answer: String,
}

impl UserScript {
    /// A script without a template's wordings: facts told at once or held back, plain answers. The instruction is the
    /// caller's prose, for a language model that plays this user.
    #[must_use]
    pub fn of_facts(instruction: &str, opening: &str, facts: Vec<Fact>) -> Self {
        Self {
            instruction: instruction.into(),
            opening: opening.into(),
            facts: facts.into_iter().map(Fact::completed).collect(),
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
