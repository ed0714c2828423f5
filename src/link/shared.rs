//! What the reader, the sender thread and the program's threads share: one lock, its condition
//! variables, and atomics that spare the lock.
//!
//! Rules of the lock. While it is held: no I/O, no join, no user code but a framing's. A thread
//! that writes to the stream takes the buffer first and lets go of the lock; only one thread writes
//! at a time, so frames never mix, and no thread that waits for the lock waits for the network.
//! Taking it withdraws the [allowance](super::allowance), unless it is taken to send. Waits loop
//! on state with absolute deadlines. `changed` has two kinds of waiters while the link
//! lives, the sender thread and the callers that wait for room, so all are notified if both may
//! wait. Programs that wait for the link's end wait on `gone`: traffic wakes none.

use std::hint::black_box;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use super::allowance::Allowance;
use super::clock::Clock;
use super::fan::Fan;
use super::faults;
use super::forked::Process;
use super::options::LinkOptions;
use super::pace::Pace;
use super::stream::Stream;
use crate::connection::{Close, Down, DownReason, Outgoing, Phase, WriteBuffer};
use crate::liveness::Time;
use crate::protocol::{Bye, Framing};
use crate::recover::Recover;

/// All that the threads of a link share.
pub(super) struct Shared<S, F> {
    pub(super) clock: Clock,
    pub(super) framing: Arc<F>,
    pub(super) options: LinkOptions,
    /// The process that made the link: a forked child must neither join nor shut.
    process: Process,
    state: Mutex<State<S, F>>,
    changed: Condvar,
    gone: Condvar,
    /// When the last byte arrived ([`Time`] in nanoseconds); written by the reader.
    pub(super) last_received: AtomicU64,
    /// When silence reaches its limit, while the reader is parked close to it; else never.
    /// While it is here, what the kernel holds has not been taken by the reader.
    pub(super) silent_at: AtomicU64,
    /// Nothing that arrives is handed on any more: the reader's cheap look at the phase.
    ended: AtomicBool,
    /// The connection has changes that the reader has not taken over: its cheap look at them.
    has_changes: AtomicBool,
    /// The reader waits in the kernel: nothing that has arrived is in its hands.
    pub(super) is_reading: AtomicBool,
    /// Since when the reader has been handing on what it read ([`Time`] in nanoseconds), while it
    /// does; else never.
    pub(super) hands_on_since: AtomicU64,
    pub(super) reader: OnceLock<u64>,
    /// An error that the sender found in looking, and that the stream may not repeat: for the
    /// reader, once it has read all. Held during the look, so that the reader waits for its result.
    pub(super) broken: Mutex<Option<DownReason>>,
    pub(super) received: Received,
}

/// Counters that only the reader writes.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) messages: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) heartbeats: AtomicU64,
}

/// Adds to a counter that only this thread writes.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}

/// What is under the lock.
pub(super) struct State<S, F> {
    /// Gone once the link has ended, so that the descriptor is not held by forgotten handles.
    pub(super) stream: Option<Arc<S>>,
    pub(super) outgoing: Outgoing<F>,
    pub(super) pace: Pace,
    pub(super) allowance: Allowance,
    /// The fan that the link is in, if it was ever in one, and whether it is in its line.
    pub(super) fan: Option<Arc<Fan>>,
    pub(super) is_in_line: bool,
    /// The batch that will see to it that what is queued is written.
    pub(super) held_by: u64,
    pub(super) sender_waits: bool,
    pub(super) room_waiters: u32,
    /// Both directions have been shut, and whether a thread is in a shutdown, without the lock.
    is_shut: bool,
    pub(super) is_shutting: bool,
    /// The reader drops what comes until a close is over, and then shuts its direction itself.
    pub(super) is_dropping: bool,
    pub(super) sender_done: bool,
}

pub(super) type Guard<'a, S, F> = MutexGuard<'a, State<S, F>>;

impl<S: Stream, F: Framing> Shared<S, F> {
    pub(super) fn new(stream: S, framing: Arc<F>, mut options: LinkOptions) -> Self {
        if !F::NEGOTIATES {
            options.liveness = options.liveness.without_negotiation();
        }
        let clock = Clock::start();
        let now = clock.now();
        let mut outgoing =
            Outgoing::new(Arc::clone(&framing), &options.liveness, options.queue_bytes, now);
        outgoing.set_trace(options.trace.clone());
        if let Some(budget) = &options.queue_budget {
            outgoing.set_budget(budget.clone());
        }
        if let Some(value_ms) = options.peer_heartbeat_time_ms {
            outgoing.handle_hello(value_ms, now);
        }
        let state = State {
            stream: Some(Arc::new(stream)),
            outgoing,
            pace: Pace::new(now),
            allowance: Allowance::default(),
            fan: None,
            is_in_line: false,
            held_by: 0,
            sender_waits: false,
            room_waiters: 0,
            is_shut: false,
            is_shutting: false,
            is_dropping: false,
            sender_done: false,
        };
        Self {
            clock,
            framing,
            options,
            process: Process::current(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            gone: Condvar::new(),
            last_received: AtomicU64::new(now.as_nanos()),
            silent_at: AtomicU64::new(Time::NEVER.as_nanos()),
            ended: AtomicBool::new(false),
            has_changes: AtomicBool::new(false),
            is_reading: AtomicBool::new(false),
            hands_on_since: AtomicU64::new(Time::NEVER.as_nanos()),
            reader: OnceLock::new(),
            broken: Mutex::new(None),
            received: Received::default(),
        }
    }

    /// Takes the lock. A panic of another holder does not spread: only a framing is called under
    /// the lock, at points at which the state is whole.
    pub(super) fn lock(&self) -> Guard<'_, S, F> {
        let mut state = self.lock_to_send();
        state.allowance.withdraw();
        state
    }

    /// Takes the lock to queue messages, and for nothing else as long as they are allowed without a
    /// decision.
    #[inline]
    pub(super) fn lock_to_send(&self) -> Guard<'_, S, F> {
        self.state.lock().recover()
    }

    /// Reads from the cache lines that a direct write is about to need. The links of a hub are cold
    /// when their turn comes: lines that are asked for together arrive together.
    #[inline]
    pub(super) fn fetch(&self, state: &State<S, F>) {
        let stream = state.stream.as_ref().map(Arc::strong_count);
        let received = self.last_received.load(Ordering::Relaxed);
        black_box((received, stream, self.options.faults.is_some()));
        black_box((state.pace.is_direct(), state.pace.shrinks_at()));
        state.outgoing.fetch();
    }

    /// Waits until something changed or until the clock shows `until`.
    pub(super) fn wait_until<'a>(&self, state: Guard<'a, S, F>, until: Time) -> Guard<'a, S, F> {
        self.wait_on(&self.changed, state, until)
    }

    /// Waits for room as [`wait_until`](Self::wait_until) does. What other links give back to their
    /// common budget nothing wakes us for.
    pub(super) fn wait_room<'a>(
        &self,
        mut state: Guard<'a, S, F>,
        mut until: Time,
    ) -> Guard<'a, S, F> {
        if self.options.queue_budget.is_some() {
            until = until.min(self.clock.now() + BUDGET_POLL);
        }
        state.room_waiters += 1;
        state = self.wait_until(state, until);
        state.room_waiters -= 1;
        state
    }

    /// Waits for the account of the link's end, or until the clock shows `until`.
    pub(super) fn wait_down(&self, until: Time) -> Option<Down> {
        let mut state = self.lock();
        while state.down().is_none() && self.clock.now() < until {
            state = self.wait_on(&self.gone, state, until);
        }
        state.down()
    }

    /// Wakes those who wait for the account of the link's end: it is there.
    pub(super) fn notify_down(&self) {
        self.gone.notify_all();
    }

    fn wait_on<'a>(
        &self,
        condvar: &Condvar,
        state: Guard<'a, S, F>,
        until: Time,
    ) -> Guard<'a, S, F> {
        let mut state = if until == Time::NEVER {
            condvar.wait(state).recover()
        } else {
            let left = until.since(self.clock.now());
            condvar.wait_timeout(state, left).recover().0
        };
        state.allowance.withdraw();
        state
    }

    /// Wakes the sender thread if it waits.
    pub(super) fn wake_sender(&self, state: &mut State<S, F>) {
        if std::mem::take(&mut state.sender_waits) {
            match state.room_waiters {
                0 => self.changed.notify_one(),
                _ => self.changed.notify_all(),
            }
        }
    }

    pub(super) fn notify_all(&self) {
        self.changed.notify_all();
    }

    /// Writes what the kernel takes within `timeout`, the write timeout that is set on the stream;
    /// at once if that is zero.
    pub(super) fn write(
        &self,
        stream: &S,
        buffer: &mut WriteBuffer,
        timeout: Duration,
    ) -> io::Result<usize> {
        let unwound = Unwound { shared: self, buffer };
        let bytes = unwound.buffer.rest();
        let written = match &self.options.faults {
            Some(faults) if faults.stalls_writer() => {
                std::thread::sleep(timeout.min(faults::STEP));
                Err(io::ErrorKind::WouldBlock.into())
            }
            _ if timeout.is_zero() => stream.write_at_once(bytes),
            _ => stream.write(bytes),
        };
        let held = stream.held();
        unwound.buffer.fix(written.as_ref().map_or(0, |count| *count) + held);
        std::mem::forget(unwound);
        written
    }

    /// Whether nothing that arrives is handed on any more.
    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Whether the reader has changes to take over.
    pub(super) fn has_changes(&self) -> bool {
        self.has_changes.load(Ordering::Acquire)
    }

    /// The connection has changes for the reader.
    pub(super) fn publish_changes(&self) {
        self.has_changes.store(true, Ordering::Release);
    }

    /// Whether there were changes; from then on there are none.
    pub(super) fn take_has_changes(&self) -> bool {
        let flag = &self.has_changes;
        flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::Acquire)
    }

    pub(super) fn is_forked_child(&self) -> bool {
        self.process.is_parent()
    }

    /// Ends the link abruptly (H5): marks the reason, shuts both directions, wakes all waiters.
    pub(super) fn end(&self, reason: DownReason) {
        if self.is_forked_child() {
            return;
        }
        let mut state = self.lock();
        let now = self.clock.now();
        state.outgoing.end(reason, now);
        self.settle(state);
    }

    /// Reading has failed.
    pub(super) fn fail_reading(&self, error: &io::Error) {
        if self.is_forked_child() {
            return;
        }
        let mut state = self.lock();
        state.outgoing.handle_read_failed(DownReason::io(error), self.clock.now());
        self.settle(state);
    }

    /// Closes the link, which the sender thread does.
    pub(super) fn close(&self, reason: DownReason, bye: Option<&Bye<'_>>, close: Close) {
        if self.is_forked_child() {
            return;
        }
        let mut state = self.lock();
        let now = self.clock.now();
        if state.outgoing.close(reason, bye, close, now) {
            self.settle(state);
        }
    }

    /// Does what the phase of the connection asks for, after anything that may have changed it: if
    /// it has ended both directions are shut, once, and all waiters are woken.
    pub(super) fn settle(&self, mut state: Guard<'_, S, F>) {
        let phase = state.outgoing.phase();
        if phase.reason().is_none() {
            return;
        }
        if !phase.hands_on() {
            self.ended.store(true, Ordering::Release);
        }
        let has_ended = matches!(phase, Phase::Ended { .. });
        state.sender_waits = false;
        let shuts = has_ended && !std::mem::replace(&mut state.is_shut, true);
        if let Some(stream) = state.stream.clone().filter(|_| shuts) {
            state.is_shutting = true;
            let is_dropping = state.is_dropping;
            drop(state);
            // A reader that has something to read does not wait: it comes by itself, and shuts its
            // direction after its last read.
            let comes = is_dropping || (stream.can_peek() && stream.is_readable().unwrap_or(false));
            shut(&*stream, if comes { Shutdown::Write } else { Shutdown::Both });
            drop(stream);
            self.lock().is_shutting = false;
        } else {
            drop(state);
        }
        self.changed.notify_all();
    }
}

/// A write that a foreign stream's panic has ended: it failed, and no thread waits for it.
struct Unwound<'a, S: Stream, F: Framing> {
    shared: &'a Shared<S, F>,
    buffer: &'a mut WriteBuffer,
}

impl<S: Stream, F: Framing> Drop for Unwound<'_, S, F> {
    fn drop(&mut self) {
        let reason = DownReason::io(&io::Error::other("the stream panicked"));
        let (shared, buffer) = (self.shared, std::mem::take(self.buffer));
        // What was accepted and is not known to be out is counted.
        shared.lock().outgoing.handle_write_failed(buffer, reason, None, shared.clock.now());
        shared.notify_all();
    }
}

impl<S, F> State<S, F> {
    /// Takes what is queued, to be written.
    pub(super) fn take_queue(&mut self) -> WriteBuffer
    where
        F: Framing,
    {
        // What was allowed rests on a queue that is not empty, and on what was in flight.
        self.allowance.withdraw();
        self.outgoing.take_queue()
    }

    /// The account of the end, once it has been drawn up.
    pub(super) fn down(&self) -> Option<Down>
    where
        F: Framing,
    {
        match self.outgoing.phase() {
            Phase::Down { down, .. } => Some((**down).clone()),
            _ => None,
        }
    }
}

/// Shuts directions of a stream. It fails only if they are shut already.
pub(super) fn shut<S: Stream>(stream: &S, how: Shutdown) {
    let _already = stream.shutdown(how);
}

/// How often a thread that waits for room looks at a budget that other links share.
const BUDGET_POLL: Duration = Duration::from_millis(20);
