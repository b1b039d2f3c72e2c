use reqwest::header::HeaderValue;
use serde_json::json;

use super::*;

const JSON: &str = "application/json";

/// A response in short: status, content type, `Retry-After`, body.
fn response(status: u16, kind: &'static str, retry_after: &'static str, body: &str) -> Wire {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if !retry_after.is_empty() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(retry_after));
    }
    Wire::Response {
        status,
        headers,
        body: body.as_bytes().to_vec(),
    }
}

/// The class of an exchange in a word or two.
fn class(wire: &Wire) -> String {
    match classify(wire, 40, SystemTime::UNIX_EPOCH) {
        Exchange::Answered(answer) => format!("answer {:?}", answer.finish),
        Exchange::Refused { status, .. } => format!("refused {status}"),
        Exchange::Passing { fault, retry_after } => {
            let fault = match fault {
                Fault::Down { .. } => "down",
                Fault::Stalled(_) => "stalled",
                Fault::Cut { .. } => "cut",
                Fault::Page { .. } => "page",
                Fault::Nonsense { .. } => "nonsense",
                Fault::Busy { .. } => "busy",
                Fault::Failed { .. } => "failed",
            };
            match retry_after {
                Some(wait) => format!("{fault} {}", wait.as_secs()),
                None => fault.to_owned(),
            }
        }
    }
}

/// A completion with this choice.
fn choice(message: &Value, finish: &str) -> String {
    json!({"choices": [{"message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3}})
    .to_string()
}

#[test]
fn answers_are_told_by_their_ends() {
    let said = json!({"content": "hello"});
    let thought = json!({"content": null, "reasoning_content": "Let me see."});
    let unclosed = json!({"content": "<think>\nLet me see"});
    let closed = json!({"content": "<think>\nLet me see\n</think>\n"});
    let call = json!({"content": "", "tool_calls": [{"function": {"name": "look"}}]});
    let refusal = json!({"content": null, "refusal": "I cannot help with that."});
    for (message, finish, expected) in [
        (&said, "stop", "answer Stop"),
        (&said, "length", "answer Length"),
        (&call, "tool_calls", "answer ToolCalls"),
        (&thought, "length", "answer Reasoning"),
        (&unclosed, "length", "answer Reasoning"),
        (&closed, "length", "answer Reasoning"),
        (&call, "length", "answer Length"),
        (&said, "content_filter", "answer Filtered"),
        (&refusal, "stop", "answer Refused"),
        (&said, "eos", "answer Other"),
        (&said, "error", "failed"),
    ] {
        let found = class(&response(200, JSON, "", &choice(message, finish)));
        assert_eq!(found, expected, "{message} {finish}");
    }
}

#[test]
fn the_answer_of_a_refusal_and_of_reasoning_says_what_to_do() {
    let thought = json!({"content": "", "reasoning": "Let me see."});
    let wire = response(200, JSON, "", &choice(&thought, "length"));
    let Exchange::Answered(answer) = classify(&wire, 40, SystemTime::UNIX_EPOCH) else {
        panic!("no answer")
    };
    let stopped = answer.stopped().unwrap();
    assert!(matches!(stopped, Stopped::Reasoning(_)));
    assert!(stopped.to_string().contains("--max-tokens"), "{stopped}");
    let again = response(200, JSON, "", &answer.to_response("m").to_string());
    assert_eq!(
        class(&again),
        "answer Reasoning",
        "it reads back from a recording"
    );
    let blocked =
        json!({"error": {"code": "content_filter", "message": "the prompt was filtered"}});
    let wire = response(400, JSON, "", &blocked.to_string());
    let Exchange::Answered(answer) = classify(&wire, 40, SystemTime::UNIX_EPOCH) else {
        panic!("no answer")
    };
    let stopped = answer.stopped().unwrap().to_string();
    assert!(
        stopped.contains("content filter") && stopped.contains("the prompt was filtered"),
        "{stopped}"
    );
    assert_eq!(answer.usage.total(), 0, "nothing was generated");
}

#[test]
fn whatever_may_pass_is_a_passing_fault() {
    let page = "<!doctype html><title>502</title>";
    let error = |code: &Value| json!({"error": {"message": "gone", "code": code}}).to_string();
    for (status, kind, wait, body, expected) in [
        (
            500,
            JSON,
            "",
            "{\"error\":{\"message\":\"CUDA error\"}}",
            "failed",
        ),
        (501, JSON, "", "", "failed"),
        (502, JSON, "", "bad gateway", "failed"),
        (503, JSON, "3", "{}", "busy 3"),
        (504, "text/plain", "", "upstream request timeout", "failed"),
        (
            529,
            JSON,
            "",
            "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
            "busy",
        ),
        (429, JSON, "", "{}", "busy"),
        (
            429,
            JSON,
            "7",
            "{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"wait\"}}",
            "busy 7",
        ),
        (429, JSON, "Thu, 01 Jan 1970 00:00:09 GMT", "", "busy 9"),
        (408, JSON, "", "", "busy"),
        (409, JSON, "", "", "busy"),
        (425, JSON, "", "", "busy"),
        (200, "text/html; charset=utf-8", "", page, "page"),
        (200, JSON, "", page, "page"),
        (403, "text/html", "", page, "page"),
        (404, "text/html", "", page, "page"),
        (502, "text/html", "4", page, "page 4"),
        (200, JSON, "", "", "nonsense"),
        (200, JSON, "", " \n", "nonsense"),
        (200, "text/plain", "", "hello there", "nonsense"),
        (
            200,
            JSON,
            "",
            "{\"choices\":[{\"message\":{\"content\":\"hel",
            "nonsense",
        ),
        (200, JSON, "", "{\"ok\": 1}", "nonsense"),
        (200, JSON, "", "{\"choices\": []}", "nonsense"),
        (200, JSON, "", "{\"choices\": [{}]}", "nonsense"),
        (200, JSON, "", "{\"error\": \"out of memory\"}", "failed"),
        (
            200,
            JSON,
            "",
            "{\"error\": {\"message\": \"gone\"}, \"choices\": []}",
            "failed",
        ),
        (200, JSON, "", error(&json!(502)).as_str(), "failed"),
        (200, JSON, "", error(&json!("429")).as_str(), "busy"),
        (
            200,
            "text/event-stream",
            "",
            "data: {\"choices\":[{\"delta\":{\"content\":\"he\"}}]}\n",
            "cut",
        ),
        (
            200,
            "text/event-stream",
            "",
            "data: {\"error\":{\"message\":\"gone\"}}\n",
            "failed",
        ),
    ] {
        assert_eq!(
            class(&response(status, kind, wait, body)),
            expected,
            "{status} {body}"
        );
    }
    assert_eq!(class(&Wire::Down("connection refused".into())), "down");
    assert_eq!(class(&Wire::Stalled(Duration::from_secs(3))), "stalled");
    let broken = Wire::Broken {
        bytes: 20,
        why: "connection reset".into(),
    };
    assert_eq!(class(&broken), "cut");
}

#[test]
fn refusals_are_for_good_and_a_filter_is_an_answer() {
    let error = |message: &str, code: &Value| {
        json!({"error": {"message": message, "code": code, "type": "invalid_request_error"}})
            .to_string()
    };
    let none = Value::Null;
    let long = "This model's maximum context length is 4096 tokens";
    for (status, body, expected) in [
        (400, error("no seed here", &none), "refused 400"),
        (401, error("no key", &none), "refused 401"),
        (403, error("not yours", &none), "refused 403"),
        (404, error("no such model", &none), "refused 404"),
        (404, "nothing here".to_owned(), "refused 404"),
        (422, json!({"detail": "no"}).to_string(), "refused 422"),
        (307, String::new(), "refused 307"),
        (400, error(long, &none), "refused 400"),
        (
            500,
            error("the request exceeds the available context size", &none),
            "refused 500",
        ),
        (200, error("bad request", &json!(400)), "refused 400"),
        (
            429,
            error("no credit", &json!("insufficient_quota")),
            "refused 429",
        ),
        (
            429,
            error("context length of all requests in a minute", &none),
            "busy",
        ),
        (
            400,
            error("blocked", &json!("content_filter")),
            "answer Filtered",
        ),
        (
            403,
            error("blocked by the content filter", &none),
            "answer Filtered",
        ),
    ] {
        assert_eq!(
            class(&response(status, JSON, "", &body)),
            expected,
            "{status} {body}"
        );
    }
    assert_eq!(class(&Wire::Unsent("no host".into())), "refused 0");
}

#[test]
fn a_stream_that_was_not_asked_for_and_a_byte_order_mark_are_read() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"hello\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n";
    assert_eq!(
        class(&response(200, "text/event-stream", "", stream)),
        "answer Stop"
    );
    let marked = format!(
        "\u{feff}\n {}",
        choice(&json!({"content": "hello"}), "stop")
    );
    assert_eq!(class(&response(200, JSON, "", &marked)), "answer Stop");
}
