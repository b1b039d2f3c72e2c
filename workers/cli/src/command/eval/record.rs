//! The record of an evaluation at the command line, and the files it is written to.

use std::path::Path;

use agoge_artifacts::evaluation::{Benchmark, Episode};
use agoge_artifacts::{Evaluation, Stored as _};
use agoge_forms::{inspect, submission};
use agoge_store::write_atomic;
use agoge_synthesis::evaluation::baseline::Baseline;
use agoge_synthesis::evaluation::{Exam, Played, Urls};
use serde_json::{Value, json};

use super::ends::{End, Ends};
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
    let (name, version) = benchmark(eval, &chosen.domain.name);
    let url = |end: &Option<End>| end.as_ref().map(|end| end.url.clone()).unwrap_or_default();
    let urls = Urls {
        agent: ends.agent.url.clone(),
        user: url(&ends.user),
        judge: url(&ends.judge),
    };
    let benchmark = Benchmark {
        name,
        version,
        split: eval.split.name().to_owned(),
        suite_digest: chosen.suite.clone(),
        ..Benchmark::default()
    };
    let extra_body = eval.extra_body.clone().unwrap_or_default();
    exam.record(benchmark, &urls, &extra_body, played, baselines)
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
