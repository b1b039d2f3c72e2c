//! Format versions: what 0.2.0 wrote is read, what is written is read again, and an unknown version is refused by name.
//!
//! The files in `fixtures/0.2.0` are excerpts from the store of a run of the courier example under 0.2.0: fewer entries,
//! otherwise unchanged.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use agoge_artifacts::record::Point;
use agoge_artifacts::{
    ArtifactError, DatasetOrigin, End, Gate, Plans, QualifiedSuite, Shard, StageRecord, Stored,
    dataset,
};
use agoge_crds::report::SynthesisReport;
use agoge_store::{Artifact, Store};

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0.2.0");
    std::fs::read(folder.join(name)).unwrap()
}

/// Reads a fixture, writes it, and reads it again.
fn round_trip<T: Stored + PartialEq + std::fmt::Debug>(name: &str) -> T {
    let value = T::from_bytes(&fixture(name), name).unwrap();
    let written = value.to_bytes().unwrap();
    let head = format!("{{\"format\":\"{}\"", T::FORMAT);
    assert!(written.starts_with(head.as_bytes()), "{name}");
    assert_eq!(T::from_bytes(&written, name).unwrap(), value);
    value
}

#[test]
fn what_0_2_0_wrote_is_read() {
    let attempts = dataset::from_bytes(&fixture("instances.jsonl"), "it").unwrap();
    assert_eq!(attempts.len(), 4);
    assert!(attempts[0].accepted() && attempts[1].accepted());
    assert!(attempts[1].task.as_ref().unwrap().checker.is_some());
    assert!(attempts[2].gate < Gate::Rollout && attempts[2].reason.is_some());

    let plans: Plans = round_trip("plans.json");
    let last = plans.plans.last().unwrap();
    assert!(last.generation == 1 && last.pilot.attempted == 6 && last.pilot.valid == 4);
    assert!(!last.pair.synthesis["scenario"].is_empty());
    assert!(!last.pair.evaluation["checker"].is_empty());

    let suite: QualifiedSuite = round_trip("suite.json");
    assert_eq!(suite.suite.qualified, 67);
    let (instance, judged) = (&suite.instances[0], &suite.qualifications[0]);
    assert_eq!(
        (instance.task.id.as_str(), instance.strategy.as_str()),
        (judged.task.as_str(), "sea")
    );
    assert!(instance.task.checker.is_some());
    assert!(judged.qualified && judged.mutants.tried == 20);

    let supervised: StageRecord = round_trip("stage-agentSFT.json");
    assert_eq!(supervised.epochs().count(), 2);
    assert!(supervised.model.unwrap().contains_key("config.json"));
    assert!(
        !round_trip::<StageRecord>("stage-userSFT.json")
            .curve
            .is_empty()
    );
    let grpo: StageRecord = round_trip("stage-grpo.json");
    assert!(
        matches!(&grpo.curve[..], [Point::Step(one), Point::Step(_)] if one.filter.batches == 10)
    );
    let certified: StageRecord = round_trip("stage-certifyUser.json");
    assert!(certified.before.is_some() && certified.after.unwrap().turns > 0);
    let table: StageRecord = round_trip("stage-evaluate.json");
    assert_eq!(table.arms["grpo"].heldout.per_task.len(), 10);
    let sample = &table.samples[0];
    assert!(matches!(
        sample.end,
        End::Nonsense(_) | End::TokenLimit | End::TurnLimit
    ));
    assert_eq!(sample.tokens.len(), 6);
}

#[test]
fn a_dataset_is_read_as_it_was_written_and_damaged_lines_are_counted() {
    let attempts = dataset::from_bytes(&fixture("instances.jsonl"), "it").unwrap();
    let mut bytes = dataset::to_bytes(&attempts).unwrap();
    assert!(bytes.starts_with(b"{\"format\":\"agoge-instances/2\"}\n"));
    assert_eq!(dataset::from_bytes(&bytes, "it").unwrap(), attempts);
    bytes.extend_from_slice(b"{\"id\":");
    let error = dataset::from_bytes(&bytes, "it").unwrap_err().to_string();
    assert!(error.contains("line 6 of it"), "{error}");
    let found = dataset::readable(&bytes, "it", 100).unwrap();
    assert_eq!((found.attempts.len(), found.unreadable), (4, 1));
}

#[test]
fn an_unknown_version_is_refused_with_the_one_found_and_those_understood() {
    let refused = |error: ArtifactError| {
        assert!(matches!(error, ArtifactError::UnknownFormat { .. }));
        error.to_string()
    };
    let record = br#"{"format":"agoge-stage/9","stage":"grpo","steps":"many"}"#;
    let error = refused(StageRecord::from_bytes(record, "the record").unwrap_err());
    for part in [
        "the record",
        "agoge-stage/9",
        "agoge-stage/1 and agoge-stage/2",
        "made anew",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let dataset = b"{\"format\":\"agoge-instances/3\",\"rows\":1}\n{}\n";
    let error = refused(dataset::from_bytes(dataset, "the dataset").unwrap_err());
    assert!(error.contains("agoge-instances/3"), "{error}");
    refused(dataset::readable(dataset, "the dataset", 10).unwrap_err());
    // Another kind of artifact is not a version of this one.
    let suite = br#"{"format":"agoge-suite/1"}"#;
    refused(StageRecord::from_bytes(suite, "the record").unwrap_err());
}

#[test]
fn the_shards_of_a_dataset_are_found_by_the_digest_that_covers_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let attempts = dataset::from_bytes(&fixture("instances.jsonl"), "it").unwrap();
    let covering = |digests: &[agoge_store::Digest]| {
        let digests: Vec<&str> = digests.iter().map(agoge_store::Digest::as_str).collect();
        agoge_store::Digest::parse(&SynthesisReport::digest_of(&digests).unwrap()).unwrap()
    };
    // Three shards, published out of order, beside a dataset of other settings.
    let mut digests = Vec::new();
    for index in [2, 0, 1] {
        let origin = DatasetOrigin::new("d", "template", "{}".into(), Shard { index, count: 3 });
        let own = &attempts[index as usize..=index as usize];
        digests.push((index, dataset::publish(&store, "x", &origin, own).unwrap()));
    }
    let other = DatasetOrigin::new("d", "template", "{\"seed\":2}".into(), Shard::default());
    dataset::publish(&store, "x", &other, &attempts).unwrap();
    digests.sort_unstable();
    let digests: Vec<_> = digests.into_iter().map(|(_, digest)| digest).collect();
    let found = dataset::objects(&store, &covering(&digests)).unwrap();
    assert_eq!(found, Some(digests.clone()));
    assert_eq!(
        dataset::objects(&store, &digests[0]).unwrap(),
        Some(digests[..1].to_vec())
    );

    // 0.2.0 had the shard among the settings.
    let old: Vec<_> = (0..2)
        .map(|shard| {
            let digest = store.put(format!("shard {shard}").as_bytes()).unwrap();
            let settings = format!("{{\"seed\":7,\"target\":60,\"shard\":{shard},\"shards\":2}}");
            let mut origin = DatasetOrigin::new("d", "template", settings, Shard::default());
            origin.format = "agoge-instances/1".into();
            let artifact = Artifact::new(dataset::KIND, "x", digest.clone(), origin.inputs());
            store.put_artifact(&artifact).unwrap();
            digest
        })
        .collect();
    assert_eq!(
        dataset::objects(&store, &covering(&old)).unwrap(),
        Some(old)
    );
    let unknown = agoge_store::Digest::of(b"unknown");
    assert_eq!(dataset::objects(&store, &unknown).unwrap(), None);
}
