//! Lets every program that links libtorch find it without `LD_LIBRARY_PATH`: in the folder it was linked against, which
//! `hack/setup` made, or beside the program's own folder, in `../lib`. `LD_LIBRARY_PATH` still comes first.
//!
//! The build script of each crate whose programs or tests link libtorch.

use std::env;

pub fn main() {
    let root = env::var("LIBTORCH_LIB").or_else(|_| env::var("LIBTORCH"));
    let linked = root.map(|root| format!("{root}/lib")).ok();
    println!("cargo:rustc-link-arg=-Wl,--enable-new-dtags");
    for folder in linked.into_iter().chain(["$ORIGIN/../lib".to_owned()]) {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
    for watched in ["LIBTORCH", "LIBTORCH_LIB"] {
        println!("cargo:rerun-if-env-changed={watched}");
    }
}
