//! The `smtp-check` program.
fn main() {}
