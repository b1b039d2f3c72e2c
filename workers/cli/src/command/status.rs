//! `agoge status`: the objects of a run as `kubectl get` would show them, with what each does or came to.

use std::path::PathBuf;

use agoge_crds::{Manifest, Phase};
use clap::Args;

use crate::driver::{objects, session};
use crate::failure::Failure;
use crate::table;

/// Shows the objects of a run, what each does or came to, and the pass^k table.
#[derive(Debug, Args)]
pub struct Status {
    /// The run's folder.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Show the objects in full, as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
///
/// # Errors
/// No such run.
pub fn status(status: &Status) -> Result<(), Failure> {
    let objects = objects::stored(&status.out)?;
    if objects.is_empty() {
        return Err(Failure::Input(format!(
            "{} holds no run; give the folder of one",
            status.out.display()
        )));
    }
    if status.json {
        for object in &objects {
            let text = std::fs::read_to_string(&object.file)
                .map_err(Failure::file("read", &object.file))?;
            print!("{text}");
        }
        return Ok(());
    }
    let driven = session::driven(&status.out);
    let mut rows = vec![["OBJECT", "PHASE", "PROGRESS", "REASON"].map(str::to_owned)];
    for object in &objects {
        let (reason, message) = object.why();
        let phase = match object.phase() {
            phase if phase.is_terminal() || driven => format!("{phase:?}"),
            Phase::Waiting => "Waiting".to_owned(),
            _ => "Stopped".to_owned(),
        };
        let why = if message.is_empty() {
            reason
        } else {
            format!("{reason}: {message}")
        };
        rows.push([object.id(), phase, progress(&object.manifest), why]);
    }
    print!("{}", table::columns(&rows));
    let manifests: Vec<&Manifest> = objects.iter().map(|object| &object.manifest).collect();
    for table in table::of(&manifests) {
        println!("\n{table}");
    }
    if !driven && objects.iter().any(|object| !object.phase().is_terminal()) {
        println!(
            "\nnobody drives this run now; `agoge up` with the same manifests and --out goes on"
        );
    }
    Ok(())
}

fn progress(manifest: &Manifest) -> String {
    match manifest {
        Manifest::SynthesisJob(job) => job
            .status
            .as_ref()
            .map(|s| format!("{}/{} accepted", s.accepted, s.target))
            .unwrap_or_default(),
        Manifest::CheckerSuite(suite) => suite
            .status
            .as_ref()
            .map(|s| format!("{}/{} qualified", s.qualified, s.checkers))
            .unwrap_or_default(),
        Manifest::GRPORun(run) => run
            .status
            .as_ref()
            .map(|s| match (&s.stage, &s.pass1) {
                (Some(stage), _) if s.total > 0 => format!("{stage} {}/{}", s.step, s.total),
                (Some(stage), _) => format!("{stage} {}", s.step),
                (None, Some(pass)) => format!("pass^1 {pass}"),
                (None, None) => String::new(),
            })
            .unwrap_or_default(),
    }
}
