//! A few runs of `make crash-local`, so that every change meets it.

use agoge_tests::{binary, said};

#[test]
fn runs_that_lose_a_process_end_as_those_that_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let runs = std::env::var("CRASH_RUNS").unwrap_or_else(|_| "5".to_owned());
    let output = std::process::Command::new(binary("crash-local"))
        .current_dir(dir.path())
        .env("CRASH_RUNS", &runs)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let result = agoge_tests::read(&dir.path().join("out/crash-local/result.json"));
    assert_eq!(
        result["each"].as_array().map(|each| each.len().to_string()),
        Some(runs)
    );
}
