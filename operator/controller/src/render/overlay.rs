//! The manifest's overlay over a pod template: a strategic merge that may not change the fields on which a worker's safety, or its
//! assignment, depends ([`agoge_crds::overlay`]).
//!
//! Lists of named things (containers, volumes, variables) are merged by name, as kubectl does; everything else is replaced.

use agoge_crds::check::Finding;
use k8s_openapi::DeepMerge as _;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

/// An overlay that is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// A field that a manifest may not set, that a pod template does not have, or whose value has the wrong type.
    #[error("worker.overlay: {0}")]
    Refused(Finding),
    /// A value that a pod template cannot have.
    #[error("worker.overlay is not a pod template: {0}")]
    Shape(String),
}

/// Merges the overlay over the template.
///
/// # Errors
/// [`OverlayError`], naming the first field.
pub fn merge(
    mut template: PodTemplateSpec,
    overlay: Option<&Value>,
) -> Result<PodTemplateSpec, OverlayError> {
    let Some(overlay) = overlay else {
        return Ok(template);
    };
    let overlay = agoge_crds::overlay::read(overlay).map_err(|found| first(&found))?;
    let change: PodTemplateSpec =
        serde_json::from_value(overlay).map_err(|error| OverlayError::Shape(error.to_string()))?;
    template.merge_from(change);
    Ok(template)
}

fn first(found: &[Finding]) -> OverlayError {
    match found.first() {
        Some(finding) => OverlayError::Refused(finding.clone()),
        None => OverlayError::Shape("no reason was given".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template() -> PodTemplateSpec {
        let template = json!({ "spec": { "restartPolicy": "Never", "containers": [
            { "name": "worker", "image": "w", "env": [{ "name": "HOME", "value": "/tmp" }] },
        ] } });
        serde_json::from_value(template).unwrap()
    }

    #[test]
    fn lists_are_merged_by_name_and_the_rest_replaced() {
        let overlay = json!({ "spec": {
            "runtimeClassName": "kata",
            "containers": [
                { "name": "worker", "env": [{ "name": "OMP_NUM_THREADS", "value": "2" }] },
                { "name": "sidecar", "image": "s" },
            ],
        } });
        let merged = merge(template(), Some(&overlay)).unwrap().spec.unwrap();
        assert_eq!(merged.runtime_class_name.as_deref(), Some("kata"));
        let worker = &merged.containers[0];
        assert_eq!(merged.containers.len(), 2);
        assert_eq!(worker.image.as_deref(), Some("w"));
        assert_eq!(worker.env.as_ref().unwrap().len(), 2);
    }

    #[test]
    fn a_refusal_names_the_first_field() {
        let overlay = json!({ "spec": { "hostNetwork": true } });
        let refused = merge(template(), Some(&overlay)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "worker.overlay: spec.hostNetwork: is protected; remove it"
        );
    }
}
