//! The sender thread of a link: batches, heartbeats, and the punctual half of the verdict.
//!
//! It waits on the link's condition variable until there is work, the next heartbeat is due, or
//! silence reaches its limit, whichever is first. A condition variable is punctual to a tenth of a
//! millisecond where a socket's read timeout is up to two kernel ticks late, so this wait makes the
//! verdict precise, while the reader's timed reads guarantee it: they work also while this thread
//! is stuck in a write.
//!
//! The verdict from here: the reader parks close to the limit without taking anything from the
//! kernel and publishes the instant; at that instant this thread asks the kernel once more. Bytes
//! that arrived in time are then either still there or the instant has been withdrawn, so neither
//! order of the two threads makes a false alarm.

use std::io;
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::Duration;

use super::clock::micros;
use super::faults;
use super::flight::Flight;
use super::shared::{Farewell, LINGER, Pace, Shared, State, shut};
use super::stream::is_timeout;
use super::{DownReason, Faults, Stream};
use crate::liveness::{DueHeartbeat, Time};
use crate::protocol::{Framing, Heartbeat, Timing};

/// The body of the sender thread.
pub(super) fn run<S: Stream, F: Framing>(shared: &Shared<S, F>) {
    let _says_so = Done(shared);
    let Some(stream) = shared.lock().stream.clone() else { return };
    let sender = Sender {
        shared,
        stream,
        flight: Flight::default(),
        beat: Vec::new(),
        patience: PATIENCE,
        deferred: Time::NEVER,
        look_at: None,
        next_look: Time::ZERO,
        sent_at_look: 0,
        gathered: 0,
    };
    sender.run();
}

/// Says that the sender is done with the link and its stream. Where a foreign framing or stream has
/// panicked the link ends: it would live on without heartbeats.
struct Done<'a, S: Stream, F: Framing>(&'a Shared<S, F>);

impl<S: Stream, F: Framing> Drop for Done<'_, S, F> {
    fn drop(&mut self) {
        if thread::panicking() {
            let of_framing = || DownReason::Local { detail: "the framing panicked".to_owned() };
            let of_stream = self.0.lock().broken.clone();
            self.0.end(of_stream.unwrap_or_else(of_framing));
            let stream = self.0.lock().stream.clone();
            stream.inspect(|stream| shut(&**stream, Shutdown::Both));
        }
        let mut state = self.0.lock();
        (state.leaving, state.sender_done) = (false, true);
        drop(state);
        self.0.notify_all();
    }
}

type Guard<'a, S> = MutexGuard<'a, State<S>>;

struct Sender<'a, S, F> {
    shared: &'a Shared<S, F>,
    stream: Arc<S>,
    flight: Flight,
    /// The last heartbeat, encoded.
    beat: Vec<u8>,
    /// The write timeout that is set on the stream.
    patience: Duration,
    /// A published limit that we leave to the reader.
    deferred: Time,
    /// The next write of a stuck flight does not wait: when it was to begin.
    look_at: Option<Time>,
    /// In a stream: when we look in again, and what had been sent when we last looked or wrote.
    next_look: Time,
    sent_at_look: u64,
    /// Messages taken from the queue since it was last found empty.
    gathered: u64,
}

impl<'a, S: Stream, F: Framing> Sender<'a, S, F> {
    fn run(mut self) {
        let shared = self.shared;
        let mut state = shared.lock();
        while state.reason.is_none() {
            state = match &state.broken {
                Some(reason) => {
                    let reason = reason.clone();
                    self.leave_reason_to_reader(state, reason)
                }
                None => self.turn(state),
            };
        }
        if let Some(farewell) = state.farewell.take() {
            state = self.take_leave(state, &farewell);
        }
        state.unsent += self.flight.unsent(&*shared.framing);
    }

    /// Does what is due, or waits for it.
    fn turn(&mut self, mut state: Guard<'a, S>) -> Guard<'a, S> {
        let now = self.shared.clock.now();
        let silent_at = Time::from_nanos(self.shared.silent_at.load(Ordering::SeqCst));
        let watches = silent_at != self.deferred;
        if watches && silent_at <= now {
            let tolerance = state.stall_tolerance(&self.shared.options);
            drop(state);
            self.judge(silent_at, now, tolerance);
            return self.shared.lock();
        }
        if state.writing {
            // A program's thread is in a write, for a short while: bytes are on their way, and it
            // wakes us where it leaves something to do.
            state.sender_waits = true;
            let turn = now + if state.pace == Pace::Stream { LOOK_IN } else { TURN };
            return self.shared.wait_until(state, if watches { turn.min(silent_at) } else { turn });
        }
        let mut takes = true;
        if state.pace == Pace::Stream {
            takes = now >= self.next_look && self.look_in(&mut state, now);
        }
        self.load(&mut state, now, takes);
        if !self.flight.is_empty() {
            return self.write(state);
        }
        // Was what has been gathered worth the wake-up?
        let gathered = std::mem::take(&mut self.gathered);
        if state.pace == Pace::Bursts && (1..u64::from(DIRECT_RUN)).contains(&gathered) {
            state.pace = Pace::Direct;
        }
        if state.queue.is_empty() && now.since(state.last_large) >= QUIET {
            let State { queue, scratch, .. } = &mut *state;
            for buffer in [queue, scratch, &mut self.flight.bytes] {
                buffer.shrink_to(LARGE);
            }
        }
        state.sender_waits = true;
        let mut until = match self.holds_beats() {
            false => state.pulse.due(),
            true => now + faults::STEP,
        };
        if state.pace == Pace::Stream {
            until = until.min(self.next_look);
        } else {
            state.direct_run = 0;
        }
        if watches {
            until = until.min(silent_at);
        }
        let spare = state.scratch.capacity().max(self.flight.bytes.capacity());
        if state.queue.is_empty() && state.queue.capacity().max(spare) > LARGE {
            until = until.min(state.last_large + QUIET);
        }
        let mut state = self.shared.wait_until(state, until);
        state.sender_waits = false;
        state
    }

    /// Looks in on a stream, and says whether the queue is ours to write: while others fill batches
    /// and write them, a part of one taken from under them only costs everybody.
    fn look_in(&mut self, state: &mut State<S>, now: Time) -> bool {
        self.next_look = now + LOOK_IN;
        let sent = state.stats.bytes_sent;
        let others_write = std::mem::replace(&mut self.sent_at_look, sent) != sent;
        if !others_write && state.queue.is_empty() {
            state.pace = Pace::Bursts;
        }
        !others_write
    }

    /// Puts into flight what is to be written now.
    fn load(&mut self, state: &mut State<S>, now: Time, takes: bool) {
        if let Some(left) = state.handover.take() {
            // It was filled in the place of scratch: our buffer goes there, and none grows anew.
            state.scratch = std::mem::replace(&mut self.flight, left).bytes;
        }
        if takes && self.flight.is_empty() && !state.queue.is_empty() {
            std::mem::swap(&mut state.queue, &mut self.flight.bytes);
            self.flight.messages = std::mem::take(&mut state.queued_messages);
            self.gathered += self.flight.messages;
            if state.pace == Pace::Bursts && self.gathered >= STREAM {
                state.pace = Pace::Stream;
            }
            if self.flight.bytes.len() > LARGE {
                state.last_large = now;
            }
        }
        let has_turn = !self.holds_beats() && self.flight.beat.is_none();
        let beat = has_turn.then(|| state.pulse.poll(now)).flatten();
        if let Some(beat) = beat.filter(|beat| beat.even_busy || self.flight.is_empty()) {
            if F::NUMBERED {
                let State { queue, queued_messages, .. } = state;
                self.flight.append(queue, queued_messages);
            }
            self.encode_beat(beat, state, now);
            if self.beat.is_empty() {
                state.pulse.handle_beat_sent(beat.value, now);
            } else {
                self.flight.insert_beat(&*self.shared.framing, &self.beat, beat.value);
            }
        }
        state.in_flight = self.flight.rest().len();
        if state.in_flight > 0 {
            state.pulse.handle_pending(now);
        }
    }

    fn holds_beats(&self) -> bool {
        self.shared.options.faults.as_ref().is_some_and(Faults::holds_heartbeats)
    }

    fn encode_beat(&mut self, beat: DueHeartbeat, state: &State<S>, now: Time) {
        let (echo_us, echo_age_us) = match state.echo {
            Some((sent_us, at)) => (sent_us, now.since(at).as_micros() as u64),
            None => (0, 0),
        };
        let timing = Some(Timing { sent_us: micros(now), echo_us, echo_age_us });
        let heartbeat = Heartbeat { heartbeat_time_ms: beat.value_ms(), timing };
        self.beat.clear();
        self.shared.framing.encode_heartbeat(&heartbeat, &mut self.beat);
    }

    /// Writes once, without the lock.
    fn write(&mut self, mut state: Guard<'a, S>) -> Guard<'a, S> {
        state.writing = true;
        drop(state);
        let began = self.shared.clock.now();
        let look_at = self.look_at.take();
        let (patience, ends) = match look_at {
            Some(at) => (Duration::ZERO, at),
            None => (self.patience, began + self.patience),
        };
        let written = self.shared.write(&*self.stream, self.flight.rest(), patience);
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        state.writing = false;
        match written {
            Ok(0) => state.broken = Some(DownReason::io(&io::ErrorKind::WriteZero.into())),
            Ok(count) => self.handle_written(&mut state, count, now),
            Err(e) if is_timeout(e.kind()) => return self.handle_stuck(state, began, ends, now),
            Err(e) => state.broken = Some(DownReason::io(&e)),
        }
        if state.room_waiters > 0 {
            self.shared.notify_all();
        }
        state
    }

    fn handle_written(&mut self, state: &mut State<S>, count: usize, now: Time) {
        state.stats.bytes_sent += count as u64;
        if let Some(value) = self.flight.handle_written(count) {
            state.measure_beat(now);
            state.pulse.handle_beat_sent(value, now);
            state.stats.heartbeats_sent += 1;
        } else {
            state.handle_data_sent(self.shared.options.liveness.mode, now);
        }
        state.in_flight = self.flight.rest().len();
        if state.in_flight > 0 {
            state.pulse.handle_pending(now);
        }
        self.sent_at_look = state.stats.bytes_sent;
        // The next wait tells us when the kernel stopped accepting: the shorter it is the better.
        self.set_patience(PATIENCE);
    }

    /// Decides about a write that began at `began`, should have ended at `ends`, and of which the
    /// kernel took nothing: wait longer, or `write-stalled`.
    ///
    /// The verdict takes a look that began at the limit: a wait that woke late says that its time
    /// was up although there may be room by then. Waits in the kernel end up to two ticks late, so
    /// the last stretch is waited for on the condition variable.
    fn handle_stuck(
        &mut self,
        mut state: Guard<'a, S>,
        began: Time,
        ends: Time,
        now: Time,
    ) -> Guard<'a, S> {
        // A kernel finds some more room by and by, mostly at first.
        let longer = (state.pulse.pending(now) / 16).clamp(PATIENCE, PATIENCE_MAX);
        let late = state.pulse.handle_write_waited(ends, now);
        if let Some(late) = late.filter(|late| state.measures.add_stall(*late, now)) {
            state.changes.stalled = Some(late);
            self.shared.changed_by_program.store(true, Ordering::Release);
        }
        let stalled_at = state.pulse.stalled_at();
        if began >= stalled_at {
            let pending = state.pulse.pending(now);
            drop(state);
            self.shared.end(DownReason::WriteStalled { pending });
            return self.shared.lock();
        }
        let left = stalled_at.since(now);
        if left > TICKS {
            self.set_patience(longer.min(left - TICKS));
            return state;
        }
        self.set_patience(PATIENCE);
        self.look_at = Some(stalled_at.max(now));
        while self.shared.clock.now() < stalled_at && state.reason.is_none() {
            state = self.shared.wait_until(state, stalled_at);
        }
        state
    }

    /// Passes the verdict at a limit that the reader published, or leaves it to the reader.
    fn judge(&mut self, silent_at: Time, now: Time, tolerance: Duration) {
        self.deferred = silent_at;
        // We were stopped, and the reader grants the grace; or the program has set what the reader
        // has not taken over.
        if now.since(silent_at) > tolerance
            || self.shared.changed_by_program.load(Ordering::Acquire)
        {
            return;
        }
        let readable = self.stream.is_readable().unwrap_or(true);
        let stands = self.shared.silent_at.load(Ordering::SeqCst) == silent_at.as_nanos();
        if !readable && stands {
            self.shared.end(DownReason::Silent);
        }
    }

    /// A write failed. The reader sees the same end from its side, perhaps with the peer's goodbye
    /// before it, so it gets a moment to say why.
    fn leave_reason_to_reader(
        &mut self,
        mut state: Guard<'a, S>,
        reason: DownReason,
    ) -> Guard<'a, S> {
        let until = self.shared.clock.now() + LINGER;
        while state.reason.is_none() && self.shared.clock.now() < until {
            state = self.shared.wait_until(state, until);
        }
        drop(state);
        self.shared.end(reason);
        self.shared.lock()
    }

    /// Writes what is still to be written and the goodbye, lets the peer read it, and shuts.
    fn take_leave(&mut self, mut state: Guard<'a, S>, farewell: &Farewell) -> Guard<'a, S> {
        while state.writing && self.shared.clock.now() < farewell.until {
            state = self.shared.wait_until(state, farewell.until);
        }
        let unwritten = state.writing;
        if let Some(left) = state.handover.take() {
            self.flight = left;
        }
        if farewell.flush {
            let State { queue, queued_messages, .. } = &mut *state;
            self.flight.append(queue, queued_messages);
        } else {
            state.unsent += self.flight.cut(&*self.shared.framing);
        }
        state.in_flight = self.flight.rest().len();
        drop(state);
        self.flight.bytes.extend_from_slice(&farewell.bye);
        let whole = !unwritten && self.write_until(farewell.until);
        if whole {
            shut(&*self.stream, Shutdown::Write);
        }
        let mut state = self.shared.lock();
        let until = self.shared.clock.now() + LINGER;
        while whole && !state.reader_done && self.shared.clock.now() < until {
            state = self.shared.wait_until(state, until);
        }
        state.leaving = false;
        drop(state);
        shut(&*self.stream, Shutdown::Both);
        self.shared.lock()
    }

    /// Writes the whole flight, and says whether it was done in time. Where this thread comes too
    /// late it still writes once.
    fn write_until(&mut self, until: Time) -> bool {
        while !self.flight.is_empty() {
            let left = until.since(self.shared.clock.now());
            self.set_patience(left.min(PATIENCE));
            let written = self.shared.write(&*self.stream, self.flight.rest(), self.patience);
            match written {
                Ok(1..) => {
                    let count = written.unwrap_or_default();
                    self.flight.handle_written(count);
                    self.shared.lock().stats.bytes_sent += count as u64;
                }
                Err(e) if is_timeout(e.kind()) => {}
                _ => return false,
            }
            if left.is_zero() {
                return self.flight.is_empty();
            }
        }
        true
    }

    fn set_patience(&mut self, patience: Duration) {
        if patience != self.patience {
            // Fails only on a stream that is shut, where the next write says so.
            let _shut = self.stream.set_write_timeout(patience.max(PATIENCE));
            self.patience = patience;
        }
    }
}

/// Direct writes in quick succession that are a stream, and messages of a burst that are worth
/// waking the sender for.
pub(super) const DIRECT_RUN: u32 = 16;
/// How long a write waits for the kernel at first, which makes one or two ticks of it: the wait of
/// a program's thread that found the link idle and the socket's buffer full. The rest is then the
/// sender's. Of a write that was taken in part we only know that the kernel stopped in that time.
pub(super) const PATIENCE: Duration = LOOK;
/// The longest wait of a stuck write: an end waits for it, and promises to take no longer than a
/// tenth of a second.
const PATIENCE_MAX: Duration = Duration::from_millis(50);
/// The shortest wait on the stream: the kernel makes a tick of it.
pub(super) const LOOK: Duration = Duration::from_millis(1);
/// How late a wait in the kernel may end.
const TICKS: Duration = Duration::from_millis(12);
/// How long we wait for the other thread that writes before we look again.
const TURN: Duration = Duration::from_millis(10);
/// So many messages taken while the queue is never found empty are no burst but a stream.
const STREAM: u64 = 1024;
/// How often the sender looks in on a stream: its end waits for two looks at the most.
const LOOK_IN: Duration = Duration::from_micros(100);
/// Buffers above this size are given back ...
pub(super) const LARGE: usize = 1 << 10;
/// ... after this long without use for them.
pub(super) const QUIET: Duration = Duration::from_secs(30);
