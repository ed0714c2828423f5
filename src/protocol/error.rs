//! Protocol errors.
//!
//! One enum for the module. Each variant holds what was found and what is allowed, so that the text
//! for people and the BYE for the peer agree.

use std::error::Error;
use std::fmt;

/// Bytes that break the protocol, or a frame that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame announced a length of 0; the smallest is 1.
    ZeroLength,
    /// A frame announced a length above the limit, or is too long to be sent.
    TooLong {
        /// The length announced or asked for, in bytes.
        length: u64,
        /// The largest length allowed, in bytes.
        max: u64,
        /// The four bytes as they came, which often show what program is really speaking.
        head: [u8; 4],
    },
    /// A payload ended before its fields did.
    Short {
        /// The kind of frame.
        frame: &'static str,
        /// The payload bytes that the fields need.
        needed: usize,
        /// The payload bytes that were there.
        found: usize,
    },
    /// A text field is not UTF-8.
    NotUtf8 {
        /// The field.
        field: &'static str,
    },
    /// HELLO does not begin with `PBHB`.
    Magic {
        /// What it begins with.
        found: [u8; 4],
    },
    /// HELLO names a version that is not spoken here.
    Version {
        /// The version it names.
        found: u8,
    },
    /// A name is empty, longer than 255 bytes or holds a control character, or a label is longer
    /// than 255 bytes.
    Name {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A frame came where it is not allowed, such as DATA before HELLO or a second HELLO.
    Unexpected {
        /// The frame that came.
        frame: &'static str,
        /// What was allowed there.
        allowed: &'static str,
    },
    /// A [`Framing`](super::Framing) other than the native one refused the bytes.
    Foreign {
        /// Its own words.
        detail: String,
    },
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroLength => write!(f, "frame of length 0 (allowed: 1 or more)"),
            Self::TooLong { length, max, head } => {
                write!(f, "frame of length {length} (allowed: up to {max})")?;
                match other_program(head) {
                    Some(program) => write!(f, ": the other side seems to speak {program}"),
                    None => Ok(()),
                }
            }
            Self::Short { frame, needed, found } => {
                write!(f, "{frame} with {found} payload bytes (needed: {needed})")
            }
            Self::NotUtf8 { field } => write!(f, "{field} is not UTF-8"),
            Self::Magic { found } => {
                write!(f, "HELLO begins with \"{}\" (allowed: \"PBHB\")", found.escape_ascii())
            }
            Self::Version { found } => write!(f, "protocol version {found} (allowed: 1)"),
            Self::Name { field, problem } => write!(f, "{field} {problem}"),
            Self::Unexpected { frame, allowed } => write!(f, "{frame} where {allowed} is allowed"),
            Self::Foreign { detail } => f.write_str(detail),
        }
    }
}

impl Error for ProtocolError {}

/// Names the protocol that a bogus length really is the first bytes of: an operator who pointed a
/// browser or a TLS client at the port should not have to decode a number.
fn other_program(head: &[u8; 4]) -> Option<&'static str> {
    match head {
        b"GET " | b"POST" | b"HEAD" | b"PUT " | b"OPTI" | b"CONN" | b"HTTP" | b"DELE" | b"PATC"
        | b"TRAC" | b"PRI " => Some("HTTP"),
        [0x16, 0x03, _, _] => Some("TLS"),
        b"SSH-" => Some("SSH"),
        _ => None,
    }
}
