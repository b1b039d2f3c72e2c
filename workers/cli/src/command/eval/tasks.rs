//! The tasks of an evaluation: of a run's qualified suite, as a domain gives them, or drawn from its templates.

use std::path::PathBuf;
use std::sync::Arc;

use agoge_sandbox::Limits;
use agoge_world::{Domain, Mix, Split, Task, World, tasks};
use clap::ValueEnum;

use super::Eval;
use crate::command::export;
use crate::failure::Failure;
use crate::manifest;
use crate::resolve::Names;

/// The tasks with what they come from.
#[derive(Debug)]
pub struct Chosen {
    /// The domain.
    pub domain: Arc<Domain>,
    /// The tasks.
    pub tasks: Vec<Task>,
    /// The digest of the suite, where they are one's.
    pub suite: Option<String>,
}

/// The split to take tasks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
pub enum Part {
    /// Held-out tasks.
    Heldout,
    /// Tasks of demonstrations.
    TrainSft,
    /// Tasks of reinforcement learning.
    TrainRl,
    /// Tasks of templates that no training saw.
    Unseen,
    /// Every task.
    All,
}

impl Part {
    /// Returns the one split, or none for all of them.
    fn split(self) -> Option<Split> {
        match self {
            Self::Heldout => Some(Split::Heldout),
            Self::TrainSft => Some(Split::TrainSft),
            Self::TrainRl => Some(Split::TrainRl),
            Self::Unseen => Some(Split::Unseen),
            Self::All => None,
        }
    }

    /// Returns the name as the record has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.split().map_or("all", Split::as_str)
    }

    fn has(self, split: Split) -> bool {
        self.split().is_none_or(|one| one == split)
    }
}

/// Returns the domain and its tasks, at most `--tasks`.
///
/// # Errors
/// No such suite or domain, or a domain without tasks.
pub fn chosen(eval: &Eval) -> Result<Chosen, Failure> {
    let chosen = match &eval.out {
        Some(out) => {
            let found = export::find(out, None)?;
            let of_split = found
                .instances
                .into_iter()
                .filter(|one| eval.split.has(one.split));
            Chosen {
                domain: Arc::new(found.domain),
                tasks: of_split.map(|one| one.task).take(eval.tasks).collect(),
                suite: Some(found.digest),
            }
        }
        None => {
            let domain = agoge_servers::load(&folder(eval)?).map_err(Failure::input)?;
            let domain = Arc::new(domain);
            Chosen {
                tasks: of_domain(eval, &domain)?,
                domain,
                suite: None,
            }
        }
    };
    if chosen.tasks.is_empty() {
        return Err(Failure::Input(format!(
            "there is no task in the split {}; name another with --split, or give the source a share of this one",
            eval.split.name()
        )));
    }
    Ok(chosen)
}

/// Returns the domain's folder: `--domain`, or the one that the manifests name.
fn folder(eval: &Eval) -> Result<PathBuf, Failure> {
    if let Some(folder) = &eval.domain {
        return Ok(folder.clone());
    }
    let sources =
        manifest::read(&eval.files, &[]).map_err(|problems| Failure::problems(&problems))?;
    let first = sources
        .first()
        .ok_or_else(|| Failure::Input("there is no manifest in the files of --file".into()))?;
    Names::default().domain(first).map_err(Failure::input)
}

fn of_domain(eval: &Eval, domain: &Arc<Domain>) -> Result<Vec<Task>, Failure> {
    if !domain.tasks.is_empty() && !eval.drawn {
        let given: Vec<Task> = match eval.split.split() {
            Some(split) => domain.given(split).take(eval.tasks).cloned().collect(),
            None => domain.tasks.iter().take(eval.tasks).cloned().collect(),
        };
        return Ok(given);
    }
    if domain.templates.is_empty() {
        return Err(Failure::Input(format!(
            "the domain {} has neither tasks.jsonl nor templates to draw tasks from; name the folder of a run with --out, \
             whose suite has held-out tasks",
            domain.name
        )));
    }
    let Some(split) = eval.split.split() else {
        return Err(Failure::Input(
            "tasks are drawn from one split; name it with --split, such as --split heldout".into(),
        ));
    };
    let mut world = World::open(domain.clone(), Limits::default())?;
    let most = agoge_world::possible(&mut world, split, Mix::EvenBranches);
    let n = eval.tasks.min(most);
    tasks(&mut world, split, Mix::EvenBranches, eval.seed, n).map_err(Failure::input)
}
