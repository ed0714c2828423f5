//! How a test reports that it shows nothing on this machine.
//!
//! Not by `eprintln`, which cargo swallows for tests that pass: past its capture, so that no one
//! takes what was left out for what was shown.

use std::io::Write;

/// Prints what is not tested here, and why.
pub(crate) fn say_skipped(what: &str, why: &str) {
    let line = format!("\n*** SKIPPED: {what}: {why}\n");
    let _nobody_reads = std::io::stderr().write_all(line.as_bytes());
}
