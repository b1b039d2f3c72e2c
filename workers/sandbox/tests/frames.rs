//! Frames of arbitrary bytes: nothing panics, and memory grows with what arrives, not with what is announced.
#![allow(clippy::unwrap_used)]

use std::io::{self, Read};
use std::time::Duration;

use agoge_sandbox::protocol::{MAX_FRAME, Reply, Request, read, write};
use agoge_sandbox::{KillReason, Outcome, Overlay};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A reader that remembers the largest buffer it was asked to fill.
struct Measured<'a> {
    left: &'a [u8],
    largest: usize,
}

impl Read for Measured<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.largest = self.largest.max(buffer.len());
        self.left.read(buffer)
    }
}

fn framed(length: u32, body: &[u8]) -> Vec<u8> {
    [&length.to_le_bytes(), body].concat()
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

#[test]
fn a_length_that_is_only_announced_takes_no_memory() {
    for length in [1 << 20, 64 << 20, MAX_FRAME as u32] {
        let bytes = framed(length, b"{\"done\": ");
        let mut reader = Measured {
            left: &bytes,
            largest: 0,
        };
        let error = read::<Reply>(&mut reader).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(
            reader.largest <= 64 << 10,
            "{} bytes at once",
            reader.largest
        );
    }
    let over = framed(MAX_FRAME as u32 + 1, b"");
    assert!(read::<Reply>(&mut over.as_slice()).is_err());
}

#[test]
fn a_frame_nested_without_end_is_an_error() {
    let body = "[".repeat(1 << 20);
    let bytes = framed(1 << 20, body.as_bytes());
    assert!(read::<Value>(&mut bytes.as_slice()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read::<Request>(&mut bytes.as_slice());
        let _ = read::<Reply>(&mut bytes.as_slice());
        let length = u32::try_from(bytes.len()).unwrap();
        prop_assert!(read::<Reply>(&mut framed(length, &bytes).as_slice()).is_err());
    }

    #[test]
    fn any_json_in_the_place_of_a_field_is_a_frame_or_an_error(value in value(), field in 0usize..4) {
        let mut call = json!({"call": {"overlay": {}, "now": "", "function": "f", "arguments": {}}});
        call["call"][["overlay", "now", "function", "arguments"][field]] = value;
        let body = call.to_string();
        let bytes = framed(u32::try_from(body.len()).unwrap(), body.as_bytes());
        let _ = read::<Request>(&mut bytes.as_slice());
    }

    #[test]
    fn a_frame_that_is_written_is_read_as_the_same(value in value(), name in ".{0,12}", line in any::<Option<u32>>()) {
        let outcomes = [
            Outcome::Value(value.clone()),
            Outcome::Raised { kind: name.clone(), message: name.clone(), line },
            Outcome::Killed(KillReason::Time),
            Outcome::Lost(name.clone()),
        ];
        let mut stream = Vec::new();
        for outcome in &outcomes {
            let overlay = Some(Overlay::default());
            write(&mut stream, &Reply::Done { outcome: outcome.clone(), overlay, cpu: Duration::from_millis(3), reads: 1 }).unwrap();
        }
        let arguments = Map::from_iter([(name.clone(), value)]);
        let call = Request::Call { overlay: Overlay::default(), now: name.clone(), function: name, arguments: arguments.clone(), then: None };
        write(&mut stream, &call).unwrap();

        let mut stream = stream.as_slice();
        for written in &outcomes {
            match read::<Reply>(&mut stream) {
                Ok(Some(Reply::Done { outcome, .. })) => prop_assert_eq!(&outcome, written),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        match read::<Request>(&mut stream) {
            Ok(Some(Request::Call { arguments: back, .. })) => prop_assert_eq!(back, arguments),
            other => prop_assert!(false, "{:?}", other),
        }
        prop_assert!(read::<Request>(&mut stream).unwrap().is_none());
    }
}
