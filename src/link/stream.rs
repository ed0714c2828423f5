//! What a link needs of the stream below it.
//!
//! A link reads from one thread and writes from others, so every method takes `&self`. std's
//! `TcpStream` is the one we ship.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// A connected, ordered, blocking byte stream that can be read with a time limit, written, and shut
/// from another thread.
pub trait Stream: Send + Sync + 'static {
    /// Whether [`wait_readable`](Self::wait_readable) and [`is_readable`](Self::is_readable) look
    /// without taking. Where they cannot (a TLS stream), verdicts come from the reader's timed
    /// reads alone and are up to two kernel ticks later.
    const CAN_PEEK: bool = false;

    /// Reads like [`Read::read`]; `WouldBlock` or `TimedOut` once the read timeout has passed.
    ///
    /// # Errors
    /// As `Read::read`.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes like [`Write::write`]; `WouldBlock` or `TimedOut` where the write timeout passed and
    /// not one byte was accepted. It must not raise a signal.
    ///
    /// # Errors
    /// As `Write::write`.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Limits the reads that begin from now on; never zero.
    ///
    /// # Errors
    /// Where the system refuses, such as after a shutdown.
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// Limits the writes that begin from now on; never zero.
    ///
    /// # Errors
    /// Where the system refuses, such as after a shutdown.
    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// Shuts directions down and wakes whoever is blocked in them.
    ///
    /// # Errors
    /// Where the stream is not connected any more; nobody needs to act on it.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Waits, no longer than the read timeout, until a read would return at once.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn wait_readable(&self) -> io::Result<()> {
        Ok(())
    }

    /// Whether a read would return at once, with bytes, the end or an error. Does not wait.
    ///
    /// # Errors
    /// Where it cannot be told.
    fn is_readable(&self) -> io::Result<bool> {
        Ok(true)
    }
}

impl Stream for TcpStream {
    const CAN_PEEK: bool = true;

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut &*self, buffer)
    }

    // One contiguous write: `writev` raises SIGPIPE in a C host, `send` as std calls it does not
    // (lesson 50).
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut &*self, bytes)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        TcpStream::set_read_timeout(self, Some(timeout))
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        TcpStream::set_write_timeout(self, Some(timeout))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        TcpStream::shutdown(self, how)
    }

    fn wait_readable(&self) -> io::Result<()> {
        self.peek(&mut [0]).map(drop)
    }

    // The flag is shared with every clone, so a write or read of ours that begins in this moment
    // may come back with `WouldBlock` early: both take that as "look at the clock again".
    fn is_readable(&self) -> io::Result<bool> {
        self.set_nonblocking(true)?;
        let seen = self.peek(&mut [0]);
        self.set_nonblocking(false)?;
        match seen {
            Err(e) if is_timeout(e.kind()) => Ok(false),
            _ => Ok(true),
        }
    }
}

/// Whether an error only means that the time was up, or that a signal ended the wait. The kind
/// differs per system (lesson 37), and none of them moves a clock (lesson 28).
pub(crate) fn is_timeout(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(kind, WouldBlock | TimedOut | Interrupted)
}
