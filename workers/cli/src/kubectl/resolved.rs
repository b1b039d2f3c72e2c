//! Resolves a manifest's names as the operator would; a placeholder and a note where that is not possible.

use agoge_controller::Options;
use agoge_controller::render::{DomainFrom, EndpointFrom, Site, StoreFrom};
use agoge_controller::resolve::{Defaults, Resolver, Unresolved};
use agoge_plan::{Child, ChildState};
use clap::Parser;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;

use super::cluster::Cluster;

/// Labels of the operator's Deployment.
const OPERATOR: &str = "app.kubernetes.io/name=agoge,app.kubernetes.io/component=operator";
/// Stands where only the operator knows: the certificate that its progress server is known by.
const CA: &str = "(the certificate authority that the operator keeps)\n";

/// The operator's command line.
#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// The operator's own answers, from its Deployment where it can be read; a note where it cannot.
pub async fn defaults(cluster: Option<&Cluster>) -> (Defaults, Option<String>) {
    let plain = || Line::try_parse_from(["agoge"]).map(|line| line.options.defaults());
    let unread = |why: &str| {
        (
            plain().unwrap_or_else(|_| nothing()),
            Some(format!(
                "{why}: the worker's image, its account and the default store are the built-in ones"
            )),
        )
    };
    let Some(cluster) = cluster else {
        return unread("offline");
    };
    let all: Api<Deployment> = Api::all(cluster.client.clone());
    let found = match all.list(&ListParams::default().labels(OPERATOR)).await {
        Ok(list) => list.items,
        Err(_) => return unread("the operator's Deployment may not be read"),
    };
    let operator = found
        .into_iter()
        .find_map(|deployment| arguments(&deployment));
    match operator.and_then(|arguments| Line::try_parse_from(arguments).ok()) {
        Some(line) => (line.options.defaults(), None),
        None => unread("no operator was found"),
    }
}

/// The command line in a Deployment, as clap reads it.
fn arguments(deployment: &Deployment) -> Option<Vec<String>> {
    let namespace = deployment.metadata.namespace.clone()?;
    let pod = deployment.spec.template.spec.as_ref()?;
    let arguments = pod.containers.first()?.args.as_ref()?;
    let rest = arguments
        .iter()
        .filter(|argument| *argument != "operator")
        .cloned();
    let own = ["agoge".to_owned(), format!("--namespace={namespace}")];
    Some(own.into_iter().chain(rest).collect())
}

fn nothing() -> Defaults {
    Defaults {
        store: None,
        image: String::new(),
        pull_policy: "IfNotPresent".into(),
        service_account: "default".into(),
        progress_url: String::new(),
    }
}

/// Everything a child's names stand for. What stands for nothing has a note.
pub async fn site(
    resolver: Option<&Resolver>,
    defaults: &Defaults,
    child: &Child,
    domain: &str,
    store: Option<&str>,
) -> (Site, Vec<String>) {
    let namespace = child.owner.namespace.as_deref().unwrap_or("default");
    let mut notes = vec![];
    let domain = match resolver {
        Some(resolver) => resolver
            .domain(namespace, domain)
            .await
            .unwrap_or_else(|why| {
                notes.push(told(why));
                DomainFrom::ConfigMap(domain.to_owned())
            }),
        None => DomainFrom::ConfigMap(domain.to_owned()),
    };
    let mut endpoints = vec![];
    for name in &child.needs.endpoints {
        let placeholder = EndpointFrom {
            name: name.clone(),
            url: format!("http://{name}.invalid/v1"),
            secret: None,
        };
        endpoints.push(match resolver {
            Some(resolver) => resolver
                .endpoint(namespace, name)
                .await
                .unwrap_or_else(|why| {
                    notes.push(told(why));
                    placeholder
                }),
            None => placeholder,
        });
    }
    let placeholder = || StoreFrom {
        url: "s3://placeholder".into(),
        ..StoreFrom::default()
    };
    let store = match (resolver, store) {
        (Some(resolver), name) => resolver.store(namespace, name).await.unwrap_or_else(|why| {
            notes.push(told(why));
            placeholder()
        }),
        (None, None) => defaults.store.clone().unwrap_or_else(placeholder),
        (None, Some(_)) => placeholder(),
    };
    let site = Site {
        domain,
        store,
        endpoints,
        image: defaults.image.clone(),
        pull_policy: defaults.pull_policy.clone(),
        service_account: defaults.service_account.clone(),
        progress_url: defaults.progress_url.clone(),
        ca: CA.to_owned(),
    };
    (site, notes)
}

/// Why a name stands for nothing.
#[must_use]
pub fn told(why: Unresolved) -> String {
    match why {
        Unresolved::Missing(ChildState::Pending { message, .. }) => message,
        Unresolved::Missing(_) => "it cannot be resolved".to_owned(),
        Unresolved::Api(error) => format!("it cannot be looked up: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_command_line_says_image_and_store() {
        let deployment: Deployment = serde_json::from_value(serde_json::json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "agoge-operator", "namespace": "agoge" },
            "spec": { "selector": {}, "template": { "spec": { "containers": [{ "name": "operator", "args": [
                "operator", "--worker-image=registry.example/worker:1", "--store-url=s3://runs/a", "--store-allow-http", "--lease-seconds=15",
            ] }] } } },
        }))
        .unwrap();
        let line = Line::try_parse_from(arguments(&deployment).unwrap()).unwrap();
        let defaults = line.options.defaults();
        assert_eq!(defaults.image, "registry.example/worker:1");
        assert_eq!(
            defaults.store.map(|store| (store.url, store.allow_http)),
            Some(("s3://runs/a".into(), true))
        );
        assert_eq!(
            defaults.progress_url,
            "https://agoge-progress.agoge.svc:9443"
        );
    }
}
