//! A cable between two programs that a test can pull, freeze, delay, slice, narrow, reset and cut.
//!
//! A [`Cable`] listens, and carries every connection that comes to one target. It works for any TCP
//! program, not only for those that use peerbeat: point the one that dials at
//! [`addr`](Cable::addr), and break the line as you like.
//!
//! ```
//! use peerbeat::cable::{Cable, Way};
//! use std::io::{ErrorKind, Read, Write};
//! use std::net::{TcpListener, TcpStream};
//! use std::time::Duration;
//!
//! let server = TcpListener::bind("127.0.0.1:0")?;
//! let cable = Cable::between(server.local_addr()?)?;
//! let mut client = TcpStream::connect(cable.addr())?;
//! let (mut accepted, _) = server.accept()?;
//!
//! client.write_all(b"tick")?;
//! let mut tick = [0; 4];
//! accepted.read_exact(&mut tick)?;
//!
//! cable.pull(); // bytes vanish from here on, both ways, and nothing is closed
//! client.write_all(b"tock")?;
//! accepted.set_read_timeout(Some(Duration::from_millis(50)))?;
//! let kind = accepted.read(&mut tick).unwrap_err().kind();
//! assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut));
//!
//! cable.plug(); // new connections are carried; this one lost bytes, so it ends
//! accepted.set_read_timeout(None)?;
//! assert_eq!(accepted.read(&mut tick)?, 0);
//!
//! cable.freeze(Way::In); // what the target sends waits in its own kernel until the next plug
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What each fault looks like to the two programs
//!
//! | | bytes | ends | new connections |
//! |---|---|---|---|
//! | [`pull`](Cable::pull) | vanish | vanish, too: a link that is half open | are made, and reach no one |
//! | [`freeze`](Cable::freeze) | wait in the sender's kernel, nothing is lost | wait | are carried as far |
//! | [`delay`](Cable::delay) | arrive later, in order | later | are delayed likewise |
//! | [`slice`](Cable::slice) | arrive in small pieces | unchanged | sliced likewise |
//! | [`rate`](Cable::rate) | so many a second | unchanged | likewise |
//! | [`reset`](Cable::reset) | lost | the next byte a side sends is answered with a reset | are carried |
//! | [`cut`](Cable::cut) | lost | both sides read an end of stream | are carried |
//! | [`drop_new`](Cable::drop_new) | unchanged | unchanged | are closed at once |
//! | [`plug`](Cable::plug) | are carried | connections that lost bytes end | are carried |
//!
//! A line that is pulled for a moment and plugged in again loses nothing under real TCP, which
//! sends what was lost once more: that is `freeze` here. `pull` is for the peer that never hears
//! anything again.
//!
//! # What it cannot do
//!
//! It sits between two programs, not under their TCP: no packet is lost, reordered or sent twice,
//! and the handshake of TCP itself always succeeds. For those use netem (`tc qdisc`). A reset of
//! one side reaches the other as an end of stream.

mod wire;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wire::{Connection, Fate};

/// A way through a cable, as seen by the program that dials it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the program that dials to the target.
    Out,
    /// From the target to the program that dials.
    In,
}

impl Way {
    /// The way in one stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one way of a cable does to the bytes. The default carries them as they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// Bytes and ends vanish.
    pub pulled: bool,
    /// Bytes wait where they are.
    pub frozen: bool,
    /// How much later bytes arrive.
    pub delay: Duration,
    /// The most bytes that are written at once; 0 = as they come.
    pub slice: usize,
    /// The most bytes a second; 0 = as fast as they come.
    pub rate: u64,
}

/// What a cable has carried, and what it does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CableStatus {
    /// Connections that are open.
    pub open: usize,
    /// Connections that came, ever.
    pub opened: u64,
    /// Connections that were closed at once, by [`Cable::drop_new`] or because there were too many.
    pub dropped: u64,
    /// Connections for which the target could not be reached.
    pub failed: u64,
    /// Bytes that were handed to the target.
    pub passed_out: u64,
    /// Bytes that were handed to the programs that dial.
    pub passed_in: u64,
    /// Bytes that vanished, both ways.
    pub vanished: u64,
    /// The way to the target.
    pub way_out: Line,
    /// The way from the target.
    pub way_in: Line,
    /// Whether new connections are closed at once.
    pub drops_new: bool,
}

/// Something that a cable saw on one connection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum CableEvent<'a> {
    /// A connection came.
    Opened {
        /// Who dialled.
        from: SocketAddr,
    },
    /// The target could not be reached; the connection was closed.
    Failed {
        /// Why.
        error: &'a io::Error,
    },
    /// Bytes came into the cable.
    Arrived {
        /// Which way they go.
        way: Way,
        /// The cable had read them by then.
        at: Instant,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Bytes were handed on: none before the one instant, all by the other.
    Passed {
        /// Which way they go.
        way: Way,
        /// No byte was handed on before that.
        before: Instant,
        /// All of them had been handed to the kernel by then.
        after: Instant,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Bytes vanished.
    Vanished {
        /// Which way they went.
        way: Way,
        /// How many.
        count: usize,
    },
    /// A connection has ended.
    Closed,
}

/// What a cable calls with all that it sees: the connection's number, and the event.
type Tap = Box<dyn Fn(u64, CableEvent<'_>) + Send + Sync>;

/// A listening cable. Dropped, it closes what it carries and ends its threads.
///
/// ```
/// use peerbeat::cable::Cable;
/// use peerbeat::link::{self, LinkOptions};
/// use peerbeat::liveness::Settings;
/// use std::net::TcpListener;
/// use std::time::Duration;
///
/// let hub = TcpListener::bind("127.0.0.1:0")?;
/// let cable = Cable::between(hub.local_addr()?)?;
/// let short = Settings::default().heartbeat_time(Duration::from_millis(200));
/// let options = LinkOptions::default().liveness(short.slack(Duration::from_millis(100)));
/// # let theirs = options.clone();
/// # let accepting = std::thread::spawn(move || {
/// #     link::accept(hub.accept().unwrap().0, &theirs).unwrap()
/// # });
/// let (link, _inbox) = link::connect(cable.addr(), &options)?;
/// # let _there = accepting.join().unwrap();
///
/// cable.pull(); // no byte, no end of stream, no reset
/// let down = link.wait_down(Duration::from_secs(10)).expect("300 ms later");
/// assert_eq!(down.reason.as_str(), "silent");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the cable goes when it is dropped"]
pub struct Cable {
    shared: Arc<Shared>,
    addr: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

impl Cable {
    /// Listens on a free port of this machine's loopback, and carries what comes there to `target`
    /// (`host:port`, looked up at each connection).
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrNotAvailable`] if this machine has no loopback of IPv4,
    /// [`io::ErrorKind::WouldBlock`] if there is no thread left; others as the system gives them.
    pub fn between(target: impl fmt::Display) -> io::Result<Self> {
        Self::listen((Ipv4Addr::LOCALHOST, 0), target)
    }

    /// Listens on an address of your choice.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`], [`io::ErrorKind::AddrNotAvailable`] or
    /// [`io::ErrorKind::PermissionDenied`] if that address cannot be listened on,
    /// [`io::ErrorKind::WouldBlock`] if there is no thread left; others as the system gives them.
    pub fn listen(listen: impl ToSocketAddrs, target: impl fmt::Display) -> io::Result<Self> {
        Self::tapped(listen, target, |_, _| {})
    }

    /// Listens on an address of your choice and calls `tap` with all that it sees, on the threads
    /// that carry: a tap that takes long holds up the bytes of its connection.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`], [`io::ErrorKind::AddrNotAvailable`] or
    /// [`io::ErrorKind::PermissionDenied`] if that address cannot be listened on,
    /// [`io::ErrorKind::WouldBlock`] if there is no thread left; others as the system gives them.
    pub fn tapped(
        listen: impl ToSocketAddrs,
        target: impl fmt::Display,
        tap: impl Fn(u64, CableEvent<'_>) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: target.to_string(),
            tap: Box::new(tap),
            state: Mutex::new(State::default()),
            is_over: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            passed: [AtomicU64::new(0), AtomicU64::new(0)],
            vanished: AtomicU64::new(0),
        });
        let accepts = Arc::clone(&shared);
        let accepting = wire::named("cable").spawn(move || accept(&listener, &accepts))?;
        Ok(Self { shared, addr, accepting: Some(accepting) })
    }

    /// Where to dial.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Pulls the cable: once this returns no byte is handed on, either way, and nothing is closed.
    pub fn pull(&self) {
        self.change_both(|line| line.pulled = true);
    }

    /// Puts everything right. A connection that lost bytes meanwhile could only go on with a hole
    /// in its stream; it ends instead, in order.
    pub fn plug(&self) {
        self.shared.lock().drops_new = false;
        self.change_both(|line| *line = Line::default());
    }

    /// Takes nothing more from one way: the sender's kernel fills, and nothing is lost. Ends with
    /// the next [`plug`](Self::plug).
    pub fn freeze(&self, way: Way) {
        self.change(way, |line| line.frozen = true);
    }

    /// Delays what comes from now on, both ways; zero = no more.
    pub fn delay(&self, by: Duration) {
        self.change_both(|line| line.delay = by);
    }

    /// Hands on at most so many bytes at once, both ways; 0 = as they come.
    pub fn slice(&self, bytes: usize) {
        self.change_both(|line| line.slice = bytes);
    }

    /// Hands on at most so many bytes a second on each connection and way; 0 = as fast as they
    /// come.
    pub fn rate(&self, bytes: u64) {
        self.change_both(|line| line.rate = bytes);
    }

    /// Forgets every connection, as a firewall does that was restarted: the next byte that a side
    /// sends is answered with a reset, and a side that sends nothing notices nothing.
    pub fn reset(&self) {
        self.end_all(Fate::Reset);
    }

    /// Ends every connection in order: both sides read an end of stream. What they still send is
    /// read and lost.
    pub fn cut(&self) {
        self.end_all(Fate::Cut);
    }

    /// Whether new connections are closed at once; those that exist are carried on.
    pub fn drop_new(&self, drops: bool) {
        self.shared.lock().drops_new = drops;
    }

    /// Changes one way, of the connections that exist and of those to come.
    ///
    /// ```
    /// # use peerbeat::cable::{Cable, Way};
    /// # let cable = Cable::between("127.0.0.1:1")?;
    /// cable.change(Way::Out, |line| line.pulled = true); // the target hears nothing any more
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn change(&self, way: Way, change: impl Fn(&mut Line)) {
        let mut state = self.shared.lock();
        change(&mut state.lines[way as usize]);
        for connection in &state.connections {
            connection.wire(way).change(&change);
        }
        for connection in &state.connections {
            connection.end_if_damaged();
        }
    }

    /// What it has carried, and what it does now.
    pub fn status(&self) -> CableStatus {
        let shared = &self.shared;
        let mut state = shared.lock();
        state.connections.retain(|connection| !connection.is_gone());
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CableStatus {
            open: state.connections.len(),
            opened: count(&shared.opened),
            dropped: count(&shared.dropped),
            failed: count(&shared.failed),
            passed_out: count(&shared.passed[Way::Out as usize]),
            passed_in: count(&shared.passed[Way::In as usize]),
            vanished: count(&shared.vanished),
            way_out: state.lines[Way::Out as usize],
            way_in: state.lines[Way::In as usize],
            drops_new: state.drops_new,
        }
    }

    fn change_both(&self, change: impl Fn(&mut Line)) {
        // The other way may still be pulled after the first: damage is judged after both.
        let mut state = self.shared.lock();
        state.lines.iter_mut().for_each(&change);
        for connection in &state.connections {
            connection.wire(Way::Out).change(&change);
            connection.wire(Way::In).change(&change);
            connection.end_if_damaged();
        }
    }

    fn end_all(&self, fate: Fate) {
        for connection in &self.shared.lock().connections {
            connection.end(fate);
        }
    }
}

impl fmt::Debug for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.shared.target;
        f.debug_struct("Cable").field("addr", &self.addr).field("target", target).finish()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let ip = match self.addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        // Wakes the thread that accepts; if that fails, the next caller wakes it.
        let woken = TcpStream::connect_timeout(&(ip, self.addr.port()).into(), WAKE_MAX);
        if let (Ok(_), Some(accepting)) = (woken, self.accepting.take()) {
            let _ended = accepting.join();
        }
        let connections = std::mem::take(&mut self.shared.lock().connections);
        connections.iter().for_each(|connection| connection.end(Fate::Over));
        connections.iter().for_each(|connection| connection.join());
    }
}

/// What the threads of a cable share.
struct Shared {
    target: String,
    tap: Tap,
    state: Mutex<State>,
    is_over: AtomicBool,
    opened: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    passed: [AtomicU64; 2],
    vanished: AtomicU64,
}

#[derive(Default)]
struct State {
    lines: [Line; 2],
    drops_new: bool,
    connections: Vec<Arc<Connection>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, connection: u64, event: CableEvent<'_>) {
        match event {
            CableEvent::Passed { way, bytes, .. } => {
                self.passed[way as usize].fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            CableEvent::Vanished { count, .. } => {
                self.vanished.fetch_add(count as u64, Ordering::Relaxed);
            }
            CableEvent::Failed { .. } => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        (self.tap)(connection, event);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for near in listener.incoming() {
        if shared.is_over.load(Ordering::Relaxed) {
            return;
        }
        // Out of descriptors, or the dialler is gone already.
        let Ok(near) = near else {
            thread::sleep(ACCEPT_REST);
            continue;
        };
        let mut state = shared.lock();
        state.connections.retain(|connection| !connection.is_gone());
        let number = shared.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let is_full = state.connections.len() >= CONNECTIONS_MAX;
        let connection = match state.drops_new || is_full {
            true => None,
            false => Connection::start(shared, number, near, state.lines).ok(),
        };
        match connection {
            Some(connection) => state.connections.push(connection),
            None => {
                shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Connections that a cable carries at once; each takes four threads.
const CONNECTIONS_MAX: usize = 1024;
/// After an accept that failed.
const ACCEPT_REST: Duration = Duration::from_millis(10);
const WAKE_MAX: Duration = Duration::from_secs(1);
