//! The offline check of manifests: validates a file as the API server would, and suggests a fix for each problem.
//!
//! In order, each step only when the one before found nothing: YAML, kind and name; unknown fields and the schema's types
//! and bounds; the CEL rules. Unknown fields are problems here, although a cluster would drop them silently.

mod fields;
mod schema;

use std::collections::BTreeSet;
use std::fmt;

use kube::ResourceExt;
use serde::Deserialize;
use serde_json::Value;

use crate::{API_VERSION, CheckerSuite, GRPORun, SynthesisJob};

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

/// A problem of a manifest, with its place and a suggested fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The document in it, from 1.
    pub document: usize,
    /// The field, such as `spec.strategies[0].target`; empty for the document as a whole.
    pub field: String,
    /// The problem.
    pub message: String,
    /// The suggested fix.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.document > 1 {
            write!(f, " (document {})", self.document)?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// A problem without its place in a file.
pub(crate) struct Finding {
    field: String,
    message: String,
    remedy: String,
}

impl Finding {
    fn new(
        field: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

/// Checks every document of a text. `file` only names it in problems.
///
/// # Errors
/// Every problem found.
pub fn check(text: &str, file: &str) -> Result<Vec<Manifest>, Vec<Problem>> {
    let (mut manifests, mut problems) = (vec![], vec![]);
    let mut seen = BTreeSet::new();
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let document_number = index + 1;
        let mut report = |findings: Vec<Finding>| {
            problems.extend(findings.into_iter().map(
                |Finding {
                     field,
                     message,
                     remedy,
                 }| Problem {
                    file: file.to_owned(),
                    document: document_number,
                    field,
                    message,
                    remedy,
                },
            ));
        };
        let value = match serde_yaml::Value::deserialize(document) {
            Ok(serde_yaml::Value::Null) => continue,
            Ok(value) => value,
            Err(error) => {
                report(vec![Finding::new(
                    "",
                    format!("not YAML: {error}"),
                    "check that line and its indentation",
                )]);
                break;
            }
        };
        match check_document(value) {
            Ok(manifest) => {
                if seen.insert((manifest.kind(), manifest.name())) {
                    manifests.push(manifest);
                } else {
                    let message = format!(
                        "{} {} appears twice in this file",
                        manifest.kind(),
                        manifest.name()
                    );
                    report(vec![Finding::new(
                        "metadata.name",
                        message,
                        "rename one of them",
                    )]);
                }
            }
            Err(findings) => report(findings),
        }
    }
    if manifests.is_empty() && problems.is_empty() {
        let remedy = format!("a manifest begins with apiVersion: {API_VERSION} and a kind");
        problems.push(Problem {
            file: file.to_owned(),
            document: 1,
            field: String::new(),
            message: "it contains no manifest".to_owned(),
            remedy,
        });
    }
    if problems.is_empty() {
        Ok(manifests)
    } else {
        Err(problems)
    }
}

const KINDS: [&str; 3] = ["SynthesisJob", "CheckerSuite", "GRPORun"];

fn check_document(yaml: serde_yaml::Value) -> Result<Manifest, Vec<Finding>> {
    let value = serde_json::to_value(yaml).map_err(|error| {
        vec![Finding::new(
            "",
            format!("cannot be written as JSON: {error}"),
            "use plain maps, lists, strings and numbers",
        )]
    })?;
    let Value::Object(map) = &value else {
        return Err(vec![Finding::new(
            "",
            "is not a map",
            format!("begin with apiVersion: {API_VERSION}"),
        )]);
    };
    let text = |field: &str| map.get(field).and_then(Value::as_str).unwrap_or_default();
    if text("apiVersion") != API_VERSION {
        let message = format!("{:?} is not supported", text("apiVersion"));
        return Err(vec![Finding::new(
            "apiVersion",
            message,
            format!("write apiVersion: {API_VERSION}"),
        )]);
    }
    match text("kind") {
        "SynthesisJob" => {
            judge::<SynthesisJob>(&value, SynthesisJob::validate_cel).map(Manifest::SynthesisJob)
        }
        "CheckerSuite" => {
            judge::<CheckerSuite>(&value, CheckerSuite::validate_cel).map(Manifest::CheckerSuite)
        }
        "GRPORun" => judge::<GRPORun>(&value, GRPORun::validate_cel).map(Manifest::GRPORun),
        other => {
            let message = if other.is_empty() {
                "is missing".to_owned()
            } else {
                format!("{other:?} is unknown")
            };
            Err(vec![Finding::new(
                "kind",
                message,
                fields::suggest(other, &KINDS),
            )])
        }
    }
}

type Cel<T> = fn(&T) -> Result<(), kube::core::cel::ValidationErrors>;

fn judge<T>(value: &Value, cel: Cel<T>) -> Result<Box<T>, Vec<Finding>>
where
    T: kube::CustomResourceExt + serde::de::DeserializeOwned,
{
    let schema = schema::of(&crate::print::crd::<T>());
    let mut findings = fields::metadata(value);
    findings.extend(fields::unknown(value, &schema));
    findings.extend(schema::violations(value, &schema));
    if !findings.is_empty() {
        return Err(findings);
    }
    let object: T = serde_json::from_value(value.clone()).map_err(|error| {
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

/// Converts a violated CEL rule, whose message already suggests a fix.
fn by_rule(error: &kube::core::cel::ValidationError) -> Finding {
    let (message, remedy) = error
        .message
        .split_once("; ")
        .unwrap_or((error.message.as_str(), ""));
    Finding::new(error.field_path.trim_start_matches('.'), message, remedy)
}
