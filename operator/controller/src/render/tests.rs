//! Rendered objects compared with files. `UPDATE=1 cargo test -p agoge-controller` rewrites the files, so that a reviewer sees
//! what a change does to pods.

use std::path::Path;

use agoge_crds::Phase;
use agoge_crds::grpo_run::StageStatus;
use agoge_crds::synthesis_job::StrategyStatus;
use agoge_crds::{Manifest, Timestamp, check};
use agoge_plan::{Child, Observed, Plannable as _, SuiteSeen, SynthesisSeen};

use super::*;

const MANIFESTS: &str = r#"
apiVersion: agoge.dev/v1alpha1
kind: SynthesisJob
metadata: {name: desk, namespace: team, uid: u-1}
spec:
  domain: desk
  parallelism: 4
  strategies:
    - {name: template, target: {accepted: 2000}}
    - {name: sea, target: {accepted: 4}}
  models: {default: {endpoint: qwen}}
---
apiVersion: agoge.dev/v1alpha1
kind: CheckerSuite
metadata: {name: desk, namespace: team, uid: u-2}
spec:
  domain: desk
  source: {synthesisJob: desk}
---
apiVersion: agoge.dev/v1alpha1
kind: GRPORun
metadata: {name: desk, namespace: team, uid: u-3}
spec:
  domain: desk
  suite: {name: desk}
  policy: {fresh: {}}
  user: {model: scripted}
  topology: {trainers: 2}
  worker:
    image: registry.example/worker:1
    resources: {cpu: "2", memory: 4Gi}
    nodeSelector: {pool: gpu}
    tolerations: [{key: gpu, operator: Exists}]
    priorityClassName: high
    gang: GANG
    QUEUE
    overlay:
      spec:
        topologySpreadConstraints:
          - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule}
        resourceClaims: [{name: gpu, resourceClaimTemplateName: gpu}]
        containers:
          - name: worker
            env: [{name: NCCL_DEBUG, value: INFO}]
            resources: {claims: [{name: gpu}]}
"#;

fn site(domain: DomainFrom) -> Site {
    Site {
        domain,
        store: StoreFrom {
            url: "s3://bucket/prefix".into(),
            endpoint: Some("http://s3:7070".into()),
            region: Some("eu".into()),
            allow_http: true,
            secret: Some("s3".into()),
            claim: None,
        },
        endpoints: vec![EndpointFrom {
            name: "qwen".into(),
            url: "http://qwen:8000".into(),
            secret: Some("qwen-key".into()),
        }],
        image: "worker:dev".into(),
        pull_policy: "IfNotPresent".into(),
        service_account: "default".into(),
        progress_url: "https://agoge-progress.agoge.svc:9443".into(),
        ca: "PEM".into(),
    }
}

fn children(gang: &str, queue: &str) -> Vec<Child> {
    plans(MANIFESTS, gang, queue)
}

fn plans(manifests: &str, gang: &str, queue: &str) -> Vec<Child> {
    let text = manifests.replace("GANG", gang).replace("QUEUE", queue);
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let observed = Observed {
        synthesis: Some(SynthesisSeen {
            phase: Phase::Complete,
            digest: Some("sha256:d".into()),
            parts: [("template".to_owned(), "sha256:t".to_owned())].into(),
        }),
        suite: Some(SuiteSeen {
            phase: Phase::Complete,
            digest: Some("sha256:s".into()),
            mutation_score: Some(1.0),
        }),
        ..Observed::default()
    };
    let mut manifests = check(&text, "golden").unwrap();
    for manifest in &mut manifests {
        if let Manifest::GRPORun(run) = manifest
            && run.spec.topology.rollouts > 0
        {
            // Its next stage is GRPO.
            let stages = [("agentSFT".to_owned(), StageStatus::default())].into();
            run.status.get_or_insert_default().stages = stages;
        }
    }
    manifests
        .iter()
        .flat_map(|manifest| match manifest {
            Manifest::SynthesisJob(object) => {
                let mut all = object.plan(&observed, now).children;
                // Its strategies run one after another.
                let mut object = (**object).clone();
                let over = StrategyStatus {
                    ended: Some("TargetsReached".into()),
                    ..StrategyStatus::default()
                };
                let status = object.status.get_or_insert_default();
                status.strategies.insert("template".into(), over);
                all.extend(object.plan(&observed, now).children);
                all
            }
            Manifest::CheckerSuite(object) => object.plan(&observed, now).children,
            Manifest::GRPORun(object) => object.plan(&observed, now).children,
        })
        .collect()
}

fn golden(name: &str, children: &[Child], domain: &DomainFrom) {
    let mut text = String::new();
    for child in children {
        let rendered = render(child, &site(domain.clone())).unwrap();
        let mut put = |value: serde_json::Value| {
            text.push_str("---\n");
            text.push_str(&serde_yaml::to_string(&value).unwrap());
        };
        rendered
            .service
            .iter()
            .for_each(|s| put(serde_json::to_value(s).unwrap()));
        rendered
            .group
            .iter()
            .for_each(|g| put(serde_json::to_value(g).unwrap()));
        put(serde_json::to_value(&rendered.job).unwrap());
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.yaml"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        text == expected,
        "{} differs from what is rendered; UPDATE=1 rewrites it",
        file.display()
    );
}

#[test]
fn children_of_the_three_kinds_render_as_the_golden_files_say() {
    let map = DomainFrom::ConfigMap("desk".into());
    golden("three-kinds", &children("podGroup", ""), &map);
}

#[test]
fn volcano_queues_claims_and_image_volumes_render_as_the_golden_files_say() {
    let train: Vec<Child> = children("volcano", "queue: team-queue")
        .into_iter()
        .filter(|c| c.shards == 2)
        .collect();
    golden(
        "volcano-queue-image",
        &train,
        &DomainFrom::Image("registry.example/desk:1".into()),
    );
}

#[test]
fn rollout_servers_and_their_trainer_render_as_the_golden_file_says() {
    let apart = MANIFESTS.replace(
        "topology: {trainers: 2}",
        "topology: {mode: disaggregated, rollouts: 3}",
    );
    let both: Vec<Child> = plans(&apart, "podGroup", "")
        .into_iter()
        .filter(|child| child.owner.kind == "GRPORun")
        .collect();
    assert_eq!(both.len(), 2);
    golden("rollouts", &both, &DomainFrom::Store("sha256:d".into()));
}

/// A long name, one with a dot, and one that begins with a digit, which a Service's may not.
#[test]
fn objects_of_any_admitted_name_find_each_other() {
    let apart = MANIFESTS.replace(
        "topology: {trainers: 2}",
        "topology: {mode: disaggregated, rollouts: 3}",
    );
    let is_label = |name: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        name.len() <= 63
            && name.bytes().all(inner)
            && name.starts_with(|c: char| c.is_ascii_lowercase())
    };
    for owner in [
        "exactly-forty-characters-long-name-00000",
        "3-shop",
        "shop.v2",
        "a-really-long-job-name-that-a-ci-system-made-20251107074133.v20",
    ] {
        for manifests in [MANIFESTS, apart.as_str()] {
            let manifests = manifests.replace(
                "{name: desk, namespace",
                &format!("{{name: {owner}, namespace"),
            );
            for child in plans(&manifests, "podGroup", "") {
                let rendered = render(&child, &site(DomainFrom::ConfigMap("desk".into()))).unwrap();
                let job = rendered.job.metadata.name.clone().unwrap();
                assert!(
                    job.len() + "-1023-abcde".len() <= 63 && !job.contains('.'),
                    "{job}"
                );
                let pod = rendered.job.spec.unwrap().template.spec.unwrap();
                let found = rendered
                    .service
                    .map(|service| service.metadata.name.unwrap());
                assert!(found.iter().all(|name| is_label(name)), "{found:?}");
                assert_eq!(pod.subdomain, found, "{job}");
                let text = serde_json::to_string(&pod.containers[0].env).unwrap();
                if child.shards > 1 && child.role() == Role::Train {
                    assert!(
                        text.contains(&format!("{job}-0.{}", found.unwrap())),
                        "{text}"
                    );
                }
            }
        }
    }
}

/// The sidecar of a domain with servers: without rights, token and secrets, reached over the loopback, its state shared.
#[test]
fn a_tool_server_is_a_restricted_sidecar_that_shares_its_state_with_the_worker() {
    let manifests = MANIFESTS.replace(
        "models: {default: {endpoint: qwen}}",
        "models: {default: {endpoint: qwen}}\n  worker: {toolServer: {image: \"desk-tools:1\", command: [serve, $(PORT)], \
         env: {PORT: \"1\", FLAVOUR: plain}, resources: {cpu: \"1\"}}}",
    );
    let jobs = plans(&manifests, "podGroup", "");
    let child = jobs
        .iter()
        .find(|child| child.owner.kind == "SynthesisJob")
        .unwrap();
    let rendered = render(child, &site(DomainFrom::ConfigMap("desk".into()))).unwrap();
    let pod = rendered.job.spec.unwrap().template.spec.unwrap();
    let pod = serde_json::to_value(pod).unwrap();
    let server = &pod["initContainers"][0];
    assert_eq!(server["restartPolicy"], "Always");
    assert_eq!(
        server["securityContext"],
        pod["containers"][0]["securityContext"]
    );
    assert_eq!(server["resources"]["limits"]["cpu"], "1");
    assert_eq!(pod["automountServiceAccountToken"], false);
    let named = |list: &serde_json::Value| -> Vec<String> {
        let all = list.as_array().into_iter().flatten();
        all.map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        named(&server["volumeMounts"]),
        ["tools", "tools-tmp", "domain"]
    );
    assert_eq!(
        named(&server["env"]),
        ["PORT", "STATE", "HOME", "TZ", "PYTHONHASHSEED", "FLAVOUR"]
    );
    assert_eq!(server["env"][0]["value"], "8730");
    let worker = &pod["containers"][0];
    assert!(named(&worker["volumeMounts"]).contains(&"tools".to_owned()));
    let mut variables = worker["env"].as_array().unwrap().iter();
    let url = variables
        .find(|one| one["name"] == "AGOGE_TOOL_SERVER_URL")
        .unwrap();
    assert_eq!(url["value"], "http://127.0.0.1:8730/mcp");
    assert!(named(&pod["volumes"]).contains(&"tools".to_owned()));
}
