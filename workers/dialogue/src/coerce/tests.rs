use super::*;
use proptest::prelude::*;

#[test]
fn scalars_are_read_in_both_directions_where_nothing_is_lost() {
    for (ty, given, read) in [
        ("integer", json!("3"), json!(3)),
        ("integer", json!(3.0), json!(3)),
        ("integer", json!("3.0"), json!(3)),
        ("integer", json!("-12"), json!(-12)),
        (
            "integer",
            json!("12345678901234567890"),
            json!(12_345_678_901_234_567_890_u64),
        ),
        ("number", json!("3.25"), json!(3.25)),
        ("number", json!(" 12.50 "), json!(12.5)),
        ("number", json!("3"), json!(3.0)),
        ("number", json!(3), json!(3.0)),
        ("string", json!(3), json!("3")),
        ("string", json!(true), json!("true")),
        ("boolean", json!("true"), json!(true)),
        ("boolean", json!("False"), json!(false)),
        ("array", json!("[\"lamp\"]"), json!(["lamp"])),
        ("object", json!("{'a': 1}"), json!({"a": 1})),
    ] {
        assert_eq!(
            coerce("x", &json!({"type": ty}), &given),
            Ok(read),
            "{ty} {given}"
        );
    }
    for (ty, given) in [
        ("integer", json!("3.5")),
        ("integer", json!(3.5)),
        ("integer", json!("007")),
        ("integer", json!("three")),
        ("integer", json!(true)),
        ("integer", json!("")),
        ("number", json!("1,250")),
        ("number", json!("NaN")),
        ("number", json!("12345678901234567890.5")),
        ("string", json!(12.5)),
        ("string", json!(null)),
        ("boolean", json!("yes")),
        ("boolean", json!(1)),
        ("array", json!("lamp")),
        ("object", json!("[1]")),
    ] {
        let refused = coerce("x", &json!({"type": ty}), &given).unwrap_err();
        assert!(
            refused.starts_with(&format!("`x` must be of type {ty}")),
            "{refused}"
        );
    }
}

#[test]
fn members_choices_and_nullable_types_are_read_alike() {
    let schema = json!({"type": "array", "items": {"type": "object", "properties": {
        "days": {"type": "integer"}, "size": {"enum": ["1", "2"]}, "note": {"type": ["string", "null"]}}}});
    let given = json!([{"days": "3", "size": 2, "note": "null", "other": "4"}]);
    let read = json!([{"days": 3, "size": "2", "note": "null", "other": "4"}]);
    assert_eq!(coerce("items", &schema, &given), Ok(read));
    let refused = coerce("items", &schema, &json!([{"days": "soon"}])).unwrap_err();
    assert_eq!(
        refused,
        "`items[0].days` must be of type integer, not \"soon\""
    );
    let refused = coerce("items", &schema, &json!([{"size": 3}])).unwrap_err();
    assert_eq!(refused, "`items[0].size` must be one of [\"1\",\"2\"]");
    let levels = json!({"enum": [1, 2.5, true]});
    assert_eq!(coerce("x", &levels, &json!("1")), Ok(json!(1)));
    assert_eq!(coerce("x", &levels, &json!(1.0)), Ok(json!(1)));
    assert_eq!(coerce("x", &levels, &json!("True")), Ok(json!(true)));
    let optional = json!({"type": ["integer", "null"]});
    assert_eq!(coerce("x", &optional, &json!("None")), Ok(Value::Null));
}

fn trip() -> Value {
    json!({"type": "array", "items": {"$ref": "#/$defs/person"}, "$defs": {
        "person": {"type": "object", "properties": {
            "name": {"type": "string"}, "dob": {"type": "string", "format": "date"},
            "bags": {"type": "integer", "default": 0},
            "pay": {"anyOf": [
                {"type": "null"},
                {"type": "object", "properties": {"kind": {"const": "card"}, "amount": {"type": "number"}},
                    "required": ["kind", "amount"], "additionalProperties": false},
                {"type": "object", "properties": {"kind": {"const": "gift"}, "code": {"type": "string"}},
                    "required": ["kind", "code"], "additionalProperties": false},
            ]},
            "seat": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "items": false, "minItems": 2, "maxItems": 2},
        }, "required": ["name", "dob"], "additionalProperties": false}}})
}

#[test]
fn nested_members_are_checked_at_every_depth_and_named_by_their_path() {
    let one = |change: Value| {
        let mut person = json!({"name": "Ada", "dob": "1990-05-01"});
        for (key, value) in change.as_object().unwrap() {
            person[key] = value.clone();
        }
        coerce("passengers", &trip(), &json!([person]))
    };
    let read = one(json!({"bags": "2", "pay": {"kind": "card", "amount": "5"}, "seat": [12.0, 3]}));
    assert_eq!(
        read.unwrap(),
        json!([{"name": "Ada", "dob": "1990-05-01", "bags": 2, "pay": {"kind": "card", "amount": 5.0},
            "seat": [12, "3"]}])
    );
    assert_eq!(one(json!({"pay": null})).unwrap()[0]["bags"], 0);
    for (change, error) in [
        (
            json!({"dob": "May 1990"}),
            "`passengers[0].dob` must be a date such as 2025-01-31, not \"May 1990\"",
        ),
        (
            json!({"age": 3}),
            "`passengers[0]` takes no `age`, only name, dob, bags, pay, seat",
        ),
        (
            json!({"bags": {}}),
            "`passengers[0].bags` must be of type integer, not {}",
        ),
        (
            json!({"pay": {"kind": "gift"}}),
            "`passengers[0].pay.kind` must be one of [\"card\"]; or `passengers[0].pay` needs `code`",
        ),
        (
            json!({"seat": [1]}),
            "`passengers[0].seat` must have exactly 2 items, not 1",
        ),
    ] {
        assert_eq!(one(change).unwrap_err(), error);
    }
    let missing = coerce("passengers", &trip(), &json!([{"name": "Ada"}])).unwrap_err();
    assert_eq!(missing, "`passengers[0]` needs `dob`");
}

#[test]
fn of_several_forms_the_one_is_taken_that_the_value_has() {
    let either = json!({"anyOf": [{"type": "integer"}, {"type": "string"}]});
    assert_eq!(coerce("x", &either, &json!("7")), Ok(json!("7")));
    assert_eq!(coerce("x", &either, &json!(7)), Ok(json!(7)));
    assert_eq!(coerce("x", &either, &json!(true)), Ok(json!("true")));
    let refused = coerce("x", &either, &json!(2.5)).unwrap_err();
    assert_eq!(
        refused,
        "`x` must be of type integer, not 2.5; or `x` must be of type string, not 2.5"
    );
    let circle = json!({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}});
    assert_eq!(coerce("x", &circle, &json!(1)), Ok(json!(1)));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        (-3i64..3).prop_map(|n| json!(n as f64 / 2.0)),
        "(1|2.0|true|null|card|gift|1990-05-01|\\[\\])".prop_map(Value::from),
    ];
    let key = "(name|dob|bags|pay|seat|kind|amount|code)";
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_what_was_read_changes_nothing(value in any_value(), people in prop::collection::vec(any_value(), 0..3)) {
        let either = json!({"anyOf": [{"type": "integer"}, {"type": ["string", "null"]}, trip()]});
        for (schema, value) in [(trip(), json!(people)), (either, value)] {
            if let Ok(once) = coerce("x", &schema, &value) {
                let twice = coerce("x", &schema, &once).map(|twice| twice.to_string());
                prop_assert_eq!(twice, Ok(once.to_string()));
            }
        }
    }
}

#[test]
fn a_text_stands_for_the_value_of_its_type() {
    let of = |ty: Value, text: &str| of_text(&json!({"type": ty}), text);
    assert_eq!(of(json!("string"), " 007\n"), json!(" 007\n"));
    assert_eq!(of(json!("integer"), "7\n"), json!(7));
    assert_eq!(of(json!(["string", "null"]), "null"), Value::Null);
    assert_eq!(of(json!("integer"), "soon"), json!("soon"));
    assert_eq!(of_text(&json!({}), "[1]"), json!([1]));
    assert_eq!(of_text(&json!({}), "48213"), json!("48213"));
    assert_eq!(of_text(&json!({"enum": ["a"]}), "\na"), json!("a"));
}
