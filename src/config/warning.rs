//! Warnings: what in a configuration may not mean what its writer intended.
//!
//! A warning never changes what is read; it reports what was done and what to do about it. The
//! files that upstream ships give none, unless there is something to know.

use std::fmt;
use std::time::Duration;

use super::location::Location;
use super::shown::{Quoted, Seconds};
use crate::protocol::Escaped;

/// Something worth knowing, and where it is. Displays as `LOCATION: ITEM: what and what to do`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    location: Location,
    kind: WarningKind,
}

impl Warning {
    pub(super) fn new(location: Location, kind: WarningKind) -> Warning {
        Warning { location, kind }
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Its kind.
    pub fn kind(&self) -> &WarningKind {
        &self.kind
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.kind)
    }
}

/// The kinds of warnings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// A variable that was never defined expanded to nothing in one of our values or in the path of
    /// an include.
    Undefined {
        /// The variable.
        name: String,
    },
    /// `${MAJOR_VERSION}` or `${MINOR_VERSION}`, which only the application knows.
    ApplicationVersion {
        /// The variable.
        name: String,
    },
    /// A variable was defined before with another value; the new value holds from here.
    Redefined {
        /// The variable.
        name: String,
        /// Where it was defined before; `None` for a built-in one.
        before: Option<Location>,
    },
    /// The body of a `defmacro` was skipped.
    MacroSkipped {
        /// The macro.
        name: String,
    },
    /// An operating system that conditions do not know: the condition does not hold.
    UnknownOs {
        /// The name.
        name: String,
    },
    /// An item that is nearly ours; it was skipped.
    NearMiss {
        /// The item.
        item: String,
        /// The most likely meaning.
        nearest: &'static str,
    },
    /// An item of `add-peer` outside one; it was skipped.
    OutsidePeer {
        /// The item.
        item: String,
    },
    /// A misspelled `add-peer`; its lines were skipped to its end.
    PeerMisspelt {
        /// The item.
        item: String,
    },
    /// A group of others is closed by another name.
    GroupClosedBy {
        /// What opened it.
        opener: String,
        /// Where.
        opened: Location,
        /// What closes it.
        closer: String,
    },
    /// The end of a group of others that is not open.
    GroupNotOpen {
        /// The item.
        closer: String,
    },
    /// An included file was found in one place, and another one in a later place.
    IncludeElsewhere {
        /// The file that was read.
        read: String,
        /// The other file.
        other: String,
    },
    /// A variable in the path of an include was empty.
    IncludeEmpty {
        /// The variable.
        name: String,
        /// The file that was read.
        read: String,
    },
    /// Nothing was read from a folder that `include-dir` names.
    IncludeDirUnread {
        /// The folder.
        path: String,
        /// Whether it exists.
        exists: bool,
    },
    /// `application-name` or `application-root` comes after something that needed it.
    ApplicationLate {
        /// The item.
        item: &'static str,
    },
    /// Bytes that are not UTF-8 in what is not ours; they were read as Latin-1.
    NotUtf8,
    /// A single-valued item was given twice in one group or file; the last one holds.
    Doubled {
        /// The item.
        item: String,
        /// Where it was given before.
        before: Location,
    },
    /// An item in `add-peer` that is not known; it was skipped.
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
    /// The port that is to take TLS is the plain one as well.
    TlsPort {
        /// `datasrc-ssl-port` or `datasrc-sslport`.
        item: String,
        /// The port.
        port: u16,
    },
    /// `datasrc-port` beside interfaces that are all Unix sockets: nothing listens on it.
    PortWithoutInterface,
    /// `datasrc-ws-port`: there is no WebSocket here.
    WebSocketPort,
    /// An item about peers that are found at run time.
    Discovery {
        /// The item.
        item: String,
    },
    /// `addr` without `port`: we do not dial, the peer dials us.
    AddrWithoutPort,
    /// `port` beside addresses that take none.
    PortWithoutAddr,
    /// An empty name or label, or the id 0, by which no peer is recognised.
    MatchesNobody {
        /// The item.
        item: String,
    },
    /// A slack of 0 was taken as 0.01 s.
    SlackZero {
        /// The item.
        item: String,
    },
    /// What may wait for a peer is more than what may wait in all links, which holds.
    QueueCapped {
        /// `send-queue-bytes`
        bytes: usize,
        /// `node-queue-bytes`
        max: usize,
    },
    /// We wait for peers to dial us but do not listen. Given once, for the first such peer.
    NotListening {
        /// The peer that waits.
        peer: String,
    },
    /// A peer that can never connect: there is nothing to dial and nothing to recognise it by.
    NeverMatches,
    /// A HELLO can be that of an earlier peer too.
    Indistinguishable {
        /// What both can be recognised by.
        by: String,
        /// The earlier peer.
        other: Location,
    },
    /// An earlier peer has the same identity and the same addresses.
    Duplicate {
        /// The earlier peer.
        other: Location,
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
                write!(f, "${{{}}}: not defined, taken as empty; define it before", Escaped(name))
            }
            WarningKind::ApplicationVersion { name } => {
                let name = Escaped(name);
                write!(f, "${{{name}}}: the application's, not known here, taken as empty; ")?;
                write!(f, "give it as --define {name}=N")
            }
            WarningKind::Redefined { name, before } => {
                write!(f, "define: {} was defined ", Escaped(name))?;
                match before {
                    Some(location) => write!(f, "at {location}")?,
                    None => f.write_str("by peerbeat")?,
                }
                f.write_str(", the new value holds from here")
            }
            WarningKind::MacroSkipped { name } => {
                write!(f, "defmacro: {} skipped to endmacro; write its items out", Quoted(name))
            }
            WarningKind::UnknownOs { name } => {
                write!(f, "os: {} is not known, so it does not hold; ", Quoted(name))?;
                f.write_str("use linux, win32 or darwin")
            }
            WarningKind::IncludeElsewhere { read, other } => {
                let (read, other) = (Quoted(read), Quoted(other));
                write!(f, "include-file: read {read}, and not {other}; name the one that is meant")
            }
            WarningKind::IncludeEmpty { name, read } => {
                let name = Escaped(name);
                write!(f, "include-file: read {}, because ${{{name}}} in its path ", Quoted(read))?;
                f.write_str("is empty; set it, or leave it out")
            }
            WarningKind::IncludeDirUnread { path, exists } => {
                let reason =
                    if *exists { "no include-file found a file in it" } else { "no folder" };
                write!(f, "include-dir: nothing in {} was read ({reason}); ", Quoted(path))?;
                f.write_str("it only adds a place to look in, name files with include-file")
            }
            WarningKind::ApplicationLate { item } => {
                write!(f, "{item}: was needed before; move it to the beginning")
            }
            WarningKind::NotUtf8 => {
                f.write_str("file: not UTF-8, read as Latin-1; save the file as UTF-8")
            }
            WarningKind::Doubled { item, before } => {
                let item = Escaped(item);
                write!(f, "{item}: given before at {before}, the last one holds; remove one")
            }
            other => other.fmt_item(f),
        }
    }
}

impl WarningKind {
    /// The kinds about one item, or about the end of a group.
    fn fmt_item(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WarningKind::NearMiss { item, nearest } => {
                write!(f, "{}: not an item, skipped; did you mean {nearest}?", Escaped(item))
            }
            WarningKind::OutsidePeer { item } => {
                write!(f, "{item}: an item of add-peer, skipped outside it; move it into one")
            }
            WarningKind::PeerMisspelt { item } => {
                let item = Escaped(item);
                write!(f, "{item}: skipped with the lines to its end; did you mean add-peer?")
            }
            WarningKind::GroupClosedBy { opener, opened, closer } => {
                let (opener, closer) = (Escaped(opener), Escaped(closer));
                write!(f, "{closer}: closes {opener} of {opened}; close it by its own name")
            }
            WarningKind::GroupNotOpen { closer } => {
                write!(f, "{}: closes nothing, skipped; remove it", Escaped(closer))
            }
            WarningKind::UnknownItem { item, nearest } => {
                write!(f, "{}: not an item of add-peer, skipped", Escaped(item))?;
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
            WarningKind::TlsPort { item, port } => {
                write!(f, "{item}: {port} is datasrc-port too, and takes plain TCP; ")?;
                f.write_str("a peer that dials it with TLS is refused, give them different ports")
            }
            WarningKind::PortWithoutInterface => f.write_str(
                "datasrc-port: nothing listens on it, every datasrc-interface is a Unix socket; \
                 remove it, or add an address",
            ),
            WarningKind::WebSocketPort => f.write_str(
                "datasrc-ws-port: skipped, there is no WebSocket here; peers dial datasrc-port",
            ),
            WarningKind::Discovery { item } => {
                write!(f, "{item}: skipped, peers found at run time are not known here; ")?;
                f.write_str("give each an add-peer")
            }
            WarningKind::AddrWithoutPort => f.write_str(
                "addr: without port nothing is dialled, the peer must dial us; add port",
            ),
            WarningKind::PortWithoutAddr => {
                f.write_str("port: skipped, unix: addresses take none; remove it, or add addr")
            }
            WarningKind::MatchesNobody { item } => {
                write!(f, "{item}: recognises no peer, as if it were not there; remove it")
            }
            WarningKind::SlackZero { item } => {
                write!(f, "{item}: 0 is taken as 0.01 s; a busy machine may be called dead, ")?;
                f.write_str("take more")
            }
            WarningKind::QueueCapped { bytes, max } => {
                write!(f, "send-queue-bytes: {bytes} is more than node-queue-bytes, so {max} holds")
            }
            other => other.fmt_lint(f),
        }
    }

    /// The kinds that come from looking at the finished configuration.
    fn fmt_lint(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
                write!(f, "add-peer: one that is known by {} can be taken for ", Escaped(by))?;
                write!(f, "the peer of {other} too; give them different remote-labels")
            }
            WarningKind::Duplicate { other } => {
                write!(f, "add-peer: the same peer as that of {other}; they would take the link ")?;
                f.write_str("from each other, remove one")
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
            _ => Ok(()), // unreachable: the functions before show the others themselves
        }
    }
}
