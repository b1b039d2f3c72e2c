use serde_json::{Map, Value, json};

use super::*;
use crate::folder;

fn domain(state: Value, schema: Value) -> Domain {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
    let mut domain = folder::read(std::path::Path::new(dir)).unwrap();
    domain.id_lengths = schema::id_lengths(&schema).unwrap();
    domain.schema = schema;
    domain.state = agoge_sandbox::State::from_json(state).unwrap();
    domain
}

fn collection(ids: impl Iterator<Item = String>) -> Value {
    Value::Object(ids.map(|id| (id, Value::Null)).collect::<Map<_, _>>())
}

/// The ids in a text, their free parts in braces.
fn found(names: &Names, text: &str) -> Vec<String> {
    let show = |named: Named| {
        let mut out = text[named.range.clone()].to_owned();
        for (range, _) in named.parts.iter().rev() {
            out.insert(range.end - named.range.start, '}');
            out.insert(range.start - named.range.start, '{');
        }
        out
    };
    names.find(text).into_iter().map(show).collect()
}

#[test]
fn ids_of_the_state_are_found_by_their_shapes_and_nothing_else_is() {
    let state = json!({
        "members": collection((10_000..10_200).map(|n| format!("M-{n}"))),
        "copies": collection((100..300).map(|n| format!("bk_{n}-c{}", n % 3))),
        "devices": collection((0..40).map(|n| format!("dev_{:04x}", 0x7f3a + n * 977))),
        "flights": collection((1..90).map(|n| format!("HAT{n:03}"))),
        "people": collection((0..50).map(|n| format!("mia_li_{}", 1000 + n))),
        "parcels": collection((10_000..10_050).map(|n| n.to_string())),
        "years": collection((2020..2030).map(|n| n.to_string())),
        "branches": collection(["central", "harbour"].into_iter().map(str::to_owned)),
        "days": collection((10..30).map(|n| format!("2025-03-{n}"))),
    });
    let names = Names::of(&domain(state.clone(), json!({})));
    let text = "M-10017, (M-99999); bk_123-c2: dev_7f3a flies HAT004. mia_li_1007's 10011 or 77777, \
                in 2025 on 2025-03-12 at central for 12.50, LI-7";
    let expected = [
        "M-{10017}",
        "M-{99999}",
        "bk_{123}-c2",
        "dev_{7f3a}",
        "HAT{004}",
        "mia_li_{1007}",
        "{10011}",
    ];
    assert_eq!(found(&names, text), expected);
    assert_eq!(
        found(&names, r#"{"id":"M-10017","n":["dev_0abc"]}"#),
        ["M-{10017}", "dev_{0abc}"]
    );
    let off = Names::of(&domain(state, json!({"x-agoge-id": false})));
    assert!(found(&off, text).is_empty());
}

#[test]
fn a_mark_stands_before_the_state() {
    let state = json!({"members": collection((10_000..10_200).map(|n| format!("M-{n}")))});
    let mark = |pattern: &str| json!({"$defs": {"id": {"pattern": pattern, "x-agoge-id": true}}});
    let names = Names::of(&domain(state.clone(), mark("^dev_[0-9a-f]{4}$")));
    assert_eq!(
        found(&names, "dev_7f3a of M-10017, dev_7f3"),
        ["dev_{7f3a}"]
    );
    let digits = Names::of(&domain(state, mark("^[0-9]{5}$")));
    assert_eq!(digits.lengths(), [5]);
    assert!(found(&digits, "M-10017").is_empty());
}

#[test]
fn short_parts_are_free_only_where_nothing_longer_says_which_one_it_is() {
    let books = || (10..60).map(|n| format!("b-{n}"));
    let state = json!({
        "books": collection(books()),
        "copies": collection(books().map(|id| format!("{id}-c1")).chain(books().map(|id| format!("{id}-c2")))),
    });
    let names = Names::of(&domain(state, json!({})));
    assert_eq!(found(&names, "b-17, b-17-c2"), ["b-{17}", "b-{17}-c2"]);
}
