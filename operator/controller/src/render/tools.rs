//! The server of a domain's tools: a native sidecar, which runs before the worker and ends after it. It shares a folder with the
//! worker, is reached over the loopback, and has neither the worker's token nor its secrets.

use agoge_crds::overlay::TOOLS_CONTAINER;
use agoge_crds::shared::ToolServer;
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, Probe, TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pod::{resources_of, restricted, variable};
use super::site::Site;
use super::volumes::{domain_mount, mount, scratch};

/// The folder of the tools' state, in both containers.
const STATE_DIR: &str = "/tools";
/// Seconds between two looks at a server that starts, and the number of looks after which it has failed.
const LOOK_SECONDS: i32 = 1;
const LOOKS: i32 = 120;

/// Returns the sidecar.
pub(super) fn sidecar(server: &ToolServer, site: &Site) -> Container {
    let mut mounts = vec![mount("tools", STATE_DIR), mount("tools-tmp", "/tmp")];
    mounts.extend(domain_mount(site));
    let port = i32::from(server.port);
    let probe = Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::Int(port),
            ..TCPSocketAction::default()
        }),
        period_seconds: Some(LOOK_SECONDS),
        failure_threshold: Some(LOOKS),
        ..Probe::default()
    };
    Container {
        name: TOOLS_CONTAINER.to_owned(),
        image: Some(server.image.clone()),
        image_pull_policy: Some(site.pull_policy.clone()),
        command: Some(server.command.clone()).filter(|command| !command.is_empty()),
        env: Some(environment(server)),
        working_dir: Some(STATE_DIR.to_owned()),
        restart_policy: Some("Always".to_owned()),
        resources: server.resources.as_ref().map(resources_of),
        security_context: Some(restricted()),
        startup_probe: Some(probe),
        volume_mounts: Some(mounts),
        ports: Some(vec![ContainerPort {
            name: Some("tools".to_owned()),
            container_port: port,
            ..ContainerPort::default()
        }]),
        ..Container::default()
    }
}

/// The environment: the manifest's own variables come first, so that those which the worker relies on win.
fn environment(server: &ToolServer) -> Vec<EnvVar> {
    let ours = [
        ("PORT", server.port.to_string()),
        ("STATE", STATE_DIR.to_owned()),
        ("HOME", STATE_DIR.to_owned()),
        ("TZ", "UTC".to_owned()),
        ("PYTHONHASHSEED", "0".to_owned()),
    ];
    let own = server
        .env
        .iter()
        .filter(|(name, _)| ours.iter().all(|(taken, _)| taken != name));
    let own = own.map(|(name, value)| variable(name, value));
    let ours = ours.iter().map(|(name, value)| variable(name, value));
    ours.chain(own).collect()
}

/// Returns the variables by which the worker finds the server.
pub(super) fn found_by(server: &ToolServer) -> [EnvVar; 2] {
    let url = format!("http://127.0.0.1:{}{}", server.port, server.path);
    [
        variable("AGOGE_TOOL_SERVER_URL", &url),
        variable("AGOGE_TOOL_SERVER_STATE", STATE_DIR),
    ]
}

/// Returns the worker's mount of the state.
pub(super) fn state_mount() -> VolumeMount {
    mount("tools", STATE_DIR)
}

/// Returns the volumes of the state and of temporary files.
pub(super) fn volumes() -> [Volume; 2] {
    [scratch("tools"), scratch("tools-tmp")]
}
