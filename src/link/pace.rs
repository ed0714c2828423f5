//! Who writes, and when: the program's threads, the sender thread, or the one that goes round.
//!
//! *Now and then*: the sending thread writes, and no other thread has to wake up. *A stream* is a
//! run of writes in quick succession on one link by a thread that writes on no other, with nothing
//! received in between: messages are queued, the thread that fills a batch writes it, and the
//! sender thread polls at short intervals for what is left, until a poll finds nothing. After a
//! stream a burst is likely: its first message wakes the sender, which writes what has gathered by
//! then, and a wake-up that brings few messages makes sending direct again. *A fan* is what a
//! thread makes that goes round many links and comes back to one of them without a rest, for two
//! milliseconds and three quarters of them in writes: another thread is asked to go round for it,
//! and while that one is there ([`Fan`](super::fan::Fan)) a sending thread only queues. It stays
//! for as long as it finds something queued, so a byte waits for one round at most, and a hub that
//! rests between its ticks has nothing to do with it.
//!
//! It decides who writes and nothing else: what is written, and whether, is the connection's.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock;
use crate::liveness::Time;

/// How messages have come lately.
#[derive(Debug)]
pub(super) struct Pace {
    mode: Mode,
    /// Direct writes in quick succession; at a limit they are a stream.
    direct_run: u32,
    last_direct: Time,
    received_at_direct: u64,
    /// In a stream: when the sender polls again, after how long, and what had been sent at its last
    /// poll or write, if there was one in this stream.
    next_poll: Time,
    poll_interval: Duration,
    sent_at_poll: Option<u64>,
    queued_at_poll: usize,
    /// The last poll left a batch to those that were filling it.
    has_left: bool,
    /// Messages that the sender took from the queue since it was last found empty.
    gathered: u64,
    /// When a buffer of the link was last used to more than its small size.
    last_large: Time,
    /// A heartbeat waits: the next to write is the sender.
    is_the_senders: bool,
    /// In which run of a thread's writes the link was last written directly.
    run: u64,
    /// The kernel would take no more: until then the sender alone writes, so that a peer that does
    /// not keep up holds up no other. The more often, the longer.
    slow_until: Option<Time>,
    times_slow: u32,
}

/// What a write by a program's thread makes of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing else than it was.
    Same,
    /// The same, but the thread writes on other links too.
    OneOfMany,
    /// A stream.
    Stream,
    /// One of the links that a busy thread goes round.
    Fan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Now and then: the sending thread writes.
    Direct,
    /// In bursts: the first message wakes the sender, which writes what has gathered by then.
    Bursts,
    /// In a stream: the thread that fills a batch writes it, and the sender polls for what is left.
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
            poll_interval: STREAM_POLL,
            sent_at_poll: None,
            queued_at_poll: 0,
            has_left: false,
            gathered: 0,
            last_large: now,
            is_the_senders: false,
            run: 0,
            slow_until: None,
            times_slow: 0,
        }
    }

    /// Whether a thread that sends on an idle link writes.
    #[inline]
    pub(super) fn is_direct(&self) -> bool {
        self.mode == Mode::Direct && !self.is_the_senders()
    }

    /// Whether only the sender may write.
    #[inline]
    pub(super) fn is_the_senders(&self) -> bool {
        self.is_the_senders || self.slow_until.is_some()
    }

    /// Only the sender may write, until it has looked.
    #[inline]
    pub(super) fn leave_to_sender(&mut self) {
        self.is_the_senders = true;
    }

    /// Whether a queued message has to wake the sender; in a stream it polls.
    #[inline]
    pub(super) fn wakes_sender(&self) -> bool {
        self.mode != Mode::Stream || self.is_the_senders()
    }

    /// How many queued bytes make a batch, which the thread that fills it writes, if messages are
    /// of `length` bytes, on one of so many links of a fan.
    #[inline]
    pub(super) fn batch(length: usize, queue_bytes: usize, members: usize) -> usize {
        let batch = if length < LONG_MESSAGE_BYTES { BATCH_BYTES } else { BATCH_BYTES_OF_LONG };
        let share = if members < 2 { batch } else { BATCHES_BYTES / members };
        batch.min(share.max(BATCH_BYTES_MIN)).min(queue_bytes / 2)
    }

    /// Records a write by a program's thread at `now`, `last_received` being when a byte last
    /// arrived, and returns what it makes of the link. Bytes received in between are an exchange of
    /// requests and replies, neither a stream nor a fan, and stay direct.
    #[inline]
    pub(super) fn on_direct_write(&mut self, last_received: u64, now: Time, write: &Write) -> Turn {
        let is_exchange = last_received != self.received_at_direct;
        self.received_at_direct = last_received;
        let is_quick = now.since(self.last_direct) < BURST_GAP_MAX && !is_exchange;
        self.last_direct = now;
        if let Some(run) = &write.run {
            self.direct_run = 0;
            let comes_back = std::mem::replace(&mut self.run, run.number) == run.number;
            let is_fan = comes_back && !is_exchange && run.is_long();
            return if is_fan { Turn::Fan } else { Turn::OneOfMany };
        }
        self.direct_run = if is_quick { self.direct_run.saturating_add(1) } else { 0 };
        if self.mode == Mode::Direct && self.direct_run >= DIRECT_RUN_MAX {
            self.mode = Mode::Stream;
            self.sent_at_poll = None;
            return Turn::Stream;
        }
        Turn::Same
    }

    /// The kernel took all of a write of the thread that goes round, or not.
    pub(super) fn on_fan_write(&mut self, is_whole: bool, now: Time) {
        if is_whole {
            self.times_slow = self.times_slow.saturating_sub(1);
        } else {
            self.slow_until = Some(now + SLOW_MIN * (1 << self.times_slow));
            self.times_slow = (self.times_slow + 1).min(SLOW_DOUBLED_MAX);
        }
    }

    /// The sender thread looks at the link at `now`, `sent` bytes being out and `queued` waiting:
    /// returns whether the queue is its to write. In a stream it is only if no caller has written
    /// since the last poll: a part of a batch taken from under those that fill it only costs
    /// them all. For the same reason a batch that half filled up since then is left to them, once.
    pub(super) fn poll(&mut self, sent: u64, queued: usize, now: Time) -> bool {
        self.is_the_senders = false;
        if queued == 0 {
            self.slow_until.take_if(|until| *until <= now);
        }
        if self.mode != Mode::Stream {
            return true;
        }
        if now < self.next_poll {
            return false;
        }
        let written = self.sent_at_poll.replace(sent).map(|before| sent - before);
        let others_write = written != Some(0);
        // A short burst is over before it has filled two batches.
        let is_long = written.is_some_and(|bytes| bytes >= 2 * BATCH_BYTES as u64);
        let goes_on = is_long && now.since(self.last_direct) < STREAM_POLL;
        self.poll_interval = match goes_on {
            true => (self.poll_interval * 2).min(STREAM_POLL_MAX),
            false => STREAM_POLL,
        };
        self.next_poll = now + self.poll_interval;
        let before = std::mem::replace(&mut self.queued_at_poll, queued);
        let fills = !others_write && queued.saturating_sub(before) >= BATCH_BYTES / 2;
        self.has_left = fills && !self.has_left;
        if !others_write && queued == 0 {
            self.mode = Mode::Bursts;
        }
        !others_write && !self.has_left
    }

    /// The sender took `messages` from the queue.
    pub(super) fn on_batch(&mut self, messages: u64) {
        self.gathered += messages;
        if messages > 0 {
            self.queued_at_poll = 0;
        }
        if self.mode == Mode::Bursts && self.gathered >= STREAM_MESSAGES_MIN {
            self.mode = Mode::Stream;
        }
    }

    /// The sender has written, `sent` bytes being out.
    pub(super) fn on_written(&mut self, sent: u64) {
        self.sent_at_poll = Some(sent);
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
        if self.mode == Mode::Stream { self.poll_interval } else { WRITER_POLL }
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

/// A write by a program's thread: what it is to the run of writes that the thread is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    began: Option<Time>,
    run: Option<Run>,
}

/// A run of direct writes of one thread on several links, without a rest. Times are of the links'
/// common clock.
#[derive(Clone, Copy, Debug)]
struct Run {
    number: u64,
    writes: u32,
    began: Time,
    last: Time,
    /// Nanoseconds in writes, of the time since it began.
    busy: u64,
}

impl Write {
    /// The calling thread is about to write on `link`. A thread that writes on one link alone makes
    /// no run, and pays for none.
    #[inline]
    pub(super) fn begin(link: usize) -> Self {
        let is_another = LAST_LINK.replace(link) != link;
        Self { began: is_another.then(clock::common_now), run: None }
    }

    /// Whether the thread goes round and has not rested for some writes.
    pub(super) fn is_busy(&self) -> bool {
        self.run.is_some_and(|run| run.is_busy())
    }

    /// It ended at `now`.
    #[inline]
    pub(super) fn end(&mut self, now: Time) {
        if let Some(began) = self.began {
            self.run = Some(Run::count(began, now));
        }
    }
}

impl Run {
    fn is_busy(&self) -> bool {
        self.writes >= DIRECT_RUN_MAX
    }

    /// Whether it is worth another thread's coming. A short burst is over before that is there.
    fn is_long(&self) -> bool {
        self.is_busy() && self.last.since(self.began) >= BUSY_MIN
    }

    fn count(began: Time, now: Time) -> Self {
        let nanos = |from: Time, to: Time| to.as_nanos().saturating_sub(from.as_nanos());
        let took = nanos(began, now);
        let fresh = || Self {
            number: LAST_RUN.fetch_add(1, Ordering::Relaxed) + 1,
            writes: 0,
            began,
            last: began,
            busy: 0,
        };
        let mut run = RUN.get().unwrap_or_else(fresh);
        let rests = began.since(run.last) >= REST;
        let is_busy = (run.busy + took) * 4 >= nanos(run.began, now) * 3;
        if rests || !is_busy {
            run = fresh();
        }
        run.writes = run.writes.saturating_add(1);
        run.busy += took;
        run.last = now;
        RUN.set(Some(run));
        run
    }
}

/// Whether so many messages in so many writes of the thread that goes round were worth its coming.
pub(super) fn was_worth_it(messages: u64, writes: u64) -> bool {
    writes > 0 && messages >= WORTH * writes
}

static LAST_RUN: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static LAST_LINK: Cell<usize> = const { Cell::new(0) };
    static RUN: Cell<Option<Run>> = const { Cell::new(None) };
}

/// A thread that does something else for so long between two writes has rested.
const REST: Duration = Duration::from_micros(100);
/// A thread that has gone round for so long without a rest gets help: shorter bursts are over, or
/// nearly, before a thread is awake and has got its core.
const BUSY_MIN: Duration = Duration::from_millis(2);
/// For how long after a time round that was worth it a thread that was held up gets help again as
/// soon as it is busy.
pub(super) const EAGER: Duration = Duration::from_millis(10);
/// Messages a write that make going round worth it.
const WORTH: u64 = 4;
/// How long the thread that goes round looks for more before it falls asleep: a few direct writes.
pub(super) const LINGER: Duration = Duration::from_micros(50);
/// What the queues of a fan hold together before the thread that fills one writes it, and the least
/// of one.
const BATCHES_BYTES: usize = 8 << 20;
const BATCH_BYTES_MIN: usize = 16 << 10;
/// For how long a link in a fan is its sender's alone after its peer did not keep up, at first and
/// so often doubled at most: 5 s.
const SLOW_MIN: Duration = Duration::from_millis(20);
const SLOW_DOUBLED_MAX: u32 = 8;
/// Direct writes in quick succession that are a stream, and messages of a burst that are worth
/// waking the sender for.
const DIRECT_RUN_MAX: u32 = 16;
/// Writes closer than this are in quick succession.
const BURST_GAP_MAX: Duration = Duration::from_micros(50);
/// Queued bytes that the thread that fills them writes out: the buffers then stay in the cache, and
/// a stream needs no second thread. With its last message it still fits into one packet on loopback
/// and one read of the peer's: a few bytes more than 64 KiB make two of each.
const BATCH_BYTES: usize = 60 << 10;
/// The same of long messages, for which copying is what takes the time and every write that wakes
/// the peer's reader counts: a quarter more of 16 KiB messages a second.
const BATCH_BYTES_OF_LONG: usize = 256 << 10;
const LONG_MESSAGE_BYTES: usize = 512;
/// So many messages taken while the queue is never found empty are no burst but a stream.
const STREAM_MESSAGES_MIN: u64 = 1024;
/// How often the sender polls a stream: its end waits for two polls at most, what comes before it
/// for three. While batches follow each other more quickly than that, each interval is twice the
/// one before, up to a limit: a poll costs about 20 us on a virtual machine, and puts another
/// thread off its core. So the end of a stream waits for half a millisecond after its last write at
/// most.
const STREAM_POLL: Duration = Duration::from_micros(100);
const STREAM_POLL_MAX: Duration = Duration::from_micros(400);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_stream_is_polled_seldom_and_its_end_found_soon() {
        let (mut now, mut sent, us) = (Time::ZERO, 1_u64 << 30, Duration::from_micros);
        let mut pace = Pace::new(now);
        // Since an earlier stream much was sent, a message now and then.
        pace.sent_at_poll = Some(0);
        let write = Write { began: None, run: None };
        let mut turn = Turn::Same;
        while turn != Turn::Stream {
            now = now + us(40);
            turn = pace.on_direct_write(0, now, &write);
        }
        sent += BATCH_BYTES as u64;
        assert!(!pace.poll(sent, 1000, now));
        assert_eq!(pace.poll_timeout(), now + STREAM_POLL, "it may be a burst");
        for in_10_ms in [26, 25] {
            let mut polls = 0;
            for _ in 0..250 {
                now = now + us(40);
                sent += BATCH_BYTES as u64;
                pace.on_direct_write(0, now, &write);
                if now >= pace.poll_timeout() {
                    polls += 1;
                    assert!(!pace.poll(sent, 1000, now), "it is left to those that fill it");
                }
            }
            assert_eq!(polls, in_10_ms);
        }
        let end = now;
        while !pace.poll(sent, 1000, now) {
            now = pace.poll_timeout();
        }
        assert!(now.since(end) <= us(500), "{:?}", now.since(end));
        pace.on_written(sent + 1000);
        assert!(pace.poll(sent + 1000, 10, now + STREAM_POLL), "a slow one is polled as before");
    }
}
