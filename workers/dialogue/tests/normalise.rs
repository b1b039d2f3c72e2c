//! The reader of models' output against arbitrary input: nothing panics, and a call reads back from every form, whatever its
//! arguments hold.
#![allow(clippy::unwrap_used)]

mod common;

use agoge_dialogue::{ModelOutput, ParsedOutput, ToolCall, ToolSpec, normalise};
use common::json_with;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A piece of text that some form gives a meaning to, or any text.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "```",
        "```json\n",
        "~~~",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "=",
        "\"",
        "'",
        "\\",
        "\n",
        ", ",
        "{\"name\": \"look\", \"arguments\": ",
        "{\"id\": \"4\"}",
        "look(id=\"4\")",
        "<tool_call>",
        "</tool_call>",
        "<function=look>",
        "<parameter=id>",
        "</parameter>",
        "</function>",
        "<invoke name=\"look\">",
        "<arg_key>id</arg_key>",
        "<|python_tag|>",
        "[TOOL_CALLS]",
        "look[ARGS]",
        "<｜tool▁call▁begin｜>",
        "<｜tool▁sep｜>",
        "<|tool_call_begin|>",
        "<think>",
        "</think>",
        "[THINK]",
        "<|im_end|>",
        "é",
        "🙂",
    ]);
    prop_oneof![3 => known.prop_map(str::to_owned), 1 => ".{0,4}"]
}

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..14).prop_map(|pieces| pieces.concat())
}

/// A text that does not spell the tags that end an argument: in XML nothing is escaped.
fn unescaped() -> impl Strategy<Value = Value> {
    soup().prop_map(|text| {
        let text = text
            .replace("</", "< /")
            .replace("<parameter", "< parameter");
        Value::from(text.replace('\r', ""))
    })
}

/// A call whose names are Python's, which is what a domain's tools have.
fn call(value: impl Strategy<Value = Value>) -> impl Strategy<Value = ToolCall> {
    let arguments = prop::collection::vec(("[a-z][a-z0-9_]{0,8}", value), 0..4);
    ("t_[a-z0-9_]{0,10}", arguments).prop_map(|(name, arguments)| {
        ToolCall::new(&name, arguments.into_iter().collect::<Map<_, _>>())
    })
}

fn read(text: &str, calls: &[ToolCall]) -> ParsedOutput {
    let offered = |call: &ToolCall| ToolSpec {
        name: call.name.clone(),
        description: String::new(),
        parameters: json!({"type": "object"}),
    };
    let tools: Vec<ToolSpec> = calls.iter().map(offered).collect();
    let output = ModelOutput {
        text,
        ..ModelOutput::default()
    };
    normalise(&output, &tools)
}

fn object(call: &ToolCall) -> Value {
    json!({"name": call.name, "arguments": call.arguments})
}

fn arguments(call: &ToolCall) -> Value {
    Value::Object(call.arguments.clone())
}

/// A value as Python writes it.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(literal).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let members = map
                .iter()
                .map(|(name, value)| format!("{}: {}", json!(name), literal(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

fn python(call: &ToolCall) -> String {
    let arguments = call.arguments.iter();
    let arguments = arguments.map(|(name, value)| format!("{name}={}", literal(value)));
    format!(
        "{}({})",
        call.name,
        arguments.collect::<Vec<_>>().join(", ")
    )
}

fn each(calls: &[ToolCall], write: impl Fn(&ToolCall) -> String) -> String {
    calls.iter().map(write).collect::<Vec<_>>().join("\n")
}

/// The calls in every form that holds JSON or literals.
fn forms(calls: &[ToolCall]) -> Vec<String> {
    let list = json!(calls.iter().map(object).collect::<Vec<_>>());
    let parameters: Vec<String> = calls
        .iter()
        .map(|call| json!({"name": call.name, "parameters": call.arguments}).to_string())
        .collect();
    vec![
        each(calls, |call| {
            format!("<tool_call>\n{}\n</tool_call>", object(call))
        }),
        each(calls, |call| format!("<tool_call>\n{}", object(call))),
        format!("<tool_calls>{list}</tool_calls>"),
        format!("<|python_tag|>{}", parameters.join("; ")),
        each(calls, |call| {
            format!("<function={}>{}</function>", call.name, arguments(call))
        }),
        format!("[TOOL_CALLS]{list}"),
        each(calls, |call| {
            format!("[TOOL_CALLS]{}[ARGS]{}", call.name, arguments(call))
        }),
        each(calls, |call| {
            format!(
                "<｜tool▁call▁begin｜>{}<｜tool▁sep｜>{}<｜tool▁call▁end｜>",
                call.name,
                arguments(call)
            )
        }),
        each(calls, |call| {
            format!(
                "<|tool_call_begin|>functions.{}:0<|tool_call_argument_begin|>{}<|tool_call_end|>",
                call.name,
                arguments(call)
            )
        }),
        format!(
            "[{}]",
            calls.iter().map(python).collect::<Vec<_>>().join(", ")
        ),
        each(calls, |call| format!("```json\n{}\n```", object(call))),
        format!("~~~\n{list}\n~~~"),
        each(calls, |call| object(call).to_string()),
        list.to_string(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_and_without_reasoning_it_is_written_unchanged(text in soup(), cut in any::<bool>()) {
        let tool = ToolCall::new("look", Map::new());
        let output = read(&text, std::slice::from_ref(&tool));
        if output.reasoning.is_none() && !text.contains("think") && !text.contains("THINK") {
            prop_assert_eq!(&output.written, &text);
        }
        prop_assert!(!output.unread || output.calls == Ok(vec![]));
        let native = [json!(text)];
        let output = ModelOutput { text: &text, calls: &native, cut, ..ModelOutput::default() };
        prop_assert!(normalise(&output, &[]).calls.is_err());
    }

    #[test]
    fn calls_read_back_from_every_form_beside_words(calls in prop::collection::vec(call(json_with(soup())), 1..4)) {
        for form in forms(&calls) {
            let alone = read(&form, &calls);
            prop_assert_eq!(alone.calls, Ok(calls.clone()), "{}", &form);
            prop_assert_eq!(alone.said, "", "{}", &form);
            let beside = read(&format!("<think>{{x}}</think>\nOne moment.\n{form}"), &calls);
            prop_assert_eq!(beside.calls, Ok(calls.clone()), "{}", &form);
            prop_assert_eq!(beside.said, "One moment.", "{}", &form);
            prop_assert_eq!(beside.reasoning.as_deref(), Some("{x}"));
        }
    }

    #[test]
    fn text_arguments_read_back_from_xml(calls in prop::collection::vec(call(unescaped()), 1..4)) {
        let form = each(&calls, |call| {
            let argument = |(name, value): (&String, &Value)| {
                format!("<parameter={name}>\n{}\n</parameter>\n", value.as_str().unwrap_or_default())
            };
            let arguments: String = call.arguments.iter().map(argument).collect();
            format!("<tool_call>\n<function={}>\n{arguments}</function>\n</tool_call>", call.name)
        });
        prop_assert_eq!(read(&form, &calls).calls, Ok(calls), "{}", &form);
    }
}
