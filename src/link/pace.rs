//! Who writes, and when: the program's threads or the sender thread.
//!
//! A link that carries a message now and then is written by whoever sends: no other thread has to
//! wake up. A run of writes in quick succession, with nothing received in between, is a stream:
//! messages are queued, whoever fills a batch writes it, and the sender thread polls at short
//! intervals for what is left, until a poll finds nothing. After a stream a burst is likely: its
//! first message wakes the sender, which writes what has gathered by then, and a wake-up that
//! brings few messages makes sending direct again.
//!
//! It decides who writes and nothing else: what is written, and whether, is the connection's.

use std::time::Duration;

use crate::liveness::Time;

/// How messages have come lately.
#[derive(Debug)]
pub(super) struct Pace {
    mode: Mode,
    /// Direct writes in quick succession; at a limit they are a stream.
    direct_run: u32,
    last_direct: Time,
    received_at_direct: u64,
    /// In a stream: when the sender polls again, and what had been sent at its last poll or write.
    next_poll: Time,
    sent_at_poll: u64,
    /// Messages that the sender took from the queue since it was last found empty.
    gathered: u64,
    /// When a buffer of the link was last used to more than its small size.
    last_large: Time,
    /// A heartbeat waits: the next to write is the sender.
    is_the_senders: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Now and then: whoever sends writes.
    Direct,
    /// In bursts: the first message wakes the sender, which writes what has gathered by then.
    Bursts,
    /// In a stream: whoever fills a batch writes it, and the sender polls for what is left.
    Stream,
}

impl Pace {
    pub(super) fn new(now: Time) -> Self {
        Self {
            mode: Mode::Direct,
            direct_run: 0,
            last_direct: now,
            received_at_direct: 0,
            next_poll: Time::ZERO,
            sent_at_poll: 0,
            gathered: 0,
            last_large: now,
            is_the_senders: false,
        }
    }

    /// Whether whoever sends on an idle link writes.
    #[inline]
    pub(super) fn is_direct(&self) -> bool {
        self.mode == Mode::Direct && !self.is_the_senders
    }

    /// Whether nobody but the sender may write.
    #[inline]
    pub(super) fn is_the_senders(&self) -> bool {
        self.is_the_senders
    }

    /// Nobody but the sender may write, until it has looked.
    #[inline]
    pub(super) fn leave_to_sender(&mut self) {
        self.is_the_senders = true;
    }

    /// Whether a queued message has to wake the sender; in a stream it polls.
    #[inline]
    pub(super) fn wakes_sender(&self) -> bool {
        self.mode != Mode::Stream
    }

    /// How many queued bytes make a batch, which whoever fills it writes, if messages are of
    /// `length` bytes.
    #[inline]
    pub(super) fn batch(length: usize, queue_bytes: usize) -> usize {
        let batch = if length < LONG_MESSAGE_BYTES { BATCH_BYTES } else { BATCH_BYTES_OF_LONG };
        batch.min(queue_bytes / 2)
    }

    /// Records a write by a program's thread at `now`, `last_received` being when a byte last
    /// arrived; returns whether writes have just become a stream. Bytes received in between are an
    /// exchange of requests and replies, not a stream, and stay direct.
    #[inline]
    pub(super) fn on_direct_write(&mut self, last_received: u64, now: Time) -> bool {
        let is_quick =
            now.since(self.last_direct) < BURST_GAP_MAX && last_received == self.received_at_direct;
        self.direct_run = if is_quick { self.direct_run.saturating_add(1) } else { 0 };
        self.last_direct = now;
        self.received_at_direct = last_received;
        let streams = self.mode == Mode::Direct && self.direct_run >= DIRECT_RUN_MAX;
        if streams {
            self.mode = Mode::Stream;
        }
        streams
    }

    /// The sender thread looks at the link at `now`, `sent` bytes being out: returns whether the
    /// queue is its to write. In a stream it is only if no caller has written since the last poll:
    /// a part of a batch taken from under those that fill it only costs everybody.
    pub(super) fn poll(&mut self, sent: u64, is_queue_empty: bool, now: Time) -> bool {
        self.is_the_senders = false;
        if self.mode != Mode::Stream {
            return true;
        }
        if now < self.next_poll {
            return false;
        }
        self.next_poll = now + STREAM_POLL;
        let others_write = std::mem::replace(&mut self.sent_at_poll, sent) != sent;
        if !others_write && is_queue_empty {
            self.mode = Mode::Bursts;
        }
        !others_write
    }

    /// The sender took `messages` from the queue.
    pub(super) fn on_batch(&mut self, messages: u64) {
        self.gathered += messages;
        if self.mode == Mode::Bursts && self.gathered >= STREAM_MESSAGES_MIN {
            self.mode = Mode::Stream;
        }
    }

    /// The sender has written, `sent` bytes being out.
    pub(super) fn on_written(&mut self, sent: u64) {
        self.sent_at_poll = sent;
    }

    /// The sender found nothing to write: was what it gathered worth the wake-up?
    pub(super) fn on_nothing(&mut self) {
        let gathered = std::mem::take(&mut self.gathered);
        if self.mode == Mode::Bursts && (1..u64::from(DIRECT_RUN_MAX)).contains(&gathered) {
            self.mode = Mode::Direct;
        }
        if self.mode != Mode::Stream {
            self.direct_run = 0;
        }
    }

    /// Until when the sender may sleep.
    pub(super) fn poll_timeout(&self) -> Time {
        if self.mode == Mode::Stream { self.next_poll } else { Time::NEVER }
    }

    /// How long the sender waits for another thread that writes before it looks again.
    pub(super) fn writer_poll(&self) -> Duration {
        if self.mode == Mode::Stream { STREAM_POLL } else { WRITER_POLL }
    }

    /// A buffer of `bytes` was used at `now`.
    #[inline]
    pub(super) fn on_buffer(&mut self, bytes: usize, now: Time) {
        if bytes > BUFFER_KEPT_BYTES {
            self.last_large = now;
        }
    }

    /// When buffers are to be given back that are larger than they have been used for.
    pub(super) fn shrinks_at(&self) -> Time {
        self.last_large + SHRINK_AFTER
    }
}

/// Direct writes in quick succession that are a stream, and messages of a burst that are worth
/// waking the sender for.
const DIRECT_RUN_MAX: u32 = 16;
/// Writes closer than this are in quick succession.
const BURST_GAP_MAX: Duration = Duration::from_micros(50);
/// Queued bytes that whoever fills them writes out: the buffers then stay in the cache, and a
/// stream needs no second thread.
const BATCH_BYTES: usize = 64 << 10;
/// The same of long messages, where copying is what takes the time and every write that wakes the
/// peer's reader counts: a quarter more of 16 KiB messages a second.
const BATCH_BYTES_OF_LONG: usize = 256 << 10;
const LONG_MESSAGE_BYTES: usize = 512;
/// So many messages taken while the queue is never found empty are no burst but a stream.
const STREAM_MESSAGES_MIN: u64 = 1024;
/// How often the sender polls a stream: its end waits for two polls at the most.
const STREAM_POLL: Duration = Duration::from_micros(100);
/// How long the sender waits for another thread that writes before it looks again.
const WRITER_POLL: Duration = Duration::from_millis(10);
/// How long a write waits for the kernel at first, which makes one or two ticks of it: the wait of
/// a program's thread that found the link idle and the socket's buffer full. The rest is then the
/// sender's. Of a write that was taken in part we only know that the kernel stopped in that time.
pub(super) const WRITE_TIMEOUT_MIN: Duration = Duration::from_millis(1);
/// The longest wait of a stuck write: an end waits for it, and promises to take no longer than a
/// tenth of a second.
pub(super) const WRITE_TIMEOUT_MAX: Duration = Duration::from_millis(50);
/// Buffers above this size are given back ...
pub(super) const BUFFER_KEPT_BYTES: usize = 1 << 10;
/// ... after this long without use for them.
pub(super) const SHRINK_AFTER: Duration = Duration::from_secs(30);
