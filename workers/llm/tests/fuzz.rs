//! The readers of model answers against arbitrary text: nothing panics, sound JSON is read unchanged, and a repair adds
//! no value.
#![allow(clippy::unwrap_used)]

use agoge_dialogue::json::json_in_text;
use agoge_llm::{Answer, Finish, Usage};
use proptest::prelude::*;
use serde_json::{Value, json};

fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        ":",
        ",",
        "\\",
        "\\u",
        "\\u+12f",
        "\\ud83d",
        "\\ude00",
        "00e9",
        "```json\n",
        "```",
        "true",
        "None",
        "1",
        "-",
        "1e9",
        "1e999",
        ".",
        "//",
        "#",
        "\n",
        "\t",
        " ",
        "\"a\": ",
        "<tool_call>",
        "</tool_call>",
        "{\"name\": \"look\", \"arguments\": ",
        "{}",
        "é",
        "🙂",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => ".{0,4}"]
}

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..20).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        soup().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Every string, number and word in a value, in order.
fn leaves(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| leaves(item, out)),
        Value::Object(map) => map.iter().for_each(|(name, item)| {
            out.push(name.clone());
            leaves(item, out);
        }),
        leaf => out.push(leaf.to_string()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_an_answer_or_an_error(text in soup(), cut in any::<bool>()) {
        if let Ok(reading) = json_in_text(&text, cut) {
            prop_assert!(reading.value.is_object() || reading.value.is_array());
            // Read once, it needs no repair any more.
            let again = json_in_text(&reading.value.to_string(), true).unwrap();
            prop_assert!(again.repairs.is_empty(), "{:?}", again.repairs);
        }
        let answer = Answer { text, finish: Finish::Stop, ..Answer::default() };
        let _ = answer.parse(&[]);
    }

    #[test]
    fn sound_json_is_read_as_serde_reads_it(value in value(), before in "[a-z ]{0,6}") {
        let value = json!([value]);
        let text = value.to_string();
        let expected: Value = serde_json::from_str(&text).unwrap();
        let reading = json_in_text(&text, true).unwrap();
        prop_assert_eq!(&reading.value, &expected);
        prop_assert!(reading.repairs.is_empty());
        let reading = json_in_text(&format!("{before}{text}"), true).unwrap();
        prop_assert_eq!(reading.value, expected);
    }

    #[test]
    fn a_text_that_breaks_off_gives_no_value_that_was_not_written(value in value(), at in any::<prop::sample::Index>()) {
        let text = json!([value]).to_string();
        let end = (0..=at.index(text.len())).rev().find(|n| text.is_char_boundary(*n)).unwrap();
        if let Ok(reading) = json_in_text(&text[..end], false) {
            let (mut found, mut written) = (Vec::new(), Vec::new());
            leaves(&reading.value, &mut found);
            leaves(&serde_json::from_str(&text).unwrap(), &mut written);
            prop_assert!(written.starts_with(&found), "{found:?} of {written:?}");
        }
    }

    #[test]
    fn any_native_call_is_read_or_refused(call in value(), name in ".{0,6}", arguments in value()) {
        let native = json!({"function": {"name": name, "arguments": arguments}});
        let answer = Answer {
            tool_calls: vec![call, native],
            usage: Usage::default(),
            ..Answer::default()
        };
        let _ = answer.parse(&[]);
    }
}
