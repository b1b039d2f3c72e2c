//! Messages as the field's APIs shape them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The instruction above the dialogue.
    System,
    /// The person helped.
    User,
    /// The agent.
    Assistant,
    /// The result of a call.
    Tool,
}

impl Role {
    /// The name in chat formats.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Ties a result to its call.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The tool.
    pub name: String,
    /// Arguments by name.
    #[serde(default)]
    pub arguments: Map<String, Value>,
}

impl ToolCall {
    /// A call without an id.
    #[must_use]
    pub fn new(name: &str, arguments: Map<String, Value>) -> Self {
        Self {
            id: String::new(),
            name: name.into(),
            arguments,
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The speaker.
    pub role: Role,
    /// The text; may be empty beside calls.
    #[serde(default)]
    pub content: String,
    /// Calls, of an assistant only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool result answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// An assistant's reasoning before it wrote, kept for people who read the dialogue. The user, the checkers, exports and
    /// the history that a model reads do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
}

impl Message {
    fn text(role: Role, content: &str) -> Self {
        Self {
            role,
            content: content.into(),
            tool_calls: Vec::new(),
            tool_call_id: None,
            reasoning: None,
        }
    }

    /// A system message.
    #[must_use]
    pub fn system(content: &str) -> Self {
        Self::text(Role::System, content)
    }

    /// A user message.
    #[must_use]
    pub fn user(content: &str) -> Self {
        Self::text(Role::User, content)
    }

    /// An assistant's text.
    #[must_use]
    pub fn assistant(content: &str) -> Self {
        Self::text(Role::Assistant, content)
    }

    /// An assistant's calls, without text.
    #[must_use]
    pub fn calls(tool_calls: Vec<ToolCall>) -> Self {
        Self {
            tool_calls,
            ..Self::text(Role::Assistant, "")
        }
    }

    /// The result of the call with this id.
    #[must_use]
    pub fn tool_result(call: &str, content: &str) -> Self {
        let tool_call_id = (!call.is_empty()).then(|| call.to_owned());
        Self {
            tool_call_id,
            ..Self::text(Role::Tool, content)
        }
    }

    /// The shape of OpenAI's chat API, in which arguments are a JSON string. It has no reasoning.
    #[must_use]
    pub fn to_openai(&self) -> Value {
        let mut out = json!({"role": self.role, "content": self.content});
        if !self.tool_calls.is_empty() {
            let calls: Vec<Value> = self
                .tool_calls
                .iter()
                .enumerate()
                .map(|(n, call)| {
                    let id = if call.id.is_empty() { format!("call_{n}") } else { call.id.clone() };
                    let arguments = Value::Object(call.arguments.clone()).to_string();
                    json!({"id": id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
                })
                .collect();
            out["tool_calls"] = Value::Array(calls);
        }
        if self.role == Role::Tool {
            out["tool_call_id"] = json!(self.tool_call_id.as_deref().unwrap_or("call_0"));
        }
        out
    }
}

/// A tool's name, description and arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// The name.
    pub name: String,
    /// The description.
    pub description: String,
    /// JSON schema of the arguments, an object.
    pub parameters: Value,
}

impl ToolSpec {
    /// The shape of OpenAI's chat API.
    #[must_use]
    pub fn to_openai(&self) -> Value {
        json!({"type": "function", "function": {
            "name": self.name, "description": self.description, "parameters": self.parameters}})
    }
}
