use agoge_crds::shared::{FailureAction, FailureRule};

use super::*;

/// The page that lists every failure for people.
const PAGE: &str = include_str!("../../../docs/status.md");

/// One kind of failure: exit code, the observer's word, the message or the end of the log, and what it must come to.
struct Kind {
    code: Option<i32>,
    word: &'static str,
    text: String,
    reason: &'static str,
    told: &'static str,
    retryable: bool,
}

fn kind(
    code: Option<i32>,
    word: &'static str,
    text: &str,
    reason: &'static str,
    told: &'static str,
    retryable: bool,
) -> Kind {
    let text = text.to_owned();
    Kind {
        code,
        word,
        text,
        reason,
        told,
        retryable,
    }
}

/// Every failure kind: all reasons that workers give, and all that drivers find by themselves.
fn kinds() -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Reason::ALL
        .iter()
        .map(|reason| {
            let text = Termination::failure(reason.as_str(), "cause; fix", reason.retryable());
            let code = Some(i32::from(reason.exit_code()));
            let again = reason.retryable();
            kind(code, "Error", &text, reason.as_str(), "cause; fix", again)
        })
        .collect();
    let panic = "INFO step 3\nthread 'main' panicked at x.rs:1:\nno such tensor\nstack backtrace:\n   0: rust";
    let line = "INFO step 3\nerror: no policy.md\n\n";
    let full = "error: disk full while writing x";
    kinds.extend([
        kind(Some(2), "Error", line, "BadInput", "no policy.md", false),
        kind(
            Some(3),
            "Error",
            line,
            "Infrastructure",
            "no policy.md",
            true,
        ),
        kind(
            Some(4),
            "Error",
            "",
            "UserModelNotCertified",
            "it wrote no message",
            false,
        ),
        kind(
            Some(2),
            "Error",
            full,
            "DiskFull",
            "disk full while writing x",
            true,
        ),
        kind(
            Some(3),
            "Error",
            full,
            "DiskFull",
            "disk full while writing x",
            true,
        ),
        kind(Some(130), "Error", line, "Stopped", "no policy.md", true),
        kind(Some(143), "Error", line, "Stopped", "no policy.md", true),
        kind(
            Some(137),
            "Error",
            "INFO step 3",
            "Killed",
            "INFO step 3",
            true,
        ),
        kind(
            Some(137),
            "OOMKilled",
            "INFO step 3",
            "OOMKilled",
            "INFO step 3",
            true,
        ),
        kind(
            Some(128),
            "StartError",
            "no such folder",
            "StartError",
            "no such folder",
            true,
        ),
        kind(None, "Hung", "INFO step 3", "Hung", "INFO step 3", true),
        kind(None, "Evicted", "", "Evicted", "it wrote no message", true),
        kind(Some(101), "Error", panic, "Crashed", "no such tensor", true),
        kind(Some(139), "Error", line, "Crashed", "no policy.md", true),
        kind(
            Some(0),
            "Completed",
            line,
            "NoResult",
            "it ended well and left no result; another attempt finds what is in the store",
            true,
        ),
    ]);
    kinds
}

impl Kind {
    fn judged(&self, place: &str, disrupted: bool, rules: &[FailureRule]) -> ChildState {
        let exit = Exit {
            code: self.code,
            word: Some(self.word.to_owned()),
            disrupted,
            place: place.to_owned(),
        };
        classify(Some(Role::Train), &exit, &self.text, rules)
    }

    fn expected(&self, place: &str, retryable: bool, disrupted: bool) -> ChildState {
        ChildState::Failed {
            exit_code: self.code,
            reason: self.reason.to_owned(),
            message: format!("{place}: {}", self.told),
            retryable,
            disrupted,
        }
    }
}

fn rule(codes: &[u8], reasons: &[&str], action: FailureAction) -> FailureRule {
    FailureRule {
        exit_codes: codes.to_vec(),
        reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(),
        action,
    }
}

#[test]
fn every_failure_has_one_reason_message_and_retry_wherever_it_happens() {
    for kind in kinds() {
        for place in ["pod courier-grpo-0", "log out/logs/courier-grpo.log"] {
            let expected = kind.expected(place, kind.retryable, false);
            assert_eq!(kind.judged(place, false, &[]), expected);
            let expected = kind.expected(place, kind.retryable, true);
            assert_eq!(kind.judged(place, true, &[]), expected);
        }
    }
}

#[test]
fn a_program_that_the_loader_cannot_start_is_told_with_its_library_and_never_retried() {
    let judged = |code: i32, text: &str| {
        let exit = Exit {
            code: Some(code),
            ..Exit::default()
        };
        match classify(Some(Role::Train), &exit, text, &[]) {
            ChildState::Failed {
                reason,
                message,
                retryable,
                ..
            } => (reason, message, retryable),
            other => panic!("{other:?}"),
        }
    };
    let lacks = "/opt/agoge-worker: error while loading shared libraries: libtorch_cpu.so: cannot open shared object file: No such file or directory";
    for (code, text) in [
        (127, lacks),
        (
            127,
            "agoge-worker: symbol lookup error: agoge-worker: undefined symbol: _ZN2at4_ops",
        ),
        (
            1,
            "agoge-worker: /lib/libc.so.6: version `GLIBC_2.41' not found (required by agoge-worker)",
        ),
    ] {
        let (reason, message, retryable) = judged(code, text);
        assert_eq!((reason.as_str(), retryable), ("LibraryMissing", false));
        assert!(message.starts_with(text), "{message}");
        assert!(message.contains("LD_LIBRARY_PATH"), "{message}");
    }
    assert_eq!(judged(127, "no such file").0, "Crashed");
    assert!(PAGE.contains("`LibraryMissing`"));
}

#[test]
fn every_reason_is_on_the_status_page() {
    for kind in kinds().iter().filter(|kind| kind.word != "Evicted") {
        let reason = kind.reason;
        assert!(PAGE.contains(&format!("`{reason}`")), "{reason}");
    }
}

#[test]
fn the_first_rule_that_fits_decides_for_every_failure() {
    use FailureAction::{Fail, Ignore, Retry};
    for kind in kinds() {
        let never = rule(&[99], &["Another"], Ignore);
        for (action, retryable, disrupted) in [
            (Retry, true, false),
            (Fail, false, false),
            (Ignore, true, true),
        ] {
            let other = match action {
                Fail => Retry,
                _ => Fail,
            };
            let expected = kind.expected("pod p", retryable, disrupted);
            let by_reason = [
                never.clone(),
                rule(&[], &[kind.reason], action),
                rule(&[], &[kind.reason], other),
            ];
            assert_eq!(kind.judged("pod p", false, &by_reason), expected);
            let code = kind.code.and_then(|code| u8::try_from(code).ok());
            if let Some(code) = code.filter(|code| *code > 0) {
                let by_code = [never.clone(), rule(&[code], &[], action)];
                assert_eq!(kind.judged("pod p", true, &by_code), expected);
            }
        }
        let untouched = kind.judged("pod p", false, &[never]);
        assert_eq!(untouched, kind.expected("pod p", kind.retryable, false));
    }
}

#[test]
fn messages_of_version_0_2_0_are_understood_and_a_result_counts_only_when_the_worker_ended_well() {
    let exit = |code| Exit {
        code: Some(code),
        ..Exit::default()
    };
    let role = Some(Role::Synthesize);
    let words = r#"{"reason":"WorkerFailed","message":"no room","retryable":true}"#;
    let ChildState::Failed {
        reason, retryable, ..
    } = classify(role, &exit(3), words, &[])
    else {
        panic!("a failure")
    };
    assert_eq!((reason.as_str(), retryable), ("WorkerFailed", true));
    let result = r#"{"result":{"accepted":3}}"#;
    let ChildState::Succeeded { result: Ok(report) } = classify(role, &exit(0), result, &[]) else {
        panic!("a report")
    };
    assert_eq!(report.synthesis().map(|report| report.accepted), Some(3));
    let killed = classify(role, &exit(137), result, &[]);
    assert!(matches!(killed, ChildState::Failed { .. }));
}

#[test]
fn a_result_that_cannot_be_read_is_told_by_its_error_and_progress_that_cannot_is_none() {
    let exit = Exit {
        code: Some(0),
        ..Exit::default()
    };
    let wrong = r#"{"result":{"step":"many"}}"#;
    let ChildState::Succeeded { result: Err(error) } =
        classify(Some(Role::Train), &exit, wrong, &[])
    else {
        panic!("an error")
    };
    assert!(error.contains("many"), "{error}");
    let progress = serde_json::json!({ "figures": { "reward": "high" } });
    assert_eq!(Role::Train.progress(&progress), None);
    assert_eq!(Role::Train.progress(&serde_json::Value::Null), None);
}
