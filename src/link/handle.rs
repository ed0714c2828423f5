//! The handle on a link: what a program calls.
//!
//! Everything here may be called from any thread, the link's own handler included, and returns in
//! bounded time (lessons 45, 46). The rules of the lock are written where it lives.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::Duration;

use super::flight::Flight;
use super::handshake::Greeting;
use super::sender::{DIRECT_RUN, LARGE, PATIENCE};
use super::shared::{Pace, Shared, State};
use super::stream::is_timeout;
use super::{Down, DownReason, Event, Options, Reader, SendError, Stream, sender, threads};
use crate::liveness::Time;
use crate::protocol::{Bye, ByeCode, Framing, Native};

/// A handle on a link; clones are handles on the same one, for use from any thread.
///
/// A link lives until it ends: by the peer, by its limits, or by [`close`](Self::close). Dropping
/// handles does not end it. Once it has ended, its socket is closed and its threads are ending,
/// whoever still holds a handle.
pub struct Link<S: Stream = TcpStream, F: Framing = Native> {
    shared: Arc<Shared<S, F>>,
}

/// What a link calls, always from the thread that runs its [`Reader`], never with a lock held. All
/// of the link may be called from inside, close included.
///
/// While a call lasts nothing is read; our heartbeats go on, and the peer's silence does not count.
pub trait Handler<S: Stream = TcpStream, F: Framing = Native> {
    /// A message arrived; the bytes are valid during the call.
    fn on_message(&mut self, link: &Link<S, F>, payload: &[u8]);

    /// Something happened to the link. [`Event::Down`] is the last call of all.
    fn on_event(&mut self, _link: &Link<S, F>, _event: &Event) {}
}

/// A closure is a handler that takes messages and lets events pass.
impl<S: Stream, F: Framing, M: FnMut(&Link<S, F>, &[u8])> Handler<S, F> for M {
    fn on_message(&mut self, link: &Link<S, F>, payload: &[u8]) {
        self(link, payload);
    }
}

/// Two closures are a handler: one takes messages, the other events.
impl<S, F, M, E> Handler<S, F> for (M, E)
where
    S: Stream,
    F: Framing,
    M: FnMut(&Link<S, F>, &[u8]),
    E: FnMut(&Link<S, F>, &Event),
{
    fn on_message(&mut self, link: &Link<S, F>, payload: &[u8]) {
        (self.0)(link, payload);
    }

    fn on_event(&mut self, link: &Link<S, F>, event: &Event) {
        (self.1)(link, event);
    }
}

impl<S: Stream> Link<S> {
    /// Starts a link of the native protocol on an established stream, with the default options: a
    /// short form of [`start_with`](Self::start_with). No HELLO is exchanged.
    ///
    /// # Errors
    /// As `start_with`.
    pub fn start(stream: S, handler: impl Handler<S> + Send + 'static) -> io::Result<Self> {
        Self::start_with(stream, Native::default(), &Options::default(), handler)
    }
}

impl<S: Stream, F: Framing> Link<S, F> {
    /// Makes a link of an established stream and returns it with its reading side, which must be
    /// [run](Reader::run). The sender thread starts at once; the peer's silence counts from the
    /// reader's start. The stream is made blocking.
    ///
    /// # Errors
    /// An [`io::Error`] of kind `WouldBlock` or `OutOfMemory` if the sender thread cannot be made,
    /// naming the limit that is reached; any other if the stream refuses its options. The stream is
    /// then dropped.
    pub fn establish(stream: S, framing: F, options: &Options) -> io::Result<(Self, Reader<S, F>)> {
        stream.set_blocking()?;
        stream.set_write_timeout(PATIENCE)?;
        let mut own = options.clone();
        let received = std::mem::take(&mut own.received);
        let shared = Arc::new(Shared::new(stream, Arc::new(framing), own));
        let sending = Arc::clone(&shared);
        let sender = spawn(options, 's', move || sender::run(&*sending))?;
        let link = Self { shared };
        Ok((link.clone(), Reader::new(link, sender, &received)))
    }

    /// Makes a link as [`establish`](Self::establish) does and runs its reader on a thread of its
    /// own, which ends with the link.
    ///
    /// # Errors
    /// As `establish`, and if the reader's thread cannot be made.
    pub fn start_with<H: Handler<S, F> + Send + 'static>(
        stream: S,
        framing: F,
        options: &Options,
        mut handler: H,
    ) -> io::Result<Self> {
        let (link, reader) = Self::establish(stream, framing, options)?;
        let reader = Box::new(reader);
        spawn(options, 'r', move || {
            if let (_, Err(panic)) = reader.run_to_end(&mut handler) {
                resume_unwind(panic);
            }
        })?;
        Ok(link)
    }

    /// Sends a message, waiting for room up to [`Options::send_timeout`].
    ///
    /// When it returns `Ok` the message has been accepted: written to the kernel, or queued. If the
    /// link ends before it is written it is counted in [`Down::unsent_frames`]. Messages of one
    /// thread arrive in order; each arrives whole.
    ///
    /// # Errors
    /// [`SendError::TimedOut`] after the wait; [`SendError::Unfit`] for one too long for a frame;
    /// [`SendError::Down`] once the link has ended. On the link's own reader thread it never waits:
    /// [`SendError::Full`] at once, because two ends that wait in their readers wait for each
    /// other.
    pub fn send(&self, payload: &[u8]) -> Result<(), SendError> {
        self.send_timeout(payload, self.shared.options.send_timeout)
    }

    /// Sends a message as [`send`](Self::send) does, waiting for room up to `timeout`.
    ///
    /// # Errors
    /// As `send`.
    pub fn send_timeout(&self, payload: &[u8], timeout: Duration) -> Result<(), SendError> {
        let shared = &*self.shared;
        let mut until = None;
        let mut state = shared.lock();
        loop {
            state = match self.offer(state, payload) {
                Err(state) => state,
                Ok(result) => return result,
            };
            if shared.reader.get() == Some(&thread::current().id()) {
                return Err(SendError::Full);
            }
            let now = shared.clock.now();
            let until = *until.get_or_insert(now + timeout);
            if now >= until {
                return Err(SendError::TimedOut);
            }
            state.room_waiters += 1;
            state = shared.wait_until(state, until);
            state.room_waiters -= 1;
        }
    }

    /// Waits up to `timeout` until a message of `length` bytes would be taken by
    /// [`try_send`](Self::try_send); another thread may take that room first.
    ///
    /// # Errors
    /// [`SendError::TimedOut`] after the wait; [`SendError::Down`] once the link has ended;
    /// [`SendError::Full`] at once on the link's own reader thread.
    pub fn wait_room(&self, length: usize, timeout: Duration) -> Result<(), SendError> {
        let shared = &*self.shared;
        let until = shared.clock.now() + timeout;
        let mut state = shared.lock();
        loop {
            if let Some(reason) = state.reason.as_ref().or(state.broken.as_ref()) {
                return Err(SendError::Down(reason.clone()));
            }
            let pending = state.pending();
            if pending == 0 || pending.saturating_add(length) <= shared.options.queue_bytes {
                return Ok(());
            }
            if shared.reader.get() == Some(&thread::current().id()) {
                return Err(SendError::Full);
            }
            if shared.clock.now() >= until {
                return Err(SendError::TimedOut);
            }
            state.room_waiters += 1;
            state = shared.wait_until(state, until);
            state.room_waiters -= 1;
        }
    }

    /// Sends a message if there is room now.
    ///
    /// It does not wait for the peer. Where the link is idle and the socket's own buffer turns out
    /// to be full it can take some ten milliseconds, once; after that the queue takes what comes.
    ///
    /// # Errors
    /// [`SendError::Full`] where there is no room, else as [`send`](Self::send).
    pub fn try_send(&self, payload: &[u8]) -> Result<(), SendError> {
        self.offer(self.shared.lock(), payload).unwrap_or(Err(SendError::Full))
    }

    /// Closes in order: what was accepted is written, then BYE 0, within
    /// [`Options::close_timeout`]. Returns at once; the reader ends within 100 ms of that time with
    /// reason `local`.
    pub fn close(&self) {
        let reason = DownReason::Local { detail: String::new() };
        self.shared.take_leave(reason, Some(&Bye { code: ByeCode::CLOSE, text: "" }), true);
    }

    /// Ends the link for a reason: what was accepted and not written is counted, not written; `bye`
    /// goes out where the kernel takes it at once. Returns at once; everybody is woken.
    pub fn end(&self, reason: DownReason, bye: Option<&Bye<'_>>) {
        match bye {
            Some(_) => self.shared.take_leave(reason, bye, false),
            None => self.shared.end(reason),
        }
    }

    /// Whether the link lives.
    pub fn is_up(&self) -> bool {
        !self.shared.is_ended()
    }

    /// The account of the link's end, once its reader has ended.
    pub fn down(&self) -> Option<Down> {
        self.shared.lock().down.clone()
    }

    /// Waits up to `timeout` for the link's end. On the link's own reader thread it does not wait.
    pub fn wait_down(&self, timeout: Duration) -> Option<Down> {
        let shared = &*self.shared;
        let own = shared.reader.get() == Some(&thread::current().id());
        let until = shared.clock.now() + if own { Duration::ZERO } else { timeout };
        shared.wait_down(until)
    }

    /// What the peer said in its HELLO, if a handshake was made.
    pub fn greeting(&self) -> Option<&Greeting> {
        self.shared.options.greeting.as_ref()
    }

    /// The heartbeat-time in force for sending; the peer's promise to us converges to the same.
    pub fn heartbeat_time(&self) -> Option<Duration> {
        self.shared.lock().pulse.in_force()
    }

    pub(super) fn shared(&self) -> &Shared<S, F> {
        &self.shared
    }

    /// Takes the message if it can be taken now; gives the lock back where there is no room.
    fn offer<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<S>>,
        payload: &[u8],
    ) -> Result<Result<(), SendError>, MutexGuard<'a, State<S>>> {
        let shared = &*self.shared;
        if let Some(reason) = state.reason.as_ref().or(state.broken.as_ref()) {
            return Ok(Err(SendError::Down(reason.clone())));
        }
        let nobody_writes = !state.writing && state.in_flight == 0 && state.handover.is_none();
        if nobody_writes && state.queue.is_empty() && state.pace == Pace::Direct {
            let mut bytes = std::mem::take(&mut state.scratch);
            let encoded = shared.framing.encode_data(payload, &mut bytes);
            if let Err(error) = encoded {
                state.scratch = bytes;
                return Ok(Err(SendError::Unfit(error)));
            }
            return Ok(self.write_out(state, bytes, 0, 1));
        }
        let pending = state.pending();
        if pending > 0 && pending.saturating_add(payload.len()) > shared.options.queue_bytes {
            return Err(state);
        }
        let own = state.queue.len();
        if let Err(error) = shared.framing.encode_data(payload, &mut state.queue) {
            return Ok(Err(SendError::Unfit(error)));
        }
        state.queued_messages += 1;
        let batch = if payload.len() < LONG { BATCH } else { BATCH_OF_LONG };
        let batch = batch.min(shared.options.queue_bytes / 2);
        if nobody_writes && state.queue.len() >= batch {
            let spare = std::mem::take(&mut state.scratch);
            let bytes = std::mem::replace(&mut state.queue, spare);
            let messages = std::mem::take(&mut state.queued_messages);
            return Ok(self.write_out(state, bytes, own, messages));
        }
        state.stats.messages_accepted += 1;
        if state.pace != Pace::Stream {
            shared.wake_sender(&mut state);
        }
        Ok(Ok(()))
    }

    /// Writes encoded messages, the last of them the caller's `own` from that byte on, on the
    /// caller's thread. What the kernel does not take within [`PATIENCE`] is the sender's to
    /// finish.
    fn write_out(
        &self,
        mut state: MutexGuard<'_, State<S>>,
        bytes: Vec<u8>,
        own: usize,
        messages: u64,
    ) -> Result<(), SendError> {
        let shared = &*self.shared;
        let Some(stream) = state.stream.clone() else {
            return Err(SendError::NotConnected);
        };
        state.writing = true;
        drop(state);
        let written = shared.write(&*stream, &bytes, PATIENCE);
        // Before the lock: whoever finds nobody writing may rely on the descriptor being closed.
        drop(stream);
        let now = shared.clock.now();
        let mut state = shared.lock();
        state.writing = false;
        let mut flight = Flight::new(bytes, messages);
        let count = match written {
            Ok(count) => count,
            Err(e) if is_timeout(e.kind()) => 0,
            Err(e) => {
                let broken = DownReason::io(&e);
                // An end cuts a write off: then the end's reason is the one to tell.
                let reason = state.reason.clone().unwrap_or_else(|| broken.clone());
                state.broken = Some(broken);
                // The caller is told; messages that were accepted before are counted.
                flight.bytes.truncate(own);
                flight.messages -= 1;
                state.handover = Some(flight);
                shared.notify_all();
                return Err(SendError::Down(reason));
            }
        };
        state.stats.messages_accepted += 1;
        state.stats.bytes_sent += count as u64;
        if count_run(&mut state, shared.last_received.load(Ordering::Relaxed), now) {
            shared.wake_sender(&mut state);
        }
        if flight.bytes.len() > LARGE {
            state.last_large = now;
        }
        if count > 0 {
            state.handle_data_sent(shared.options.liveness.mode, now);
            flight.handle_written(count);
        }
        // A heartbeat is due that data does not stand in for. A thread that never rests would write
        // again before the sender is awake: handed over empty, the stream is the sender's.
        let beat_waits = state.pulse.due() <= now;
        if flight.is_empty() && !beat_waits {
            if messages > 1 && state.queue.is_empty() {
                // The next batch is filled where this one was: it is in the cache.
                std::mem::swap(&mut state.queue, &mut flight.bytes);
            }
            state.scratch = flight.bytes;
        } else {
            state.in_flight = flight.rest().len();
            (state.in_flight > 0).then(|| state.pulse.handle_pending(now));
            state.handover = Some(flight);
        }
        if state.handover.is_some() || (state.pending() > 0 && state.pace != Pace::Stream) {
            shared.wake_sender(&mut state);
        }
        let someone_waits = state.room_waiters > 0 || state.reason.is_some();
        someone_waits.then(|| shared.notify_all());
        Ok(())
    }
}

/// Counts writes in quick succession, and says whether they have just become a stream. Bytes
/// received in between are an exchange of requests and replies, not a stream, and stay direct.
fn count_run<S>(state: &mut State<S>, received: u64, now: Time) -> bool {
    let quick = now.since(state.last_direct) < QUICK && received == state.received_at_direct;
    state.direct_run = if quick { state.direct_run.saturating_add(1) } else { 0 };
    state.last_direct = now;
    state.received_at_direct = received;
    let streams = state.pace == Pace::Direct && state.direct_run >= DIRECT_RUN;
    if streams {
        state.pace = Pace::Stream;
    }
    streams
}

/// Makes one of a link's threads.
fn spawn(
    options: &Options,
    letter: char,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    threads::spawn(&format!("pb-{letter}:{}", options.name), options.stack_size, body)
}

impl<S: Stream, F: Framing> Clone for Link<S, F> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S: Stream, F: Framing> fmt::Debug for Link<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("name", &self.shared.options.name).finish_non_exhaustive()
    }
}

/// Queued bytes that whoever fills them writes out: the buffers then stay in the cache, and a
/// stream needs no second thread.
const BATCH: usize = 64 << 10;
/// The same of messages from [`LONG`] bytes on, where copying is what takes the time and every
/// write that wakes the peer's reader counts: a quarter more of 16 KiB messages a second.
const BATCH_OF_LONG: usize = 256 << 10;
const LONG: usize = 512;
/// Writes closer than this are in quick succession.
const QUICK: Duration = Duration::from_micros(50);
