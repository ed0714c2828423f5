//! A socket with a door in front of it: so many bytes pass, and then none until the test says so.
//!
//! How much a kernel buffers of a stream that is not read cannot be known: it depends on the
//! machine, grows while the test runs, and is a hundred times more on other machines. A test that
//! needs a write to get stuck and stay stuck puts this between the link and its socket.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use peerbeat::link::Stream;

/// A socket whose writes pass a [`Door`]; reads are the socket's own.
#[derive(Debug)]
pub(crate) struct Narrow {
    socket: TcpStream,
    door: Door,
    timeout: Mutex<Duration>,
}

/// What lets the bytes of a [`Narrow`] through; clones are the same door.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    shared: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    /// Bytes that may still pass.
    room: usize,
    /// From when this is true, each write passes up to so many bytes, whatever `room` is.
    opens: Option<(Box<dyn Fn() -> bool + Send>, usize)>,
    is_shut: bool,
}

impl Narrow {
    /// Lets `room` bytes through.
    pub(crate) fn new(socket: TcpStream, room: usize) -> (Self, Door) {
        // The wait is the door's: the kernel has room for what passes, or is stuck as well.
        Stream::set_write_timeout(&socket, TURN).unwrap();
        let state = State { room, opens: None, is_shut: false };
        let door = Door { shared: Arc::new((Mutex::new(state), Condvar::new())) };
        (Self { socket, door: door.clone(), timeout: Mutex::new(Duration::MAX) }, door)
    }

    fn write_within(&self, bytes: &[u8], timeout: Duration) -> io::Result<usize> {
        let count = bytes.len().min(self.door.wait(timeout)?);
        let written = Stream::write(&self.socket, &bytes[..count])?;
        self.door.take(written);
        Ok(written)
    }
}

impl Door {
    /// Lets everything through from now on.
    pub(crate) fn open(&self) {
        self.lock().room = usize::MAX;
        self.shared.1.notify_all();
    }

    /// Lets up to `count` bytes of each write through, once `is_time`.
    pub(crate) fn open_when(&self, is_time: impl Fn() -> bool + Send + 'static, count: usize) {
        self.lock().opens = Some((Box::new(is_time), count));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    /// How many bytes may pass, which is more than none within `timeout`.
    fn wait(&self, timeout: Duration) -> io::Result<usize> {
        let until = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        loop {
            if state.is_shut {
                return Err(ErrorKind::BrokenPipe.into());
            }
            let opened = match &state.opens {
                Some((is_time, count)) if is_time() => *count,
                _ => 0,
            };
            if state.room.max(opened) > 0 {
                return Ok(state.room.max(opened));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(ErrorKind::WouldBlock.into());
            }
            // Nothing wakes this when the door opens.
            let turn = left.unwrap_or(TURN).min(TURN);
            state = self.shared.1.wait_timeout(state, turn).unwrap().0;
        }
    }

    fn take(&self, count: usize) {
        let mut state = self.lock();
        if state.room < usize::MAX {
            state.room = state.room.saturating_sub(count);
        }
    }
}

impl Stream for Narrow {
    fn can_peek(&self) -> bool {
        self.socket.can_peek()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Stream::read(&self.socket, buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let timeout = *self.timeout.lock().unwrap();
        self.write_within(bytes, timeout)
    }

    fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_within(bytes, Duration::ZERO)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        Stream::set_read_timeout(&self.socket, timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        *self.timeout.lock().unwrap() = timeout;
        Ok(())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            self.door.lock().is_shut = true;
            self.door.shared.1.notify_all();
        }
        Stream::shutdown(&self.socket, how)
    }

    fn wait_readable(&self) -> io::Result<()> {
        self.socket.wait_readable()
    }

    fn is_readable(&self) -> io::Result<bool> {
        self.socket.is_readable()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("room", &self.room).finish_non_exhaustive()
    }
}

/// How often a door looks whether it is time.
const TURN: Duration = Duration::from_millis(1);
