//! How a link starts on a stream that is established: its two threads.
//!
//! The sender's thread is made before the link is handed out; the reader's is the caller's, or one
//! of its own. If a thread cannot be made there is no link, and the stream is dropped.

use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::handle::{Link, LinkHandler};
use super::options::LinkOptions;
use super::pace::WRITE_TIMEOUT_MIN;
use super::reader::Reader;
use super::shared::Shared;
use super::stream::Stream;
use super::{sender, threads};
use crate::protocol::{Framing, Native};

impl<S: Stream> Link<S> {
    /// Starts a link of the native protocol on an established stream, with the default options: a
    /// short form of [`start_with`](Self::start_with). No HELLO is exchanged.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::OutOfMemory`] if a thread cannot be made,
    /// with the limit that is reached in the text; [`io::ErrorKind::InvalidInput`] if the stream
    /// still holds bytes of an earlier write; what the stream itself gives if it refuses to block
    /// or to take a timeout. The stream is then dropped.
    pub fn start(stream: S, handler: impl LinkHandler<S> + Send + 'static) -> io::Result<Self> {
        Self::start_with(stream, Native::default(), &LinkOptions::default(), handler)
    }
}

impl<S: Stream, F: Framing> Link<S, F> {
    /// Makes a link of an established stream and returns it with its reading side, which must be
    /// [run](Reader::run). The sender thread starts at once; the peer's silence counts from the
    /// reader's start. The stream is made blocking, and set to send small frames at once, or not,
    /// as the options say.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::OutOfMemory`] if the sender thread cannot
    /// be made, with the limit that is reached in the text; [`io::ErrorKind::InvalidInput`] if the
    /// stream still holds bytes of an earlier write; what the stream itself gives if it refuses to
    /// block or to take a timeout. The stream is then dropped.
    pub fn establish(
        stream: S,
        framing: F,
        options: &LinkOptions,
    ) -> io::Result<(Self, Reader<S, F>)> {
        stream.set_blocking()?;
        stream.set_write_timeout(WRITE_TIMEOUT_MIN)?;
        // Not every stream knows it, and it only saves time.
        let _unknown = stream.set_nodelay(options.tcp_nodelay);
        if stream.held() > 0 {
            let text = "the stream has not written all that it was given before";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut own = options.clone();
        let received = std::mem::take(&mut own.received);
        let shared = Arc::new(Shared::new(stream, Arc::new(framing), own));
        let sending = Arc::clone(&shared);
        let sender = spawn(options, 's', move || sender::run(&*sending))?;
        let link = Self::new(shared);
        Ok((link.clone(), Reader::new(link, sender, &received)))
    }

    /// Makes a link as [`establish`](Self::establish) does and runs its reader on a thread of its
    /// own, which ends with the link.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::OutOfMemory`] if a thread cannot be made,
    /// with the limit that is reached in the text; [`io::ErrorKind::InvalidInput`] if the stream
    /// still holds bytes of an earlier write; what the stream itself gives if it refuses to block
    /// or to take a timeout. The stream is then dropped.
    pub fn start_with<H: LinkHandler<S, F> + Send + 'static>(
        stream: S,
        framing: F,
        options: &LinkOptions,
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
}

/// Makes one of a link's threads.
fn spawn(
    options: &LinkOptions,
    letter: char,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    threads::spawn(&format!("pb-{letter}:{}", options.name), options.stack_size, body)
}
