//! Bytes on their way: the one contiguous buffer that is being written.
//!
//! A buffer leaves in as many writes as the kernel needs, and always in order: after a part of a
//! frame is out, the rest follows or the link dies (lesson 23). A heartbeat that must go out while
//! data is under way is put in at the next edge between frames, never inside one (H3, H6).
//!
//! Invariant: `edge <= written <= bytes.len()`, and a frame begins at `edge`.

use std::ops::AddAssign;
use std::time::Duration;

use crate::protocol::{Decoded, Frame, Framing};

/// The buffer under way and how far it got.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pub(super) bytes: Vec<u8>,
    /// Bytes that the kernel has accepted.
    written: usize,
    /// The start of a frame at or before `written`.
    edge: usize,
    /// Data frames in `bytes`.
    pub(super) messages: u64,
    /// Where the heartbeat inside ends, and the value it carries.
    pub(super) beat: Option<(usize, Duration)>,
}

impl Flight {
    /// A buffer of `messages` encoded messages, none of it written.
    pub(super) fn new(bytes: Vec<u8>, messages: u64) -> Self {
        Self { bytes, messages, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// What is still to be written.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Records that the kernel accepted `count` bytes, and returns the value of the heartbeat that
    /// is now out whole.
    pub(super) fn handle_written(&mut self, count: usize) -> Option<Duration> {
        self.written += count;
        let beat = self.beat.take_if(|(end, _)| *end <= self.written);
        if self.is_empty() {
            self.bytes.clear();
            (self.written, self.edge, self.messages) = (0, 0, 0);
        }
        beat.map(|(_, value)| value)
    }

    /// Takes what has been queued behind it.
    pub(super) fn append(&mut self, queue: &mut Vec<u8>, messages: &mut u64) {
        self.bytes.append(queue);
        self.messages += std::mem::take(messages);
    }

    /// Puts a heartbeat in at the next edge between frames. Frames of a protocol that does not
    /// decode what it encodes have no edges that we can see: there it goes to the end.
    pub(super) fn insert_beat<F: Framing>(&mut self, framing: &F, beat: &[u8], value: Duration) {
        let at = if F::NUMBERED { self.bytes.len() } else { self.next_edge(framing) };
        self.bytes.splice(at..at, beat.iter().copied());
        self.beat = Some((at + beat.len(), value));
    }

    /// Drops the frames of which nothing has been written, and returns what messages they were.
    pub(super) fn cut<F: Framing>(&mut self, framing: &F) -> Unsent {
        let at = self.next_edge(framing);
        let dropped = self.count_from(framing, at);
        self.bytes.truncate(at);
        self.messages = self.messages.saturating_sub(dropped.messages);
        self.beat.take_if(|(end, _)| *end > at);
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

    /// Walks to the first edge that is not behind what has been written. The walk costs a few
    /// nanoseconds a frame and happens only when somebody asks, so the usual path keeps no list.
    /// `edge` itself stays at the start of the frame that is partly out.
    fn next_edge<F: Framing>(&mut self, framing: &F) -> usize {
        while self.edge < self.written {
            let end = match framing.decode_own(&self.bytes[self.edge..]) {
                Ok(Decoded::Whole { length, .. }) => self.edge + length.max(1),
                _ => return self.bytes.len(),
            };
            if end > self.written {
                return end;
            }
            self.edge = end;
        }
        self.written
    }
}

/// Messages that were accepted and are not out whole, and their bytes that are not out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unsent {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl AddAssign for Unsent {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}
