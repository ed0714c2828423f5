//! The listening sockets of a node, and how a thread that waits on one is woken.
//!
//! Without `datasrc-interface` one socket takes IPv6 and IPv4 alike if the system can do that; else
//! there are two, or one if the system has only one family. A Unix socket is a file: one that a
//! program left behind is replaced, but not one that is in use or a file of another kind.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::fd::OwnedFd;
#[cfg(unix)]
use std::path::Path;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::error::StartError;
use crate::config::{Config, Port};
use crate::link::Socket;
use crate::link::{SystemLimits, is_out_of_descriptors};

/// A socket that listens, and the means to wake the thread that waits on it.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: Listening,
    pub(super) waker: Waker,
    pub(super) addr: Endpoint,
}

/// The socket itself.
#[derive(Debug)]
pub(super) enum Listening {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(unix::Listening),
}

impl Listening {
    /// Waits for a connection; `here` is where it listens.
    pub(super) fn accept(&self, here: &Endpoint) -> io::Result<(Socket, Endpoint)> {
        match self {
            Self::Tcp(listener) => {
                let (socket, addr) = listener.accept()?;
                Ok((socket.into(), plain(addr).into()))
            }
            #[cfg(unix)]
            Self::Unix(listener) => Ok((listener.accept()?.into(), here.clone())),
        }
    }
}

/// Wakes the thread that waits for connections on a socket.
#[derive(Debug)]
pub(super) struct Waker {
    addr: Endpoint,
    #[cfg(unix)]
    socket: TcpStream,
}

impl Waker {
    #[cfg(unix)]
    fn new(listener: impl Into<OwnedFd>, addr: Endpoint) -> Self {
        // std cannot shut a listening socket down, but a stream made of its descriptor can.
        Self { addr, socket: TcpStream::from(listener.into()) }
    }

    #[cfg(not(unix))]
    fn new(_listener: TcpListener, addr: Endpoint) -> Self {
        Self { addr }
    }

    /// Shuts the listening socket down: on Linux a blocked `accept` returns with an error.
    pub(super) fn shut(&self) {
        #[cfg(unix)]
        // Systems that refuse need `knock`.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    /// Connects to the socket, so that a blocked `accept` returns with a connection.
    pub(super) fn knock(&self) {
        #[cfg(unix)]
        if let Endpoint::Unix(path) = &self.addr {
            let _ = std::os::unix::net::UnixStream::connect(path);
        }
        let Some(mut addr) = self.addr.as_tcp() else { return };
        match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let _ = TcpStream::connect_timeout(&addr, Duration::from_millis(100));
    }
}

/// Opens the sockets that the configuration asks for; without a port only Unix sockets.
pub(super) fn listen(config: &Config, limits: &SystemLimits) -> Result<Vec<Listener>, StartError> {
    let mut listeners = listen_on_paths(config, limits)?;
    let mut port = match config.port() {
        None => return Ok(listeners),
        Some(Port::Fixed(number)) => number,
        Some(Port::Auto) => 0,
    };
    if config.interfaces().is_empty() {
        let opened = bind_all(port).map_err(|error| failed("*", port, error, limits))?;
        listeners.extend(opened);
        return Ok(listeners);
    }
    for host in config.interfaces().iter().filter(|host| !host.starts_with(UNIX)) {
        let opened = match &**host {
            "*" => bind_all(port),
            host => bind_host(host, port, &listeners),
        };
        listeners.extend(opened.map_err(|error| failed(host, port, error, limits))?);
        // A port that the system chose serves the interfaces that follow as well.
        port = listeners.iter().find_map(port_of).unwrap_or(port);
    }
    Ok(listeners)
}

/// Opens the Unix sockets.
#[cfg(unix)]
fn listen_on_paths(config: &Config, limits: &SystemLimits) -> Result<Vec<Listener>, StartError> {
    let paths = config.interfaces().iter().filter_map(|host| host.strip_prefix(UNIX));
    let open = |path: &str| {
        let socket = unix::Listening::bind(Path::new(path))?;
        let addr = Endpoint::Unix(Path::new(path).into());
        let waker = Waker::new(socket.try_clone()?, addr.clone());
        Ok(Listener { socket: Listening::Unix(socket), waker, addr })
    };
    let failed = |path: &str, error: io::Error| StartError::Listen {
        addr: format!("{UNIX}{path}"),
        advice: limits.describe(&error),
        error,
    };
    paths.map(|path| open(path).map_err(|error| failed(path, error))).collect()
}

#[cfg(not(unix))]
fn listen_on_paths(config: &Config, _: &SystemLimits) -> Result<Vec<Listener>, StartError> {
    let Some(path) = config.interfaces().iter().find(|host| host.starts_with(UNIX)) else {
        return Ok(Vec::new());
    };
    let advice = "this system has no Unix sockets for Rust programs; remove it".to_owned();
    let error = io::ErrorKind::Unsupported.into();
    Err(StartError::Listen { addr: path.clone(), error, advice })
}

fn port_of(listener: &Listener) -> Option<u16> {
    Some(listener.addr.as_tcp()?.port())
}

/// The sockets that take connections to a host, or without one to every interface.
///
/// # Errors
/// The error of the system, if none of the host's addresses can be listened on.
#[cfg(feature = "capi")]
pub(crate) fn listening_sockets(host: Option<&str>, port: u16) -> io::Result<Vec<TcpListener>> {
    let listeners = match host {
        Some(host) => bind_host(host, port, &[])?,
        None => bind_all(port)?,
    };
    let tcp = |listener: Listener| match listener.socket {
        Listening::Tcp(socket) => Some(socket),
        #[cfg(unix)]
        Listening::Unix(_) => None,
    };
    Ok(listeners.into_iter().filter_map(tcp).collect())
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
    let port = port_of(&first).unwrap_or(port);
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
/// this machine does not: they are passed over if another one works.
fn bind_host(host: &str, port: u16, taken: &[Listener]) -> io::Result<Vec<Listener>> {
    let mut listeners: Vec<Listener> = Vec::new();
    let mut port = port;
    let mut error = None;
    let mut known = false;
    for mut addr in (host, port).to_socket_addrs()? {
        addr.set_port(port);
        if taken.iter().chain(&listeners).any(|listener| listener.addr == addr.into()) {
            known = true;
            continue;
        }
        match bind(addr) {
            Ok(listener) => {
                port = port_of(&listener).unwrap_or(port);
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
    let waker = Waker::new(socket.try_clone()?, addr.into());
    Ok(Listener { socket: Listening::Tcp(socket), waker, addr: addr.into() })
}

/// A socket that takes IPv4 and IPv6 alike shows IPv4 addresses in the guise of IPv6. All else
/// stays: a link-local address means nothing without its scope.
fn plain(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => addr,
        },
        SocketAddr::V4(_) => addr,
    }
}

fn failed(host: &str, port: u16, error: io::Error, limits: &SystemLimits) -> StartError {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{error}: another program listens on port {port}; stop it, or set another datasrc-port"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("{error}: ports below 1024 need privileges; set another datasrc-port")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{error}: datasrc-interface must be an address of this machine")
        }
        _ => limits.describe(&error),
    };
    StartError::Listen { addr: format!("{host}:{port}"), error, advice }
}

/// How many ports of the system's choice are tried if one may be taken by chance.
const PORTS: u32 = 4;
/// What an interface that is a Unix socket begins with.
const UNIX: &str = "unix:";

#[cfg(unix)]
mod unix {
    //! A Unix socket that is listened on, and its file.

    use std::fs;
    use std::io;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};
    use std::sync::mpsc;
    use std::time::Duration;

    use crate::link::threads;

    /// A socket whose file goes when it does.
    #[derive(Debug)]
    pub(in super::super) struct Listening {
        socket: UnixListener,
        path: PathBuf,
        /// Device and inode of the file, by which it is known again.
        file: (u64, u64),
    }

    impl Listening {
        /// Listens on a path. A socket file on which no program listens is replaced. The new one
        /// has the permissions that the umask leaves: any user that may write it may connect.
        pub(super) fn bind(path: &Path) -> io::Result<Self> {
            // Two programs that start at once must not remove each other's file.
            let _alone = lock::take(path);
            let socket = match UnixListener::bind(path) {
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                    make_room(path)?;
                    UnixListener::bind(path)?
                }
                bound => bound?,
            };
            Ok(Self { socket, path: path.to_owned(), file: file(path)? })
        }

        pub(super) fn accept(&self) -> io::Result<UnixStream> {
            Ok(self.socket.accept()?.0)
        }

        pub(super) fn try_clone(&self) -> io::Result<UnixListener> {
            self.socket.try_clone()
        }
    }

    impl Drop for Listening {
        fn drop(&mut self) {
            // Only our own: another program may have put its socket there meanwhile.
            if file(&self.path).is_ok_and(|file| file == self.file) {
                let _gone = fs::remove_file(&self.path);
            }
        }
    }

    /// Removes a socket file that nothing listens on.
    fn make_room(path: &Path) -> io::Result<()> {
        let in_use = |what| Err(io::Error::new(io::ErrorKind::AddrInUse, what));
        let looked_at = file(path)?;
        if !fs::symlink_metadata(path)?.file_type().is_socket() {
            return in_use("a file that is not a socket has this name; remove it, or set another");
        }
        let (tell, wakes) = mpsc::channel();
        let own = path.to_owned();
        // A program that is stopped, with its queue full, has us wait.
        threads::spawn("pb-look", STACK, move || {
            let _nobody_waits = tell.send(UnixStream::connect(own));
        })?;
        match wakes.recv_timeout(PROBE_MAX) {
            Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => {
                match remove_same(path, looked_at)? {
                    true => Ok(()),
                    false => in_use(LISTENED),
                }
            }
            Ok(Err(e)) => Err(e),
            Ok(Ok(_)) | Err(_) => in_use(LISTENED),
        }
    }

    /// Removes the file that was looked at, and returns `true`; one that another program has put
    /// there since, where there is no [`lock`], goes back to its place.
    fn remove_same(path: &Path, looked_at: (u64, u64)) -> io::Result<bool> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".{}", std::process::id()));
        fs::rename(path, &aside)?;
        let is_same = file(Path::new(&aside))? == looked_at;
        if !is_same {
            fs::hard_link(&aside, path)?;
        }
        fs::remove_file(&aside)?;
        Ok(is_same)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    mod lock {
        //! One program at a time looks at a socket file and replaces it. The lock is an abstract
        //! socket name of Linux, which is not a file and vanishes with its last holder.

        use std::io::ErrorKind::AddrInUse;
        #[cfg(target_os = "android")]
        use std::os::android::net::SocketAddrExt;
        #[cfg(target_os = "linux")]
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::net::{SocketAddr, UnixListener};
        use std::path::Path;
        use std::thread;
        use std::time::{Duration, Instant};

        /// Waits its turn; `None` = it has waited long enough, or there is no telling.
        pub(super) fn take(path: &Path) -> Option<UnixListener> {
            let folder = super::file(path.parent()?).ok()?;
            // FNV-1a: the same in every program.
            let hash =
                path.file_name()?.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                    (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
                });
            let name = format!("peerbeat-listen-{}-{}-{hash:x}", folder.0, folder.1);
            let addr = SocketAddr::from_abstract_name(name).ok()?;
            let until = Instant::now() + WAIT_MAX;
            loop {
                match UnixListener::bind_addr(&addr) {
                    Ok(lock) => return Some(lock),
                    Err(e) if e.kind() != AddrInUse || Instant::now() >= until => return None,
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        }

        /// Longer than a look takes.
        const WAIT_MAX: Duration = Duration::from_secs(3);
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    mod lock {
        //! There is no lock here: what was looked at is compared with what is removed.

        pub(super) fn take(_path: &std::path::Path) {}
    }

    fn file(path: &Path) -> io::Result<(u64, u64)> {
        let metadata = fs::symlink_metadata(path)?;
        Ok((metadata.dev(), metadata.ino()))
    }

    const LISTENED: &str = "another program listens there; stop it, or set another path";
    const STACK: usize = 64 << 10;
    /// How long the look at a socket file may take.
    const PROBE_MAX: Duration = Duration::from_secs(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_they_are_but_for_ipv4_in_the_guise_of_ipv6() {
        for (addr, shown) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1"),
            ("[fe80::1%7]:1", "[fe80::1%7]:1"),
            ("[::1]:1", "[::1]:1"),
        ] {
            let addr: SocketAddr = addr.parse().expect("an address");
            assert_eq!(plain(addr).to_string(), shown);
        }
    }
}
