use super::*;
use serde_json::json;

fn tools() -> Vec<ToolSpec> {
    let properties = json!({"id": {"type": "string"}, "days": {"type": "integer"}, "text": {"type": "string"},
        "items": {"type": "array", "items": {"type": "string"}}});
    ["look", "note", "now"]
        .map(|name| ToolSpec {
            name: name.into(),
            description: String::new(),
            parameters: json!({"type": "object", "properties": properties}),
        })
        .into()
}

fn read(text: &str) -> ParsedOutput {
    let output = ModelOutput {
        text,
        ..ModelOutput::default()
    };
    normalise(&output, &tools())
}

/// Names and arguments of the calls of a text.
fn calls(text: &str) -> Vec<(String, Value)> {
    let calls = read(text).calls.unwrap_or_else(|e| panic!("{text}: {e}"));
    let call = |call: ToolCall| (call.name, Value::Object(call.arguments));
    calls.into_iter().map(call).collect()
}

#[test]
fn every_form_of_a_call_is_read_and_the_words_beside_it_are_kept() {
    let wanted = json!({"id": "48213", "days": 3});
    let object = r#"{"name": "look", "arguments": {"id": "48213", "days": 3}}"#;
    let parameters = r#"{"name": "look", "parameters": {"id": "48213", "days": 3}}"#;
    let arguments = r#"{"id": "48213", "days": 3}"#;
    for form in [
        format!("<tool_call>\n{object}\n</tool_call>"),
        format!("<tool_call>{object}"),
        format!("<tool_call>\n```json\n{object}\n```\n</tool_call>"),
        format!("<tool_call>{object}}}</tool_call>"),
        format!("```xml\n<tool_call>\n{object}\n</tool_call>\n```"),
        format!("<tool_calls>[{object}]</tool_calls>"),
        format!("<|tool_call|>[{object}]<|/tool_call|>"),
        "<tool_call>\n<function=look>\n<parameter=id>\n48213\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>".into(),
        "<function=look><parameter=id>48213</parameter>\n<parameter=days>3</function>".into(),
        "<function_calls>\n<invoke name=\"look\">\n<parameter name=\"id\">48213</parameter>\n<parameter name=\"days\">3</parameter>\n</invoke>\n</function_calls>".into(),
        "<tool_call>look\n<arg_key>id</arg_key>\n<arg_value>48213</arg_value>\n<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>".into(),
        format!("<|python_tag|>{parameters}<|eom_id|>"),
        "<|python_tag|>look.call(id=\"48213\", days=3)".into(),
        format!("<function=look>{arguments}</function>"),
        format!("{{\"type\": \"function\", \"name\": \"look\", \"parameters\": {arguments}}}"),
        format!("[TOOL_CALLS][{object}]"),
        format!("[TOOL_CALLS]look[ARGS]{arguments}"),
        format!("[TOOL_CALLS]look[CALL_ID]a1b2c3[ARGS]{arguments}"),
        format!("[TOOL_CALLS]look{arguments}"),
        format!("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>look\n```json\n{arguments}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
        format!("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>look<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
        format!("<|tool_calls_section_begin|><|tool_call_begin|>functions.look:0<|tool_call_argument_begin|>{arguments}<|tool_call_end|><|tool_calls_section_end|>"),
        "[look(id=\"48213\", days=3)]".into(),
        "<|tool_call_start|>[look(id='48213', days=3)]<|tool_call_end|>".into(),
        "```tool_code\nprint(default_api.look(id=\"48213\", days=3))\n```".into(),
        format!("```json\n{object}\n```"),
        format!("~~~\n{object}\n~~~"),
        "```json\n{'name': 'look', 'arguments': {'id': '48213', 'days': 3,}}\n```".into(),
        format!("```json\n{{\"tool\": \"look\", \"args\": {arguments}}}\n```"),
        format!("```json\n{{\"function\": {object}}}\n```"),
        object.to_owned(),
        format!("[{object}]"),
    ] {
        let wanted = vec![("look".to_owned(), wanted.clone())];
        assert_eq!(calls(&form), wanted, "{form}");
        assert_eq!(read(&form).said, "", "{form}");
        let text = format!("<think>Which {{id}}?</think>\n\nOne moment, please.\n{form}");
        let output = read(&text);
        assert_eq!(calls(&text), wanted, "{text}");
        assert_eq!(output.said, "One moment, please.", "{text}");
        assert_eq!(output.reasoning.as_deref(), Some("Which {id}?"));
        assert_eq!(output.written, format!("One moment, please.\n{form}"));
        assert!(!output.unread);
    }
    assert_eq!(calls("look(id=\"4\")\nnow()").len(), 2);
    assert_eq!(calls("<tool_call>now</tool_call>").len(), 1);
}

#[test]
fn several_calls_of_a_turn_are_read_in_their_order() {
    let one = |id: u8| format!("{{\"name\": \"look\", \"arguments\": {{\"id\": \"{id}\"}}}}");
    for text in [
        format!(
            "<tool_call>{}</tool_call>\nand\n<tool_call>{}</tool_call>",
            one(1),
            one(2)
        ),
        format!("<tool_call>{}\n<tool_call>{}", one(1), one(2)),
        format!("<tool_call>{}\n{}</tool_call>", one(1), one(2)),
        format!("<|python_tag|>{}; {}", one(1), one(2)),
        format!("```json\n{}\n```\n```json\n{}\n```", one(1), one(2)),
        format!("```json\n{}\n{}\n```", one(1), one(2)),
        format!("{}\n{}", one(1), one(2)),
        "[TOOL_CALLS]look[ARGS]{\"id\": \"1\"}[TOOL_CALLS]look[ARGS]{\"id\": \"2\"}".into(),
        "[look(id=\"1\"), look(id=\"2\")]".into(),
    ] {
        let ids: Vec<Value> = calls(&text)
            .into_iter()
            .map(|(_, map)| map["id"].clone())
            .collect();
        assert_eq!(ids, ["1", "2"], "{text}");
    }
}

#[test]
fn what_closes_a_call_may_stand_in_its_arguments() {
    let text = "close it with </tool_call> or ``` or </think> or <think>, {please}\n\"[x](y)\"";
    let object = json!({"name": "note", "arguments": {"text": text}});
    let literal = json!(text).to_string();
    for form in [
        format!("<tool_call>\n{object}\n</tool_call>"),
        format!("```json\n{object}\n```"),
        object.to_string(),
        format!("Noted. {object}"),
        format!("[note(text={literal})]"),
        format!("<function=note><parameter=text>\n{text}\n</parameter></function>"),
        format!("[TOOL_CALLS]note[ARGS]{}", object["arguments"]),
    ] {
        assert_eq!(
            calls(&form),
            [("note".to_owned(), json!({"text": text}))],
            "{form}"
        );
    }
    let tag = "<function=note><parameter=text>\nuse </parameter> here\n</parameter></function>";
    assert_eq!(calls(tag)[0].1["text"], "use </parameter> here");
}

#[test]
fn reasoning_is_left_out_whatever_its_marks_and_what_it_holds() {
    let draft =
        "I look with {\"name\": \"look\", \"arguments\": {}}, or <tool_call>{x</tool_call>.";
    for text in [
        format!("<think>{draft}</think>It is held."),
        format!("<thinking>\n{draft}\n</thinking>\n\nIt is held."),
        format!("<THINK>{draft}</THINK>It is held."),
        format!("{draft}\n</think>\n\nIt is held."),
        format!("[THINK]{draft}[/THINK]It is held."),
        format!("<reasoning>{draft}</reasoning>\nIt is held.<|im_end|>"),
    ] {
        let output = read(&text);
        assert_eq!(output.said, "It is held.", "{text}");
        assert_eq!(output.calls, Ok(vec![]), "{text}");
        assert!(output.reasoning.unwrap().contains("I look with"), "{text}");
    }
    let open = read("<think>I look it up.");
    assert_eq!((open.said.as_str(), open.written.as_str()), ("", ""));
    let called = read("<think>I look it up.\n<tool_call>{\"name\": \"now\"}</tool_call>");
    assert_eq!((called.said.as_str(), called.calls.unwrap().len()), ("", 1));
    let apart = ModelOutput {
        text: "It is held.",
        reasoning: Some(" First find it. "),
        ..ModelOutput::default()
    };
    let apart = normalise(&apart, &[]);
    assert_eq!(apart.reasoning.as_deref(), Some("First find it."));
}

#[test]
fn words_and_other_tools_objects_stay_words() {
    for text in [
        "Which parcel is it?",
        "It is held [see the policy], {not json}, 3 < 4.",
        "Your record: {\"name\": \"Ada\", \"arguments\": {\"a\": 1}} is complete.",
        "```json\n{\"total\": 3}\n```",
        "```python\ncheck(id=4)\n```",
        "[refund(id=\"4\")]",
        "I would look (id unknown).",
        "Is it <b>48213</b>?",
    ] {
        let output = read(text);
        assert_eq!(output.calls, Ok(vec![]), "{text}");
        assert_eq!(
            (output.said.as_str(), output.written.as_str()),
            (text, text)
        );
    }
    let (unknown, arguments) =
        calls("<tool_call>{\"name\": \"refund\", \"arguments\": {}}</tool_call>").remove(0);
    assert_eq!((unknown.as_str(), arguments), ("refund", json!({})));
    assert_eq!(
        calls("```json\n{\"name\": \"refund\", \"arguments\": {}}\n```").len(),
        1
    );
    assert_eq!(calls("{\"name\": \"refund\", \"arguments\": {}}").len(), 1);
}

#[test]
fn a_call_that_cannot_be_read_says_why_and_is_not_said() {
    for (text, why) in [
        ("<tool_call>{oops</tool_call>", "not JSON"),
        ("<tool_call>I look it up</tool_call>", "nothing readable"),
        (
            "Sure.\n```json\n{\"name\": \"look\", \"arguments\": {\"id\"\n```",
            "not JSON",
        ),
        (
            "{\"name\": \"look\", \"arguments\": {\"id\": \"4\"",
            "ends too early",
        ),
        (
            "```json\n{\"name\": \"look\", \"arguments\": [\"4\"]}\n```",
            "not an object of names",
        ),
        ("[look(\"4\")]", "not an object of names"),
        ("[look(id=parcel)]", "literal value"),
        ("[TOOL_CALLS]look[ARGS]4", "not an object of names"),
    ] {
        let output = read(text);
        let reason = output.calls.unwrap_err().to_string();
        assert!(reason.contains(why), "{text}: {reason}");
        assert!(
            matches!(output.said.as_str(), "" | "Sure."),
            "{text}: {}",
            output.said
        );
    }
}

#[test]
fn native_calls_count_alone_and_their_arguments_are_read_in_every_type() {
    let native = |arguments: Value| {
        let calls = [
            json!({"id": "a", "type": "function", "function": {"name": "look", "arguments": arguments}}),
        ];
        let output = ModelOutput {
            text: "<think>x</think>One moment.\n<tool_call>{broken</tool_call>",
            calls: &calls,
            ..ModelOutput::default()
        };
        normalise(&output, &tools())
    };
    for given in [
        json!({"id": "4"}),
        json!("{\"id\": \"4\"}"),
        json!("\"{\\\"id\\\": \\\"4\\\"}\""),
        json!("{'id': '4'}"),
    ] {
        let output = native(given.clone());
        assert_eq!(output.said, "One moment.");
        let calls = output.calls.unwrap();
        assert_eq!(
            (calls.len(), calls[0].id.as_str(), &calls[0].arguments["id"]),
            (1, "a", &json!("4")),
            "{given}"
        );
    }
    for empty in [json!(null), json!(""), json!("{}"), json!("null")] {
        assert!(native(empty).calls.unwrap()[0].arguments.is_empty());
    }
    for bad in [
        json!("[\"4\"]"),
        json!(["4"]),
        json!("{\"id\": \"48"),
        json!(4),
    ] {
        assert_eq!(native(bad).calls, Err(CallError::Arguments("look".into())));
    }
}

#[test]
fn what_looks_like_a_call_and_was_not_read_is_noticed() {
    for text in [
        "to=functions.look <|message|>{\"id\": \"4\"}",
        "Action: look\nAction Input: 4",
        "I call look(id=\"4\") now.",
        "Here: {\"name\": \"look\", \"arguments\": {\"id\": \"4\"",
        "{\"recipient\": look{id: \"4\"}}",
    ] {
        let output = read(text);
        assert!(output.unread, "{text}: {:?}", output.calls);
    }
    let ended = ModelOutput {
        text: "I look.",
        ended_with_calls: true,
        ..ModelOutput::default()
    };
    assert!(normalise(&ended, &[]).unread);
    for text in [
        "I would look it up now (in a minute).",
        "The parcel 48213 is held.",
        "Look (at) this: it's note 3.",
    ] {
        assert!(!read(text).unread, "{text}");
    }
}
