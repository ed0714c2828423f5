//! What the reader, the sender thread and the program's threads share: one lock, its condition
//! variables, and atomics that spare the lock.
//!
//! Rules of the lock. While it is held: no I/O, no join, no user code but a framing's. Whoever
//! writes to the stream sets `writing` first and lets go of the lock; only one thread writes at a
//! time, so frames never mix (lesson 22), and nobody who waits for the lock waits for the network
//! (lesson 20). Waits loop on state with absolute deadlines. `changed` has two kinds of waiters
//! while the link lives, the sender thread and whoever waits for room, so it is notified to all
//! where both may wait. Programs that wait for the link's end wait on `gone`: traffic wakes none.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use super::change::Changes;
use super::clock::Clock;
use super::faults;
use super::flight::{Flight, Unsent};
use super::forked::Process;
use super::stats::Measures;
use super::{Down, DownReason, Options, Stats, Stream};
use crate::liveness::{HeartbeatTimer, Settings, Time};
use crate::protocol::{Bye, Framing};

/// All that the threads of a link share.
pub(super) struct Shared<S, F> {
    pub(super) clock: Clock,
    pub(super) framing: Arc<F>,
    pub(super) options: Options,
    /// The process that made the link: a forked child must neither join nor shut.
    process: Process,
    state: Mutex<State<S>>,
    changed: Condvar,
    gone: Condvar,
    /// When the last byte arrived ([`Time`] in nanoseconds); written by the reader.
    pub(super) last_received: AtomicU64,
    /// When silence reaches its limit, while the reader is parked close to it; else never.
    /// While it stands here, what the kernel holds has not been taken by the reader.
    pub(super) silent_at: AtomicU64,
    /// The link has a reason to end: the reader's cheap look at `State::reason`.
    ended: AtomicBool,
    /// `State::changes` holds something: the reader's cheap look at it.
    pub(super) changed_by_program: AtomicBool,
    pub(super) reader: OnceLock<ThreadId>,
    pub(super) received: Received,
}

/// Counters that only the reader writes.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) messages: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) heartbeats: AtomicU64,
}

/// What stands under the lock.
pub(super) struct State<S> {
    /// Gone once the link has ended, so that the descriptor is not held by forgotten handles.
    pub(super) stream: Option<Arc<S>>,
    pub(super) pulse: HeartbeatTimer,
    /// What the reader has not taken over yet.
    pub(super) changes: Changes,
    /// The heartbeat-time that the program set last, if it was smaller.
    pub(super) set: Option<Duration>,
    /// Frames that wait, encoded, and how many of them are messages.
    pub(super) queue: Vec<u8>,
    pub(super) queued_messages: u64,
    /// Bytes that left the queue and are not written yet.
    pub(super) in_flight: usize,
    /// Somebody is in a write, without the lock.
    pub(super) writing: bool,
    /// Somebody is in a shutdown, without the lock.
    pub(super) shutting: bool,
    /// What a program's thread could not write whole; the sender goes on with it. Empty where only
    /// a heartbeat is due.
    pub(super) handover: Option<Flight>,
    /// A buffer kept for the next direct write.
    pub(super) scratch: Vec<u8>,
    pub(super) pace: Pace,
    /// Direct writes in quick succession; at a limit they are a stream.
    pub(super) direct_run: u32,
    pub(super) last_direct: Time,
    pub(super) received_at_direct: u64,
    pub(super) sender_waits: bool,
    pub(super) room_waiters: u32,
    /// `sent_us` of the peer's last heartbeat, and when it arrived.
    pub(super) echo: Option<(u64, Time)>,
    /// What the peer last asked for, as it came.
    pub(super) received: Option<Duration>,
    /// A write failed. The reader knows better why: it may still find the peer's goodbye.
    pub(super) broken: Option<DownReason>,
    /// Why the link ends; the first reason stays.
    pub(super) reason: Option<DownReason>,
    pub(super) ended_at: Time,
    pub(super) farewell: Option<Farewell>,
    /// The goodbye is under way: the reader reads and drops until the sender has shut the stream.
    pub(super) leaving: bool,
    pub(super) reader_done: bool,
    pub(super) sender_done: bool,
    pub(super) unsent: Unsent,
    pub(super) down: Option<Down>,
    pub(super) stats: Stats,
    pub(super) measures: Measures,
    /// When a buffer of the link was last used to more than its small size.
    pub(super) last_large: Time,
}

/// Who writes, by how messages have come lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Now and then: whoever sends writes.
    Direct,
    /// In bursts: the first message wakes the sender, which writes what has gathered by then.
    Bursts,
    /// In a stream: whoever fills a batch writes it, and the sender looks in at short intervals for
    /// what is left.
    Stream,
}

/// How a link takes leave, where it does.
pub(super) struct Farewell {
    /// The goodbye, encoded; may be empty.
    pub(super) bye: Vec<u8>,
    /// What was accepted is written first.
    pub(super) flush: bool,
    /// When the attempt ends.
    pub(super) until: Time,
}

impl<S: Stream, F: Framing> Shared<S, F> {
    pub(super) fn new(stream: S, framing: Arc<F>, mut options: Options) -> Self {
        if !F::NEGOTIATES {
            options.liveness = options.liveness.without_negotiation();
        }
        let clock = Clock::start();
        let now = clock.now();
        let mut pulse = HeartbeatTimer::new(&options.liveness, now);
        let greeted = options.peer_heartbeat_time_ms.filter(|value| *value > 0);
        if let Some(value) = greeted {
            pulse.adopt(value, now);
        }
        let state = State {
            stream: Some(Arc::new(stream)),
            pulse,
            changes: Changes::default(),
            set: None,
            queue: Vec::new(),
            queued_messages: 0,
            in_flight: 0,
            writing: false,
            shutting: false,
            handover: None,
            scratch: Vec::new(),
            pace: Pace::Direct,
            direct_run: 0,
            last_direct: now,
            received_at_direct: 0,
            sender_waits: false,
            room_waiters: 0,
            echo: None,
            received: greeted.map(|value| Duration::from_millis(value.into())),
            broken: None,
            reason: None,
            ended_at: now,
            farewell: None,
            leaving: false,
            reader_done: false,
            sender_done: false,
            unsent: Unsent::default(),
            down: None,
            stats: Stats::default(),
            measures: Measures::default(),
            last_large: now,
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
            changed_by_program: AtomicBool::new(false),
            reader: OnceLock::new(),
            received: Received::default(),
        }
    }

    /// Takes the lock. A panic of another holder does not spread: only a framing is called under
    /// the lock, at points where the state is whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something changed or until the clock shows `until`.
    pub(super) fn wait_until<'a>(
        &self,
        state: MutexGuard<'a, State<S>>,
        until: Time,
    ) -> MutexGuard<'a, State<S>> {
        self.wait_on(&self.changed, state, until)
    }

    /// Waits for the account of the link's end, or until the clock shows `until`.
    pub(super) fn wait_down(&self, until: Time) -> Option<Down> {
        let mut state = self.lock();
        while state.down.is_none() && self.clock.now() < until {
            state = self.wait_on(&self.gone, state, until);
        }
        state.down.clone()
    }

    /// Publishes the account of the link's end.
    pub(super) fn set_down(&self, down: Down) {
        self.lock().down = Some(down);
        self.gone.notify_all();
    }

    fn wait_on<'a>(
        &self,
        condvar: &Condvar,
        state: MutexGuard<'a, State<S>>,
        until: Time,
    ) -> MutexGuard<'a, State<S>> {
        if until == Time::NEVER {
            return condvar.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let left = until.since(self.clock.now());
        condvar.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes the sender thread if it waits.
    pub(super) fn wake_sender(&self, state: &mut State<S>) {
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

    /// Writes what the kernel takes within `patience`, the write timeout that is set on the stream;
    /// where that is zero, at once.
    pub(super) fn write(&self, stream: &S, bytes: &[u8], patience: Duration) -> io::Result<usize> {
        let unwound = Unwound(self);
        let written = match &self.options.faults {
            Some(faults) if faults.stalls_writer() => {
                std::thread::sleep(patience.min(faults::STEP));
                Err(io::ErrorKind::WouldBlock.into())
            }
            _ if patience.is_zero() => stream.write_at_once(bytes),
            _ => stream.write(bytes),
        };
        std::mem::forget(unwound);
        written
    }

    /// Whether the link has a reason to end.
    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn is_forked_child(&self) -> bool {
        self.process.is_parent()
    }

    /// Ends the link abruptly (H5): marks the reason, shuts both directions, wakes everybody.
    pub(super) fn end(&self, reason: DownReason) {
        self.mark_ended(reason, None);
    }

    /// Ends the link with a goodbye, which the sender thread writes.
    pub(super) fn take_leave(&self, reason: DownReason, bye: Option<&Bye<'_>>, flush: bool) {
        let patience = if flush { self.options.close_timeout } else { LEAVE };
        let until = self.clock.now() + patience;
        self.mark_ended(reason, Some((Farewell { bye: Vec::new(), flush, until }, bye)));
    }

    fn mark_ended(&self, reason: DownReason, farewell: Option<(Farewell, Option<&Bye<'_>>)>) {
        if self.is_forked_child() {
            return;
        }
        let mut state = self.lock();
        if state.reason.is_some() {
            return;
        }
        // Under the lock, as all encoding: no message may be numbered after it and leave before.
        // And first of all: where it panics, nothing has ended yet.
        state.farewell = farewell.map(|(mut farewell, bye)| {
            if let Some(bye) = bye {
                self.framing.encode_bye(bye, &mut farewell.bye);
            }
            farewell
        });
        state.reason = Some(reason);
        state.ended_at = self.clock.now();
        state.sender_waits = false;
        state.leaving = state.farewell.is_some();
        self.ended.store(true, Ordering::Release);
        if let Some(stream) = state.stream.clone().filter(|_| !state.leaving) {
            state.shutting = true;
            drop(state);
            shut(&*stream, std::net::Shutdown::Both);
            drop(stream);
            self.lock().shutting = false;
        } else {
            drop(state);
        }
        self.changed.notify_all();
    }
}

/// A write that a foreign stream's panic has ended: it failed, and nobody waits for it.
struct Unwound<'a, S: Stream, F: Framing>(&'a Shared<S, F>);

impl<S: Stream, F: Framing> Drop for Unwound<'_, S, F> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.writing = false;
        state.broken = Some(DownReason::io(&io::Error::other("the stream panicked")));
        drop(state);
        self.0.notify_all();
    }
}

impl<S> State<S> {
    /// Bytes that were accepted and are not written.
    pub(super) fn pending(&self) -> usize {
        self.queue.len() + self.in_flight
    }

    /// How late a wait of ours may end before it counts as a stall.
    pub(super) fn stall_tolerance(&self, options: &Options) -> Duration {
        Settings { slack: self.pulse.slack(), ..options.liveness }.stall_tolerance()
    }
}

/// Shuts directions of a stream. It fails only where they are shut already.
pub(super) fn shut<S: Stream>(stream: &S, how: std::net::Shutdown) {
    let _already = stream.shutdown(how);
}

/// How long the peer has to read our goodbye before the socket is shut behind it.
pub(super) const LINGER: Duration = Duration::from_millis(50);
/// How long a goodbye may take where nothing is flushed.
const LEAVE: Duration = Duration::from_millis(20);
