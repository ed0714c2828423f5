//! The fault campaign: every fault that we can make, on real sockets, counted.
//!
//! ```text
//! cargo test --release --test campaign -- --ignored --nocapture
//! ```
//!
//! It prints a row as soon as it is known, and the whole table at the end. Asserted is that every
//! fault was detected, that no verdict was early, wrong or passed on a healthy peer, that nothing
//! is left of any link, and that no message was lost without being counted or arrived twice. How
//! late the verdicts were is shown, and asserted only loosely. What the machine does not allow is
//! shown as skipped and counts for nothing.
//!
//! It takes about two minutes, runs in a network namespace of its own if it may, and can be cut
//! down to the rows whose names contain a word: `PEERBEAT_CAMPAIGN_ONLY=drop`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/held.rs"]
mod held;
#[path = "../common/tally.rs"]
mod tally;

#[path = "../faults/child.rs"]
mod child;
#[path = "../link/mock.rs"]
#[expect(dead_code, reason = "the link's tests use all of it")]
mod mock;
#[path = "../faults/network.rs"]
#[expect(dead_code, reason = "the tests of faults use all of it")]
mod network;
#[path = "../link/rig.rs"]
#[expect(dead_code, reason = "the link's tests use all of it")]
mod rig;

mod attacks;
mod cuts;
mod dials;
mod herd;
mod limits;
mod pairs;
mod processes;
mod slow;
mod table;

// The helpers of the link find them here.
use common::{accept, basics, frames, skip};
use network::Place;
use table::{Row, Table};

/// One row: its name, whether it needs a network of its own, and how it is made.
type Fault = (&'static str, bool, fn(&mut Row));

const FAULTS: &[Fault] = &[
    ("packets dropped both ways", true, cuts::both_ways),
    ("packets dropped towards us", true, cuts::towards_us),
    ("packets dropped from us", true, cuts::from_us),
    ("link down", true, cuts::link_down),
    ("reset by a firewall (REJECT)", true, cuts::rejected),
    ("reset by a peer that closes", false, cuts::reset),
    ("peer stopped (SIGSTOP)", false, processes::stopped),
    ("peer killed (SIGKILL)", false, processes::killed),
    ("we stopped, peers healthy", false, processes::we_were_stopped),
    ("slow reader, healthy", false, slow::slow_reader),
    ("peer that never reads", false, slow::never_reads),
    ("drip, then silence", false, slow::drip),
    ("slicer, healthy", false, slow::slicer),
    ("squeezed by a cable, healthy", false, slow::squeezed),
    ("squeezed by tc, healthy", true, slow::squeezed_by_tc),
    ("8 spinning threads, then silence", false, slow::starved),
    ("no local port left", true, limits::ports),
    ("no descriptor left", false, limits::descriptors),
    ("no thread left", false, limits::threads),
    ("1000 silent strangers", false, limits::strangers),
    ("10,000 silent sockets, 50 sources", false, attacks::silent),
    ("HELLOs that drip", false, attacks::drips),
    ("HELLOs that are wrong", false, attacks::bad),
    ("1000 probes a second", false, attacks::probes),
    ("half-open connections (SYN)", true, attacks::half_open),
    ("a first address that is no peer", false, dials::bad_first_address),
    ("500 peers lost and back", true, herd::lost_and_back),
];

#[test]
#[ignore = "takes minutes; see the crate's head"]
fn campaign() {
    let no_network = match network::enter("campaign") {
        Place::Inside => None,
        Place::Done => return,
        Place::Unable(why) => Some(why),
    };
    let only = std::env::var("PEERBEAT_CAMPAIGN_ONLY").unwrap_or_default();
    let mut table = Table::default();
    for (name, needs_network, make) in FAULTS.iter().filter(|(name, ..)| name.contains(&only)) {
        match &no_network {
            Some(why) if *needs_network => {
                table.add(Row::skipped(name, format!("no network of our own: {why}")));
            }
            _ => table.add(Row::make(name, *make)),
        }
    }
    table.finish();
}
