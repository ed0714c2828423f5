//! The frames of the native protocol: what each carries, and its payload as bytes.
//!
//! A parsed frame borrows from the buffer it was found in and owns nothing. Parsing takes what it
//! knows from the front of a payload and ignores the rest; writing puts every field in its place.

use super::ProtocolError;

/// The version of the protocol that is spoken here.
pub const VERSION: u8 = 1;

/// The largest length of a name, a label or the text of a BYE, in bytes.
pub const TEXT_MAX: usize = 255;

/// One frame, borrowed from the buffer that it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Application bytes.
    Data(&'a [u8]),
    /// A sign of life that carries the sender's heartbeat-time.
    Heartbeat(Heartbeat),
    /// Who is speaking; the first frame of each direction.
    Hello(Hello<'a>),
    /// The last frame of a direction, with the reason.
    Bye(Bye<'a>),
    /// A frame that means nothing here and is skipped; it still counts as life.
    Unknown {
        /// Its type.
        kind: u8,
    },
}

impl Frame<'_> {
    /// The frame's name as errors print it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Data(_) => "DATA",
            Self::Heartbeat(_) => "HEARTBEAT",
            Self::Hello(_) => "HELLO",
            Self::Bye(_) => "BYE",
            Self::Unknown { .. } => "an unknown frame",
        }
    }
}

/// The payload of HELLO: who is speaking. Identification, not authentication.
///
/// ```
/// use peerbeat::protocol::{Decoder, Frame, Hello, Native};
///
/// let mut bytes = Vec::new();
/// Hello::default().name("feed").heartbeat_time_ms(1000).encode(&mut bytes)?;
///
/// let mut decoder = Decoder::new(Native::default());
/// decoder.spare()[..bytes.len()].copy_from_slice(&bytes);
/// decoder.handle_filled(bytes.len());
/// let Some(Frame::Hello(hello)) = decoder.poll_frame()? else { panic!("it is whole") };
/// assert_eq!((hello.name, hello.heartbeat_time_ms), ("feed", Some(1000)));
/// # Ok::<(), peerbeat::protocol::ProtocolError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hello<'a> {
    /// 1 to 255 bytes without control characters.
    pub name: &'a str,
    /// Up to 255 bytes, may be empty.
    pub label: &'a str,
    /// 0 when unset.
    pub id: u32,
    /// This side sends heartbeats even while data flows (informative).
    pub always: bool,
    /// This side only asks who is there; no link follows.
    pub probe: bool,
    /// The sender's configured heartbeat-time in milliseconds; 0 = it has none, `None` = it does
    /// not say. It counts as a heartbeat that arrives with the HELLO.
    pub heartbeat_time_ms: Option<u32>,
}

impl<'a> Hello<'a> {
    setters! {
        name: [&'a str],
        label: [&'a str],
        id: [u32],
        always: [bool],
        probe: [bool],
        heartbeat_time_ms: into [Option<u32>],
    }

    /// Appends the whole frame to `out`.
    ///
    /// # Errors
    /// [`ProtocolError::Name`] if a text breaks the limits of its field; nothing is appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        check_name(self.name)?;
        if self.label.len() > TEXT_MAX {
            return Err(ProtocolError::Name { field: "label", problem: "is over 255 bytes long" });
        }
        let value = self.heartbeat_time_ms.map(u32::to_be_bytes);
        let payload =
            12 + self.name.len() + self.label.len() + value.map_or(0, |value| value.len());
        put_head(out, payload, HELLO);
        out.extend_from_slice(MAGIC);
        let flags = (u8::from(self.always) * ALWAYS) | (u8::from(self.probe) * PROBE);
        out.extend_from_slice(&[VERSION, flags]);
        out.extend_from_slice(&self.id.to_be_bytes());
        for text in [self.name, self.label] {
            out.push(text.len() as u8);
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(value.as_ref().map_or(&[], |value| value));
        Ok(())
    }

    fn parse(payload: &'a [u8]) -> Result<Self, ProtocolError> {
        let mut fields = Fields { frame: "HELLO", payload, at: 0 };
        let magic = fields.take::<4>()?;
        if magic != *MAGIC {
            return Err(ProtocolError::Magic { found: magic });
        }
        let [version] = fields.take()?;
        if version != VERSION {
            return Err(ProtocolError::Version { found: version });
        }
        let [flags] = fields.take()?;
        let id = u32::from_be_bytes(fields.take()?);
        let name = fields.text("name")?;
        check_name(name)?;
        let label = fields.text("label")?;
        // Fewer than four bytes are none of this version's fields, and ignored as such.
        let heartbeat_time_ms = fields.rest().first_chunk().map(|value| u32::from_be_bytes(*value));
        let (always, probe) = (flags & ALWAYS != 0, flags & PROBE != 0);
        Ok(Self { name, label, id, always, probe, heartbeat_time_ms })
    }
}

/// The payload of HEARTBEAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// The sender's heartbeat-time in force, in milliseconds; 0 = it has none.
    pub heartbeat_time_ms: u32,
    /// What a round trip is computed from, if the sender includes it.
    pub timing: Option<Timing>,
}

/// The optional clock readings of a HEARTBEAT, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// The sender's clock, any origin.
    pub sent_us: u64,
    /// The `sent_us` of the last heartbeat that the sender received with one; 0 = none yet.
    pub echo_us: u64,
    /// How long ago the sender received that one.
    pub echo_age_us: u64,
}

impl Heartbeat {
    /// Appends the whole frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let payload = if self.timing.is_some() { 28 } else { 4 };
        put_head(out, payload, HEARTBEAT);
        out.extend_from_slice(&self.heartbeat_time_ms.to_be_bytes());
        if let Some(timing) = self.timing {
            for field in [timing.sent_us, timing.echo_us, timing.echo_age_us] {
                out.extend_from_slice(&field.to_be_bytes());
            }
        }
    }

    fn parse(payload: &[u8]) -> Result<Self, ProtocolError> {
        let mut fields = Fields { frame: "HEARTBEAT", payload, at: 0 };
        let heartbeat_time_ms = u32::from_be_bytes(fields.take()?);
        // Fewer than all three are bytes this version does not know, and ignored as such.
        let timing = match payload.len() {
            ..28 => None,
            _ => Some(Timing {
                sent_us: u64::from_be_bytes(fields.take()?),
                echo_us: u64::from_be_bytes(fields.take()?),
                echo_age_us: u64::from_be_bytes(fields.take()?),
            }),
        };
        Ok(Self { heartbeat_time_ms, timing })
    }
}

/// The payload of BYE: why a side ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bye<'a> {
    /// The reason as a number.
    pub code: ByeCode,
    /// The reason in the sender's words; escape it before showing it.
    pub text: &'a str,
}

impl<'a> Bye<'a> {
    /// Appends the whole frame to `out`; text over 255 bytes is cut at a character.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut cut = self.text.len().min(TEXT_MAX);
        while !self.text.is_char_boundary(cut) {
            cut -= 1;
        }
        let text = &self.text[..cut];
        put_head(out, 1 + text.len(), BYE);
        out.push(self.code.0);
        out.extend_from_slice(text.as_bytes());
    }

    fn parse(payload: &'a [u8]) -> Result<Self, ProtocolError> {
        let mut fields = Fields { frame: "BYE", payload, at: 0 };
        let [code] = fields.take()?;
        let rest = &payload[1..];
        let known = &rest[..rest.len().min(TEXT_MAX)];
        let text = match std::str::from_utf8(known) {
            Ok(text) => text,
            // A longer text is cut at 255 bytes, perhaps inside a character.
            Err(e) if e.error_len().is_none() && rest.len() > TEXT_MAX => {
                std::str::from_utf8(&known[..e.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => return Err(ProtocolError::NotUtf8 { field: "text of BYE" }),
        };
        Ok(Self { code: ByeCode(code), text })
    }
}

/// The code of a BYE. Codes without a name here are legal and read as "closed, code N".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByeCode(pub u8);

impl ByeCode {
    /// Orderly close.
    pub const CLOSE: Self = Self(0);
    /// Refused: peer not known here.
    pub const UNKNOWN_PEER: Self = Self(1);
    /// Refused: already connected.
    pub const ALREADY_CONNECTED: Self = Self(2);
    /// Refused: version.
    pub const VERSION: Self = Self(3);
    /// Protocol error.
    pub const PROTOCOL: Self = Self(4);
    /// Handshake too slow.
    pub const TOO_SLOW: Self = Self(5);
    /// Shutting down.
    pub const SHUTTING_DOWN: Self = Self(6);
    /// Refused: too many connections.
    pub const TOO_MANY: Self = Self(7);

    /// What the code means, in words; `None` if this version does not know it.
    pub fn meaning(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "orderly close",
            1 => "refused: peer not known here",
            2 => "refused: already connected",
            3 => "refused: version",
            4 => "protocol error",
            5 => "handshake too slow",
            6 => "shutting down",
            7 => "refused: too many connections",
            _ => return None,
        })
    }
}

impl std::fmt::Display for ByeCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.meaning() {
            Some(meaning) => f.write_str(meaning),
            None => write!(f, "closed, code {}", self.0),
        }
    }
}

/// Parses the body of a frame: its type byte, then its payload.
#[inline(always)]
pub(super) fn parse(kind: u8, payload: &[u8]) -> Result<Frame<'_>, ProtocolError> {
    if kind == DATA {
        return Ok(Frame::Data(payload));
    }
    parse_control(kind, payload)
}

/// Everything but DATA, kept out of line so that the path of data stays short.
#[inline(never)]
fn parse_control(kind: u8, payload: &[u8]) -> Result<Frame<'_>, ProtocolError> {
    Ok(match kind {
        HELLO => Frame::Hello(Hello::parse(payload)?),
        HEARTBEAT => Frame::Heartbeat(Heartbeat::parse(payload)?),
        BYE => Frame::Bye(Bye::parse(payload)?),
        _ => Frame::Unknown { kind },
    })
}

/// Appends length and type. The caller has checked that the payload fits a frame.
#[inline]
pub(super) fn put_head(out: &mut Vec<u8>, payload: usize, kind: u8) {
    let [a, b, c, d] = (payload as u32 + 1).to_be_bytes();
    out.extend_from_slice(&[a, b, c, d, kind]);
}

fn check_name(name: &str) -> Result<(), ProtocolError> {
    let problem = match name {
        "" => "is empty",
        _ if name.len() > TEXT_MAX => "is over 255 bytes long",
        _ if name.contains(char::is_control) => "holds a control character",
        _ => return Ok(()),
    };
    Err(ProtocolError::Name { field: "name", problem })
}

/// A payload taken apart from the front.
struct Fields<'a> {
    frame: &'static str,
    payload: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], ProtocolError> {
        let needed = self.at + count;
        let field = self.payload.get(self.at..needed).ok_or(ProtocolError::Short {
            frame: self.frame,
            needed,
            found: self.payload.len(),
        })?;
        self.at = needed;
        Ok(field)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        let mut field = [0; N];
        field.copy_from_slice(self.bytes(N)?);
        Ok(field)
    }

    fn rest(&self) -> &'a [u8] {
        &self.payload[self.at..]
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, ProtocolError> {
        let [count] = self.take()?;
        let bytes = self.bytes(count.into())?;
        std::str::from_utf8(bytes).map_err(|_| ProtocolError::NotUtf8 { field })
    }
}

const MAGIC: &[u8; 4] = b"PBHB";
/// The flags of HELLO.
const ALWAYS: u8 = 1;
const PROBE: u8 = 2;
const HELLO: u8 = 0x01;
const HEARTBEAT: u8 = 0x02;
pub(super) const DATA: u8 = 0x03;
const BYE: u8 = 0x04;
