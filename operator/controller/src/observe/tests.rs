use super::*;
use crate::names::{Kind, Target};
use agoge_contract::Termination;
use agoge_crds::lineage::Generation;
use agoge_crds::report::SynthesisReport;
use agoge_crds::shared::FailureRule;
use serde_json::json;

fn job() -> JobFacts {
    JobFacts {
        uid: "j".into(),
        name: "run-grpo".into(),
        version: 1,
        owner: Target {
            kind: Kind::GRPORun,
            namespace: "ns".into(),
            name: "run".into(),
        },
        owner_uid: "o".into(),
        key: "grpo".into(),
        attempt: 0,
        component: "train".into(),
        shards: 1,
        suspended: false,
        queued: false,
        deleting: false,
        gang: false,
        complete: false,
        failed: None,
    }
}

fn pod(exit_code: i32, reason: &str, message: &str) -> PodFacts {
    PodFacts {
        name: "run-grpo-0".into(),
        ended: Some(Ended {
            exit_code,
            reason: reason.into(),
            message: message.into(),
            at: 1,
        }),
        ..PodFacts::default()
    }
}

fn failed() -> JobFacts {
    JobFacts {
        failed: Some(("BackoffLimitExceeded".into(), "limit".into())),
        ..job()
    }
}

fn see(job: &JobFacts, pods: &[PodFacts], rules: &[FailureRule]) -> ChildState {
    state(
        job,
        &pods.iter().collect::<Vec<_>>(),
        &BTreeMap::new(),
        None,
        rules,
    )
}

fn of(state: ChildState) -> (Option<i32>, String, String, bool, bool) {
    match state {
        ChildState::Failed {
            exit_code,
            reason,
            message,
            retryable,
            disrupted,
        } => (exit_code, reason, message, retryable, disrupted),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failure_has_pod_code_and_message_whoever_wrote_it() {
    for (code, kubelet, message, reason, told, retryable) in [
        (
            3,
            "Error",
            r#"{"reason":"EndpointDown","message":"qwen refused","retryable":true}"#,
            "EndpointDown",
            "qwen refused",
            true,
        ),
        (
            2,
            "Error",
            "INFO\nerror: domain: no policy.md\n",
            "BadInput",
            "domain: no policy.md",
            false,
        ),
        (
            137,
            "OOMKilled",
            "INFO step 3",
            "OOMKilled",
            "INFO step 3",
            true,
        ),
        (137, "Error", "INFO step 3", "Killed", "INFO step 3", true),
        (
            128,
            "StartError",
            "no such folder",
            "StartError",
            "no such folder",
            true,
        ),
        (
            101,
            "Error",
            "thread 'main' panicked at x.rs:1:\nno such tensor\nstack backtrace:",
            "Crashed",
            "no such tensor",
            true,
        ),
        (
            4,
            "Error",
            "",
            "UserModelNotCertified",
            "it wrote no message",
            false,
        ),
    ] {
        let (exit, word, text, again, _) = of(see(&failed(), &[pod(code, kubelet, message)], &[]));
        assert_eq!(
            (exit, word.as_str(), again),
            (Some(code), reason, retryable)
        );
        assert_eq!(text, format!("pod run-grpo-0: {told}"));
    }
}

#[test]
fn the_first_rule_that_fits_decides() {
    let rule = |value| serde_json::from_value::<FailureRule>(value).unwrap();
    let rules = [
        rule(json!({ "exitCodes": [3], "action": "fail" })),
        rule(json!({ "reasons": ["OOMKilled", "Infrastructure"], "action": "ignore" })),
    ];
    let judged = |code, kubelet| {
        let (.., retryable, disrupted) = of(see(&failed(), &[pod(code, kubelet, "")], &rules));
        (retryable, disrupted)
    };
    assert_eq!(judged(3, "Error"), (false, false));
    assert_eq!(judged(137, "OOMKilled"), (true, true));
    assert_eq!(judged(101, "Error"), (true, false));
}

#[test]
fn an_evicted_pod_is_not_held_against_the_run() {
    let evicted = PodFacts {
        disrupted: true,
        ..pod(137, "Error", "")
    };
    let (.., retryable, disrupted) = of(see(&failed(), &[evicted], &[]));
    assert!(retryable && disrupted);
}

#[test]
fn a_result_is_read_whole_or_packed_and_a_lost_one_is_made_again() {
    let done = JobFacts {
        complete: true,
        component: "synthesize".into(),
        ..job()
    };
    let long = SynthesisReport {
        accepted: 7,
        lineage: (0..100)
            .map(|generation| Generation {
                generation,
                digest: format!("sha256:{generation:064}"),
                change: format!("{generation} ").repeat(60),
                ..Generation::default()
            })
            .collect(),
        // Enough that the summary must be packed.
        rejected: (0..16)
            .map(|gate| (format!("a-gate-with-a-rather-long-name-{gate}"), 1))
            .collect(),
        ..SynthesisReport::default()
    };
    let packed = Termination::success(&long, Some("sha256:a"));
    assert!(packed.len() <= 4096 && packed.contains("gzip"), "{packed}");
    // The second is as version 0.2.0 wrote it.
    for (message, generations) in [(packed.as_str(), 8), (r#"{"result":{"accepted":7}}"#, 0)] {
        let ChildState::Succeeded { result } = see(&done, &[pod(0, "Completed", message)], &[])
        else {
            panic!("{message}")
        };
        let result = result.unwrap();
        let report = result.synthesis().unwrap();
        assert_eq!((report.accepted, report.lineage.len()), (7, generations));
        assert!(report.lineage.last().is_none_or(|g| g.generation == 99));
    }
    let (_, reason, _, retryable, _) = of(see(&done, &[], &[]));
    assert_eq!((reason.as_str(), retryable), ("NoResult", true));
    // The pod's end may be seen after its Job's.
    let late = PodFacts::default();
    assert!(matches!(
        see(&done, &[late], &[]),
        ChildState::Running { .. }
    ));
}

#[test]
fn what_stands_in_the_way_is_told_by_its_name() {
    let blocked = |reason: &str| PodFacts {
        name: "p".into(),
        blocked: Some((reason.into(), "why".into())),
        ..PodFacts::default()
    };
    for reason in [
        "Unschedulable",
        "ImagePullBackOff",
        "CreateContainerConfigError",
    ] {
        assert_eq!(
            see(&job(), &[blocked(reason)], &[]),
            pending(reason, "pod p: why")
        );
    }
    let held = JobFacts {
        suspended: true,
        queued: true,
        ..job()
    };
    assert!(
        matches!(see(&held, &[], &[]), ChildState::Pending { reason: Some(r), .. } if r == "Queued")
    );
    let gang = JobFacts {
        gang: true,
        ..job()
    };
    let waiting = PodFacts::default();
    assert!(
        matches!(see(&gang, &[waiting], &[]), ChildState::Pending { reason: Some(r), .. } if r == "WaitingForGang")
    );
    let quota = state(
        &job(),
        &[],
        &BTreeMap::new(),
        Some("pods \"x\" is forbidden: exceeded quota: q"),
        &[],
    );
    assert!(matches!(quota, ChildState::Pending { reason: Some(r), .. } if r == "QuotaExceeded"));
}

#[test]
fn a_job_that_is_being_deleted_runs_until_its_pods_have_stopped() {
    let going = JobFacts {
        deleting: true,
        ..job()
    };
    let alive = PodFacts {
        running: true,
        ..PodFacts::default()
    };
    assert!(matches!(
        see(&going, &[alive], &[]),
        ChildState::Running { .. }
    ));
    assert!(
        matches!(see(&going, &[], &[]), ChildState::Pending { reason: Some(r), .. } if r == "Terminating")
    );
}

#[test]
fn a_job_that_an_exit_code_failed_is_told_by_the_pod_that_had_it_and_not_by_one_that_was_replaced()
{
    let job = JobFacts {
        failed: Some(("PodFailurePolicy".into(), "exit code 2".into())),
        ..job()
    };
    let mut late = pod(2, "Error", "error: the suite has no such task");
    late.ended.as_mut().unwrap().at = 9;
    let (code, reason, ..) = of(see(&job, &[pod(3, "Error", ""), late], &[]));
    assert_eq!((code, reason.as_str()), (Some(2), "BadInput"));
}
