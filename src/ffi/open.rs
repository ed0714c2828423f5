//! How a link begins: connect, or take over a socket; shake hands; start its threads.
//!
//! A socket that was handed in stays the host's until the link lives: we work on a duplicate, and
//! close the original only then. The reader's thread is ours to join.

use std::ffi::{c_char, c_int};
use std::io;
use std::mem::ManuallyDrop;
use std::net::{TcpStream, ToSocketAddrs};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::fault::{E_CONNECT, E_HANDSHAKE, E_IO, E_LIMIT, E_REFUSED, Fault};
use super::guard::guard;
use super::handle::Handle;
use super::link::{LinkParts, PeerbeatLink};
use super::options::{Checked, Handshake, PeerbeatOptions};
use super::pointer::{c_text, output, text};
use crate::link::{Handler, Inbox, Link, Options, Reader, threads};
use crate::node::handshake::{self, Greeting, HandshakeError};

/// Connects and shakes hands.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_connect(
    host: *const c_char,
    port: u16,
    options: *const PeerbeatOptions,
    link: *mut *mut PeerbeatLink,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let host = unsafe { text(host, "host") }?;
        // SAFETY: as the header says.
        let options = unsafe { Checked::read(options) }?;
        // SAFETY: as the header says.
        let out = unsafe { output(link, "link") }?;
        let stream = connect(host, port, &options)?;
        out.set(open(stream, &options, Handshake::Dial)?);
        Ok(())
    })
}

/// Makes a link of a connected socket.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_attach_fd(
    fd: c_int,
    options: *const PeerbeatOptions,
    link: *mut *mut PeerbeatLink,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let options = unsafe { Checked::read(options) }?;
        // SAFETY: as the header says.
        let out = unsafe { output(link, "link") }?;
        // SAFETY: as the header says.
        let original = unsafe { look_at_socket(fd) }?;
        let refused = |error| Fault::io(E_IO, format!("cannot take over descriptor {fd}"), &error);
        let copy = original.try_clone().map_err(refused)?;
        copy.set_nonblocking(false).map_err(refused)?;
        out.set(open(copy, &options, Handshake::Dial)?);
        drop(ManuallyDrop::into_inner(original));
        Ok(())
    })
}

/// Shakes hands on an established connection and starts a link on it.
pub(super) fn open(
    stream: TcpStream,
    options: &Checked,
    default: Handshake,
) -> Result<*mut PeerbeatLink, Fault> {
    // Not every stream socket knows it, and it only saves time.
    let _unknown = stream.set_nodelay(options.tcp_nodelay);
    let greeting = greet(&stream, options, default)?;
    let mut link_options = options.link.clone();
    link_options.name = options.thread_name.clone().unwrap_or_else(|| greeting.name.clone());
    link_options.peer_heartbeat_time_ms = greeting.heartbeat_time_ms;
    let established = Link::establish(stream, options.framing, &greeting.received, &link_options);
    let (link, reader) = established.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => Fault::new(E_LIMIT, error),
        _ => Fault::io(E_IO, "cannot start the link", &error),
    })?;
    let inbox = Inbox::new(options.inbox_bytes);
    let reader = read(&link_options, reader, &link, &inbox);
    let reader = reader.map_err(|error| Fault::thread(&error))?;
    let parts = LinkParts::new(link, inbox, reader, c_text(&greeting.name));
    Ok(Handle::new(parts).into_raw())
}

/// Runs the reader on a thread of ours, so that it can be joined.
fn read(
    options: &Options,
    reader: Reader,
    link: &Link,
    inbox: &Inbox,
) -> io::Result<JoinHandle<()>> {
    let (link, mut inbox, mut reader) = (link.clone(), inbox.clone(), Box::new(reader));
    threads::spawn(&format!("pb-r:{}", options.name), options.stack_size, move || {
        let _closes = CloseOnPanic(inbox.clone());
        reader.run_and_tell(&mut inbox, |inbox, down| inbox.on_down(&link, down));
    })
}

/// Wakes those who wait for messages also where a mistake of ours ends the reader.
struct CloseOnPanic(Inbox);

impl Drop for CloseOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.close();
        }
    }
}

fn connect(host: &str, port: u16, options: &Checked) -> Result<TcpStream, Fault> {
    let place = || format!("{}:{port}", host.escape_debug());
    let addresses = (host, port).to_socket_addrs();
    let addresses = addresses
        .map_err(|error| Fault::io(E_CONNECT, format!("cannot resolve {}", place()), &error))?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, options.connect_timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::NotFound.into());
    Err(Fault::io(E_CONNECT, format!("cannot connect to {}", place()), &error))
}

fn greet(stream: &TcpStream, options: &Checked, default: Handshake) -> Result<Greeting, Fault> {
    let handshake = match options.handshake {
        Handshake::Default => default,
        other => other,
    };
    let deadline = Instant::now() + options.handshake_timeout;
    let greeting = match handshake {
        Handshake::None => Ok(Greeting {
            name: String::new(),
            label: String::new(),
            id: 0,
            always: false,
            heartbeat_time_ms: None,
            received: Vec::new(),
        }),
        Handshake::Accept => handshake::accept(stream, &options.hello(), deadline),
        Handshake::Dial | Handshake::Default => handshake::dial(stream, &options.hello(), deadline),
    };
    greeting.map_err(|error| match error {
        HandshakeError::Io(error) => Fault::io(E_IO, "the handshake failed", &error),
        HandshakeError::Refused { .. } => Fault::new(E_REFUSED, format!("refused: {error}")),
        _ => Fault::new(E_HANDSHAKE, format!("the handshake failed: {error}")),
    })
}

/// Looks at a socket of the host's without taking it over.
///
/// # Safety
/// `fd` is a descriptor that the host may hand over, or none.
#[cfg(unix)]
unsafe fn look_at_socket(fd: c_int) -> Result<ManuallyDrop<TcpStream>, Fault> {
    use std::os::fd::FromRawFd;
    if fd < 0 {
        return Err(Fault::invalid(format!("fd is {fd}")));
    }
    // SAFETY: the caller's promise; it is not closed with what we make of it here.
    let stream = ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(fd) });
    match stream.peer_addr() {
        // Without a number it is not the system's error but std's: connected, but no TCP.
        Err(error) if error.raw_os_error().is_some() => {
            return Err(Fault::invalid(format!("descriptor {fd} is no connected socket: {error}")));
        }
        _ => {}
    }
    #[cfg(target_vendor = "apple")]
    silence_sigpipe(fd);
    Ok(stream)
}

/// As above; a `SOCKET` of Windows fits an int.
#[cfg(windows)]
unsafe fn look_at_socket(fd: c_int) -> Result<ManuallyDrop<TcpStream>, Fault> {
    use std::os::windows::io::{FromRawSocket, RawSocket};
    let socket = RawSocket::try_from(fd).map_err(|_| Fault::invalid(format!("fd is {fd}")))?;
    // SAFETY: the caller's promise; it is not closed with what we make of it here.
    let stream = ManuallyDrop::new(unsafe { TcpStream::from_raw_socket(socket) });
    match stream.peer_addr() {
        Ok(_) => Ok(stream),
        Err(error) => Err(Fault::invalid(format!("{fd} is no connected socket: {error}"))),
    }
}

/// Sets `SO_NOSIGPIPE`, as std does for sockets that it makes: there is no flag for a single write.
#[cfg(target_vendor = "apple")]
fn silence_sigpipe(fd: c_int) {
    const SOL_SOCKET: c_int = 0xffff;
    const SO_NOSIGPIPE: c_int = 0x1022;
    unsafe extern "C" {
        fn setsockopt(
            fd: c_int,
            level: c_int,
            name: c_int,
            value: *const c_int,
            length: u32,
        ) -> c_int;
    }
    let on: c_int = 1;
    // SAFETY: the option's value is an int.
    unsafe { setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &raw const on, 4) };
}
