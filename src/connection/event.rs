//! What a connection reports while it lives, and at its end.
//!
//! Values only; nothing here decides. The account of the end is in [`down`](super::down).

use std::fmt;
use std::time::Duration;

use super::down::Down;
use crate::text::{Count, Measured, More, Seconds};

/// Something that happened to a link. Displays as one line of text.
///
/// ```
/// use peerbeat::link::{Level, LinkEvent};
/// use std::time::Duration;
///
/// let event = LinkEvent::Stalled { late: Duration::from_millis(800) };
/// assert_eq!(event.as_str(), "stalled"); // a stable word, for machines
/// assert_eq!(event.level(), Level::Warn); // how loudly a log should say it
/// println!("{event}"); // a line for people
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkEvent {
    /// The heartbeat-time in force changed; both directions follow it. If the peer changes it more
    /// than ten times in ten seconds, at most one a second is reported, for all since the last.
    HeartbeatTime {
        /// The value in force before; `None` = none.
        from: Option<Duration>,
        /// The value in force now.
        to: Duration,
        /// Who caused it.
        cause: Cause,
    },
    /// Silence has passed the heartbeat-time in force and half the slack. Once a silence.
    ///
    /// This and [`Recovered`](Self::Recovered) are reported as they come up to ten times in ten
    /// seconds together; beyond that at most one a second, the latest, with the number it
    /// represents.
    Late {
        /// How long the peer has been silent.
        silence: Duration,
        /// How many it represents, itself included.
        count: u64,
    },
    /// The silence that was late has ended.
    Recovered {
        /// How long it was.
        silence: Duration,
        /// How many it represents, itself included.
        count: u64,
    },
    /// Our own process was stopped or starved: a wait ended much later than asked. The peer got one
    /// more slack.
    Stalled {
        /// How much later.
        late: Duration,
    },
    /// The peer asked for a heartbeat-time under our floor and got the floor. Once a connection.
    Clamped {
        /// The value that it asked for.
        asked: Duration,
        /// The value that it got.
        floor: Duration,
    },
    /// The peer sends more than ten heartbeats a floor interval. Once a connection; it is not
    /// killed for it.
    Flooding,
    /// Our own handler has held the reader for longer than the limit, and has returned. The peer's
    /// silence did not count meanwhile, and a peer that was gone was not found.
    HandlerBusy {
        /// For how long.
        held: Duration,
    },
    /// The peer sends heartbeats, and its application does not read: our oldest heartbeat that it
    /// should have read by now is older than the limit. Once an episode.
    NotReading {
        /// How old that heartbeat is.
        behind: Duration,
    },
    /// Over 80 % of the queue is taken: the peer, or the way to it, is too slow for what is sent.
    ///
    /// This and [`QueueLow`](Self::QueueLow) alternate. They are reported when the link's reader
    /// next wakes, which a byte from the peer makes it do; a queue that is emptied before is
    /// counted with the next one. They come at the rates of [`Late`](Self::Late).
    QueueHigh {
        /// Bytes that wait.
        bytes: usize,
        /// How many changes between high and low it represents, itself included.
        count: u64,
    },
    /// No more than half of the queue is taken, after it was high.
    QueueLow {
        /// Bytes that wait.
        bytes: usize,
        /// How many changes between high and low it represents, itself included.
        count: u64,
    },
    /// The link has ended: the last event.
    Down(Down),
}

impl LinkEvent {
    /// One silence that has become late.
    pub(crate) fn late(silence: Duration) -> Self {
        Self::Late { silence, count: 1 }
    }

    /// The end of one that was late.
    pub(crate) fn recovered(silence: Duration) -> Self {
        Self::Recovered { silence, count: 1 }
    }

    /// The stable word for what happened, the one that the journal uses.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::HeartbeatTime { .. } => "heartbeat-time",
            Self::Late { .. } => "late",
            Self::Recovered { .. } => "recovered",
            Self::Stalled { .. } => "stalled",
            Self::Clamped { .. } => "clamped",
            Self::Flooding => "warning",
            Self::HandlerBusy { .. } => "handler-busy",
            Self::NotReading { .. } => "not-reading",
            Self::QueueHigh { .. } => "queue-high",
            Self::QueueLow { .. } => "queue-low",
            Self::Down(_) => "down",
        }
    }

    /// The level at which a log should report it.
    pub fn level(&self) -> Level {
        match self {
            Self::HeartbeatTime { .. } | Self::Recovered { .. } | Self::QueueLow { .. } => {
                Level::Info
            }
            Self::Late { .. }
            | Self::Stalled { .. }
            | Self::Clamped { .. }
            | Self::Flooding
            | Self::HandlerBusy { .. }
            | Self::NotReading { .. }
            | Self::QueueHigh { .. } => Level::Warn,
            Self::Down(down) if down.reason.is_orderly() => Level::Info,
            Self::Down(_) => Level::Error,
        }
    }
}

impl fmt::Display for LinkEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.as_str())?;
        match self {
            Self::HeartbeatTime { from: Some(from), to, cause } => {
                write!(f, "{}, was {}; {cause} asked for it", Seconds(*to), Seconds(*from))
            }
            Self::HeartbeatTime { from: None, to, cause } => {
                write!(f, "{}, was none; {cause} asked for it", Seconds(*to))
            }
            Self::Late { silence, count } => {
                let (silence, more) = (Measured(*silence), More(*count));
                write!(f, "nothing received for {silence}; the link is still up{more}")
            }
            Self::Recovered { silence, count } => {
                let (silence, more) = (Measured(*silence), More(*count));
                write!(f, "heard from again after {silence} of silence{more}")
            }
            Self::Stalled { late } => write!(
                f,
                "this process was suspended or starved (a wait ended {} late); the peer gets one \
                 extra slack",
                Measured(*late)
            ),
            Self::Clamped { asked, floor } => write!(
                f,
                "the peer asked for a heartbeat-time of {} and gets {} (heartbeat-time-min)",
                Seconds(*asked),
                Seconds(*floor)
            ),
            Self::Flooding => f.write_str(FLOODING),
            Self::HandlerBusy { held } => {
                write!(f, "the handler of this side took {}", Measured(*held))
            }
            Self::NotReading { behind } => {
                write!(f, "the peer answers, but has not read for {}", Measured(*behind))
            }
            Self::QueueHigh { bytes, count } => {
                let (bytes, more) = (Count(*bytes as u64, "byte"), More(*count));
                write!(f, "over 80 % of the queue is taken, {bytes} wait{more}")
            }
            Self::QueueLow { bytes, count } => {
                let (bytes, more) = (Count(*bytes as u64, "byte"), More(*count));
                write!(f, "the queue has room again, {bytes} wait{more}")
            }
            Self::Down(down) => write!(f, "{down}"),
        }
    }
}

/// How loudly a log should report an event: the levels that the logging crates of Rust share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Of interest when something is being investigated.
    Debug,
    /// Part of normal life.
    Info,
    /// Someone should look at it; nothing is lost so far.
    Warn,
    /// A link was lost.
    Error,
}

impl Level {
    /// The level as logging crates spell it, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who changed a heartbeat-time. Displays as `the peer` or `this side`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The peer sent a smaller value (H2).
    Peer,
    /// The program set a smaller value.
    Local,
}

impl Cause {
    /// The cause in one stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Peer => "the peer",
            Self::Local => "this side",
        })
    }
}

const FLOODING: &str = "the peer sends more than ten heartbeats per heartbeat-time-min; the link \
    is kept, but the peer's timer is wrong";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_display_with_numbers_and_units() {
        let second = Duration::from_secs(1);
        let cause = Cause::Peer;
        let table = [
            (
                LinkEvent::HeartbeatTime { from: None, to: second, cause },
                "heartbeat-time: 1 s, was none; the peer asked for it",
            ),
            (
                LinkEvent::HeartbeatTime {
                    from: Some(second * 2),
                    to: second,
                    cause: Cause::Local,
                },
                "heartbeat-time: 1 s, was 2 s; this side asked for it",
            ),
            (
                LinkEvent::Late { silence: second, count: 1 },
                "late: nothing received for 1.0000 s; the link is still up",
            ),
            (
                LinkEvent::Late { silence: second, count: 2 },
                "late: nothing received for 1.0000 s; the link is still up (and 1 more)",
            ),
            (
                LinkEvent::Recovered { silence: second, count: 1 },
                "recovered: heard from again after 1.0000 s of silence",
            ),
            (
                LinkEvent::Recovered { silence: second, count: 1000 },
                "recovered: heard from again after 1.0000 s of silence (and 999 more)",
            ),
            (
                LinkEvent::QueueHigh { bytes: 900, count: 1 },
                "queue-high: over 80 % of the queue is taken, 900 bytes wait",
            ),
            (
                LinkEvent::QueueLow { bytes: 1, count: 3 },
                "queue-low: the queue has room again, 1 byte wait (and 2 more)",
            ),
        ];
        for (event, text) in table {
            assert_eq!(event.to_string(), text);
        }
        assert_eq!(format!("{:<5}|", LinkEvent::Flooding.level()), "warn |");
    }
}
