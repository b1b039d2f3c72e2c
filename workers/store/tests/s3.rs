//! The store over a real S3 server. `make test-s3` starts one and names a bucket of it in `AGOGE_TEST_S3`; without that
//! there is nothing to test here.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use agoge_store::{Artifact, Digest, GcOptions, Kept, Store, StoreError};

fn store(prefix: &str) -> Option<Store> {
    let bucket = std::env::var("AGOGE_TEST_S3").ok()?;
    let address = format!("{bucket}/{prefix}-{}", std::process::id());
    Some(Store::open(address).unwrap())
}

#[test]
fn a_bucket_holds_what_a_folder_holds_and_collects_what_nothing_reaches() {
    let Some(store) = store("objects") else {
        return;
    };
    // More than two parts of a multipart upload.
    let large: Vec<u8> = (0..40_000_003u32).map(|i| (i % 251) as u8).collect();
    let digest = store.put(&large).unwrap();
    assert_eq!(store.get(&digest).unwrap(), large);
    let small = store.put(b"small").unwrap();
    let missing = store.get(&Digest::of(b"never put")).unwrap_err();
    assert!(matches!(missing, StoreError::Missing { .. }), "{missing}");
    let inputs = BTreeMap::from([("seed".to_owned(), "7".to_owned())]);
    let made = Artifact::new("dataset", "courier", digest.clone(), inputs.clone());
    store.put_artifact(&made).unwrap();
    assert_eq!(
        store.find_artifact("dataset", &inputs).unwrap(),
        Some(made.clone())
    );
    assert_eq!(
        Store::open(store.address())
            .unwrap()
            .artifacts("dataset")
            .unwrap(),
        [made]
    );

    let at_once = GcOptions {
        min_age: Duration::ZERO,
        ..GcOptions::default()
    };
    let held = store.hold("e2e").unwrap();
    assert!(matches!(store.gc(&at_once), Err(StoreError::InUse { .. })));
    drop(held);
    assert_eq!(store.gc(&at_once).unwrap().removed, 1);
    assert!(!store.contains(&small).unwrap());
    store.get(&digest).unwrap();
}

#[test]
fn work_is_kept_in_a_bucket_and_a_worker_that_keeps_it_holds_off_a_collection() {
    let Some(store) = store("kept") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    agoge_store::write_atomic(from.join("arms/sft.json"), "{}").unwrap();
    let mut kept = Kept::claim(&store, "run/0", &[]).unwrap();
    assert!(kept.keep(&from).unwrap());
    assert!(matches!(
        store.gc(&GcOptions::default()),
        Err(StoreError::InUse { .. })
    ));
    let mut next = Kept::claim(&store, "run/0", &[]).unwrap();
    assert_eq!(next.restore(&to).unwrap(), 1);
    assert_eq!(std::fs::read(to.join("arms/sft.json")).unwrap(), b"{}");
    next.clear().unwrap();
    store.gc(&GcOptions::default()).unwrap();
}

#[test]
fn a_bucket_that_is_missing_is_told_as_such() {
    if store("x").is_none() {
        return;
    }
    let none = Store::open("s3://no-such-bucket-here/x").unwrap();
    let error = none.put(b"x").unwrap_err();
    assert!(matches!(error, StoreError::NoBucket { .. }), "{error}");
    let error = none.get(&Digest::of(b"x")).unwrap_err();
    assert!(matches!(error, StoreError::NoBucket { .. }), "{error}");
}
