//! A small domain with tools of both sides, and dialogues in it, for the tests of forms.

use std::path::Path;

use agoge_artifacts::Instance;
use agoge_dialogue::{Message, Role, ToolCall};
use agoge_world::{Domain, Split, Task, UserScript};
use serde_json::{Value, json};

const FILES: [(&str, &str); 6] = [
    (
        "domain.yaml",
        "name: lamps\ntitle: Lamps\nformat: 2\nnow: '2025-01-01T00:00:00'\n",
    ),
    ("policy.md", "Switch the lamp that the user names.\n"),
    (
        "state.json",
        r#"{"lamps": {"hall": {"on": false}, "yard": {"on": true}}}"#,
    ),
    (
        "schema.json",
        r#"{"type": "object", "additionalProperties": false, "required": ["lamps"], "properties": {"lamps": {"type": "object",
            "additionalProperties": {"type": "object", "additionalProperties": false, "required": ["on"],
            "properties": {"on": {"type": "boolean"}}}}}}"#,
    ),
    (
        "tools.py",
        r#"def switch(lamp: str, on: bool) -> str:
    """Switch a lamp on or off."""
    found = db_get("lamps", lamp)
    if found is None:
        raise ValueError("no such lamp")
    found["on"] = on
    db_put("lamps", lamp, found)
    return "ok"


def look(lamp: str) -> str:
    """Say whether a lamp is on."""
    found = db_get("lamps", lamp)
    if found is None:
        raise ValueError("no such lamp")
    return "on" if found["on"] else "off"
"#,
    ),
    (
        "user_tools.py",
        r#"def peek(lamp: str) -> str:
    """Look at a lamp from where you stand."""
    found = db_get("lamps", lamp)
    return "bright" if found["on"] else "dark"
"#,
    ),
];

/// Loads the domain from a folder that goes away.
pub fn domain() -> Domain {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    Domain::load(Path::new(dir.path())).unwrap()
}

/// A call with an id.
pub fn call(id: &str, name: &str, arguments: Value) -> ToolCall {
    ToolCall {
        id: id.into(),
        ..ToolCall::new(name, arguments.as_object().cloned().unwrap())
    }
}

/// A dialogue in which both sides call tools.
pub fn dialogue() -> Vec<Message> {
    let peek = Message {
        role: Role::User,
        ..Message::calls(vec![call("1", "peek", json!({"lamp": "hall"}))])
    };
    vec![
        Message::user("The hall is dark."),
        Message::assistant("Is it, from where you stand?"),
        peek,
        Message::tool_result("1", "dark"),
        Message::user("Yes. Switch it on, please."),
        Message::calls(vec![
            call("2", "look", json!({"lamp": "hall"})),
            call("3", "look", json!({"lamp": "yard"})),
        ]),
        Message::tool_result("2", "off"),
        Message::tool_result("3", "on"),
        Message {
            content: "One moment.".into(),
            ..Message::calls(vec![call(
                "4",
                "switch",
                json!({"lamp": "hall", "on": true}),
            )])
        },
        Message::tool_result("4", "ok"),
        Message::assistant("It is on."),
        Message::user("Thank you. ###"),
    ]
}

/// An instance of a split with this dialogue.
pub fn instance(id: &str, split: Split, messages: Vec<Message>) -> Instance {
    let gold = messages
        .iter()
        .filter(|message| message.role == Role::Assistant);
    let gold = gold.flat_map(|message| &message.tool_calls);
    Instance {
        task: Task {
            id: id.into(),
            intent: "light".into(),
            branch: "switch".into(),
            user: UserScript {
                instruction: "You want light in the hall.".into(),
                opening: "The hall is dark.".into(),
                closing: "Thank you. ###".into(),
                ..UserScript::default()
            },
            gold: gold
                .map(|call| ToolCall::new(&call.name, call.arguments.clone()))
                .collect(),
            outputs: vec!["on".into()],
            ..Task::default()
        },
        split,
        strategy: "sea".into(),
        messages,
    }
}
