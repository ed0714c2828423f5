//! The command, run as a process: usage, exit codes, output, and two of them connected.
//!
//! Nothing here asserts how late something came: only that it came, in which order, and that no
//! verdict was early. Every wait has a deadline far beyond what an idle machine needs.

#![allow(clippy::unwrap_used)] // also in the helpers of tests, which Clippy does not know as such

#[path = "common/accept.rs"]
mod accept;
#[path = "common/basics.rs"]
mod basics;
#[path = "command/cable.rs"]
mod cable;
#[path = "command/check.rs"]
mod check;
#[path = "command/demo.rs"]
mod demo;
#[path = "command/ends.rs"]
mod ends;
#[path = "command/harness.rs"]
mod harness;
#[path = "command/json.rs"]
mod json;
#[path = "command/pair.rs"]
mod pair;
#[path = "command/probe.rs"]
mod probe;
#[path = "command/run.rs"]
mod run;
#[path = "command/stats.rs"]
mod stats;
#[path = "command/usage.rs"]
mod usage;
