//! Tells a progress server over TLS how far the work is: at most once a second, from a thread of its own.
//!
//! The assignment names the server; the pod's token is read each time, since the kubelet replaces it. A report that is lost
//! costs nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agoge_contract::{Assignment, ProgressServer};
use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};

const PAUSE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// Where to post, and as whom.
#[derive(Clone, Debug)]
struct Sender {
    server: ProgressServer,
    child: String,
    attempt: u32,
    shard: u32,
}

/// The last report that was not sent yet.
#[derive(Debug, Default)]
struct Waiting {
    next: Option<Value>,
    ended: bool,
}

/// The thread's near end.
#[derive(Debug)]
pub struct Reporter {
    waiting: Arc<(Mutex<Waiting>, Condvar)>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Reporter {
    /// Starts it, if the assignment names a server.
    #[must_use]
    pub fn of(assignment: &Assignment) -> Option<Self> {
        Self::start(Sender {
            server: assignment.progress.clone()?,
            child: assignment.name.clone(),
            attempt: assignment.attempt,
            shard: assignment.shard,
        })
    }

    fn start(sender: Sender) -> Option<Self> {
        let waiting = Arc::new((Mutex::new(Waiting::default()), Condvar::new()));
        let theirs = waiting.clone();
        let thread = std::thread::Builder::new()
            .name("report".into())
            .spawn(move || work(&sender, &theirs))
            .ok()?;
        Some(Self {
            waiting,
            thread: Some(thread),
        })
    }

    /// Hands a report over; one that still waits is replaced. Never blocks for longer than a lock.
    pub fn tell(&self, report: Value) {
        let (waiting, woken) = &*self.waiting;
        waiting.lock().next = Some(report);
        woken.notify_one();
    }
}

impl Drop for Reporter {
    /// Waits for the last report to be sent, or to fail.
    fn drop(&mut self) {
        let (waiting, woken) = &*self.waiting;
        waiting.lock().ended = true;
        woken.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(sender: &Sender, (waiting, woken): &(Mutex<Waiting>, Condvar)) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return;
    };
    loop {
        let (report, ended) = {
            let mut guard = waiting.lock();
            woken.wait_while(&mut guard, |w| w.next.is_none() && !w.ended);
            (guard.next.take(), guard.ended)
        };
        if let Some(report) = report
            && let Err(why) = runtime.block_on(post(sender, &report))
        {
            tracing::debug!(
                url = sender.server.url,
                why,
                "progress was not told; the work goes on"
            );
        }
        if ended {
            return;
        }
        woken.wait_while_for(&mut waiting.lock(), |w| !w.ended, PAUSE);
    }
}

async fn post(sender: &Sender, report: &Value) -> Result<(), String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = &sender.server;
    let read = |file: &Path| std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()));
    let mut client = reqwest::Client::builder().timeout(PATIENCE).no_proxy();
    if let Some(file) = &server.authority {
        let authority = reqwest::Certificate::from_pem(&read(file)?).map_err(|e| e.to_string())?;
        client = client.tls_certs_only([authority]);
    }
    let client = client.build().map_err(|e| e.to_string())?;
    let token = read(&server.token)?;
    let request = client
        .post(format!("{}/v1/progress", server.url.trim_end_matches('/')))
        .bearer_auth(String::from_utf8_lossy(&token).trim())
        .json(&json!({
            "child": sender.child, "attempt": sender.attempt, "shard": sender.shard, "report": report,
        }));
    let response = request.send().await.map_err(|e| format!("{e:?}"))?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(status.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn the_last_report_is_told_with_the_token_of_that_moment_and_an_absent_server_harms_nobody() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        std::fs::write(&token, "of-the-pod\n").unwrap();
        let sender = Sender {
            server: ProgressServer {
                url: format!("http://{}", listener.local_addr().unwrap()),
                token,
                authority: None,
            },
            child: "courier-grpo".into(),
            attempt: 1,
            shard: 2,
        };
        let reporter = Reporter::start(sender.clone()).unwrap();
        reporter.tell(json!({"done": 7}));
        let (mut stream, _) = listener.accept().unwrap();
        let mut told = Vec::new();
        while !told.ends_with(b"}}") {
            let mut part = [0; 1024];
            let n = stream.read(&mut part).unwrap();
            assert!(n > 0, "cut off");
            told.extend_from_slice(&part[..n]);
        }
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .unwrap();
        let told = String::from_utf8(told).unwrap();
        assert!(
            told.contains("authorization: Bearer of-the-pod\r\n"),
            "{told}"
        );
        assert!(
            told.ends_with(r#"{"child":"courier-grpo","attempt":1,"shard":2,"report":{"done":7}}"#)
        );
        drop((reporter, stream, listener));
        let reporter = Reporter::start(sender).unwrap();
        reporter.tell(json!({"done": 8}));
        drop(reporter);
    }
}
