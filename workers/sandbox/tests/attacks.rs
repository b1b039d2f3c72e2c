//! Programs that try to harm: each ends in the verdict it should, and the next honest call still works.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use agoge_sandbox::{KillReason, Limits, Outcome, Overlay, Program, Sandbox, State};
use serde_json::{Map, Value, json};

const HONEST: &str = "def honest() -> int:\n    return db_get('p', '1')['x']\n";

fn sandbox(tools: &str) -> Sandbox {
    let state = State::from_json(json!({"p": {"1": {"x": 41}}})).unwrap();
    let limits = Limits {
        cpu: Duration::from_millis(700),
        memory_bytes: 48 << 20,
        host_calls: 2_000,
        ..Limits::default()
    };
    Sandbox::spawn(
        Program {
            state,
            tools: format!("{HONEST}\n{tools}"),
            schema: None,
        },
        limits,
    )
    .unwrap()
}

fn run(sandbox: &mut Sandbox, function: &str) -> Outcome {
    sandbox
        .call(
            &Overlay::default(),
            "2026-01-01",
            function,
            &Map::new(),
            None,
        )
        .0
}

/// Runs `def attack():` with this body, then the honest function in the same sandbox.
fn attack(body: &str) -> Outcome {
    let indented: String = body.lines().map(|line| format!("    {line}\n")).collect();
    let mut sandbox = sandbox(&format!("def attack():\n{indented}"));
    let outcome = run(&mut sandbox, "attack");
    assert_eq!(
        run(&mut sandbox, "honest"),
        Outcome::Value(json!(41)),
        "after: {body}"
    );
    outcome
}

fn killed(body: &str, reasons: &[KillReason]) {
    let outcome = attack(body);
    assert!(
        matches!(&outcome, Outcome::Killed(reason) if reasons.contains(reason)),
        "{body}: {outcome}"
    );
}

fn refused(body: &str) {
    let outcome = attack(body);
    assert!(
        matches!(outcome, Outcome::Raised { .. }),
        "{body}: {outcome}"
    );
}

#[test]
fn an_endless_loop_is_killed_for_time() {
    killed("while True:\n    pass", &[KillReason::Time]);
}

#[test]
fn an_endless_loop_that_catches_everything_is_killed_for_time() {
    killed(
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
        &[KillReason::Time],
    );
}

#[test]
fn a_memory_bomb_is_killed_for_memory() {
    killed(
        "x = ['a']\nwhile True:\n    x = x + x",
        &[KillReason::Memory],
    );
}

#[test]
fn the_known_process_abort_is_a_verdict() {
    killed(
        "return len(','.join(['a' * 1000000] * 1000000))",
        &[KillReason::Memory, KillReason::Crash],
    );
}

#[test]
fn huge_integers_are_killed_or_refused() {
    for body in [
        "return 10 ** (10 ** 8)",
        "return 1 << (1 << 40)",
        "x = 7\nwhile True:\n    x = x * x",
    ] {
        let outcome = attack(body);
        assert!(!matches!(outcome, Outcome::Value(_)), "{body}: {outcome}");
    }
}

#[test]
fn deep_recursion_is_killed() {
    let mut sandbox = sandbox("def attack():\n    return attack()\n");
    assert_eq!(
        run(&mut sandbox, "attack"),
        Outcome::Killed(KillReason::Recursion)
    );
    assert_eq!(run(&mut sandbox, "honest"), Outcome::Value(json!(41)));
}

#[test]
fn an_output_flood_is_killed_printed_or_returned() {
    killed("while True:\n    print('x' * 1000)", &[KillReason::Output]);
    killed(
        "while True:\n    try:\n        print('x' * 1000)\n    except Exception:\n        pass",
        &[KillReason::Output, KillReason::Time],
    );
    killed("return 'x' * 1000000", &[KillReason::Output]);
}

#[test]
fn a_regular_expression_blow_up_ends() {
    let outcome = attack("import re\nreturn re.match('(a+)+$', 'a' * 40 + 'b') is None");
    assert!(
        !matches!(outcome, Outcome::Killed(KillReason::Crash)),
        "{outcome}"
    );
}

#[test]
fn files_are_out_of_reach() {
    refused("return open('/etc/passwd').read()");
    refused("from pathlib import Path\nreturn Path('/etc/passwd').read_text()");
    refused("open('/tmp/agoge-was-here', 'w').write('x')");
    assert!(!std::path::Path::new("/tmp/agoge-was-here").exists());
}

#[test]
fn the_network_is_out_of_reach() {
    refused("import socket\nreturn socket.socket()");
    refused("import urllib.request\nreturn urllib.request.urlopen('http://127.0.0.1')");
}

#[test]
fn the_clock_is_out_of_reach() {
    refused("import time\nreturn time.time()");
    refused("from datetime import datetime\nreturn str(datetime.now())");
}

#[test]
fn the_environment_is_out_of_reach() {
    refused("import os\nreturn os.environ['PATH']");
    refused("import os\nreturn os.getenv('PATH') + ''");
}

#[test]
fn attribute_tricks_reach_nothing() {
    refused("return str(().__class__.__bases__[0].__subclasses__())");
    refused("return str((lambda: 0).__globals__)");
    refused("return str(db_get.__code__)");
}

#[test]
fn code_made_at_run_time_reaches_no_more_than_the_program() {
    refused("return eval(\"open('/etc/passwd').read()\")");
    refused("return eval(\"__import__('os').environ['HOME']\")");
    refused("import os\nreturn os.listdir('/')");
    refused("import os\nreturn os.environ['HOME']");
    refused("return eval('[' * 100000 + ']' * 100000)");
}

#[test]
fn long_work_within_one_call_is_killed() {
    for body in [
        "import hashlib\nreturn hashlib.pbkdf2_hmac('sha256', b'a', b'b', 10 ** 9).hex()",
        "import math\nreturn math.factorial(10 ** 7) % 7",
        "import itertools\nreturn sum(itertools.count())",
    ] {
        killed(body, &[KillReason::Time, KillReason::Memory]);
    }
}

#[test]
fn what_is_random_elsewhere_is_the_same_in_every_process() {
    let body = "import random\nreturn [random.random(), hash('a'), id([]), list({'x', 'y', 'z'})]";
    let first = attack(body);
    assert!(matches!(first, Outcome::Value(_)), "{first}");
    assert_eq!(attack(body), first);
    refused("import os\nreturn os.urandom(8).hex()");
    refused("import random\nreturn random.SystemRandom().random()");
}

#[test]
fn a_host_call_flood_is_killed() {
    killed(
        "while True:\n    db_get('p', '1')",
        &[KillReason::HostCalls],
    );
}

#[test]
fn a_fork_is_out_of_reach() {
    refused("import os\nreturn os.fork()");
    refused("import subprocess\nreturn subprocess.run(['true'])");
    refused("import threading\nthreading.Thread().start()");
}

#[test]
fn nothing_is_left_over_from_the_run_before() {
    let mut sandbox =
        sandbox("kept = []\n\ndef attack() -> int:\n    kept.append(1)\n    return len(kept)\n");
    for _ in 0..3 {
        assert_eq!(run(&mut sandbox, "attack"), Outcome::Value(json!(1)));
    }
}

#[test]
fn a_raise_rolls_its_writes_back() {
    let mut sandbox =
        sandbox("def attack():\n    db_put('p', '1', {'x': 0})\n    raise ValueError('no')\n");
    let (outcome, after) = sandbox.call(&Overlay::default(), "", "attack", &Map::new(), None);
    assert!(
        matches!(outcome, Outcome::Raised { kind, message, line: Some(_) } if kind == "ValueError" && message == "no")
    );
    assert!(after.is_empty());
}

#[test]
fn a_function_that_runs_after_a_tool_sees_its_writes_and_a_raise_in_either_undoes_both() {
    let mut sandbox = sandbox(
        "def put(x: int) -> int:\n    db_put('p', '1', {'x': x})\n    return x\n\n\
         def _sync():\n    x = db_get('p', '1')['x']\n    if x > 9:\n        raise ValueError('too much')\n    db_put('p', '2', {'x': x})\n",
    );
    let mut put = |x: i64, then| {
        let arguments = Map::from_iter([("x".to_owned(), json!(x))]);
        sandbox.call(&Overlay::default(), "", "put", &arguments, then)
    };
    let (alone, without) = put(3, None);
    let (outcome, after) = put(3, Some("_sync"));
    assert_eq!(
        (&alone, &outcome),
        (&Outcome::Value(json!(3)), &Outcome::Value(json!(3)))
    );
    assert_ne!(without, after);
    let both = json!({"p": {"1": {"x": 3}, "2": {"x": 3}}});
    assert_eq!(serde_json::to_value(&after).unwrap(), both);
    let (outcome, after) = put(10, Some("_sync"));
    assert!(
        matches!(&outcome, Outcome::Raised { message, .. } if message == "too much"),
        "{outcome}"
    );
    assert!(after.is_empty());
    let (outcome, after) = put(3, Some("_sync() or put"));
    assert!(
        matches!(&outcome, Outcome::Raised { kind, .. } if kind == "NameError"),
        "{outcome}"
    );
    assert!(after.is_empty());
}

#[test]
fn a_checker_cannot_write() {
    let mut sandbox = sandbox("");
    let overlay = Overlay::default();
    let input = agoge_sandbox::CheckInput {
        initial: &overlay,
        last: &overlay,
        calls: &json!([]),
        messages: &json!([]),
        now: "",
    };
    let outcome = sandbox.check(
        "def check(calls, messages):\n    db_put('p', '1', {})\n    return True",
        "check",
        input,
    );
    assert!(
        matches!(&outcome, Outcome::Raised { message, .. } if message.contains("`db_put`") && message.contains("final_get")),
        "{outcome}"
    );
    let outcome = sandbox.check(
        "def check(calls, messages):\n    return final_get('p', '1')['x'] == 41 and diff() == []",
        "check",
        input,
    );
    assert_eq!(outcome, Outcome::Value(Value::Bool(true)));
}

#[test]
fn a_deeply_nested_value_does_not_kill_the_client() {
    let outcome = attack("x = []\nfor i in range(100000):\n    x = [x]\nreturn x");
    assert!(!matches!(outcome, Outcome::Value(_)), "{outcome}");
}
