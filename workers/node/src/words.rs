//! A pod's last words: one JSON of at most 4096 bytes in the file that `AGOGE_TERMINATION_LOG` names.
//!
//! `{"result": ...}`, or `{"gzip": "..."}` where that is too long; `{"reason", "message", "retryable"}` of a failure.

use std::io::Write as _;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::failure::Failure;

/// What Kubernetes takes of a termination message.
const MOST: usize = 4096;

/// Writes them, where somebody wants to read them.
pub fn write(ended: &Result<Option<Value>, Failure>) {
    let Some(path) = std::env::var_os("AGOGE_TERMINATION_LOG") else {
        return;
    };
    let text = match ended {
        Ok(None) => return,
        Ok(Some(result)) => of_result(result),
        Err(failure) => of_failure(failure),
    };
    // The file is a mount: it can be written, not replaced.
    if let Err(error) = std::fs::write(&path, text) {
        tracing::warn!(path = %path.display(), %error, "the last words were not written");
    }
}

fn of_result(result: &Value) -> String {
    let text = json!({ "result": result }).to_string();
    if text.len() <= MOST {
        return text;
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let bytes = packed
        .write_all(result.to_string().as_bytes())
        .and_then(|()| packed.finish())
        .unwrap_or_default();
    let text =
        json!({ "gzip": base64::engine::general_purpose::STANDARD.encode(bytes) }).to_string();
    if text.len() <= MOST {
        return text;
    }
    let message = format!("the result is {} bytes even when packed", text.len());
    json!({"reason": "ResultTooLarge", "message": message, "retryable": false}).to_string()
}

fn of_failure(failure: &Failure) -> String {
    let said = failure.to_string();
    let text = |message: &str| {
        json!({"reason": failure.reason().as_str(), "message": message, "retryable": failure.retryable()})
            .to_string()
    };
    // Escapes make a text longer: what is cut is cut by halves until it fits.
    let mut length = said.chars().count();
    loop {
        let cut: String = said.chars().take(length).collect();
        let words = text(&cut);
        if words.len() <= MOST || length == 0 {
            return words;
        }
        length /= 2;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn last_words_fit_and_a_long_result_comes_back_whole() {
        let short = json!({"accepted": 3});
        assert_eq!(of_result(&short), r#"{"result":{"accepted":3}}"#);
        let long = json!({"lineage": vec!["sha256:0123456789abcdef"; 1000]});
        let words: Value = serde_json::from_str(&of_result(&long)).unwrap();
        let packed = base64::engine::general_purpose::STANDARD
            .decode(words["gzip"].as_str().unwrap())
            .unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), long);
        let told = of_failure(&Failure::Input("\"".repeat(9000)));
        assert!(told.len() <= MOST && told.contains(r#""reason":"BadInput""#));
        assert!(of_failure(&Failure::infra("disk full while writing x")).contains("DiskFull"));
    }
}
