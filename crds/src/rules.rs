//! Patterns and CEL rules for schemas.

use serde_json::{Value, json};

/// The pattern of names that a driver resolves: endpoints, domains, stores, other objects.
pub(crate) const NAME: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
/// A content digest.
pub(crate) const DIGEST: &str = "^sha256:[0-9a-f]{64}$";

/// Writes CEL rules as `x-kubernetes-validations`: (rule, message, field path below this one, or nothing).
///
/// kube's own derive cannot be used on structs with a container default; these rules have the same effect.
pub(crate) fn cel(rules: &[(&str, &str, &str)]) -> Value {
    rules
        .iter()
        .map(|(rule, message, path)| match *path {
            "" => json!({ "rule": rule, "message": message }),
            path => json!({ "rule": rule, "message": message, "fieldPath": path }),
        })
        .collect()
}
