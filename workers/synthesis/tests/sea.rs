//! Whole `sea` jobs with a scripted model on the courier domain: evolution of a plan with a planted defect, the funnel,
//! attribution, going on after a stop, and replay.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agoge_artifacts::{Instance, dataset, splits};
use agoge_crds::lineage::{Decision, Outcome as End};
use agoge_crds::synthesis_job::{Evolution, Promotion};
use agoge_dialogue::export::sft_row;
use agoge_dialogue::{Message, Role};
use agoge_llm::{Client, Endpoint, Meter, Recordings, Request};
use agoge_sandbox::Limits;
use agoge_store::Store;
use agoge_synthesis::engine::{Job, Outcome, RoleClients, Settings, SynthesisError, run};
use agoge_synthesis::strategies::sea::Sea;
use agoge_synthesis::{Attempt, Gate, funnel};
use agoge_world::{DONE, Domain, Split};

/// The sentence without which the scripted writer writes checkers that see nothing (the planted defect).
const CURE: &str = "Let the checker compare every change that the calls made.";
/// A sentence after which it writes no checker at all.
const POISON: &str = "Describe the checker in prose for the customer.";
/// A sentence that changes nothing.
const NOTHING: &str = "Be careful and write well.";

/// The behaviour of the scripted models.
#[derive(Clone, Copy)]
struct Script {
    /// The sentence that reflection proposes.
    proposes: &'static str,
    /// True if the writer has the defect.
    defect: bool,
    /// The agent says so without doing it, and the user leaves at once, in the instances of these ids.
    lies: &'static str,
    leaves: &'static str,
}

const SOUND: Script = Script {
    proposes: NOTHING,
    defect: false,
    lies: "-",
    leaves: "-",
};

fn domain() -> Arc<Domain> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    Arc::new(Domain::load(&dir).unwrap())
}

/// The first parcel of a text: its five digits.
fn parcel(text: &str) -> String {
    let digits = text.split(|c: char| !c.is_ascii_digit());
    digits
        .into_iter()
        .find(|d| d.len() == 5)
        .unwrap_or_default()
        .to_owned()
}

fn shown_parcel(asked: &str) -> String {
    parcel(asked.split("parcels/").nth(1).unwrap_or_default())
}

/// Every instance hands a parcel over to a person, which works for all of them.
fn answer(script: Script, item: &str, request: &Request) -> String {
    let last = &request.messages.last().unwrap().content;
    let of = item.split('/').next().unwrap_or_default();
    match item.rsplit('/').next().unwrap_or_default() {
        "request" => {
            let id = shown_parcel(last);
            format!(
                r#"{{"rule": "1", "wants": "talk to a person", "knows": {{"parcel": "{id}"}}, "opening": "Hello, a person must look at parcel {id}."}}"#
            )
        }
        "calls" => {
            let id = shown_parcel(&request.messages[1].content);
            format!(
                r#"Here:
```json
{{"calls": [{{"name": "find", "arguments": {{"parcel": "{id}"}}}}, {{"name": "escalate", "arguments": {{"parcel": "{id}", "reason": "slow"}}}}], "say": ["escalated"], "refuse": false}}
```"#
            )
        }
        "checker" => {
            let asked = request
                .messages
                .iter()
                .rev()
                .find(|m| m.content.contains("Part 3"))
                .unwrap();
            let id = shown_parcel(&request.messages[1].content);
            if asked.content.contains(POISON) {
                "It looks whether the parcel was handed over.".into()
            } else if script.defect && !asked.content.contains(CURE) {
                "```python\ndef check(calls, messages):\n    return len(calls) > 0\n```".into()
            } else {
                format!(
                    "```python\ndef check(calls, messages):\n    case = final_get(\"cases\", \"{id}\")\n    return {{\"case\": case is not None and case[\"reason\"] == \"slow\", \"nothing else\": len(diff()) == 1}}\n```"
                )
            }
        }
        "agent" => agent(of == script.lies, request),
        "user" if of == script.leaves => format!("Never mind. {DONE}"),
        "user" => match request.messages[1].content.matches("Customer:").count() {
            0 => format!(
                "A person must look at parcel {}.",
                parcel(&request.messages[0].content)
            ),
            _ => format!("Thank you. {DONE}"),
        },
        _ => format!(
            r#"{{"part": "checker", "sentence": "{}"}}"#,
            script.proposes
        ),
    }
}

fn agent(lies: bool, request: &Request) -> String {
    let said: Vec<&Message> = request
        .messages
        .iter()
        .filter(|m| m.role == Role::User)
        .collect();
    let id = parcel(&said[0].content);
    match said.len() {
        1 if !lies => {
            format!("```json\n{{\"name\": \"find\", \"arguments\": {{\"parcel\": \"{id}\"}}}}\n```")
        }
        2 => format!(
            "```json\n{{\"name\": \"escalate\", \"arguments\": {{\"parcel\": \"{id}\", \"reason\": \"slow\"}}}}\n```"
        ),
        _ => "It is escalated.".into(),
    }
}

fn client(script: Script, budget: Option<u64>) -> Client {
    let meter = Arc::new(Meter::new(budget, None));
    Client::scripted(meter, move |item, request| answer(script, item, request)).unwrap()
}

/// Settings, and the rollouts after a pilot.
#[derive(Clone)]
struct Config {
    settings: Settings,
    rollouts: u32,
}

fn config(evolution: Evolution) -> Config {
    Config {
        settings: Settings {
            seed: 7,
            target: 100,
            evolution,
            temperature: 0.0,
            ..Settings::default()
        },
        rollouts: 3,
    }
}

async fn job(config: &Config, client: &Client, dir: &Path) -> Outcome {
    tried(config, client, dir).await.unwrap()
}

async fn tried(config: &Config, client: &Client, dir: &Path) -> Result<Outcome, SynthesisError> {
    let strategy = Sea {
        rollouts: Some(config.rollouts),
    };
    let job = Job {
        settings: config.settings.clone(),
        domain: domain(),
        limits: Limits::default(),
        threads: 2,
        clients: Some(RoleClients::all(client)),
        known: Vec::new(),
        store: Store::open(dir.join("store")).unwrap(),
        ledger: dir.join("work/sea.jsonl"),
    };
    run(strategy, job, &|_| {}).await
}

async fn fresh(config: &Config, client: &Client) -> Outcome {
    job(config, client, tempfile::tempdir().unwrap().path()).await
}

#[tokio::test]
async fn a_cured_defect_is_promoted_and_yields_more() {
    let script = Script {
        proposes: CURE,
        defect: true,
        ..SOUND
    };
    let outcome = fresh(&config(Evolution::default()), &client(script, None)).await;
    let [parent, child] = outcome.plans.as_slice() else {
        panic!("{:?}", outcome.plans)
    };
    assert_eq!((parent.pilot.valid, child.pilot.valid), (0, 6));
    assert_eq!(
        (child.outcome, child.parent.as_ref()),
        (End::Promoted, Some(&parent.digest))
    );
    assert!(child.pair.evaluation["checker"].contains(CURE) && child.better.unwrap() > 0.8);
    assert_eq!(outcome.report.plan.as_ref(), Some(&child.digest));
    assert_eq!((outcome.report.valid, outcome.report.accepted), (6, 3));
    assert_eq!(
        outcome.report.ended.as_deref(),
        Some("GenerationsExhausted")
    );
}

#[tokio::test]
async fn a_child_that_breaks_something_is_rolled_back_and_one_that_changes_nothing_stays_undecided()
{
    for (proposes, end) in [(POISON, End::RolledBack), (NOTHING, End::Undecided)] {
        // One attempt is spoiled, so that there is something to reflect on.
        let script = Script { proposes, ..SOUND };
        let spoiled = move |item: &str, request: &Request| match item {
            "sea-0-5/calls" => "I cannot do that.".to_owned(),
            _ => answer(script, item, request),
        };
        let client = Client::scripted(Arc::default(), spoiled).unwrap();
        let outcome = fresh(&config(Evolution::default()), &client).await;
        let [parent, child] = outcome.plans.as_slice() else {
            panic!("{:?}", outcome.plans)
        };
        assert_eq!(parent.pilot.valid, 5);
        assert_eq!(child.outcome, end, "{:?}", child.pilot);
        assert_eq!(outcome.report.plan.as_ref(), Some(&parent.digest));
    }
}

#[tokio::test]
async fn what_the_rule_would_promote_waits_for_a_person_if_asked() {
    let script = Script {
        proposes: CURE,
        defect: true,
        ..SOUND
    };
    let client = client(script, None);
    let manual = Evolution {
        promotion: Promotion::Manual,
        max_generations: 3,
        ..Evolution::default()
    };
    for (promote, end) in [(true, End::Promoted), (false, End::RolledBack)] {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(manual.clone());
        let waiting = job(&config, &client, dir.path()).await;
        let digest = waiting.report.awaiting_promotion.clone().unwrap();
        assert_eq!(waiting.plans[1].outcome, End::Awaiting);
        config.settings.decision = Some(Decision { digest, promote });
        let decided = job(&config, &client, dir.path()).await;
        assert_eq!(
            (decided.plans[1].outcome, decided.report.awaiting_promotion),
            (end, None)
        );
        assert_eq!(decided.attempts.len(), 18);
    }
}

#[tokio::test]
async fn every_failure_has_its_gate_its_cause_and_its_reason() {
    let script = Script {
        lies: "sea-0-1",
        leaves: "sea-0-2",
        ..SOUND
    };
    let spoiled = move |item: &str, request: &Request| match item {
        // A scenario that invents its record; gold that breaks off. The last valid one is not played: three were.
        "sea-0-3/request" => {
            r#"{"wants": "x", "knows": {"parcel": "99"}, "opening": "Parcel 99."}"#.to_owned()
        }
        "sea-0-4/calls" => r#"{"calls": [{"name": "find", "arguments": {"parcel": "1"#.to_owned(),
        _ => answer(script, item, request),
    };
    let client = Client::scripted(Arc::default(), spoiled).unwrap();
    let one = Evolution {
        max_generations: 1,
        ..Evolution::default()
    };
    let outcome = fresh(&config(one), &client).await;
    let ends: Vec<(Gate, String)> = outcome
        .attempts
        .iter()
        .map(|a| (a.gate, a.cause.map_or_else(String::new, |c| c.to_string())))
        .collect();
    let end = |gate, cause: &str| (gate, cause.to_owned());
    assert_eq!(
        ends,
        [
            end(Gate::Accepted, ""),
            end(Gate::Rollout, "TRAJECTORY"),
            end(Gate::Rollout, "USER"),
            end(Gate::Scenario, "TASK"),
            end(Gate::Gold, "TASK"),
            end(Gate::Rollout, ""),
        ],
        "{:?}",
        outcome
            .attempts
            .iter()
            .map(|a| &a.reason)
            .collect::<Vec<_>>()
    );
    assert!(
        outcome
            .attempts
            .iter()
            .all(|a| a.accepted() == a.reason.is_none())
    );
    let report = &outcome.report;
    assert_eq!((report.attempted, report.valid, report.accepted), (6, 4, 1));
    assert_eq!(
        (
            report.attribution.task,
            report.attribution.trajectory,
            report.attribution.user
        ),
        (2, 1, 1)
    );
    let counts: Vec<usize> = funnel(&outcome.attempts)
        .iter()
        .map(|stop| stop.count)
        .collect();
    assert_eq!(counts, [1, 1, 0, 0, 3, 1]);
}

#[tokio::test]
async fn a_job_without_templates_leaves_demonstrations_tasks_and_an_evaluation() {
    let one = Evolution {
        max_generations: 1,
        ..Evolution::default()
    };
    let all = Config {
        rollouts: 6,
        ..config(one)
    };
    let outcome = fresh(&all, &client(SOUND, None)).await;
    assert_eq!(outcome.report.accepted, 6);
    let domain = domain();
    let mut instances = dataset::instances(outcome.attempts);
    splits::divide(&mut instances, &domain);
    let part = |split: Split| -> Vec<&Instance> {
        let own = instances.iter().filter(|one| one.split == split);
        own.collect()
    };
    let shown = part(Split::TrainSft);
    assert!(shown.len() >= 2 && !part(Split::TrainRl).is_empty());
    assert!(!part(Split::Heldout).is_empty());
    for one in shown {
        // The accepted rollout, turn by turn, is the demonstration.
        let row = sft_row(&one.task.id, "policy", &domain.tools, &one.messages).unwrap();
        let roles: Vec<&str> = row["messages"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|message| message["role"].as_str())
            .collect();
        let wanted = [
            "system",
            "user",
            "assistant",
            "tool",
            "assistant",
            "tool",
            "assistant",
        ];
        assert_eq!(roles, wanted);
        assert!(one.messages.last().unwrap().content.contains(DONE));
    }
}

#[tokio::test]
async fn an_instance_told_twice_is_no_new_one() {
    let script = SOUND;
    let same = move |item: &str, request: &Request| {
        let mut request = request.clone();
        request.messages[1].content = "parcels/10004: {}".into();
        answer(script, item, &request)
    };
    let client = Client::scripted(Arc::default(), same).unwrap();
    let one = Evolution {
        max_generations: 1,
        ..Evolution::default()
    };
    let outcome = fresh(
        &Config {
            rollouts: 0,
            ..config(one)
        },
        &client,
    )
    .await;
    let gates: Vec<Gate> = outcome.attempts.iter().map(|a| a.gate).collect();
    assert_eq!(gates, [&[Gate::Rollout][..], &[Gate::Novelty; 5]].concat());
}

fn text(attempts: &[Attempt]) -> Vec<String> {
    attempts
        .iter()
        .map(|a| serde_json::to_string(a).unwrap())
        .collect()
}

#[tokio::test]
async fn a_job_that_was_stopped_goes_on_and_ends_as_one_that_was_not() {
    let script = Script {
        proposes: CURE,
        defect: true,
        ..SOUND
    };
    let config = config(Evolution::default());
    let whole = fresh(&config, &client(script, None)).await;
    let dir = tempfile::tempdir().unwrap();
    let all = whole.report.tokens;
    for share in [1, 2, 3, 4, 5] {
        let part = job(&config, &client(script, Some(all * share / 6)), dir.path()).await;
        assert_eq!(
            part.report.ended.as_deref(),
            Some("BudgetExhausted"),
            "at {share} of 6"
        );
        assert!(part.attempts.len() <= whole.attempts.len());
    }
    let rest = job(&config, &client(script, None), dir.path()).await;
    assert_eq!(text(&rest.attempts), text(&whole.attempts));
    assert_eq!(rest.plans, whole.plans);
    assert_eq!(rest.report, whole.report);
    let keys = |outcome: &Outcome| -> Vec<String> {
        let keys = outcome.qualifications.by_key.keys();
        keys.map(ToString::to_string).collect()
    };
    assert_eq!(keys(&rest), keys(&whole));
    assert_eq!(keys(&whole).len() as u64, whole.report.valid);
}

#[tokio::test]
async fn replayed_answers_give_the_same_dataset_without_the_model() {
    let script = Script {
        proposes: CURE,
        defect: true,
        ..SOUND
    };
    let config = config(Evolution::default());
    let tape = tempfile::tempdir().unwrap();
    let recorder =
        client(script, None).with_recordings(Arc::new(Recordings::record(tape.path()).unwrap()));
    let live = fresh(&config, &recorder).await;
    let nobody = Client::scripted(Arc::default(), |item, _| panic!("{item} was asked")).unwrap();
    let replayer = nobody.with_recordings(Arc::new(Recordings::replay(tape.path()).unwrap()));
    let again = fresh(&config, &replayer).await;
    assert_eq!(text(&again.attempts), text(&live.attempts));
    assert_eq!(again.report, live.report);
}

#[tokio::test]
async fn an_instance_stays_within_its_tokens_and_says_so() {
    let long = |item: &str, request: &Request| {
        let text = answer(SOUND, item, request);
        if item.ends_with("/request") {
            format!("{}{text}", "Let me think. ".repeat(60))
        } else {
            text
        }
    };
    let client = Client::scripted(Arc::default(), long).unwrap();
    let one = Evolution {
        max_generations: 1,
        pilot_size: 2,
        ..Evolution::default()
    };
    let mut tight = config(one);
    tight.settings.tokens_per_instance = 100;
    let outcome = fresh(&tight, &client).await;
    let reason = outcome.attempts[0].reason.clone().unwrap();
    assert!(
        reason.contains("the 100 tokens of an instance are used up"),
        "{reason}"
    );
    assert_eq!(outcome.attempts[0].gate, Gate::Gold);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dataset_does_not_depend_on_what_runs_at_once_nor_the_bound_on_tokens() {
    let script = Script {
        proposes: CURE,
        defect: true,
        ..SOUND
    };
    let mut all = Vec::new();
    for (parallelism, bound) in [(1, None), (6, None), (1, Some(9_000)), (6, Some(9_000))] {
        let mut config = config(Evolution::default());
        config.settings.deterministic = true;
        config.settings.parallelism = Some(parallelism);
        config.settings.budget.tokens = bound;
        all.push(text(&fresh(&config, &client(script, bound)).await.attempts));
    }
    assert_eq!(all[0], all[1]);
    assert_eq!(all[2], all[3]);
    assert!(all[2].len() < all[0].len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_is_exceeded_by_no_more_than_the_requests_in_flight() {
    const BOUND: u64 = 20_000;
    for parallelism in [1, 5] {
        let mut config = config(Evolution::default());
        config.settings.parallelism = Some(parallelism);
        let client = client(SOUND, Some(BOUND));
        let outcome = fresh(&config, &client).await;
        assert_eq!(outcome.report.ended.as_deref(), Some("BudgetExhausted"));
        let spent = client.meter().spent();
        let largest = 3_000; // tokens of a request and its answer here
        assert!(spent.tokens() >= BOUND);
        assert!(
            spent.tokens() < BOUND + parallelism as u64 * largest,
            "{} with {parallelism} in flight",
            spent.tokens()
        );
    }
}

/// A client of an endpoint that nobody serves.
fn down(patience: Duration) -> Client {
    let endpoint = Endpoint {
        patience,
        ..Endpoint::new("http://127.0.0.1:9")
    };
    Client::new(endpoint, Arc::default()).unwrap()
}

#[tokio::test]
async fn an_outage_ends_the_job_and_is_no_result_of_any_item() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(Evolution::default());
    let passing = |error: &SynthesisError| match error {
        SynthesisError::Endpoint(error) => error.is_passing(),
        _ => false,
    };
    let error = tried(&config, &down(Duration::ZERO), dir.path()).await;
    let error = error.unwrap_err();
    assert!(passing(&error), "{error}");
    // The time of the job ends before the outage does.
    let mut short = config.clone();
    short.settings.deadline = Some(Instant::now() + Duration::from_secs(4));
    let error = tried(&short, &down(Duration::from_secs(60)), dir.path()).await;
    let error = error.unwrap_err();
    assert!(passing(&error), "{error}");
    let again = job(&config, &client(SOUND, None), dir.path()).await;
    let undisturbed = fresh(&config, &client(SOUND, None)).await;
    assert_eq!(again.report.attribution.infra, 0);
    assert_eq!(again.report, undisturbed.report);
    assert_eq!(again.attempts, undisturbed.attempts);
}
