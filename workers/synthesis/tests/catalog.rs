//! The catalog of `agoge-crds` is the one that the registry prints.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use agoge_crds::strategies::StrategyEntry;
use agoge_synthesis::strategies::all;

/// `UPDATE=1 cargo test -p agoge-synthesis --test catalog` writes it.
#[test]
fn the_catalog_is_printed_from_the_registry() {
    let entries: Vec<StrategyEntry> = all().iter().map(|strategy| strategy.entry()).collect();
    let printed = serde_json::to_string_pretty(&entries).unwrap() + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds/src/strategies.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &printed).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        printed,
        "run UPDATE=1 cargo test -p agoge-synthesis --test catalog, then make charts"
    );
}
