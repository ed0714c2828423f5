//! Bytes on their way: the one contiguous buffer that is being written.
//!
//! A buffer leaves in as many writes as the kernel needs, and always in order: after a part of a
//! frame is out, the rest follows or the link dies. A heartbeat that must go out while
//! data is under way is put in at the next edge between frames, never inside one (H3, H6).
//!
//! Invariant: `edge <= written <= bytes.len()`, and a frame begins at `edge`.

use std::ops::AddAssign;
use std::time::Duration;

use crate::protocol::{Decoded, Frame, Framing};

/// The buffer under way and how far it got.
#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    pub(super) bytes: Vec<u8>,
    /// Bytes that the kernel has accepted.
    written: usize,
    /// The start of a frame at or before `written`.
    edge: usize,
    /// Where the bytes end that the stream below has taken in hand: up to here nothing may change.
    fixed: usize,
    /// Data frames in `bytes`.
    pub(super) messages: u64,
    heartbeat: Option<Inserted>,
}

/// A heartbeat in the buffer: where it ends, and what it carries.
#[derive(Clone, Copy, Debug)]
struct Inserted {
    end: usize,
    value: Duration,
    sent_us: u64,
}

/// A heartbeat that is out whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentHeartbeat {
    pub(super) value: Duration,
    pub(super) sent_us: u64,
    /// Bytes behind it that are out too.
    pub(super) behind: usize,
}

impl WriteBuffer {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// What is still to be written.
    #[inline]
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Records that the stream has taken so many bytes of the rest in hand, those that are out
    /// included.
    #[inline]
    pub(crate) fn fix(&mut self, count: usize) {
        self.fixed = (self.written + count).min(self.bytes.len());
    }

    pub(super) fn has_heartbeat(&self) -> bool {
        self.heartbeat.is_some()
    }

    /// Records that the kernel accepted `count` bytes, and returns the heartbeat that is now out
    /// whole.
    #[inline]
    pub(super) fn handle_written(&mut self, count: usize) -> Option<SentHeartbeat> {
        self.written += count;
        let written = self.written;
        let sent = self.heartbeat.take_if(|inserted| inserted.end <= written);
        if self.is_empty() {
            self.bytes.clear();
            (self.written, self.edge, self.fixed, self.messages) = (0, 0, 0, 0);
        }
        sent.map(|Inserted { end, value, sent_us }| SentHeartbeat {
            value,
            sent_us,
            behind: written - end,
        })
    }

    /// Takes what has been queued behind it.
    pub(super) fn append(&mut self, queue: &mut Vec<u8>, messages: &mut u64) {
        self.bytes.append(queue);
        self.messages += std::mem::take(messages);
    }

    /// Takes back the last messages, which begin at `from` and of which nothing is written.
    pub(super) fn withdraw(&mut self, from: usize, messages: u64) {
        self.bytes.truncate(from);
        self.messages = self.messages.saturating_sub(messages);
    }

    /// Puts a heartbeat in at the next edge between frames. Frames of a protocol that does not
    /// decode what it encodes have no edges that we can see: there it goes to the end.
    pub(super) fn insert_heartbeat<F: Framing>(
        &mut self,
        framing: &F,
        heartbeat: &[u8],
        value: Duration,
        sent_us: u64,
    ) {
        let at = if F::NUMBERED { self.bytes.len() } else { self.next_edge(framing) };
        self.bytes.splice(at..at, heartbeat.iter().copied());
        self.heartbeat = Some(Inserted { end: at + heartbeat.len(), value, sent_us });
    }

    /// Drops the frames of which nothing has been written, and returns what messages they were.
    pub(super) fn cut<F: Framing>(&mut self, framing: &F) -> Unsent {
        let at = self.next_edge(framing);
        let dropped = self.count_from(framing, at);
        self.bytes.truncate(at);
        self.messages = self.messages.saturating_sub(dropped.messages);
        self.heartbeat.take_if(|inserted| inserted.end > at);
        dropped
    }

    /// The messages that are not out whole.
    pub(super) fn unsent<F: Framing>(&mut self, framing: &F) -> Unsent {
        self.next_edge(framing);
        self.count_from(framing, self.edge)
    }

    /// Counts the messages from the edge `at` on, and their unwritten bytes.
    fn count_from<F: Framing>(&self, framing: &F, mut at: usize) -> Unsent {
        let mut unsent = Unsent::default();
        while at < self.bytes.len() {
            let Ok(Decoded::Whole { length, frame }) = framing.decode_own(&self.bytes[at..]) else {
                // A framing that cannot read what it writes: all that is left, as it was counted.
                return Unsent { messages: self.messages, bytes: self.rest().len() as u64 };
            };
            let end = at + length.max(1);
            if matches!(frame, Frame::Data(_)) {
                unsent.messages += 1;
                unsent.bytes += (end - at.max(self.written)) as u64;
            }
            at = end;
        }
        unsent
    }

    /// Walks to the first edge that is neither in what has been written nor in what is fixed. The
    /// walk costs a few nanoseconds a frame and happens only on request, so the usual path keeps no
    /// list. `edge` itself stays at the start of the frame that is partly out.
    fn next_edge<F: Framing>(&mut self, framing: &F) -> usize {
        let mut at = self.edge;
        while at < self.written.max(self.fixed) {
            at = match framing.decode_own(&self.bytes[at..]) {
                Ok(Decoded::Whole { length, .. }) => at + length.max(1),
                _ => return self.bytes.len(),
            };
            if at <= self.written {
                self.edge = at;
            }
        }
        at
    }
}

/// Messages that were accepted and are not out whole, and their bytes that are not out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unsent {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl AddAssign for Unsent {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}
