//! The catalog of `agoge-crds` is the one that the registry prints.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use agoge_crds::strategies::StrategyEntry;
use agoge_synthesis::strategies::all;
use serde_json::Value;

/// Puts required fields in the order of their names: the order in which a schema lists them depends on how the build unites
/// the features of its dependencies, and means nothing.
fn in_order(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            if let Some(Value::Array(required)) = map.get_mut("required") {
                required.sort_by_key(Value::to_string);
            }
            map.values_mut()
                .for_each(|inner| *inner = in_order(inner.take()));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| *item = in_order(item.take())),
        _ => {}
    }
    value
}

/// `UPDATE=1 cargo test -p agoge-synthesis --test catalog` writes it.
#[test]
fn the_catalog_is_printed_from_the_registry() {
    let entries: Vec<StrategyEntry> = all().iter().map(|strategy| strategy.entry()).collect();
    let printed = serde_json::to_string_pretty(&entries).unwrap() + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds/src/strategies.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &printed).unwrap();
    }
    let read = |text: &str| in_order(serde_json::from_str(text).unwrap());
    assert_eq!(
        read(&std::fs::read_to_string(&file).unwrap()),
        read(&printed),
        "run UPDATE=1 cargo test -p agoge-synthesis --test catalog, then make charts"
    );
}
