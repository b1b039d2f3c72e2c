//! Programs that link libtorch start wherever they are called from.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use agoge_tests::{binary, said};

#[test]
fn the_worker_finds_libtorch_without_a_variable_that_names_it() {
    let mut command = Command::new(binary("agoge-worker"));
    let output = command
        .arg("--help")
        .env_remove("LD_LIBRARY_PATH")
        .current_dir("/")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
}
