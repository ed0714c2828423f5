//! What the sending half records that takes a walk over frames.
//!
//! Messages are recorded when a writer takes them, not when they are accepted, so that accepting
//! one costs nothing. Each frame is recorded once, before the first of its bytes is out.

use super::Outgoing;
use crate::connection::trace::{Step, Trace};
use crate::connection::write_buffer::WriteBuffer;
use crate::liveness::Time;
use crate::protocol::{Decoded, Framing};

impl<F: Framing> Outgoing<F> {
    /// Records from now on, which is when the connection is established.
    pub(crate) fn set_trace(&mut self, trace: Trace) {
        self.trace = trace;
        self.trace.add(self.began, || Step::Up);
    }

    /// Records the frames of `bytes`, which are taken to be written or dropped at `now`.
    #[inline]
    pub(super) fn trace_frames(&self, bytes: &[u8], now: Time) {
        if self.trace.is_on() {
            self.trace_each(bytes, now);
        }
    }

    #[cold]
    fn trace_each(&self, bytes: &[u8], now: Time) {
        let mut at = 0;
        while at < bytes.len() {
            let left = bytes.len() - at;
            // A framing that cannot read what it writes: all of it is one.
            let length = match self.framing.decode_own(&bytes[at..]) {
                Ok(Decoded::Whole { length, .. }) => length.clamp(1, left),
                _ => left,
            };
            self.trace.add(now, || Step::Queued { bytes: length, heartbeat: None });
            at += length;
        }
    }

    /// Records a write of which the kernel took `count` bytes.
    #[cold]
    pub(super) fn trace_write(&mut self, buffer: &WriteBuffer, count: usize, now: Time) {
        if std::mem::take(&mut self.traces_late) {
            self.trace_each(&buffer.bytes, now);
        }
        if count > 0 {
            self.trace.add(now, || Step::Wrote { bytes: count });
        }
    }
}
