//! The results of `make learn`: each arm with its interval, seed by seed; differences pooled over seeds and paired by
//! task; the
//! filter's effect at equal time and at equal tokens.

use std::collections::BTreeMap;

use agoge_artifacts::Point;
use agoge_checker::passk::{Estimate, paired_difference};
use agoge_contract::TrainStage;
use agoge_crds::report::TrainReport;
use agoge_store::{Digest, Store};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::train::{Columns, Record, record_of};

/// Seconds or tokens of a curve up to an entry.
type Measure = fn(&[Point], usize) -> f64;

/// One seed.
pub struct Seed {
    seed: u64,
    arms: BTreeMap<String, Columns>,
    seconds: BTreeMap<String, f64>,
    trained: BTreeMap<String, u64>,
    curves: BTreeMap<String, Vec<Point>>,
}

impl Seed {
    /// Reads the records behind a seed's reports.
    pub fn of(
        seed: u64,
        reports: &BTreeMap<String, TrainReport>,
        store: &Store,
    ) -> Result<Self, Failure> {
        let mut found = Self {
            seed,
            arms: BTreeMap::new(),
            seconds: BTreeMap::new(),
            trained: BTreeMap::new(),
            curves: BTreeMap::new(),
        };
        for (stage, report) in reports {
            let Some(digest) = &report.digest else {
                continue;
            };
            let record: Record = record_of(store, &Digest::parse(digest).map_err(Failure::input)?)?;
            found.seconds.insert(stage.clone(), report.seconds);
            found.trained.insert(stage.clone(), report.trained_tokens);
            if stage == TrainStage::Evaluate.as_str() {
                found.arms = record.arms;
            } else {
                found.curves.insert(stage.clone(), record.curve);
            }
        }
        Ok(found)
    }

    fn json(&self) -> Value {
        let mut out = Map::new();
        out.insert("seed".into(), json!(self.seed));
        for (name, columns) in &self.arms {
            let mut arm = column(columns.heldout.pass.as_slice());
            arm["branches"] = json!(columns.heldout.branches);
            arm["userFaults"] = json!(columns.heldout.user_faults);
            arm["errors"] = json!(columns.heldout.errors);
            for (name, card) in [("scripted", &columns.scripted), ("unseen", &columns.unseen)] {
                if let Some(card) = card {
                    arm[name] = column(&card.pass);
                }
            }
            out.insert(name.clone(), arm);
        }
        out.insert("seconds".into(), json!(self.seconds));
        out.insert("trainedTokens".into(), json!(self.trained));
        out.insert("curve".into(), json!(self.curves));
        Value::Object(out)
    }

    /// The difference of two arms on each held-out task that both came to a verdict on, with the task's branch.
    fn differences(&self, a: &str, b: &str) -> Option<Vec<(&str, f64)>> {
        let (a, b) = (&self.arms.get(a)?.heldout, &self.arms.get(b)?.heldout);
        let pairs = a.per_task.iter().zip(&b.per_task);
        let found = a.clusters.iter().zip(pairs);
        let found = found.filter_map(|(branch, (a, b))| Some((branch.as_str(), (*a)? - (*b)?)));
        Some(found.collect())
    }

    /// pass^1 on the probe tasks of a curve, where `measure` (seconds or tokens so far) last was at most `bound`.
    fn probe(&self, stage: &str, measure: Measure, bound: f64) -> Option<f64> {
        let curve = self.curves.get(stage)?;
        let known = (0..curve.len()).filter(|i| measure(curve, *i) <= bound);
        known.filter_map(|i| pass1(&curve[i])).next_back()
    }
}

fn column(pass: &[Estimate]) -> Value {
    let first = pass.first();
    let values: Vec<f64> = pass.iter().map(|estimate| estimate.value).collect();
    json!({
        "pass^1": first.map(|e| e.value), "low": first.map(|e| e.low), "high": first.map(|e| e.high),
        "n": first.map(|e| e.n), "pass": values,
    })
}

fn pass1(point: &Point) -> Option<f64> {
    match point {
        Point::Step(step) => step.pass1,
        Point::Epoch(_) => None,
    }
}

fn seconds(curve: &[Point], at: usize) -> f64 {
    curve[at].seconds()
}

fn tokens(curve: &[Point], at: usize) -> f64 {
    let trained: u64 = curve[..=at].iter().map(Point::trained_tokens).sum();
    trained as f64
}

/// The whole result.
pub fn of(minutes: f64, user: &Value, seeds: &[Seed]) -> Value {
    let pairs = [
        ("grpo", "sftContinued"),
        ("grpo", "sft"),
        ("grpo", "grpoUnfiltered"),
        ("sftContinued", "sft"),
    ];
    let mut pooled = Map::new();
    for (a, b) in pairs {
        // The seeds share their tasks' branches, so the pool is clustered by branch as well.
        let differences: Vec<Vec<(&str, f64)>> = seeds
            .iter()
            .filter_map(|seed| seed.differences(a, b))
            .collect();
        if !differences.is_empty() {
            let by_seed: Vec<Estimate> = differences.iter().map(|d| paired_difference(d)).collect();
            let all = paired_difference(&differences.concat());
            pooled.insert(
                format!("{a}-{b}"),
                json!({ "pooled": all, "bySeed": by_seed }),
            );
        }
    }
    json!({
        "minutes": minutes,
        "user": user,
        "seeds": seeds.iter().map(Seed::json).collect::<Vec<_>>(),
        "differences": pooled,
        "filter": filter(seeds),
    })
}

/// pass^1 on the probe tasks with and without the filter: at shares of the time, and of the tokens that both trained.
fn filter(seeds: &[Seed]) -> Value {
    let mean = |values: Vec<f64>| {
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let measures: [(&str, Measure); 2] = [("byTime", seconds), ("byTokens", tokens)];
    let mut out = Map::new();
    for (name, measure) in measures {
        let total = |seed: &Seed, stage: &str| {
            seed.curves
                .get(stage)
                .filter(|c| !c.is_empty())
                .map_or(0.0, |curve| measure(curve, curve.len() - 1))
        };
        let rows: Vec<Value> = [0.25, 0.5, 0.75, 1.0]
            .into_iter()
            .map(|share| {
                let at = |stage: &str| {
                    mean(
                        seeds
                            .iter()
                            .filter_map(|seed| {
                                let bound =
                                    share * total(seed, "grpo").min(total(seed, "grpoUnfiltered"));
                                seed.probe(stage, measure, bound)
                            })
                            .collect(),
                    )
                };
                json!({ "share": share, "with": at("grpo"), "without": at("grpoUnfiltered") })
            })
            .collect();
        out.insert(name.into(), json!(rows));
    }
    Value::Object(out)
}

/// The result as a person reads it.
pub fn table(result: &Value) -> String {
    let mut text =
        String::from("seed  arm              pass^1  95 %            scripted  unseen\n");
    for seed in result["seeds"].as_array().into_iter().flatten() {
        for (arm, value) in seed
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| value.get("pass^1").is_some())
        {
            let number = |value: &Value| {
                value
                    .as_f64()
                    .map_or_else(|| "-".into(), |x| format!("{x:.3}"))
            };
            text.push_str(&format!(
                "{:<5} {arm:<16} {:<7} {} - {}   {:<9} {}\n",
                seed["seed"],
                number(&value["pass^1"]),
                number(&value["low"]),
                number(&value["high"]),
                number(&value["scripted"]["pass^1"]),
                number(&value["unseen"]["pass^1"]),
            ));
        }
    }
    for (pair, value) in result["differences"].as_object().into_iter().flatten() {
        text.push_str(&format!("{pair}: {}\n", value["pooled"]));
    }
    text
}
