//! What a link is given before it starts.
//!
//! Every limit has a default, and nothing here changes while a link lives.

use std::time::Duration;

use super::faults::Faults;
use super::handshake::Greeting;
use crate::connection::{CLOSE_MAX, CLOSE_TIMEOUT, QUEUE_BYTES, QueueBudget, Trace};
use crate::liveness::{Mode, Settings};
use crate::protocol::{FRAME_MAX, Hello};

/// The settings of one link. All have defaults.
///
/// ```
/// use peerbeat::link::LinkOptions;
/// use peerbeat::liveness::Settings;
/// use std::time::Duration;
///
/// let liveness = Settings::default()
///     .heartbeat_time(Duration::from_secs(1))
///     .slack(Duration::from_millis(500));
/// let options = LinkOptions::default()
///     .local_name("gui")
///     .liveness(liveness)
///     .send_timeout(Duration::from_secs(2));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkOptions {
    /// Heartbeat-time, slack, mode and floor.
    pub liveness: Settings,
    /// Bytes that may wait to be sent. A message larger than this is accepted only while nothing
    /// waits, one of our heartbeats included. Default 8 MiB.
    pub queue_bytes: usize,
    /// Bytes that may wait to be sent on several links together, which are given clones of it; a
    /// node makes one for all of its links. Default none.
    pub queue_budget: Option<QueueBudget>,
    /// How long [`send`](super::Link::send) waits for room. Default 10 s.
    pub send_timeout: Duration,
    /// How long, in a [`close`](super::Link::close), the kernel may take no byte of what was
    /// accepted, and the peer not end its stream after the last one. A close ends earlier once the
    /// peer has read all and ended its stream. Default 2 s.
    pub close_timeout: Duration,
    /// How long a close may take in all. Default 30 s.
    pub close_max: Duration,
    /// The stack of each of the link's threads, in bytes; only what is touched takes memory. A
    /// handler that needs more asks for it here. Default 256 KiB.
    pub stack_size: usize,
    /// What the link's threads are named after: `pb-s:NAME` sends, `pb-r:NAME` reads. Default
    /// empty.
    pub name: String,
    /// The heartbeat-time in the peer's HELLO, in milliseconds: it counts as a heartbeat that
    /// arrives when the link is established, so that both ends start at the smaller value. Default
    /// `None`: it said nothing.
    pub peer_heartbeat_time_ms: Option<u32>,
    /// Bytes that were read from the stream beyond the handshake: they are the link's first.
    /// Default empty.
    pub received: Vec<u8>,
    /// What the peer said in its HELLO, for [`Link::greeting`](super::Link::greeting). Set by
    /// [`greeted`](Self::greeted). Default `None`.
    pub greeting: Option<Greeting>,
    /// Our name in HELLO. This and what follows count for [`connect`](super::connect),
    /// [`accept`](super::accept) and [`open`](super::open) alone. Default `peerbeat`.
    pub local_name: String,
    /// Our label in HELLO. Default empty.
    pub local_label: String,
    /// Our id in HELLO; 0 is none. Default 0.
    pub local_id: u32,
    /// How long connecting to one address may take. Default 10 s.
    pub connect_timeout: Duration,
    /// How long the handshake may take. Default 10 s.
    pub handshake_timeout: Duration,
    /// Whether small frames are sent at once (`TCP_NODELAY`). Default true.
    pub tcp_nodelay: bool,
    /// The largest frame, type byte included, in bytes. Default 16 MiB.
    pub frame_max: usize,
    /// Bytes that may wait in the inbox; see [`Inbox::new`](super::Inbox::new). Default 1 MiB.
    pub inbox_bytes: usize,
    /// Switches with which a test breaks the link on purpose. Default none.
    pub faults: Option<Faults>,
    /// Where what happens is recorded for the invariants of `sim`.
    pub(crate) trace: Trace,
}

impl LinkOptions {
    setters! {
        liveness: [Settings],
        queue_bytes: [usize],
        queue_budget: into [Option<QueueBudget>],
        send_timeout: [Duration],
        close_timeout: [Duration],
        close_max: [Duration],
        stack_size: [usize],
        name: into [String],
        peer_heartbeat_time_ms: into [Option<u32>],
        received: into [Vec<u8>],
        local_name: into [String],
        local_label: into [String],
        local_id: [u32],
        connect_timeout: [Duration],
        handshake_timeout: [Duration],
        tcp_nodelay: [bool],
        frame_max: [usize],
        inbox_bytes: [usize],
        faults: into [Option<Faults>],
    }

    /// Takes over what a handshake brought: the peer's heartbeat-time, the bytes that were read
    /// beyond its HELLO, who it is, and its name for the threads if they have none.
    #[must_use]
    pub fn greeted(mut self, mut greeting: Greeting) -> Self {
        self.peer_heartbeat_time_ms = greeting.heartbeat_time_ms;
        self.received = std::mem::take(&mut greeting.received);
        if self.name.is_empty() {
            self.name.clone_from(&greeting.name);
        }
        self.greeting = Some(greeting);
        self
    }

    /// What we say in HELLO.
    pub fn hello(&self) -> Hello<'_> {
        Hello {
            name: &self.local_name,
            label: &self.local_label,
            id: self.local_id,
            always: self.liveness.mode == Mode::Always,
            heartbeat_time_ms: Some(self.liveness.configured_ms()),
            ..Hello::default()
        }
    }
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            liveness: Settings::default(),
            queue_bytes: QUEUE_BYTES,
            queue_budget: None,
            send_timeout: Duration::from_secs(10),
            close_timeout: CLOSE_TIMEOUT,
            close_max: CLOSE_MAX,
            stack_size: 256 << 10,
            name: String::new(),
            peer_heartbeat_time_ms: None,
            received: Vec::new(),
            greeting: None,
            local_name: "peerbeat".to_owned(),
            local_label: String::new(),
            local_id: 0,
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            tcp_nodelay: true,
            frame_max: FRAME_MAX,
            inbox_bytes: 1 << 20,
            faults: None,
            trace: Trace::default(),
        }
    }
}
