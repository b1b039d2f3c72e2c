//! A fresh tiny policy behind a real socket.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

const SPECIALS: [&str; 6] = [
    "<|sys|>",
    "<|user|>",
    "<|agent|>",
    "<|call|>",
    "<|result|>",
    "<|end|>",
];

/// A server of a fresh policy on a port of its own; it ends with the test's process.
fn server(dir: &std::path::Path) -> SocketAddr {
    let texts = ["where is parcel 48213", "track parcel=48213", "parcel desk"].repeat(5);
    let vocab = Tokenizer::train(texts, 300, &SPECIALS).expect("room for all bytes");
    let config = ModelConfig {
        vocab_size: vocab.size(),
        hidden_size: 32,
        max_position_embeddings: 96,
        ..ModelConfig::default()
    };
    Decoder::fresh(config, 1)
        .and_then(|d| d.save(dir))
        .and_then(|()| vocab.save(dir))
        .expect("a folder to write to");
    let options = Options {
        model: dir.into(),
        port: 0,
        host: Ipv4Addr::LOCALHOST.into(),
        domain: None,
        format: None,
        slots: 4,
    };
    let (service, _) = Service::load(&options).expect("a policy that was just saved");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .await
                .expect("a free port");
            tell.send(listener.local_addr().expect("an address"))
                .expect("a test that waits");
            axum::serve(listener, routes(Arc::new(service)))
                .await
                .expect("a server");
        });
    });
    told.recv().expect("an address")
}

fn ask(at: SocketAddr, path: &str, body: Option<&str>) -> (u16, Value) {
    let mut stream = TcpStream::connect(at).expect("a server");
    let (method, body) = body.map_or(("GET", ""), |body| ("POST", body));
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .expect("a request sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .expect("a status");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).expect("a JSON body"))
}

#[test]
fn a_policy_answers_with_ids_and_logprobs_and_the_same_seed_answers_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let at = server(dir.path());
    assert_eq!(ask(at, "/health", None), (200, json!({"status": "ok"})));
    assert_eq!(
        ask(at, "/v1/models", None).1["data"][0]["max_model_len"],
        96
    );
    let body = json!({"messages": [
        {"role": "system", "content": "parcel desk"},
        {"role": "user", "content": "where is parcel 48213"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "track", "arguments": "{\"parcel\": \"48213\"}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "moving"}],
        "n": 6, "seed": 5, "max_tokens": 9, "logprobs": true});
    let (status, answer) = ask(at, "/v1/chat/completions", Some(&body.to_string()));
    assert_eq!(status, 200, "{answer}");
    let choices = answer["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 6);
    for choice in choices {
        let ids = choice["token_ids"].as_array().unwrap();
        assert!((1..=9).contains(&ids.len()));
        assert_eq!(
            choice["logprobs"]["content"].as_array().unwrap().len(),
            ids.len()
        );
        assert!(
            choice["logprobs"]["content"][0]["logprob"]
                .as_f64()
                .unwrap()
                < 0.0
        );
    }
    assert!(
        choices
            .iter()
            .any(|c| c["token_ids"] != choices[0]["token_ids"]),
        "all choices are one"
    );
    let (_, again) = ask(at, "/v1/chat/completions", Some(&body.to_string()));
    assert_eq!(again["choices"][5]["token_ids"], choices[5]["token_ids"]);
    let vocab = Tokenizer::load(dir.path()).unwrap();
    let prompt: Vec<u32> = serde_json::from_value(answer["prompt_token_ids"].clone()).unwrap();
    use agoge_dialogue::Vocab;
    assert_eq!(
        vocab.decode(&prompt),
        "parcel deskwhere is parcel 48213track parcel=48213moving"
    );
}

#[test]
fn requests_that_cannot_be_answered_name_the_field() {
    let dir = tempfile::tempdir().unwrap();
    let at = server(dir.path());
    let long = "where ".repeat(400);
    for (body, field, reason) in [
        (json!({"messages": []}), "messages", "at least one"),
        (
            json!({"messages": [{"role": "wizard", "content": "x"}]}),
            "messages",
            "messages[0]: its role",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "stream": true}),
            "stream",
            "not offered",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "temperature": -1}),
            "temperature",
            "at least 0",
        ),
        (
            json!({"messages": [{"role": "user", "content": long}]}),
            "messages",
            "the policy's length is 96",
        ),
    ] {
        let (status, answer) = ask(at, "/v1/chat/completions", Some(&body.to_string()));
        assert_eq!(
            (status, answer["error"]["param"].as_str()),
            (400, Some(field)),
            "{answer}"
        );
        assert!(
            answer["error"]["message"]
                .as_str()
                .unwrap()
                .contains(reason),
            "{answer}"
        );
    }
    assert_eq!(ask(at, "/v1/chat/completions", Some("no json")).0, 400);
    assert_eq!(ask(at, "/v2", None).0, 404);
}
