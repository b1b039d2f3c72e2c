//! The `agoge` command.

fn main() {}
