//! The others: one file for each library, each doing the same work with the same messages.
//!
//! Every receiver counts and checks the same as that of peerbeat ([`crate::common::Tally`]). Each
//! library is given its best shape for the work that a program could really use; its file describes
//! that. Heartbeats are on if the library has them.

pub(crate) mod from_c;
pub(crate) mod nng;
pub(crate) mod tokio;
pub(crate) mod tungstenite;
pub(crate) mod zmq;

use std::net::TcpListener;

/// An address on loopback that was free a moment ago, for libraries that do not tell theirs.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("a bound listener has an address");
    format!("tcp://{address}")
}
