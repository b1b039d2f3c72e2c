//! Compiles the shim against the headers of the libtorch that `hack/setup` installed.

mod rpath;

use std::env;
use std::path::PathBuf;

fn main() {
    rpath::main();
    let root = env::var_os("LIBTORCH_INCLUDE").or_else(|| env::var_os("LIBTORCH"));
    let root = root.map(PathBuf::from).expect(
        "LIBTORCH names no folder; run `make setup` once and `source hack/env.sh` before cargo",
    );
    let include = root.join("include");
    let libraries = env::var_os("LIBTORCH_LIB").map_or(root, PathBuf::from);
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .define("USE_C10D_GLOO", None)
        .include("src/shim")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .file("src/shim/shim.cpp")
        .compile("agoge_c10d_shim");
    println!(
        "cargo:rustc-link-search=native={}",
        libraries.join("lib").display()
    );
    println!("cargo:rustc-link-lib=dylib=torch_cpu");
    println!("cargo:rustc-link-lib=dylib=c10");
    for watched in ["src/shim", "build.rs", "rpath.rs"] {
        println!("cargo:rerun-if-changed={watched}");
    }
    for watched in ["LIBTORCH", "LIBTORCH_INCLUDE", "LIBTORCH_LIB"] {
        println!("cargo:rerun-if-env-changed={watched}");
    }
}
