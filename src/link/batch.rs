//! Several messages in one go: on one link, or on many.
//!
//! A program that knows what it sends next hands it over in one go; then the link need not guess it
//! from the traffic.

use std::error::Error;
use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::handle::Link;
use super::stream::Stream;
use crate::connection::SendError;
use crate::protocol::{Framing, Native};

/// Holds back messages that are sent through it until it is dropped or [flushed](Self::flush): then
/// each link is written once, in the order in which they were first sent on.
///
/// Queued messages that fill a buffer are written at once, and another thread that sends on a link,
/// or its heartbeat, takes along what is held back there: messages stay in order. One batch is for
/// one thread; links may be in several.
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
    number: u64,
    links: Vec<Link<S, F>>,
}

impl<S: Stream, F: Framing> Batch<S, F> {
    /// An empty one.
    pub fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self { number: LAST.fetch_add(1, Ordering::Relaxed) + 1, links: Vec::new() }
    }

    /// Accepts a message for `link` if there is room now.
    ///
    /// # Errors
    /// [`SendError::Full`] if there is no room now; [`SendError::Unfit`] for a message that no
    /// frame can carry; [`SendError::Down`] once the link ends or a write has failed.
    pub fn try_send(&mut self, link: &Link<S, F>, payload: &[u8]) -> Result<(), SendError> {
        let before = link.shared().hold(payload, self.number)?;
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
    pub fn flush(&mut self) -> Vec<(Link<S, F>, SendError)> {
        let write = |link: Link<S, F>| {
            let error = link.shared().write_held(self.number).err()?;
            Some((link, error))
        };
        self.links.drain(..).filter_map(write).collect()
    }
}

impl<S: Stream, F: Framing> Default for Batch<S, F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Stream, F: Framing> Drop for Batch<S, F> {
    fn drop(&mut self) {
        // A link that fails reports it in its end.
        let _failed = self.flush();
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
        let (mut few, many): ([&[u8]; FEW], Vec<&[u8]>);
        let payloads = if payloads.len() <= FEW {
            few = [&[]; FEW];
            for (place, payload) in few.iter_mut().zip(payloads) {
                *place = payload.as_ref();
            }
            &few[..payloads.len()]
        } else {
            many = payloads.iter().map(AsRef::as_ref).collect();
            &many
        };
        let mut sent = 0;
        while let Some(next) = payloads.get(sent) {
            let (count, refused) = self.shared().offer_all(&payloads[sent..]);
            sent += count;
            let refused = match refused {
                // The one that found no room is `next` only if none was accepted before it.
                Some(SendError::Full) if count == 0 => {
                    let waited = self.send(next);
                    sent += usize::from(waited.is_ok());
                    waited.err()
                }
                Some(SendError::Full) | None => None,
                other => other,
            };
            if let Some(error) = refused {
                return Err(SendAllError { sent, error });
            }
        }
        Ok(())
    }
}

/// So many messages of one call are listed on the stack.
const FEW: usize = 32;
