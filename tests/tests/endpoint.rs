//! An evaluation whose endpoint gives out: what was paid for is kept, and the same command plays the rest.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use agoge_tests::{Desk, agoge, read, said};

const ANSWER: &str = r#"{"choices":[{"message":{"role":"assistant","content":"I am sorry."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4}}"#;

/// A model that answers so many requests, and fails all others with the page of a proxy.
struct Server {
    url: String,
    answers: Arc<AtomicUsize>,
    /// The number of answers to each question of each item.
    paid: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Server {
    fn new(answers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            answers: Arc::new(AtomicUsize::new(answers)),
            paid: Arc::default(),
        };
        let (answers, paid) = (server.answers.clone(), server.paid.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &answers, &paid);
            }
        });
        server
    }
}

fn serve(mut stream: TcpStream, answers: &AtomicUsize, paid: &Mutex<BTreeMap<String, u32>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut length, mut asked) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(n) = line.strip_prefix("content-length: ") {
            length = n.parse().unwrap();
        }
        if line.starts_with("x-agoge-") {
            asked.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let left = answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    let (status, kind, body) = match left {
        Ok(_) => (200, "application/json", ANSWER),
        Err(_) => (502, "text/html", "<html>502 Bad Gateway</html>"),
    };
    if status == 200 && !asked.contains("probe") {
        *paid.lock().unwrap().entry(asked).or_default() += 1;
    }
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn eval(desk: &Desk, server: &Server) -> Output {
    let mut command = agoge();
    command
        .args([
            "eval",
            "--tasks",
            "4",
            "--max-turns",
            "2",
            "--patience",
            "0",
        ])
        .args(["--endpoint", &server.url])
        .arg("-f")
        .arg(desk.manifests())
        .arg("--json")
        .arg(desk.dir.path().join("eval.json"));
    command.output().unwrap()
}

#[test]
fn an_outage_loses_no_episode_and_pays_for_nothing_twice() {
    let desk = Desk::new();
    // The probe, one episode, and half of another.
    let server = Server::new(4);
    let output = eval(&desk, &server);
    let told = said(&output);
    assert_eq!(output.status.code(), Some(3), "{told}");
    for word in [
        server.url.as_str(),
        "502 Bad Gateway",
        "of 4 episodes are kept in",
    ] {
        assert!(told.contains(word), "{word:?} is missing in: {told}");
    }
    server.answers.store(usize::MAX, Ordering::SeqCst);
    let ended = |output: Output| {
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{}",
            said(&output)
        )
    };
    ended(eval(&desk, &server));
    let paid = server.paid.lock().unwrap().clone();
    assert!(paid.len() > 4 && paid.values().all(|n| *n == 1), "{paid:?}");
    let found = read(&desk.dir.path().join("eval.json"));
    assert_eq!(found["dialogues"].as_array().unwrap().len(), 4, "{found}");
    // A finished evaluation that is asked for again is played anew.
    ended(eval(&desk, &server));
    let paid = server.paid.lock().unwrap();
    assert!(paid.values().all(|n| *n == 2), "{paid:?}");
}
