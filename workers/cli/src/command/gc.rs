//! `agoge gc`: removes from a run's store what nothing reaches any more.

use std::path::PathBuf;
use std::time::Duration;

use agoge_crds::Manifest;
use agoge_store::{Digest, GcOptions, Store};
use clap::Args;
use serde_json::Value;

use crate::driver::objects;
use crate::failure::Failure;

/// Removes from a run's store what no artifact and no status reaches any more. Refused while a run is under way.
#[derive(Debug, Args)]
pub struct Gc {
    /// The run's folder.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Only say what would go.
    #[arg(long)]
    pub dry_run: bool,
    /// Keep what is younger than this many minutes.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    pub min_age: u64,
}

/// Runs it.
///
/// # Errors
/// No such run, or one that is under way.
pub fn gc(gc: &Gc) -> Result<(), Failure> {
    let folder = gc.out.join("store");
    if !folder.is_dir() {
        return Err(Failure::Input(format!(
            "{} has no store; give the folder of a run",
            gc.out.display()
        )));
    }
    let store = Store::open(&folder)?;
    let mut keep = vec![];
    for object in objects::stored(&gc.out)? {
        let value = match &object.manifest {
            Manifest::SynthesisJob(o) => serde_json::to_value(&o.status),
            Manifest::CheckerSuite(o) => serde_json::to_value(&o.status),
            Manifest::GRPORun(o) => serde_json::to_value(&o.status),
        };
        digests(&value.unwrap_or_default(), &mut keep);
    }
    let options = GcOptions {
        keep,
        min_age: Duration::from_secs(gc.min_age * 60),
        dry_run: gc.dry_run,
    };
    let report = store.gc(&options)?;
    let would = if gc.dry_run {
        "would remove"
    } else {
        "removed"
    };
    let megabytes = report.bytes_freed as f64 / 1e6;
    println!(
        "{would} {} objects ({megabytes:.1} MB), kept {}",
        report.removed, report.kept
    );
    Ok(())
}

/// Every digest in a status: a run may still want what its status names.
fn digests(value: &Value, found: &mut Vec<Digest>) {
    match value {
        Value::String(text) => found.extend(Digest::parse(text)),
        Value::Array(items) => items.iter().for_each(|item| digests(item, found)),
        Value::Object(map) => map.values().for_each(|item| digests(item, found)),
        _ => {}
    }
}
