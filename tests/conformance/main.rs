//! `make conformance`: golden rows of tau2-bench replayed in our world: results of calls, hashes, differences, assertions and
//! rewards. `conformance bench` is our side of `make bench-tau2`.
//!
//! A folder has one subfolder a domain, itself or under `tau2/`, with the files of tau2-bench and `golden.jsonl`; `derive.py`
//! writes such a folder from an installed package.

mod bench;
mod differences;
mod replay;
mod rows;
mod tally;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use replay::Replayer;
use rows::{Edit, Row};
use tally::Tally;

const USAGE: &str = "usage: conformance RESULT FOLDER..\n       conformance bench RESULT FOLDER RUNS\nRESULT is the file to write";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bench", result, folder, runs] => bench::run(Path::new(result), Path::new(folder), runs),
        ["bench", ..] | [] | [_] => Err(anyhow::anyhow!(USAGE)),
        [result, ref folders @ ..] => all(Path::new(result), folders),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn all(result: &Path, folders: &[&str]) -> Result<()> {
    let mut found = Map::new();
    let mut agree = true;
    for folder in folders {
        for domain in domains(Path::new(folder))? {
            let name = domain.file_name().and_then(|name| name.to_str());
            let name = name.context("a domain's folder has its name")?;
            let started = Instant::now();
            let tally = replayed(&domain, name)?;
            agree &= tally.agrees();
            let seconds = started.elapsed().as_secs_f64();
            println!("{} ({seconds:.1} s)", domain.display());
            tally.print();
            let mut row = tally.to_json();
            row["seconds"] = json!(seconds);
            found.insert(format!("{folder}/{name}"), row);
        }
    }
    if found.is_empty() {
        bail!("no folder has golden rows; derive.py writes them");
    }
    write(result, &json!({"agree": agree, "domains": found}))?;
    println!("{}", result.display());
    match agree {
        true => Ok(()),
        false => bail!("something does not agree, see above"),
    }
}

/// The folders of domains with golden rows, by name.
fn domains(folder: &Path) -> Result<Vec<PathBuf>> {
    let below = folder.join("tau2");
    let folder = if below.is_dir() {
        below
    } else {
        folder.to_owned()
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.join("golden.jsonl").is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn replayed(folder: &Path, name: &str) -> Result<Tally> {
    let scratch = tempfile::tempdir()?;
    let mut replayer = Replayer::open(folder, name, &scratch.path().join(name))?;
    let mut tally = Tally::of(name);
    for row in rows::read::<Row>(&folder.join("golden.jsonl"))? {
        replayer.row(&row, &mut tally)?;
    }
    let edits = folder.join("edits.jsonl");
    if edits.is_file() {
        for edit in rows::read::<Edit>(&edits)? {
            replayer.edit(&edit, &mut tally)?;
        }
    }
    Ok(tally)
}

/// Writes a result, and the folder for it.
fn write(file: &Path, value: &Value) -> Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, format!("{value:#}\n")).with_context(|| file.display().to_string())
}
