//! The handle on a link: what a program calls.
//!
//! Everything here may be called from any thread, the link's own handler included, and returns in
//! bounded time. The rules of the lock are in `shared`.

use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::direct::{Given, Offer};
use super::handshake::Greeting;
use super::shared::Shared;
use super::stream::Stream;
use super::threads;
use crate::connection::{Close, Down, DownReason, LinkEvent, SendError};
use crate::protocol::{Bye, ByeCode, Framing, Native};

/// A handle on a link; clones are handles on the same one, for use from any thread.
///
/// A link lives until it ends: by the peer, by its limits, or by [`close`](Self::close). Dropping
/// handles does not end it. Once it has ended, its socket is closed and its threads are ending,
/// anyone who still holds a handle.
///
/// ```
/// use peerbeat::link::{Link, LinkEvent};
/// use std::net::{TcpListener, TcpStream};
/// use std::sync::mpsc;
/// use std::time::Duration;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let ours = TcpStream::connect(listener.local_addr()?)?;
/// let (theirs, _) = listener.accept()?;
///
/// let (tell, received) = mpsc::channel();
/// let on_message = move |_: &Link, payload: &[u8]| tell.send(payload.to_vec()).unwrap();
/// let on_event = |_: &Link, event: &LinkEvent| println!("{}: {event}", event.level());
/// let far = Link::start(theirs, (on_message, on_event))?;
/// let link = Link::start(ours, |_: &Link, _: &[u8]| {})?;
///
/// link.send(b"tick")?;
/// assert_eq!(received.recv()?, b"tick");
/// assert!(link.drain(Duration::from_secs(5)), "the other side has read all");
/// assert_eq!(far.wait_down(Duration::from_secs(5)).unwrap().reason.as_str(), "closed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Link<S: Stream = TcpStream, F: Framing = Native> {
    shared: Arc<Shared<S, F>>,
}

/// What a link calls, always from the thread that runs its [`Reader`](super::Reader), never with a
/// lock held. All of the link may be called from inside, close included.
///
/// While a call lasts nothing is read; our heartbeats go on, and the peer's silence does not count.
///
/// ```
/// use peerbeat::link::{Link, LinkEvent, LinkHandler};
///
/// /// Counts bytes, and prints their number when the link ends.
/// #[derive(Default)]
/// struct Counter {
///     bytes: usize,
/// }
///
/// impl LinkHandler for Counter {
///     fn on_message(&mut self, _link: &Link, payload: &[u8]) {
///         self.bytes += payload.len();
///     }
///
///     fn on_event(&mut self, _link: &Link, event: &LinkEvent) {
///         if let LinkEvent::Down(down) = event {
///             println!("{} bytes, then {down}", self.bytes);
///         }
///     }
/// }
/// # let _ = Counter::default();
/// ```
pub trait LinkHandler<S: Stream = TcpStream, F: Framing = Native> {
    /// A message arrived; the bytes are valid during the call.
    fn on_message(&mut self, link: &Link<S, F>, payload: &[u8]);

    /// Something happened to the link. [`LinkEvent::Down`] is the last call of all.
    fn on_event(&mut self, _link: &Link<S, F>, _event: &LinkEvent) {}
}

/// A closure is a handler that takes messages and lets events pass.
impl<S: Stream, F: Framing, M: FnMut(&Link<S, F>, &[u8])> LinkHandler<S, F> for M {
    fn on_message(&mut self, link: &Link<S, F>, payload: &[u8]) {
        self(link, payload);
    }
}

/// Two closures are a handler: one takes messages, the other events.
impl<S, F, M, E> LinkHandler<S, F> for (M, E)
where
    S: Stream,
    F: Framing,
    M: FnMut(&Link<S, F>, &[u8]),
    E: FnMut(&Link<S, F>, &LinkEvent),
{
    fn on_message(&mut self, link: &Link<S, F>, payload: &[u8]) {
        (self.0)(link, payload);
    }

    fn on_event(&mut self, link: &Link<S, F>, event: &LinkEvent) {
        (self.1)(link, event);
    }
}

impl<S: Stream, F: Framing> Link<S, F> {
    pub(super) fn new(shared: Arc<Shared<S, F>>) -> Self {
        Self { shared }
    }

    /// Sends a message, waiting for room up to
    /// [`LinkOptions::send_timeout`](super::LinkOptions::send_timeout).
    ///
    /// When it returns `Ok` the message has been accepted: written to the kernel, or queued. If the
    /// link ends before it is written it is counted in [`Down::unsent_frames`]. Messages of one
    /// thread arrive in order; each arrives whole.
    ///
    /// # Errors
    /// [`SendError::TimedOut`] after the wait; [`SendError::Unfit`] for a message that no frame can
    /// carry; [`SendError::Down`] once the link ends or a write has failed. On the link's own
    /// reader thread it never waits: [`SendError::Full`] at once, because two ends that wait in
    /// their readers wait for each other.
    pub fn send(&self, payload: &[u8]) -> Result<(), SendError> {
        self.send_timeout(payload, self.shared.options.send_timeout)
    }

    /// Sends a message as [`send`](Self::send) does, waiting for room up to `timeout`.
    ///
    /// # Errors
    /// [`SendError::TimedOut`] after the wait; [`SendError::Unfit`] for a message that no frame can
    /// carry; [`SendError::Down`] once the link ends or a write has failed; [`SendError::Full`] at
    /// once on the link's own reader thread.
    pub fn send_timeout(&self, payload: &[u8], timeout: Duration) -> Result<(), SendError> {
        // What is returned is not copied: that costs as much as all the rest.
        match self.shared.offer(Given::Payload(payload)) {
            Ok(()) => Ok(()),
            Err(SendError::Full) => self.send_waiting(payload, timeout),
            Err(error) => Err(error),
        }
    }

    #[cold]
    fn send_waiting(&self, payload: &[u8], timeout: Duration) -> Result<(), SendError> {
        let shared = &*self.shared;
        let mut until = None;
        let mut state = shared.lock();
        loop {
            state = match self.shared.decide(state, Given::Payload(payload)) {
                Offer::Taken => return Ok(()),
                Offer::Refused(error) => return Err(error),
                Offer::NoRoom(state) => state,
            };
            if self.is_own_thread() {
                return Err(SendError::Full);
            }
            let now = shared.clock.now();
            let until = *until.get_or_insert(now + timeout);
            if now >= until {
                return Err(SendError::TimedOut);
            }
            state = shared.wait_room(state, until);
        }
    }

    /// Waits up to `timeout` until a message of `length` bytes would be taken by
    /// [`try_send`](Self::try_send); another thread may take that room first.
    ///
    /// # Errors
    /// [`SendError::TimedOut`] after the wait; [`SendError::Down`] once the link ends or a write
    /// has failed; [`SendError::Full`] at once on the link's own reader thread.
    pub fn wait_room(&self, length: usize, timeout: Duration) -> Result<(), SendError> {
        let shared = &self.shared;
        let until = shared.clock.now() + timeout;
        let mut state = shared.lock();
        loop {
            if let Some(reason) = state.outgoing.phase().refusal() {
                return Err(SendError::Down(reason.clone()));
            }
            if state.outgoing.has_room(length) {
                return Ok(());
            }
            if state.held_by != 0 {
                state = shared.write_held_back(state)?;
                continue;
            }
            if self.is_own_thread() {
                return Err(SendError::Full);
            }
            if shared.clock.now() >= until {
                return Err(SendError::TimedOut);
            }
            state = shared.wait_room(state, until);
        }
    }

    /// Sends a message if there is room now.
    ///
    /// It does not wait for the peer. If the link is idle and the socket's own buffer turns out
    /// to be full it can take some ten milliseconds, once; after that the queue takes what comes.
    ///
    /// # Errors
    /// [`SendError::Full`] if there is no room now; [`SendError::Unfit`] for a message that no
    /// frame can carry; [`SendError::Down`] once the link ends or a write has failed.
    pub fn try_send(&self, payload: &[u8]) -> Result<(), SendError> {
        self.shared.offer(Given::Payload(payload))
    }

    /// Sends a message that is encoded already, as [`try_send`](Self::try_send) does.
    pub(crate) fn try_send_frame(&self, frame: &[u8]) -> Result<(), SendError> {
        self.shared.offer(Given::Frame(frame))
    }

    /// Closes in order: what was accepted is written, then BYE 0, and our direction is shut; what
    /// arrives meanwhile is dropped and counted. Returns at once. The link ends with reason `local`
    /// once the peer has ended its stream as well, which is when it has read all: at the latest
    /// when the kernel has taken no byte for
    /// [`LinkOptions::close_timeout`](super::LinkOptions::close_timeout), or after
    /// [`LinkOptions::close_max`](super::LinkOptions::close_max). [`Down::unconfirmed_bytes`] says
    /// whether something may be lost.
    pub fn close(&self) {
        let options = &self.shared.options;
        let (timeout, max) = (options.close_timeout, options.close_max);
        self.close_in_order(Close::in_order(false, timeout, max));
    }

    /// Closes as [`close`](Self::close) does, hands on what arrives meanwhile, and waits up to
    /// `timeout`, in all, for the end. Returns whether the peer's end of stream was seen: then it
    /// has read all that was accepted, and we have handed on all that it sent.
    ///
    /// On the link's own reader thread it does not wait, because nothing is read meanwhile.
    pub fn drain(&self, timeout: Duration) -> bool {
        self.begin_drain(timeout);
        self.wait_drained(timeout)
    }

    /// Begins what [`drain`](Self::drain) does, and returns at once.
    pub(crate) fn begin_drain(&self, timeout: Duration) {
        self.close_in_order(Close::in_order(true, timeout, timeout));
    }

    /// Waits for the end of a drain that is over after `timeout`, as [`drain`](Self::drain) does.
    pub(crate) fn wait_drained(&self, timeout: Duration) -> bool {
        // The end itself takes no longer than a tenth of a second.
        let _down = self.wait_down(timeout.saturating_add(END_MAX));
        self.saw_end()
    }

    /// Whether the peer has ended its side of a drain.
    pub(crate) fn saw_end(&self) -> bool {
        self.shared.lock().outgoing.saw_end()
    }

    fn close_in_order(&self, close: Close) {
        let reason = DownReason::Local { detail: String::new() };
        self.shared.close(reason, Some(&Bye { code: ByeCode::CLOSE, text: "" }), close);
    }

    /// Ends the link for a reason: what was accepted and not written is counted, not written; `bye`
    /// goes out if the kernel takes it at once. Returns at once; every waiting call is woken.
    pub fn end(&self, reason: DownReason, bye: Option<&Bye<'_>>) {
        if bye.is_none() {
            return self.shared.end(reason);
        }
        self.shared.close(reason, bye, Close::goodbye());
    }

    /// Whether the link lives.
    pub fn is_up(&self) -> bool {
        self.shared.lock().outgoing.phase().reason().is_none()
    }

    /// The account of the link's end, once its reader has finished.
    pub fn down(&self) -> Option<Down> {
        self.shared.lock().down()
    }

    /// Waits up to `timeout` for the link's end. On the link's own reader thread it does not wait.
    ///
    /// The handler may be called with [`LinkEvent::Down`] a moment later. To wait for that as well,
    /// run the [`Reader`](super::Reader) on a thread that you join.
    pub fn wait_down(&self, timeout: Duration) -> Option<Down> {
        let shared = &*self.shared;
        let own = self.is_own_thread();
        let until = shared.clock.now() + if own { Duration::ZERO } else { timeout };
        shared.wait_down(until)
    }

    /// Whether the calling thread is the link's reader, which runs the handler.
    pub(crate) fn is_own_thread(&self) -> bool {
        self.shared.reader.get() == Some(&threads::own_number())
    }

    /// What the peer said in its HELLO, if a handshake was made.
    pub fn greeting(&self) -> Option<&Greeting> {
        self.shared.options.greeting.as_ref()
    }

    /// The heartbeat-time in force for sending; the peer's promise to us converges to the same.
    pub fn heartbeat_time(&self) -> Option<Duration> {
        self.shared.lock().outgoing.timer().in_force()
    }

    pub(super) fn shared(&self) -> &Arc<Shared<S, F>> {
        &self.shared
    }
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

/// The longest time that an end takes until it is reported.
const END_MAX: Duration = Duration::from_millis(100);
