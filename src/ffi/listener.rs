//! Listening for C: one connection at a time, with a limit on the wait.
//!
//! std's listener waits for ever, so the wait is the system's `poll` on a listener that never
//! blocks, in steps short enough that freeing it from another thread is seen.

use std::ffi::{c_char, c_int};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::fault::{E_CLOSED, E_IO, E_LISTEN, E_TIMEOUT, Fault};
use super::guard::guard;
use super::handle::{Handle, handle, take};
use super::link::PeerbeatLink;
use super::open::open;
use super::options::{Checked, Handshake, PeerbeatOptions};
use super::pointer::{optional_text, output};
use super::receive::timeout;

/// `peerbeat_listener`.
#[derive(Debug)]
pub struct PeerbeatListener {
    handle: Handle<Listening>,
}

#[derive(Debug)]
struct Listening {
    listener: TcpListener,
    port: u16,
    closed: AtomicBool,
}

impl From<Handle<Listening>> for PeerbeatListener {
    fn from(handle: Handle<Listening>) -> Self {
        Self { handle }
    }
}

/// Listens.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_listener_open(
    host: *const c_char,
    port: u16,
    listener: *mut *mut PeerbeatListener,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let host = unsafe { optional_text(host, "host") }?;
        // SAFETY: as the header says.
        let out = unsafe { output(listener, "listener") }?;
        let bound = match host {
            Some(host) => TcpListener::bind((host, port)),
            // Both protocols through one socket where the system does that, else the older one.
            None => {
                TcpListener::bind(("::", port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)))
            }
        };
        let doing = || {
            let host = host.unwrap_or("every address").escape_debug();
            format!("cannot listen on {host}, port {port}")
        };
        let refused = |error: io::Error| Fault::io(E_LISTEN, doing(), &error);
        let listener = bound.map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let port = listener.local_addr().map_err(refused)?.port();
        let listening = Listening { listener, port, closed: AtomicBool::new(false) };
        out.set(Handle::new(listening).into_raw());
        Ok(())
    })
}

/// The port it listens on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_listener_port(
    listener: *mut PeerbeatListener,
    port: *mut u16,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let listener = unsafe { handle(listener, "listener") }?.handle.enter()?;
        // SAFETY: as the header says.
        unsafe { output(port, "port") }?.set(listener.port);
        Ok(())
    })
}

/// Waits for a connection and shakes hands.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_listener_accept(
    listener: *mut PeerbeatListener,
    options: *const PeerbeatOptions,
    timeout_ms: c_int,
    link: *mut *mut PeerbeatLink,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let listener = unsafe { handle(listener, "listener") }?.handle.enter()?;
        // SAFETY: as the header says.
        let options = unsafe { Checked::read(options) }?;
        // SAFETY: as the header says.
        let out = unsafe { output(link, "link") }?;
        let stream = accept(&listener, timeout(timeout_ms))?;
        out.set(open(stream, &options, Handshake::Accept)?);
        Ok(())
    })
}

/// Wakes who waits in accept, and frees.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_listener_free(listener: *mut PeerbeatListener) -> c_int {
    guard(|| {
        if listener.is_null() {
            return Ok(());
        }
        // SAFETY: as the header says.
        let inside = unsafe { handle(listener, "listener") }?;
        inside.handle.check_process()?;
        inside.handle.inner().closed.store(true, Ordering::Release);
        inside.handle.wait_alone();
        // SAFETY: it came from `open`, nobody is inside, and it is not used after this.
        drop(unsafe { take(listener) });
        Ok(())
    })
}

fn accept(listening: &Listening, timeout: Option<Duration>) -> Result<TcpStream, Fault> {
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        if listening.closed.load(Ordering::Acquire) {
            return Err(Fault::new(E_CLOSED, "the listener is being freed"));
        }
        match listening.listener.accept() {
            Ok((stream, _)) => {
                let blocking = stream.set_nonblocking(false);
                blocking.map_err(|error| Fault::io(E_IO, "cannot accept", &error))?;
                return Ok(stream);
            }
            Err(error) if is_passing(error.kind()) => {}
            Err(error) => return Err(Fault::io(E_IO, "cannot accept", &error)),
        }
        let left = until.map_or(STEP, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(Fault::new(E_TIMEOUT, "no connection came in time"));
        }
        wait_readable(&listening.listener, left.min(STEP));
    }
}

/// Nobody was there, or somebody who has gone again.
fn is_passing(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(kind, WouldBlock | Interrupted | ConnectionAborted | ConnectionReset)
}

/// Waits until a connection is there, or for `time`; may come back early.
#[cfg(unix)]
fn wait_readable(listener: &TcpListener, time: Duration) {
    use std::os::fd::AsRawFd;
    /// `struct pollfd`, the same on every Unix.
    #[repr(C)]
    struct PollFd {
        fd: c_int,
        events: i16,
        revents: i16,
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    type Count = std::ffi::c_ulong;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    type Count = std::ffi::c_uint;
    unsafe extern "C" {
        fn poll(fds: *mut PollFd, count: Count, timeout_ms: c_int) -> c_int;
    }
    const POLLIN: i16 = 1;
    let mut fd = PollFd { fd: listener.as_raw_fd(), events: POLLIN, revents: 0 };
    // Rounded up: a wait of nothing would be a spin.
    let millis = c_int::try_from(time.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX);
    // SAFETY: one entry, as counted; it lives longer than the call.
    unsafe { poll(&raw mut fd, 1, millis) };
}

/// As above, for systems without `poll`.
#[cfg(not(unix))]
fn wait_readable(_listener: &TcpListener, time: Duration) {
    std::thread::sleep(time.min(Duration::from_millis(10)));
}

/// How long the wait goes on before it looks whether the listener is being freed.
const STEP: Duration = Duration::from_millis(50);
