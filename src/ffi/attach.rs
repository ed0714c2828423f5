//! Sockets of the host that become links.
//!
//! A socket stays the host's until the link lives: we work on a duplicate, and restore its settings
//! if no link comes of it. The number that the host knows stays open, because the host may have it
//! in a set of `epoll`; the link closes it when it has ended.

use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::net::TcpStream;
use std::ptr::null;
use std::time::Duration;

use super::fault::{E_IO, Fault};
use super::guard::guard;
use super::handle::check_thread;
use super::layer::PeerbeatLayer;
use super::link::PeerbeatLink;
use super::open::{greet, start};
use super::options::{Checked, Handshake, PeerbeatOptions};
use super::pointer::output;

/// Makes a link of a connected socket.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_attach_fd(
    fd: c_int,
    options: *const PeerbeatOptions,
    link: *mut *mut PeerbeatLink,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { attach(fd, options, null(), link) }
    })
}

/// Makes a link of a connected socket, over a layer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_attach_fd_layered(
    fd: c_int,
    options: *const PeerbeatOptions,
    layer: *const PeerbeatLayer,
    link: *mut *mut PeerbeatLink,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { attach(fd, options, layer, link) }
    })
}

/// # Safety
/// Pointers are as the header says; `fd` is a descriptor that the host may hand over, or none.
unsafe fn attach(
    fd: c_int,
    options: *const PeerbeatOptions,
    layer: *const PeerbeatLayer,
    link: *mut *mut PeerbeatLink,
) -> Result<(), Fault> {
    check_thread()?;
    // SAFETY: passed on.
    let options = unsafe { Checked::read_layered(options, layer) }?;
    // SAFETY: passed on.
    let out = unsafe { output(link, "link") }?;
    // SAFETY: passed on.
    let mut socket = unsafe { HostSocket::look(fd) }?;
    out.set(socket.attach(&options).inspect_err(|_| socket.restore())?);
    Ok(())
}

/// A host's socket, and how it was.
#[derive(Debug)]
struct HostSocket {
    /// Closed only by the link that it becomes.
    stream: ManuallyDrop<TcpStream>,
    fd: c_int,
    is_blocking: bool,
    nodelay: Option<bool>,
    /// For reading and writing.
    timeouts: [Option<Duration>; 2],
}

impl HostSocket {
    /// Looks at a descriptor without taking it over.
    ///
    /// # Safety
    /// `fd` is a descriptor that the host may hand over, or none.
    unsafe fn look(fd: c_int) -> Result<Self, Fault> {
        // SAFETY: passed on.
        let stream = unsafe { system::stream(fd) }?;
        match stream.peer_addr() {
            // Without a number it is not the system's error but std's: connected, but no TCP.
            Err(error) if error.raw_os_error().is_some() => {
                let what = format!("descriptor {fd} is not a connected socket: {error}");
                return Err(Fault::invalid(what));
            }
            _ => {}
        }
        system::check_type(fd)?;
        Ok(Self {
            fd,
            is_blocking: system::is_blocking(fd),
            nodelay: stream.nodelay().ok(),
            timeouts: [
                stream.read_timeout().unwrap_or_default(),
                stream.write_timeout().unwrap_or_default(),
            ],
            stream,
        })
    }

    fn attach(&mut self, options: &Checked) -> Result<*mut PeerbeatLink, Fault> {
        let fd = self.fd;
        let refused = |error| Fault::io(E_IO, format!("cannot take over descriptor {fd}"), &error);
        self.stream.set_nonblocking(false).map_err(refused)?;
        let copy = self.stream.try_clone().map_err(refused)?;
        let greeted = greet(copy, options, Handshake::Dial, c"")?;
        start(greeted, options, || {
            // SAFETY: the link lives; this value is not used after it.
            Some(unsafe { ManuallyDrop::take(&mut self.stream) })
        })
    }

    /// Puts back what we have set; a socket that refuses has ended.
    fn restore(&self) {
        let _ended = self.stream.set_nonblocking(!self.is_blocking);
        let _ended = self.stream.set_read_timeout(self.timeouts[0]);
        let _ended = self.stream.set_write_timeout(self.timeouts[1]);
        if let Some(nodelay) = self.nodelay {
            let _ended = self.stream.set_nodelay(nodelay);
        }
    }
}

#[cfg(unix)]
mod system {
    use std::ffi::{c_int, c_void};
    use std::mem::ManuallyDrop;
    use std::net::TcpStream;
    use std::os::fd::FromRawFd;

    use crate::ffi::fault::Fault;

    const IS_LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));
    const IS_MIPS: bool = cfg!(any(target_arch = "mips", target_arch = "mips64"));
    const SOL_SOCKET: c_int = if IS_LINUX && !IS_MIPS { 1 } else { 0xffff };
    const SO_TYPE: c_int = if IS_LINUX && !IS_MIPS { 3 } else { 0x1008 };
    const SOCK_STREAM: c_int = if IS_LINUX && IS_MIPS { 2 } else { 1 };
    const F_GETFL: c_int = 3;
    const O_NONBLOCK: c_int = match (IS_LINUX, IS_MIPS) {
        (true, false) => 0o4000,
        (true, true) => 0o200,
        (false, _) => 4,
    };

    unsafe extern "C" {
        fn getsockopt(
            fd: c_int,
            level: c_int,
            name: c_int,
            value: *mut c_void,
            length: *mut u32,
        ) -> c_int;
        fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    }

    /// # Safety
    /// `fd` is a descriptor that the host may hand over, or none.
    pub(super) unsafe fn stream(fd: c_int) -> Result<ManuallyDrop<TcpStream>, Fault> {
        if fd < 0 {
            return Err(Fault::invalid(format!("fd is {fd}")));
        }
        #[cfg(target_vendor = "apple")]
        silence_sigpipe(fd);
        // SAFETY: the caller's promise; it is not closed with what we make of it here.
        Ok(ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(fd) }))
    }

    pub(super) fn check_type(fd: c_int) -> Result<(), Fault> {
        let (mut kind, mut length) = (0 as c_int, size_of::<c_int>() as u32);
        let value = (&raw mut kind).cast();
        // SAFETY: an int, as long as it says.
        let failed = unsafe { getsockopt(fd, SOL_SOCKET, SO_TYPE, value, &raw mut length) } != 0;
        if failed || kind != SOCK_STREAM {
            let what = format!("descriptor {fd} is a socket for datagrams, not for a stream");
            return Err(Fault::invalid(what));
        }
        Ok(())
    }

    pub(super) fn is_blocking(fd: c_int) -> bool {
        // SAFETY: it asks, and changes nothing.
        let flags = unsafe { fcntl(fd, F_GETFL) };
        flags & O_NONBLOCK == 0
    }

    /// Sets `SO_NOSIGPIPE`, as std does for sockets that it makes: there is no flag for a single
    /// write.
    #[cfg(target_vendor = "apple")]
    fn silence_sigpipe(fd: c_int) {
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
}

#[cfg(windows)]
mod system {
    use std::ffi::c_int;
    use std::mem::ManuallyDrop;
    use std::net::TcpStream;
    use std::os::windows::io::{FromRawSocket, RawSocket};

    use crate::ffi::fault::Fault;

    const SOL_SOCKET: c_int = 0xffff;
    const SO_TYPE: c_int = 0x1008;
    const SOCK_STREAM: c_int = 1;

    #[link(name = "ws2_32")]
    unsafe extern "system" {
        fn getsockopt(
            socket: RawSocket,
            level: c_int,
            name: c_int,
            value: *mut u8,
            length: *mut c_int,
        ) -> c_int;
    }

    /// # Safety
    /// `fd` is a `SOCKET` that the host may hand over, or none. One of Windows fits an int.
    pub(super) unsafe fn stream(fd: c_int) -> Result<ManuallyDrop<TcpStream>, Fault> {
        let socket = RawSocket::try_from(fd).map_err(|_| Fault::invalid(format!("fd is {fd}")))?;
        // SAFETY: the caller's promise; it is not closed with what we make of it here.
        Ok(ManuallyDrop::new(unsafe { TcpStream::from_raw_socket(socket) }))
    }

    pub(super) fn check_type(fd: c_int) -> Result<(), Fault> {
        let (mut kind, mut length) = (0 as c_int, size_of::<c_int>() as c_int);
        let (socket, value) = (fd as RawSocket, (&raw mut kind).cast());
        // SAFETY: an int, as long as it says.
        let failed =
            unsafe { getsockopt(socket, SOL_SOCKET, SO_TYPE, value, &raw mut length) } != 0;
        if failed || kind != SOCK_STREAM {
            let what = format!("socket {fd} is one for datagrams, not for a stream");
            return Err(Fault::invalid(what));
        }
        Ok(())
    }

    /// Windows does not report this: a socket that is handed over is assumed to be blocking.
    pub(super) fn is_blocking(_fd: c_int) -> bool {
        true
    }
}
