//! The reading side of a link: timed reads that implement the deadline of liveness.
//!
//! The thread that runs a [`Reader`] blocks in `read` with a socket read timeout, computed from the
//! clock each time: 7/8 of what is left, again and again, and the last 64 ms in one go, because the
//! kernel rounds long timeouts up by an eighth. The socket is looked at before the clock.
//!
//! Close to the limit the reader parks in `peek` instead of `read` and publishes the limit, so that
//! the sender thread can end the link to the tenth of a millisecond. It takes bytes out of the
//! kernel only after it has withdrawn what it published.

mod leaving;

use std::io;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::handle::{Link, LinkHandler};
use super::pace::{BUFFER_KEPT_BYTES, SHRINK_AFTER};
use super::shared::{State, add};
use super::stream::{LAST_STRETCH, READ_MAX, Stream, is_timeout, step};
use super::threads;
use crate::connection::{Down, DownReason, Incoming, Input, LinkEvent, Phase, Unreported};
use crate::liveness::{Time, Verdict};
use crate::protocol::{Bye, ByeCode, Framing, Heartbeat, Native, ProtocolError};
use crate::recover::Recover;

/// The reading side of a link: the thread that runs it is the link's reader thread.
///
/// Dropped without having run, it ends the link.
#[derive(Debug)]
#[must_use]
pub struct Reader<S: Stream = TcpStream, F: Framing = Native> {
    link: Link<S, F>,
    sender: Option<JoinHandle<()>>,
    stream: Option<Arc<S>>,
    incoming: Incoming<F>,
    now: Time,
    /// The read timeout that is set on the stream.
    timeout: Duration,
    /// When a read last brought more than the smallest buffer is for.
    last_large: Time,
    /// When the last wait ended, if its time was up; else zero. A verdict needs a look at the
    /// socket that is no older than the limit, and this thread may be stopped in between.
    watched: Time,
    /// The last wait was a stall of our process and brought nothing: what came meanwhile is still
    /// to be read.
    slept: bool,
    /// Events that were found and not given to the handler yet.
    unreported: Unreported,
    /// The program learns of the link before this runs, on this thread.
    has_entered: bool,
    /// The error that the stream returned before this runs: it may return that only once.
    failed: Option<io::Error>,
}

impl<S: Stream, F: Framing> Reader<S, F> {
    pub(super) fn new(link: Link<S, F>, sender: JoinHandle<()>, received: &[u8]) -> Self {
        let shared = link.shared();
        let now = Time::from_nanos(shared.last_received.load(Ordering::Relaxed));
        let settings = &shared.options.liveness;
        let mut incoming = Incoming::new(Arc::clone(&shared.framing), settings, now);
        incoming.set_trace(shared.options.trace.clone());
        let hello = shared.options.peer_heartbeat_time_ms;
        let heard = hello.map(|value_ms| incoming.hear_hello(value_ms, now));
        incoming.handle_read_before(received);
        let stream = shared.lock().stream.clone();
        Self {
            sender: Some(sender),
            stream,
            incoming,
            now,
            timeout: Duration::ZERO,
            last_large: now,
            watched: Time::ZERO,
            slept: false,
            unreported: Unreported::new(heard.into_iter().flatten().flatten(), now),
            has_entered: false,
            failed: None,
            link,
        }
    }

    /// Reads until the link ends, and returns why it did. When it returns the link's sender thread
    /// is gone and its socket closed.
    ///
    /// # Panics
    /// A panic of the handler's ends the link as `local` and is passed on after that.
    pub fn run<H: LinkHandler<S, F>>(self, handler: &mut H) -> Down {
        match Box::new(self).run_to_end(handler) {
            (down, Ok(())) => down,
            (_, Err(panic)) => resume_unwind(panic),
        }
    }

    /// Makes the calling thread the reader thread, before it runs, and takes in what has arrived:
    /// for a program that learns of the link before its messages, and may hold this thread
    /// meanwhile. From now on `send` does not wait here.
    pub(crate) fn enter(&mut self) {
        let link = self.link.clone();
        let _first = link.shared().reader.set(threads::own_number());
        self.has_entered = true;
        let Some(stream) = self.stream.clone().filter(|stream| stream.can_peek()) else { return };
        let read = stream.is_readable().and_then(|is_readable| match is_readable {
            true => {
                self.set_timeout(&stream, READ_TIMEOUT_MIN);
                stream.read(self.incoming.spare())
            }
            false => Ok(0),
        });
        match read {
            // The end of the stream is found again.
            Ok(0) => {}
            Ok(count) => {
                self.now = link.shared().clock.now();
                self.take_in(count);
            }
            Err(e) if is_timeout(e.kind()) => {}
            // What has arrived is handed on first.
            Err(e) => self.failed = Some(e),
        }
    }

    /// Runs as [`run`](Self::run) does, and returns a panic of the handler's beside the account of
    /// the end. A handler that panicked is not called again.
    ///
    /// Boxed, because every frame that passes a reader on holds a copy of it: an idle one gets by
    /// with two pages of stack.
    pub fn run_to_end<H: LinkHandler<S, F>>(
        mut self: Box<Self>,
        handler: &mut H,
    ) -> (Down, thread::Result<()>) {
        let shared = self.link.shared();
        let _first = shared.reader.set(threads::own_number());
        let read = catch_unwind(AssertUnwindSafe(|| self.read_until_end(handler)));
        if read.is_err() {
            let detail = "the handler panicked".to_owned();
            let bye = Bye { code: ByeCode::CLOSE, text: "" };
            self.link.end(DownReason::Local { detail }, Some(&bye));
        }
        self.drop_rest();
        let down = self.finish();
        // As soon as it can be: the sender is done, the socket closed. Its thread is joined later.
        let outcome = read.and_then(|()| {
            let event = LinkEvent::Down(down.clone());
            catch_unwind(AssertUnwindSafe(|| handler.on_event(&self.link, &event)))
        });
        self.join();
        (down, outcome)
    }

    fn read_until_end<H: LinkHandler<S, F>>(&mut self, handler: &mut H) {
        let Some(stream) = self.stream.clone() else { return };
        // Nothing was read until now, which is a handler's doing only if it was given something.
        let known = self.unreported.len();
        self.come_back();
        if !self.has_entered {
            self.unreported.truncate(known);
        }
        // What was read with the handshake, or before we ran.
        self.hear();
        self.hand_on(handler);
        while !self.link.shared().is_ended() {
            self.take_changes();
            self.tell_all(handler);
            if self.slept {
                self.read(&stream, handler, self.now + READ_TIMEOUT_MIN);
                self.slept = false;
                continue;
            }
            match self.incoming.poll_verdict(self.now) {
                Verdict::Late { silence } => {
                    self.link.shared().lock().outgoing.add_peer_late();
                    self.unreported.add(LinkEvent::late(silence), self.now);
                }
                Verdict::Silent { .. } if self.watched < self.incoming.timer().silent_at() => {
                    self.read(&stream, handler, self.now + READ_TIMEOUT_MIN);
                }
                Verdict::Silent { .. } => self.link.end(DownReason::Silent, None),
                Verdict::Wait { next } => self.read(&stream, handler, next),
            }
        }
    }

    /// Waits for bytes, at the latest until `next`, and hands on what they make.
    fn read<H: LinkHandler<S, F>>(&mut self, stream: &S, handler: &mut H, next: Time) {
        let link = self.link.clone();
        let shared = link.shared();
        // Without a limit only this check notices one that the program sets.
        let has_limit = self.incoming.timer().limit().is_some();
        let farthest = if has_limit { READ_MAX } else { UNLIMITED_WAIT_MAX.min(READ_MAX) };
        let next = next.min(self.unreported.due());
        self.set_timeout(stream, step(next.since(self.now)).clamp(READ_TIMEOUT_MIN, farthest));
        let until = self.now + self.timeout;
        let silent_at = self.incoming.timer().silent_at();
        let close = stream.can_peek() && silent_at.since(self.now) <= LAST_STRETCH;
        let past_limit = self.now >= silent_at;
        shared.is_reading.store(true, Ordering::SeqCst);
        let waited = match self.failed.take() {
            Some(error) => Err(error),
            None if close => self.park(stream, silent_at),
            None => Ok(()),
        };
        let read = waited.and_then(|()| stream.read(self.incoming.spare()));
        shared.is_reading.store(false, Ordering::SeqCst);
        self.now = shared.clock.now();
        self.watched = match &read {
            // A signal ends only a wait that found nothing, but it may end it before its time; one
            // that began after the limit was a look all the same: signals may come faster than
            // waits end.
            Err(e) if e.kind() == io::ErrorKind::Interrupted && !past_limit => Time::ZERO,
            Err(e) if is_timeout(e.kind()) => until,
            _ => Time::ZERO,
        };
        // The kernel rounds a long timeout up by as much as an eighth, which is no stall of our
        // process.
        let latest = until + self.timeout / 8;
        let stalled = self.incoming.handle_waited(latest, self.now);
        self.slept = stalled.is_some() && read.as_ref().is_err_and(|e| is_timeout(e.kind()));
        let is_new = |late: &Duration| shared.lock().outgoing.add_stall(*late, self.now);
        let stalled = stalled.filter(is_new).map(|late| LinkEvent::Stalled { late });
        self.unreported.add_all(stalled, self.now);
        match read {
            Ok(0) => self.handle_end(),
            Ok(count) => self.arrive(count, handler),
            Err(e) if is_timeout(e.kind()) && stream.heard() => self.arrive(0, handler),
            Err(e) if is_timeout(e.kind()) => {}
            Err(e) => shared.fail_reading(&e),
        }
        let is_quiet = self.now.since(self.last_large) > SHRINK_AFTER;
        if self.incoming.capacity() > BUFFER_KEPT_BYTES && is_quiet {
            self.incoming.shrink();
        }
    }

    /// Takes in what was read, and hands it on.
    fn arrive<H: LinkHandler<S, F>>(&mut self, count: usize, handler: &mut H) {
        self.take_in(count);
        self.tell_all(handler);
        self.hand_on(handler);
    }

    /// Waits for bytes without taking them, while the sender thread may pass the verdict.
    fn park(&self, stream: &S, silent_at: Time) -> io::Result<()> {
        let shared = self.link.shared();
        shared.silent_at.store(silent_at.as_nanos(), Ordering::SeqCst);
        shared.wake_sender(&mut shared.lock());
        let parked = stream.wait_readable();
        shared.silent_at.store(Time::NEVER.as_nanos(), Ordering::SeqCst);
        parked
    }

    /// The stream has ended. One of our writes may learn why now.
    fn handle_end(&self) {
        let shared = self.link.shared();
        let broken = shared.broken.lock().recover().clone();
        if let Some(reason) = broken {
            return shared.end(reason);
        }
        let mut state = shared.lock();
        let until = shared.clock.now() + WRITE_END_MAX;
        state.room_waiters += 1;
        while state.outgoing.is_writing()
            && state.outgoing.phase().reason().is_none()
            && shared.clock.now() < until
        {
            state = shared.wait_until(state, until);
        }
        state.room_waiters -= 1;
        state.outgoing.handle_end_of_stream(shared.clock.now());
        shared.settle(state);
        // In a close our own side may still be writing.
        let mut state = shared.lock();
        while matches!(state.outgoing.phase(), Phase::Closing(_)) {
            state = shared.wait_until(state, Time::NEVER);
        }
    }

    /// Takes in `count` bytes that were read by now, and the heartbeats among them.
    fn take_in(&mut self, count: usize) {
        let link = self.link.clone();
        let shared = link.shared();
        shared.last_received.store(self.now.as_nanos(), Ordering::Relaxed);
        shared.hands_on_since.store(self.now.as_nanos(), Ordering::Relaxed);
        add(&shared.received.bytes, count as u64);
        if count >= BUFFER_KEPT_BYTES {
            self.last_large = self.now;
        }
        // First, so that a smaller slack holds for the silence that begins here.
        self.take_changes();
        let arrival = self.incoming.handle_received(count, self.now);
        if let Some(silence) = arrival.silence {
            shared.lock().outgoing.add_silence(silence);
        }
        self.unreported.add_all(arrival.recovered.map(LinkEvent::recovered), self.now);
        self.hear();
    }

    /// Processes the heartbeats in the bytes that have arrived, before any message of them is
    /// handed on.
    fn hear(&mut self) {
        while let Some(heartbeat) = self.incoming.poll_heartbeat() {
            self.handle_heartbeat(&heartbeat);
        }
    }

    fn handle_heartbeat(&mut self, heartbeat: &Heartbeat) {
        let link = self.link.clone();
        let shared = link.shared();
        add(&shared.received.heartbeats, 1);
        let mut state = shared.lock();
        let heard = state.outgoing.handle_heartbeat(heartbeat, self.now);
        if heard.adopted {
            shared.wake_sender(&mut state);
        }
        drop(state);
        if heard.has_changes {
            shared.publish_changes();
        }
        let events = self.incoming.hear(heartbeat.heartbeat_time_ms, self.now);
        self.unreported.add_all(events.into_iter().flatten(), self.now);
    }

    /// Takes over what was set, or found by the sender, since the last look.
    fn take_changes(&mut self) {
        let shared = self.link.shared();
        if shared.take_has_changes() {
            let changes = shared.lock().outgoing.take_changes();
            let events = self.incoming.apply(changes, self.now);
            self.unreported.add_all(events.into_iter().flatten(), self.now);
        }
    }

    /// Hands on the whole frames that are there.
    fn hand_on<H: LinkHandler<S, F>>(&mut self, handler: &mut H) {
        let link = self.link.clone();
        let shared = link.shared();
        let faults = shared.options.faults.as_ref();
        if let Some(faults) = faults.filter(|faults| faults.stalls_reader()) {
            self.incoming.handle_hold(self.now);
            faults.keep_reader(|| link.is_up());
            self.come_back();
        }
        let mut messages = 0;
        while !shared.is_ended() {
            let behind = self.incoming.poll_past_messages(|payload| {
                messages += 1;
                handler.on_message(&link, payload);
                !shared.is_ended()
            });
            match behind {
                None => break,
                Some(Input::Skipped) => {}
                Some(Input::Heartbeat(heartbeat)) => self.handle_heartbeat(&heartbeat),
                Some(Input::Bye(bye)) => {
                    let mut state = shared.lock();
                    state.outgoing.handle_bye(&bye, shared.clock.now());
                    shared.settle(state);
                }
                Some(Input::Broken(error)) => self.refuse(error),
            }
        }
        if messages > 0 {
            add(&shared.received.messages, messages);
            self.come_back();
        }
        self.tell_all(handler);
        shared.hands_on_since.store(Time::NEVER.as_nanos(), Ordering::Relaxed);
    }

    /// Reports events, in order.
    fn tell_all<H: LinkHandler<S, F>>(&mut self, handler: &mut H) {
        let events = self.unreported.take(self.now);
        if events.is_empty() {
            return;
        }
        self.link.shared().hands_on_since.store(self.now.as_nanos(), Ordering::Relaxed);
        // Events that a handler causes are reported as well, up to a limit.
        for event in events {
            if self.link.shared().is_ended() {
                break;
            }
            handler.on_event(&self.link, &event);
            self.come_back();
        }
        self.link.shared().hands_on_since.store(Time::NEVER.as_nanos(), Ordering::Relaxed);
    }

    /// The handler has held this thread: that time is not the peer's silence.
    fn come_back(&mut self) {
        let now = self.link.shared().clock.now();
        let held = now.since(self.now);
        self.now = now;
        if self.incoming.handle_held(held, now) {
            self.unreported.add(LinkEvent::HandlerBusy { held }, now);
        }
    }

    fn refuse(&self, error: ProtocolError) {
        let text = error.to_string();
        let bye = Bye { code: ByeCode::PROTOCOL, text: &text };
        self.link.end(DownReason::Protocol(error), Some(&bye));
    }

    fn set_timeout(&mut self, stream: &S, wanted: Duration) {
        // A shorter one that is set already only makes one more step; the last stretch is exact.
        let serves = self.timeout <= wanted && self.timeout >= wanted / 2;
        if !serves || wanted <= LAST_STRETCH {
            // Fails only on a stream that is shut, and then the next read fails too; macOS refuses
            // it there with data still unread.
            let _shut = stream.set_read_timeout(wanted);
            self.timeout = wanted;
        }
    }

    fn join(&mut self) {
        if let Some(sender) = self.sender.take() {
            self.link.shared().join(sender);
        }
    }

    /// Ends the sender's work and the socket, and draws up the account.
    fn finish(&mut self) -> Down {
        let link = self.link.clone();
        let shared = link.shared();
        shared.end(DownReason::Local { detail: String::new() });
        shared.notify_all();
        let mut state = shared.lock();
        let busy = |state: &State<S, F>| {
            !state.sender_done || state.outgoing.is_writing() || state.is_shutting
        };
        while busy(&state) && !shared.is_forked_child() {
            state = shared.wait_until(state, shared.clock.now() + CLOSING_POLL);
        }
        let now = shared.clock.now();
        let changes = state.outgoing.take_changes();
        self.incoming.apply(changes, now);
        let ended_at = state.outgoing.phase().ended_at().unwrap_or(now);
        let report = self.incoming.report(ended_at);
        let down = state.outgoing.report(report, now);
        let stream = (state.stream.take(), self.stream.take());
        drop(state);
        drop(stream);
        shared.notify_down();
        down
    }
}

impl<S: Stream, F: Framing> Drop for Reader<S, F> {
    fn drop(&mut self) {
        if self.sender.is_some() {
            self.finish();
            self.join();
        }
    }
}

/// The longest wait while there is no limit.
const UNLIMITED_WAIT_MAX: Duration = Duration::from_secs(5);
/// The shortest wait on the stream: the kernel makes a tick of it.
const READ_TIMEOUT_MIN: Duration = Duration::from_millis(1);
/// How long a write that is under way may take to show why the stream has ended.
const WRITE_END_MAX: Duration = Duration::from_millis(50);
/// How often the phase is looked at while a close is under way.
const CLOSING_POLL: Duration = Duration::from_millis(50);
