//! std's TCP socket as a [`Stream`], and what Windows does differently.
//!
//! On Windows a blocking `send` that times out does not report how much it has accepted: five such
//! writes that reported nothing had delivered 3.9 MB. Writing the same bytes again would corrupt
//! the stream, so we make no blocking write with a timeout there: we write without blocking, which
//! reports exactly what was accepted, and wait ourselves.
//!
//! Invariant: a write that returns an error has accepted no byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::stream::{Stream, is_timeout};

impl Stream for TcpStream {
    fn can_peek(&self) -> bool {
        true
    }

    #[inline]
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut &*self, buffer).map_err(of_read)
    }

    // One contiguous write: `writev` raises SIGPIPE in a C host, `send` as std calls it does not
    // (lesson 50).
    #[cfg(not(windows))]
    #[inline]
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut &*self, bytes).map_err(given_up)
    }

    #[cfg(windows)]
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        without_timeout::write(self, bytes)
    }

    fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        at_once(self, || Write::write(&mut &*self, bytes)).map_err(given_up)
    }

    fn set_blocking(&self) -> io::Result<()> {
        self.set_nonblocking(false)
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        TcpStream::set_nodelay(self, nodelay)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        TcpStream::set_read_timeout(self, Some(timeout))
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        // On Windows the wait of a write is ours, and short.
        TcpStream::set_write_timeout(self, Some(timeout).filter(|_| !cfg!(windows)))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        TcpStream::shutdown(self, how)
    }

    fn wait_readable(&self) -> io::Result<()> {
        self.peek(&mut [0]).map(drop).map_err(of_read)
    }

    // One of our writes or reads that begins in this moment may come back with `WouldBlock` early:
    // both take that as "look at the clock again".
    fn is_readable(&self) -> io::Result<bool> {
        match at_once(self, || self.peek(&mut [0])).map_err(given_up) {
            Err(e) if is_timeout(e.kind()) => Ok(false),
            // To look was to take it: the next call only finds the end.
            Err(e) => Err(e),
            Ok(_) => Ok(true),
        }
    }
}

/// Calls a system function that must not wait. The mode is the socket's, shared with every clone.
fn at_once(stream: &TcpStream, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    let _mine = without_timeout::lock(stream);
    stream.set_nonblocking(true)?;
    let result = call();
    let back = stream.set_nonblocking(false);
    // Accepted bytes count, whatever came after them.
    result.or_else(|error| back.and(Err(error)))
}

/// Distinguishes a connection that the kernel has given up from a wait whose time was up. On Unix
/// the latter is `WouldBlock`; `TimedOut` means that nothing was acknowledged for as long as the
/// kernel tries, and is said once, after which the socket only says that it has ended.
fn given_up(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::TimedOut if cfg!(unix) => {
            io::Error::new(io::ErrorKind::ConnectionAborted, error)
        }
        _ => error,
    }
}

/// As [`given_up`]. On Windows a wait whose time was up is `TimedOut`; `WouldBlock` means that the
/// read began while one of our writes had the socket in its other mode, long before its time.
fn of_read(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock if cfg!(windows) => io::ErrorKind::Interrupted.into(),
        _ => given_up(error),
    }
}

/// Writes that wait without a timeout of the socket's. Used on Windows, tested everywhere.
#[cfg(any(windows, test))]
mod without_timeout {
    use std::io::{self, ErrorKind, Write};
    use std::net::TcpStream;
    use std::sync::{Mutex, MutexGuard};
    use std::thread;
    use std::time::Duration;

    use crate::recover::Recover;

    /// Writes what the socket takes within some 15 ms; `WouldBlock` if that is nothing.
    pub(super) fn write(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        for pause in PAUSES_MS {
            match super::at_once(stream, || Write::write(&mut &*stream, bytes)) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_millis(pause));
                }
                result => return result,
            }
        }
        super::at_once(stream, || Write::write(&mut &*stream, bytes))
    }

    /// Holds the mode of a socket: while one call that must not wait is under way, no other may set
    /// the mode back. Held for three short system calls; sockets share locks.
    pub(super) fn lock(stream: &TcpStream) -> MutexGuard<'static, ()> {
        static LOCKS: [Mutex<()>; 64] = [const { Mutex::new(()) }; 64];
        #[cfg(windows)]
        let number = std::os::windows::io::AsRawSocket::as_raw_socket(stream) as usize / 4;
        #[cfg(not(windows))]
        let number = std::ptr::from_ref(stream) as usize / 16;
        LOCKS[number % LOCKS.len()].lock().recover()
    }

    /// The waits between looks.
    const PAUSES_MS: [u64; 4] = [1, 2, 4, 8];
}

/// Elsewhere a write of which the kernel took no byte reports that, and may wait in the kernel.
#[cfg(not(any(windows, test)))]
mod without_timeout {
    /// Nothing to hold: a thread that looks without waiting is the only one that does.
    pub(super) struct Free;

    pub(super) fn lock(_: &std::net::TcpStream) -> Free {
        Free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Instant;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn a_write_without_the_sockets_timeout_has_accepted_what_it_says() {
        let (near, mut far) = pair();
        let bytes = vec![7; 300_000];
        let (mut accepted, mut stuck) = (0, 0);
        // The kernel finds more room later: what counts is that every byte is accounted for.
        while stuck < 5 {
            match without_timeout::write(&near, &bytes) {
                Ok(count) => accepted += count,
                Err(e) => {
                    assert_eq!(e.kind(), io::ErrorKind::WouldBlock);
                    stuck += 1;
                }
            }
        }
        near.shutdown(Shutdown::Write).unwrap();
        let mut arrived = Vec::new();
        far.read_to_end(&mut arrived).unwrap();
        assert_eq!(arrived.len(), accepted);
    }

    // Wine's look finds an end of the stream in its place.
    #[test]
    #[cfg(unix)]
    fn a_look_that_finds_a_reset_says_so() {
        let (near, far) = pair();
        Write::write(&mut &near, b"unread").unwrap();
        far.peek(&mut [0]).unwrap();
        // Closed with bytes unread.
        drop(far);
        near.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let found = loop {
            match near.is_readable() {
                Ok(false) => thread::yield_now(),
                found => break found,
            }
        };
        assert_eq!(found.map_err(|e| e.kind()), Err(io::ErrorKind::ConnectionReset));
    }

    #[test]
    fn calls_that_must_not_wait_do_not_undo_each_other() {
        let (near, _far) = pair();
        while at_once(&near, || Write::write(&mut &near, &[0; 100_000])).is_ok() {}
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(!near.is_readable().unwrap());
                }
            });
            // One that finds the socket in its waiting mode waits until its timeout.
            let timeout = Duration::from_secs(5);
            TcpStream::set_write_timeout(&near, Some(timeout)).unwrap();
            for _ in 0..20_000 {
                let began = Instant::now();
                let _stuck = near.write_at_once(&[0; 100_000]);
                assert!(began.elapsed() < timeout, "it waited");
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
