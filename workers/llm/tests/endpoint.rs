//! The client against a small server on this machine that misbehaves in one way at a time.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener as Listener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agoge_dialogue::Message;
use agoge_llm::{
    Because, Client, Endpoint, Fault, Finish, Format, Kind, LlmError, Meter, Recordings, Request,
    Source,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const GOOD: &str = r#"{"choices":[{"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
const JSON: &str = "content-type: application/json";

/// The server's treatment of its n-th request (from 0), by its path and body.
type Script = fn(usize, &str, &Value) -> Reply;

enum Reply {
    /// Status, headers, body.
    Say(u16, &'static str, &'static str),
    /// Nothing, for ever.
    Stall,
    /// Less than the length it announced.
    BreakOff,
    /// The connection is closed without a word.
    Hang,
    /// Waits, then answers well.
    Slow(u64),
}

struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    bodies: Arc<Mutex<Vec<Value>>>,
}

async fn serve(script: Script) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve_at(listener, script)
}

fn serve_at(listener: TcpListener, script: Script) -> Server {
    let server = Server {
        url: format!("http://{}", listener.local_addr().unwrap()),
        asked: Arc::default(),
        most: Arc::default(),
        bodies: Arc::default(),
    };
    let (asked, most, bodies) = (
        server.asked.clone(),
        server.most.clone(),
        server.bodies.clone(),
    );
    let busy = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (asked, most, busy) = (asked.clone(), most.clone(), busy.clone());
            let bodies = bodies.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                let mut buffer = [0; 4096];
                while !whole(&seen) {
                    let n = stream.read(&mut buffer).await.unwrap_or(0);
                    if n == 0 {
                        return;
                    }
                    seen.extend_from_slice(&buffer[..n]);
                }
                let (path, body) = parts(&seen);
                let n = asked.fetch_add(1, Ordering::SeqCst);
                most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let reply = script(n, &path, &body);
                bodies.lock().push(body);
                let (status, headers, body, cut) = match reply {
                    Reply::Say(status, headers, body) => (status, headers, body, 0),
                    Reply::BreakOff => (200, JSON, GOOD, 20),
                    Reply::Slow(ms) => {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        (200, JSON, GOOD, 0)
                    }
                    Reply::Hang => {
                        busy.fetch_sub(1, Ordering::SeqCst);
                        return;
                    }
                    Reply::Stall => std::future::pending().await,
                };
                busy.fetch_sub(1, Ordering::SeqCst);
                let head = format!(
                    "HTTP/1.1 {status} X\r\n{headers}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len() + cut
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(body.as_bytes()).await;
            });
        }
    });
    server
}

/// Path and body of a request.
fn parts(seen: &[u8]) -> (String, Value) {
    let text = String::from_utf8_lossy(seen);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    (path, serde_json::from_str(body).unwrap())
}

fn whole(seen: &[u8]) -> bool {
    let text = String::from_utf8_lossy(seen);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|l| {
        l.to_lowercase()
            .strip_prefix("content-length: ")
            .map(str::to_owned)
    });
    length.is_none_or(|n| body.len() >= n.trim().parse::<usize>().unwrap())
}

/// A client that waits out an outage of so many milliseconds.
fn client(url: &str, patience: u64) -> Client {
    let endpoint = Endpoint {
        timeout: Duration::from_millis(400),
        patience: Duration::from_millis(patience),
        ..Endpoint::new(url)
    };
    Client::new(endpoint, Arc::default()).unwrap()
}

fn question() -> Request {
    Request::new(vec![Message::user("hi")], 10)
}

/// The error of an endpoint that never gets better, and how often it was asked.
async fn failure(script: Script) -> (LlmError, usize) {
    let server = serve(script).await;
    let error = client(&server.url, 600)
        .ask("item", &question())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("endpoint {}: ", server.url)),
        "{error}"
    );
    (error, server.asked.load(Ordering::SeqCst))
}

fn closed_port() -> u16 {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_named_when_the_patience_is_over() {
    let url = format!("http://127.0.0.1:{}", closed_port());
    let error = client(&url, 0).ask("item", &question()).await.unwrap_err();
    let tries = |error: &LlmError| match &error.kind {
        Kind::Lasting {
            fault: Fault::Down { .. },
            tries,
            others: false,
            ..
        } => *tries,
        _ => panic!("{error}"),
    };
    assert_eq!(tries(&error), 1);
    assert!(error.to_string().contains("is it running"), "{error}");
    assert!(error.is_passing() && error.is_final() && !error.is_alone());
    let error = client(&url, 300)
        .ask("item", &question())
        .await
        .unwrap_err();
    assert!(tries(&error) > 1, "{error}");
}

#[tokio::test]
async fn an_outage_within_the_patience_is_waited_out() {
    let port = closed_port();
    let client = client(&format!("http://127.0.0.1:{port}"), 20_000);
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.ask("item", &question()).await }
    });
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(client.outage().is_some());
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let _server = serve_at(listener, |_, _, _| Reply::Slow(0));
    assert_eq!(asked.await.unwrap().unwrap().text, "hello");
    assert!(client.outage().is_none());
    assert_eq!(client.meter().spent().calls, 1);
}

#[tokio::test]
async fn every_fault_that_passes_is_retried_and_the_answer_is_paid_for_once() {
    // A server whose first reply is this one.
    macro_rules! once {
        ($reply:expr) => {
            |n, _, _| if n == 0 { $reply } else { Reply::Slow(0) }
        };
    }
    let scripts: [Script; 9] = [
        once!(Reply::Say(
            502,
            "content-type: text/html",
            "<html>502 Bad Gateway</html>"
        )),
        once!(Reply::Say(
            500,
            JSON,
            "{\"error\":{\"message\":\"CUDA error\"}}"
        )),
        once!(Reply::Say(429, "retry-after: 0", "{}")),
        once!(Reply::Say(200, JSON, "")),
        once!(Reply::Say(200, JSON, "{\"choices\":[]}")),
        once!(Reply::Say(
            200,
            JSON,
            "{\"choices\":[{\"message\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}"
        )),
        once!(Reply::BreakOff),
        once!(Reply::Hang),
        once!(Reply::Stall),
    ];
    let mut all = tokio::task::JoinSet::new();
    for script in scripts {
        all.spawn(async move {
            let server = serve(script).await;
            let client = client(&server.url, 60_000);
            let answer = client.ask("item", &question()).await.unwrap();
            let spent = client.meter().spent();
            let asked = server.asked.load(Ordering::SeqCst);
            (
                answer.text,
                answer.finish,
                spent.calls,
                spent.tokens(),
                asked,
            )
        });
    }
    for found in all.join_all().await {
        assert_eq!(found, ("hello".to_owned(), Finish::Stop, 1, 10, 2));
    }
}

#[tokio::test]
async fn a_fault_that_lasts_is_told_with_the_endpoints_words() {
    let cases: [(Script, &str); 6] = [
        (
            |_, _, _| Reply::Say(200, "content-type: text/html", "<!doctype html><p>Welcome"),
            "<!doctype html><p>Welcome",
        ),
        (
            |_, _, _| Reply::Say(200, JSON, "{\"ok\": 1}"),
            "not a chat completion",
        ),
        (
            |_, _, _| Reply::Say(200, "content-type: text/plain", "hello there"),
            "it is not JSON",
        ),
        (
            |_, _, _| Reply::Say(500, JSON, "{\"error\":{\"message\":\"boom\"}}"),
            "boom",
        ),
        (
            |_, _, _| Reply::Say(503, "retry-after: 0", "{}"),
            "busy (status 503)",
        ),
        (|_, _, _| Reply::BreakOff, "broke off after"),
    ];
    for (script, says) in cases {
        let (error, asked) = failure(script).await;
        assert!(error.to_string().contains(says), "{says}: {error}");
        assert!(asked > 1 && error.is_passing(), "{asked}: {error}");
    }
}

#[tokio::test]
async fn a_stall_ends_in_time() {
    let start = Instant::now();
    let (error, asked) = failure(|_, _, _| Reply::Stall).await;
    assert!(error.to_string().contains("no answer within"), "{error}");
    assert!(asked >= 2 && start.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn refusals_are_told_at_once_with_advice_that_fits() {
    let cases: [(Script, Because); 4] = [
        (
            |_, _, _| Reply::Say(401, JSON, "{\"error\":{\"message\":\"no\"}}"),
            Because::Key,
        ),
        (
            |_, _, _| Reply::Say(404, JSON, "{\"error\":{\"message\":\"no route\"}}"),
            Because::Address,
        ),
        (
            |_, _, _| {
                Reply::Say(
                    400,
                    JSON,
                    "{\"error\":{\"message\":\"the maximum context length is 8\"}}",
                )
            },
            Because::TooLong,
        ),
        (
            |_, _, _| Reply::Say(422, JSON, "{\"detail\":\"not like that\"}"),
            Because::Other,
        ),
    ];
    for (script, because) in cases {
        let (error, asked) = failure(script).await;
        assert!(
            matches!(&error.kind, Kind::Refused(refusal) if refusal.because == because),
            "{error}"
        );
        assert_eq!((asked, error.is_passing()), (1, false), "{error}");
        assert_eq!(error.is_final(), because != Because::TooLong, "{error}");
    }
}

#[tokio::test]
async fn busy_is_asked_again_after_the_time_it_says() {
    let server = serve(|n, _, _| match n {
        0 => Reply::Say(429, "retry-after: 0.2", "{}"),
        _ => Reply::Slow(0),
    })
    .await;
    let start = Instant::now();
    client(&server.url, 5_000)
        .ask("item", &question())
        .await
        .unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn requests_in_flight_stay_within_the_bound_and_the_budget_ends_them() {
    let server = serve(|_, _, _| Reply::Slow(50)).await;
    let meter = Arc::new(Meter::new(Some(50), None));
    let endpoint = Endpoint {
        concurrency: 2,
        ..Endpoint::new(&server.url)
    };
    let client = Client::new(endpoint, meter.clone()).unwrap();
    let mut all = tokio::task::JoinSet::new();
    for n in 0..6 {
        let client = client.clone();
        all.spawn(async move { client.ask(&n.to_string(), &question()).await });
    }
    for answer in all.join_all().await {
        answer.unwrap();
    }
    assert_eq!(server.most.load(Ordering::SeqCst), 2);
    assert_eq!((meter.spent().calls, meter.spent().tokens()), (6, 60));
    let error = client.ask("late", &question()).await.unwrap_err();
    assert!(error.is_budget(), "{error}");
}

/// The limit of one minute, in short: what is beyond it is refused for a while.
#[tokio::test]
async fn a_rate_limit_slows_many_requests_down_and_loses_none() {
    let server = serve(|n, _, _| match n % 2 {
        1 => Reply::Slow(5),
        _ => Reply::Say(429, "retry-after: 0.05", "{}"),
    })
    .await;
    let client = client(&server.url, 30_000);
    let mut all = tokio::task::JoinSet::new();
    for n in 0..12 {
        let client = client.clone();
        all.spawn(async move { client.ask(&n.to_string(), &question()).await });
    }
    for answer in all.join_all().await {
        answer.unwrap();
    }
    assert_eq!(client.meter().spent().calls, 12);
}

/// Takes neither `max_tokens` nor a seed nor a schema.
fn picky(_: usize, _: &str, body: &Value) -> Reply {
    let refuse = |said| Reply::Say(400, JSON, said);
    if body.get("max_tokens").is_some() {
        refuse("{\"error\":{\"message\":\"use max_completion_tokens\",\"param\":\"max_tokens\"}}")
    } else if body.get("seed").is_some() {
        Reply::Say(
            422,
            JSON,
            "{\"detail\":[{\"loc\":[\"body\",\"seed\"],\"msg\":\"Extra inputs are not permitted\"}]}",
        )
    } else if body.pointer("/response_format/type") == Some(&json!("json_schema")) {
        refuse("{\"error\":{\"message\":\"response_format of this type is not served here\"}}")
    } else {
        Reply::Slow(0)
    }
}

#[tokio::test]
async fn a_dialect_is_learned_once_and_shared_and_recordings_do_not_know_it() {
    let server = serve(picky).await;
    let dir = tempfile::tempdir().unwrap();
    let tape = Arc::new(Recordings::record(dir.path()).unwrap());
    let client = client(&server.url, 0).with_recordings(tape);
    let request = Request {
        seed: Some(7),
        format: Format::Schema(json!({"type": "object"})),
        ..question()
    };
    client.ask("item", &request).await.unwrap();
    assert_eq!(server.asked.load(Ordering::SeqCst), 4);
    client.clone().ask("another", &request).await.unwrap();
    assert_eq!(server.asked.load(Ordering::SeqCst), 5, "a clone knows it");
    let sent = server.bodies.lock().pop().unwrap();
    assert_eq!(sent["max_completion_tokens"], 10);
    assert_eq!(
        (sent.get("seed"), &sent["response_format"]["type"]),
        (None, &json!("json_object"))
    );
    assert_eq!(client.meter().spent().calls, 2, "a refusal is no exchange");
    let file = std::fs::read_to_string(dir.path().join("default.jsonl")).unwrap();
    assert!(file.contains(&request.digest("default")), "{file}");
}

#[tokio::test]
async fn a_path_is_used_as_it_is_given_and_a_prefix_before_v1_is_found() {
    let server = serve(|_, path, _| match path {
        "/v1beta/openai/chat/completions" | "/proxy/v1/chat/completions" => Reply::Slow(0),
        _ => Reply::Say(404, JSON, "{\"error\":{\"message\":\"not found\"}}"),
    })
    .await;
    for path in [
        "/v1beta/openai",
        "/v1beta/openai/chat/completions",
        "/proxy",
    ] {
        let client = client(&format!("{}{path}", server.url), 0);
        client.ask("item", &question()).await.unwrap();
        client.ask("another", &question()).await.unwrap();
    }
    assert_eq!(
        server.asked.load(Ordering::SeqCst),
        7,
        "the prefix is found once"
    );
    let error = client(&format!("{}/elsewhere", server.url), 0)
        .ask("item", &question())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("status 404"), "{error}");
}

#[tokio::test]
async fn a_recording_answers_without_the_endpoint() {
    let server = serve(|_, _, _| Reply::Slow(0)).await;
    let dir = tempfile::tempdir().unwrap();
    let tape = Arc::new(Recordings::record(dir.path()).unwrap());
    let live = client(&server.url, 0)
        .with_recordings(tape)
        .ask("item", &question())
        .await
        .unwrap();
    let tape = Arc::new(Recordings::replay(dir.path()).unwrap());
    let replayer = client("http://127.0.0.1:9", 0).with_recordings(tape);
    let again = replayer.ask("item", &question()).await.unwrap();
    assert_eq!(
        (live.source, again.source),
        (Source::Live, Source::Replayed)
    );
    assert_eq!(again.text, live.text);
    assert_eq!(replayer.meter().spent().tokens(), 10);
    assert!(replayer.ask("another", &question()).await.is_err());
}

/// A request that an outage ended is asked again under its own name.
#[tokio::test]
async fn an_outage_leaves_no_gap_in_a_recording() {
    let server = serve(|n, _, _| match n {
        0 => Reply::Say(502, JSON, "{}"),
        _ => Reply::Slow(0),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let tape = Arc::new(Recordings::record(dir.path()).unwrap());
    let client = client(&server.url, 0).with_recordings(tape);
    assert!(client.ask("item", &question()).await.is_err());
    client.ask("item", &question()).await.unwrap();
    let tape = Arc::new(Recordings::replay(dir.path()).unwrap());
    let replayer = self::client("http://127.0.0.1:9", 0).with_recordings(tape);
    replayer.ask("item", &question()).await.unwrap();
}
