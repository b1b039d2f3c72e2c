//! The headless Service of a child: trainer ranks find each other by it, and a trainer finds its rollout servers.

use agoge_contract::ROLLOUT_PORT;
use agoge_plan::Child;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

use super::{is_rollout, is_trainer_group, metadata, string_map};
use crate::names;

/// Returns the Service of a child; `None` for children whose pods need not be found.
pub(super) fn service(child: &Child) -> Option<Service> {
    if is_rollout(child) {
        Some(rollout_service(child))
    } else if is_trainer_group(child) {
        Some(rank_service(child))
    } else {
        None
    }
}

/// The Service of all attempts: a trainer looks for its rollout servers under one name.
fn rollout_service(child: &Child) -> Service {
    let mut metadata = metadata(child);
    metadata.name = Some(child.service());
    let selector = string_map([
        (names::KIND, &child.owner.kind),
        (names::OWNER, &child.owner.name),
        (names::KEY, &child.key),
    ]);
    Service {
        metadata,
        spec: Some(ServiceSpec {
            selector: Some(selector),
            ..headless("rollout", ROLLOUT_PORT)
        }),
        status: None,
    }
}

fn rank_service(child: &Child) -> Service {
    let mut metadata = metadata(child);
    metadata.name = Some(child.own_service());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            // Ranks meet before they are ready.
            publish_not_ready_addresses: Some(true),
            selector: Some(string_map([("batch.kubernetes.io/job-name", &child.name)])),
            ..headless("ranks", names::RANKS_PORT)
        }),
        status: None,
    }
}

fn headless(port_name: &str, port: u16) -> ServiceSpec {
    ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        ports: Some(vec![ServicePort {
            name: Some(port_name.to_owned()),
            port: port.into(),
            ..ServicePort::default()
        }]),
        ..ServiceSpec::default()
    }
}
