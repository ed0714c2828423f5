//! What a script can do to a net, and what a host is given before it starts.
//!
//! An [`Op`] is plain data: it can be written down, drawn by chance, printed, and dropped from a
//! script to see whether the rest still fails.

use std::time::Duration;

use super::{Conditions, Host};
use crate::connection::{CLOSE_MAX, CLOSE_TIMEOUT, QUEUE_BYTES};
use crate::liveness::Settings;
use crate::protocol::FRAME_MAX;

/// One thing that happens at one instant: a fault, its end, or traffic.
///
/// What a *program* does, from [`Op::Connect`] to [`Op::Send`], is for a [`Net`](super::Net), whose
/// programs do what scripts say. In [`Nodes`](super::Nodes) the programs are the handlers, and
/// these do to the newest link between two nodes what [`Peer`](crate::node::Peer) does, except for
/// [`Op::Connect`]: there it does nothing, because a node decides by itself whom it dials and when.
///
/// In [`Nodes`](super::Nodes), [`Op::SlowReader`] holds the reader that long after each message,
/// besides what the handler [holds](super::hold).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// The cable between two hosts is pulled: bytes vanish both ways, nothing closes.
    Cut {
        /// One end.
        a: Host,
        /// The other end.
        b: Host,
    },
    /// Bytes one way vanish; the other way they go on arriving, but as their acknowledgements do
    /// not, the sender's kernel is full at some point.
    CutOneWay {
        /// Where the bytes come from.
        from: Host,
        /// Where they do not arrive.
        to: Host,
    },
    /// Both ways are whole again; what was lost arrives with TCP's next retransmission.
    Heal {
        /// One end.
        a: Host,
        /// The other end.
        b: Host,
    },
    /// Other conditions, one way, for what is sent from now on.
    Conditions {
        /// Where the bytes come from.
        from: Host,
        /// Where they go.
        to: Host,
        /// The conditions.
        conditions: Conditions,
    },
    /// The next byte to arrive is another than was sent.
    Corrupt {
        /// Where it comes from.
        from: Host,
        /// Where it arrives.
        to: Host,
    },
    /// Something resets every connection between two hosts, at both ends.
    Reset {
        /// One end.
        a: Host,
        /// The other end.
        b: Host,
    },
    /// The process is stopped, as by SIGSTOP: it neither reads, sends nor looks at its clock.
    Stop {
        /// Whose.
        host: Host,
    },
    /// The stopped process goes on, and sees how late it is.
    Resume {
        /// Whose.
        host: Host,
    },
    /// The program takes so long for each message from now on; [`Duration::MAX`] = it stops
    /// reading at the next one, zero = it reads as fast as messages come.
    SlowReader {
        /// Whose.
        host: Host,
        /// How long for each message.
        each: Duration,
    },
    /// The process dies; its kernel ends its connections and refuses new ones.
    Kill {
        /// Whose.
        host: Host,
    },
    /// The machine loses its power: nothing is sent and nothing answers.
    PowerOff {
        /// Which.
        host: Host,
    },
    /// A dead process, or its machine, starts again and knows nothing of before.
    Start {
        /// Which.
        host: Host,
    },
    /// The kernel refuses every new connection, as if nothing listened; or does so no more.
    Refuse {
        /// Whose.
        host: Host,
        /// Whether it refuses.
        refuses: bool,
    },
    /// The resolver that a [node](super::Nodes) asks does not answer; or answers again.
    Resolver {
        /// Whose.
        host: Host,
        /// Whether it hangs.
        hangs: bool,
    },
    /// A program dials another.
    Connect {
        /// Who dials.
        from: Host,
        /// Who is dialled.
        to: Host,
    },
    /// A program closes its link in order.
    Close {
        /// Who closes.
        from: Host,
        /// To whom.
        to: Host,
    },
    /// A program closes its link in order, and is handed what arrives meanwhile.
    Drain {
        /// Who closes.
        from: Host,
        /// To whom.
        to: Host,
    },
    /// A program ends its link with a goodbye and no more: what waits is dropped and counted.
    End {
        /// Who ends it.
        from: Host,
        /// The link to whom.
        to: Host,
    },
    /// A program sets the heartbeat-time of its living link.
    SetHeartbeatTime {
        /// Who sets it.
        from: Host,
        /// On the link to whom.
        to: Host,
        /// The value.
        value: Duration,
    },
    /// A program sets the slack of its living link.
    SetSlack {
        /// Who sets it.
        from: Host,
        /// On the link to whom.
        to: Host,
        /// The slack.
        slack: Duration,
    },
    /// A program sends messages on its link, if it has one.
    Send {
        /// Who sends.
        from: Host,
        /// To whom.
        to: Host,
        /// Bytes of each message.
        size: usize,
        /// How many.
        times: u32,
        /// How far apart.
        every: Duration,
    },
}

/// The settings of one host. All have defaults.
///
/// ```
/// use peerbeat::liveness::Settings;
/// use peerbeat::sim::SimOptions;
/// use std::time::Duration;
///
/// let liveness = Settings::default().heartbeat_time(Duration::from_secs(1));
/// let options = SimOptions::default().liveness(liveness).queue_bytes(1 << 20);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimOptions {
    /// Heartbeat-time, slack, mode and floor.
    pub liveness: Settings,
    /// How long a handshake may take. Default 10 s.
    pub handshake: Duration,
    /// Bytes that may wait to be sent. Default 8 MiB.
    pub queue_bytes: usize,
    /// The largest frame length in bytes. Default 16 MiB.
    pub frame_max: usize,
    /// What the kernels and the way hold of a connection, in bytes, each way, until the other
    /// program reads; at least 1024, which holds a HELLO. Default 256 KiB.
    pub socket_bytes: usize,
    /// A timer ends by chance up to this much late. Default zero, so that times are exact.
    pub granularity: Duration,
    /// How long the program takes for a message; meanwhile nothing is read. Default zero.
    pub message_time: Duration,
    /// Whether its HELLO says what heartbeat-time it is configured with. Default true.
    pub says_value: bool,
    /// How long, in a close, the kernel may take no byte, and the peer not end its stream after the
    /// last one. Default 2 s.
    pub close_timeout: Duration,
    /// How long a close may take in all. Default 30 s.
    pub close_max: Duration,
    /// How long after the end of a connection that it dialled, or its own start, the host dials
    /// again; `None` (default) = that is for the handler to do.
    pub redial: Option<Duration>,
}

impl SimOptions {
    setters! {
        liveness: [Settings],
        handshake: [Duration],
        queue_bytes: [usize],
        frame_max: [usize],
        socket_bytes: [usize],
        granularity: [Duration],
        message_time: [Duration],
        says_value: [bool],
        close_timeout: [Duration],
        close_max: [Duration],
        redial: into [Option<Duration>],
    }
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            liveness: Settings::default(),
            handshake: Duration::from_secs(10),
            queue_bytes: QUEUE_BYTES,
            frame_max: FRAME_MAX,
            socket_bytes: 256 << 10,
            granularity: Duration::ZERO,
            message_time: Duration::ZERO,
            says_value: true,
            close_timeout: CLOSE_TIMEOUT,
            close_max: CLOSE_MAX,
            redial: None,
        }
    }
}
