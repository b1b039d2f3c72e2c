//! A domain: the content of its folder, and the answers that follow from it alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agoge_dialogue::ToolSpec;
use agoge_sandbox::State;
use serde::Deserialize;
use serde_json::Value;

use crate::backend::Party;
use crate::declined::Declines;
use crate::folder;
use crate::problem::Problems;
use crate::rules::Rules;
use crate::seeds::Seed;
use crate::servers::{Foreign, ServerSpec};
use crate::split::SplitRule;
use crate::task::Task;
use crate::template::Template;
use crate::unordered::Unordered;

/// The content of a domain's folder.
#[derive(Clone, Debug)]
pub struct Domain {
    /// The version of the folder's format: 1 or 2.
    pub format: u8,
    /// Short name.
    pub name: String,
    /// Name for readers.
    pub title: String,
    /// The policy, for models that read it.
    pub policy: String,
    /// The system prompt of small policies, which learn the domain in their weights.
    pub prompt: String,
    /// Instructions for a model that simulates the user, of `user.md`.
    pub user_guide: Option<String>,
    /// The clock of every episode, ISO 8601.
    pub now: String,
    /// The data.
    pub state: State,
    /// The JSON schema of the data.
    pub schema: Value,
    /// The agent's tools, their schemas derived from type hints.
    pub tools: Vec<ToolSpec>,
    /// The user's tools, of `user_tools.py`; their names differ from the agent's.
    pub user_tools: Vec<ToolSpec>,
    /// `tools.py`, and `user_tools.py` after it; empty when all tools are on servers.
    pub tools_source: String,
    /// The line of `tools_source` after which `user_tools.py` begins; `None` when there is no such file.
    pub(crate) user_from: Option<u32>,
    /// The names of all functions of the tools, private ones included.
    pub(crate) functions: BTreeSet<String>,
    /// True when the tools have a function `_sync`, which runs after every call.
    pub sync: bool,
    /// The servers that hold tools, beside `tools.py`.
    pub servers: Option<ServerSpec>,
    /// The tools on those servers, once something is attached that reaches them.
    pub foreign: Option<Arc<dyn Foreign>>,
    /// The form in which the agent reads the values that tools return.
    pub results: Results,
    /// The text that the agent reads of a call that failed; `{}` stands for the reason.
    pub error_text: String,
    /// The shapes of results by which its tools decline a call.
    pub declines: Declines,
    /// Tools that only inform: a solution may leave them out, although nothing shows that.
    pub lookups: Vec<String>,
    /// The lists whose order means nothing.
    pub unordered: Unordered,
    /// Lengths of the ids that the schema marks by `x-agoge-id`: numbers of so many digits name records.
    pub id_lengths: Vec<usize>,
    /// The rule that divides records among the splits.
    pub split: SplitRule,
    /// The limits of an episode that differ from the usual ones.
    pub limits: DomainLimits,
    /// Scenario templates, in the order of their files.
    pub templates: Vec<Template>,
    /// The tasks of `tasks.jsonl`, in their order.
    pub tasks: Vec<Task>,
    /// The requests of `seeds.jsonl`, in their order.
    pub seeds: Vec<Seed>,
    /// The ids of tasks given for training as a whole: they serve as demonstrations and in reinforcement learning.
    pub(crate) training: BTreeSet<String>,
    /// `sha256:` over every file that is read.
    pub digest: String,
    /// The folder.
    pub dir: PathBuf,
}

/// The form in which the agent reads the values that tools return. A text stays as it is in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Results {
    /// Compact JSON.
    #[default]
    Text,
    /// JSON as Python's `json.dumps` writes it.
    Json,
}

/// The limits of an episode that a domain sets. Those that are left out are the usual ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DomainLimits {
    /// Agent turns, calls included.
    pub turns: Option<u32>,
    /// Generated tokens of one turn of the agent.
    pub agent_tokens: Option<u32>,
    /// Generated tokens of one turn of the user.
    pub user_tokens: Option<u32>,
}

impl DomainLimits {
    /// Returns rules with these limits in the place of theirs.
    #[must_use]
    pub fn over(self, rules: Rules) -> Rules {
        Rules {
            max_turns: self.turns.unwrap_or(rules.max_turns),
            max_agent_tokens: self.agent_tokens.unwrap_or(rules.max_agent_tokens),
            max_user_tokens: self.user_tokens.unwrap_or(rules.max_user_tokens),
            ..rules
        }
    }
}

impl Domain {
    /// Reads a folder.
    ///
    /// # Errors
    /// All problems that make the folder unusable.
    pub fn load(dir: &Path) -> Result<Self, Problems> {
        folder::read(dir)
    }

    /// Returns the tool of this name, of either party.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&ToolSpec> {
        let mut all = self.tools.iter().chain(&self.user_tools);
        all.find(|tool| tool.name == name)
    }

    /// Returns the party that has the tool of this name.
    #[must_use]
    pub fn party(&self, tool: &str) -> Option<Party> {
        let of = |party| self.tools_of(party).iter().any(|one| one.name == tool);
        [Party::Agent, Party::User]
            .into_iter()
            .find(|party| of(*party))
    }

    /// The tools that a party may call.
    #[must_use]
    pub fn tools_of(&self, party: Party) -> &[ToolSpec] {
        match party {
            Party::Agent => &self.tools,
            Party::User => &self.user_tools,
        }
    }

    /// Returns the function that a task means by this name: the function itself, else the private one of that name.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<&str> {
        let found = self.functions.get(name);
        let private = || self.functions.get(&format!("_{name}"));
        found.or_else(private).map(String::as_str)
    }

    /// Returns the rules with the limits that this domain sets.
    #[must_use]
    pub fn rules(&self, rules: Rules) -> Rules {
        self.limits.over(rules)
    }

    /// Returns the file and the line in it of a line of the tools' source.
    pub(crate) fn place(&self, line: Option<u32>) -> (PathBuf, Option<u32>) {
        match (self.user_from, line) {
            (Some(from), Some(line)) if line > from => {
                (self.dir.join("user_tools.py"), Some(line - from))
            }
            _ => (self.dir.join("tools.py"), line),
        }
    }

    /// Returns the file of a template.
    pub(crate) fn template_file(&self, template: &Template) -> PathBuf {
        self.dir.join("templates").join(&template.file)
    }
}
