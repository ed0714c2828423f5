//! A descriptor that becomes readable, for those who wait with `poll`.
//!
//! Two ends of a socket: a byte in it means "look again". At most one byte is in it, so that it
//! never fills, and nothing needs to read it but [`Notifier::clear`].

use std::io::{self, Read, Write};
use std::sync::Mutex;

#[cfg(not(unix))]
use std::net::TcpStream as Socket;
#[cfg(unix)]
use std::os::unix::net::UnixStream as Socket;

use super::handle::lock;

/// The two ends, and whether a byte is between them.
#[derive(Debug)]
pub(super) struct Notifier {
    waits: Socket,
    tells: Socket,
    is_set: Mutex<bool>,
}

impl Notifier {
    pub(super) fn new() -> io::Result<Self> {
        let (waits, tells) = pair()?;
        waits.set_nonblocking(true)?;
        tells.set_nonblocking(true)?;
        Ok(Self { waits, tells, is_set: Mutex::new(false) })
    }

    /// Makes it readable.
    pub(super) fn set(&self) {
        let mut is_set = lock(&self.is_set);
        if !*is_set {
            // The other end lives as long: this cannot raise SIGPIPE.
            *is_set = (&self.tells).write(&[1]).is_ok();
        }
    }

    /// Makes it unreadable until it is set again.
    pub(super) fn clear(&self) {
        let mut is_set = lock(&self.is_set);
        let mut waste = [0; 8];
        while (&self.waits).read(&mut waste).is_ok_and(|count| count > 0) {}
        *is_set = false;
    }

    /// The end to wait on.
    #[cfg(unix)]
    pub(super) fn fd(&self) -> std::ffi::c_int {
        std::os::fd::AsRawFd::as_raw_fd(&self.waits)
    }

    /// As above; a `SOCKET` of Windows fits an int.
    #[cfg(windows)]
    pub(super) fn fd(&self) -> std::ffi::c_int {
        std::os::windows::io::AsRawSocket::as_raw_socket(&self.waits) as std::ffi::c_int
    }
}

#[cfg(unix)]
fn pair() -> io::Result<(Socket, Socket)> {
    Socket::pair()
}

/// Two ends over loopback; a stranger who gets in between is turned away.
#[cfg(not(unix))]
fn pair() -> io::Result<(Socket, Socket)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let tells = Socket::connect(listener.local_addr()?)?;
    loop {
        let (waits, from) = listener.accept()?;
        if from == tells.local_addr()? {
            return Ok((waits, tells));
        }
    }
}
