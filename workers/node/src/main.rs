//! The program `agoge-worker`; everything it does is in the library, so that a program with further strategies can be one too.

use std::process::ExitCode;

fn main() -> ExitCode {
    agoge_node::main()
}
