//! The pod template of a child: one container without privileges, its assignment mounted as a file.

use std::collections::BTreeMap;

use agoge_contract::ROLLOUT_PORT;
use agoge_crds::shared::{Gang, Resources};
use agoge_plan::Child;
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction,
    PodSchedulingGroup, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements,
    SeccompProfile, SecretKeySelector, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::assignment::{assignment, key_variable};
use super::gang::gang;
use super::site::Site;
use super::{ASSIGNMENT_FILE, RUN_DIR, RenderError, is_rollout, is_trainer_group, tools, volumes};
use crate::names;

/// The user and group of the pods.
const USER: i64 = 65_532;
/// Seconds that a worker has to stop when it is asked to.
const GRACE_SECONDS: i64 = 60;

/// Returns the pod template of a child, before the manifest's overlay.
///
/// # Errors
/// [`RenderError::Assignment`]
pub(super) fn template(child: &Child, site: &Site) -> Result<PodTemplateSpec, RenderError> {
    let mut spec = pod_spec(child, site);
    let mut annotations = BTreeMap::from([
        (
            names::ASSIGNMENT.to_owned(),
            serde_json::to_string(&assignment(child, site)).map_err(RenderError::Assignment)?,
        ),
        (names::CA.to_owned(), site.ca.clone()),
    ]);
    match gang(child) {
        Gang::None => {}
        Gang::PodGroup => {
            spec.scheduling_group = Some(PodSchedulingGroup {
                pod_group_name: Some(child.name.clone()),
            });
        }
        Gang::Volcano => {
            spec.scheduler_name = Some("volcano".to_owned());
            annotations.insert(
                "scheduling.k8s.io/group-name".to_owned(),
                child.name.clone(),
            );
        }
    }
    Ok(PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(names::labels(child)),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
    })
}

fn pod_spec(child: &Child, site: &Site) -> PodSpec {
    let template = &child.needs.template;
    let server = template.tool_server.as_ref();
    let mut volumes = volumes::volumes(site);
    volumes.extend(server.into_iter().flat_map(|_| tools::volumes()));
    let subdomain = if is_trainer_group(child) {
        Some(child.own_service())
    } else {
        is_rollout(child).then(|| child.service())
    };
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        service_account_name: Some(site.service_account.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        init_containers: server.map(|server| vec![tools::sidecar(server, site)]),
        containers: vec![worker(child, site)],
        volumes: Some(volumes),
        node_selector: Some(template.node_selector.clone()).filter(|labels| !labels.is_empty()),
        tolerations: Some(template.tolerations.clone()).filter(|all| !all.is_empty()),
        priority_class_name: template.priority_class_name.clone(),
        subdomain,
        ..PodSpec::default()
    }
}

fn worker(child: &Child, site: &Site) -> Container {
    let image = child.needs.template.image.as_ref().unwrap_or(&site.image);
    let rollout = is_rollout(child);
    let mut mounts = volumes::mounts(site);
    let server = child.needs.template.tool_server.as_ref();
    mounts.extend(server.map(|_| tools::state_mount()));
    Container {
        name: names::CONTAINER.to_owned(),
        image: Some(image.clone()),
        image_pull_policy: Some(site.pull_policy.clone()),
        args: Some(vec![
            child.role().as_str().to_owned(),
            "--assignment".to_owned(),
            format!("{RUN_DIR}/{ASSIGNMENT_FILE}"),
        ]),
        env: Some(environment(child, site)),
        resources: Some(resources(child)),
        security_context: Some(restricted()),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts),
        ports: rollout.then(|| {
            vec![ContainerPort {
                name: Some("rollout".to_owned()),
                container_port: ROLLOUT_PORT.into(),
                ..ContainerPort::default()
            }]
        }),
        readiness_probe: rollout.then(rollout_probe),
        ..Container::default()
    }
}

/// The rights of a container: none.
pub(super) fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: None,
        }),
        ..SecurityContext::default()
    }
}

/// The readiness probe of a rollout server. It is patient: all threads of a busy server may be playing.
fn rollout_probe() -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some("/healthz".to_owned()),
            port: IntOrString::String("rollout".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(5),
        timeout_seconds: Some(5),
        failure_threshold: Some(3),
        ..Probe::default()
    }
}

fn environment(child: &Child, site: &Site) -> Vec<EnvVar> {
    let mut variables = vec![variable("AGOGE_TERMINATION_LOG", "/dev/termination-log")];
    let store = &site.store;
    if let Some(endpoint) = &store.endpoint {
        variables.push(variable("AWS_ENDPOINT", endpoint));
    }
    if let Some(region) = &store.region {
        variables.push(variable("AWS_REGION", region));
    }
    if store.allow_http {
        variables.push(variable("AWS_ALLOW_HTTP", "true"));
    }
    if let Some(secret) = &store.secret {
        for key in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            variables.push(secret_variable(key, secret, key));
        }
    }
    for (n, endpoint) in site.endpoints.iter().enumerate() {
        if let Some(secret) = &endpoint.secret {
            variables.push(secret_variable(&key_variable(n), secret, "key"));
        }
    }
    if is_trainer_group(child) {
        let first_rank = format!("{}-0.{}", child.name, child.own_service());
        variables.push(variable("MASTER_ADDR", &first_rank));
        variables.push(variable("MASTER_PORT", &names::RANKS_PORT.to_string()));
    }
    if let Some(server) = &child.needs.template.tool_server {
        variables.extend(tools::found_by(server));
    }
    variables
}

pub(super) fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        value_from: None,
    }
}

fn secret_variable(name: &str, secret: &str, key: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.to_owned(),
                key: key.to_owned(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
    }
}

/// The resources of a worker.
fn resources(child: &Child) -> ResourceRequirements {
    resources_of(&child.needs.resources)
}

/// Resources of which the request is also the limit.
pub(super) fn resources_of(asked: &Resources) -> ResourceRequirements {
    let mut all = BTreeMap::new();
    if let Some(cpu) = &asked.cpu {
        all.insert("cpu".to_owned(), Quantity(cpu.to_string()));
    }
    if let Some(memory) = &asked.memory {
        all.insert("memory".to_owned(), Quantity(memory.to_string()));
    }
    let all = Some(all).filter(|all| !all.is_empty());
    ResourceRequirements {
        requests: all.clone(),
        limits: all,
        claims: None,
    }
}
