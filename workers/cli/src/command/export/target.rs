//! The form and the folder of an export. A file that would be empty is not written, and the reason is printed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use agoge_artifacts::Instance;
use agoge_dialogue::export::{Card, openai_row, rl_row, sft_row};
use agoge_store::write_atomic;
use agoge_world::Split;
use serde_json::Value;

use super::{Found, policy};
use crate::failure::Failure;

/// Examples below which OpenAI's fine-tuning takes no file.
const OPENAI_LEAST: usize = 10;

/// A form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Rows that `datasets` loads and a model's chat template renders: for transformers and TRL.
    Dataset,
    /// A training file for OpenAI's fine-tuning.
    OpenAi,
}

impl Form {
    /// Returns the form of this name.
    fn named(name: &Path) -> Option<Self> {
        match name.to_str() {
            Some("dataset") => Some(Self::Dataset),
            Some("openai") => Some(Self::OpenAi),
            _ => None,
        }
    }
}

/// The form and the folder that a command asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The form.
    pub form: Form,
    /// The folder.
    pub folder: PathBuf,
}

impl Target {
    /// Reads `--to` and `--dir`: a form's name, whose folder is `dir` or has the form's name itself; or the folder of a
    /// dataset.
    ///
    /// # Errors
    /// A `dir` beside a folder, or a policy, which only a run's folder has.
    pub fn of(to: &Path, dir: Option<&Path>) -> Result<Self, Failure> {
        if policy::is_meant(to) {
            let message = "a suite has no policy; `agoge export --out DIR --to policy` writes that of a run here";
            return Err(Failure::Input(message.into()));
        }
        match (Form::named(to), dir) {
            (Some(form), dir) => Ok(Self {
                form,
                folder: dir.unwrap_or(to).to_owned(),
            }),
            (None, None) => Ok(Self {
                form: Form::Dataset,
                folder: to.to_owned(),
            }),
            (None, Some(_)) => Err(Failure::Input(format!(
                "--to {} is a folder, and --dir names another; with --dir name a form, such as --to dataset",
                to.display()
            ))),
        }
    }

    /// Refuses a folder that has something in it.
    ///
    /// # Errors
    /// So it has.
    pub fn check_empty(&self) -> Result<(), Failure> {
        check_empty(&self.folder)
    }

    /// Writes a suite in this form.
    ///
    /// # Errors
    /// No instance to export, or a folder that cannot be written.
    pub fn write(&self, found: &Found) -> Result<(), Failure> {
        match self.form {
            Form::Dataset => dataset(found, &self.folder)?,
            Form::OpenAi => openai(found, &self.folder)?,
        }
        let heldout = found.instances.iter().filter(|one| is_heldout(one)).count();
        if heldout > 0 {
            println!("{heldout} held-out instances stay out: they are for evaluation");
        }
        Ok(())
    }
}

/// Refuses a folder that has something in it.
///
/// # Errors
/// So it has.
pub fn check_empty(folder: &Path) -> Result<(), Failure> {
    let taken = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        return Err(Failure::Input(format!(
            "{} is not empty; choose another folder",
            folder.display()
        )));
    }
    Ok(())
}

/// Writes a dataset folder: rows for supervised training, tasks for reinforcement learning, and a card.
fn dataset(found: &Found, to: &Path) -> Result<(), Failure> {
    let domain = &found.domain;
    let sft: Vec<Value> = split(found, Split::TrainSft)
        .filter_map(|one| sft_row(&one.task.id, &domain.policy, &domain.tools, &one.messages))
        .collect();
    let task = |one: &Instance| {
        let task = serde_json::to_value(&one.task).map_err(Failure::input)?;
        let (id, opening) = (&one.task.id, &one.task.user.opening);
        Ok(rl_row(id, &domain.policy, opening, &domain.tools, &task))
    };
    let rl: Vec<Value> = split(found, Split::TrainRl)
        .map(task)
        .collect::<Result<_, Failure>>()?;
    if sft.is_empty() && rl.is_empty() {
        return Err(Failure::Input(format!(
            "the suite {} has no instance in a training split; raise the target of its SynthesisJob",
            found.name
        )));
    }
    for (rows, file, lack) in [
        (&sft, "data/sft.jsonl", NO_DIALOGUE),
        (&rl, "data/rl.jsonl", "no instance is in the split trainRl"),
    ] {
        match rows.is_empty() {
            true => println!("{file} is not written: {lack}"),
            false => write_atomic(to.join(file), lines(rows))?,
        }
    }
    let card = Card {
        domain: domain.title.clone(),
        sft: sft.len(),
        rl: rl.len(),
        origin: origin(found),
    };
    write_atomic(to.join("README.md"), card.text())?;
    println!(
        "wrote {} dialogues and {} tasks to {}",
        card.sft,
        card.rl,
        to.display()
    );
    Ok(())
}

/// The reason why there is no dialogue to write.
const NO_DIALOGUE: &str = "no instance of the split trainSft has a dialogue";

/// Writes a training file for OpenAI's fine-tuning.
fn openai(found: &Found, to: &Path) -> Result<(), Failure> {
    let domain = &found.domain;
    let rows: Vec<Value> = split(found, Split::TrainSft)
        .filter_map(|one| openai_row(&domain.policy, &domain.tools, &one.messages))
        .collect();
    if rows.is_empty() {
        return Err(Failure::Input(format!(
            "the suite {}: {NO_DIALOGUE}; raise the target of its SynthesisJob",
            found.name
        )));
    }
    let file = to.join("train.jsonl");
    write_atomic(&file, lines(&rows))?;
    println!("wrote {} dialogues to {}", rows.len(), file.display());
    if rows.len() < OPENAI_LEAST {
        println!("OpenAI's fine-tuning takes files of at least {OPENAI_LEAST} examples");
    }
    Ok(())
}

/// Returns the instances of a split.
fn split(found: &Found, split: Split) -> impl Iterator<Item = &Instance> {
    found.instances.iter().filter(move |one| one.split == split)
}

fn is_heldout(instance: &Instance) -> bool {
    matches!(instance.split, Split::Heldout | Split::Unseen)
}

fn lines(rows: &[Value]) -> String {
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(text, "{row}");
    }
    text
}

/// Returns the lines of a card that say where the rows came from.
fn origin(found: &Found) -> Vec<String> {
    let domain = &found.domain;
    let mut strategies: Vec<&str> = found
        .instances
        .iter()
        .map(|instance| instance.strategy.as_str())
        .collect();
    strategies.sort_unstable();
    strategies.dedup();
    vec![
        format!("suite {} {}", found.name, found.digest),
        format!("domain {} {}", domain.name, domain.digest),
        format!("strategies {}", strategies.join(", ")),
    ]
}

#[cfg(test)]
mod tests {
    use agoge_dialogue::Message;
    use agoge_world::{Domain, Task};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_has_a_folder_of_its_name_and_a_path_is_a_dataset() {
        let of = |to: &str, dir: Option<&str>| {
            let target = Target::of(Path::new(to), dir.map(Path::new)).ok()?;
            Some((target.form, target.folder.to_string_lossy().into_owned()))
        };
        let some = |form, folder: &str| Some((form, folder.to_owned()));
        assert_eq!(of("dataset", None), some(Form::Dataset, "dataset"));
        assert_eq!(of("openai", Some("ft")), some(Form::OpenAi, "ft"));
        assert_eq!(of("out/rows", None), some(Form::Dataset, "out/rows"));
        assert_eq!(of("out/rows", Some("ft")), None);
        assert_eq!(of("policy", None), None);
    }

    #[test]
    fn no_file_is_empty_and_held_out_instances_stay_out() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
        let task: Task =
            serde_json::from_value(json!({"id": "t", "user": {}, "gold": []})).unwrap();
        let one = |split, messages: &[Message]| Instance {
            task: task.clone(),
            split,
            strategy: "sea".into(),
            messages: messages.to_vec(),
        };
        let said = [
            Message::user("Hello."),
            Message::assistant("Done."),
            Message::user("Thank you. ###"),
        ];
        let mut found = Found {
            name: "s".into(),
            digest: "d".into(),
            instances: vec![one(Split::Heldout, &said), one(Split::TrainRl, &said)],
            domain: Domain::load(Path::new(dir)).unwrap(),
        };
        let out = tempfile::tempdir().unwrap();
        let target = |form, name: &str| Target {
            form,
            folder: out.path().join(name),
        };
        // No demonstration: tasks alone, and a card that says so; nothing to fine-tune on.
        let tasks = target(Form::Dataset, "tasks");
        tasks.write(&found).unwrap();
        assert!(!tasks.folder.join("data/sft.jsonl").exists());
        let card = std::fs::read_to_string(tasks.folder.join("README.md")).unwrap();
        assert!(
            card.contains("rl.jsonl") && !card.contains("sft.jsonl"),
            "{card}"
        );
        let bare = target(Form::OpenAi, "bare");
        let refused = bare.write(&found).unwrap_err().to_string();
        assert!(
            refused.contains("trainSft") && !bare.folder.exists(),
            "{refused}"
        );

        found.instances.push(one(Split::TrainSft, &said));
        let tuned = target(Form::OpenAi, "tuned");
        tuned.write(&found).unwrap();
        let text = std::fs::read_to_string(tuned.folder.join("train.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains("###") && text.contains("Done."), "{text}");

        found.instances.truncate(1);
        let nothing = target(Form::Dataset, "nothing");
        assert!(nothing.write(&found).is_err() && !nothing.folder.exists());
    }
}
