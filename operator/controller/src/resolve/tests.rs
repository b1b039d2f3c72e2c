//! Names are resolved by ConfigMaps; one that cannot be resolved says what is missing.

use serde_json::json;

use super::*;
use crate::fake_api::FakeApi;

fn resolver(api: &FakeApi, store: Option<StoreFrom>) -> Resolver {
    let defaults = Defaults {
        store,
        image: "worker:dev".into(),
        pull_policy: "IfNotPresent".into(),
        service_account: "default".into(),
        progress_url: "https://progress".into(),
    };
    Resolver::new(api.client(), defaults)
}

fn config_map(api: &FakeApi, name: &str, data: serde_json::Value) {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": "team" }, "data": data,
    });
    api.put(&format!("/api/v1/namespaces/team/configmaps/{name}"), map);
}

fn missing<T: std::fmt::Debug>(resolved: Result<T, Unresolved>) -> (String, String) {
    match resolved {
        Err(Unresolved::Missing(ChildState::Pending {
            reason: Some(reason),
            message,
        })) => (reason, message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_domain_is_files_an_image_or_a_digest_in_the_store() {
    let api = FakeApi::default();
    config_map(&api, "files", json!({ "tools.py": "x".repeat(5000) }));
    config_map(&api, "image", json!({ "image": "registry/desk:1" }));
    config_map(&api, "digest", json!({ "store": "sha256:d" }));
    let resolver = resolver(&api, None);
    for (name, expected) in [
        ("files", DomainFrom::ConfigMap("files".into())),
        ("image", DomainFrom::Image("registry/desk:1".into())),
        ("digest", DomainFrom::Store("sha256:d".into())),
    ] {
        assert_eq!(resolver.domain("team", name).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_says_what_to_create() {
    let api = FakeApi::default();
    config_map(&api, "empty", json!({}));
    let resolver = resolver(&api, None);
    let (reason, message) = missing(resolver.domain("team", "desk").await);
    assert_eq!(reason, "DomainNotFound");
    assert!(message.contains("ConfigMap desk in team"), "{message}");
    let (reason, message) = missing(resolver.endpoint("team", "empty").await);
    assert_eq!(reason, "EndpointNotFound");
    assert!(message.contains("has no key url"), "{message}");
    let (reason, message) = missing(resolver.store("team", None).await);
    assert_eq!(reason, "StoreNotFound");
    assert!(message.contains("--store-url"), "{message}");
}

#[tokio::test]
async fn a_store_has_everything_that_its_config_map_says() {
    let api = FakeApi::default();
    let data = json!({ "url": "s3://b", "allowHttp": "true", "secret": "keys", "region": "eu" });
    config_map(&api, "bucket", data);
    let default = StoreFrom {
        url: "s3://default".into(),
        ..StoreFrom::default()
    };
    let resolver = resolver(&api, Some(default.clone()));
    let expected = StoreFrom {
        url: "s3://b".into(),
        region: Some("eu".into()),
        allow_http: true,
        secret: Some("keys".into()),
        ..StoreFrom::default()
    };
    assert_eq!(
        resolver.store("team", Some("bucket")).await.unwrap(),
        expected
    );
    assert_eq!(resolver.store("team", None).await.unwrap(), default);
}

#[tokio::test]
async fn a_config_map_is_read_once_in_a_while_and_a_failure_is_not_remembered() {
    let api = FakeApi::default();
    let resolver = resolver(&api, None);
    api.refuse("configmaps/desk", 500, "InternalError");
    let failed = resolver.domain("team", "desk").await;
    assert!(matches!(failed, Err(Unresolved::Api(_))), "{failed:?}");
    missing(resolver.domain("team", "desk").await);
    config_map(&api, "desk", json!({}));
    resolver.domain("team", "desk").await.unwrap();
    api.take_log();
    resolver.domain("team", "desk").await.unwrap();
    assert!(api.take_log().is_empty());
}
