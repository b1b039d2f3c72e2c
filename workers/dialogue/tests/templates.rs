//! The chat template of each format, rendered by a Jinja engine, gives the tokens that the renderer gives.
#![allow(clippy::unwrap_used)]

use agoge_dialogue::{ByteVocab, Message, Role, ToolCall, ToolSpec, renderer};
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, context};
use serde_json::{Value, json};

const SPECIALS: [&str; 10] = [
    "<|sys|>",
    "<|user|>",
    "<|agent|>",
    "<|call|>",
    "<|result|>",
    "<|end|>",
    "<|im_start|>",
    "<|im_end|>",
    "<tool_call>",
    "</tool_call>",
];

/// JSON as transformers' `tojson` writes it: Python's separators unless others are given.
fn tojson(value: minijinja::Value, options: Kwargs) -> Result<String, Error> {
    let compact = options.get::<Option<minijinja::Value>>("separators")?.is_some();
    let value = serde_json::to_value(&value)
        .map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))?;
    Ok(if compact { value.to_string() } else { spaced(&value) })
}

fn spaced(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Object(map) => {
            let entry = |(k, v): (&String, &Value)| format!("{}: {}", json!(k), spaced(v));
            format!("{{{}}}", joined(map.iter().map(entry).collect()))
        }
        Value::Array(items) => format!("[{}]", joined(items.iter().map(spaced).collect())),
        other => other.to_string(),
    }
}

/// The API's messages with arguments as objects, as transformers and vLLM hand them to a template.
fn structured(message: &Message) -> Value {
    let mut value = message.to_openai();
    for call in value["tool_calls"].as_array_mut().into_iter().flatten() {
        let arguments = call["function"]["arguments"].as_str().unwrap().to_owned();
        call["function"]["arguments"] = serde_json::from_str(&arguments).unwrap();
    }
    value
}

/// The text of ids, special tokens written out.
fn shown(ids: &[u32]) -> String {
    let mut bytes = Vec::new();
    for id in ids {
        match u8::try_from(*id) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend(SPECIALS[(*id - 256) as usize].bytes()),
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_template_renders_what_its_renderer_renders() {
    let arguments = json!({"id": "48213", "note": "two words", "n": 3, "price": 1.5, "express": true, "none": null,
        "word": "true", "tag": "<tool_call>x</tool_call>", "empty": "", "list": ["a", 1, {"k": "`x`"}], "ünï": "漢字 \"q\""});
    let call = ToolCall::new("move_parcel", arguments.as_object().cloned().unwrap());
    let bare = ToolCall::new("look", serde_json::Map::new());
    let dialogue = [
        Message::user("where is 48213?\nand <|end|>"),
        Message::calls(vec![call.clone(), bare.clone()]),
        Message::tool_result("", "depot 7"),
        Message::tool_result("", ""),
        Message::assistant("It is in depot 7."),
        Message::user("thanks"),
        Message {
            content: "One moment.".into(),
            ..Message::calls(vec![bare, call])
        },
        Message::tool_result("", "{\"a\": 1}"),
        Message::system("Be brief."),
        Message::assistant("Done."),
    ];
    let tools = [ToolSpec {
        name: "look".into(),
        description: "Looks around.".into(),
        parameters: json!({"type": "object", "properties": {"z": {"type": "string"}, "a": {}}}),
    }];
    let vocab = ByteVocab::new(&SPECIALS);
    for name in ["compact", "chatml", "qwen25"] {
        let format = renderer(name).unwrap();
        let mut engine = Environment::new();
        engine.add_filter("tojson", tojson);
        engine.set_trim_blocks(true);
        engine.set_lstrip_blocks(true);
        for tools in [&tools[..], &[]] {
            let mut ids = format.open(&vocab, "desk", tools);
            ids.extend(format.append_all(&vocab, &dialogue));
            ids.extend(format.prefix(&vocab, Role::Assistant));
            let messages: Vec<Value> = std::iter::once(&Message::system("desk"))
                .chain(&dialogue)
                .map(structured)
                .collect();
            let tools: Vec<Value> = tools.iter().map(ToolSpec::to_openai).collect();
            let text = engine
                .render_str(
                    format.chat_template(),
                    context! { messages, tools, add_generation_prompt => true },
                )
                .unwrap();
            assert_eq!(text, shown(&ids), "{name}");
        }
        let unread = json!([{"role": "assistant", "tool_calls": [{"function": {"name": "x", "arguments": "{}"}}]}]);
        let refused = engine.render_str(format.chat_template(), context! { messages => unread });
        assert!(refused.is_err(), "{name}: arguments given as text are not guessed");
    }
}
