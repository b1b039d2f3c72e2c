//! The `template` strategy on courier: fast, the same every time, whoever shares the work and wherever it was cut off.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use agoge_sandbox::Limits;
use agoge_store::Ledger;
use agoge_synthesis::canonical::canonical;
use agoge_synthesis::template::{Part, Settings, TemplateError, run};
use agoge_synthesis::{Attempt, Gate};
use agoge_world::{Domain, Mix, Split};

fn courier() -> Arc<Domain> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    Arc::new(Domain::load(&dir).unwrap())
}

fn settings(target: usize) -> Settings {
    let part = |split, mix, share| Part { split, mix, share };
    Settings {
        seed: 7,
        target,
        parts: vec![
            part(Split::TrainSft, Mix::Natural, 2),
            part(Split::TrainRl, Mix::EvenBranches, 3),
            part(Split::Heldout, Mix::EvenBranches, 2),
            part(Split::Unseen, Mix::EvenBranches, 1),
        ],
        shard: 0,
        shards: 1,
    }
}

fn text(attempts: &[Attempt]) -> String {
    attempts
        .iter()
        .map(|a| serde_json::to_string(a).unwrap() + "\n")
        .collect()
}

fn made(
    settings: &Settings,
    threads: usize,
    ledger: &mut Ledger,
) -> Result<Vec<Attempt>, TemplateError> {
    run(
        &courier(),
        &Limits::default(),
        settings,
        threads,
        ledger,
        &mut |_| true,
    )
}

#[test]
fn hundreds_of_accepted_instances_in_seconds_and_no_two_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let begun = std::time::Instant::now();
    let all = made(
        &settings(800),
        2,
        &mut Ledger::open(dir.path().join("l")).unwrap(),
    )
    .unwrap();
    println!("{} attempts in {:?}", all.len(), begun.elapsed());
    let accepted: Vec<&Attempt> = all.iter().filter(|a| a.accepted()).collect();
    assert_eq!(accepted.len(), 800);
    for (split, n) in [
        (Split::TrainSft, 200),
        (Split::TrainRl, 300),
        (Split::Heldout, 200),
        (Split::Unseen, 100),
    ] {
        assert_eq!(
            accepted.iter().filter(|a| a.split == split).count(),
            n,
            "{split:?}"
        );
    }
    let forms: BTreeSet<String> = accepted
        .iter()
        .map(|a| canonical(a.task.as_ref().unwrap()))
        .collect();
    assert_eq!(forms.len(), 800);
    let ids: BTreeSet<&str> = all.iter().map(|a| a.id.as_str()).collect();
    assert_eq!(ids.len(), all.len());
    assert!(
        accepted
            .iter()
            .all(|a| a.verdict.as_ref().is_some_and(|v| v.pass) && a.messages.len() >= 4)
    );
    assert!(
        all.iter()
            .all(|a| a.accepted() || (a.gate == Gate::Novelty && a.reason.is_some()))
    );
}

#[test]
fn a_run_that_was_cut_off_goes_on_to_the_same_end_whatever_the_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let whole = made(
        &settings(200),
        2,
        &mut Ledger::open(dir.path().join("whole")).unwrap(),
    )
    .unwrap();
    let path = dir.path().join("cut");
    let mut heard = 0;
    let cut = run(
        &courier(),
        &Limits::default(),
        &settings(200),
        1,
        &mut Ledger::open(&path).unwrap(),
        &mut |_| {
            heard += 1;
            heard < 3
        },
    );
    assert!(matches!(cut, Err(TemplateError::Stopped)));
    let kept = Ledger::open(&path).unwrap().len();
    assert!(kept > 0 && kept < whole.len(), "{kept}");
    let resumed = made(&settings(200), 1, &mut Ledger::open(&path).unwrap()).unwrap();
    assert_eq!(text(&whole), text(&resumed));
}

#[test]
fn shards_make_together_what_one_makes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let alone = made(
        &settings(90),
        1,
        &mut Ledger::open(dir.path().join("alone")).unwrap(),
    )
    .unwrap();
    let shard = |shard: usize| {
        let settings = Settings {
            shard,
            shards: 3,
            ..settings(90)
        };
        made(
            &settings,
            1,
            &mut Ledger::open(dir.path().join(shard.to_string())).unwrap(),
        )
        .unwrap()
    };
    let shards = [shard(0), shard(1), shard(2)];
    for (i, attempt) in alone.iter().enumerate() {
        assert_eq!(
            text(std::slice::from_ref(attempt)),
            text(&shards[i % 3][i / 3..=i / 3])
        );
    }
    assert_eq!(shards.iter().map(Vec::len).sum::<usize>(), alone.len());
}

#[test]
fn a_target_beyond_the_templates_names_its_field_and_the_most_that_can_be_had() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(dir.path().join("l")).unwrap();
    let error = made(&settings(1_000_000), 1, &mut ledger).unwrap_err();
    let TemplateError::Target { most, .. } = error else {
        panic!("{error}")
    };
    assert!(
        error
            .to_string()
            .starts_with("strategies[template].target.accepted: 1000000"),
        "{error}"
    );
    println!("{error}");
    assert!(ledger.is_empty() && most > 500);
}

#[test]
fn a_branch_whose_gold_fails_for_some_records_is_made_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    Domain::new_skeleton(folder.path(), "desk").unwrap();
    let tools = folder.path().join("domain/tools.py");
    let source = std::fs::read_to_string(&tools).unwrap();
    let refuse = "    m = _member(member)\n    if m[\"years\"] > 6:\n        raise ValueError(\"too long\")\n    m[\"plan\"]";
    std::fs::write(
        &tools,
        source.replacen("    m = _member(member)\n    m[\"plan\"]", refuse, 1),
    )
    .unwrap();
    let domain = Arc::new(Domain::load(&folder.path().join("domain")).unwrap());
    let mut ledger = Ledger::open(folder.path().join("l")).unwrap();
    let settings = Settings {
        parts: Vec::new(),
        ..settings(80)
    };
    let all = run(
        &domain,
        &Limits::default(),
        &settings,
        2,
        &mut ledger,
        &mut |_| true,
    )
    .unwrap();
    assert_eq!(all.iter().filter(|a| a.accepted()).count(), 80);
    let failed: Vec<&Attempt> = all.iter().filter(|a| a.gate == Gate::Gold).collect();
    assert!(!failed.is_empty());
    assert!(
        failed
            .iter()
            .all(|a| a.reason.as_ref().unwrap().contains("too long"))
    );
}
