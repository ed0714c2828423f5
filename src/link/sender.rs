//! The sender thread of a link: batches, heartbeats, the close, and the punctual half of the
//! verdict.
//!
//! It waits on the link's condition variable until there is work, the next heartbeat is due, or
//! silence reaches its limit, whichever is first. A condition variable is punctual to a tenth of a
//! millisecond while a socket's read timeout is up to two kernel ticks late, so this wait makes the
//! verdict precise, while the reader's timed reads guarantee it: they work even while this thread
//! is stuck in a write.
//!
//! The verdict from here: the reader parks close to the limit without taking anything from the
//! kernel and publishes the instant; at that instant this thread asks the kernel once more. Bytes
//! that arrived in time are then either still there or the instant has been withdrawn, so neither
//! order of the two threads makes a false alarm.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::faults::{self, Faults};
use super::pace::{BUFFER_KEPT_BYTES, WRITE_TIMEOUT_MAX, WRITE_TIMEOUT_MIN};
use super::shared::{Guard, Shared, State, shut};
use super::stream::{Stream, is_timeout};
use crate::connection::{DownReason, Phase, WriteBuffer};
use crate::liveness::Time;
use crate::protocol::Framing;
use crate::recover::Recover;

/// The body of the sender thread.
pub(super) fn run<S: Stream, F: Framing>(shared: &Shared<S, F>) {
    let _says_so = Done(shared);
    let Some(stream) = shared.lock().stream.clone() else { return };
    let sender = Sender {
        shared,
        stream,
        timeout: WRITE_TIMEOUT_MIN,
        deferred: Time::NEVER,
        look_at: None,
        has_tried_to_close: false,
        is_shut: false,
    };
    sender.run();
}

/// Records that the sender is done with the link and its stream. If a foreign framing or stream has
/// panicked the link ends: it would live on without heartbeats.
struct Done<'a, S: Stream, F: Framing>(&'a Shared<S, F>);

impl<S: Stream, F: Framing> Drop for Done<'_, S, F> {
    fn drop(&mut self) {
        if thread::panicking() {
            let of_framing = || DownReason::Local { detail: "the framing panicked".to_owned() };
            let of_stream = self.0.lock().outgoing.phase().refusal().cloned();
            self.0.end(of_stream.unwrap_or_else(of_framing));
        }
        self.0.lock().sender_done = true;
        self.0.notify_all();
    }
}

struct Sender<'a, S, F> {
    shared: &'a Shared<S, F>,
    stream: Arc<S>,
    /// The write timeout that is set on the stream.
    timeout: Duration,
    /// A published limit that we leave to the reader.
    deferred: Time,
    /// The next write of a stuck buffer does not wait: when it was to begin.
    look_at: Option<Time>,
    /// The bytes that a close has to write were tried at least once.
    has_tried_to_close: bool,
    /// Our direction has been shut, behind the goodbye.
    is_shut: bool,
}

impl<'a, S: Stream, F: Framing> Sender<'a, S, F> {
    fn run(mut self) {
        let mut state = self.shared.lock();
        loop {
            state = match state.outgoing.phase() {
                Phase::Up => self.turn(state),
                Phase::Broken(reason) => {
                    let reason = reason.clone();
                    self.leave_end_to_reader(state, reason)
                }
                Phase::Closing(_) => self.close(state),
                Phase::Ended { .. } | Phase::Down { .. } => return,
            };
        }
    }

    /// Does the work that is due, or waits for some.
    fn turn(&mut self, mut state: Guard<'a, S, F>) -> Guard<'a, S, F> {
        let now = self.shared.clock.now();
        let silent_at = Time::from_nanos(self.shared.silent_at.load(Ordering::SeqCst));
        let watches = silent_at != self.deferred;
        if watches && silent_at <= now {
            let tolerance = state.outgoing.stall_tolerance();
            drop(state);
            self.judge(silent_at, now, tolerance);
            return self.shared.lock();
        }
        let watched = if watches { silent_at } else { Time::NEVER };
        if state.outgoing.is_writing() {
            // A program's thread is in a write, for a short while: bytes are on their way, and it
            // wakes us if it leaves something to do.
            state.sender_waits = true;
            let until = watched.min(now + state.pace.writer_poll());
            return self.shared.wait_until(state, until);
        }
        let State { outgoing, pace, .. } = &mut *state;
        let takes = pace.poll(outgoing.bytes_sent(), outgoing.queued_bytes(), now);
        let queued = outgoing.queued_messages();
        let buffer = outgoing.poll_transmit(now, takes, self.holds_heartbeats());
        if let Some(buffer) = buffer {
            pace.on_batch(queued - outgoing.queued_messages());
            pace.on_buffer(buffer.rest().len(), now);
            return self.write(state, buffer);
        }
        pace.on_nothing();
        if outgoing.queued_bytes() == 0 && now >= pace.shrinks_at() {
            outgoing.shrink_to(BUFFER_KEPT_BYTES);
        }
        let mut until = watched.min(pace.poll_timeout()).min(match self.holds_heartbeats() {
            false => outgoing.timer().due(),
            true => now + faults::STEP,
        });
        if outgoing.queued_bytes() == 0 && outgoing.capacity() > BUFFER_KEPT_BYTES {
            until = until.min(pace.shrinks_at());
        }
        state.sender_waits = true;
        let mut state = self.shared.wait_until(state, until);
        state.sender_waits = false;
        state
    }

    fn holds_heartbeats(&self) -> bool {
        self.shared.options.faults.as_ref().is_some_and(Faults::holds_heartbeats)
    }

    /// Writes once, without the lock.
    fn write(&mut self, state: Guard<'a, S, F>, mut buffer: WriteBuffer) -> Guard<'a, S, F> {
        drop(state);
        let began = self.shared.clock.now();
        let (timeout, ends) = match self.look_at.take() {
            Some(at) => (Duration::ZERO, at),
            None => (self.timeout, began + self.timeout),
        };
        let written = self.shared.write(&*self.stream, &mut buffer, timeout);
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        let State { outgoing, pace, .. } = &mut *state;
        match written {
            Ok(0) => {
                let reason = DownReason::io(&io::ErrorKind::WriteZero.into());
                outgoing.handle_write_failed(buffer, reason, None, now);
            }
            Ok(count) => {
                outgoing.handle_written(buffer, count, now);
                if outgoing.has_crossed() {
                    self.shared.publish_changes();
                }
                pace.on_written(outgoing.bytes_sent());
                // The next wait shows when the kernel stopped accepting: the shorter the better.
                self.set_timeout(WRITE_TIMEOUT_MIN);
            }
            Err(e) if is_timeout(e.kind()) => {
                outgoing.handle_written(buffer, 0, now);
                return self.handle_stuck(state, began, ends, now);
            }
            Err(e) => outgoing.handle_write_failed(buffer, DownReason::io(&e), None, now),
        }
        if state.room_waiters > 0 {
            self.shared.notify_all();
        }
        state
    }

    /// Decides about a write that began at `began`, should have ended at `ends`, and of which the
    /// kernel took nothing: wait longer, or `write-stalled`.
    ///
    /// The verdict takes a look that began at the limit: a wait that woke late reports that its
    /// time was up although there may be room by then. Waits in the kernel end up to two ticks
    /// late, so the last stretch is waited for on the condition variable.
    fn handle_stuck(
        &mut self,
        mut state: Guard<'a, S, F>,
        began: Time,
        ends: Time,
        now: Time,
    ) -> Guard<'a, S, F> {
        let outgoing = &mut state.outgoing;
        if let Some(late) = outgoing.handle_write_waited(ends, now) {
            outgoing.report_stall(late);
            self.shared.publish_changes();
        }
        // A kernel finds some more room little by little, mostly at first.
        let longer = outgoing.timer().pending(now) / 16;
        let longer = longer.clamp(WRITE_TIMEOUT_MIN, WRITE_TIMEOUT_MAX);
        let stalled_at = outgoing.timer().stalled_at();
        if outgoing.phase().reason().is_some() {
            self.set_timeout(longer.min(outgoing.closes_at().since(now)));
            return state;
        }
        if began >= stalled_at && outgoing.handle_timeout(now) {
            self.shared.settle(state);
            return self.shared.lock();
        }
        let left = stalled_at.since(now);
        if left > KERNEL_TICKS {
            self.set_timeout(longer.min(left - KERNEL_TICKS));
            return state;
        }
        self.set_timeout(WRITE_TIMEOUT_MIN);
        self.look_at = Some(stalled_at.max(now));
        while self.shared.clock.now() < stalled_at && matches!(state.outgoing.phase(), Phase::Up) {
            state = self.shared.wait_until(state, stalled_at);
        }
        state
    }

    /// Passes the verdict at a limit that the reader published, or leaves it to the reader.
    fn judge(&mut self, silent_at: Time, now: Time, tolerance: Duration) {
        self.deferred = silent_at;
        // We were stopped, and the reader grants the grace; or the program has set what the reader
        // has not taken over.
        if now.since(silent_at) > tolerance || self.shared.has_changes() {
            return;
        }
        let mut broken = self.shared.broken.lock().recover();
        let readable = self.stream.is_readable();
        if let Err(e) = &readable {
            *broken = Some(DownReason::io(e));
        }
        drop(broken);
        let unchanged = self.shared.silent_at.load(Ordering::SeqCst) == silent_at.as_nanos();
        match readable {
            Ok(false) if unchanged => self.shared.end(DownReason::Silent),
            // The reader does not hear of it any more.
            Err(e) if unchanged => self.shared.end(DownReason::io(&e)),
            // The reader has read meanwhile: what it holds is handed on first.
            _ => {}
        }
    }

    /// A write failed. What has arrived is still handed on, perhaps with the peer's goodbye, so the
    /// reader ends the link when it finds the end of the stream. If nothing comes, the
    /// stream is ended for it, behind all that has arrived.
    fn leave_end_to_reader(
        &mut self,
        mut state: Guard<'a, S, F>,
        reason: DownReason,
    ) -> Guard<'a, S, F> {
        let shared = self.shared;
        shared.notify_all();
        for (patience, is_last) in [(READ_IDLE_MAX, false), (READ_END_MAX, true)] {
            let mut seen = shared.received.bytes.load(Ordering::Relaxed);
            let mut until = shared.clock.now() + patience;
            while matches!(state.outgoing.phase(), Phase::Broken(_)) && shared.clock.now() < until {
                let bytes = shared.received.bytes.load(Ordering::Relaxed);
                if !shared.is_reading.load(Ordering::SeqCst) || bytes != seen {
                    (seen, until) = (bytes, shared.clock.now() + patience);
                }
                state = shared.wait_until(state, until.min(shared.clock.now() + READER_POLL));
            }
            if !matches!(state.outgoing.phase(), Phase::Broken(_)) {
                return state;
            }
            state.outgoing.cut_off();
            drop(state);
            if is_last {
                shared.end(reason.clone());
            } else {
                shut(&*self.stream, Shutdown::Read);
            }
            state = shared.lock();
        }
        state
    }

    /// One step of a close: writes what is to be written and the goodbye, shuts our direction, and
    /// waits for the reader to find the peer's end of stream.
    fn close(&mut self, mut state: Guard<'a, S, F>) -> Guard<'a, S, F> {
        let now = self.shared.clock.now();
        let outgoing = &mut state.outgoing;
        let tries = now < outgoing.closes_at() || !self.has_tried_to_close;
        let buffer = if tries { outgoing.poll_transmit(now, true, false) } else { None };
        if let Some(buffer) = buffer {
            self.has_tried_to_close = true;
            return self.write(state, buffer);
        }
        if outgoing.is_out() && !std::mem::replace(&mut self.is_shut, true) {
            drop(state);
            shut(&*self.stream, Shutdown::Write);
            return self.shared.lock();
        }
        outgoing.handle_timeout(now);
        if !matches!(outgoing.phase(), Phase::Closing(_)) {
            self.shared.settle(state);
            return self.shared.lock();
        }
        let until = outgoing.closes_at();
        self.shared.wait_until(state, until)
    }

    fn set_timeout(&mut self, timeout: Duration) {
        let timeout = timeout.max(WRITE_TIMEOUT_MIN);
        if timeout != self.timeout {
            // Fails only on a stream that is shut, and then the next write fails too.
            let _shut = self.stream.set_write_timeout(timeout);
            self.timeout = timeout;
        }
    }
}

/// How late a wait in the kernel may end.
const KERNEL_TICKS: Duration = Duration::from_millis(12);
/// After a failed write: how long the reader may wait for more, until the stream is ended for it,
const READ_IDLE_MAX: Duration = Duration::from_millis(50);
/// and how long after that it may not notice.
const READ_END_MAX: Duration = Duration::from_secs(1);
/// How often it is looked at meanwhile.
const READER_POLL: Duration = Duration::from_millis(10);
