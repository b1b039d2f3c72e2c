use super::*;
use crate::Shapes;

fn state() -> State {
    let shapes = Shapes::from([
        ("lines".to_owned(), Shape::List("id".into())),
        ("phone".to_owned(), Shape::Singleton),
    ]);
    let value = json!({
        "flights": {"F1": {"dates": [{"seats": {"a.b": 3}}], "price": 1.0}},
        "lines": [{"id": "L1", "on": true}],
        "phone": {"sim": {"locked": false}},
    });
    State::shaped(value, shapes).unwrap()
}

fn schema() -> Value {
    json!({"properties": {
        "flights": {"additionalProperties": {"properties": {
            "price": {"type": "number"}, "dates": {"default": []}}}},
        "lines": {"items": {"properties": {"on": {"default": false}}}},
        "phone": {"properties": {"signal": {"default": "none"}}},
    }})
}

/// Calls a host function of tools over the state, and returns its value and all that differs.
fn call(name: &str, arguments: Value) -> Result<(Value, Value), String> {
    let (state, schema) = (state(), schema());
    let mut data = ToolData {
        base: &state,
        schema: Some(&schema),
        overlay: Overlay::default(),
        now: "",
        reads: 0,
    };
    let arguments = arguments.as_array().unwrap();
    let value = data.call(name, arguments)?.into_owned();
    Ok((value, serde_json::to_value(&data.overlay).unwrap()))
}

fn read(arguments: Value) -> Value {
    call("db_get", arguments).unwrap().0
}

#[test]
fn a_part_of_a_record_is_read_by_its_path_and_a_missing_one_is_none() {
    assert_eq!(read(json!(["flights", "F1", "price"])), json!(1.0));
    assert_eq!(
        read(json!(["flights", "F1", "dates.0.seats"])),
        json!({"a.b": 3})
    );
    assert_eq!(
        read(json!(["flights", "F1", ["dates", 0, "seats", "a.b"]])),
        json!(3)
    );
    assert_eq!(read(json!(["lines", "L1", "on"])), json!(true));
    assert_eq!(read(json!(["phone"])), json!({"sim": {"locked": false}}));
    assert_eq!(read(json!(["phone", "sim.locked"])), json!(false));
    for missing in [
        json!(["flights", "F1", "dates.1.seats"]),
        json!(["flights", "F1", "price.x"]),
        json!(["flights", "F2", "price"]),
        json!(["phone", "no"]),
    ] {
        assert_eq!(read(missing.clone()), Value::Null, "{missing}");
    }
}

#[test]
fn a_written_record_is_normalised_by_the_schema_of_its_shape() {
    let written = |arguments: Value| call("db_put", arguments).unwrap().1;
    assert_eq!(
        written(json!(["flights", "F2", {"price": 2}])).to_string(),
        r#"{"flights":{"F2":{"price":2.0,"dates":[]}}}"#
    );
    assert_eq!(
        written(json!(["lines", "L2", {}])),
        json!({"lines": {"L2": {"id": "L2", "on": false}}})
    );
    assert_eq!(
        written(json!(["phone", {}])),
        json!({"phone": {"": {"signal": "none"}}})
    );
}

#[test]
fn a_wrong_use_names_the_function_the_collection_and_the_remedy() {
    for (name, arguments, words) in [
        (
            "db_get",
            json!(["flight", "F1"]),
            "db_get: there is no collection `flight`, only flights, lines, phone",
        ),
        (
            "db_get",
            json!(["flights"]),
            "`flights` has many records; name one",
        ),
        (
            "db_get",
            json!(["flights", null]),
            "an id of `flights` is a string or a number, got null",
        ),
        ("db_get", json!([]), "call it as db_get(collection, id"),
        (
            "db_put",
            json!(["phone", "x", {}]),
            "call it as db_put(\"phone\", record)",
        ),
        (
            "db_put",
            json!(["flights", {}]),
            "`flights` has many records",
        ),
        (
            "db_put",
            json!(["flights", "F1", 3]),
            "takes a dict as the record of `flights`",
        ),
        (
            "db_put",
            json!(["lines", "L2", {"id": "L3"}]),
            "make them the same",
        ),
        ("db_delete", json!(["phone"]), "`phone` is a singleton"),
        (
            "db_find",
            json!(["flights", 3, 4]),
            "the field of `flights` must be named by a string",
        ),
        ("now", json!([1]), "call it as now()"),
    ] {
        let error = call(name, arguments).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}
