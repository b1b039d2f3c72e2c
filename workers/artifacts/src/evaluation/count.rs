//! From episodes to the record: counts for every task, then the figures.

use std::collections::BTreeMap;

use agoge_checker::passk::{
    Estimate, Trials, clustered_rate, consistent, family, pass_any_k, pass_hat_k,
};
use agoge_world::{Rules, Task};

use super::{Benchmark, Episode, Evaluation, Player, TaskResult, basis};

/// Everything that an evaluation was played under.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setting {
    /// The tasks, except `basis` and `tasks_digest`, which [`count`] fills in.
    pub benchmark: Benchmark,
    /// The model that is evaluated.
    pub agent: Player,
    /// The user of the dialogues.
    pub user: Player,
    /// The model that judges statements.
    pub judge: Option<Player>,
    /// The rules of every episode.
    pub rules: Rules,
    /// The seed of the first trial.
    pub seed: u64,
    /// Trials of each task.
    pub trials: u32,
    /// pass^1 of agents without a model.
    pub baselines: BTreeMap<String, Estimate>,
}

/// Counts episodes, each with its task's number. Episodes that prove nothing are no trials.
#[must_use]
pub fn count(setting: Setting, tasks: &[Task], episodes: &[(usize, Episode)]) -> Evaluation {
    let mut results: Vec<TaskResult> = tasks.iter().map(unplayed).collect();
    let mut void: BTreeMap<String, usize> = BTreeMap::new();
    let mut parts: Vec<BTreeMap<String, Vec<f64>>> = vec![BTreeMap::new(); tasks.len()];
    for (at, episode) in episodes {
        let Some(result) = results.get_mut(*at) else {
            continue;
        };
        if let Some(why) = episode.void() {
            result.void += 1;
            *void.entry(why).or_default() += 1;
            continue;
        }
        result.trials += 1;
        result.passed += u32::from(episode.passed());
        let breakdown = episode
            .verdict
            .iter()
            .flat_map(|verdict| verdict.breakdown());
        for (kind, value) in breakdown {
            parts[*at].entry(kind.to_owned()).or_default().push(value);
        }
        let judged = episode
            .verdict
            .iter()
            .filter_map(|verdict| verdict.judged.as_ref());
        for met in judged
            .flat_map(|judged| &judged.statements)
            .filter_map(|one| one.met)
        {
            let (held, all) = result.statements.get_or_insert((0, 0));
            *held += u32::from(met);
            *all += 1;
        }
    }
    for (result, parts) in results.iter_mut().zip(parts) {
        let means = parts.into_iter();
        result.breakdown = means.map(|(kind, values)| (kind, mean(&values))).collect();
    }
    record(setting, tasks, results, void, episodes)
}

fn record(
    setting: Setting,
    tasks: &[Task],
    results: Vec<TaskResult>,
    void: BTreeMap<String, usize>,
    episodes: &[(usize, Episode)],
) -> Evaluation {
    let trials: Vec<Trials<'_>> = results
        .iter()
        .map(|result| Trials {
            cluster: &result.family,
            passed: result.passed,
            trials: result.trials,
        })
        .collect();
    let pass: Vec<Estimate> = (1..=setting.trials)
        .map(|k| pass_hat_k(&trials, k))
        .collect();
    let pass_any = (1..=setting.trials)
        .map(|k| pass_any_k(&trials, k))
        .collect();
    let notes = notes(&setting, &results, &pass);
    let mut benchmark = setting.benchmark;
    benchmark.tasks_digest = digest(tasks);
    for name in results.iter().flat_map(|result| &result.basis) {
        *benchmark.basis.entry(name.clone()).or_default() += 1;
    }
    let kinds = results
        .iter()
        .flat_map(|result| result.breakdown.keys().cloned());
    let breakdown = kinds
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .map(|kind| {
            let values = results
                .iter()
                .filter_map(|result| Some((result.family.as_str(), *result.breakdown.get(&kind)?)));
            let estimate = clustered_rate(&values.collect::<Vec<_>>());
            (kind, estimate)
        });
    let statements: Vec<(&str, f64)> = results
        .iter()
        .filter_map(|result| {
            let (held, all) = result.statements?;
            Some((
                result.family.as_str(),
                f64::from(held) / f64::from(all.max(1)),
            ))
        })
        .collect();
    Evaluation {
        agoge: env!("CARGO_PKG_VERSION").to_owned(),
        benchmark,
        agent: setting.agent,
        user: setting.user,
        judge: setting.judge,
        rules: setting.rules,
        seed: setting.seed,
        trials: setting.trials,
        breakdown: breakdown.collect(),
        statements: (!statements.is_empty()).then(|| clustered_rate(&statements)),
        pass,
        pass_any,
        baselines: setting.baselines,
        void,
        tokens: episodes.iter().map(|(_, episode)| episode.tokens).sum(),
        notes,
        tasks: results,
    }
}

fn unplayed(task: &Task) -> TaskResult {
    TaskResult {
        id: task.id.clone(),
        family: family(task).to_owned(),
        basis: basis(task),
        ..TaskResult::default()
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Returns the digest of tasks as they are played.
fn digest(tasks: &[Task]) -> String {
    let text = serde_json::to_string(tasks).unwrap_or_default();
    agoge_store::Digest::of(text.as_bytes()).to_string()
}

/// Returns what a reader must know: trials that are missing, and a curve that no counts can give.
fn notes(setting: &Setting, results: &[TaskResult], pass: &[Estimate]) -> Vec<String> {
    let mut notes = Vec::new();
    let short = results
        .iter()
        .filter(|one| one.trials < setting.trials)
        .count();
    if short > 0 {
        notes.push(format!(
            "{short} of {} tasks have fewer than {} trials that came to a verdict; pass^k of a higher k counts fewer tasks",
            results.len(),
            setting.trials
        ));
    }
    let curve: Vec<f64> = pass
        .iter()
        .take_while(|estimate| estimate.n > 0)
        .map(|estimate| estimate.value)
        .collect();
    if let Err(violation) = consistent(&curve) {
        notes.push(format!("pass^k is not one curve: {violation}"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use agoge_checker::{Part, Verdict};
    use agoge_world::End;

    use super::*;

    fn episode(task: &str, trial: u32, passed: bool) -> Episode {
        let part = match passed {
            true => Part::passed("finalState"),
            false => Part::failed("finalState", "tickets/7 differs"),
        };
        let verdict = Verdict::of(vec![part], None);
        Episode {
            task: task.into(),
            trial,
            branch: String::new(),
            reward: End::Closed.reward(verdict.pass),
            end: End::Closed,
            verdict: Some(verdict),
            messages: vec![],
            tokens: 10,
            unread: None,
        }
    }

    fn task(id: &str) -> Task {
        Task {
            id: id.into(),
            ..Task::default()
        }
    }

    #[test]
    fn a_task_is_of_the_family_by_which_stages_cluster_it() {
        let of_branch = Task {
            intent: "renewal".into(),
            branch: "renewal/unpaid".into(),
            ..task("a")
        };
        let record = count(Setting::default(), &[of_branch, task("b")], &[]);
        let families: Vec<&str> = record.tasks.iter().map(|t| t.family.as_str()).collect();
        assert_eq!(families, ["renewal/unpaid", "b"]);
    }

    #[test]
    fn counts_are_raw_and_what_proves_nothing_is_apart() {
        let tasks = [task("a"), task("b")];
        let mut outage = episode("b", 1, true);
        outage.end = End::Infra("connection refused".into());
        outage.reward = None;
        let mut judged = episode("a", 1, false);
        let opinions = serde_json::json!({"statements": [
            {"statement": "The agent is polite.", "met": true},
            {"statement": "The agent is short.", "met": null, "why": "no answer"},
        ]});
        let opinions = serde_json::from_value(opinions).unwrap();
        judged.verdict = judged.verdict.map(|verdict| verdict.with_judged(opinions));
        let episodes = [
            (0, episode("a", 0, true)),
            (0, judged),
            (1, episode("b", 0, true)),
            (1, outage),
        ];
        let setting = Setting {
            trials: 2,
            ..Setting::default()
        };
        let record = count(setting, &tasks, &episodes);
        let counts: Vec<_> = record
            .tasks
            .iter()
            .map(|t| (t.passed, t.trials, t.void))
            .collect();
        assert_eq!(counts, [(1, 2, 0), (1, 1, 1)]);
        assert_eq!((record.pass[0].value, record.pass[0].n), (0.75, 2));
        assert_eq!((record.pass[1].value, record.pass[1].n), (0.0, 1));
        assert_eq!((record.pass_any[1].value, record.pass_any[1].n), (1.0, 1));
        assert_eq!(record.void.get("connection refused"), Some(&1));
        assert_eq!(record.tasks[0].statements, Some((1, 1)));
        assert_eq!(record.benchmark.basis.get("state"), Some(&2));
        assert_eq!(record.breakdown["state"].value, 0.75);
        assert!(
            record.notes[0].starts_with("1 of 2 tasks"),
            "{:?}",
            record.notes
        );
    }
}
