//! Listening for C: connections are accepted by asking, with a timeout.
//!
//! std's listener has no timeout, so the wait is the system's `poll` on non-blocking listeners and
//! on the descriptor that signals finished handshakes.

use std::ffi::{c_char, c_int};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::ptr::null;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::convert::timeout;
use super::fault::{E_CLOSED, E_IO, E_LISTEN, E_TIMEOUT, Fault};
use super::guard::guard;
use super::handle::{Handle, check_thread, handle, take};
use super::handshakes::{Handshakes, Opened};
use super::layer::PeerbeatLayer;
use super::link::{PeerbeatLink, peerbeat_link_free};
use super::open::open;
use super::options::{Checked, Handshake, PeerbeatOptions};
use super::pointer::{optional_text, output};
use crate::node::listening_sockets;

/// `peerbeat_listener`.
#[derive(Debug)]
pub struct PeerbeatListener {
    handle: Handle<Listening>,
}

#[derive(Debug)]
struct Listening {
    /// One, or one for IPv6 and one for IPv4.
    sockets: Vec<TcpListener>,
    port: u16,
    closed: AtomicBool,
    handshakes: Arc<Handshakes>,
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
        check_thread()?;
        // SAFETY: as the header says.
        let host = unsafe { optional_text(host, "host") }?;
        // SAFETY: as the header says.
        let out = unsafe { output(listener, "listener") }?;
        let doing = || {
            let host = host.unwrap_or("every address").escape_debug();
            format!("{host}, port {port}")
        };
        let refused = |error: io::Error| Fault::io(E_LISTEN, doing(), &error);
        let sockets = listening_sockets(host, port).map_err(refused)?;
        for socket in &sockets {
            socket.set_nonblocking(true).map_err(refused)?;
        }
        let first = sockets.first().ok_or_else(|| refused(io::ErrorKind::AddrNotAvailable.into()));
        let port = first?.local_addr().map_err(refused)?.port();
        let handshakes = Arc::new(Handshakes::new().map_err(refused)?);
        let listening = Listening { sockets, port, closed: AtomicBool::new(false), handshakes };
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

/// Waits for the next connection whose handshake is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_listener_accept(
    listener: *mut PeerbeatListener,
    options: *const PeerbeatOptions,
    timeout_ms: c_int,
    link: *mut *mut PeerbeatLink,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { next(listener, options, null(), timeout_ms, link) }
    })
}

/// Waits for the next connection whose handshake is done, over a layer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_listener_accept_layered(
    listener: *mut PeerbeatListener,
    options: *const PeerbeatOptions,
    layer: *const PeerbeatLayer,
    timeout_ms: c_int,
    link: *mut *mut PeerbeatLink,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { next(listener, options, layer, timeout_ms, link) }
    })
}

/// # Safety
/// Pointers are as the header says.
unsafe fn next(
    listener: *mut PeerbeatListener,
    options: *const PeerbeatOptions,
    layer: *const PeerbeatLayer,
    timeout_ms: c_int,
    link: *mut *mut PeerbeatLink,
) -> Result<(), Fault> {
    // SAFETY: passed on.
    let listener = unsafe { handle(listener, "listener") }?.handle.enter()?;
    // SAFETY: passed on.
    let options = unsafe { Checked::read_layered(options, layer) }?;
    // SAFETY: passed on.
    let out = unsafe { output(link, "link") }?;
    out.set(accept(&listener, &options, timeout(timeout_ms))?.0);
    Ok(())
}

/// Wakes who waits in accept, ends handshakes that are under way, and frees.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_listener_free(listener: *mut PeerbeatListener) -> c_int {
    guard(|| {
        if listener.is_null() {
            return Ok(());
        }
        // SAFETY: as the header says.
        let inside = unsafe { handle(listener, "listener") }?;
        inside.handle.check_caller()?;
        let listening = inside.handle.inner();
        listening.closed.store(true, Ordering::Release);
        listening.handshakes.begin_end();
        inside.handle.wait_alone(None);
        for link in listening.handshakes.end() {
            // SAFETY: a link that was not taken.
            unsafe { peerbeat_link_free(link) };
        }
        // SAFETY: it came from `open`, no thread is inside, and it is not used after this.
        drop(unsafe { take(listener) });
        Ok(())
    })
}

fn accept(
    listening: &Listening,
    options: &Checked,
    timeout: Option<Duration>,
) -> Result<Opened, Fault> {
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        if listening.closed.load(Ordering::Acquire) {
            return Err(Fault::new(E_CLOSED, "the listener is being freed"));
        }
        if let Some(done) = listening.handshakes.take() {
            return done;
        }
        let mut came = false;
        for socket in &listening.sockets {
            let Some(stream) = accept_one(socket)? else { continue };
            came = true;
            if options.handshake == Handshake::None && options.layer.is_none() {
                return open(stream, options, Handshake::Accept, c"").map(Opened);
            }
            listening.handshakes.begin(stream, options.clone())?;
        }
        let left = until.map_or(NEWS_POLL, |until| until.saturating_duration_since(Instant::now()));
        if came {
            continue;
        }
        if left.is_zero() {
            return Err(Fault::new(E_TIMEOUT, "no connection came in time"));
        }
        wait_readable(listening, left.min(NEWS_POLL));
    }
}

/// A connection that waits on a socket, if there is one.
fn accept_one(socket: &TcpListener) -> Result<Option<TcpStream>, Fault> {
    let refused = |error| Fault::io(E_IO, "cannot accept", &error);
    match socket.accept() {
        Ok((stream, _)) => {
            stream.set_nonblocking(false).map_err(refused)?;
            Ok(Some(stream))
        }
        Err(error) if is_passing(error.kind()) => Ok(None),
        Err(error) => Err(refused(error)),
    }
}

/// No client was there, or one that has gone again.
fn is_passing(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(kind, WouldBlock | Interrupted | ConnectionAborted | ConnectionReset)
}

/// Waits until a connection is there, or a handshake is done, or for `time`; may come back early.
#[cfg(unix)]
fn wait_readable(listening: &Listening, time: Duration) {
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
    let sockets = listening.sockets.iter().map(AsRawFd::as_raw_fd);
    let fds = sockets.chain([listening.handshakes.done.fd()]);
    let mut fds: Vec<_> = fds.map(|fd| PollFd { fd, events: POLLIN, revents: 0 }).collect();
    // Rounded up: a wait of nothing would be a spin.
    let millis = c_int::try_from(time.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX);
    // SAFETY: as many entries as counted; they live longer than the call.
    unsafe { poll(fds.as_mut_ptr(), fds.len() as Count, millis) };
}

/// As above, for systems without `poll`.
#[cfg(not(unix))]
fn wait_readable(_listening: &Listening, time: Duration) {
    std::thread::sleep(time.min(Duration::from_millis(10)));
}

/// How long the wait goes on before it looks again, in case another thread took the news.
const NEWS_POLL: Duration = Duration::from_millis(50);
