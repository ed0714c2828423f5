//! Several messages in one go: on one link, or on many.
//!
//! A program that knows what it sends next hands it over in one go; then the link need not guess it
//! from the traffic.

use std::error::Error;
use std::fmt;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::allowance::Allowance;
use super::direct::{Given, Writer};
use super::handle::Link;
use super::shared::{Guard, Shared};
use super::stream::Stream;
use crate::connection::SendError;
use crate::guarded::guarded;
use crate::protocol::{Framing, Native};

/// Holds back messages that are sent through it until it is dropped or [flushed](Self::flush): then
/// each link is written once, in the order in which they were first sent on.
///
/// Queued messages that fill a buffer are written at once, and another thread that sends on a link,
/// or its heartbeat, takes along what is held back there: messages stay in order. For the same
/// reason a message may go out with others that a thread is about to write. One batch is for one
/// thread; links may be in several.
///
/// ```
/// use peerbeat::link::{Batch, Link};
/// # use std::net::{TcpListener, TcpStream};
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let near = TcpStream::connect(listener.local_addr()?)?;
/// # let (far, _) = listener.accept()?;
/// # let (send, arrived) = std::sync::mpsc::channel();
/// # let _far = Link::start(far, move |_: &Link, tick: &[u8]| send.send(tick.to_vec()).unwrap())?;
/// # let links = [Link::start(near, |_: &Link, _: &[u8]| {})?];
/// let mut batch = Batch::new();
/// for tick in ["EURUSD 1.0871", "GBPUSD 1.2702"] {
///     for link in &links {
///         batch.try_send(link, tick.as_bytes()).unwrap();
///     }
/// }
/// assert!(batch.flush().is_empty(), "no link failed");
/// # assert_eq!(arrived.recv().unwrap(), b"EURUSD 1.0871");
/// # assert_eq!(arrived.recv().unwrap(), b"GBPUSD 1.2702");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Batch<S: Stream = TcpStream, F: Framing = Native> {
    /// 0 until it has something to hold back, which it has not behind messages with a writer.
    number: u64,
    links: Vec<Link<S, F>>,
}

impl<S: Stream, F: Framing> Batch<S, F> {
    /// An empty one.
    pub fn new() -> Self {
        Self { number: 0, links: Vec::new() }
    }

    /// Accepts a message for `link` if there is room now.
    ///
    /// # Errors
    /// [`SendError::Full`] if there is no room now; [`SendError::Unfit`] for a message that no
    /// frame can carry; [`SendError::Down`] once the link ends or a write has failed.
    pub fn try_send(&mut self, link: &Link<S, F>, payload: &[u8]) -> Result<(), SendError> {
        let shared = link.shared();
        let mut state = shared.lock_to_send();
        let own = state.outgoing.queued_bytes();
        let below = state.allowance.below_in_batch(self.number);
        let is_allowed = own + payload.len() < below;
        if is_allowed {
            // What is queued has a writer, or is held back by this batch already.
            state.outgoing.append(payload)?;
            if state.outgoing.queued_bytes() < below {
                return Ok(());
            }
        }
        self.try_send_further(link, state, own, payload, is_allowed)
    }

    /// The same of a message that needs a decision; `is_in` if it is in the queue already, from the
    /// byte `own` on.
    #[inline(never)]
    fn try_send_further(
        &mut self,
        link: &Link<S, F>,
        state: Guard<'_, S, F>,
        own: usize,
        payload: &[u8],
        is_in: bool,
    ) -> Result<(), SendError> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let shared = link.shared();
        if is_in && state.allowance.is_of_a_batch() {
            return shared.see_to_held(state, own, payload.len());
        }
        if is_in {
            return shared.offer_further(state, own, Given::Payload(payload), true);
        }
        if self.number == 0 {
            self.number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        }
        let before = shared.hold(state, payload, self.number)?;
        // Two batches that take turns on a link do not list it again each time; only one that was
        // written meanwhile is.
        let is_known = |known: &Link<S, F>| Arc::ptr_eq(known.shared(), link.shared());
        if before == 0 || (before != self.number && !self.links.iter().any(is_known)) {
            self.links.push(link.clone());
        }
        Ok(())
    }

    /// Writes the messages that are held back, and returns the links that failed, with the reason.
    /// Their messages are counted in the accounts of their ends.
    ///
    /// # Panics
    /// If the stream of a link panics in its write, after the other links were written.
    pub fn flush(&mut self) -> Vec<(Link<S, F>, SendError)> {
        let mut panicked = None;
        let mut failed = Vec::new();
        for link in self.links.drain(..) {
            // A stream of the user's that panics must not keep the other links from theirs.
            match catch_unwind(AssertUnwindSafe(|| link.shared().write_held(self.number))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failed.push((link, error)),
                Err(payload) => panicked = Some(payload),
            }
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
        failed
    }
}

impl<S: Stream, F: Framing> Default for Batch<S, F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Stream, F: Framing> Drop for Batch<S, F> {
    fn drop(&mut self) {
        if !self.links.is_empty() {
            // A link that fails reports it in its end. A drop may be part of a panic.
            let _failed = guarded(|| self.flush());
        }
    }
}

impl<S: Stream, F: Framing> Shared<S, F> {
    /// Takes a message for a batch, which has it written later; returns the batch that held
    /// something back here before, 0 for none.
    pub(super) fn hold<'a>(
        self: &'a Arc<Self>,
        mut state: Guard<'a, S, F>,
        payload: &[u8],
        batch: u64,
    ) -> Result<u64, SendError> {
        if !state.outgoing.has_room(payload.len()) {
            state = self.write_held_back(state)?;
            if !state.outgoing.has_room(payload.len()) && state.outgoing.phase().is_up() {
                return Err(SendError::Full);
            }
        }
        let own = state.outgoing.queued_bytes();
        let outgoing = &mut state.outgoing;
        outgoing.check_up().and_then(|()| outgoing.append(payload))?;
        let before = std::mem::replace(&mut state.held_by, batch);
        self.see_to_held(state, own, payload.len())?;
        Ok(before)
    }

    /// Holds back messages of a batch, the last of which has `length` bytes and begins at the byte
    /// `own` of the queue, unless they make a write.
    fn see_to_held(
        self: &Arc<Self>,
        mut state: Guard<'_, S, F>,
        own: usize,
        length: usize,
    ) -> Result<(), SendError> {
        state.outgoing.handle_appended();
        if self.is_full(&state, length) {
            return self.write_queued_as(Writer::Caller { own, messages: 1 }, state);
        }
        self.publish_crossing(&state);
        state.allowance = Allowance::of_batch(self.allowed(&state), state.held_by);
        Ok(())
    }

    /// Has what the batch holds back written, if no other write has taken it along.
    fn write_held(self: &Arc<Self>, batch: u64) -> Result<(), SendError> {
        let mut state = self.lock();
        if state.held_by == batch {
            state.held_by = 0;
        }
        self.write_waiting(state)
    }

    /// Takes as many messages as there is room for and as make one write; says in `count` how many
    /// they were, and returns why the next one was not taken if it was refused.
    #[inline(always)]
    pub(super) fn offer_all(
        self: &Arc<Self>,
        payloads: &[&[u8]],
        count: &mut usize,
    ) -> Result<(), SendError> {
        let mut state = self.lock_to_send();
        let own = state.outgoing.queued_bytes();
        let below = state.allowance.below();
        *count = 0;
        state.outgoing.append_all(payloads, below, count)?;
        let is_allowed = *count == 0 || state.outgoing.queued_bytes() < below;
        if is_allowed && *count == payloads.len() {
            return Ok(());
        }
        self.decide_all(state, own, payloads, count)
    }

    /// Takes messages of which the first `count` are in the queue, from the byte `own` on, and
    /// nothing is decided for the others.
    #[inline(never)]
    fn decide_all(
        self: &Arc<Self>,
        mut state: Guard<'_, S, F>,
        own: usize,
        payloads: &[&[u8]],
        count: &mut usize,
    ) -> Result<(), SendError> {
        let writes = self.writes_now(&state);
        let mut fills = false;
        let append = || self.append_further(&mut state, payloads, writes, count, &mut fills);
        let appended = catch_unwind(AssertUnwindSafe(append));
        let is_whole = appended.is_ok();
        if *count > 0 && !state.allowance.covers(state.outgoing.queued_bytes()) {
            state.outgoing.handle_appended();
            if is_whole && (writes || fills) {
                let messages = std::mem::take(count);
                self.write_queued_as(Writer::Caller { own, messages: messages as u64 }, state)?;
                *count = messages;
            } else {
                // What was accepted before a framing of the user's panicked needs a writer too.
                self.leave(&mut state);
                drop(state);
            }
        }
        appended.unwrap_or_else(|payload| resume_unwind(payload))
    }

    /// Appends what there is room for, until `fills`: so much is queued as makes a write.
    fn append_further(
        self: &Arc<Self>,
        state: &mut Guard<'_, S, F>,
        payloads: &[&[u8]],
        writes: bool,
        count: &mut usize,
        fills: &mut bool,
    ) -> Result<(), SendError> {
        loop {
            if let Some(last) = payloads[..*count].last() {
                state.outgoing.handle_appended();
                *fills = self.is_full(state, last.len());
            }
            let Some(payload) = payloads.get(*count).filter(|_| !*fills) else { return Ok(()) };
            let has_room = writes && *count == 0 || state.outgoing.has_room(payload.len());
            if !has_room && state.outgoing.phase().is_up() {
                return Err(SendError::Full);
            }
            state.outgoing.check_up()?;
            state.outgoing.append(payload)?;
            *count += 1;
            let (below, more) = (self.allowed(state), &payloads[*count..]);
            state.outgoing.append_all(more, below, count)?;
        }
    }
}

/// Why [`Link::send_all`] stopped, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendAllError {
    /// How many messages were accepted.
    pub sent: usize,
    /// Why the next one was not.
    pub error: SendError,
}

impl fmt::Display for SendAllError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, after {} messages", self.error, self.sent)
    }
}

impl Error for SendAllError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl<S: Stream, F: Framing> Link<S, F> {
    /// Sends messages one after another, as many as fit into a buffer in one write; waits for room
    /// for each as [`send`](Self::send) does.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], [`SendError::Unfit`], [`SendError::Down`] or [`SendError::Full`] as
    /// [`send`](Self::send) would return it for one of the messages, and how many were accepted
    /// before that one.
    pub fn send_all<P: AsRef<[u8]>>(&self, payloads: &[P]) -> Result<(), SendAllError> {
        // Their own code runs here, not under the link's lock. A few need no memory: what takes it
        // costs as much as a message.
        let count = payloads.len();
        match payloads {
            [one] => match self.send(one.as_ref()) {
                Ok(()) => Ok(()),
                Err(error) => Err(SendAllError { sent: 0, error }),
            },
            _ if count <= FEW => self.send_listed(&list::<FEW, P>(payloads)[..count]),
            _ if count <= SOME => self.send_listed(&list::<SOME, P>(payloads)[..count]),
            _ => self.send_listed(&payloads.iter().map(AsRef::as_ref).collect::<Vec<_>>()),
        }
    }

    #[inline(always)]
    fn send_listed(&self, payloads: &[&[u8]]) -> Result<(), SendAllError> {
        let (mut sent, mut count) = (0, 0);
        while let Some(next) = payloads.get(sent) {
            let offered = self.shared().offer_all(&payloads[sent..], &mut count);
            sent += count;
            let refused = match offered {
                Ok(()) => continue,
                // The one that found no room is `next` only if none was accepted before it.
                Err(SendError::Full) if count > 0 => continue,
                Err(SendError::Full) => self.send(next),
                Err(error) => Err(error),
            };
            match refused {
                Ok(()) => sent += 1,
                Err(error) => return Err(SendAllError { sent, error }),
            }
        }
        Ok(())
    }
}

/// The first `N` messages, and empty ones if there are fewer.
#[inline]
fn list<const N: usize, P: AsRef<[u8]>>(payloads: &[P]) -> [&[u8]; N] {
    let mut list = [&[][..]; N];
    for (place, payload) in list.iter_mut().zip(payloads) {
        *place = payload.as_ref();
    }
    list
}

/// So many messages of one call are listed on the stack, in a short list if they are few.
const SOME: usize = 16;
const FEW: usize = 4;
