//! The server, tested by a real TLS client: a Pod may report for itself only, and its owner is noticed.

#![allow(clippy::unwrap_used)]

use agoge_progress::{
    Authority, Board, Change, Counters, Identity, PodRef, Pods, Review, ReviewError, Server,
    Serving,
};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Reviews tokens of the form `namespace/pod/uid`; others are invalid.
struct Names;

impl Review for Names {
    fn review<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<Identity>, ReviewError>> {
        let parts: Vec<_> = token.split('/').map(str::to_owned).collect();
        let identity = <[String; 3]>::try_from(parts).ok();
        let identity = identity.map(|[namespace, pod_name, pod_uid]| Identity {
            namespace,
            pod_name,
            pod_uid,
        });
        Box::pin(async move { Ok(identity) })
    }
}

/// Pods `train-0` … `train-9` of job `train`, uid `u0` …, index 0 ….
struct Trainers;

impl Pods for Trainers {
    fn pod(&self, namespace: &str, name: &str) -> Option<PodRef> {
        let index: u32 = name.strip_prefix("train-")?.parse().ok()?;
        (namespace == "team" && index < 10).then(|| PodRef {
            uid: format!("u{index}"),
            child: "train".to_owned(),
            owner_kind: "GRPORun".to_owned(),
            owner_name: "run".to_owned(),
            index,
            namespace: namespace.to_owned(),
        })
    }
}

struct Scene {
    address: std::net::SocketAddr,
    board: Board,
    counters: Counters,
    serving: Arc<Serving>,
}

async fn scene() -> Scene {
    let serving = Serving::new(Authority::generate().unwrap(), "agoge-system").unwrap();
    let board = Board::new(Arc::new(Trainers));
    let counters = Counters::default();
    let server = Server {
        serving: Arc::clone(&serving),
        review: Arc::new(agoge_progress::Cached::new(Names)),
        board: board.clone(),
        counters: counters.clone(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server.serve(listener, std::future::pending()));
    Scene {
        address,
        board,
        counters,
        serving,
    }
}

impl Scene {
    async fn connect(
        &self,
        bundle: &str,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(bundle.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("agoge-progress.agoge-system.svc").unwrap();
        let stream = TcpStream::connect(self.address).await?;
        tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    /// Posts a report with this token; returns the HTTP status.
    async fn post(&self, token: Option<&str>, body: &str) -> u16 {
        let mut stream = self
            .connect(self.serving.authority().bundle())
            .await
            .unwrap();
        let token = token.map_or_else(String::new, |token| {
            format!("authorization: Bearer {token}\r\n")
        });
        let head = format!(
            "POST /v1/progress HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{token}content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // A server that has refused the request need not read the rest.
        let _ = stream.write_all(body.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{answer:?}"))
    }
}

fn report(child: &str, shard: u32) -> String {
    json!({"child": child, "attempt": 0, "shard": shard, "report": {"step": 3}}).to_string()
}

#[tokio::test]
async fn a_pod_reports_for_its_own_child_and_shard_alone() {
    let scene = scene().await;
    assert_eq!(
        scene
            .post(Some("team/train-1/u1"), &report("train", 1))
            .await,
        204
    );
    assert_eq!(
        scene.board.reports("team", "train").get(&1),
        Some(&json!({"step": 3}))
    );
    assert!(scene.board.reports("other", "train").is_empty());
    for (token, body, what) in [
        ("team/train-2/u2", report("other", 2), "another child"),
        ("team/train-2/u2", report("train", 1), "another shard"),
        (
            "team/train-2/u1",
            report("train", 2),
            "a Pod of that name that does not exist any more",
        ),
        ("team/train-99/u99", report("train", 99), "an unknown Pod"),
        ("other/train-2/u2", report("train", 2), "another namespace"),
    ] {
        assert_eq!(scene.post(Some(token), &body).await, 403, "{what}");
    }
    assert_eq!(scene.board.reports("team", "train").len(), 1);
    scene.board.forget("team", "train");
    assert!(scene.board.reports("team", "train").is_empty());
}

#[tokio::test]
async fn requests_that_are_not_reports_are_refused_with_distinct_statuses() {
    let scene = scene().await;
    assert_eq!(scene.post(None, &report("train", 1)).await, 401);
    assert_eq!(scene.post(Some("unbound"), &report("train", 1)).await, 401);
    assert_eq!(scene.post(Some("team/train-1/u1"), "{}").await, 400);
    let large = report("train", 1).replace('3', &"3".repeat(agoge_progress::MAX_BODY));
    assert_eq!(scene.post(Some("team/train-1/u1"), &large).await, 413);
    assert_eq!(
        scene
            .post(Some("team/train-1/u1"), &report("train", 1))
            .await,
        204
    );
    assert_eq!(
        scene
            .post(Some("team/train-1/u1"), &report("train", 1))
            .await,
        429,
        "too soon after the first"
    );
    let counts: std::collections::BTreeMap<_, _> = scene.counters.snapshot().collect();
    let counted = [
        "accepted",
        "unauthenticated",
        "malformed",
        "too_large",
        "too_many",
    ]
    .map(|name| counts[name]);
    assert_eq!(counted, [1, 2, 1, 1, 1]);
}

#[tokio::test]
async fn only_the_issuing_authority_is_trusted() {
    let scene = scene().await;
    let stranger = Authority::generate().unwrap();
    assert!(scene.connect(stranger.bundle()).await.is_err());
    // The worker's bundle stays valid when the serving certificate is renewed.
    scene.serving.renew().unwrap();
    assert!(
        scene
            .connect(scene.serving.authority().bundle())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_report_is_noticed_at_once() {
    let scene = scene().await;
    let mut changes = Box::pin(scene.board.changes());
    assert_eq!(
        scene
            .post(Some("team/train-1/u1"), &report("train", 1))
            .await,
        204
    );
    let run = Change {
        namespace: "team".to_owned(),
        owner_kind: "GRPORun".to_owned(),
        owner_name: "run".to_owned(),
    };
    assert_eq!(changes.next().now_or_never(), Some(Some(run)));
}

/// Two replicas that start at once on a real API server; runs when `AGOGE_TEST_CLUSTER` is set.
#[tokio::test]
async fn replicas_that_start_at_once_share_one_authority() {
    if std::env::var_os("AGOGE_TEST_CLUSTER").is_none() {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = kube::Client::try_default().await.unwrap();
    let secrets: kube::Api<k8s_openapi::api::core::v1::Secret> =
        kube::Api::namespaced(client.clone(), "default");
    let _ = secrets
        .delete(agoge_progress::SECRET, &kube::api::DeleteParams::default())
        .await;
    let replicas = (0..8).map(|_| Authority::ensure(client.clone(), "default"));
    let authorities = futures::future::join_all(replicas).await;
    let bundles: std::collections::BTreeSet<_> = authorities
        .iter()
        .map(|authority| authority.as_ref().unwrap().bundle().to_owned())
        .collect();
    assert_eq!(bundles.len(), 1);
    let serving = Serving::new(
        Authority::ensure(client, "default").await.unwrap(),
        "agoge-system",
    )
    .unwrap();
    assert_eq!(
        bundles.first().map(String::as_str),
        Some(serving.authority().bundle())
    );
}
