//! Accepting messages: whether one is taken, and its place behind the others.
//!
//! A message costs a few comparisons here. A driver that knows from the last one that nothing is to
//! be found out spares those as well: it appends, up to [`calm_bytes`](Outgoing::calm_bytes).
//!
//! Invariant: a message is in the queue whole, and counted, or not at all.

use std::hint::black_box;
use std::sync::Arc;

use super::Outgoing;
use super::encoding::{Counting, Encoding};
use crate::connection::send_error::SendError;
use crate::protocol::Framing;

impl<F: Framing> Outgoing<F> {
    /// Whether a message of `length` bytes can be accepted now. One is, however long, while nothing
    /// waits.
    #[inline]
    pub(crate) fn has_room(&mut self, length: usize) -> bool {
        let pending = self.pending();
        let then = pending.saturating_add(length);
        pending == 0 || then <= self.fill.limit() && self.part.grows_to(then)
    }

    /// Accepts a message. The driver has looked for room.
    #[inline]
    pub(crate) fn queue(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.check_up()?;
        self.append(payload)?;
        self.handle_appended();
        Ok(())
    }

    /// Whether messages are accepted.
    #[inline]
    pub(crate) fn check_up(&self) -> Result<(), SendError> {
        if self.phase.is_up() { Ok(()) } else { Err(self.refuse()) }
    }

    #[cold]
    fn refuse(&self) -> SendError {
        let reason = self.phase.refusal().cloned();
        reason.map_or(SendError::NotConnected, SendError::Down)
    }

    /// Accepts a message without a look at anything: the driver knows that the connection is up and
    /// that there is room, and sees to what follows from a longer queue.
    #[inline(always)]
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<(), SendError> {
        let encoding = Encoding { length: self.queue.len(), queue: &mut self.queue };
        self.framing.encode_data(payload, encoding.queue).map_err(SendError::Unfit)?;
        std::mem::forget(encoding);
        self.queued += 1;
        self.stats.messages_accepted += 1;
        Ok(())
    }

    /// Accepts messages likewise, until the queue with the next one has `below` bytes or more; adds
    /// to `count` how many, and returns why the next one was not accepted if no frame can carry it.
    #[inline(always)]
    pub(crate) fn append_all(
        &mut self,
        payloads: &[&[u8]],
        below: usize,
        count: &mut usize,
    ) -> Result<(), SendError> {
        let encoding = Encoding { length: self.queue.len(), queue: &mut self.queue };
        let mut counting = Counting {
            encoding,
            messages: 0,
            count,
            queued: &mut self.queued,
            accepted: &mut self.stats.messages_accepted,
        };
        for payload in payloads {
            let encoding = &mut counting.encoding;
            // No slice is so long that two lengths overflow.
            if encoding.length + payload.len() >= below {
                break;
            }
            self.framing.encode_data(payload, encoding.queue).map_err(SendError::Unfit)?;
            encoding.length = encoding.queue.len();
            counting.messages += 1;
        }
        Ok(())
    }

    /// Accepts a message that is encoded already, as one of this framing's, likewise.
    #[inline]
    pub(crate) fn append_frame(&mut self, frame: &[u8]) {
        self.queue.extend_from_slice(frame);
        self.queued += 1;
        self.stats.messages_accepted += 1;
    }

    /// Reads from the cache lines that a write is about to need.
    #[inline]
    pub(crate) fn fetch(&self) {
        let framing = Arc::strong_count(&self.framing);
        let counts = (self.stats.messages_accepted, self.stats.bytes_sent, self.fill.limit());
        let buffer = (self.trace.is_on(), self.buffer.messages, self.part.held_max());
        let timer = (self.timer.last_sent(), self.timer.due());
        black_box((self.in_flight, self.queued, framing, counts, buffer, timer));
        black_box(self.phase.is_up());
    }

    /// Takes note of a longer queue.
    #[inline]
    pub(crate) fn handle_appended(&mut self) {
        self.fill.handle_pending(self.pending());
    }

    /// How long the queue may become before there is no room, or something to report of it.
    pub(crate) fn calm_bytes(&self) -> usize {
        self.fill.calm_max().min(self.part.held_max()).saturating_sub(self.in_flight)
    }
}
