//! The `template` strategy on courier: fast, the same every time, whoever shares the work and wherever it was cut off.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use agoge_artifacts::{Instance, dataset};
use agoge_crds::synthesis_job::{Mix, Split, SplitShare};
use agoge_sandbox::Limits;
use agoge_store::Store;
use agoge_synthesis::canonical::canonical;
use agoge_synthesis::engine::{Job, Outcome, Progress, Settings, SynthesisError, run};
use agoge_synthesis::strategies::template::Template;
use agoge_synthesis::{Attempt, Gate};
use agoge_world::{Domain, Task};

fn courier() -> Arc<Domain> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    Arc::new(Domain::load(&dir).unwrap())
}

fn parts() -> Template {
    let part = |split, mix, share| SplitShare { split, mix, share };
    Template {
        splits: vec![
            part(Split::TrainSft, Mix::Natural, 2),
            part(Split::TrainRl, Mix::EvenBranches, 3),
            part(Split::Heldout, Mix::EvenBranches, 2),
            part(Split::Unseen, Mix::EvenBranches, 1),
        ],
    }
}

fn settings(target: usize) -> Settings {
    Settings {
        seed: 7,
        target,
        ..Settings::default()
    }
}

fn text(attempts: &[Attempt]) -> String {
    attempts
        .iter()
        .map(|a| serde_json::to_string(a).unwrap() + "\n")
        .collect()
}

/// Makes instances; the ledger is in `dir`. With `cut` the job is stopped at that many progress reports.
fn run_in(
    domain: &Arc<Domain>,
    strategy: Template,
    settings: &Settings,
    (threads, cut): (usize, Option<u32>),
    dir: &Path,
) -> Option<Result<Outcome, SynthesisError>> {
    run_after(&[], domain, strategy, settings, (threads, cut), dir)
}

/// The same after earlier strategies made these instances.
fn run_after(
    known: &[Instance],
    domain: &Arc<Domain>,
    strategy: Template,
    settings: &Settings,
    (threads, cut): (usize, Option<u32>),
    dir: &Path,
) -> Option<Result<Outcome, SynthesisError>> {
    let job = Job {
        settings: settings.clone(),
        domain: domain.clone(),
        limits: Limits::default(),
        threads,
        clients: None,
        known: known.to_vec(),
        store: Store::open(dir.join("store")).unwrap(),
        ledger: dir.join("template.jsonl"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap();
    let (heard, stop) = (std::cell::Cell::new(0), tokio::sync::Notify::new());
    let progress = |_: &Progress| {
        heard.set(heard.get() + 1);
        if cut.is_some_and(|cut| heard.get() >= cut) {
            stop.notify_one();
        }
    };
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = stop.notified() => None,
            made = run(strategy, job, &progress) => Some(made),
        }
    })
}

fn made(settings: &Settings, threads: usize, dir: &Path) -> Result<Vec<Attempt>, SynthesisError> {
    let made = run_in(&courier(), parts(), settings, (threads, None), dir);
    made.unwrap().map(|outcome| outcome.attempts)
}

#[test]
fn what_an_earlier_strategy_made_is_not_made_again() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let known = dataset::instances(made(&settings(40), 2, first.path()).unwrap());
    let settings = settings(60);
    let after = run_after(
        &known,
        &courier(),
        parts(),
        &settings,
        (2, None),
        second.path(),
    );
    let after = after.unwrap().unwrap().attempts;
    let form = |task: &Task| canonical(task);
    let known: BTreeSet<String> = known.iter().map(|one| form(&one.task)).collect();
    let rejected = after.iter().filter(|a| a.gate == Gate::Novelty).count();
    assert!(rejected > 0, "both draw from the same templates");
    let accepted: Vec<&Attempt> = after.iter().filter(|a| a.accepted()).collect();
    assert_eq!(accepted.len(), 60, "others took their places");
    let forms = accepted.iter().map(|a| form(a.task.as_ref().unwrap()));
    assert!(forms.into_iter().all(|form| !known.contains(&form)));
}

#[test]
fn hundreds_of_accepted_instances_in_seconds_and_no_two_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let begun = std::time::Instant::now();
    let all = made(&settings(800), 2, dir.path()).unwrap();
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
    let whole = made(&settings(200), 2, &dir.path().join("whole")).unwrap();
    let cut = dir.path().join("cut");
    let options = (1, Some(3));
    assert!(run_in(&courier(), parts(), &settings(200), options, &cut).is_none());
    let kept = agoge_store::Ledger::read(cut.join("template.jsonl")).unwrap();
    assert!(
        !kept.is_empty() && kept.len() < whole.len(),
        "{}",
        kept.len()
    );
    let resumed = made(&settings(200), 1, &cut).unwrap();
    assert_eq!(text(&whole), text(&resumed));
}

#[test]
fn shards_make_together_what_one_makes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let alone = made(&settings(90), 1, &dir.path().join("alone")).unwrap();
    let shard = |shard: usize| {
        let settings = Settings {
            shard,
            shards: 3,
            ..settings(90)
        };
        made(&settings, 1, &dir.path().join(shard.to_string())).unwrap()
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
    let error = made(&settings(1_000_000), 1, dir.path()).unwrap_err();
    let SynthesisError::Refused(refused) = &error else {
        panic!("{error}")
    };
    let text = refused.to_string();
    assert!(
        text.starts_with("strategies[template].target.accepted: 1000000"),
        "{text}"
    );
    let most = text.split("at most ").nth(1).unwrap();
    let most: usize = most.split(',').next().unwrap().parse().unwrap();
    assert!(most > 500, "{text}");
    assert!(
        agoge_store::Ledger::read(dir.path().join("template.jsonl"))
            .unwrap()
            .is_empty()
    );
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
    let (strategy, settings) = (Template::default(), settings(80));
    let all = run_in(&domain, strategy, &settings, (2, None), folder.path());
    let all = all.unwrap().unwrap().attempts;
    assert_eq!(all.iter().filter(|a| a.accepted()).count(), 80);
    let failed: Vec<&Attempt> = all.iter().filter(|a| a.gate == Gate::Gold).collect();
    assert!(!failed.is_empty());
    assert!(
        failed
            .iter()
            .all(|a| a.reason.as_ref().unwrap().contains("too long"))
    );
}
