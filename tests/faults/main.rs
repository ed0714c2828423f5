//! Faults that a process cannot make for itself: frozen processes, dropped packets, busy cores.
//!
//! A test runs this binary again as a process in a role ([`child`]), or as root of a network of its
//! own ([`network`]), and reports it as skipped if the machine does not allow that. That a verdict
//! is never early is asserted to the nanosecond, that it is not late only loosely; the ignored test
//! `lateness` prints a table of how late verdicts are:
//!
//! ```text
//! cargo test --release --test faults lateness -- --ignored --nocapture
//! ```
#![cfg(target_os = "linux")]
// A test that cannot go on says so by panicking; clippy allows that only inside `#[test]`
// functions, and most of what is here are their helpers.
#![allow(clippy::unwrap_used)]

#[path = "../common/accept.rs"]
mod accept;
mod child;
#[expect(dead_code, reason = "the campaign uses all of it")]
mod network;

#[path = "../common/basics.rs"]
mod basics;
#[path = "../common/frames.rs"]
mod frames;
#[path = "../common/skip.rs"]
mod skip;

#[path = "../link/mock.rs"]
#[expect(dead_code, reason = "the link's tests use all of it")]
mod mock;
#[path = "../link/rig.rs"]
#[expect(dead_code, reason = "the link's tests use all of it")]
mod rig;

mod busy;
mod drops;
mod freeze;
mod lateness;
mod one_family;
