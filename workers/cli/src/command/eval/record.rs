//! The record of an evaluation at the command line, and the files it is written to.

use std::collections::BTreeMap;
use std::path::Path;

use agoge_artifacts::evaluation::{Benchmark, Episode, Player, Setting, count};
use agoge_artifacts::{Evaluation, Stored as _};
use agoge_checker::passk::Estimate;
use agoge_forms::{inspect, submission};
use agoge_store::write_atomic;
use agoge_synthesis::evaluation::baseline::Baseline;
use agoge_synthesis::evaluation::{Exam, Played, agent_player, user_player};
use serde_json::{Value, json};

use super::ends::Ends;
use super::tasks::Chosen;
use super::{Eval, figures};
use crate::driver::session::now;
use crate::failure::Failure;

/// Returns the record of what was played.
pub fn of(
    eval: &Eval,
    chosen: &Chosen,
    ends: &Ends,
    exam: &Exam<'_>,
    played: &Played,
    baselines: &[Baseline],
) -> Evaluation {
    let domain = &chosen.domain;
    let settings = &exam.settings;
    let (name, version) = benchmark(eval, &domain.name);
    let mut agent = agent_player(exam.agent, &ends.agent.url, domain, settings);
    agent.extra_body = eval
        .extra_body
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect();
    let user_url = ends.user.as_ref().map_or("", |user| user.url.as_str());
    let judge = ends
        .judge
        .as_ref()
        .map(|judge| Player::model(judge.client.model(), &judge.url));
    let rows = baselines.iter().map(|row| (row.name.to_owned(), row.pass));
    let setting = Setting {
        benchmark: Benchmark {
            name,
            version,
            split: eval.split.name().to_owned(),
            domain: domain.name.clone(),
            domain_digest: domain.digest.clone(),
            suite_digest: chosen.suite.clone(),
            ..Benchmark::default()
        },
        agent,
        user: user_player(exam.user, user_url, domain, settings),
        judge,
        rules: settings.rules.clone(),
        seed: settings.seed,
        trials: exam.trials,
        baselines: rows.collect::<BTreeMap<String, Estimate>>(),
    };
    count(setting, exam.tasks, &played.episodes)
}

/// Returns the name of the benchmark, and its version.
fn benchmark(eval: &Eval, domain: &str) -> (String, Option<String>) {
    let Some(given) = &eval.benchmark else {
        return (domain.to_owned(), None);
    };
    match given.rsplit_once('@') {
        Some((name, version)) if !name.is_empty() => (name.to_owned(), Some(version.to_owned())),
        _ => (given.clone(), None),
    }
}

/// Writes the files that the command line asks for.
///
/// # Errors
/// A file that cannot be written, or a submission that cannot be read.
pub fn write(
    eval: &Eval,
    chosen: &Chosen,
    record: &Evaluation,
    baselines: &[Baseline],
    played: &Played,
) -> Result<(), Failure> {
    let episodes: Vec<&Episode> = played.episodes.iter().map(|(_, episode)| episode).collect();
    if let Some(file) = &eval.json {
        let name = eval.model.as_deref().unwrap_or_else(|| eval.agent_url());
        let bytes = record.to_bytes().map_err(Failure::input)?;
        let marked: Value = serde_json::from_slice(&bytes).map_err(Failure::input)?;
        let whole = json!({
            "figures": figures::to_json(name, record, baselines), "evaluation": marked, "dialogues": episodes,
        });
        write_atomic(file, format!("{whole:#}\n"))?;
        println!("\nfigures and dialogues: {}", file.display());
    }
    let written = now().to_string();
    if let Some(file) = &eval.inspect {
        let log = inspect::log(record, &chosen.tasks, &episodes, &written);
        write_atomic(file, format!("{log:#}\n"))?;
        println!("log of Inspect: {}", file.display());
    }
    if let Some(folder) = &eval.tau2 {
        tau2(folder, chosen, record, &episodes, &written)?;
        println!("submission: {}", folder.display());
    }
    Ok(())
}

/// Writes the trajectories of one domain, and its figures into the submission that lies in the folder already.
fn tau2(
    folder: &Path,
    chosen: &Chosen,
    record: &Evaluation,
    episodes: &[&Episode],
    written: &str,
) -> Result<(), Failure> {
    let trajectories = folder.join(submission::TRAJECTORIES);
    std::fs::create_dir_all(&trajectories).map_err(Failure::file("make", &trajectories))?;
    let results = submission::results(record, &chosen.domain, &chosen.tasks, episodes, written);
    let file = trajectories.join(format!("{}.json", record.benchmark.domain));
    write_atomic(file, format!("{results:#}\n"))?;
    let file = folder.join(submission::SUBMISSION);
    let before = match std::fs::read(&file) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| {
            let file = file.display();
            Failure::Input(format!(
                "{file} is not JSON: {error}; delete it or name another folder"
            ))
        })?),
        Err(_) => None,
    };
    let date = written.get(..10).unwrap_or(written);
    let whole = submission::submission(before, record, date);
    write_atomic(file, format!("{whole:#}\n"))?;
    Ok(())
}
