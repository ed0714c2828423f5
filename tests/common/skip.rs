//! How a test reports that it cannot run on this machine.
//!
//! Not by `eprintln`, whose output cargo hides for tests that pass: past that capture, so that no
//! one mistakes a skipped test for one that passed.

use std::io::Write;

/// Prints what is not tested here, and why.
pub(crate) fn say_skipped(what: &str, why: &str) {
    let line = format!("\n*** SKIPPED: {what}: {why}\n");
    let _nobody_reads = std::io::stderr().write_all(line.as_bytes());
}
