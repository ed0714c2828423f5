//! Bytes in, frames out, in one buffer.
//!
//! Frames are handed out as slices of the buffer: no allocation and no copy a message. The buffer
//! grows only when received bytes have filled it, so a length alone never makes it larger, and it
//! shrinks again after the large frame is gone. Partial frames stay where they are for as long as
//! it takes, so no timed-out read loses a byte.
//!
//! Invariant: `start <= end <= buffer.len()`; the bytes between are received and not yet handed
//! out.

use super::{Decoded, Frame, Framing, ProtocolError};

/// An incremental decoder for one direction of one connection.
///
/// ```
/// use peerbeat::protocol::{Decoder, Frame, Framing, Native};
///
/// let mut bytes = Vec::new();
/// Native::default().encode_data(b"tick", &mut bytes)?;
///
/// let mut decoder = Decoder::new(Native::default());
/// for byte in bytes {
///     assert_eq!(decoder.poll_frame()?, None); // not whole yet
///     decoder.spare()[0] = byte;
///     decoder.handle_filled(1);
/// }
/// assert_eq!(decoder.poll_frame()?, Some(Frame::Data(b"tick")));
/// # Ok::<(), peerbeat::protocol::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Decoder<F> {
    framing: F,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Times that space was asked for since the buffer last held [`BUSY_BYTES`] bytes or more.
    small_rounds: u32,
}

impl<F: Framing> Decoder<F> {
    /// Makes an empty decoder; it allocates when [`spare`](Self::spare) is first called.
    pub fn new(framing: F) -> Self {
        Self { framing, buffer: Vec::new(), start: 0, end: 0, small_rounds: 0 }
    }

    /// The framing that decides.
    pub fn framing(&self) -> &F {
        &self.framing
    }

    /// The free space to receive into, never empty. Say how much was used with
    /// [`handle_filled`](Self::handle_filled).
    pub fn spare(&mut self) -> &mut [u8] {
        self.make_room();
        &mut self.buffer[self.end..]
    }

    /// Records that `count` bytes were put at the front of the spare space.
    ///
    /// # Panics
    /// If `count` is more than the spare space holds: a mistake of the caller, which no peer
    /// can provoke.
    pub fn handle_filled(&mut self, count: usize) {
        assert!(count <= self.buffer.len() - self.end, "more bytes filled than there was space");
        self.end += count;
    }

    /// Takes the next whole frame, or `None` until more bytes arrive.
    ///
    /// # Errors
    /// What the framing says, of the native one [`ProtocolError::TooLong`] or
    /// [`ProtocolError::ZeroLength`] for a length it refuses and [`ProtocolError::Short`] or
    /// [`ProtocolError::NotUtf8`] for a payload; [`ProtocolError::Foreign`] if a framing calls more
    /// bytes a whole frame than there are. The decoder stays at the bad bytes and returns the same
    /// again.
    // Always in line: returned through memory, a frame costs three times as much.
    #[inline(always)]
    pub fn poll_frame(&mut self) -> Result<Option<Frame<'_>>, ProtocolError> {
        match self.framing.decode(&self.buffer[self.start..self.end])? {
            Decoded::Partial => Ok(None),
            Decoded::Whole { length, frame } => {
                // A foreign framing that takes nothing, or more than there is, would spin or panic.
                if length.wrapping_sub(1) >= self.end - self.start {
                    return Err(taken(length));
                }
                self.start += length;
                Ok(Some(frame))
            }
        }
    }

    /// Hands the data at the front to `take`, frame by frame and as long as that returns true, and
    /// returns the frame behind it as [`poll_frame`](Self::poll_frame) does; `None` if `take` has
    /// returned false.
    // What is left is kept at hand: read from the decoder each time, it costs half as much again.
    #[inline(always)]
    pub(crate) fn poll_past_data(
        &mut self,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<Option<Frame<'_>>, ProtocolError> {
        let mut rest = &self.buffer[self.start..self.end];
        loop {
            let Decoded::Whole { length, frame } = self.framing.decode(rest)? else {
                return Ok(None);
            };
            let Some(behind) = rest.get(length..).filter(|_| length > 0) else {
                return Err(taken(length));
            };
            rest = behind;
            self.start = self.end - rest.len();
            match frame {
                Frame::Data(payload) if take(payload) => {}
                Frame::Data(_) => return Ok(None),
                frame => return Ok(Some(frame)),
            }
        }
    }

    /// The bytes that have arrived and belong to no frame handed out yet.
    pub fn pending(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The whole buffer, which stays where it is until more is received.
    pub(crate) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// The bytes of memory that the buffer holds.
    pub fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// Frees the buffer if it is empty: for a link that has become quiet.
    pub fn shrink(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.buffer = Vec::new();
        }
    }

    /// Forgets what has arrived and was not handed out.
    pub fn discard(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    fn make_room(&mut self) {
        let held = self.end - self.start;
        if held >= BUSY_BYTES {
            self.small_rounds = 0;
        } else if self.buffer.len() > BUSY_BYTES {
            self.small_rounds += 1;
            if self.small_rounds > SMALL_ROUNDS_MAX {
                self.resize(BUSY_BYTES);
            }
        }
        let full = self.end == self.buffer.len();
        if held == 0 {
            (self.start, self.end) = (0, 0);
        }
        if full && self.buffer.len() < BUSY_BYTES {
            // Even if all of it was whole frames: a read that fills the small buffer is a busy
            // link, and 1 KiB a read would cost it many times the system calls.
            self.resize(if self.buffer.is_empty() { IDLE_BYTES } else { BUSY_BYTES });
        } else if full && self.start == 0 && held > 0 {
            self.resize(self.buffer.len() * 2);
        } else if self.buffer.len() - self.end < self.buffer.len() / 2 && self.start > 0 {
            // Moved only while less than half is free: what moves is one partial frame.
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
        }
    }

    /// Moves what is held into a buffer of `size` bytes; `size` is never below what is held.
    fn resize(&mut self, size: usize) {
        let mut buffer = Vec::with_capacity(size);
        buffer.extend_from_slice(self.pending());
        (self.start, self.end) = (0, buffer.len());
        buffer.resize(size, 0);
        self.buffer = buffer;
        self.small_rounds = 0;
    }
}

#[cold]
fn taken(length: usize) -> ProtocolError {
    ProtocolError::Foreign { detail: format!("the framing called {length} bytes a whole frame") }
}

/// What a link that only exchanges heartbeats needs.
const IDLE_BYTES: usize = 1 << 10;
/// What a busy link reads at a time. Larger buffers were slower: they leave the cache.
const BUSY_BYTES: usize = 64 << 10;
/// How often a grown buffer is offered small traffic before it shrinks: a stream of large frames
/// keeps it, one large snapshot before a day of ticks does not.
const SMALL_ROUNDS_MAX: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Heartbeat, Native};

    #[test]
    fn data_is_taken_in_order_up_to_a_refusal_or_another_frame() {
        let (native, mut bytes) = (Native::default(), Vec::new());
        for data in [&b"one"[..], b"", b"three", b"four"] {
            native.encode_data(data, &mut bytes).unwrap();
        }
        let heartbeat = Heartbeat::default();
        native.encode_heartbeat(&heartbeat, &mut bytes);
        native.encode_data(b"five", &mut bytes).unwrap();
        native.encode_data(b"six", &mut bytes).unwrap();
        let mut decoder = Decoder::new(native);
        decoder.spare()[..bytes.len() - 1].copy_from_slice(&bytes[..bytes.len() - 1]);
        decoder.handle_filled(bytes.len() - 1);
        let mut taken = Vec::new();
        let mut take = |payload: &[u8]| {
            taken.push(payload.to_vec());
            payload != b"three"
        };
        assert_eq!(decoder.poll_past_data(&mut take), Ok(None), "refused");
        assert_eq!(decoder.poll_past_data(&mut take), Ok(Some(Frame::Heartbeat(heartbeat))));
        assert_eq!(decoder.poll_past_data(&mut take), Ok(None), "not whole");
        decoder.spare()[0] = bytes[bytes.len() - 1];
        decoder.handle_filled(1);
        assert_eq!(decoder.poll_frame(), Ok(Some(Frame::Data(b"six"))));
        assert_eq!(taken, [&b"one"[..], b"", b"three", b"four", b"five"]);
    }

    /// Calls everything a whole frame of so many bytes.
    #[derive(Clone, Copy)]
    struct Odd(usize);

    impl Framing for Odd {
        fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
            Ok(Decoded::Whole { length: self.0, frame: Frame::Data(bytes) })
        }

        fn encode_data(&self, _: &[u8], _: &mut Vec<u8>) -> Result<(), ProtocolError> {
            Ok(())
        }

        fn encode_heartbeat(&self, _: &Heartbeat, _: &mut Vec<u8>) {}
    }

    #[test]
    fn a_frame_of_no_bytes_or_of_more_than_there_are_is_refused() {
        for length in [0, 4, usize::MAX] {
            let mut decoder = Decoder::new(Odd(length));
            decoder.spare();
            decoder.handle_filled(3);
            let take = |_: &[u8]| panic!("nothing is whole");
            assert_eq!(decoder.poll_past_data(take), Err(taken(length)));
            assert_eq!(decoder.pending().len(), 3);
        }
    }
}
