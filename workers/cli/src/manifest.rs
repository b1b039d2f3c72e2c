//! The manifests of files and folders, checked as a cluster would check them; every problem at once.
//!
//! `agoge check`, `submit`, `up` and `eval` read by this one function, so that they say the same of a file. What else lies in a
//! folder - objects of other APIs, templates of a chart, values, patches of a kustomization - is counted and not judged.

mod folder;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agoge_crds::check::empty;
use agoge_crds::{Document, Manifest, Problem, documents, judge, patch};

pub use folder::Depth;
use folder::{Candidate, Kind};

/// A manifest and where it was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The object, as it was asked for.
    pub manifest: Manifest,
    /// The file it is in.
    pub file: PathBuf,
}

impl Source {
    /// The folder that names are resolved against.
    #[must_use]
    pub fn folder(&self) -> &Path {
        folder_of(&self.file)
    }
}

/// The folder a file lies in, `.` for a bare name.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The manifests of files and folders, and what was found beside them.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The manifests, all of them valid.
    pub sources: Vec<Source>,
    /// The number of objects that belong to other APIs.
    pub others: usize,
    /// Files of templates, which have to be rendered first.
    pub templates: usize,
    /// Files that a kustomization names as patches.
    pub patches: usize,
    /// Documents of a folder that are no objects of Kubernetes.
    pub strays: usize,
}

impl Found {
    /// Returns a line for each sort of thing that was counted and not judged.
    #[must_use]
    pub fn not_judged(&self) -> Vec<String> {
        let line = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one} not judged")),
            _ => Some(format!("{count} {many} not judged")),
        };
        [
            line(
                self.others,
                "object of another kind",
                "objects of other kinds",
            ),
            line(self.templates, "template of a chart", "templates of charts"),
            line(
                self.patches,
                "patch of a kustomization",
                "patches of kustomizations",
            ),
            line(
                self.strays,
                "document that is no Kubernetes object",
                "documents that are no Kubernetes objects",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Reads every manifest of these files and folders (their `.yaml`, `.yml` and `.json`, not those of subfolders), with the patches
/// of these files merged in. There is at least one, and no two have the same kind and name.
///
/// # Errors
/// Every problem that was found.
pub fn read(paths: &[PathBuf], patches: &[PathBuf]) -> Result<Vec<Source>, Vec<Problem>> {
    let sources = find(paths, patches, Depth::Folder)?.sources;
    if sources.is_empty() {
        let path = paths
            .first()
            .map_or_else(|| Path::new("."), PathBuf::as_path);
        let message = "there is no SynthesisJob, CheckerSuite or GRPORun";
        let remedy = "give a manifest, or a folder that has some";
        return Err(vec![problem(path, "", message, remedy)]);
    }
    let problems = repeated(&sources, |_| ());
    if problems.is_empty() {
        Ok(sources)
    } else {
        Err(problems)
    }
}

/// Reads every manifest of these files and folders, with the patches of these files merged in, and counts what else there is.
///
/// # Errors
/// Every problem that was found.
pub fn find(paths: &[PathBuf], patches: &[PathBuf], depth: Depth) -> Result<Found, Vec<Problem>> {
    let (mut found, mut files, mut problems) = (Found::default(), vec![], vec![]);
    for path in paths {
        match folder::candidates(path, depth) {
            // A patch that lies beside what it patches is no manifest.
            Ok(candidates) => files.extend(
                candidates
                    .into_iter()
                    .filter(|candidate| !patches.contains(&candidate.file)),
            ),
            Err(problem) => problems.push(problem),
        }
    }
    let mut read = vec![];
    for candidate in files {
        match candidate.kind() {
            Ok(Kind::Template) => found.templates += 1,
            Ok(Kind::Patch) => found.patches += 1,
            Ok(Kind::Text(text)) => {
                let documents = documents(&text, &candidate.file.display().to_string());
                read.push((candidate, documents));
            }
            Err(error) => problems.push(unreadable(&candidate.file, &error)),
        }
    }
    for file in patches {
        if let Err(message) = merge(file, &mut read) {
            let remedy = "a patch has kind, metadata.name and the fields that it changes";
            problems.push(problem(file, "", &message, remedy));
        }
    }
    for (candidate, documents) in read {
        judge_file(&candidate, documents, &mut found, &mut problems);
    }
    // An environment has a folder of its own, and its objects often a namespace that only the tool knows that applies them.
    problems.extend(repeated(&found.sources, |source| {
        let folder = (depth == Depth::Tree).then(|| source.folder().to_owned());
        (source.manifest.namespace(), folder)
    }));
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

fn unreadable(file: &Path, error: &std::io::Error) -> Problem {
    let message = format!("cannot be read: {error}");
    problem(file, "", &message, "save it as UTF-8 text")
}

fn judge_file(
    candidate: &Candidate,
    documents: Vec<Document>,
    found: &mut Found,
    problems: &mut Vec<Problem>,
) {
    let file = candidate.file.display().to_string();
    if documents.is_empty() && candidate.named {
        problems.push(empty(&file));
    }
    let verdict = judge(documents, &file);
    found.others += verdict.others.len();
    problems.extend(verdict.problems);
    // A file that somebody names is meant; what lies in a folder need not be.
    if candidate.named {
        problems.extend(verdict.strays);
    } else {
        found.strays += verdict.strays.len();
    }
    let sources = verdict.manifests.into_iter().map(|manifest| Source {
        manifest,
        file: candidate.file.clone(),
    });
    found.sources.extend(sources);
}

/// Returns a problem for each manifest whose kind, name and scope another one has too.
fn repeated<S: Ord>(sources: &[Source], scope: impl Fn(&Source) -> S) -> Vec<Problem> {
    let mut first: BTreeMap<(&str, String, S), &Path> = BTreeMap::new();
    let mut problems = vec![];
    for source in sources {
        let (kind, name) = (source.manifest.kind(), source.manifest.name());
        let id = (kind, name.clone(), scope(source));
        if let Some(other) = first.insert(id, &source.file) {
            let message = format!("{kind} {name} is in {} too", other.display());
            let remedy = "rename one of them";
            problems.push(problem(&source.file, "metadata.name", &message, remedy));
        }
    }
    problems
}

/// Merges each document of a patch file into the document that it names.
fn merge(patch_file: &Path, files: &mut [(Candidate, Vec<Document>)]) -> Result<(), String> {
    let name = patch_file.display().to_string();
    let text =
        std::fs::read_to_string(patch_file).map_err(|error| format!("cannot be read: {error}"))?;
    for change in documents(&text, &name) {
        if let Some(flaw) = change.flaw() {
            return Err(flaw.problem());
        }
        let targets = files.iter_mut().flat_map(|(_, documents)| documents);
        patch(targets, &change.value).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// A problem of a file's first document.
#[must_use]
pub fn problem(file: &Path, field: &str, message: &str, remedy: &str) -> Problem {
    Problem {
        file: file.display().to_string(),
        document: 1,
        field: field.to_owned(),
        message: message.to_owned(),
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "apiVersion: agoge.dev/v1alpha1\nkind: SynthesisJob\nmetadata: {name: NAME}\nspec: {domain: shop, strategies: [{name: template, target: {accepted: 5}}]}\n";

    fn job(name: &str) -> String {
        JOB.replace("NAME", name)
    }

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = dir.path().join(name);
            std::fs::create_dir_all(folder_of(&file)).unwrap();
            std::fs::write(file, text).unwrap();
        }
        dir
    }

    fn found(dir: &tempfile::TempDir, depth: Depth) -> Found {
        find(&[dir.path().to_owned()], &[], depth)
            .unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    #[test]
    fn a_gitops_folder_is_judged_and_what_is_not_ours_counted() {
        let dir = folder(&[
            ("job.yaml", &job("a")),
            (
                "suite.json",
                "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\"}",
            ),
            ("empty.yaml", "# nothing yet\n"),
            (
                "kustomization.yaml",
                "resources: [job.yaml]\npatches:\n- path: ./less.yaml\n- {patch: \"- op: x\"}\n",
            ),
            (
                "less.yaml",
                "kind: SynthesisJob\nmetadata: {name: a}\nspec: {parallelism: 2}\n",
            ),
            ("values.yaml", "replicas: 2\n"),
            (".hidden.yaml", "a: ["),
            ("notes.txt", "a: ["),
            ("chart/Chart.yaml", "apiVersion: v2\nname: x\n"),
            (
                "chart/templates/job.yaml",
                "{{ if .Values.x }}\nname: {{ .Values.y }}\n{{ end }}\n",
            ),
            ("chart/templates/plain.yaml", &job("in-chart")),
            ("prod/job.yaml", &job("a")),
            ("desk/domain.yaml", "name: desk\n"),
            ("desk/tools.py", ""),
            ("desk/templates/hold.yaml", "name: hold\n"),
        ]);
        let here = found(&dir, Depth::Folder);
        assert_eq!(here.sources.len(), 1);
        assert_eq!(
            here.not_judged(),
            [
                "1 object of another kind not judged",
                "1 patch of a kustomization not judged",
                "2 documents that are no Kubernetes objects not judged",
            ],
            "the kustomization and the values are the two"
        );
        let all = found(&dir, Depth::Tree);
        let mut names: Vec<String> = all.sources.iter().map(|s| s.manifest.name()).collect();
        names.sort();
        assert_eq!(names, ["a", "a", "in-chart"]);
        assert_eq!((all.templates, all.patches, all.strays), (1, 1, 3));
    }

    #[test]
    fn a_file_that_is_named_is_meant_as_manifests() {
        let dir = folder(&[
            ("values.yaml", "replicas: 2\n"),
            ("empty.yaml", "---\n"),
            ("map.yaml", "apiVersion: v1\nkind: ConfigMap\n"),
        ]);
        let of = |name: &str| find(&[dir.path().join(name)], &[], Depth::Folder);
        assert!(of("values.yaml").is_err() && of("empty.yaml").is_err());
        assert_eq!(of("map.yaml").unwrap().others, 1);
        let told = read(&[dir.path().join("map.yaml")], &[]).unwrap_err();
        assert!(
            told[0].to_string().contains("no SynthesisJob"),
            "{}",
            told[0]
        );
    }

    #[test]
    fn two_files_with_one_name_are_told_and_two_namespaces_are_not_one_run() {
        let dir = folder(&[("a.yaml", &job("x")), ("b.yaml", &job("x"))]);
        assert!(find(&[dir.path().to_owned()], &[], Depth::Folder).is_err());
        let spaced = |name: &str| job("x, namespace: NS").replace("NS", name);
        let dir = folder(&[("a.yaml", &spaced("dev")), ("b.yaml", &spaced("prod"))]);
        assert_eq!(found(&dir, Depth::Folder).sources.len(), 2);
        assert!(read(&[dir.path().to_owned()], &[]).is_err());
    }

    #[test]
    fn a_patch_is_merged_and_one_without_a_target_told() {
        let dir = folder(&[
            ("job.yaml", &job("a")),
            (
                "p.yaml",
                "kind: SynthesisJob\nmetadata: {name: a}\nspec: {domain: \"on\"}\n",
            ),
        ]);
        let patch = dir.path().join("p.yaml");
        let sources = read(&[dir.path().to_owned()], std::slice::from_ref(&patch)).unwrap();
        assert_eq!(sources[0].manifest.domain(), "on");
        std::fs::write(&patch, "kind: GRPORun\nmetadata: {name: a}\n").unwrap();
        let told = read(&[dir.path().to_owned()], &[patch]).unwrap_err();
        assert!(
            told[0].to_string().contains("patches GRPORun a"),
            "{}",
            told[0]
        );
    }
}
