//! The end of a connection: its one reason and the account of it.
//!
//! Values only; nothing here decides. Every end has one reason, the first one, and the numbers that
//! show it.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::protocol::{ByeCode, Escaped, ProtocolError};
use crate::text::{Count, Measured, Seconds};

/// The end of a link: why, and the numbers that show it. Displays as one line of text.
///
/// ```
/// use peerbeat::link::{Down, DownReason};
///
/// /// What an adapter logs, and what it does next.
/// fn is_gone(down: &Down) -> bool {
///     eprintln!("{down}"); // "silent: no byte arrived within the limit; silent for 7.0s, ..."
///     if down.unsent_frames > 0 || down.unconfirmed_bytes != Some(0) {
///         eprintln!("the peer may have missed some of what was sent");
///     }
///     match &down.reason {
///         DownReason::Closed { code, text } => {
///             eprintln!("it said goodbye: {code} {}", text.escape_debug());
///             false
///         }
///         reason => !reason.is_orderly(),
///     }
/// }
/// # let _ = is_gone;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Down {
    /// Why.
    pub reason: DownReason,
    /// How long the peer had been silent.
    pub silence: Duration,
    /// The limit of silence; `None` = there was none.
    #[doc(alias = "timeout")]
    pub limit: Option<Duration>,
    /// The heartbeat-time in force; `None` = there was none.
    pub heartbeat_time: Option<Duration>,
    /// The slack.
    pub slack: Duration,
    /// How long ago the kernel had last accepted one of our bytes.
    pub last_sent_age: Duration,
    /// Messages that were accepted and not handed to the kernel whole. All those of a write in
    /// which a foreign stream panicked are among them: how much of it went out is not known.
    pub unsent_frames: u64,
    /// Their bytes on the wire that were not handed to the kernel.
    pub unsent_bytes: u64,
    /// Bytes that the kernel took and the peer may not have read, at most: those after our last
    /// heartbeat that it echoed; none once it has ended its stream on our goodbye. `None` for a
    /// framing whose heartbeats carry no echo.
    ///
    /// A peer that gives up by itself in the moment in which our goodbye is on its way to it, as it
    /// hears nothing, ends its stream without a goodbye too, and cannot be distinguished from one
    /// that has read all.
    pub unconfirmed_bytes: Option<u64>,
    /// Messages that arrived and were not handed on, because this side had ended the link.
    pub undelivered_frames: u64,
    /// How long the link had been up.
    pub up: Duration,
}

/// Why a link ended. Of several reasons the first one stays.
///
/// Displays as a phrase; text from the peer is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownReason {
    /// No byte arrived for the limit.
    Silent,
    /// The peer stopped reading: the kernel accepted no byte of a pending write for the limit.
    WriteStalled {
        /// For how long it accepted none.
        pending: Duration,
    },
    /// The peer said goodbye.
    Closed {
        /// Its code.
        code: ByeCode,
        /// Its words; shown escaped.
        text: String,
    },
    /// The stream ended without a goodbye: the peer's process died, or something cut the
    /// connection.
    Eof,
    /// A reset or another error of the socket.
    Io {
        /// Its kind.
        kind: io::ErrorKind,
        /// The system's words.
        message: String,
    },
    /// The peer's bytes break the protocol.
    Protocol(ProtocolError),
    /// The peer connected again; the new link took over.
    Replaced,
    /// We closed it.
    Local {
        /// Why; empty if the program simply closed it.
        detail: String,
    },
}

impl DownReason {
    /// The reason in one stable word, as JSON and the README have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::WriteStalled { .. } => "write-stalled",
            Self::Closed { .. } => "closed",
            Self::Eof => "eof",
            Self::Io { .. } => "io",
            Self::Protocol(_) => "protocol",
            Self::Replaced => "replaced",
            Self::Local { .. } => "local",
        }
    }

    /// Whether the link was closed on purpose, by either side, with nothing gone wrong. A log may
    /// report such an end as information and every other one as an error.
    pub fn is_orderly(&self) -> bool {
        match self {
            Self::Closed { code, .. } => matches!(*code, ByeCode::CLOSE | ByeCode::SHUTTING_DOWN),
            Self::Local { detail } => detail.is_empty(),
            _ => false,
        }
    }

    /// What the reason usually means for the person who has to act on it: one sentence without a
    /// full stop.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Silent => {
                "the peer, its host or the network is gone, and nothing closed the connection"
            }
            Self::WriteStalled { .. } => {
                "the peer's program hangs or is too slow: it does not read what is sent to it"
            }
            Self::Closed { .. } if self.is_orderly() => "the peer closed the link on purpose",
            Self::Closed { .. } => "the peer did not want this connection: see its log",
            Self::Eof => {
                "the peer's process ended without a BYE, the peer found us silent or not reading, or \
                 something in between cut the connection"
            }
            Self::Io { .. } => {
                "the system reports the connection as broken: by the peer, by its host or in between"
            }
            Self::Protocol(_) => {
                "the other end does not speak this protocol, or the bytes were damaged"
            }
            Self::Replaced => "only what was under way on the old connection is lost",
            Self::Local { .. } if self.is_orderly() => "this side closed the link on purpose",
            Self::Local { .. } => "this side ended the link because something went wrong here",
        }
    }

    pub(crate) fn io(error: &io::Error) -> Self {
        Self::Io { kind: error.kind(), message: error.to_string() }
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no byte arrived within the limit"),
            Self::WriteStalled { pending } => {
                let pending = Measured(*pending);
                write!(f, "the peer stopped reading: no byte was accepted for {pending}")
            }
            Self::Closed { code, text } if text.is_empty() => write!(f, "{code}"),
            Self::Closed { code, text } => write!(f, "{code}: {}", Escaped(text)),
            Self::Eof => f.write_str("the stream ended without a BYE"),
            Self::Io { message, .. } => write!(f, "{}", Escaped(message)),
            Self::Protocol(error) => write!(f, "{error}"),
            Self::Replaced => f.write_str("the peer connected again; the new link took over"),
            Self::Local { detail } if detail.is_empty() => f.write_str("closed by this side"),
            Self::Local { detail } => write!(f, "{}", Escaped(detail)),
        }
    }
}

impl Error for DownReason {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; silent for ", self.reason.as_str(), self.reason)?;
        write!(f, "{}, ", Measured(self.silence))?;
        match (self.limit, self.heartbeat_time) {
            (Some(limit), Some(time)) => {
                let (limit, time, slack) = (Seconds(limit), Seconds(time), Seconds(self.slack));
                write!(f, "limit {limit} (heartbeat-time {time} + slack {slack})")?;
            }
            _ => f.write_str("no limit (no heartbeat-time in force)")?,
        }
        write!(f, "; up for {}", Measured(self.up))?;
        if self.unsent_frames > 0 {
            let messages = Count(self.unsent_frames, "message");
            write!(f, "; {messages} ({}) not sent", Count(self.unsent_bytes, "byte"))?;
        }
        if self.undelivered_frames > 0 {
            write!(f, "; {} not handed on", Count(self.undelivered_frames, "message"))?;
        }
        Ok(())
    }
}

impl Error for Down {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent() -> Down {
        Down {
            reason: DownReason::Silent,
            silence: Duration::from_micros(7_000_300),
            limit: Some(Duration::from_secs(7)),
            heartbeat_time: Some(Duration::from_secs(5)),
            slack: Duration::from_secs(2),
            last_sent_age: Duration::ZERO,
            unsent_frames: 1,
            unsent_bytes: 69,
            unconfirmed_bytes: Some(0),
            undelivered_frames: 0,
            up: Duration::from_millis(90_500),
        }
    }

    #[test]
    fn an_end_displays_its_reason_and_numbers() {
        assert_eq!(
            silent().to_string(),
            "silent: no byte arrived within the limit; silent for 7.0003 s, limit 7 s \
             (heartbeat-time 5 s + slack 2 s); up for 90.5000 s; 1 message (69 bytes) not sent"
        );
        let end = Down { undelivered_frames: 2, ..silent() };
        assert!(end.to_string().ends_with(" not sent; 2 messages not handed on"), "{end}");
        let text = "\u{1b}[2J who?".to_owned();
        let reason = DownReason::Closed { code: ByeCode::UNKNOWN_PEER, text };
        let end = Down { reason, limit: None, heartbeat_time: None, unsent_frames: 0, ..silent() };
        assert_eq!(
            end.to_string(),
            "closed: refused: peer not known here: \\u{1b}[2J who?; silent for 7.0003 s, no limit \
             (no heartbeat-time in force); up for 90.5000 s"
        );
    }

    #[test]
    fn only_an_end_on_purpose_is_orderly() {
        let closed = |code| DownReason::Closed { code, text: String::new() };
        let local = |detail: &str| DownReason::Local { detail: detail.to_owned() };
        let orderly = [closed(ByeCode::CLOSE), closed(ByeCode::SHUTTING_DOWN), local("")];
        assert!(orderly.iter().all(DownReason::is_orderly));
        let wrong = [
            closed(ByeCode::UNKNOWN_PEER),
            local("the handler panicked"),
            DownReason::Silent,
            DownReason::Eof,
            DownReason::Replaced,
        ];
        assert!(!wrong.iter().any(DownReason::is_orderly));
    }
}
