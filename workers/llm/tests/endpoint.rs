//! The client against a small server on this machine that misbehaves in one way at a time.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener as Listener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agoge_dialogue::Message;
use agoge_llm::{Client, Endpoint, Finish, Kind, LlmError, Meter, Recordings, Request, Source};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const GOOD: &str = r#"{"choices":[{"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;

/// The server's treatment of its n-th request (from 0).
type Script = fn(usize) -> Reply;

enum Reply {
    /// Status, headers, body.
    Say(u16, &'static str, &'static str),
    /// Nothing, for ever.
    Stall,
    /// Less than the length it announced.
    BreakOff,
    /// Waits, then answers well.
    Slow(u64),
}

struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

async fn serve(script: Script) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let busy = Arc::new(AtomicUsize::new(0));
    let server = Server {
        url,
        asked: asked.clone(),
        most: most.clone(),
    };
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (asked, most, busy) = (asked.clone(), most.clone(), busy.clone());
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
                let n = asked.fetch_add(1, Ordering::SeqCst);
                most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let (status, headers, body, cut) = match script(n) {
                    Reply::Say(status, headers, body) => (status, headers, body, 0),
                    Reply::BreakOff => (200, "content-type: application/json", GOOD, 20),
                    Reply::Slow(ms) => {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        (200, "content-type: application/json", GOOD, 0)
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

fn client(url: &str) -> Client {
    let endpoint = Endpoint {
        timeout: Duration::from_millis(400),
        tries: 2,
        ..Endpoint::new(url)
    };
    Client::new(endpoint, Arc::default()).unwrap()
}

fn question() -> Request {
    Request::new(vec![Message::user("hi")], 10)
}

async fn failure(script: Script) -> (LlmError, usize) {
    let server = serve(script).await;
    let error = client(&server.url)
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

#[tokio::test]
async fn an_endpoint_that_is_down_is_tried_again_and_named() {
    let port = Listener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = client(&format!("http://127.0.0.1:{port}"))
        .ask("item", &question())
        .await
        .unwrap_err();
    assert!(matches!(error.kind, Kind::Down { tries: 2, .. }), "{error}");
    assert!(error.to_string().contains("is it running"), "{error}");
}

#[tokio::test]
async fn html_is_told_apart_and_not_asked_again() {
    let (error, asked) =
        failure(|_| Reply::Say(200, "content-type: text/html", "<!doctype html><p>Welcome")).await;
    assert!(
        matches!(error.kind, Kind::Html { .. }) && asked == 1,
        "{error}"
    );
    assert!(error.to_string().contains("base URL"), "{error}");
}

#[tokio::test]
async fn nonsense_is_told_apart_and_shown() {
    let (error, asked) =
        failure(|_| Reply::Say(200, "content-type: application/json", "{\"ok\": 1}")).await;
    assert!(
        matches!(error.kind, Kind::Nonsense { .. }) && asked == 1,
        "{error}"
    );
    assert!(error.to_string().contains("{\\\"ok\\\": 1}"), "{error}");
    let (error, _) = failure(|_| Reply::Say(200, "content-type: text/plain", "hello there")).await;
    assert!(error.to_string().contains("it is not JSON"), "{error}");
}

#[tokio::test]
async fn a_stall_ends_in_time_and_is_not_asked_again() {
    let start = Instant::now();
    let (error, asked) = failure(|_| Reply::Stall).await;
    assert!(
        matches!(error.kind, Kind::Stalled(_)) && asked == 1,
        "{error}"
    );
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_asked_again() {
    let (error, asked) = failure(|_| Reply::BreakOff).await;
    assert!(
        matches!(error.kind, Kind::Cut { .. }) && asked == 1,
        "{error}"
    );
    assert!(error.to_string().contains("paid for"), "{error}");
}

#[tokio::test]
async fn busy_is_asked_again_after_the_time_it_says() {
    let server = serve(|n| match n {
        0 => Reply::Say(429, "retry-after: 0.2", "{}"),
        _ => Reply::Slow(0),
    })
    .await;
    let start = Instant::now();
    let answer = client(&server.url).ask("item", &question()).await.unwrap();
    assert_eq!(
        (answer.text.as_str(), answer.finish),
        ("hello", Finish::Stop)
    );
    assert!(start.elapsed() >= Duration::from_millis(200));
    let (error, asked) = failure(|_| Reply::Say(503, "retry-after: 0", "{}")).await;
    assert!(
        matches!(error.kind, Kind::Busy { status: 503, .. }) && asked == 2,
        "{error}"
    );
    let (error, asked) =
        failure(|_| Reply::Say(500, "x: y", "{\"error\":{\"message\":\"boom\"}}")).await;
    assert!(error.to_string().contains("boom") && asked == 1, "{error}");
}

#[tokio::test]
async fn requests_in_flight_stay_within_the_bound_and_the_budget_ends_them() {
    let server = serve(|_| Reply::Slow(50)).await;
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

#[tokio::test]
async fn a_recording_answers_without_the_endpoint() {
    let server = serve(|_| Reply::Slow(0)).await;
    let dir = tempfile::tempdir().unwrap();
    let tape = Arc::new(Recordings::record(dir.path()).unwrap());
    let live = client(&server.url)
        .with_recordings(tape)
        .ask("item", &question())
        .await
        .unwrap();
    let tape = Arc::new(Recordings::replay(dir.path()).unwrap());
    let replayer = client("http://127.0.0.1:9").with_recordings(tape);
    let again = replayer.ask("item", &question()).await.unwrap();
    assert_eq!(
        (live.source, again.source),
        (Source::Live, Source::Replayed)
    );
    assert_eq!(again.text, live.text);
    assert_eq!(replayer.meter().spent().tokens(), 10);
    assert!(replayer.ask("another", &question()).await.is_err());
}
