//! A host with a loop of its own: any number of peers in one thread, with poll(2).
//!
//! `poll [ADDRESS]` listens and sends every message back. Sockets and loop are the host's; of
//! peerbeat it takes one `Connection` a peer, which knows what to write and what is due. Every turn
//! is the same: wait for the earliest deadline, read what the kernel holds, then ask what to do.
//! The order matters: bytes that came in time are heard before a verdict is passed.

#![allow(unsafe_code, reason = "std has no poll: it is declared here, and called in one place")]

use std::ffi::{c_int, c_short};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use peerbeat::connection::{Connection, Down, DownReason, LinkEvent, Output};
use peerbeat::liveness::{Settings, Time};
use peerbeat::protocol::Native;

/// What the loop reports about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PeerEvent {
    Up,
    Message(Vec<u8>),
    /// It is late; a warning.
    Late(Duration),
    /// The loop itself was held up, and the peer is given more time for it.
    Stalled(Duration),
    Down(Why),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Silent {
        silence: Duration,
        limit: Duration,
    },
    /// It said goodbye, went away, broke the protocol or stopped reading.
    Ended(String),
}

/// The loop and all that it owns.
pub(crate) struct Host {
    listener: TcpListener,
    settings: Settings,
    clock: Instant,
    peers: Vec<Peer>,
    /// How often poll(2) has come back.
    pub(crate) wakeups: u64,
}

impl Host {
    pub(crate) fn new(listener: TcpListener, settings: Settings) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, settings, clock: Instant::now(), peers: Vec::new(), wakeups: 0 })
    }

    /// One turn of the loop: waits until something is due, at most `longest`, and does it.
    pub(crate) fn turn(
        &mut self,
        longest: Duration,
        tell: &mut impl FnMut(SocketAddr, PeerEvent),
    ) -> io::Result<()> {
        let due = self.peers.iter().map(|peer| peer.due).min().unwrap_or(Time::NEVER);
        let mut readable = self.wait(due.min(self.now() + longest))?.into_iter();
        let now = self.now();
        if readable.next() == Some(true) {
            while let Ok((stream, addr)) = self.listener.accept() {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                tell(addr, PeerEvent::Up);
                let connection = Connection::new(Native::default(), &self.settings, now);
                self.peers.push(Peer { addr, stream, connection, due: Time::ZERO });
            }
        }
        self.peers.retain_mut(|peer| {
            let addr = peer.addr;
            let mut tell = |event| tell(addr, event);
            // One read a turn: a busy peer does not keep the others waiting.
            if readable.next() == Some(true) {
                peer.read(now);
            }
            // A connection that is down is dropped, which closes both directions at once.
            peer.ask(now, &mut tell)
        });
        Ok(())
    }

    /// Waits until a socket is ready or the clock shows `until`, and says which can be read, the
    /// listener first.
    fn wait(&mut self, until: Time) -> io::Result<Vec<bool>> {
        let entry = |fd, events| PollFd { fd, events, revents: 0 };
        let mut fds = vec![entry(raw(&self.listener), POLLIN)];
        fds.extend(self.peers.iter().map(|peer| {
            entry(
                raw(&peer.stream),
                if peer.connection.pending() == 0 { POLLIN } else { POLLIN | POLLOUT },
            )
        }));
        // Rounded up: rounded down, the loop would spin through the last millisecond.
        let millis = until.since(self.now()).as_nanos().div_ceil(1_000_000);
        let timeout = c_int::try_from(millis).unwrap_or(c_int::MAX);
        // SAFETY: `fds` is an array of as many `struct pollfd` as we say, and outlives the call.
        let count = unsafe { poll(fds.as_mut_ptr(), fds.len() as Count, timeout) };
        self.wakeups += 1;
        match io::Error::last_os_error() {
            error if count < 0 && error.kind() != ErrorKind::Interrupted => Err(error),
            // Hang-ups and errors are for `read` to name.
            _ => Ok(fds.iter().map(|fd| fd.revents & !POLLOUT != 0).collect()),
        }
    }

    fn now(&self) -> Time {
        Time::between(self.clock, Instant::now())
    }
}

struct Peer {
    addr: SocketAddr,
    stream: TcpStream,
    connection: Connection,
    /// When to ask again.
    due: Time,
}

impl Peer {
    fn read(&mut self, now: Time) {
        match self.stream.read(self.connection.spare()) {
            Ok(0) => self.connection.handle_end_of_stream(now),
            Ok(count) => self.connection.handle_received(count, now),
            Err(e) if is_nothing(&e) => {}
            Err(e) => self.connection.handle_read_error(&e, now),
        }
    }

    /// Does what is due; returns whether the connection lives.
    fn ask(&mut self, now: Time, tell: &mut impl FnMut(PeerEvent)) -> bool {
        loop {
            self.write(now);
            match self.connection.poll(now) {
                Output::Wait { until } => {
                    self.due = until;
                    return true;
                }
                Output::Message(payload) => {
                    let message = payload.to_vec();
                    // An echo that finds no room is lost: the peer does not read.
                    let _full = self.connection.send(&message);
                    tell(PeerEvent::Message(message));
                }
                Output::Event(LinkEvent::Late { silence, .. }) => tell(PeerEvent::Late(silence)),
                Output::Event(LinkEvent::Stalled { late }) => tell(PeerEvent::Stalled(late)),
                Output::Down(down) => {
                    tell(PeerEvent::Down(Why::from(down)));
                    return false;
                }
                _ => {}
            }
        }
    }

    /// Writes what the kernel takes.
    fn write(&mut self, now: Time) {
        loop {
            let bytes = self.connection.poll_transmit(now);
            if bytes.is_empty() {
                return;
            }
            match self.stream.write(bytes) {
                Ok(count) => self.connection.handle_written(count, now),
                Err(e) if is_nothing(&e) => return self.connection.handle_written(0, now),
                Err(e) => return self.connection.handle_write_error(&e, now),
            }
        }
    }
}

impl From<Down> for Why {
    fn from(down: Down) -> Self {
        match (&down.reason, down.limit) {
            (DownReason::Silent, Some(limit)) => Self::Silent { silence: down.silence, limit },
            _ => Self::Ended(down.reason.to_string()),
        }
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:25000".to_owned());
    let mut host = Host::new(TcpListener::bind(addr)?, Settings::default())?;
    loop {
        host.turn(Duration::from_secs(60), &mut |addr, event| println!("{addr} {event:?}"))?;
    }
}

/// `struct pollfd`, on Windows `WSAPOLLFD`.
#[repr(C)]
struct PollFd {
    fd: Raw,
    events: c_short,
    revents: c_short,
}

#[cfg(unix)]
use unix::{Count, POLLIN, POLLOUT, Raw, poll, raw};
#[cfg(windows)]
use windows::{Count, POLLIN, POLLOUT, Raw, WSAPoll as poll, raw};

#[cfg(unix)]
mod unix {
    use super::PollFd;
    use std::ffi::{c_int, c_short};
    use std::os::fd::AsRawFd;

    pub(super) type Raw = c_int;
    #[cfg(target_os = "linux")]
    pub(super) type Count = std::ffi::c_ulong;
    #[cfg(not(target_os = "linux"))]
    pub(super) type Count = std::ffi::c_uint;

    // SAFETY: the declaration of poll(2) in <poll.h>.
    unsafe extern "C" {
        pub(super) fn poll(fds: *mut PollFd, count: Count, timeout_ms: c_int) -> c_int;
    }

    pub(super) fn raw(socket: &impl AsRawFd) -> Raw {
        socket.as_raw_fd()
    }

    pub(super) const POLLIN: c_short = 0x1;
    pub(super) const POLLOUT: c_short = 0x4;
}

#[cfg(windows)]
mod windows {
    use super::PollFd;
    use std::ffi::{c_int, c_short, c_ulong};
    use std::os::windows::io::AsRawSocket;

    pub(super) type Raw = std::os::windows::io::RawSocket;
    pub(super) type Count = c_ulong;

    // SAFETY: the declaration in <winsock2.h>.
    #[link(name = "ws2_32")]
    unsafe extern "system" {
        pub(super) fn WSAPoll(fds: *mut PollFd, count: Count, timeout_ms: c_int) -> c_int;
    }

    pub(super) fn raw(socket: &impl AsRawSocket) -> Raw {
        socket.as_raw_socket()
    }

    pub(super) const POLLIN: c_short = 0x300;
    pub(super) const POLLOUT: c_short = 0x10;
}
