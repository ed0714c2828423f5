//! What a configuration may mean differently from what its writer thinks.
//!
//! A warning never changes what is read; it says what was done and what to do about it. Files as
//! upstream ships them give none, unless there is something to know.

use std::fmt;
use std::time::Duration;

use super::error::{Plain, Quoted, Seconds};
use super::place::Place;

/// Something worth knowing, and where it stands. Displays as `PLACE: ITEM: what and what to do`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    place: Place,
    kind: WarningKind,
}

impl Warning {
    pub(super) fn new(place: Place, kind: WarningKind) -> Warning {
        Warning { place, kind }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What it is.
    pub fn kind(&self) -> &WarningKind {
        &self.kind
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.kind)
    }
}

/// What is worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// A variable that was never defined; it expanded to nothing.
    Undefined {
        /// The variable, `ENV:` included.
        name: String,
    },
    /// A variable was defined before; the new value holds from here.
    Redefined {
        /// The variable.
        name: String,
        /// Where it was defined before; `None` for a built-in one.
        before: Option<Place>,
    },
    /// The body of a `defmacro` was skipped.
    MacroSkipped {
        /// The macro.
        name: String,
    },
    /// An item in `add-peer` that nobody knows; it was skipped.
    UnknownItem {
        /// The item.
        item: String,
        /// The known item that is spelt most like it.
        nearest: Option<&'static str>,
    },
    /// `queue-size` was skipped: its unit is not public.
    QueueSize,
    /// Something was asked for that plain TCP does not give.
    PlainTcp {
        /// `ssl`, `websocket` or `apikey`.
        item: String,
    },
    /// `addr` without `port`: we do not dial, the peer dials us.
    AddrWithoutPort,
    /// We wait for peers to dial us but do not listen. Reported once, for the first such peer.
    NotListening {
        /// The peer that waits in vain.
        peer: String,
    },
    /// Nobody can ever be this peer: there is nothing to dial and nothing to know it by.
    NeverMatches,
    /// An earlier peer takes every connection that this one waits for.
    Indistinguishable {
        /// What both are known by.
        by: String,
        /// The earlier peer.
        other: Place,
    },
    /// The slack is under a tenth of the heartbeat-time.
    SlackUnderTenth {
        /// The slack in force.
        slack: Duration,
        /// The heartbeat-time in force.
        heartbeat_time: Duration,
    },
    /// The slack is under 50 ms.
    SlackTiny {
        /// The slack in force.
        slack: Duration,
    },
    /// The heartbeat-time is under the floor that peers have by default.
    HeartbeatTimeTiny {
        /// The heartbeat-time in force.
        heartbeat_time: Duration,
    },
    /// More warnings than are worth reading.
    Omitted {
        /// How many are not shown.
        count: usize,
    },
}

impl fmt::Display for WarningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WarningKind::Undefined { name } => {
                write!(f, "${{{}}}: not defined, taken as empty; define it before", Plain(name))
            }
            WarningKind::Redefined { name, before } => {
                write!(f, "define: {} was defined ", Plain(name))?;
                match before {
                    Some(place) => write!(f, "at {place}")?,
                    None => f.write_str("by peerbeat")?,
                }
                f.write_str(", the new value holds from here")
            }
            WarningKind::MacroSkipped { name } => {
                write!(f, "defmacro: {} skipped to endmacro; write its items out", Quoted(name))
            }
            WarningKind::UnknownItem { item, nearest } => {
                write!(f, "{}: not an item of add-peer, skipped", Plain(item))?;
                match nearest {
                    Some(name) => write!(f, "; did you mean {name}?"),
                    None => Ok(()),
                }
            }
            WarningKind::QueueSize => {
                f.write_str("queue-size: skipped, its unit is not known; use send-queue-bytes")
            }
            WarningKind::PlainTcp { item } => {
                write!(f, "{item}: not done, this link will be plain TCP; tunnel it if it must ")?;
                f.write_str("cross an open network")
            }
            WarningKind::AddrWithoutPort => f.write_str(
                "addr: without port nothing is dialled, the peer must dial us; add port",
            ),
            other => other.fmt_advice(f),
        }
    }
}

impl WarningKind {
    /// The kinds that come from looking at the finished configuration.
    fn fmt_advice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WarningKind::NotListening { peer } => {
                write!(f, "add-peer: {} must dial us, but we do not listen; ", Quoted(peer))?;
                f.write_str("set datasrc-port here or addr and port there")
            }
            WarningKind::NeverMatches => {
                f.write_str(
                    "add-peer: nothing to dial and nothing to know the peer by; add port, ",
                )?;
                f.write_str("remote-label or remote-name")
            }
            WarningKind::Indistinguishable { by, other } => {
                write!(f, "add-peer: the peer of {other} takes every {by}; ")?;
                f.write_str("give them different remote-labels")
            }
            WarningKind::SlackUnderTenth { slack, heartbeat_time } => {
                let (slack, time) = (Seconds(*slack), Seconds(*heartbeat_time));
                write!(f, "heartbeat-slack-time: {slack} is under a tenth of heartbeat-time ")?;
                write!(f, "({time}); a busy machine may be called dead, take more")
            }
            WarningKind::SlackTiny { slack } => {
                let slack = Seconds(*slack);
                write!(f, "heartbeat-slack-time: {slack} is under 0.05 s; ")?;
                f.write_str("a scheduling delay may be called death, take more")
            }
            WarningKind::HeartbeatTimeTiny { heartbeat_time } => {
                let time = Seconds(*heartbeat_time);
                write!(f, "heartbeat-time: {time} is under 0.1 s; ")?;
                f.write_str("a peer raises it to its own heartbeat-time-min")
            }
            WarningKind::Omitted { count } => write!(f, "warnings: {count} more are not shown"),
            _ => Ok(()), // unreachable: `fmt` shows the others itself
        }
    }
}
