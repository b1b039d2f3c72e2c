//! Renderers and the reader of written calls against arbitrary input: nothing panics, and what reads reads back.
#![allow(clippy::unwrap_used)]

mod common;

use agoge_dialogue::{ByteVocab, Message, Renderer, Role, ToolCall, calls_in_text, renderer};
use common::json_with;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

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

fn formats() -> [Box<dyn Renderer>; 3] {
    ["compact", "chatml", "qwen25"].map(|name| renderer(name).unwrap())
}

/// A piece of text that formats give a meaning to, or any text.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "```json\n",
        "```",
        "{\"name\": \"look\", \"arguments\": ",
        "{\"id\": \"4\"}",
        "}",
        "{",
        "[",
        "]",
        "\"",
        "\n",
        " ",
        "=",
        "#",
        "#1",
        "key=",
        "look",
        "<tool_call>",
        "</tool_call>",
        "<|end|>",
        "null",
        "\"arguments\"",
        "\"function\": ",
        "\"tool_calls\": [",
        ",",
        "\\",
        "\\u0060",
        "é",
        "🙂",
    ]);
    prop_oneof![3 => known.prop_map(str::to_owned), 1 => ".{0,4}"]
}

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..14).prop_map(|pieces| pieces.concat())
}

/// Ids of a byte vocabulary: pieces of text, special tokens, and ids beyond the vocabulary.
fn ids() -> impl Strategy<Value = Vec<u32>> {
    let part = prop_oneof![
        3 => piece().prop_map(|text| text.bytes().map(u32::from).collect::<Vec<u32>>()),
        1 => (256u32..270).prop_map(|id| vec![id]),
        1 => any::<u32>().prop_map(|id| vec![id]),
    ];
    prop::collection::vec(part, 0..14).prop_map(|parts: Vec<Vec<u32>>| parts.concat())
}

fn speaker() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::User, Role::Assistant])
}

/// A call whose names are Python's, which is what a domain's tools have.
fn call() -> impl Strategy<Value = ToolCall> {
    let arguments = prop::collection::vec(("[a-z_][a-z0-9_]{0,8}", json_with(soup())), 0..4);
    ("[a-z_][a-z0-9_]{0,10}", arguments).prop_map(|(name, arguments)| {
        ToolCall::new(&name, arguments.into_iter().collect::<Map<_, _>>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_ids_are_a_message_or_an_error_and_a_message_reads_back_as_itself(ids in ids(), speaker in speaker()) {
        let vocab = ByteVocab::new(&SPECIALS);
        for format in formats() {
            if let Ok(mut message) = format.parse(&vocab, speaker, &ids) {
                // No format renders the id that a call may have been written with.
                message.tool_calls.iter_mut().for_each(|call| call.id.clear());
                let again = format.parse(&vocab, speaker, &format.turn(&vocab, &message));
                prop_assert_eq!(again, Ok(message), "{}", format.name());
            }
        }
    }

    #[test]
    fn calls_read_back_from_every_format(calls in prop::collection::vec(call(), 1..4)) {
        let vocab = ByteVocab::new(&SPECIALS);
        let message = Message::calls(calls);
        for format in formats() {
            let ids = format.turn(&vocab, &message);
            let back = format.parse(&vocab, Role::Assistant, &ids);
            prop_assert_eq!(back, Ok(message.clone()), "{}", format.name());
        }
    }

    #[test]
    fn a_persons_text_reads_back_from_every_format(text in soup()) {
        let vocab = ByteVocab::new(&SPECIALS);
        let message = Message::user(&text);
        for format in formats() {
            let ids = format.turn(&vocab, &message);
            match format.parse(&vocab, Role::User, &ids) {
                Ok(back) => prop_assert_eq!(&back, &message, "{}", format.name()),
                Err(_) => prop_assert!(text.is_empty(), "{}", format.name()),
            }
        }
    }

    #[test]
    fn calls_found_in_any_text_are_found_again_when_they_are_written_out(text in soup()) {
        let found = calls_in_text(&text).unwrap_or_default();
        let written: Vec<Value> = found
            .iter()
            .map(|call| json!({"id": call.id, "name": call.name, "arguments": call.arguments}))
            .collect();
        // A backtick inside a string would end the fence.
        let body = json!(written).to_string().replace('`', "\\u0060");
        let fenced = format!("```json\n{body}\n```");
        prop_assert_eq!(calls_in_text(&fenced), Ok(found));
    }
}
