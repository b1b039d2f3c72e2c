use super::*;

fn body() -> Value {
    json!({
        "model": "m",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}],
        "max_tokens": 100,
        "temperature": 0.0,
        "seed": 7,
        "stop": ["Result of"],
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}},
    })
}

/// The request after the endpoint has refused it so often, in these words.
fn after(refusals: &[&str], manner: &Manner) -> Value {
    let mut dialect = Dialect::default();
    for said in refusals {
        let sent = dialect.write(&body(), manner);
        let (next, _) = dialect
            .without(&Trouble::plain(said), &sent)
            .unwrap_or_else(|| panic!("nothing was learned from {said:?}"));
        dialect = next;
    }
    dialect.write(&body(), manner)
}

#[test]
fn a_request_to_an_endpoint_that_refuses_nothing_is_unchanged() {
    let sent = Dialect::default().write(&body(), &Manner::default());
    assert_eq!(sent.to_string(), body().to_string());
}

#[test]
fn the_token_limit_changes_its_name_once_and_is_left_out_after_that() {
    let manner = Manner::default();
    let first = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
    let sent = after(&[first], &manner);
    assert_eq!(sent["max_completion_tokens"], 100);
    assert_eq!(sent.get("max_tokens"), None);
    let sent = after(&[first, "max_completion_tokens: unknown field"], &manner);
    assert_eq!(
        (sent.get("max_tokens"), sent.get("max_completion_tokens")),
        (None, None)
    );
    let newer = Manner {
        token_field: TokenField::MaxCompletionTokens,
        ..Manner::default()
    };
    let sent = after(&["unknown field `max_completion_tokens`"], &newer);
    assert_eq!(sent["max_tokens"], 100);
}

#[test]
fn a_limit_that_is_too_large_is_not_renamed() {
    let sent = body();
    for said in [
        "max_tokens is too large: 100. This model supports at most 64 tokens",
        "`max_tokens` must be less than or equal to 64, the maximum for this model",
    ] {
        let trouble = Trouble::plain(said);
        assert_eq!(Dialect::default().without(&trouble, &sent), None, "{said}");
        assert_eq!(
            Dialect::named(&trouble, &sent).as_deref(),
            Some("max_tokens")
        );
    }
}

#[test]
fn sampling_fields_are_left_out_one_by_one_in_any_usual_words() {
    for (field, words) in [
        (
            "temperature",
            "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is supported.",
        ),
        (
            "seed",
            "Invalid JSON payload received. Unknown name \"seed\": Cannot find field.",
        ),
        ("seed", "seed: Extra inputs are not permitted"),
        ("stop", "stop sequences are not supported"),
        ("stop", "Unsupported parameter: 'stop'"),
        ("seed", "unsupported params: ['seed'], temperature is fine"),
    ] {
        let sent = after(&[words], &Manner::default());
        assert_eq!(sent.get(field), None, "{words}");
        assert_eq!(
            sent.as_object().unwrap().len(),
            body().as_object().unwrap().len() - 1,
            "{words}"
        );
    }
    let sent = after(
        &["no temperature here", "no seed either"],
        &Manner::default(),
    );
    assert_eq!((sent.get("temperature"), sent.get("seed")), (None, None));
}

#[test]
fn the_form_of_an_answer_is_weakened_step_by_step() {
    let manner = Manner::default();
    let schema = "response_format of this type is not served here";
    assert_eq!(
        after(&[schema], &manner)["response_format"],
        json!({"type": "json_object"})
    );
    let sent = after(
        &["json_schema is no known type", "json_object is none either"],
        &manner,
    );
    assert_eq!(sent.get("response_format"), None);
}

#[test]
fn a_pointer_to_the_field_counts_more_than_the_words() {
    let pointed = Trouble {
        field: Some("response_format.json_schema.schema".into()),
        ..Trouble::plain("temperature, seed and stop are as they should be")
    };
    assert_eq!(
        Dialect::named(&pointed, &body()).as_deref(),
        Some("response_format")
    );
    let (next, _) = Dialect::default().without(&pointed, &body()).unwrap();
    assert_eq!(
        next.write(&body(), &Manner::default())["response_format"]["type"],
        "json_object"
    );
}

#[test]
fn a_system_message_that_is_refused_is_put_before_the_first_words() {
    let sent = after(&["System role not supported"], &Manner::default());
    assert_eq!(
        sent["messages"],
        json!([{"role": "user", "content": "Be kind.\n\nhi"}])
    );
}

#[test]
fn what_names_no_field_teaches_nothing() {
    for said in [
        "bad request",
        "the model m does not exist",
        "messages must alternate",
        "your unstoppable seeding",
    ] {
        assert_eq!(
            Dialect::default().without(&Trouble::plain(said), &body()),
            None,
            "{said}"
        );
    }
}

#[test]
fn extra_fields_are_added_and_cannot_change_the_question() {
    let extra =
        json!({"model": "other", "messages": [], "top_k": 5, "seed": null, "temperature": 1.0});
    let manner = Manner {
        extra: extra.as_object().unwrap().clone(),
        reasoning_tokens: 2000,
        ..Manner::default()
    };
    let sent = Dialect::default().write(&body(), &manner);
    assert_eq!(
        (&sent["model"], &sent["messages"]),
        (&body()["model"], &body()["messages"])
    );
    assert_eq!(
        (&sent["top_k"], &sent["temperature"]),
        (&json!(5), &json!(1.0))
    );
    assert_eq!(
        (sent.get("seed"), &sent["max_tokens"]),
        (None, &json!(2100))
    );
    let refused = after(&["unknown field top_k"], &manner);
    assert_eq!(refused.get("top_k"), None);
}
