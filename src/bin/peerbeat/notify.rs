//! Reports the state to systemd: the datagrams of `sd_notify(3)`.
//!
//! Without `NOTIFY_SOCKET` there is no one to notify, and a message that cannot be delivered is
//! no loss: the service manager has its own timeouts.

#[cfg(unix)]
use std::os::unix::net::UnixDatagram;

/// The service manager, if there is one.
pub(crate) struct ServiceManager {
    #[cfg(unix)]
    socket: Option<UnixDatagram>,
}

#[cfg(unix)]
impl ServiceManager {
    /// The one that the environment names.
    pub(crate) fn from_env() -> Self {
        let named = std::env::var_os("NOTIFY_SOCKET");
        Self { socket: named.and_then(|name| connect(&name).ok()) }
    }

    /// Sends assignments, one a line: `READY=1`, `STATUS=48 of 50 up`, `STOPPING=1`.
    pub(crate) fn tell(&self, assignments: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(assignments.as_bytes());
        }
    }
}

#[cfg(unix)]
fn connect(name: &std::ffi::OsStr) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not hold us up.
    socket.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if let Some(name) = name.as_encoded_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        let addr = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return socket.connect_addr(&addr).map(|()| socket);
    }
    socket.connect(name).map(|()| socket)
}

#[cfg(not(unix))]
impl ServiceManager {
    /// There is none here.
    pub(crate) fn from_env() -> Self {
        Self {}
    }

    /// Nothing listens.
    pub(crate) fn tell(&self, _assignments: &str) {}
}
