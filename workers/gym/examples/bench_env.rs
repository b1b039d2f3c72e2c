//! Load on a running `agoge env serve`: many sessions held, then tool calls at a steady rate over kept connections.
//!
//! Prints one JSON object: the latencies of the calls in milliseconds, as a client sees them. `tests/stacks/bench_env` starts
//! the server, measures its memory and judges the figures.
//!
//! ```text
//! bench_env ADDRESS SESSIONS CALLS_PER_SECOND SECONDS
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};

/// Connections that calls share.
const CONNECTIONS: usize = 8;

type Fault = Box<dyn Error + Send + Sync>;

/// One kept connection.
struct Line {
    host: String,
    stream: BufReader<TcpStream>,
}

impl Line {
    async fn open(host: &str) -> Result<Self, Fault> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            host: host.to_owned(),
            stream: BufReader::new(stream),
        })
    }

    /// Posts a JSON body and returns the answer.
    async fn post(&mut self, path: &str, body: &Value) -> Result<Value, Fault> {
        let body = body.to_string();
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.write_all(text.as_bytes()).await?;
        let (mut status, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err("the server closed the connection".into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if status.is_empty() {
                line.clone_into(&mut status);
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        if !status.contains(" 20") {
            return Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&answer)).into());
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}

/// Begins sessions, and returns the path of each with a call of its task's parcel.
async fn begin(line: &mut Line, sessions: usize) -> Result<Vec<(String, Value)>, Fault> {
    let mut all = Vec::with_capacity(sessions);
    for _ in 0..sessions {
        let opened = line.post("/sessions", &json!({})).await?;
        let id = opened["session"].as_str().ok_or("no session")?;
        let opening = opened["opening"].as_str().unwrap_or_default();
        let mut words = opening.split(|c: char| !c.is_ascii_digit());
        let parcel = words.find(|word| word.len() == 5).unwrap_or("10004");
        let call = json!({"name": "find", "arguments": {"parcel": parcel}});
        all.push((format!("/sessions/{id}/call"), call));
    }
    Ok(all)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, sessions, rate, seconds] = arguments.as_slice() else {
        return Err("bench_env ADDRESS SESSIONS CALLS_PER_SECOND SECONDS".into());
    };
    let (sessions, rate): (usize, u32) = (sessions.parse()?, rate.parse()?);
    let calls = usize::try_from(rate)? * seconds.parse::<usize>()?;
    let began = Instant::now();
    let opened = begin(&mut Line::open(address).await?, sessions).await?;
    let held = began.elapsed().as_secs_f64();
    let (times, mut taken) = mpsc::unbounded_channel();
    let lines: Vec<_> =
        futures::future::try_join_all((0..CONNECTIONS).map(|_| Line::open(address)))
            .await?
            .into_iter()
            .map(Mutex::new)
            .collect();
    let every = Duration::from_secs(1) / rate.max(1);
    let start = Instant::now() + Duration::from_millis(100);
    let (opened, lines) = (&opened, &lines);
    let run = |number: usize| {
        let times = times.clone();
        async move {
            // A call is due at its time whether or not others are answered, so that waiting counts.
            let due = start + every * u32::try_from(number).unwrap_or(u32::MAX);
            tokio::time::sleep_until(due.into()).await;
            let (path, call) = &opened[number % opened.len()];
            let mut line = lines[number % lines.len()].lock().await;
            line.post(path, call).await?;
            let _ = times.send(due.elapsed().as_secs_f64() * 1e3);
            Ok::<(), Fault>(())
        }
    };
    futures::future::try_join_all((0..calls).map(run)).await?;
    let seconds = start.elapsed().as_secs_f64();
    drop(times);
    let mut all = Vec::with_capacity(calls);
    while let Some(time) = taken.recv().await {
        all.push(time);
    }
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize];
    println!(
        "{}",
        json!({
            "sessions": sessions, "sessionsPerSecond": sessions as f64 / held, "calls": calls,
            "callsPerSecond": calls as f64 / seconds,
            "p50Ms": at(0.5), "p99Ms": at(0.99), "maxMs": at(1.0),
        })
    );
    Ok(())
}
