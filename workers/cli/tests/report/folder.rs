//! A run's folder as a driver and its workers leave it, with made-up figures: for tests of the page alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use agoge_store::{Artifact, Store};
use serde_json::{Value, json};

/// The text of a hostile instance; none of it may become markup.
pub const HOSTILE: &str = "</script><script>window.hacked = 1</script><!-- <img src=x onerror=window.hacked=1> \u{2028} &lt;";

/// Numbers that look like measurements, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / f64::from(1 << 24)
    }

    fn near(&mut self, value: f64, spread: f64) -> f64 {
        value + spread * (self.next() + self.next() - 1.0)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() * n as f64) as usize
    }
}

const BRANCHES: [(&str, &str); 9] = [
    ("where", "moving"),
    ("where", "lost"),
    ("cancel", "before pickup"),
    ("cancel", "after pickup"),
    ("address", "in depot"),
    ("refund", "insured"),
    ("refund", "window closed"),
    ("hold", "allowed"),
    ("retry", "third attempt"),
];

/// Writes a finished run.
pub fn finished(out: &Path) {
    let mut numbers = Numbers(7);
    let store = Store::open(out.join("store")).unwrap();
    let template = put_lines(&store, "template", &template_attempts(&mut numbers));
    let sea = put_lines(&store, "sea", &sea_attempts());
    let plans = plans();
    put(
        &store,
        "plans",
        "courier",
        ("job", "courier"),
        &json!(plans),
    );
    let suite_digest = format!("sha256:{}", "5a".repeat(32));
    let qualified = suite(&mut numbers, &suite_digest);
    put(
        &store,
        "suite",
        "courier",
        ("digest", &suite_digest),
        &qualified,
    );
    let mut stages = BTreeMap::new();
    for record in records(&mut numbers) {
        let stage = record["stage"].as_str().unwrap().to_owned();
        let digest = put(
            &store,
            "stage",
            &format!("courier-{stage}"),
            ("stage", &stage),
            &record,
        );
        let mut status = json!({
            "digest": digest, "seconds": record["seconds"], "steps": record["steps"], "trainedTokens": record["trainedTokens"],
        });
        if stage == "certifyUser" {
            status["errorRate"] = record["after"]["errorRate"].clone();
        }
        stages.insert(stage, status);
    }
    object(
        out,
        "SynthesisJob",
        job_spec(),
        &json!({
            "phase": "Complete", "startTime": "2031-05-04T09:00:00Z", "completionTime": "2031-05-04T09:15:01Z", "activeSeconds": 901,
            "conditions": [done("BudgetExhausted", "15 minutes of wall clock are used up; what there is was kept")],
            "generation": 1, "accepted": 301, "attempted": 341, "valid": 306, "target": 304, "tokens": 48210, "plan": plans[1]["digest"],
            "strategies": {
                "template": { "ended": "TargetsReached", "target": 300, "attempted": 326, "valid": 300, "accepted": 300, "tokens": 0, "digest": template },
                "sea": { "ended": "BudgetExhausted", "target": 4, "attempted": 15, "valid": 3, "accepted": 1, "tokens": 48210,
                         "attribution": { "task": 9, "trajectory": 2, "user": 0, "infra": 1 }, "digest": sea },
            },
            "lineage": [
                { "generation": 0, "digest": plans[0]["digest"], "change": "", "outcome": "pilot", "attempted": 6, "valid": 1, "accepted": 0,
                  "yield": { "value": 0.055, "low": 0.007, "high": 0.21 }, "attribution": { "task": 5 }, "tokens": 18300 },
                { "generation": 1, "digest": plans[1]["digest"], "parent": plans[0]["digest"], "outcome": "promoted", "attempted": 9, "valid": 2, "accepted": 1,
                  "change": "Names the parcel's status words in the gold stage, since four gold calls used words the schema does not know.",
                  "yield": { "value": 0.098, "low": 0.021, "high": 0.29 }, "attribution": { "task": 4, "trajectory": 2, "infra": 1 }, "tokens": 29910 },
            ],
            "digest": template,
        }),
    );
    object(
        out,
        "CheckerSuite",
        json!({ "domain": "courier", "source": { "synthesisJob": "courier" }, "qualification": { "mutants": 20, "minMutationScore": 0.9, "repeats": 3 } }),
        &json!({
            "phase": "Complete", "activeSeconds": 14, "startTime": "2031-05-04T09:15:02Z", "completionTime": "2031-05-04T09:15:16Z",
            "conditions": [done("Qualified", "298 of 306 checkers qualified")],
            "checkers": 306, "qualified": 298, "mutationScore": "0.993", "flake": "0%", "p95": "3.2ms", "digest": suite_digest,
            "endpoints": [{ "endpoint": "qwen", "pass1": 0.18, "tasks": 40 }],
        }),
    );
    object(
        out,
        "GRPORun",
        json!({
            "domain": "courier", "suite": { "name": "courier" }, "policy": { "fresh": {} }, "seed": 1, "deterministic": false,
            "user": { "model": "sft", "maxErrorRate": 0.05 }, "stages": { "evaluation": { "samples": 4, "tasks": 200 } },
        }),
        &json!({
            "phase": "Complete", "activeSeconds": 871, "startTime": "2031-05-04T09:15:17Z", "completionTime": "2031-05-04T09:29:48Z",
            "conditions": [done("StagesComplete", "every stage is done")],
            "stages": stages, "suiteDigest": suite_digest, "digest": format!("sha256:{}", "c0".repeat(32)),
        }),
    );
    let work = out.join("work/SynthesisJob-courier-sea");
    fs::create_dir_all(&work).unwrap();
    let assignment = json!({
        "name": "courier-synthesize-sea", "key": "synthesize-sea", "attempt": 0, "shard": 0, "shards": 1, "threads": 2,
        "owner": { "apiVersion": "agoge.dev/v1alpha1", "kind": "SynthesisJob", "name": "courier", "uid": "" },
        "spec": { "role": "synthesize", "dataset": "courier", "strategy": { "name": "sea", "target": { "accepted": 4 } },
                  "budget": {}, "known": [], "deterministic": false },
        "domain": "domain", "store": "store", "work": "work", "endpoints": { "qwen": { "url": "http://127.0.0.1:8080" } },
        "recordings": { "mode": "replay", "folder": "r" },
    });
    fs::write(work.join("assignment.json"), assignment.to_string()).unwrap();
}

/// Writes a run that stopped early: no instance, no suite, a failed training.
pub fn failed(out: &Path) {
    object(
        out,
        "SynthesisJob",
        job_spec(),
        &json!({
            "phase": "Running", "conditions": [{ "type": "Progressing", "status": "True", "reason": "Running", "message": "1 child runs",
                                                 "lastTransitionTime": "2031-05-04T09:00:00Z" }],
            "strategies": { "template": { "target": 300, "attempted": 40, "valid": 30, "accepted": 30, "rejected": { "novelty": 10 } } },
        }),
    );
    object(
        out,
        "GRPORun",
        json!({ "domain": "courier", "suite": { "name": "courier" }, "policy": { "fresh": {} } }),
        &json!({
            "phase": "Failed",
            "conditions": [{ "type": "Failed", "status": "True", "reason": "UserModelNotCertified", "lastTransitionTime": "2031-05-04T09:15:01Z",
                             "message": "9.1 % of the user model's turns are faulty, 5 % are allowed; give it more demonstrations, or choose user.model: scripted" }],
            "stages": { "certifyUser": { "digest": format!("sha256:{}", "ab".repeat(32)), "seconds": 3.0, "steps": 500, "errorRate": 0.091 } },
        }),
    );
    fs::create_dir_all(out.join("store")).unwrap();
}

fn object(out: &Path, kind: &str, spec: Value, status: &Value) {
    let folder = out.join("objects");
    fs::create_dir_all(&folder).unwrap();
    let whole = json!({ "apiVersion": "agoge.dev/v1alpha1", "kind": kind, "metadata": { "name": "courier" }, "spec": spec, "status": status });
    fs::write(
        folder.join(format!("{kind}-courier.json")),
        whole.to_string(),
    )
    .unwrap();
}

fn done(reason: &str, message: &str) -> Value {
    json!({ "type": "Complete", "status": "True", "reason": reason, "message": message, "lastTransitionTime": "2031-05-04T09:15:01Z" })
}

fn job_spec() -> Value {
    json!({
        "domain": "courier", "strategies": [{ "name": "template", "target": { "accepted": 300 } }, { "name": "sea", "target": { "accepted": 4 } }],
        "models": { "default": { "endpoint": "qwen", "model": "qwen2.5-coder-1.5b-instruct" } },
    })
}

fn put(store: &Store, kind: &str, name: &str, input: (&str, &str), value: &Value) -> String {
    let digest = store.put_json(value).unwrap();
    let inputs = BTreeMap::from([
        (input.0.to_owned(), input.1.to_owned()),
        ("domain".into(), "sha256:d0".into()),
    ]);
    store
        .put_artifact(&Artifact::new(kind, name, digest.clone(), inputs))
        .unwrap();
    digest.to_string()
}

fn put_lines(store: &Store, strategy: &str, attempts: &[Value]) -> String {
    let lines: Vec<String> = attempts.iter().map(Value::to_string).collect();
    let digest = store.put(lines.join("\n").as_bytes()).unwrap();
    let inputs = BTreeMap::from([("strategy".to_owned(), strategy.to_owned())]);
    store
        .put_artifact(&Artifact::new(
            "instances",
            strategy,
            digest.clone(),
            inputs,
        ))
        .unwrap();
    digest.to_string()
}

fn task(id: &str, n: usize, parcel: usize) -> Value {
    let (intent, branch) = BRANCHES[n % BRANCHES.len()];
    json!({
        "id": id, "template": intent, "intent": intent, "condition": branch, "wording": "plain", "branch": branch,
        "corner": n % 9 == 6, "refusal": n % 9 == 6, "gold": [call("look_up", parcel), call(intent, parcel)],
        "user": { "instruction": format!("You want help with parcel {parcel}. Give its number only when asked."), "opening": "" },
        "outputs": [format!("{parcel}")],
    })
}

fn call(name: &str, parcel: usize) -> Value {
    json!({ "name": name, "arguments": { "parcel": parcel } })
}

fn dialogue(parcel: usize, says: &str) -> Value {
    json!([
        { "role": "user", "content": "hello, I need some help with a parcel of mine" },
        { "role": "assistant", "content": "Which parcel is it?" },
        { "role": "user", "content": format!("It is {parcel}.") },
        { "role": "assistant", "content": "", "tool_calls": [call("look_up", parcel)] },
        { "role": "tool", "content": json!({ "id": parcel, "status": "in_depot", "fee": 4.5, "insured": true }).to_string() },
        { "role": "assistant", "content": "", "tool_calls": [call("hold", parcel)] },
        { "role": "tool", "content": "held until 12 May" },
        { "role": "assistant", "content": says },
        { "role": "user", "content": "Thank you. ###" },
    ])
}

fn template_attempts(numbers: &mut Numbers) -> Vec<Value> {
    (0..326)
        .map(|n| {
            let parcel = 10_000 + numbers.below(89_999);
            let id = format!("template-{n:04}");
            let split = ["trainSft", "trainRl", "heldout"][n % 3];
            let mut attempt = json!({
                "id": id, "strategy": "template", "generation": 0, "gate": "accepted", "split": split,
                "task": task(&id, n, parcel), "messages": dialogue(parcel, &format!("Parcel {parcel} is held for you until 12 May.")),
                "verdict": { "pass": true, "score": 1.0, "killed": null, "parts": [
                    { "name": "finalState", "pass": true, "evidence": "" }, { "name": "outputs", "pass": true, "evidence": "" }] },
                "tokens": 0,
            });
            if n % 13 == 5 {
                attempt["gate"] = json!("novelty");
                attempt["reason"] = json!(format!("the same as template-{:04} in canonical form", n / 2));
                attempt["cause"] = json!("task");
                attempt["messages"] = json!([]);
                attempt["verdict"] = Value::Null;
            }
            attempt
        })
        .collect()
}

fn sea_attempts() -> Vec<Value> {
    let stops = [
        (
            "scenario",
            "the answer is no JSON object: expected `,` or `}` at line 9 column 4",
            "task",
        ),
        (
            "gold",
            "gold call 2 fails: parcel 48213 has status \"in depot\", which the schema does not know",
            "task",
        ),
        (
            "gold",
            "gold call 1 fails: no tool is called \"reschedule\" - the tools are look_up, hold, move",
            "task",
        ),
        ("checker", "the checker passes the empty trajectory", "task"),
        (
            "checker",
            "7 of 20 mutants survive, such as: hold(parcel=48213, days=3) became days=4",
            "task",
        ),
        ("novelty", "the same as sea-0003 in canonical form", "task"),
        ("rollout", HOSTILE, "trajectory"),
        (
            "rollout",
            "the endpoint gave no answer within 120 s, four times",
            "infra",
        ),
    ];
    let draft = |stage: &str, text: &str| json!({ "stage": stage, "text": text });
    (0..15)
        .map(|n| {
            let parcel = 48_200 + n;
            let id = format!("sea-{n:04}");
            let (gate, reason, cause) = if n == 14 { ("accepted", "", "") } else { stops[n % stops.len()] };
            let mut attempt = json!({
                "id": id, "strategy": "sea", "generation": n / 6, "plan": plans()[n / 8]["digest"], "gate": gate, "split": "trainRl", "tokens": 3100 + 41 * n,
                "drafts": [draft("scenario", "{\"intent\": \"hold\", \"facts\": {\"parcel\": 48213}}"),
                           draft("checker", "def check(calls, messages):\n    parcel = final(\"parcels\", 48213)\n    return {\"held\": parcel[\"held\"]}")],
            });
            if gate == "accepted" || gate == "rollout" {
                attempt["task"] = task(&id, n, parcel);
                attempt["task"]["checker"] = json!("def check(calls, messages):\n    return {\"held\": final(\"parcels\", 48213)[\"held\"]}");
                attempt["messages"] = dialogue(parcel, if gate == "accepted" { "It is held until 12 May." } else { HOSTILE });
                attempt["verdict"] = json!({ "pass": gate == "accepted", "score": 0.5, "killed": null, "parts": [
                    { "name": "script.held", "pass": gate == "accepted", "evidence": "parcels/48213 held: expected true, is false" },
                    { "name": "outputs", "pass": true, "evidence": "" }] });
            }
            if gate != "accepted" {
                attempt["reason"] = json!(reason);
                attempt["cause"] = json!(cause);
            }
            attempt
        })
        .collect()
}

fn plans() -> Vec<Value> {
    let digest = |n: usize| format!("sha256:{}", ["1f", "8e"][n].repeat(32));
    let scenario = "Write one scenario of a customer of a parcel service.\nIt must be solvable with the tools below.\nSay what the customer wants, what they know, and what they hold back until asked.\nAnswer with one JSON object.";
    let gold = "Write the calls that solve the scenario, in order.\nUse only the tools below, and ids that exist.\nAnswer with a JSON list.";
    let better = "Write the calls that solve the scenario, in order.\nUse only the tools below, and ids that occur in the records shown.\nA parcel's status is one of: created, in_depot, moving, delivered, lost.\nAnswer with a JSON list.";
    let judge = "A scenario is good when its customer has one clear wish.";
    vec![
        json!({ "digest": digest(0), "generation": 0, "change": "", "outcome": "pilot", "synthesis": { "scenario": scenario, "gold": gold }, "evaluation": { "judge": judge } }),
        json!({ "digest": digest(1), "parent": digest(0), "generation": 1, "change": "status words", "outcome": "promoted", "better": 0.81,
                "synthesis": { "scenario": scenario, "gold": better }, "evaluation": { "judge": judge } }),
    ]
}

fn suite(numbers: &mut Numbers, digest: &str) -> Value {
    let qualifications: Vec<Value> = (0..306)
        .map(|n| {
            let killed = if n % 40 == 7 { 15 } else { 20 };
            json!({
                "task": format!("template-{n:04}"), "qualified": killed == 20, "reason": null, "gold": true, "empty": true, "equivalentPaths": true,
                "flake": false, "limits": true,
                "mutants": { "tried": 20, "killed": killed, "equivalent": 3,
                             "survivors": if killed < 20 { json!(["hold(days=3) became hold(days=4)"]) } else { json!([]) } },
                "p95Ms": 1.0 + 2.4 * numbers.next() * numbers.next(), "checks": 29,
            })
        })
        .collect();
    let quarantined: Vec<Value> = (0..306)
        .filter(|n| n % 40 == 7)
        .map(|n| json!({ "task": format!("template-{n:04}"), "reason": "5 of 20 mutants survive: outputs do not tell the amounts apart" }))
        .collect();
    let split = |n: usize| ["trainSft", "trainRl", "heldout"][n % 3];
    let instances: Vec<Value> = (0..298)
        .map(|n| json!({ "task": task(&format!("template-{n:04}"), n, 48_000 + n), "split": split(n), "strategy": "template" }))
        .collect();
    json!({
        "suite": { "checkers": 306, "qualified": 298, "mutationScore": 1.0, "mutationScoreBefore": 0.9935, "flake": 0.0, "p95Ms": 3.18, "digest": digest,
                   "qualifiedTasks": [], "quarantined": quarantined, "mutants": 6120, "checks": 8874, "seconds": 13.2 },
        "instances": instances, "qualifications": qualifications,
    })
}

fn epochs(
    numbers: &mut Numbers,
    count: usize,
    from: f64,
    to: f64,
    seconds: f64,
    tokens: u64,
) -> Vec<Value> {
    (1..=count)
        .map(|epoch| {
            let falls = to + (from - to) * (-(epoch as f64) * 4.0 / count as f64).exp();
            json!({ "epoch": epoch, "loss": numbers.near(falls * 0.93, 0.004), "validation": numbers.near(falls, 0.006),
                    "trainedTokens": tokens, "seconds": seconds * epoch as f64 / count as f64 })
        })
        .collect()
}

fn steps(numbers: &mut Numbers, count: usize, to: f64, seconds: f64, filtered: bool) -> Vec<Value> {
    (1..=count)
        .map(|step| {
            let way = 1.0 - (-(step as f64) * 3.0 / count as f64).exp();
            let reward = numbers.near(0.58 + (to - 0.58) * way, 0.05).clamp(0.0, 1.0);
            let mixed = numbers.near(0.68 - 0.35 * way, 0.08).clamp(0.05, 1.0);
            let trained = (if filtered { 26_000.0 } else { 26_000.0 * mixed } * (0.9 + 0.2 * numbers.next())) as u64;
            json!({
                "step": step, "rewardAll": reward, "rewardEffective": numbers.near(0.5 + 0.08 * way, 0.03), "mixed": mixed,
                "allPass": (1.0 - mixed) * way, "allFail": (1.0 - mixed) * (1.0 - way), "loss": numbers.near(0.0, 0.01), "kl": numbers.near(0.0011, 0.0006).abs(),
                "entropy": numbers.near(0.34 - 0.16 * way, 0.015), "clipShare": numbers.near(0.012, 0.006).abs(), "gradNorm": numbers.near(0.42, 0.12),
                "logpDiff": numbers.near(2e-5, 1e-5).abs(), "trainedTokens": trained, "sampledTokens": trained * 2, "turns": numbers.near(4.1, 0.2),
                "toolCalls": numbers.near(2.1, 0.1), "toolFailRate": numbers.near(0.11 - 0.08 * way, 0.01), "truncatedRatio": numbers.near(0.04 - 0.03 * way, 0.008).abs(),
                "generationSeconds": numbers.near(2.2, 0.3), "trainingSeconds": numbers.near(2.9, 0.3), "seconds": seconds * step as f64 / count as f64,
            })
        })
        .collect()
}

fn certificate(turns: usize, kinds: [usize; 4], examples: &[&str]) -> Value {
    let faulty: usize = kinds.iter().sum();
    json!({
        "dialogues": 500, "turns": turns, "faulty": faulty, "errorRate": faulty as f64 / turns as f64, "examples": examples,
        "kinds": { "brokeInstruction": kinds[0], "inventedFact": kinds[1], "leaked": kinds[2], "stoppedEarly": kinds[3] },
    })
}

fn records(numbers: &mut Numbers) -> Vec<Value> {
    let grpo = steps(numbers, 68, 0.93, 358.0, true);
    let unfiltered = steps(numbers, 81, 0.88, 358.0, false);
    let sft = epochs(numbers, 17, 1.9, 0.21, 61.0, 31_400);
    let user = epochs(numbers, 12, 2.1, 0.33, 84.0, 96_000);
    let longer = epochs(numbers, 100, 0.215, 0.2, 358.0, 31_400);
    vec![
        json!({ "stage": "userSFT", "seconds": 84.2, "steps": 1500, "trainedTokens": 1_152_000, "curve": user }),
        json!({ "stage": "certifyUser", "seconds": 9.4, "steps": 500, "trainedTokens": 0,
                "before": certificate(1490, [611, 402, 55, 201], &[]),
                "after": certificate(1512, [14, 9, 2, 3], &["template-0031: \"it is 4822\" - it told something that its script does not know: 4822"]) }),
        json!({ "stage": "agentSFT", "seconds": 61.3, "steps": 544, "trainedTokens": 533_800, "curve": sft }),
        json!({ "stage": "grpo", "seconds": 358.8, "steps": 68, "trainedTokens": 1_768_000, "curve": grpo, "samples": rollouts(numbers), "model": { "model.safetensors": format!("sha256:{}", "00".repeat(32)) } }),
        json!({ "stage": "grpoUnfiltered", "seconds": 358.2, "steps": 81, "trainedTokens": 1_020_000, "curve": unfiltered }),
        json!({ "stage": "sftContinued", "seconds": 358.1, "steps": 3200, "trainedTokens": 3_140_000, "curve": longer }),
        json!({ "stage": "evaluate", "seconds": 92.0, "steps": 4000, "trainedTokens": 0, "arms": arms(numbers) }),
    ]
}

fn arms(numbers: &mut Numbers) -> Value {
    let mut arms = serde_json::Map::new();
    for (arm, rate) in [
        ("empty", 0.0),
        ("alwaysRefuse", 0.11),
        ("random", 0.02),
        ("sft", 0.71),
        ("sftContinued", 0.74),
        ("grpoUnfiltered", 0.87),
        ("grpo", 0.91),
    ] {
        let mut columns = json!({ "heldout": card(numbers, rate), "scripted": card(numbers, (rate + 0.02f64).min(1.0)) });
        if rate > 0.5 {
            columns["unseen"] = card(numbers, rate * 0.6);
        }
        arms.insert(arm.to_owned(), columns);
    }
    Value::Object(arms)
}

fn card(numbers: &mut Numbers, rate: f64) -> Value {
    let per_task: Vec<f64> = (0..200)
        .map(|n| {
            let hard = if n % 9 == 6 { 0.6 } else { 1.1 };
            (0..4).filter(|_| numbers.next() < rate * hard).count() as f64 / 4.0
        })
        .collect();
    let estimate = |values: &[f64]| json!(agoge_checker::passk::mean_rate(values));
    let pass: Vec<Value> = (1..=4)
        .map(|k| estimate(&per_task.iter().map(|p| p.powi(k)).collect::<Vec<_>>()))
        .collect();
    let branches: BTreeMap<String, Value> = BRANCHES
        .iter()
        .enumerate()
        .map(|(b, (intent, branch))| {
            let of: Vec<f64> = per_task
                .iter()
                .enumerate()
                .filter(|(n, _)| n % 9 == b)
                .map(|(_, p)| *p)
                .collect();
            (format!("{intent}/{branch}"), estimate(&of))
        })
        .collect();
    json!({ "pass": pass, "branches": branches, "perTask": per_task, "errors": 0, "userFaults": 7 })
}

fn rollouts(numbers: &mut Numbers) -> Vec<Value> {
    (0..48)
        .map(|n| {
            let reward = [1, 1, 0][n % 3];
            let parcel = 10_000 + numbers.below(89_999);
            let says = if n == 0 { HOSTILE.to_owned() } else { format!("Parcel {parcel} is held for you.") };
            let mut tokens = Vec::new();
            let mut add = |text: &str, trained: u8, numbers: &mut Numbers| {
                for word in text.split_inclusive(' ') {
                    let logprob = if trained == 1 { -(numbers.next().powi(4)) * 2.5 } else { 0.0 };
                    tokens.push(json!([word, trained, logprob]));
                }
            };
            for (text, trained) in [
                ("<|sys|>", 0), ("parcel desk", 0), ("<|user|>", 0), ("hello, I need some help with a parcel of mine", 0), ("<|end|>", 0),
                ("<|agent|>", 0), ("Which parcel is it?", 1), ("<|end|>", 1), ("<|user|>", 0), (&format!("It is {parcel}."), 0), ("<|end|>", 0),
                ("<|agent|>", 0), ("<|call|>", 1), (&format!("hold parcel={parcel}"), 1), ("<|end|>", 1), ("<|result|>", 0), ("held", 0), ("<|end|>", 0),
                ("<|agent|>", 0), (&says, 1), ("<|end|>", 1),
            ] {
                add(text, trained, numbers);
            }
            json!({
                "task": format!("template-{n:04}"), "branch": BRANCHES[n % 9].1, "arm": "grpo", "reward": if n == 47 { Value::Null } else { json!(reward) },
                "end": if n == 47 { json!({ "kind": "infra", "detail": "the sandbox did not start" }) } else { json!({ "kind": "closed" }) },
                "verdict": { "pass": reward == 1, "score": f64::from(reward), "killed": null, "parts": [
                    { "name": "finalState", "pass": reward == 1, "evidence": if reward == 1 { "" } else { "parcels/48213 held: expected true, is false" } }] },
                "messages": dialogue(parcel, &says), "tokens": tokens,
                "userFaults": if n % 17 == 3 { json!([{ "kind": "leaked", "detail": "it told the parcel before it was asked" }]) } else { json!([]) },
            })
        })
        .collect()
}
