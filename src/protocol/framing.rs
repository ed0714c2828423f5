//! Where a frame ends and what it means: the seam at which other protocols take the native one's
//! place.
//!
//! A framing reads no clock and does no I/O; it sees the bytes that have arrived so far and says
//! what is at their front. One value serves both directions of a link.

use std::sync::Arc;

use super::frame::{self, Bye, Frame, Heartbeat};
use super::{ProtocolError, frame::put_head};

/// The default of the largest frame length, in bytes: 16 MiB.
pub const FRAME_MAX: usize = 16 << 20;

/// The length that a frame other than DATA may have whatever the limit for DATA is, in bytes.
pub const CONTROL_MAX: usize = 1024;

/// Turns bytes into frames and frames into bytes.
///
/// The methods take `&self`, are called from the reading and the sending threads of a link, and
/// keep what state they need in atomics. The encoding ones are called while the link is locked, so
/// they do not wait for anything, and in the order in which the frames leave if [`NUMBERED`]
/// says so. A framing is chosen at compile time: the native one costs nothing for the others' being
/// possible. tests/examples has four whole ones: STOMP, SoupBinTCP, FIX and IEC 60870-5-104.
///
/// ```
/// use peerbeat::protocol::{Decoded, Frame, Framing, Heartbeat, ProtocolError};
///
/// /// Lines of text; an empty line is a heartbeat.
/// struct Lines;
///
/// impl Framing for Lines {
///     const NEGOTIATES: bool = false; // an empty line carries no value
///
///     fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
///         match bytes.iter().position(|&byte| byte == b'\n') {
///             Some(0) => {
///                 let frame = Frame::Heartbeat(Heartbeat::default());
///                 Ok(Decoded::Whole { length: 1, frame })
///             }
///             Some(end) => {
///                 let frame = Frame::Data(&bytes[..end]);
///                 Ok(Decoded::Whole { length: end + 1, frame })
///             }
///             None if bytes.len() < 4096 => Ok(Decoded::Partial),
///             None => Err(ProtocolError::Foreign { detail: "a line over 4095 bytes".to_owned() }),
///         }
///     }
///
///     fn encode_data(&self, line: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
///         out.extend_from_slice(line);
///         out.push(b'\n');
///         Ok(())
///     }
///
///     fn encode_heartbeat(&self, _: &Heartbeat, out: &mut Vec<u8>) {
///         out.push(b'\n');
///     }
/// }
/// # assert!(matches!(Lines.decode(b"tick\n\n"), Ok(Decoded::Whole { length: 5, .. })));
/// ```
///
/// [`NUMBERED`]: Self::NUMBERED
pub trait Framing: Send + Sync + 'static {
    /// Whether heartbeats carry the sender's heartbeat-time. If they do not, negotiation is off:
    /// nothing is announced and nothing adopted, and each direction has what the link's settings
    /// give it.
    const NEGOTIATES: bool = true;

    /// Whether a frame holds its place in the order of all, such as a sequence number, heartbeats
    /// included. If it does, a heartbeat is put behind all frames encoded before it; else at the
    /// next edge between frames, ahead of a long queue (H6).
    const NUMBERED: bool = false;

    /// Returns what is at the front of `bytes`, which the peer sent.
    ///
    /// A partial frame is asked about again, from its first byte, when more bytes have arrived;
    /// bytes called [`Decoded::Whole`] do not come back, so state such as an expected number moves
    /// only with those. (If the framing [negotiates](Self::NEGOTIATES), every frame is looked at
    /// once before, for the heartbeats among them.) A framing that looks for an end must limit what
    /// it waits for: the buffer grows for it.
    ///
    /// # Errors
    /// [`ProtocolError::Foreign`] with the protocol's own words, or another variant that fits, for
    /// whatever breaks the protocol. It is reported as soon as it can be seen, and ends the link.
    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError>;

    /// Says the same of bytes that this framing encoded: a link looks for the edges between its own
    /// frames if a heartbeat has to be inserted, and counts what was not sent. No state may move.
    ///
    /// The default asks [`decode`](Self::decode), which is right for a framing without state whose
    /// two directions look alike.
    ///
    /// # Errors
    /// [`ProtocolError::Foreign`], or any other variant, if it cannot tell; what is left then
    /// counts as one frame.
    #[inline(always)]
    fn decode_own<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        self.decode(bytes)
    }

    /// The length of the whole frames of data at the front of `bytes`, as far as that can be
    /// determined without looking into them: a link looks for heartbeats before it hands data on.
    /// The default knows of none.
    #[inline(always)]
    fn data_length(&self, _bytes: &[u8]) -> usize {
        0
    }

    /// Appends the frame that carries `payload`, or appends nothing and returns why not.
    ///
    /// A host that frames its messages itself appends them as they are, one whole frame at a time.
    ///
    /// # Errors
    /// [`ProtocolError::TooLong`], or [`ProtocolError::Foreign`] with the protocol's own words, for
    /// a payload that no frame can carry.
    fn encode_data(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError>;

    /// Appends a heartbeat; a protocol whose heartbeats carry no value ignores it. If nothing is
    /// appended nothing is sent, and the next one is due after another heartbeat-time.
    fn encode_heartbeat(&self, heartbeat: &Heartbeat, out: &mut Vec<u8>);

    /// Appends a goodbye, if the protocol has one.
    fn encode_bye(&self, _bye: &Bye<'_>, _out: &mut Vec<u8>) {}
}

impl<F: Framing> Framing for Arc<F> {
    const NEGOTIATES: bool = F::NEGOTIATES;
    const NUMBERED: bool = F::NUMBERED;

    #[inline(always)]
    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        (**self).decode(bytes)
    }

    #[inline(always)]
    fn decode_own<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        (**self).decode_own(bytes)
    }

    #[inline(always)]
    fn data_length(&self, bytes: &[u8]) -> usize {
        (**self).data_length(bytes)
    }

    #[inline]
    fn encode_data(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        (**self).encode_data(payload, out)
    }

    fn encode_heartbeat(&self, heartbeat: &Heartbeat, out: &mut Vec<u8>) {
        (**self).encode_heartbeat(heartbeat, out);
    }

    fn encode_bye(&self, bye: &Bye<'_>, out: &mut Vec<u8>) {
        (**self).encode_bye(bye, out);
    }
}

/// What [`Framing::decode`] found at the front of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// The frame has not arrived whole.
    Partial,
    /// A whole frame.
    Whole {
        /// The bytes it occupies, at least 1.
        length: usize,
        /// What it is.
        frame: Frame<'a>,
    },
}

/// The protocol of this crate, as the [module](super) describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Native {
    frame_max: usize,
}

impl Native {
    /// Sets the largest length of a DATA frame, type byte included, for both directions. It is
    /// kept between 1 and 4294967295, the limits of the length field. Other frames may always have
    /// up to [`CONTROL_MAX`] bytes, so that a small limit for messages refuses no heartbeat.
    pub fn with_frame_max(frame_max: usize) -> Self {
        Self { frame_max: frame_max.clamp(1, u32::MAX as usize) }
    }

    /// The largest length of a DATA frame, type byte included, in bytes.
    pub fn frame_max(&self) -> usize {
        self.frame_max
    }
}

impl Default for Native {
    /// Frames up to [`FRAME_MAX`].
    fn default() -> Self {
        Self { frame_max: FRAME_MAX }
    }
}

impl Framing for Native {
    #[inline(always)]
    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else {
            return Ok(Decoded::Partial);
        };
        let length = u32::from_be_bytes(*head) as usize;
        // One comparison for both ends: 0 - 1 wraps to the largest value.
        if length.wrapping_sub(1) >= self.frame_max {
            self.check_control(length, *head, rest.first())?;
        }
        // Not `bytes[4..4 + length]`: the sum overflows if usize has 32 bits.
        let Some((&kind, payload)) = rest.get(..length).and_then(<[u8]>::split_first) else {
            return Ok(Decoded::Partial);
        };
        Ok(Decoded::Whole { length: 4 + length, frame: frame::parse(kind, payload)? })
    }

    /// Our heartbeats and goodbyes may be longer than a small limit for messages.
    fn decode_own<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        Self::with_frame_max(usize::MAX).decode(bytes)
    }

    #[inline(always)]
    fn data_length(&self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while let Some((&[a, b, c, d, frame::DATA], body)) = rest.split_first_chunk::<5>() {
            let payload = (u32::from_be_bytes([a, b, c, d]) as usize).wrapping_sub(1);
            if payload >= self.frame_max || payload > body.len() {
                break;
            }
            rest = &body[payload..];
        }
        bytes.len() - rest.len()
    }

    #[inline]
    fn encode_data(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        if payload.len() >= self.frame_max {
            return Err(bad_length(payload.len() + 1, self.frame_max, [0; 4]));
        }
        out.reserve(payload.len() + 5);
        put_head(out, payload.len(), frame::DATA);
        out.extend_from_slice(payload);
        Ok(())
    }

    fn encode_heartbeat(&self, heartbeat: &Heartbeat, out: &mut Vec<u8>) {
        heartbeat.encode(out);
    }

    fn encode_bye(&self, bye: &Bye<'_>, out: &mut Vec<u8>) {
        bye.encode(out);
    }
}

impl Native {
    /// Judges a length above the limit of DATA as soon as it can be judged: frames of other types
    /// may have it up to [`CONTROL_MAX`].
    #[cold]
    fn check_control(
        self,
        length: usize,
        head: [u8; 4],
        kind: Option<&u8>,
    ) -> Result<(), ProtocolError> {
        match kind {
            _ if length == 0 || length > self.frame_max.max(CONTROL_MAX) => {
                Err(bad_length(length, self.frame_max.max(CONTROL_MAX), head))
            }
            Some(&frame::DATA) => Err(bad_length(length, self.frame_max, head)),
            _ => Ok(()),
        }
    }
}

#[cold]
fn bad_length(length: usize, max: usize, head: [u8; 4]) -> ProtocolError {
    match length {
        0 => ProtocolError::ZeroLength,
        _ => ProtocolError::TooLong { length: length as u64, max: max as u64, head },
    }
}
