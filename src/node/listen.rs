//! The listening sockets of a node, and how a thread that waits on one is woken.
//!
//! Without `datasrc-interface` one socket takes IPv6 and IPv4 alike, where the system can; else
//! two, or the one that there is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::error::StartError;
use super::limits::{SystemLimits, is_out_of_descriptors};
use crate::config::{Config, Port};

/// A socket that listens, and the means to wake whoever waits on it.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) waker: Waker,
    pub(super) addr: SocketAddr,
}

/// Wakes the thread that waits for connections on a socket.
#[derive(Debug)]
pub(super) struct Waker {
    addr: SocketAddr,
    #[cfg(unix)]
    socket: TcpStream,
}

impl Waker {
    fn new(listener: &TcpListener, addr: SocketAddr) -> io::Result<Self> {
        #[cfg(unix)]
        {
            // std cannot shut a listening socket down, but a stream made of its descriptor can.
            let socket = TcpStream::from(std::os::fd::OwnedFd::from(listener.try_clone()?));
            Ok(Self { addr, socket })
        }
        #[cfg(not(unix))]
        {
            let _ = listener;
            Ok(Self { addr })
        }
    }

    /// Shuts the listening socket down: on Linux a blocked `accept` returns with an error.
    pub(super) fn shut(&self) {
        #[cfg(unix)]
        // Systems that refuse need `knock`.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    /// Connects to the socket, so that a blocked `accept` returns with a connection.
    pub(super) fn knock(&self) {
        let mut addr = self.addr;
        match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let _ = TcpStream::connect_timeout(&addr, Duration::from_millis(100));
    }
}

/// Opens the sockets that the configuration asks for; none without a port.
pub(super) fn listen(config: &Config, limits: &SystemLimits) -> Result<Vec<Listener>, StartError> {
    let mut port = match config.port() {
        None => return Ok(Vec::new()),
        Some(Port::Fixed(number)) => number,
        Some(Port::Auto) => 0,
    };
    if config.interfaces().is_empty() {
        return bind_all(port).map_err(|error| failed("*", port, error, limits));
    }
    let mut listeners = Vec::new();
    for host in config.interfaces() {
        let opened = bind_host(host, port, &listeners);
        listeners.extend(opened.map_err(|error| failed(host, port, error, limits))?);
        // A port that the system chose serves the interfaces that follow as well.
        port = listeners.first().map_or(port, |listener| listener.addr.port());
    }
    Ok(listeners)
}

#[cfg(feature = "capi")]
/// The sockets that take connections to a host, or without one to every interface.
///
/// # Errors
/// The system's, if none of the host's addresses can be listened on.
pub(crate) fn listening_sockets(host: Option<&str>, port: u16) -> io::Result<Vec<TcpListener>> {
    let listeners = match host {
        Some(host) => bind_host(host, port, &[])?,
        None => bind_all(port)?,
    };
    Ok(listeners.into_iter().map(|listener| listener.socket).collect())
}

/// Binds every interface at once. A port that the system chooses for IPv6 may be taken in IPv4:
/// then it chooses again.
fn bind_all(port: u16) -> io::Result<Vec<Listener>> {
    let mut tries = if port == 0 { PORTS } else { 1 };
    loop {
        tries -= 1;
        match bind_both(port) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            bound => return bound,
        }
    }
}

fn bind_both(port: u16) -> io::Result<Vec<Listener>> {
    let first = match bind((Ipv6Addr::UNSPECIFIED, port).into()) {
        Ok(listener) => listener,
        Err(e) if e.kind() == io::ErrorKind::AddrInUse || is_out_of_descriptors(&e) => {
            return Err(e);
        }
        // No IPv6 here.
        Err(_) => return Ok(vec![bind((Ipv4Addr::UNSPECIFIED, port).into())?]),
    };
    let port = first.addr.port();
    match bind((Ipv4Addr::UNSPECIFIED, port).into()) {
        // The first one does not take IPv4 (sysctl bindv6only, or another system).
        Ok(second) => Ok(vec![first, second]),
        // It does: this is the usual case. Or it does not, and another program has the port.
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => match takes_both()? {
            true => Ok(vec![first]),
            false => Err(e),
        },
        // No IPv4 here.
        Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(vec![first]),
        Err(e) => Err(e),
    }
}

/// Whether a socket that listens on all of IPv6 takes IPv4 as well, which std cannot ask it: two
/// more sockets on a port of the system's choice show it. In case another program has just that
/// port, more than one is tried.
fn takes_both() -> io::Result<bool> {
    for _ in 0..PORTS {
        let first = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))?;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, first.local_addr()?.port())).is_ok() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Binds all addresses of one interface but those in `taken`. A host name may have addresses that
/// this machine does not: they are passed over where another one works.
fn bind_host(host: &str, port: u16, taken: &[Listener]) -> io::Result<Vec<Listener>> {
    let mut listeners: Vec<Listener> = Vec::new();
    let mut port = port;
    let mut error = None;
    let mut known = false;
    for mut addr in (host, port).to_socket_addrs()? {
        addr.set_port(port);
        if taken.iter().chain(&listeners).any(|listener| listener.addr == addr) {
            known = true;
            continue;
        }
        match bind(addr) {
            Ok(listener) => {
                port = listener.addr.port();
                listeners.push(listener);
            }
            Err(e) if e.kind() == io::ErrorKind::AddrNotAvailable => error = Some(e),
            Err(e) => return Err(e),
        }
    }
    match error {
        Some(error) if listeners.is_empty() && !known => Err(error),
        _ => Ok(listeners),
    }
}

fn bind(addr: SocketAddr) -> io::Result<Listener> {
    let socket = TcpListener::bind(addr)?;
    let addr = socket.local_addr()?;
    let waker = Waker::new(&socket, addr)?;
    Ok(Listener { socket, waker, addr })
}

fn failed(host: &str, port: u16, error: io::Error, limits: &SystemLimits) -> StartError {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{error}: another program listens on port {port}; stop it, or set another datasrc-port"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("{error}: ports below 1024 need rights; set another datasrc-port")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{error}: datasrc-interface must be an address of this machine")
        }
        _ => limits.describe(&error),
    };
    StartError::Listen { addr: format!("{host}:{port}"), error, advice }
}

/// How many ports of the system's choice are tried where one may be taken by chance.
const PORTS: u32 = 4;
