//! A network that exists in memory only, for tests of what happens when a link dies.
//!
//! Two ends or many, each of them the very connection that a link drives, on a virtual clock and a
//! virtual network: delay, jitter, bandwidth, bytes in pieces, cuts one way or both, stopped
//! processes, slow readers, changed bytes, resets, restarts. An hour takes milliseconds, times are
//! exact, and the same seed makes the same run. It must never use real time, a thread or a socket.
//!
//! # A test in ten lines
//!
//! After 3 s the cable is cut; the handler must have failed over by 10.5 s.
//!
//! ```
//! use peerbeat::sim::{Net, Op, SimEvent, SimOptions, secs};
//!
//! let mut net = Net::new(1);
//! let [adapter, primary, backup] = [(); 3].map(|()| net.add(SimOptions::default()));
//! net.on(adapter, move |context, event| {
//!     if let SimEvent::Down { .. } = event {
//!         context.connect(backup);
//!     }
//! });
//! net.connect(adapter, primary);
//! net.at(secs(3.0), Op::Cut { a: adapter, b: primary });
//! net.run_until(secs(10.5));
//! assert!(net.is_up(adapter, backup));
//! ```
//!
//! # The same as a property
//!
//! Whenever the cable is cut, and however the network is: with the default of 5 s + 2 s, 8 s after
//! the cut the adapter sends to its backup. The last bytes before the cut, the handshake's two ways
//! and the message itself take up to 0.2 s each.
//!
//! ```
//! use std::time::Duration;
//! use peerbeat::sim::{Conditions, Net, Op, SimEvent, SimOptions, secs};
//! use proptest::prelude::*;
//!
//! # fn main() {
//! # let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(50) };
//! proptest!(config, |(seed: u64, cut in 0.5..60.0, delay_ms in 0u64..100)| {
//!     let mut net = Net::new(seed);
//!     let delay = Duration::from_millis(delay_ms);
//!     net.set_conditions(Conditions::default().delay(delay).jitter(delay));
//!     let [adapter, primary, backup] = [(); 3].map(|()| net.add(SimOptions::default()));
//!     net.on(adapter, move |context, event| match event {
//!         SimEvent::Down { .. } => drop(context.connect(backup)),
//!         SimEvent::Up { peer } => context.send(*peer, b"hello").expect("it is up"),
//!         _ => {}
//!     });
//!     net.connect(adapter, primary);
//!     net.at(secs(cut), Op::Cut { a: adapter, b: primary });
//!     net.run_until(secs(cut + 8.0));
//!     let hello = SimEvent::Message(b"hello".to_vec());
//!     prop_assert!(net.seen_by(backup).any(|record| record.event == hello));
//! });
//! # }
//! ```
//!
//! # What there is
//!
//! - [`Nodes`] runs whole nodes: real configurations and the handler that ships. The page on
//!   [testing](crate::testing) goes from a handler to its test.
//! - [`Net`] has any number of hosts, [`Pair`] is the net of two. A host has [`SimOptions`] and a
//!   program: a closure that sees what its side sees and acts through [`Context`].
//! - [`Op`] is what can happen at one instant: [`Net::at`] writes it into the script,
//!   [`Net::apply`] does it now.
//! - [`Net::run_until`], [`Net::run_for`], [`Net::step`] and [`Net::settle`] move the clock.
//! - [`Net::seen`] returns what each side saw, each with its exact time ([`Record`]).
//! - [`Invariants`] judges a run: no false death, every death in time, and so on ([`Invariant`]).
//! - [`LinkRecord`] is what two real links did, to be judged in the same way.
//! - [`Script`] is a run as a value: drawn by chance, printed, run under the invariants, and made
//!   smaller while it fails.
//!
//! # What it leaves out
//!
//! Connecting takes no round trip of its own. Acknowledgements take no time, but do not pass a cut.
//! After a cut is healed, bytes arrive with TCP's next retransmission, up to as late again as the
//! cut was long. A connection is never given up by a kernel. A link's two threads act at the same
//! instant; what only their race can bring about is for tests with real threads, which
//! [`LinkRecord`] brings under the same invariants.

mod context;
mod end;
mod invariants;
mod links;
mod net;
mod nodes;
mod op;
mod pair;
mod record;
mod rng;
mod script;
mod wire;

pub use context::Context;
pub use invariants::{Invariant, Invariants, Violation};
pub use links::LinkRecord;
pub use net::Net;
pub use nodes::{NodeInvariant, NodeInvariants, NodeRecord, NodeViolation, Nodes, Seen, hold};
pub use op::{Op, SimOptions};
pub use pair::Pair;
pub use record::{HandshakeFailure, Host, LinkId, Record, SimEvent};
pub use rng::Rng;
pub use script::{Outcome, Script};
pub use wire::Conditions;

use crate::liveness::Time;

/// The point `seconds` after the beginning of a run, to the nanosecond.
pub fn secs(seconds: f64) -> Time {
    Time::from_nanos((seconds * 1e9).round() as u64)
}
