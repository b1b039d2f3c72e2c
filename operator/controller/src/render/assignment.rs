//! The assignment of a child, as its pods read it from a file. All pods read the same one: a pod's index is its shard.

use std::path::PathBuf;

use agoge_contract::{Assignment, Endpoint, ProgressServer, Resolved};
use agoge_plan::Child;

use super::site::{DomainFrom, Site};
use super::{AUTHORITY_FILE, DOMAIN_DIR, RUN_DIR, TOKEN_FILE, WORK_DIR, is_rollout};

/// Returns the assignment of a child on this site.
pub(super) fn assignment(child: &Child, site: &Site) -> Assignment {
    let endpoints = site.endpoints.iter().enumerate().map(|(n, endpoint)| {
        let key_variable = endpoint.secret.as_ref().map(|_| key_variable(n));
        (
            endpoint.name.clone(),
            Endpoint {
                url: endpoint.url.clone(),
                key_variable,
            },
        )
    });
    let resolved = Resolved {
        domain: match &site.domain {
            DomainFrom::Store(digest) => PathBuf::from(format!("store:{digest}")),
            _ => PathBuf::from(DOMAIN_DIR),
        },
        store: site.store.url.clone(),
        endpoints: endpoints.collect(),
        recordings: None,
    };
    let mut assignment = child.assignment(0, &resolved, PathBuf::from(WORK_DIR), 0);
    assignment.progress = Some(ProgressServer {
        url: site.progress_url.clone(),
        token: PathBuf::from(format!("{RUN_DIR}/{TOKEN_FILE}")),
        authority: Some(PathBuf::from(format!("{RUN_DIR}/{AUTHORITY_FILE}"))),
    });
    assignment.keep =
        (!is_rollout(child)).then(|| format!("work/{}/{}", child.owner.uid, child.key));
    assignment
}

/// Names the variable with the API key of the endpoint at this position.
pub(super) fn key_variable(position: usize) -> String {
    format!("AGOGE_ENDPOINT_KEY_{position}")
}
