//! One established stream between two ends: the reader, the sender thread, and what they share.

mod event;
mod options;
mod stream;

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use crate::protocol::{Bye, Framing, Native};

pub use event::{Cause, Down, DownReason, Event};
pub use options::{Options, SendError};
pub use stream::Stream;

/// A handle on a link; clones are handles on the same one.
#[derive(Debug)]
pub struct Link<S: Stream = TcpStream, F: Framing = Native> {
    _s: std::marker::PhantomData<(S, F)>,
}

/// The reading side of a link: whoever runs it is the link's reader thread.
#[derive(Debug)]
pub struct Reader<S: Stream = TcpStream, F: Framing = Native> {
    _s: std::marker::PhantomData<(S, F)>,
}

/// What a link calls, always from the thread that runs its reader, never with a lock held. All of
/// the link may be called from inside.
pub trait Handler<S: Stream = TcpStream, F: Framing = Native> {
    /// A message arrived; the bytes are valid during the call.
    fn on_message(&mut self, link: &Link<S, F>, payload: &[u8]);
    /// Something happened on the living link.
    fn on_event(&mut self, _link: &Link<S, F>, _event: &Event) {}
}

impl<S: Stream, F: Framing> Clone for Link<S, F> {
    fn clone(&self) -> Self {
        todo!()
    }
}

#[allow(unused_variables, missing_docs)]
impl<S: Stream, F: Framing> Link<S, F> {
    /// Makes a link of an established stream; `received` is what was read of it after the handshake. Spawns the sender thread.
    pub fn establish(
        stream: S,
        framing: F,
        received: &[u8],
        options: &Options,
    ) -> io::Result<(Self, Reader<S, F>)> {
        todo!()
    }
    /// Waits for room up to Options::send_timeout
    pub fn send(&self, payload: &[u8]) -> Result<(), SendError> {
        todo!()
    }
    pub fn send_timeout(&self, payload: &[u8], timeout: Duration) -> Result<(), SendError> {
        todo!()
    }
    pub fn try_send(&self, payload: &[u8]) -> Result<(), SendError> {
        todo!()
    }
    /// Orderly close: what was accepted, then BYE 0, is written within Options::close_timeout. Returns at once; Reader::run returns soon after with Local.
    pub fn close(&self) {
        todo!()
    }
    /// Ends the link for `reason`: accepted frames are not flushed (but counted); BYE is sent where the kernel takes it at once. Returns at once.
    pub fn end(&self, reason: DownReason, bye: Option<&Bye<'_>>) {
        todo!()
    }
    pub fn is_up(&self) -> bool {
        todo!()
    }
    /// In force for sending.
    pub fn heartbeat_time(&self) -> Option<Duration> {
        todo!()
    }
}

#[allow(unused_variables)]
impl<S: Stream, F: Framing> Reader<S, F> {
    /// Reads until the link ends, calling the handler, and returns why it ended. When it returns, the sender thread is joined, the stream closed.
    /// A panic of the handler's ends the link as Local and is passed on (resume_unwind) after cleanup.
    pub fn run<H: Handler<S, F>>(self, handler: &mut H) -> Down {
        todo!()
    }
}
