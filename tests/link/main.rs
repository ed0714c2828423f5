//! The link against real sockets and real faults.
//!
//! The other end is a [`mock::Mock`]: bytes written and parsed by hand, so that a mistake shared by
//! our encoder and our decoder shows. Never early is asserted to the nanosecond, not late only
//! loosely: the machine that runs this is busy. What looks into `/proc` is for Linux alone.

// A test that cannot go on says so by panicking; clippy allows that only inside `#[test]`
// functions, and most of what is here are their helpers.
#![allow(clippy::unwrap_used)]

#[path = "../common/accept.rs"]
mod accept;
#[cfg(target_os = "linux")]
mod alone;
#[path = "../common/basics.rs"]
mod basics;
#[path = "../common/frames.rs"]
mod frames;
#[allow(dead_code, reason = "the tests of faults use the rest")]
mod mock;
mod pipe;
mod rig;

mod batches;
mod closing;
mod delivery;
mod ends;
mod fans;
#[cfg(unix)]
mod frozen;
mod heartbeat_change;
mod heartbeats;
#[cfg(target_os = "linux")]
mod idle;
mod inbox;
mod layered;
#[cfg(target_os = "linux")]
mod leaks;
mod life;
mod numbers;
mod odd;
mod opening;
mod order;
mod pressure;
mod reasons;
mod resets;
mod schedules;
mod silence;
mod stalls;
mod stuck;
