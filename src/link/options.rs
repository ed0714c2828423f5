//! What a link is told before it starts.
//!
//! Every limit has a default, and nothing here changes while a link lives.

use std::time::Duration;

use super::Faults;
use crate::liveness::Settings;

/// The settings of one link. All have defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Heartbeat-time, slack, mode and floor.
    pub liveness: Settings,
    /// Bytes that may wait to be sent. A message larger than this is accepted only while nothing
    /// waits, a heartbeat of ours included. Default 8 MiB.
    pub queue_bytes: usize,
    /// How long [`send`](super::Link::send) waits for room. Default 10 s.
    pub send_timeout: Duration,
    /// How long [`close`](super::Link::close) gives what was accepted to be written. Default 50 ms.
    pub close_timeout: Duration,
    /// The stack of each of the link's threads, in bytes; only what is touched takes memory. A
    /// handler that needs more asks for it here. Default 256 KiB.
    pub stack_size: usize,
    /// What the link's threads are called after: `pb-s:NAME` sends, `pb-r:NAME` reads. Default
    /// empty.
    pub name: String,
    /// What the peer's HELLO said about its heartbeat-time, in milliseconds: it counts as a
    /// heartbeat that arrives when the link is established, so that both ends start at the smaller
    /// value. Default `None`: it said nothing.
    pub peer_heartbeat_time_ms: Option<u32>,
    /// Switches with which a test breaks the link on purpose. Default none.
    pub faults: Option<Faults>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            liveness: Settings::default(),
            queue_bytes: 8 << 20,
            send_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_millis(50),
            stack_size: 256 << 10,
            name: String::new(),
            peer_heartbeat_time_ms: None,
            faults: None,
        }
    }
}
