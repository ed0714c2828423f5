//! A stream that is read and written until an absolute deadline.
//!
//! For handshakes: ours, and those of a TLS library that takes `std`'s traits. Every wait is
//! computed from the deadline, so that a stranger who sends byte by byte is cut off at the same
//! instant as one who sends nothing.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use super::stream::{READ_MAX, Stream, is_timeout, step};

/// A [`Stream`] as `std`'s [`Read`] and [`Write`], until a deadline: an error of kind
/// [`TimedOut`](io::ErrorKind::TimedOut) from then on, even if the other side sends byte by byte.
///
/// What is read and written here is not undone; the stream's timeouts are changed.
///
/// ```
/// use peerbeat::link::Until;
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
/// use std::time::{Duration, Instant};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let ours = TcpStream::connect(listener.local_addr()?)?;
/// let (theirs, _) = listener.accept()?;
///
/// let mut until = Until::new(&ours, Instant::now() + Duration::from_millis(50));
/// until.write_all(b"CONNECT\n\n\0")?;
/// let error = until.read(&mut [0; 64]).unwrap_err(); // the other side says nothing
/// assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
/// # drop(theirs);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Until<'a, S: ?Sized> {
    stream: &'a S,
    deadline: Instant,
    reads_late: bool,
}

impl<'a, S: Stream + ?Sized> Until<'a, S> {
    /// Reads and writes `stream` until `deadline`.
    pub fn new(stream: &'a S, deadline: Instant) -> Self {
        Self { stream, deadline, reads_late: false }
    }

    /// A socket timeout on the way to the deadline: never zero, which would mean "no limit", and
    /// no longer than until a look finds that the stream was shut.
    fn left(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        step(left).clamp(WAIT_MIN, READ_MAX)
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

impl<S: Stream + ?Sized> Read for Until<'_, S> {
    /// Reads what has come, however little. Looks at the stream before the clock, once: if this
    /// program was stopped, what came in time still counts.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let is_over = self.is_over();
        if std::mem::replace(&mut self.reads_late, is_over) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        loop {
            let timed = self.stream.set_read_timeout(self.left());
            match self.stream.read(buffer) {
                Err(e) if is_timeout(e.kind()) => timed?,
                result => return result,
            }
            if self.is_over() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

impl<S: Stream + ?Sized> Write for Until<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.stream.set_write_timeout(self.left())?;
            match self.stream.write(bytes) {
                Err(e) if is_timeout(e.kind()) && self.is_over() => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(e) if is_timeout(e.kind()) => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The shortest wait on a stream.
pub(super) const WAIT_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::net::Shutdown;
    use std::sync::Mutex;

    use super::*;

    /// Has nothing to read until the third time, and records the waits that it was asked for.
    struct Slow(Mutex<Vec<Duration>>);

    impl Stream for Slow {
        fn read(&self, _: &mut [u8]) -> io::Result<usize> {
            match self.0.lock().unwrap().len() {
                3 => Ok(0),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        }

        fn write(&self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
            self.0.lock().unwrap().push(timeout);
            Ok(())
        }

        fn set_write_timeout(&self, _: Duration) -> io::Result<()> {
            Ok(())
        }

        fn shutdown(&self, _: Shutdown) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_far_deadline_is_waited_for_in_steps_that_see_a_shutdown() {
        let slow = Slow(Mutex::default());
        let hour = Instant::now() + Duration::from_secs(3600);
        assert_eq!(Until::new(&slow, hour).read(&mut [0]).unwrap(), 0);
        assert_eq!(*slow.0.lock().unwrap(), [READ_MAX; 3]);
    }
}
