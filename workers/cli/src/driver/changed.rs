//! Changes since an object was made: of its manifest, its domain, the model it begins with, or of what it rests on.
//!
//! An object that changed is made anew, with all that rests on it: its status is forgotten, and its workers find in the
//! store what the change does not touch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agoge_crds::{Manifest, Phase};
use serde::Serialize;
use serde_json::Value;

use super::objects::Object;
use super::origin::Origin;
use crate::failure::Failure;

/// Fields of a spec that say how and where work is done. What comes of it does not depend on them.
const ASIDE: [&str; 4] = ["runPolicy", "worker", "parallelism", "store"];
/// Fields of a suite on which no run rests.
const SCORED: [&str; 2] = ["spec.evaluate", "spec.evaluation"];
/// Changed fields that are named.
const NAMED: usize = 4;
/// Folder of what was made before the last change.
const EARLIER: &str = "earlier";

/// An object as it was before its manifest was taken up.
pub struct Before {
    /// The fields whose values differ.
    pub fields: Vec<String>,
    /// True when a cluster would take the change and go on.
    pub allowed: bool,
    /// Its domain and its model.
    pub origin: Origin,
}

impl Before {
    /// Returns the changes for which an object of this phase has to be made anew.
    #[must_use]
    pub fn changes(&self, phase: Phase, domain: &str, now: &Origin) -> Vec<String> {
        let counts = |field: &&String| match phase {
            // A failure may have any cause, a bound of time or retries among them.
            Phase::Failed => true,
            Phase::Complete => determines(field),
            // Work in progress goes on under new bounds, as it does on a cluster.
            _ => !self.allowed && determines(field),
        };
        let fields: Vec<&str> = self
            .fields
            .iter()
            .filter(counts)
            .map(String::as_str)
            .collect();
        let mut changed = vec![];
        if !fields.is_empty() {
            let more = fields.len().saturating_sub(NAMED);
            let named = fields[..fields.len() - more].join(", ");
            changed.push(match more {
                0 => named,
                more => format!("{named} and {more} more"),
            });
        }
        if self.origin.domain.is_some() && self.origin.domain != now.domain {
            changed.push(format!("the domain {domain}"));
        }
        if let (Some(before), Some(now)) = (&self.origin.model, &now.model)
            && before != now
        {
            changed.push("the model in policy.path".to_owned());
        }
        changed
    }
}

/// Returns true if changed fields of a suite, as [`Before::changes`] joins them, say only who is evaluated on it, and how.
fn is_scored(fields: &str) -> bool {
    let of = |field: &str| {
        let rest = SCORED
            .into_iter()
            .find_map(|scored| field.strip_prefix(scored));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    fields
        .split(", ")
        .all(|field| !field.contains(' ') && of(field))
}

/// Returns true if what comes of the work depends on a field.
fn determines(field: &str) -> bool {
    let first = field.trim_start_matches("spec.").split(['.', '[']).next();
    !ASIDE.contains(&first.unwrap_or_default())
}

/// Returns the fields in which two specs differ, such as `spec.stages.grpo.maxTurns`. Lists are compared as a whole.
#[must_use]
pub fn fields<S: Serialize>(before: &S, now: &S) -> Vec<String> {
    let value = |spec: &S| serde_json::to_value(spec).unwrap_or_default();
    let mut found = vec![];
    differ("spec", &value(before), &value(now), &mut found);
    found
}

fn differ(path: &str, before: &Value, now: &Value, found: &mut Vec<String>) {
    match (before, now) {
        (before, now) if before == now => {}
        (Value::Object(before), Value::Object(now)) => {
            let added = now.keys().filter(|name| !before.contains_key(*name));
            for name in before.keys().chain(added) {
                let of = |map: &serde_json::Map<String, Value>| {
                    map.get(name).cloned().unwrap_or_default()
                };
                differ(&format!("{path}.{name}"), &of(before), &of(now), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

/// An object of the run's folder, with its reasons to be made anew.
pub struct Taken {
    /// The object.
    pub object: Object,
    /// The changes of its own.
    pub changed: Vec<String>,
    /// A changed object that it rests on.
    pub rests: Option<String>,
}

impl Taken {
    /// An object that no manifest of this command asks for. `domains` are the digests of the domains, by name.
    #[must_use]
    pub fn other(object: Object, domains: &BTreeMap<String, Option<String>>) -> Self {
        let before = Before {
            fields: vec![],
            allowed: true,
            origin: object.origin(),
        };
        let domain = object.manifest.domain();
        let now = domains.get(domain).map(|digest| Origin {
            domain: digest.clone(),
            model: None,
        });
        let changed = now.map(|now| before.changes(object.phase(), domain, &now));
        Self {
            changed: changed.unwrap_or_default(),
            rests: None,
            object,
        }
    }

    fn is_changed(&self) -> bool {
        !self.changed.is_empty() || self.rests.is_some()
    }

    /// Returns true if what rests on it changes with it.
    fn carries(&self) -> bool {
        self.rests.is_some() || self.changed.iter().any(|what| !is_scored(what))
    }

    /// Returns the reasons, for a person.
    fn why(&self) -> String {
        let own = match self.changed.as_slice() {
            [] => None,
            changed => Some(format!("{} changed", changed.join(" and "))),
        };
        let rests = self.rests.as_ref().map(|on| format!("it rests on {on}"));
        let both: Vec<String> = own.into_iter().chain(rests).collect();
        both.join(", and ")
    }
}

/// The kind and the name of the object that an object is made from.
#[must_use]
pub fn base(manifest: &Manifest) -> Option<(&'static str, &str)> {
    match manifest {
        Manifest::SynthesisJob(_) => None,
        Manifest::CheckerSuite(suite) => {
            let job = suite.spec.source.synthesis_job.as_deref()?;
            Some(("SynthesisJob", job))
        }
        Manifest::GRPORun(run) => Some(("CheckerSuite", run.spec.suite.name.as_str())),
    }
}

/// Marks all that rests on a changed object: suites on jobs, then runs on suites.
pub fn spread(all: &mut [Taken]) {
    for kind in ["SynthesisJob", "CheckerSuite"] {
        let changed: BTreeMap<String, String> = all
            .iter()
            .filter(|taken| taken.object.manifest.kind() == kind && taken.carries())
            .map(|taken| (taken.object.manifest.name(), taken.object.id()))
            .collect();
        for taken in all.iter_mut() {
            let on = base(&taken.object.manifest).filter(|(of, _)| *of == kind);
            if let Some(id) = on.and_then(|(_, name)| changed.get(name)) {
                taken.rests = Some(id.clone());
            }
        }
    }
}

/// The objects that are to be made anew.
#[derive(Debug, Default)]
pub struct Remade {
    /// A line for each object, for a person.
    pub lines: Vec<String>,
    /// The files of the objects.
    files: Vec<PathBuf>,
}

impl Remade {
    /// Forgets the status of every object that changed. The first `asked` ones are those that manifests ask for.
    #[must_use]
    pub fn of(all: &mut [Taken], asked: usize) -> Self {
        let mut remade = Self::default();
        for (number, taken) in all.iter_mut().enumerate() {
            if !taken.is_changed() {
                continue;
            }
            if taken.object.begun() {
                let (id, why) = (taken.object.id(), taken.why());
                remade.lines.push(match number < asked {
                    true => format!("{id} is made anew: {why}"),
                    false => {
                        format!(
                            "{id} is out of date: {why}; give its manifest too, to make it anew"
                        )
                    }
                });
                remade.files.push(taken.object.file.clone());
            }
            taken.object.forget();
        }
        remade
    }

    /// Returns true if nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns true if the object of this file is made anew.
    #[must_use]
    pub fn has(&self, file: &Path) -> bool {
        self.files.iter().any(|own| own == file)
    }

    /// Copies the statuses, figures and the report from before into a folder aside, where they replace those of the change
    /// before this one. Returns the folder.
    ///
    /// # Errors
    /// A file that cannot be copied.
    pub fn keep_aside(&self, out: &Path) -> Result<PathBuf, Failure> {
        let aside = out.join(EARLIER);
        let figures = ["result.json", "report.html"].map(|name| out.join(name));
        for file in self.files.iter().chain(&figures) {
            let Ok(inside) = file.strip_prefix(out) else {
                continue;
            };
            let to = aside.join(inside);
            let folder = crate::manifest::folder_of(&to);
            std::fs::create_dir_all(folder).map_err(Failure::file("make the folder", folder))?;
            match std::fs::copy(file, &to) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::file("keep aside", file)(error)),
            }
        }
        for file in &figures {
            // Figures of what is made anew are no figures any more. A file that stays is overwritten at the end.
            let _ = std::fs::remove_file(file);
        }
        Ok(aside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_changed_field_is_named_by_its_path_and_defaults_are_no_change() {
        let before =
            json!({"seed": 1, "stages": {"grpo": {"maxTurns": 12, "steps": 5}}, "arms": [1, 2]});
        let now =
            json!({"seed": 1, "stages": {"grpo": {"maxTurns": 20}}, "arms": [2, 1], "store": "s"});
        assert_eq!(
            fields(&before, &now),
            [
                "spec.stages.grpo.maxTurns",
                "spec.stages.grpo.steps",
                "spec.arms",
                "spec.store"
            ]
        );
        assert!(fields(&before, &before).is_empty());
    }

    fn before(fields: &[&str], allowed: bool) -> Before {
        Before {
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            allowed,
            origin: Origin {
                domain: Some("sha256:a".into()),
                model: None,
            },
        }
    }

    #[test]
    fn what_is_done_is_made_anew_when_it_would_come_to_something_else_and_work_goes_on_where_it_may()
     {
        let same = before(&[], true).origin;
        let budget = before(&["spec.budget.tokens"], true);
        assert_eq!(
            budget.changes(Phase::Complete, "desk", &same),
            ["spec.budget.tokens"]
        );
        assert!(budget.changes(Phase::Running, "desk", &same).is_empty());
        let seed = before(&["spec.seed", "spec.runPolicy.suspend"], false);
        assert_eq!(seed.changes(Phase::Running, "desk", &same), ["spec.seed"]);
        let limit = before(&["spec.runPolicy.backoffLimit"], true);
        assert!(limit.changes(Phase::Complete, "desk", &same).is_empty());
        assert_eq!(limit.changes(Phase::Failed, "desk", &same).len(), 1);

        let other = Origin {
            domain: Some("sha256:b".into()),
            model: Some("sha256:m".into()),
        };
        let unchanged = before(&[], true);
        assert_eq!(
            unchanged.changes(Phase::Running, "desk", &other),
            ["the domain desk"]
        );
        let unknown = Before {
            origin: Origin::default(),
            ..before(&[], true)
        };
        assert!(unknown.changes(Phase::Complete, "desk", &other).is_empty());
    }
}
