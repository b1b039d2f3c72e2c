//! The volumes of a worker's pod, and where its container mounts them.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, DownwardAPIProjection, DownwardAPIVolumeFile, EmptyDirVolumeSource,
    ImageVolumeSource, ObjectFieldSelector, PersistentVolumeClaimVolumeSource,
    ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};

use super::site::{DomainFrom, Site};
use super::{ASSIGNMENT_FILE, AUTHORITY_FILE, DOMAIN_DIR, RUN_DIR, TOKEN_FILE, WORK_DIR};
use crate::names;

/// Seconds for which the token of a pod is valid; the kubelet renews it.
const TOKEN_SECONDS: i64 = 3600;

/// Returns the mounts of the worker's container.
pub(super) fn mounts(site: &Site) -> Vec<VolumeMount> {
    let mut mounts = vec![
        read_only(mount("run", RUN_DIR)),
        mount("work", WORK_DIR),
        mount("tmp", "/tmp"),
    ];
    mounts.extend(domain_mount(site));
    if site.store.claim.is_some() {
        let path = site.store.url.trim_start_matches("file://");
        mounts.push(mount("store", path));
    }
    mounts
}

/// Returns the mount of the domain's folder, where the domain comes as one.
pub(super) fn domain_mount(site: &Site) -> Option<VolumeMount> {
    let is_folder = !matches!(site.domain, DomainFrom::Store(_));
    is_folder.then(|| read_only(mount("domain", DOMAIN_DIR)))
}

pub(super) fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    }
}

fn read_only(mount: VolumeMount) -> VolumeMount {
    VolumeMount {
        read_only: Some(true),
        ..mount
    }
}

/// Returns the volumes of the pod.
pub(super) fn volumes(site: &Site) -> Vec<Volume> {
    let mut volumes = vec![run_volume(), scratch("work"), scratch("tmp")];
    volumes.extend(domain_volume(site));
    if let Some(claim) = &site.store.claim {
        volumes.push(Volume {
            name: "store".to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.clone(),
                read_only: None,
            }),
            ..Volume::default()
        });
    }
    volumes
}

/// Everything that the pod is given: its assignment, the authority of the progress server, and its token.
fn run_volume() -> Volume {
    let annotations = VolumeProjection {
        downward_api: Some(DownwardAPIProjection {
            items: Some(vec![
                annotation_file(ASSIGNMENT_FILE, names::ASSIGNMENT),
                annotation_file(AUTHORITY_FILE, names::CA),
            ]),
        }),
        ..VolumeProjection::default()
    };
    let token = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            path: TOKEN_FILE.to_owned(),
            audience: Some(names::AUDIENCE.to_owned()),
            expiration_seconds: Some(TOKEN_SECONDS),
            ..ServiceAccountTokenProjection::default()
        }),
        ..VolumeProjection::default()
    };
    Volume {
        name: "run".to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(vec![annotations, token]),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn annotation_file(path: &str, annotation: &str) -> DownwardAPIVolumeFile {
    DownwardAPIVolumeFile {
        path: path.to_owned(),
        field_ref: Some(ObjectFieldSelector {
            field_path: format!("metadata.annotations['{annotation}']"),
            api_version: None,
        }),
        ..DownwardAPIVolumeFile::default()
    }
}

pub(super) fn scratch(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }
}

fn domain_volume(site: &Site) -> Option<Volume> {
    let volume = Volume {
        name: "domain".to_owned(),
        ..Volume::default()
    };
    match &site.domain {
        DomainFrom::ConfigMap(name) => Some(Volume {
            config_map: Some(ConfigMapVolumeSource {
                name: name.clone(),
                ..ConfigMapVolumeSource::default()
            }),
            ..volume
        }),
        DomainFrom::Image(reference) => Some(Volume {
            image: Some(ImageVolumeSource {
                reference: Some(reference.clone()),
                pull_policy: Some(site.pull_policy.clone()),
            }),
            ..volume
        }),
        DomainFrom::Store(_) => None,
    }
}
