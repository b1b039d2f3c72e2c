//! The offline check of manifests: validates a file as the API server would, and suggests a fix for each problem.
//!
//! In order, each step only when the one before found nothing: YAML or JSON, kind and name; unknown fields, the schema's types
//! and bounds, and the overlay of the worker template; the CEL rules. Unknown fields are problems here, although a cluster would
//! drop them silently. Objects of other APIs are not judged.

mod documents;
pub(crate) mod fields;
pub(crate) mod problem;
pub(crate) mod schema;
pub(crate) mod structural;

use std::collections::BTreeSet;

use kube::ResourceExt;
use serde_json::Value;

pub use documents::{Document, documents};
pub use problem::{Finding, Problem};

use crate::{API_VERSION, CheckerSuite, GRPORun, SynthesisJob, overlay};
use documents::{Api, KINDS, api_of, text};
use problem::problem;

/// A manifest that passed.
#[derive(Clone, Debug, PartialEq)]
pub enum Manifest {
    /// A SynthesisJob.
    SynthesisJob(Box<SynthesisJob>),
    /// A CheckerSuite.
    CheckerSuite(Box<CheckerSuite>),
    /// A GRPORun.
    GRPORun(Box<GRPORun>),
}

impl Manifest {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SynthesisJob(_) => "SynthesisJob",
            Self::CheckerSuite(_) => "CheckerSuite",
            Self::GRPORun(_) => "GRPORun",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::SynthesisJob(object) => object.name_any(),
            Self::CheckerSuite(object) => object.name_any(),
            Self::GRPORun(object) => object.name_any(),
        }
    }

    /// Its namespace, where it names one.
    #[must_use]
    pub fn namespace(&self) -> Option<String> {
        match self {
            Self::SynthesisJob(object) => object.namespace(),
            Self::CheckerSuite(object) => object.namespace(),
            Self::GRPORun(object) => object.namespace(),
        }
    }

    /// The domain it names.
    #[must_use]
    pub fn domain(&self) -> &str {
        match self {
            Self::SynthesisJob(object) => &object.spec.domain,
            Self::CheckerSuite(object) => &object.spec.domain,
            Self::GRPORun(object) => &object.spec.domain,
        }
    }
}

/// The verdict on the documents of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// The manifests that passed.
    pub manifests: Vec<Manifest>,
    /// The kinds of the objects that belong to other APIs, which are not judged.
    pub others: Vec<String>,
    /// Documents that are no objects of Kubernetes at all, such as the values of a chart: each as the problem that it is in a file
    /// of manifests.
    pub strays: Vec<Problem>,
    /// The problems of the manifests that did not pass.
    pub problems: Vec<Problem>,
}

/// Judges the documents of a file. `file` only names it in problems.
#[must_use]
pub fn judge(documents: Vec<Document>, file: &str) -> Verdict {
    let mut verdict = Verdict::default();
    let mut seen = BTreeSet::new();
    for document in documents {
        let (number, place) = (document.number, document.place.clone());
        let problems = |findings: Vec<Finding>| {
            let at = |finding| problem(finding, file, number, &place);
            findings.into_iter().map(at).collect::<Vec<Problem>>()
        };
        match judge_document(document) {
            Judged::Passed(manifest) => {
                let (kind, name) = (manifest.kind(), manifest.name());
                if seen.insert((kind, manifest.namespace(), name.clone())) {
                    verdict.manifests.push(manifest);
                } else {
                    let message = format!("{kind} {name} appears twice in this file");
                    let finding = Finding::new("metadata.name", message, "rename one of them");
                    verdict.problems.extend(problems(vec![finding]));
                }
            }
            Judged::Refused(findings) => verdict.problems.extend(problems(findings)),
            Judged::Stray(findings) => verdict.strays.extend(problems(findings)),
            Judged::Other(kind) => verdict.others.push(kind),
        }
    }
    verdict
}

/// Checks every document of a text of manifests. `file` only names it in problems.
///
/// # Errors
/// Every problem found.
pub fn check(text: &str, file: &str) -> Result<Vec<Manifest>, Vec<Problem>> {
    let verdict = judge(documents(text, file), file);
    let mut problems = verdict.problems;
    problems.extend(verdict.strays);
    if problems.is_empty() && verdict.manifests.is_empty() && verdict.others.is_empty() {
        problems.push(empty(file));
    }
    if problems.is_empty() {
        Ok(verdict.manifests)
    } else {
        Err(problems)
    }
}

/// Returns the problem of a file without any document.
#[must_use]
pub fn empty(file: &str) -> Problem {
    let remedy = format!("a manifest begins with apiVersion: {API_VERSION} and a kind");
    let finding = Finding::new("", "it contains no manifest", remedy);
    problem(finding, file, 1, "")
}

/// The verdict on one document.
enum Judged {
    Passed(Manifest),
    Refused(Vec<Finding>),
    Stray(Vec<Finding>),
    Other(String),
}

fn judge_document(document: Document) -> Judged {
    let value = document.value;
    let is_stray = match api_of(&value) {
        Api::Other(kind) => return Judged::Other(kind),
        Api::None => !value.is_null(),
        Api::Agoge => false,
    };
    let judged = match document.flaw {
        Some(flaw) => Err(vec![Finding::new("", flaw.problem(), flaw.remedy)]),
        None => judge_object(value),
    };
    match judged {
        Ok(manifest) => Judged::Passed(manifest),
        Err(findings) if is_stray => Judged::Stray(findings),
        Err(findings) => Judged::Refused(findings),
    }
}

fn judge_object(value: Value) -> Result<Manifest, Vec<Finding>> {
    let begin = || format!("begin with apiVersion: {API_VERSION}");
    if !value.is_object() {
        return Err(vec![Finding::new("", "is not a map", begin())]);
    }
    let api = text(&value, "apiVersion");
    if api != API_VERSION {
        let message = format!("{api:?} is not supported");
        let remedy = format!("write apiVersion: {API_VERSION}");
        return Err(vec![Finding::new("apiVersion", message, remedy)]);
    }
    match text(&value, "kind") {
        "SynthesisJob" => {
            judge_as::<SynthesisJob>(value, SynthesisJob::validate_cel).map(Manifest::SynthesisJob)
        }
        "CheckerSuite" => {
            judge_as::<CheckerSuite>(value, CheckerSuite::validate_cel).map(Manifest::CheckerSuite)
        }
        "GRPORun" => judge_as::<GRPORun>(value, GRPORun::validate_cel).map(Manifest::GRPORun),
        other => {
            let message = if other.is_empty() {
                "is missing".to_owned()
            } else {
                format!("{other:?} is unknown")
            };
            let remedy = fields::suggest(other, &KINDS);
            Err(vec![Finding::new("kind", message, remedy)])
        }
    }
}

type Cel<T> = fn(&T) -> Result<(), kube::core::cel::ValidationErrors>;

fn judge_as<T>(mut value: Value, cel: Cel<T>) -> Result<Box<T>, Vec<Finding>>
where
    T: kube::CustomResourceExt + serde::de::DeserializeOwned,
{
    let schema = schema::of(&crate::print::crd::<T>());
    // The API server takes no status from a manifest.
    if let Value::Object(fields) = &mut value {
        fields.shift_remove("status");
    }
    structural::normalise(&mut value, &schema);
    let mut findings = fields::metadata(&value);
    findings.extend(fields::unknown(&value, &schema));
    findings.extend(schema::violations(&value, &schema));
    findings.extend(structural::duplicates(&value, &schema, ""));
    findings.extend(overlay_findings(&value));
    if !findings.is_empty() {
        return Err(findings);
    }
    let object: T = serde_json::from_value(value).map_err(|error| {
        vec![Finding::new(
            "spec",
            error.to_string(),
            "compare it with an example",
        )]
    })?;
    match cel(&object) {
        Ok(()) => Ok(Box::new(object)),
        Err(errors) => Err(errors.iter().map(by_rule).collect()),
    }
}

/// Finds what the operator would refuse in an overlay, which the schema leaves open.
fn overlay_findings(value: &Value) -> Vec<Finding> {
    const FIELD: &str = "spec.worker.overlay";
    let refused = value
        .pointer("/spec/worker/overlay")
        .and_then(|overlay| overlay::read(overlay).err());
    let below = |finding: Finding| Finding {
        field: format!("{FIELD}.{}", finding.field),
        ..finding
    };
    refused.unwrap_or_default().into_iter().map(below).collect()
}

/// Converts a violated CEL rule, whose message already suggests a fix.
fn by_rule(error: &kube::core::cel::ValidationError) -> Finding {
    let (message, remedy) = error
        .message
        .split_once("; ")
        .unwrap_or((error.message.as_str(), ""));
    Finding::new(error.field_path.trim_start_matches('.'), message, remedy)
}
