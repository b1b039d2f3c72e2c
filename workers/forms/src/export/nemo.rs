//! `nemo-gym`: tasks as rows of NeMo Gym, for `agoge env serve` as their resources server, which finds the task by `task_id`.

use agoge_artifacts::Instance;
use agoge_dialogue::export::Exported;
use agoge_dialogue::{Message, Role, ToolSpec};
use agoge_world::Split;
use serde_json::{Value, json};

use super::row::{NO_HELDOUT, NO_TASK};
use super::{Export, ExportError, Form, Source, Stored, Table};

/// The form.
pub struct NemoGym;

impl Form for NemoGym {
    fn name(&self) -> &'static str {
        "nemo-gym"
    }

    fn about(&self) -> &'static str {
        "tasks as rows of NeMo Gym, played against `agoge env serve`"
    }

    fn export(&self, source: &Source<'_>) -> Result<Export, ExportError> {
        let rows = |split| -> Vec<Value> { source.of(split).map(|one| row(source, one)).collect() };
        let table = |split, path, rows, lack| Table {
            config: "default",
            split,
            path,
            stored: Stored::Lines,
            rows,
            about: "tasks (`task_id`, `responses_create_params`)",
            lack,
        };
        Ok(Export::of_tables(vec![
            table("train", "train", rows(Split::TrainRl), NO_TASK),
            table("heldout", "validation", rows(Split::Heldout), NO_HELDOUT),
        ]))
    }
}

fn row(source: &Source<'_>, instance: &Instance) -> Value {
    let (domain, task) = (source.domain, &instance.task);
    let prompt = Exported::opening(&domain.policy, &task.history, &task.user.opening);
    let input: Vec<Value> = prompt.messages().flat_map(items).collect();
    let tools: Vec<Value> = domain.tools.iter().map(tool).collect();
    json!({
        "task_id": task.id,
        "responses_create_params": {"input": input, "tools": tools, "parallel_tool_calls": false},
        "agoge": source.made(instance),
    })
}

/// Returns a tool as the Responses API has it.
fn tool(spec: &ToolSpec) -> Value {
    json!({"type": "function", "name": spec.name, "description": spec.description, "parameters": spec.parameters,
        "strict": false})
}

/// Returns a message as items of the Responses API.
fn items(message: &Message) -> Vec<Value> {
    if message.role == Role::Tool {
        return vec![
            json!({"type": "function_call_output", "call_id": message.tool_call_id, "output": message.content}),
        ];
    }
    let silent = message.content.is_empty() && !message.tool_calls.is_empty();
    let said = (!silent).then(|| json!({"role": message.role.name(), "content": message.content}));
    let calls = message.tool_calls.iter().map(|call| {
        let arguments = Value::Object(call.arguments.clone()).to_string();
        json!({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments})
    });
    said.into_iter().chain(calls).collect()
}
