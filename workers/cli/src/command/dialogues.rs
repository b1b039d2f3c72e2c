//! `agoge import`: dialogues that a team has, as a dataset of ours and as seeds for synthesis.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use agoge_artifacts::provenance::Shard;
use agoge_artifacts::{DatasetOrigin, dataset};
use agoge_forms::import::{self, Importer, Report, Taken};
use agoge_sandbox::Limits;
use agoge_store::{Digest, Store, write_atomic};
use agoge_world::World;
use clap::Args;
use serde_json::json;

use super::domain::inside;
use super::export::check_empty;
use crate::failure::Failure;

/// Reasons that are printed, of each kind; the report has all.
const SHOWN: usize = 3;

/// Takes dialogues of other stacks as demonstrations for a domain, and as seeds for synthesis.
///
/// Rows may have `messages` and `tools` as OpenAI's API has them, or be those of TRL, ShareGPT, one row a turn, NeMo Gym, ATIF,
/// or tasks of tau2-bench; each row's own form is found. A dialogue is taken if its sides take turns, its tools exist, the
/// arguments fit, every call has its result, and the domain's tools give the same results again. What is refused stands in
/// report.json with its reason. docs/import.md describes the files.
#[derive(Debug, Args)]
pub struct Import {
    /// A file that ends in .jsonl, .json or .parquet, or a folder of such files.
    pub file: PathBuf,
    /// The domain's folder, or a folder that has it as domain/.
    #[arg(long, value_name = "DIR")]
    pub domain: PathBuf,
    /// The folder to write. It must not exist yet, or be empty.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Reads every row in this form. [default: the form that the row has]
    #[arg(long, value_parser = FORMS)]
    pub form: Option<String>,
    /// Does not make the calls again. Use it where the dialogues began with other data than the domain has.
    #[arg(long)]
    pub no_replay: bool,
    /// Puts the dataset into this store too, where a CheckerSuite finds it by `spec.source.path: NAME`.
    #[arg(long, value_name = "URL", requires = "name")]
    pub store: Option<PathBuf>,
    /// The dataset's name in the store.
    #[arg(long)]
    pub name: Option<String>,
}

/// The forms that are read.
const FORMS: [&str; 7] = [
    "messages", "trl", "sharegpt", "turns", "nemo-gym", "tau2", "atif",
];

/// Runs it.
///
/// # Errors
/// Files that cannot be read or written, or nothing to take; the sandbox fails.
pub fn import(import: &Import) -> Result<(), Failure> {
    check_empty(&import.out)?;
    let domain = agoge_servers::load(&inside(&import.domain)).map_err(Failure::input)?;
    let domain = Arc::new(domain);
    let rows = import::load(&import.file).map_err(Failure::input)?;
    let mut world = match import.no_replay {
        true => None,
        false => Some(World::open(domain.clone(), Limits::default())?),
    };
    let reader = import.form.as_deref().and_then(import::reader);
    let taken = Importer::new(&domain, world.as_mut()).take(&rows, reader);
    let taken = taken.map_err(|lost| {
        Failure::Infra(format!(
            "{lost}; nothing is written, and the same command tries again"
        ))
    })?;
    write(import, &taken)?;
    print!("{}", table(&taken.report));
    if !taken.seeds.is_empty() {
        println!(
            "strategies that ask models begin from seeds.jsonl when it lies in the domain's folder"
        );
    }
    if taken.attempts.is_empty() && taken.seeds.is_empty() {
        return Err(Failure::Input(format!(
            "no row was taken; {} says why",
            import.out.join("report.json").display()
        )));
    }
    if let (Some(store), Some(name)) = (&import.store, &import.name) {
        if taken.attempts.is_empty() {
            println!("there is no dialogue to put into the store, only seeds");
            return Ok(());
        }
        let digest = publish(store, name, &domain.digest, &rows, &taken)?;
        println!(
            "put the dataset {digest} into the store; name it in a CheckerSuite by spec.source.path: {name}"
        );
    }
    Ok(())
}

fn write(import: &Import, taken: &Taken) -> Result<(), Failure> {
    let report = serde_json::to_string_pretty(&taken.report).map_err(Failure::input)?;
    write_atomic(import.out.join("report.json"), report)?;
    if !taken.attempts.is_empty() {
        let bytes = dataset::to_bytes(&taken.attempts).map_err(Failure::input)?;
        write_atomic(import.out.join("dataset.jsonl"), bytes)?;
    }
    if !taken.seeds.is_empty() {
        let mut lines = String::new();
        for seed in &taken.seeds {
            let line = serde_json::to_string(seed).map_err(Failure::input)?;
            let _ = writeln!(lines, "{line}");
        }
        write_atomic(import.out.join("seeds.jsonl"), lines)?;
    }
    Ok(())
}

/// Puts the dataset into a store. The same rows in the same domain have the same identity.
fn publish(
    store: &std::path::Path,
    name: &str,
    domain: &str,
    rows: &[import::Loaded],
    taken: &Taken,
) -> Result<Digest, Failure> {
    let store = Store::open(store)?;
    let read: Vec<_> = rows.iter().map(|loaded| loaded.row.as_ref().ok()).collect();
    let rows = Digest::of_json(&read).map_err(Failure::input)?;
    let settings = json!({"rows": rows, "replayed": taken.report.replayed}).to_string();
    let origin = DatasetOrigin::new(domain, "import", settings, Shard::default());
    dataset::publish(&store, name, &origin, &taken.attempts).map_err(Failure::input)
}

/// Returns the report as a table for a person.
fn table(report: &Report) -> String {
    let mut text = format!(
        "{} rows read, {} dialogues and {} seeds taken",
        report.rows, report.taken, report.seeds
    );
    if report.parts > 0 {
        let _ = write!(text, ", {} rows are part of another", report.parts);
    }
    text.push('\n');
    for (form, rows) in &report.forms {
        let _ = writeln!(text, "  form {form}: {rows}");
    }
    for (why, count) in &report.refused_by {
        let _ = writeln!(text, "  refused for {why}: {count}");
        let own = report.refused.iter().filter(|one| one.why.name() == *why);
        for one in own.take(SHOWN) {
            let _ = writeln!(text, "    {}: {}", one.place, one.reason);
        }
    }
    if report.other_system > 0 {
        let _ = writeln!(
            text,
            "  {} dialogues have another system message than the domain's policy; they are trained on under the policy",
            report.other_system
        );
    }
    if report.greetings > 0 {
        let _ = writeln!(
            text,
            "  {} greetings of the agent were left out",
            report.greetings
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use agoge_forms::import::READERS;

    use super::*;

    #[test]
    fn every_form_that_is_read_can_be_named() {
        let mut names: Vec<&str> = READERS.iter().map(|reader| reader.name()).collect();
        let mut forms = FORMS.to_vec();
        names.sort_unstable();
        forms.sort_unstable();
        assert_eq!(names, forms);
    }

    #[test]
    fn a_dialogue_of_courier_is_taken_and_one_with_another_result_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ours.jsonl");
        let domain = PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../examples/courier"
        ));
        let row = |result: &str| {
            let call = json!({"id": "a", "type": "function", "function": {"name": "find", "arguments": "{\"parcel\": \"1\"}"}});
            json!({"messages": [
                {"role": "user", "content": "Where is parcel 1?"},
                {"role": "assistant", "content": null, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "a", "content": result},
                {"role": "assistant", "content": "There is none."},
            ]})
        };
        // The tool says what is wrong with such an id; its words are read from the refusal.
        std::fs::write(&file, row("here it is").to_string()).unwrap();
        let import_to = |out: &str, no_replay| Import {
            file: file.clone(),
            domain: domain.clone(),
            out: dir.path().join(out),
            form: None,
            no_replay,
            store: Some(dir.path().join("store")),
            name: Some("ours".into()),
        };
        assert!(import(&import_to("refused", false)).is_err());
        let report = std::fs::read_to_string(dir.path().join("refused/report.json")).unwrap();
        assert!(report.contains("\"replay\": 1"), "{report}");
        import(&import_to("taken", true)).unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        let newest = dataset::newest(&store, "ours").unwrap().unwrap();
        assert_eq!(dataset::get(&store, &newest).unwrap().len(), 1);
        assert!(dir.path().join("taken/seeds.jsonl").exists());
    }
}
