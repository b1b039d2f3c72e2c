//! `agoge eval compare` and `agoge eval check-table`: what may be said about figures that are there already.

use std::path::{Path, PathBuf};

use agoge_artifacts::evaluation::compare as compared;
use agoge_artifacts::{Evaluation, Stored as _};
use agoge_checker::passk::{consistent_within, implied_pass_any};
use clap::Args;
use serde_json::Value;

use super::figures::interval;
use crate::failure::Failure;
use crate::table;

/// Compares two evaluations.
#[derive(Debug, Args)]
pub struct Compare {
    /// The first evaluation, a file of --json.
    #[arg(value_name = "A.json")]
    pub a: PathBuf,
    /// The second one.
    #[arg(value_name = "B.json")]
    pub b: PathBuf,
    /// A field that may differ all the same, such as user.model. May be given several times.
    #[arg(long, value_name = "FIELD")]
    pub allow: Vec<String>,
}

/// Checks figures of pass^k.
#[derive(Debug, Args)]
pub struct CheckTable {
    /// pass^1, pass^2 and so on, as they are printed: percentages, or shares where none is above 1.
    #[arg(required = true, num_args = 1..=64, value_name = "FIGURE")]
    pub figures: Vec<String>,
    /// The pass@k that is printed beside them, of the highest k.
    #[arg(long, value_name = "FIGURE")]
    pub pass_any: Option<String>,
}

/// Prints the paired difference of two evaluations.
///
/// # Errors
/// A file that is no evaluation, or two that are unlike.
pub fn compare(command: &Compare) -> Result<(), Failure> {
    let (a, b) = (read(&command.a)?, read(&command.b)?);
    let found = compared(&a, &b, &command.allow).map_err(|unlike| {
        Failure::Input(format!(
            "{unlike}; compare evaluations of the same tasks, or say that it may differ with --allow {}",
            unlike.field
        ))
    })?;
    let head = ["", "pass^k", "difference", "95 %", "tasks"].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    for (estimate, k) in found.difference.iter().zip(1..) {
        rows.push(vec![
            format!("{} - {}", found.b, found.a),
            format!("pass^{k}"),
            format!("{:+.3}", estimate.value),
            interval(estimate),
            estimate.n.to_string(),
        ]);
    }
    print!("{}", table::columns(&rows));
    for field in &found.allowed {
        println!("the evaluations differ in {field}");
    }
    Ok(())
}

/// Reads the record of a file of `--json`, or a record by itself.
fn read(file: &Path) -> Result<Evaluation, Failure> {
    let bytes = std::fs::read(file).map_err(Failure::file("read", file))?;
    let name = file.display().to_string();
    let whole: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::Input(format!("{name} is not JSON: {error}")))?;
    let record = match (whole.get("evaluation"), whole.get("format")) {
        (Some(record), _) => record,
        (None, Some(_)) => &whole,
        (None, None) => {
            return Err(Failure::Input(format!(
                "{name} has no record of an evaluation; write it again with agoge eval --json"
            )));
        }
    };
    Evaluation::from_bytes(record.to_string().as_bytes(), &name).map_err(Failure::input)
}

/// Says whether figures can come from counts, and what pass@k they imply.
///
/// # Errors
/// Figures that no counts can give. Exit code 1.
pub fn check_table(command: &CheckTable) -> Result<(), Failure> {
    let written: Vec<&str> = command
        .figures
        .iter()
        .flat_map(|text| text.split_whitespace())
        .collect();
    let percent = written
        .iter()
        .any(|text| text.parse::<f64>().is_ok_and(|value| value > 1.0));
    let (curve, rounding) = figures(&written, percent)?;
    consistent_within(&curve, rounding)
        .map_err(|violation| Failure::Failed(violation.to_string()))?;
    let k = curve.len();
    let implied = implied_pass_any(&curve).unwrap_or_default();
    println!(
        "pass^1 to pass^{k} can come from counts; they imply pass@{k} = {:.1} %",
        100.0 * implied
    );
    let Some(printed) = &command.pass_any else {
        return Ok(());
    };
    let (value, own) = figure(printed, percent)?;
    // Every figure may be off by its rounding, and pass@k weighs them by binomials, which sum to 2^k - 1.
    let allowed = own + rounding * (2_f64.powi(i32::try_from(k).unwrap_or(i32::MAX)) - 1.0);
    if (value - implied).abs() > allowed {
        return Err(Failure::Failed(format!(
            "pass@{k} is printed as {printed}, and pass^1 to pass^{k} of the same {k} trials imply {:.1} %",
            100.0 * implied
        )));
    }
    Ok(())
}

/// Reads figures as shares, with the largest rounding among them.
fn figures(written: &[&str], percent: bool) -> Result<(Vec<f64>, f64), Failure> {
    let mut curve = Vec::with_capacity(written.len());
    let mut rounding = 0.0_f64;
    for text in written {
        let (value, own) = figure(text, percent)?;
        curve.push(value);
        rounding = rounding.max(own);
    }
    Ok((curve, rounding))
}

/// Reads a figure as a share, with half a unit of its last decimal.
fn figure(text: &str, percent: bool) -> Result<(f64, f64), Failure> {
    let most = if percent { 100.0 } else { 1.0 };
    let value = text.parse::<f64>().ok();
    let value = value
        .filter(|value| (0.0..=most).contains(value))
        .ok_or_else(|| {
            Failure::Input(format!(
                "{text} is not a figure from 0 to {most}; write it as in 67.5"
            ))
        })?;
    let decimals = text.split_once('.').map_or(0, |(_, rest)| rest.len());
    let unit = 10_f64.powi(-i32::try_from(decimals).unwrap_or(i32::MAX));
    Ok((value / most, 0.5 * unit / most))
}

#[cfg(test)]
mod tests {
    use agoge_store::write_atomic;
    use serde_json::json;

    use super::*;

    fn checked(figures: &[&str], pass_any: Option<&str>) -> Result<(), Failure> {
        check_table(&CheckTable {
            figures: figures.iter().map(|text| (*text).to_owned()).collect(),
            pass_any: pass_any.map(str::to_owned),
        })
    }

    #[test]
    fn printed_figures_are_held_to_their_rounding() {
        let refused = checked(&["67.5 63.5 57.9"], None).unwrap_err();
        assert!(
            refused.to_string().contains("order 2 at pass^1"),
            "{refused}"
        );
        assert!(checked(&["71.0", "68.0", "66.5", "66.0"], Some("76.0")).is_ok());
        assert!(checked(&["71.0", "68.0", "66.5", "66.0"], Some("80.0")).is_err());
        assert!(checked(&["0.71", "0.68"], None).is_ok());
        assert!(matches!(checked(&["many"], None), Err(Failure::Input(_))));
    }

    #[test]
    fn a_file_of_an_older_version_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.json");
        write_atomic(&file, json!({"figures": {}, "dialogues": []}).to_string()).unwrap();
        let refused = read(&file).unwrap_err();
        assert!(
            refused.to_string().contains("agoge eval --json"),
            "{refused}"
        );
        let bytes = Evaluation::default().to_bytes().unwrap();
        let record: Value = serde_json::from_slice(&bytes).unwrap();
        write_atomic(
            &file,
            json!({"figures": {}, "evaluation": record}).to_string(),
        )
        .unwrap();
        assert_eq!(read(&file).unwrap(), Evaluation::default());
    }
}
