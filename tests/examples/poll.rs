//! A host with a loop of its own: any number of peers in one thread, with poll(2).
//!
//! `poll [ADDRESS]` listens and sends every message back. Sockets and loop are the host's; of
//! peerbeat it takes the rules, one `Liveness` a connection, and here the frames. Every turn is the
//! same: wait for the earliest deadline, read what the kernel holds, then ask each `Liveness` what
//! is due. The order matters: bytes that came in time are heard before a verdict is passed.

#![allow(unsafe_code, reason = "std has no poll: it is declared here, and called in one place")]

use std::ffi::{c_int, c_short};
use std::fmt::Display;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use peerbeat::liveness::{Action, Liveness, Settings, Time};
use peerbeat::protocol::{Decoder, Frame, Framing, Heartbeat, Native};

/// What the loop tells about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
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

    /// One turn of the loop: waits until something is due, `longest` at the most, and does it.
    pub(crate) fn turn(
        &mut self,
        longest: Duration,
        tell: &mut impl FnMut(SocketAddr, Told),
    ) -> io::Result<()> {
        let due = self.peers.iter().map(|peer| peer.due).min().unwrap_or(Time::NEVER);
        let mut readable = self.wait(due.min(self.now() + longest))?.into_iter();
        let now = self.now();
        if readable.next() == Some(true) {
            while let Ok((stream, addr)) = self.listener.accept() {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                tell(addr, Told::Up);
                self.peers.push(Peer::new(stream, addr, Liveness::new(&self.settings, now)));
            }
        }
        self.peers.retain_mut(|peer| {
            let addr = peer.addr;
            let mut tell = |told| tell(addr, told);
            // One read a turn: a busy peer does not keep the others waiting.
            let read = match readable.next() {
                Some(true) => peer.read(now, &mut tell),
                _ => Ok(()),
            };
            let lives = read.and_then(|()| peer.ask(now, &mut tell));
            // Down is dropped, which closes both directions at once (H5).
            lives.map_err(|why| tell(Told::Down(why))).is_ok()
        });
        Ok(())
    }

    /// Waits until a socket is ready or the clock shows `until`, and says which can be read, the
    /// listener first.
    fn wait(&mut self, until: Time) -> io::Result<Vec<bool>> {
        let entry = |fd, events| PollFd { fd, events, revents: 0 };
        let mut fds = vec![entry(raw(&self.listener), POLLIN)];
        fds.extend(self.peers.iter().map(|peer| {
            entry(raw(&peer.stream), if peer.out.is_empty() { POLLIN } else { POLLIN | POLLOUT })
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
    decoder: Decoder<Native>,
    liveness: Liveness,
    /// When to ask again.
    due: Time,
    /// What the kernel has not taken yet, and where in it a heartbeat ends that carries a value.
    out: Vec<u8>,
    beat: Option<(usize, u32)>,
}

impl Peer {
    fn new(stream: TcpStream, addr: SocketAddr, liveness: Liveness) -> Self {
        let (decoder, due) = (Decoder::new(Native::default()), Time::ZERO);
        Self { addr, stream, decoder, liveness, due, out: Vec::new(), beat: None }
    }

    fn read(&mut self, now: Time, tell: &mut impl FnMut(Told)) -> Result<(), Why> {
        match self.stream.read(self.decoder.spare()) {
            Ok(0) => return Err(ended("the stream ended")),
            Ok(count) => self.decoder.handle_filled(count),
            Err(e) if is_nothing(&e) => return Ok(()),
            Err(e) => return Err(ended(e)),
        }
        self.liveness.handle_received(now);
        while let Some(frame) = self.decoder.poll_frame().map_err(ended)? {
            match frame {
                Frame::Heartbeat(heartbeat) => {
                    self.liveness.handle_heartbeat(heartbeat.heartbeat_time_ms, now);
                }
                Frame::Data(payload) => {
                    Native::default().encode_data(payload, &mut self.out).map_err(ended)?;
                    tell(Told::Message(payload.to_vec()));
                }
                Frame::Bye(bye) => return Err(ended(bye.code)),
                _ => {}
            }
        }
        if self.out.len() > OUT_MAX { Err(ended("it does not read")) } else { Ok(()) }
    }

    /// Does what is due.
    fn ask(&mut self, now: Time, tell: &mut impl FnMut(Told)) -> Result<(), Why> {
        loop {
            self.write(now)?;
            match self.liveness.poll(now) {
                Action::Wait { until } => {
                    self.due = until;
                    return Ok(());
                }
                Action::SendHeartbeat { value_ms } => {
                    let heartbeat = Heartbeat { heartbeat_time_ms: value_ms, timing: None };
                    heartbeat.encode(&mut self.out);
                    self.beat = Some((self.out.len(), value_ms));
                }
                Action::Late { silence } => tell(Told::Late(silence)),
                Action::Stalled { late } => tell(Told::Stalled(late)),
                Action::Silent { silence, limit } => return Err(Why::Silent { silence, limit }),
                Action::WriteStalled { .. } => return Err(ended("it does not read")),
                _ => {}
            }
        }
    }

    /// Writes what the kernel takes, and reports it: only what was taken moves the clock of
    /// sending.
    fn write(&mut self, now: Time) -> Result<(), Why> {
        while !self.out.is_empty() {
            let count = match self.stream.write(&self.out) {
                Ok(count) => count,
                Err(e) if is_nothing(&e) => {
                    self.liveness.handle_pending(now);
                    return Ok(());
                }
                Err(e) => return Err(ended(e)),
            };
            self.out.drain(..count);
            self.liveness.handle_sent(now);
            match self.beat.take() {
                Some((end, value)) if end <= count => {
                    self.liveness.handle_heartbeat_sent(value, now);
                }
                beat => self.beat = beat.map(|(end, value)| (end - count, value)),
            }
        }
        Ok(())
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn ended(why: impl Display) -> Why {
    Why::Ended(why.to_string())
}

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:25000".to_owned());
    let mut host = Host::new(TcpListener::bind(addr)?, Settings::default())?;
    loop {
        host.turn(Duration::from_secs(60), &mut |addr, told| println!("{addr} {told:?}"))?;
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

/// What a peer may leave unread.
const OUT_MAX: usize = 1 << 20;
