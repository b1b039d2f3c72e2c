use std::collections::BTreeMap;

use agoge_crds::checker_suite::{EndpointScore, Finding};
use agoge_crds::grpo_run::ArmStatus;
use agoge_crds::lineage::Generation;
use agoge_crds::report;
use proptest::prelude::*;

use super::*;

fn done(text: &str) -> (Option<String>, Value) {
    match Termination::parse(text) {
        Some(Termination::Done { artifact, result }) => (artifact, result),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hundred_generations_come_through_with_the_last_eight_and_the_digest_of_all() {
    let report = SynthesisReport {
        attempted: 4000,
        accepted: 1000,
        rejected: (0..9).map(|i| (format!("gate{i}"), i)).collect(),
        lineage: (0..100u32)
            .map(|generation| Generation {
                generation,
                digest: agoge_crds::digest(&generation.to_string()),
                parent: Some(agoge_crds::digest(&format!("parent {generation}"))),
                change: format!(
                    "generation {generation} asks for fewer calls and shorter scenarios"
                ),
                tokens: 123_456 + u64::from(generation),
                ..Generation::default()
            })
            .collect(),
        digest: Some(agoge_crds::digest("dataset")),
        ..SynthesisReport::default()
    };
    let artifact = agoge_crds::digest("the whole report");
    let text = Termination::success(&report, Some(&artifact));
    assert!(text.len() <= MAX_BYTES, "{} bytes", text.len());
    let (found, result) = done(&text);
    assert_eq!(found.as_deref(), Some(artifact.as_str()));
    let read: SynthesisReport = report::read(&result).expect("a report");
    assert_eq!(read.lineage, report.lineage[92..], "nothing of them is cut");
    assert_eq!(
        (&read.rejected, &read.digest),
        (&report.rejected, &report.digest)
    );
}

#[test]
fn a_short_report_is_whole_and_plain() {
    let report = TrainReport {
        step: 7,
        ..TrainReport::default()
    };
    let text = Termination::success(&report, Some("sha256:a"));
    assert!(
        text.starts_with(r#"{"artifact":"sha256:a","result":{"step":7"#),
        "{text}"
    );
    assert_eq!(
        report::read::<TrainReport>(&done(&text).1).expect("a report"),
        report
    );
}

#[test]
fn a_failure_is_cut_until_it_fits_and_what_is_no_message_is_none() {
    let text = Termination::failure("BadInput", &"\"".repeat(9000), false);
    assert!(text.len() <= MAX_BYTES);
    let Some(Termination::Failed { reason, .. }) = Termination::parse(&text) else {
        panic!("{text}")
    };
    assert_eq!(reason, "BadInput");
    for other in [
        "",
        "error: no policy.md",
        "7",
        "{}",
        r#"{"gzip":"%"}"#,
        "null",
    ] {
        assert_eq!(Termination::parse(other), None, "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_report_fits_and_keeps_its_counts(
        words in proptest::collection::vec("\\PC{0,400}", 1..40),
        many in 1usize..300,
        accepted in any::<u64>(),
    ) {
        let word = |n: usize| words[n % words.len()].clone();
        let artifact = word(3);
        let synthesis = SynthesisReport {
            accepted,
            plan: Some(word(0)),
            ended: Some(word(1)),
            digest: Some(word(2)),
            awaiting_promotion: Some(word(4)),
            rejected: (0..many).map(|n| (format!("{}{n}", word(n)), accepted)).collect(),
            lineage: (0..many).map(|n| Generation { digest: word(n), parent: Some(word(n + 1)), change: word(n + 2), ..Generation::default() }).collect(),
            ..SynthesisReport::default()
        };
        let text = Termination::success(&synthesis, Some(&artifact));
        prop_assert!(text.len() <= MAX_BYTES, "{} bytes", text.len());
        prop_assert_eq!(&done(&text).1["accepted"], accepted);
        let qualify = QualifyReport {
            checkers: accepted,
            digest: Some(word(2)),
            quarantined: (0..many).map(|n| Finding { reason: word(n), count: accepted, example: Some(word(n + 1)) }).collect(),
            warnings: (0..many).map(|n| Finding { reason: word(n), count: accepted, example: Some(word(n + 1)) }).collect(),
            endpoints: (0..many).map(|n| EndpointScore { endpoint: word(n), pass1: 0.1, tasks: 3, ..EndpointScore::default() }).collect(),
            ..QualifyReport::default()
        };
        let text = Termination::success(&qualify, Some(&artifact));
        prop_assert!(text.len() <= MAX_BYTES, "{} bytes", text.len());
        prop_assert_eq!(&done(&text).1["checkers"], accepted);
        let arm = ArmStatus { pass: vec![0.123_456_789; many], ..ArmStatus::default() };
        let train = TrainReport {
            step: accepted,
            digest: Some(word(2)),
            arms: (0..many).map(|n| (format!("{}{n}", word(n)), arm.clone())).collect::<BTreeMap<_, _>>(),
            ..TrainReport::default()
        };
        let text = Termination::success(&train, Some(&artifact));
        prop_assert!(text.len() <= MAX_BYTES, "{} bytes", text.len());
        prop_assert_eq!(&done(&text).1["step"], accepted);
    }
}
