//! The form and the folder of an export.

use std::fmt;
use std::path::{Path, PathBuf};

use agoge_forms::export::{self as forms, ExportError, Form, Source};
use agoge_forms::sign::SecretKey;
use agoge_store::Store;
use clap::Args;

use super::{Found, origin, policy};
use crate::failure::Failure;

/// The form of a path that names none.
const USUAL: &str = "dataset";
/// The name by which `--to` asks for a package of verifiers.
const VERIFIERS: &str = "verifiers";

/// The options of every form of instances.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The license of the rows, as SPDX names it. It stands in every row and in the card.
    #[arg(long, value_name = "SPDX", default_value = "unknown")]
    pub license: String,
    /// Exports held-out instances too, into files of their own. They are for evaluation: keep them out of training.
    #[arg(long)]
    pub heldout: bool,
    /// Signs the manifest with this secret key of ed25519, which `agoge key new` makes.
    #[arg(long, value_name = "FILE")]
    pub sign: Option<PathBuf>,
}

impl Options {
    /// Reads the key that signs, where there is one.
    ///
    /// # Errors
    /// A file that is no key.
    pub fn key(&self) -> Result<Option<SecretKey>, Failure> {
        let key = self.sign.as_deref().map(SecretKey::read).transpose();
        key.map_err(Failure::input)
    }
}

/// The kind of export that a command asks for.
#[derive(Clone, Copy)]
pub enum Wanted {
    /// Instances in this form.
    Form(&'static dyn Form),
    /// A package for verifiers, whose tasks and rewards `agoge env serve` gives.
    Verifiers,
}

/// The form and the folder that a command asks for.
#[derive(Clone)]
pub struct Target {
    /// The form.
    pub wanted: Wanted,
    /// The folder.
    pub folder: PathBuf,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.wanted.name(), self.folder.display())
    }
}

impl Wanted {
    fn named(name: &Path) -> Option<Self> {
        let name = name.to_str()?;
        match name {
            VERIFIERS => Some(Self::Verifiers),
            name => forms::form(name).map(Self::Form),
        }
    }

    /// The name by which `--to` asks for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Form(form) => form.name(),
            Self::Verifiers => VERIFIERS,
        }
    }
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
        let usual = || Wanted::named(Path::new(USUAL));
        let wanted = Wanted::named(to);
        match (wanted.or_else(usual), dir) {
            (Some(form), dir) if wanted.is_some() || dir.is_none() => Ok(Self {
                wanted: form,
                folder: dir.unwrap_or(to).to_owned(),
            }),
            _ => {
                let names: Vec<&str> = forms::FORMS.iter().map(|form| form.name()).collect();
                Err(Failure::Input(format!(
                    "--to {} is a folder, and --dir names another; with --dir name a form: {}, {VERIFIERS} or policy",
                    to.display(),
                    names.join(", ")
                )))
            }
        }
    }

    /// Refuses a folder that has something in it.
    ///
    /// # Errors
    /// So it has.
    pub fn check_empty(&self) -> Result<(), Failure> {
        check_empty(&self.folder)
    }

    /// Writes a suite of this store in this form.
    ///
    /// # Errors
    /// Nothing to export, a key that cannot be read, or a folder that cannot be written.
    pub fn write(&self, found: &Found, store: &Store, options: &Options) -> Result<(), Failure> {
        let form = match self.wanted {
            Wanted::Form(form) => form,
            Wanted::Verifiers => return package(found, &self.folder),
        };
        let key = options.key()?;
        let beside = origin::find(store, found)?;
        let source = Source {
            domain: &found.domain,
            suite: &found.name,
            digest: &found.digest,
            instances: &found.instances,
            origins: &beside.origins,
            rollouts: &beside.rollouts,
            license: &options.license,
            heldout: options.heldout,
        };
        let written = forms::write(form, &source, &self.folder, key.as_ref()).map_err(failure)?;
        for (file, rows) in &written.files {
            match rows {
                Some(rows) => println!("wrote {rows} rows to {}", self.folder.join(file).display()),
                None => println!("wrote {}", self.folder.join(file).display()),
            }
        }
        for note in &written.notes {
            println!("{note}");
        }
        let left_out = source.left_out();
        if left_out > 0 {
            println!("{left_out} held-out instances stay out: they are for evaluation");
        }
        if let Some(key) = key {
            println!("signed by {}", key.public());
        }
        Ok(())
    }
}

fn failure(error: ExportError) -> Failure {
    Failure::input(error)
}

/// Writes the package for verifiers.
#[cfg(feature = "stacks")]
fn package(found: &Found, folder: &Path) -> Result<(), Failure> {
    let options = agoge_gym::PackageOptions::of(&found.domain);
    let id = agoge_gym::verifiers_package(folder, &options).map_err(Failure::input)?;
    println!("wrote {}", folder.display());
    println!(
        "next: pip install {} && vf-eval {id}, while `agoge env serve` runs",
        folder.display()
    );
    Ok(())
}

/// Refuses: this build has no environments.
#[cfg(not(feature = "stacks"))]
fn package(_found: &Found, _folder: &Path) -> Result<(), Failure> {
    let message = "this build of agoge has no environments for other stacks; one with the default features has them \
                   (`cargo build -p agoge-cli`)";
    Err(Failure::Input(message.into()))
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

#[cfg(test)]
mod tests {
    use agoge_artifacts::Instance;
    use agoge_dialogue::Message;
    use agoge_world::{Domain, Split, Task};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_has_a_folder_of_its_name_and_a_path_is_a_dataset() {
        let of = |to: &str, dir: Option<&str>| {
            let target = Target::of(Path::new(to), dir.map(Path::new)).ok()?;
            Some((
                target.wanted.name(),
                target.folder.to_string_lossy().into_owned(),
            ))
        };
        let some = |form, folder: &str| Some((form, folder.to_owned()));
        assert_eq!(of("dataset", None), some("dataset", "dataset"));
        assert_eq!(of("openai", Some("ft")), some("openai", "ft"));
        assert_eq!(of("nemo-gym", None), some("nemo-gym", "nemo-gym"));
        assert_eq!(of("verifiers", None), some("verifiers", "verifiers"));
        assert_eq!(of("out/rows", None), some("dataset", "out/rows"));
        assert_eq!(of("out/rows", Some("ft")), None);
        assert_eq!(of("policy", None), None);
    }

    fn options() -> Options {
        Options {
            license: "Apache-2.0".into(),
            heldout: false,
            sign: None,
        }
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
        let store = Store::open(out.path().join("store")).unwrap();
        let target = |form, name: &str| Target {
            folder: out.path().join(name),
            ..Target::of(Path::new(form), None).unwrap()
        };
        // No demonstration: tasks alone, and a card that says so; nothing to fine-tune on.
        let tasks = target("dataset", "tasks");
        tasks.write(&found, &store, &options()).unwrap();
        assert!(!tasks.folder.join("data/sft.jsonl").exists());
        let card = std::fs::read_to_string(tasks.folder.join("README.md")).unwrap();
        assert!(
            card.contains("rl.jsonl") && !card.contains("sft.jsonl"),
            "{card}"
        );
        let bare = target("openai", "bare");
        let refused = bare
            .write(&found, &store, &options())
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("trainSft") && !bare.folder.exists(),
            "{refused}"
        );

        found.instances.push(one(Split::TrainSft, &said));
        let tuned = target("openai", "tuned");
        tuned.write(&found, &store, &options()).unwrap();
        let text = std::fs::read_to_string(tuned.folder.join("train.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains("###") && text.contains("Done."), "{text}");

        found.instances.truncate(1);
        let nothing = target("dataset", "nothing");
        assert!(nothing.write(&found, &store, &options()).is_err() && !nothing.folder.exists());
    }
}
