//! What a link needs of the stream below it.
//!
//! A link reads from one thread and writes from others, so every method takes `&self`. std's
//! `TcpStream` and `UnixStream` are the ones we ship; [`Stream`] shows how a host brings its own.
//! One rule has no exception: a write that reports a timeout has accepted nothing.

use std::io;
#[cfg(unix)]
use std::io::{Read, Write};
use std::net::Shutdown;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// A connected, ordered, blocking byte stream that can be read with a time limit, written, and shut
/// from another thread.
///
/// [`Layered`](super::Layered) puts TLS, or another layer that only transforms bytes, on a socket.
/// A host may also wrap the socket itself. The one rule: the layer's state
/// may be locked for the work on bytes, never for a wait on the socket, or a reader that waits for
/// the peer keeps every heartbeat from going out.
///
/// ```
/// use peerbeat::link::{Link, LinkOptions, Stream};
/// use peerbeat::protocol::Native;
/// use std::net::{Shutdown, TcpListener, TcpStream};
/// use std::sync::Mutex;
/// use std::{io, time::Duration};
///
/// /// A toy in TLS's place: two ciphers, one a direction, each in step with the other end's.
/// struct Masked {
///     socket: TcpStream,
///     reads: Mutex<u8>,
///     writes: Mutex<u8>,
/// }
///
/// fn mask(step: &mut u8, bytes: &mut [u8]) {
///     for byte in bytes {
///         *byte ^= *step;
///         *step = step.wrapping_add(7);
///     }
/// }
///
/// impl Stream for Masked {
///     fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
///         let count = Stream::read(&self.socket, buffer)?; // waits with nothing locked
///         mask(&mut self.reads.lock().unwrap(), &mut buffer[..count]);
///         Ok(count)
///     }
///
///     fn write(&self, bytes: &[u8]) -> io::Result<usize> {
///         // One thread writes at a time, and every write has a timeout. The cipher moves on by
///         // what the kernel accepted; a real one would keep the encrypted rest for the next
///         // call.
///         let before = *self.writes.lock().unwrap();
///         let mut masked = bytes.to_vec();
///         mask(&mut before.clone(), &mut masked);
///         let count = Stream::write(&self.socket, &masked)?;
///         mask(&mut self.writes.lock().unwrap(), &mut masked[..count]);
///         Ok(count)
///     }
///
///     fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
///         Stream::set_read_timeout(&self.socket, timeout)
///     }
///
///     fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
///         Stream::set_write_timeout(&self.socket, timeout)
///     }
///
///     fn shutdown(&self, how: Shutdown) -> io::Result<()> {
///         Stream::shutdown(&self.socket, how)
///     }
/// }
///
/// # fn masked(socket: TcpStream) -> Masked {
/// #     Masked { socket, reads: Mutex::new(1), writes: Mutex::new(1) }
/// # }
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let here = TcpStream::connect(listener.local_addr()?)?;
/// # let there = listener.accept()?.0;
/// # let (send, received) = std::sync::mpsc::channel();
/// # let receive = move |_: &Link<Masked>, bytes: &[u8]| send.send(bytes.to_vec()).unwrap();
/// # let nothing = |_: &Link<Masked>, _: &[u8]| {};
/// # let options = LinkOptions::default();
/// # let _there = Link::start_with(masked(there), Native::default(), &options, receive)?;
/// let link = Link::start_with(masked(here), Native::default(), &options, nothing)?;
/// link.send(b"tick").unwrap();
/// # assert_eq!(received.recv().unwrap(), b"tick");
/// # Ok::<(), io::Error>(())
/// ```
pub trait Stream: Send + Sync + 'static {
    /// Whether [`wait_readable`](Self::wait_readable) and [`is_readable`](Self::is_readable) look
    /// without taking; always the same of one stream. If they cannot, verdicts come from the
    /// reader's timed reads alone and are up to two kernel ticks later.
    fn can_peek(&self) -> bool {
        false
    }

    /// Reads like [`Read::read`]; `WouldBlock` or `TimedOut` once the read timeout has passed.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::TimedOut`] once the read timeout has
    /// passed, [`io::ErrorKind::Interrupted`] at any time: nothing came yet. Every other kind ends
    /// the link as [`DownReason::Io`](super::DownReason::Io).
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes like [`Write::write`]; `WouldBlock` or `TimedOut` if the write timeout passed and
    /// not one byte was accepted. It must not raise a signal.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::TimedOut`] once the write timeout has
    /// passed, [`io::ErrorKind::Interrupted`] at any time: nothing was accepted yet. After every
    /// other kind nothing more is sent, and the link ends as
    /// [`DownReason::Io`](super::DownReason::Io) unless what has arrived gives a better reason.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes like [`write`](Self::write), and does not wait for room if that can be avoided: a
    /// last look before a verdict. Without it that look takes as long as the shortest write
    /// timeout.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is no room now; all others as from
    /// [`write`](Self::write).
    fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    /// How many bytes, behind those that the last write reported, the stream has taken in hand: it
    /// cannot give them back, and will report them once they are out. The next write must begin
    /// with the same number of bytes, the same ones or, if what they were part of is given up,
    /// any: they are not looked at again. Default 0.
    fn held(&self) -> usize {
        0
    }

    /// Whether bytes have arrived, since the last call, that made nothing to read yet, such as part
    /// of a record: they are life. A read that brings only such bytes returns `Interrupted`.
    fn heard(&self) -> bool {
        false
    }

    /// Makes the stream block, within its timeouts: called once, before a link starts on it.
    ///
    /// # Errors
    /// Of any kind, such as [`io::ErrorKind::Unsupported`]: no link is started on the stream then.
    fn set_blocking(&self) -> io::Result<()> {
        Ok(())
    }

    /// Sends small messages at once, or leaves Nagle's algorithm on; not every stream knows it.
    ///
    /// # Errors
    /// Of any kind, such as [`io::ErrorKind::InvalidInput`] after a shutdown: it is ignored, since
    /// it costs only time.
    fn set_nodelay(&self, _nodelay: bool) -> io::Result<()> {
        Ok(())
    }

    /// Limits the reads that begin from now on; never zero.
    ///
    /// # Errors
    /// Of any kind, such as [`io::ErrorKind::InvalidInput`], which some systems give after a
    /// shutdown. A link ignores it, since the next read shows what is wrong; a handshake fails if
    /// it needs to wait.
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// Limits the writes that begin from now on; never zero.
    ///
    /// # Errors
    /// Of any kind, such as [`io::ErrorKind::InvalidInput`], which some systems give after a
    /// shutdown. No link is started on the stream then; one that lives ignores it, since the next
    /// write shows what is wrong.
    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// Shuts directions down and wakes the threads blocked in them.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotConnected`] if the stream is not connected any more; whatever it is, it
    /// is ignored.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Waits, no longer than the read timeout, until a read would return at once.
    ///
    /// # Errors
    /// As from [`read`](Self::read): [`io::ErrorKind::WouldBlock`], [`io::ErrorKind::TimedOut`] or
    /// [`io::ErrorKind::Interrupted`] if nothing came yet; every other kind ends the link.
    fn wait_readable(&self) -> io::Result<()> {
        Ok(())
    }

    /// Whether a read would return at once, with bytes or the end. Does not wait.
    ///
    /// # Errors
    /// The error that a read would return, such as [`io::ErrorKind::ConnectionReset`]: a socket
    /// reports that only once, so the link ends with it. A stream that cannot know returns
    /// `Ok(true)`.
    fn is_readable(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// A shared stream is a stream, one of a type that is not known at compile time included.
impl<T: Stream + ?Sized> Stream for Arc<T> {
    fn can_peek(&self) -> bool {
        (**self).can_peek()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (**self).write(bytes)
    }

    fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        (**self).write_at_once(bytes)
    }

    fn held(&self) -> usize {
        (**self).held()
    }

    fn heard(&self) -> bool {
        (**self).heard()
    }

    fn set_blocking(&self) -> io::Result<()> {
        (**self).set_blocking()
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        (**self).set_nodelay(nodelay)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        (**self).set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        (**self).set_write_timeout(timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        (**self).shutdown(how)
    }

    fn wait_readable(&self) -> io::Result<()> {
        (**self).wait_readable()
    }

    fn is_readable(&self) -> io::Result<bool> {
        (**self).is_readable()
    }
}

#[cfg(unix)]
impl Stream for UnixStream {
    // It cannot peek: std's `peek` on it is not stable.

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut &*self, buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut &*self, bytes)
    }

    fn set_blocking(&self) -> io::Result<()> {
        self.set_nonblocking(false)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        UnixStream::set_read_timeout(self, Some(timeout))
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        UnixStream::set_write_timeout(self, Some(timeout))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        UnixStream::shutdown(self, how)
    }
}

/// Whether an error only means that the time was up, or that a signal ended the wait. The kind
/// differs per system, and none of them moves a clock.
pub(crate) fn is_timeout(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(kind, WouldBlock | TimedOut | Interrupted)
}

/// How long to wait of what is `left`: the kernel rounds a long timeout up by as much as an eighth,
/// so long ones are made in steps, and the last stretch in one go.
pub(crate) fn step(left: Duration) -> Duration {
    if left <= LAST_STRETCH { left } else { left / 8 * 7 }
}

/// The longest single wait.
pub(super) const LAST_STRETCH: Duration = Duration::from_millis(64);
/// The longest that a reader waits in one read.
///
/// Shutting a socket wakes its reader on every Unix. On Windows it need not (std's own test of it
/// is for Unix alone, and wine does not do it), so there a reader looks often enough to end in
/// time.
pub(super) const READ_MAX: Duration =
    if cfg!(windows) { Duration::from_millis(250) } else { Duration::from_secs(30) };
