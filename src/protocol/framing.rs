//! Where a frame ends and what it means: the seam at which other protocols take the native one's
//! place.
//!
//! A framing reads no clock and does no I/O; it sees the bytes that have arrived so far and says
//! what stands at their front. One value serves both directions of a link.

use std::sync::Arc;

use super::frame::{self, Bye, Frame, Heartbeat};
use super::{ProtocolError, frame::put_head};

/// The default of the greatest frame length, in bytes: 16 MiB.
pub const FRAME_MAX: usize = 16 << 20;

/// Turns bytes into frames and frames into bytes.
///
/// The methods take `&self`, are called from the reading and the sending threads of a link, and
/// keep what state they need in atomics. The encoding ones are called while the link is locked, in
/// the order in which the frames leave: a protocol that numbers its messages counts there.
pub trait Framing: Send + Sync + 'static {
    /// Says what stands at the front of `bytes`.
    ///
    /// # Errors
    /// Whatever breaks the protocol. It is reported as soon as it can be seen, and kills the link.
    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError>;

    /// Appends the frame that carries `payload`, or appends nothing and says why not.
    ///
    /// # Errors
    /// A payload that no frame can carry.
    fn encode_data(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError>;

    /// Appends a heartbeat; a protocol whose heartbeats carry no value ignores it.
    fn encode_heartbeat(&self, heartbeat: &Heartbeat, out: &mut Vec<u8>);

    /// Appends a goodbye, where the protocol has one.
    fn encode_bye(&self, _bye: &Bye<'_>, _out: &mut Vec<u8>) {}
}

impl<F: Framing> Framing for Arc<F> {
    #[inline(always)]
    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        (**self).decode(bytes)
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
    /// Sets the greatest frame length, type byte included, for both directions. It is kept between
    /// 1 and 4294967295, the limits of the length field.
    pub fn with_frame_max(frame_max: usize) -> Self {
        Self { frame_max: frame_max.clamp(1, u32::MAX as usize) }
    }

    /// The greatest frame length, type byte included, in bytes.
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
        // One comparison for both ends: 0 - 1 wraps to the greatest value.
        if length.wrapping_sub(1) >= self.frame_max {
            return Err(bad_length(length, self.frame_max, *head));
        }
        // Not `bytes[4..4 + length]`: the sum overflows where usize has 32 bits.
        let Some((&kind, payload)) = rest.get(..length).and_then(<[u8]>::split_first) else {
            return Ok(Decoded::Partial);
        };
        Ok(Decoded::Whole { length: 4 + length, frame: frame::parse(kind, payload)? })
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

#[cold]
fn bad_length(length: usize, max: usize, head: [u8; 4]) -> ProtocolError {
    match length {
        0 => ProtocolError::ZeroLength,
        _ => ProtocolError::TooLong { length: length as u64, max: max as u64, head },
    }
}
