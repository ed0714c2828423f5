//! Receiving by asking: messages wait in a bounded buffer until the program takes them.
//!
//! An [`Inbox`] is a [`LinkHandler`] that copies each message into one contiguous buffer, and a
//! handle on that buffer for any number of threads. Consumers swap the whole buffer for an empty
//! one and read it without taking the reader's lock; they are woken only when it stops being empty.
//! When it is full the reader is held: TCP slows the peer down, its silence does not count
//! meanwhile, and [`InboxStats`] show it.
//!
//! Rules of the two locks: `front` belongs to the consumers, `back` to the reader, and a thread
//! that wants both takes `front` first. Nothing is called and nothing waits with `front` held.
//! Every change that a thread may wait for moves `Back::changes`, so no wake-up is lost between a
//! check and a wait.
//!
//! Invariant: messages leave in the order they came, the end of the link after all of them.

use std::error::Error;
use std::fmt;
use std::mem;
use std::ops::{Deref, Range};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{Down, Link, LinkEvent, LinkHandler, Stream, threads};
use crate::protocol::Framing;
use crate::recover::Recover;

/// Messages that arrived on a link and wait to be taken; clones are handles on the same one.
///
/// ```
/// use peerbeat::link::{Inbox, Link, LinkEvent, LinkOptions, RecvError};
/// use peerbeat::protocol::Native;
/// use std::net::{TcpListener, TcpStream};
/// use std::time::Duration;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let ours = TcpStream::connect(listener.local_addr()?)?;
/// let (theirs, _) = listener.accept()?;
/// let options = LinkOptions::default();
/// let peer = Link::start_with(theirs, Native::default(), &options, |_: &Link, _: &[u8]| ())?;
///
/// let inbox = Inbox::default();
/// let link = Link::start_with(ours, Native::default(), &options, inbox.clone())?;
/// peer.send(b"tick")?;
/// assert_eq!(inbox.recv(Some(Duration::from_secs(5)))?, b"tick");
///
/// // Without a copy, and the end after the last message.
/// peer.send(b"tock")?;
/// peer.close();
/// assert_eq!(&*inbox.borrow(Some(Duration::from_secs(5)))?, b"tock");
/// let Err(RecvError::Down(down)) = inbox.recv(None) else { panic!("the peer has closed") };
/// assert_eq!(down.reason.as_str(), "closed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a link whose inbox is dropped receives nothing"]
pub struct Inbox {
    inner: Arc<Inner>,
}

/// A message that was taken without a copy; the next one can be taken once it is dropped.
#[derive(Debug)]
#[must_use = "the message is taken, and lost when this is dropped"]
pub struct Message {
    inbox: Inbox,
    batch: Batch,
    payload: Range<usize>,
}

/// Why no message was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// None arrived in time.
    TimedOut,
    /// The message at the front is longer than the buffer for it. It was kept.
    TooSmall {
        /// Its length.
        length: usize,
    },
    /// The calling thread still has a [`Message`]: waiting for it would never end.
    Borrowed,
    /// [`Inbox::close`] was called, and what had arrived has been taken.
    Closed,
    /// The link has ended, and what had arrived has been taken.
    Down(Box<Down>),
}

/// The contents of an [`Inbox`], and the effects of its having been full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboxStats {
    /// Messages that wait to be taken.
    pub messages: usize,
    /// The bytes they take in the buffer.
    pub bytes: usize,
    /// Whether the inbox is full and holds the reader: the peer's silence is not counted now.
    pub is_holding: bool,
    /// For how long the reader was held, all together.
    pub held: Duration,
    /// Whether the peer is late: its silence has passed the heartbeat-time and half the slack.
    pub is_late: bool,
}

impl Inbox {
    /// Makes an inbox for one link. Up to `bytes_max` wait for the program, once more as much while
    /// it takes them; a message larger than that is taken in while nothing waits.
    pub fn new(bytes_max: usize) -> Self {
        let inner = Inner {
            bytes_max,
            front: Mutex::default(),
            back: Mutex::default(),
            arrived: Condvar::new(),
            room: Condvar::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes the next message, waiting for it up to `timeout`, `None` = without a limit.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`] after `timeout`; [`RecvError::Down`] once the link has ended,
    /// [`RecvError::Closed`] once [`close`](Self::close) was called, both only after the last
    /// message; [`RecvError::Borrowed`] if this thread still has a [`Message`].
    pub fn recv(&self, timeout: Option<Duration>) -> Result<Vec<u8>, RecvError> {
        self.inner.take(timeout, |front| {
            let payload = front.batch.peek();
            let message = front.batch.bytes[payload.clone()].to_vec();
            front.batch.consume(payload);
            message
        })
    }

    /// Takes the next message as [`recv`](Self::recv) does, into `buffer`, and returns its length.
    ///
    /// # Errors
    /// [`RecvError::TooSmall`] if the message is longer than `buffer`: it stays where it is.
    /// [`RecvError::TimedOut`], [`RecvError::Down`], [`RecvError::Closed`] and
    /// [`RecvError::Borrowed`] as from [`recv`](Self::recv).
    pub fn recv_into(
        &self,
        buffer: &mut [u8],
        timeout: Option<Duration>,
    ) -> Result<usize, RecvError> {
        self.inner.take(timeout, |front| {
            let payload = front.batch.peek();
            let length = payload.len();
            let Some(room) = buffer.get_mut(..length) else {
                return Err(RecvError::TooSmall { length });
            };
            room.copy_from_slice(&front.batch.bytes[payload.clone()]);
            front.batch.consume(payload);
            Ok(length)
        })?
    }

    /// Takes the next message as [`recv`](Self::recv) does, without a copy. Other threads wait
    /// until it is dropped; the calling thread gets [`RecvError::Borrowed`] meanwhile.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`] after `timeout`; [`RecvError::Down`] once the link has ended,
    /// [`RecvError::Closed`] once [`close`](Self::close) was called, both only after the last
    /// message; [`RecvError::Borrowed`] if this thread still has a message.
    pub fn borrow(&self, timeout: Option<Duration>) -> Result<Message, RecvError> {
        let (batch, payload) = self.inner.take(timeout, |front| {
            front.borrower = Some(threads::own_number());
            let payload = front.batch.peek();
            (mem::take(&mut front.batch), payload)
        })?;
        Ok(Message { inbox: self.clone(), batch, payload })
    }

    /// Ends all waiting: what has arrived can still be taken, then comes [`RecvError::Closed`].
    /// The link is not touched, and a reader that is held goes on.
    pub fn close(&self) {
        let mut back = self.inner.lock_back();
        back.is_closed = true;
        self.inner.changed(back);
        self.inner.room.notify_all();
    }

    /// Its contents now.
    pub fn stats(&self) -> InboxStats {
        let front = self.inner.lock_front();
        let back = self.inner.lock_back();
        let now = back.held_since.map_or(Duration::ZERO, |since| since.elapsed());
        InboxStats {
            messages: front.batch.messages + back.batch.messages,
            bytes: front.batch.left() + back.batch.left(),
            is_holding: back.held_since.is_some(),
            held: back.held + now,
            is_late: back.is_late,
        }
    }
}

/// Holds up to 1 MiB.
impl Default for Inbox {
    fn default() -> Self {
        Self::new(1 << 20)
    }
}

impl<S: Stream, F: Framing> LinkHandler<S, F> for Inbox {
    fn on_message(&mut self, link: &Link<S, F>, payload: &[u8]) {
        self.inner.add(payload, || link.is_up());
    }

    fn on_event(&mut self, _link: &Link<S, F>, event: &LinkEvent) {
        if let LinkEvent::Down(down) = event {
            let mut back = self.inner.lock_back();
            back.down = Some(Box::new(down.clone()));
            self.inner.changed(back);
            return;
        }
        match event {
            LinkEvent::Late { .. } => self.inner.lock_back().is_late = true,
            LinkEvent::Recovered { .. } => self.inner.lock_back().is_late = false,
            _ => {}
        }
    }
}

impl Deref for Message {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.batch.bytes[self.payload.clone()]
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.batch.consume(self.payload.clone());
        let inner = &*self.inbox.inner;
        let mut front = inner.lock_front();
        front.batch = mem::take(&mut self.batch);
        front.borrower = None;
        if front.waiters > 0 {
            inner.changed(inner.lock_back());
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no message arrived in time"),
            Self::TooSmall { length } => {
                write!(f, "the buffer is too small for the message of {length} bytes")
            }
            Self::Borrowed => f.write_str("this thread has not released its last message"),
            Self::Closed => f.write_str("the inbox is closed"),
            Self::Down(down) => write!(f, "the link is down: {down}"),
        }
    }
}

impl Error for RecvError {}

#[derive(Debug)]
struct Inner {
    bytes_max: usize,
    front: Mutex<Front>,
    back: Mutex<Back>,
    /// Consumers wait here for `Back::changes`.
    arrived: Condvar,
    /// The reader waits here for room.
    room: Condvar,
}

/// The consumers' side.
#[derive(Debug, Default)]
struct Front {
    batch: Batch,
    /// The thread that has the batch for a [`Message`].
    borrower: Option<u64>,
    /// Consumers that found nothing and have not looked again.
    waiters: usize,
}

/// The reader's side.
#[derive(Debug, Default)]
struct Back {
    batch: Batch,
    changes: u64,
    /// Consumers in a wait: without one no notification is needed, and that is a system call.
    sleepers: usize,
    held_since: Option<Instant>,
    held: Duration,
    is_late: bool,
    is_closed: bool,
    down: Option<Box<Down>>,
}

enum Look {
    /// There is a message at the front.
    Ready,
    /// There is none; wait until `Back::changes` is another number.
    Nothing { changes: u64 },
}

impl Inner {
    /// Waits for a message at the front, up to `timeout`, and lets `take` have it.
    fn take<T>(
        &self,
        timeout: Option<Duration>,
        take: impl FnOnce(&mut Front) -> T,
    ) -> Result<T, RecvError> {
        let mut until = None;
        let mut front = self.lock_front();
        while let Look::Nothing { changes } = self.look(&mut front)? {
            let now = Instant::now();
            // A time beyond the clock's end is as good as none.
            let until = *until.get_or_insert_with(|| now.checked_add(timeout?));
            if until.is_some_and(|until| until <= now) {
                return Err(RecvError::TimedOut);
            }
            front.waiters += 1;
            drop(front);
            self.wait(changes, until);
            front = self.lock_front();
            front.waiters -= 1;
        }
        let taken = take(&mut front);
        if front.waiters > 0 && front.batch.messages > 0 {
            // The reader wakes only for the first message; we wake for those behind ours.
            self.changed(self.lock_back());
        }
        Ok(taken)
    }

    /// Looks for a message, in the buffer behind if there is none in front.
    fn look(&self, front: &mut Front) -> Result<Look, RecvError> {
        if front.borrower.is_some_and(|borrower| borrower == threads::own_number()) {
            return Err(RecvError::Borrowed);
        }
        let is_free = front.borrower.is_none();
        if is_free && front.batch.messages > 0 {
            return Ok(Look::Ready);
        }
        let mut back = self.lock_back();
        if is_free && back.batch.messages > 0 {
            mem::swap(&mut front.batch, &mut back.batch);
            back.batch.clear(front.batch.left());
            if back.held_since.is_some() {
                self.room.notify_one();
            }
            return Ok(Look::Ready);
        }
        if back.is_closed {
            return Err(RecvError::Closed);
        }
        match &back.down {
            Some(down) if is_free => Err(RecvError::Down(down.clone())),
            _ => Ok(Look::Nothing { changes: back.changes }),
        }
    }

    /// Waits until `Back::changes` has left `seen`, at the latest until `until`.
    fn wait(&self, seen: u64, until: Option<Instant>) {
        let mut back = self.lock_back();
        back.sleepers += 1;
        while back.changes == seen {
            back = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => break,
                Some(left) => wait_timeout(&self.arrived, back, left),
                None => self.arrived.wait(back).recover(),
            };
        }
        back.sleepers -= 1;
    }

    /// Wakes all consumers.
    fn changed(&self, mut back: MutexGuard<'_, Back>) {
        back.changes += 1;
        let sleepers = back.sleepers;
        drop(back);
        if sleepers > 0 {
            self.arrived.notify_all();
        }
    }

    /// Takes a message in, and holds its thread while there is no room and the link `is_up`.
    fn add(&self, payload: &[u8], is_up: impl Fn() -> bool) {
        let mut back = self.lock_back();
        let room = self.bytes_max.saturating_sub(HEADER_BYTES + payload.len());
        if back.batch.messages > 0 && back.batch.left() > room {
            let since = Instant::now();
            back.held_since = Some(since);
            // A message in hand has arrived: once the link has ended it goes in all the same.
            while back.batch.messages > 0 && back.batch.left() > room && !back.is_closed && is_up()
            {
                back = wait_timeout(&self.room, back, HELD_POLL);
            }
            back.held_since = None;
            back.held += since.elapsed();
        }
        let is_first = back.batch.messages == 0;
        back.batch.add(payload);
        if is_first {
            back.changes += 1;
            if back.sleepers > 0 {
                self.arrived.notify_one();
            }
        }
    }

    /// Nothing under this lock calls out, so the state that a panic left is whole.
    fn lock_front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().recover()
    }

    /// As `lock_front`.
    fn lock_back(&self) -> MutexGuard<'_, Back> {
        self.back.lock().recover()
    }
}

fn wait_timeout<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
) -> MutexGuard<'a, T> {
    condvar.wait_timeout(guard, timeout).recover().0
}

/// Messages one behind the other, each after its length.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where the first message that was not consumed begins.
    at: usize,
    messages: usize,
}

impl Batch {
    fn add(&mut self, payload: &[u8]) {
        self.bytes.extend_from_slice(&payload.len().to_ne_bytes());
        self.bytes.extend_from_slice(payload);
        self.messages += 1;
    }

    /// Where the first message is; there must be one.
    fn peek(&self) -> Range<usize> {
        let start = self.at + HEADER_BYTES;
        let mut length = [0; HEADER_BYTES];
        length.copy_from_slice(&self.bytes[self.at..start]);
        start..start + usize::from_ne_bytes(length)
    }

    fn consume(&mut self, payload: Range<usize>) {
        self.at = payload.end;
        self.messages -= 1;
    }

    /// Bytes that were not consumed.
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Empties it for use after a batch of `last` bytes, and frees memory if less will do.
    fn clear(&mut self, last: usize) {
        self.bytes.clear();
        self.at = 0;
        self.messages = 0;
        if last <= BUFFER_KEPT_BYTES {
            self.bytes.shrink_to(BUFFER_KEPT_BYTES);
        }
    }
}

/// A length before every message.
const HEADER_BYTES: usize = size_of::<usize>();
/// Buffers above this size are given back when little arrives.
const BUFFER_KEPT_BYTES: usize = 64 << 10;
/// How often a reader that is held looks whether its link has ended.
const HELD_POLL: Duration = Duration::from_millis(20);
