//! The reading side of a link: timed reads that implement the deadline of liveness.
//!
//! The thread that runs a [`Reader`] blocks in `read` with a socket read timeout, computed from the
//! clock each time: 7/8 of what is left, again and again, and the last 64 ms in one go, because the
//! kernel rounds long timeouts up by as much as an eighth. Whatever a wait brings, the socket is
//! looked at before the clock: bytes that the kernel held in time are life.
//!
//! Close to the limit the reader parks in `peek` instead of `read` and publishes the limit, so that
//! the sender thread can end the link to the tenth of a millisecond. It takes bytes out of the
//! kernel only after it has withdrawn what it published.

use std::io;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::change::Lowered;
use super::clock::micros;
use super::handle::{Handler, Link};
use super::sender::{LARGE, LOOK, QUIET};
use super::shared::{LINGER, State};
use super::stream::{LAST_STRETCH, READ_MAX, is_timeout, step};
use super::{Cause, Down, DownReason, Event, Stream};
use crate::liveness::{SilenceTimer, Time, Verdict};
use crate::protocol::{
    Bye, ByeCode, Decoder, Frame, Framing, Heartbeat, Native, ProtocolError, Timing,
};

/// The reading side of a link: whoever runs it is the link's reader thread.
///
/// Dropped without having run, it ends the link.
#[derive(Debug)]
pub struct Reader<S: Stream = TcpStream, F: Framing = Native> {
    link: Link<S, F>,
    sender: Option<JoinHandle<()>>,
    stream: Option<Arc<S>>,
    decoder: Decoder<Arc<F>>,
    watch: SilenceTimer,
    now: Time,
    /// The read timeout that is set on the stream.
    timeout: Duration,
    /// When a read last brought more than the decoder's smallest buffer is for.
    last_large: Time,
    /// Until when the last wait lasted, where its time was up; else zero. A verdict needs a look at
    /// the socket that is not older than the limit: this thread may lose the processor, or be
    /// stopped, between a look and the clock.
    watched: Time,
    /// We were stopped during this silence: it says nothing about the peer.
    stalled: bool,
    largest_silence: Duration,
}

impl<S: Stream, F: Framing> Reader<S, F> {
    pub(super) fn new(link: Link<S, F>, sender: JoinHandle<()>, mut received: &[u8]) -> Self {
        let shared = link.shared();
        let now = Time::from_nanos(shared.last_received.load(Ordering::Relaxed));
        let mut decoder = Decoder::new(Arc::clone(&shared.framing));
        while !received.is_empty() {
            let spare = decoder.spare();
            let count = spare.len().min(received.len());
            spare[..count].copy_from_slice(&received[..count]);
            decoder.handle_filled(count);
            received = &received[count..];
        }
        let stream = shared.lock().stream.clone();
        let watch = SilenceTimer::new(&shared.options.liveness, now);
        Self {
            sender: Some(sender),
            stream,
            decoder,
            watch,
            now,
            timeout: Duration::ZERO,
            last_large: now,
            watched: Time::ZERO,
            stalled: false,
            largest_silence: Duration::ZERO,
            link,
        }
    }

    /// Reads until the link ends, and returns why it did. When it returns the link's sender thread
    /// is gone and its socket closed.
    ///
    /// # Panics
    /// A panic of the handler's ends the link as `local` and is passed on after that.
    pub fn run<H: Handler<S, F>>(self, handler: &mut H) -> Down {
        match Box::new(self).run_to_end(handler) {
            (down, Ok(())) => down,
            (_, Err(panic)) => resume_unwind(panic),
        }
    }

    /// Runs as [`run`](Self::run) does, and returns a panic of the handler's beside the account of
    /// the end. A handler that panicked is not called again.
    ///
    /// Boxed, because every frame that passes a reader on holds a copy of it: an idle one gets by
    /// with two pages of stack.
    pub fn run_to_end<H: Handler<S, F>>(
        mut self: Box<Self>,
        handler: &mut H,
    ) -> (Down, thread::Result<()>) {
        let shared = self.link.shared();
        let _first = shared.reader.set(thread::current().id());
        let read = catch_unwind(AssertUnwindSafe(|| self.read_until_end(handler)));
        if read.is_err() {
            let detail = "the handler panicked".to_owned();
            let bye = Bye { code: ByeCode::CLOSE, text: "" };
            self.link.end(DownReason::Local { detail }, Some(&bye));
        }
        self.drain();
        let down = self.finish();
        // As soon as it can be: the sender is done, the socket closed. Its thread is joined later.
        let told = read.and_then(|()| {
            let event = Event::Down(down.clone());
            catch_unwind(AssertUnwindSafe(|| handler.on_event(&self.link, &event)))
        });
        self.join();
        (down, told)
    }

    fn read_until_end<H: Handler<S, F>>(&mut self, handler: &mut H) {
        let Some(stream) = self.stream.clone() else { return };
        // Nobody was there to read since the link was established.
        self.come_back();
        if let Some(value) = self.link.shared().options.peer_heartbeat_time_ms {
            self.adopt(handler, value);
        }
        self.deliver(handler);
        while !self.link.shared().is_ended() {
            for event in self.take_changes().into_iter().flatten().flatten() {
                self.tell(handler, &event);
            }
            match self.watch.poll(self.now) {
                Verdict::Late { silence } => self.tell(handler, &Event::Late { silence }),
                Verdict::Silent { .. } if self.watched < self.watch.silent_at() => {
                    self.read(&stream, handler, self.now + LOOK);
                }
                Verdict::Silent { .. } => self.link.end(DownReason::Silent, None),
                Verdict::Wait { next } => self.read(&stream, handler, next),
            }
        }
    }

    /// Waits for bytes, at the latest until `next`, and hands on what they make.
    fn read<H: Handler<S, F>>(&mut self, stream: &S, handler: &mut H, next: Time) {
        // Without a limit nothing but this look tells us of one that the program sets.
        let farthest =
            if self.watch.limit().is_none() { UNLIMITED.min(READ_MAX) } else { READ_MAX };
        self.set_timeout(stream, step(next.since(self.now)).clamp(LOOK, farthest));
        let until = self.now + self.timeout;
        let silent_at = self.watch.silent_at();
        let close = S::CAN_PEEK && silent_at.since(self.now) <= LAST_STRETCH;
        let past_limit = self.now >= silent_at;
        let read = if close { self.park(stream, silent_at) } else { Ok(()) };
        let read = read.and_then(|()| stream.read(self.decoder.spare()));
        self.now = self.link.shared().clock.now();
        self.watched = match &read {
            // A signal ends only a wait that found nothing, but it may end it before its time; one
            // that began after the limit was a look all the same: signals may come faster than
            // waits end.
            Err(e) if e.kind() == io::ErrorKind::Interrupted && !past_limit => Time::ZERO,
            Err(e) if is_timeout(e.kind()) => until,
            _ => Time::ZERO,
        };
        // The kernel rounds a long timeout up by as much as an eighth, which is no stall of ours.
        let latest = until + self.timeout / 8;
        if let Some(late) = self.watch.handle_waited(latest, self.now) {
            self.stalled = true;
            if self.link.shared().lock().measures.add_stall(late, self.now) {
                self.tell(handler, &Event::Stalled { late });
            }
        }
        match read {
            Ok(0) => self.handle_end(),
            Ok(count) => self.handle_received(handler, count),
            Err(e) if is_timeout(e.kind()) => {}
            Err(e) => self.link.end(DownReason::io(&e), None),
        }
        if self.decoder.capacity() > LARGE && self.now.since(self.last_large) > QUIET {
            self.decoder.shrink();
        }
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

    /// The stream has ended. The kernel tells an error of a socket once, to whoever asks first, and
    /// everybody else that the stream is over: where a write of ours was told, or is being told
    /// now, it knows why.
    fn handle_end(&self) {
        let shared = self.link.shared();
        let mut state = shared.lock();
        let until = shared.clock.now() + LINGER;
        state.room_waiters += 1;
        while state.writing && state.reason.is_none() && shared.clock.now() < until {
            state = shared.wait_until(state, until);
        }
        state.room_waiters -= 1;
        // A write to a stream that is over says only that.
        let told = |kind: &io::ErrorKind| *kind != io::ErrorKind::BrokenPipe;
        let reason = match &state.broken {
            Some(reason @ DownReason::Io { kind, .. }) if told(kind) => reason.clone(),
            _ => DownReason::Eof,
        };
        drop(state);
        self.link.end(reason, None);
    }

    fn handle_received<H: Handler<S, F>>(&mut self, handler: &mut H, count: usize) {
        let shared = self.link.shared();
        shared.last_received.store(self.now.as_nanos(), Ordering::Relaxed);
        add(&shared.received.bytes, count as u64);
        if count >= LARGE {
            self.last_large = self.now;
        }
        self.decoder.handle_filled(count);
        self.measure_silence();
        // First, so that a smaller slack holds for the silence that begins here.
        let changed = self.take_changes();
        if let Some(silence) = self.watch.handle_received(self.now) {
            self.tell(handler, &Event::Recovered { silence });
        }
        for event in changed.into_iter().flatten().flatten() {
            self.tell(handler, &event);
        }
        self.deliver(handler);
    }

    /// Takes over what was set since the last look, and returns what is to be reported of it.
    fn take_changes(&mut self) -> Option<[Option<Event>; 2]> {
        let changes = self.link.shared().take_changes()?;
        if let Some((greatest, last, at)) = changes.slack {
            self.watch.set_slack(greatest, at);
            self.watch.set_slack(last, at);
        }
        let lowered = changes.lowered.map(|Lowered { from, to, at }| {
            self.watch.lower(to, at);
            Event::HeartbeatTime { from, to, cause: Cause::Local }
        });
        Some([changes.stalled.map(|late| Event::Stalled { late }), lowered])
    }

    /// Measures the silence that ends now: a comparison where there was traffic, and the lock only
    /// where the peer took half a heartbeat-time or longer than ever.
    fn measure_silence(&mut self) {
        let silence = self.watch.silence(self.now);
        let promised = self.watch.in_force().filter(|value| silence >= *value / 2);
        let largest = silence > self.largest_silence;
        if std::mem::take(&mut self.stalled) || !(largest || promised.is_some()) {
            return;
        }
        self.largest_silence = self.largest_silence.max(silence);
        let mut state = self.link.shared().lock();
        state.measures.largest_silence = self.largest_silence;
        if let Some(promised) = promised {
            state.measures.peer_lateness.record(silence.saturating_sub(promised));
        }
    }

    /// Hands on the whole frames that are there.
    fn deliver<H: Handler<S, F>>(&mut self, handler: &mut H) {
        let faults = self.link.shared().options.faults.as_ref();
        if faults.is_some_and(|faults| faults.keep_reader(|| self.link.is_up())) {
            self.come_back();
        }
        let mut messages = 0;
        while !self.link.shared().is_ended() {
            match self.decoder.poll_frame() {
                Ok(None) => break,
                Ok(Some(Frame::Data(payload))) => {
                    messages += 1;
                    handler.on_message(&self.link, payload);
                }
                Ok(Some(Frame::Heartbeat(heartbeat))) => self.handle_heartbeat(handler, heartbeat),
                Ok(Some(Frame::Unknown { .. })) => {}
                Ok(Some(Frame::Bye(bye))) => {
                    let reason = DownReason::Closed { code: bye.code, text: bye.text.to_owned() };
                    self.link.end(reason, None);
                }
                Ok(Some(Frame::Hello(_))) => {
                    let error = ProtocolError::Unexpected {
                        frame: "HELLO",
                        allowed: "DATA, HEARTBEAT or BYE",
                    };
                    self.refuse(error);
                }
                Err(error) => self.refuse(error),
            }
        }
        if messages > 0 {
            add(&self.link.shared().received.messages, messages);
            self.come_back();
        }
    }

    fn handle_heartbeat<H: Handler<S, F>>(&mut self, handler: &mut H, heartbeat: Heartbeat) {
        let shared = self.link.shared();
        add(&shared.received.heartbeats, 1);
        let mut state = shared.lock();
        if let Some(timing) = heartbeat.timing {
            state.echo = Some((timing.sent_us, self.now));
            if let Some(time) = round_trip(&timing, self.now) {
                state.stats.round_trip = Some(time);
                state.measures.add_round_trip(time);
            }
        }
        if heartbeat.heartbeat_time_ms > 0 {
            state.received = Some(Duration::from_millis(heartbeat.heartbeat_time_ms.into()));
        }
        if state.pulse.adopt(heartbeat.heartbeat_time_ms, self.now) {
            shared.wake_sender(&mut state);
        }
        drop(state);
        self.adopt(handler, heartbeat.heartbeat_time_ms);
    }

    /// Takes over a value of the peer's for receiving (H2).
    fn adopt<H: Handler<S, F>>(&mut self, handler: &mut H, value_ms: u32) {
        let shared = self.link.shared();
        let heard = self.watch.handle_heartbeat(value_ms, self.now);
        if let Some(asked) = heard.clamped {
            let floor = shared.options.liveness.heartbeat_time_min;
            self.tell(handler, &Event::Clamped { asked, floor });
        }
        if let Some(change) = heard.adopted {
            let (from, to) = (change.from, change.to);
            self.tell(handler, &Event::HeartbeatTime { from, to, cause: Cause::Peer });
        }
        if heard.flooding {
            self.tell(handler, &Event::Flooding);
        }
    }

    fn tell<H: Handler<S, F>>(&mut self, handler: &mut H, event: &Event) {
        handler.on_event(&self.link, event);
        self.come_back();
    }

    /// The handler has held this thread: that time is not the peer's silence.
    fn come_back(&mut self) {
        let now = self.link.shared().clock.now();
        self.watch.handle_held(now.since(self.now));
        self.now = now;
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
            // Fails only on a stream that is shut, where the next read says so; macOS refuses it
            // there with data still unread.
            let _shut = stream.set_read_timeout(wanted);
            self.timeout = wanted;
        }
    }

    /// Reads and drops while the goodbye is under way: closing a socket with unread bytes resets
    /// the connection, and a reset destroys the goodbye.
    fn drain(&mut self) {
        let (shared, Some(stream)) = (self.link.shared(), &self.stream) else { return };
        self.decoder.discard();
        // What is unread when the sender has shut the stream stays unread: a peer that only writes
        // learns of the end by the reset that follows. A socket that was read empty after that is
        // closed in silence, its window shut, and such a peer is stuck for the minute that the
        // kernel remembers it.
        while shared.lock().leaving {
            let _shut = stream.set_read_timeout(LINGER);
            match stream.read(self.decoder.spare()) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if is_timeout(e.kind()) => {}
                Err(_) => return,
            }
        }
    }

    /// Joins the sender thread.
    fn join(&mut self) {
        match self.sender.take() {
            // In a forked child there is no such thread, and joining it would never end.
            Some(sender) if !self.link.shared().is_forked_child() => drop(sender.join()),
            sender => std::mem::forget(sender),
        }
    }

    /// Ends the sender's work and the socket, and draws up the account.
    fn finish(&mut self) -> Down {
        let link = self.link.clone();
        let shared = link.shared();
        shared.end(DownReason::Local { detail: String::new() });
        shared.lock().reader_done = true;
        shared.notify_all();
        let mut state = shared.lock();
        let busy = |state: &State<S>| !state.sender_done || state.writing || state.shutting;
        while busy(&state) && !shared.is_forked_child() {
            state = shared.wait_until(state, shared.clock.now() + LINGER);
        }
        if let Some(mut left) = state.handover.take() {
            state.unsent += left.unsent(&*shared.framing);
        }
        state.unsent.messages += std::mem::take(&mut state.queued_messages);
        state.unsent.bytes += std::mem::take(&mut state.queue).len() as u64;
        state.scratch = Vec::new();
        state.in_flight = 0;
        let ended_at = state.ended_at;
        let down = Down {
            reason: state.reason.clone().unwrap_or(DownReason::Eof),
            silence: ended_at.since(self.watch.last_received()),
            limit: self.watch.limit(),
            heartbeat_time: self.watch.in_force(),
            slack: self.watch.slack(),
            last_sent_age: ended_at.since(state.pulse.last_sent()),
            unsent_frames: state.unsent.messages,
            unsent_bytes: state.unsent.bytes,
            up: ended_at.since(Time::ZERO),
        };
        let stream = (state.stream.take(), self.stream.take());
        drop(state);
        drop(stream);
        shared.set_down(down.clone());
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

/// The round trip that an echoed heartbeat shows; `None` where the peer has echoed none yet, or
/// echoes what we cannot have sent.
fn round_trip(timing: &Timing, now: Time) -> Option<Duration> {
    let away = micros(now).checked_sub(timing.echo_us)?.checked_sub(timing.echo_age_us)?;
    (timing.echo_us > 0).then(|| Duration::from_micros(away))
}

/// Adds to a counter that only this thread writes.
fn add(counter: &std::sync::atomic::AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}

/// The longest wait while there is no limit.
const UNLIMITED: Duration = Duration::from_secs(5);
