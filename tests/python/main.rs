//! Two implementations that share no code: a peer in Python, written from the documentation of
//! `protocol` alone, against the node, against the vectors, and both under `peerbeat conform`.
//!
//! Nothing here asserts how late something came, except for the tolerance that `conform` is given.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod conform;
#[allow(dead_code)]
#[path = "../command/harness.rs"]
mod harness;
#[allow(dead_code)]
#[path = "../command/json.rs"]
mod json;
mod node;
mod script;
#[path = "../common/skip.rs"]
mod skip;
mod through_c;
