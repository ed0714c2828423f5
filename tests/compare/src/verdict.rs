//! How late each library reports a silent peer.
//!
//! peerbeat and tokio (a timer around a read) talk to a socket that sends one last message and
//! stays open. libzmq talks to a real libzmq through one of our cables, which is cut: from then on
//! bytes vanish. All are counted from the last byte that went their way, plus the limit, to the
//! instant at which their user knows. libzmq's promise is an interval and a timeout after a ping:
//! for a limit it gets that limit as its timeout, the least that is never early, and a third of it
//! as its interval.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{Link, LinkEvent, LinkHandler};
use peerbeat::protocol::Native;
use tokio::io::AsyncReadExt;

use crate::common::{ours, pair};
use crate::rivals::zmq::bind;

/// Lateness of `links` verdicts in milliseconds, sorted; negative is early.
pub(crate) type Lateness = Vec<f64>;

/// When the last byte went to a side that waits, per link, and when the verdict came.
struct Ends {
    /// The instants before and after the write of that byte.
    last: Vec<(Instant, Instant)>,
    to: mpsc::Sender<(usize, Instant)>,
    reports: mpsc::Receiver<(usize, Instant)>,
}

impl Ends {
    fn new() -> Self {
        let (to, reports) = mpsc::channel();
        Self { last: Vec::new(), to, reports }
    }

    fn lateness(self, limit: Duration) -> Lateness {
        let count = self.last.len();
        let late = self.reports.iter().take(count).map(|(which, at)| {
            let (before, after) = self.last[which];
            match (before + limit).checked_duration_since(at) {
                Some(early) => -early.as_secs_f64() * 1e3,
                None => at.saturating_duration_since(after + limit).as_secs_f64() * 1e3,
            }
        });
        let mut late: Lateness = late.collect();
        late.sort_by(f64::total_cmp);
        late
    }
}

struct Reporter {
    which: usize,
    to: mpsc::Sender<(usize, Instant)>,
}

impl LinkHandler for Reporter {
    fn on_message(&mut self, _: &Link, _: &[u8]) {}

    fn on_event(&mut self, _: &Link, event: &LinkEvent) {
        if let LinkEvent::Down(_) = event {
            let _main_waits = self.to.send((self.which, Instant::now()));
        }
    }
}

pub(crate) fn peerbeat(limit: Duration, links: usize) -> Lateness {
    let mut ends = Ends::new();
    let mut peers = Vec::new();
    // In whole milliseconds, as a heartbeat-time travels.
    let heartbeat_time = Duration::from_millis(limit.as_millis() as u64 / 3);
    let options = ours::options(heartbeat_time, limit - heartbeat_time);
    for which in 0..links {
        let (near, mut peer) = pair();
        let reporter = Reporter { which, to: ends.to.clone() };
        Link::start_with(near, Native::default(), &options, reporter).expect("a link starts");
        let before = Instant::now();
        peer.write_all(b"\x00\x00\x00\x01\x03").expect("a fresh socket takes a few bytes");
        ends.last.push((before, Instant::now()));
        peers.push(peer);
        thread::sleep(SPREAD / links as u32);
    }
    ends.lateness(limit)
}

pub(crate) fn tokio(limit: Duration, links: usize) -> Lateness {
    let mut ends = Ends::new();
    let mut peers = Vec::new();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime starts");
    for which in 0..links {
        let (near, mut peer) = pair();
        let to = ends.to.clone();
        runtime.spawn(async move {
            let mut near = crate::rivals::tokio::stream(near);
            let mut buffer = [0; 64];
            while tokio::time::timeout(limit, near.read(&mut buffer)).await.is_ok() {}
            let _main_waits = to.send((which, Instant::now()));
            near
        });
        let before = Instant::now();
        peer.write_all(b"\x00\x00\x00\x01\x03").expect("a fresh socket takes a few bytes");
        ends.last.push((before, Instant::now()));
        peers.push(peer);
        thread::sleep(SPREAD / links as u32);
    }
    ends.lateness(limit)
}

pub(crate) fn zmq(limit: Duration, links: usize) -> Lateness {
    let mut ends = Ends::new();
    let (near, far) = (zmq::Context::new(), zmq::Context::new());
    let mut sockets = Vec::new();
    let mut cables = Vec::new();
    for which in 0..links {
        let other = far.socket(zmq::PAIR).expect("a context makes sockets");
        let cable = Cable::new(&bind(&other));
        let socket = near.socket(zmq::PAIR).expect("a context makes sockets");
        let millis = limit.as_millis() as i32;
        socket.set_heartbeat_ivl(millis / 3).expect("a known option");
        socket.set_heartbeat_timeout(millis).expect("a known option");
        let events = format!("inproc://events-{which}");
        let disconnected = zmq::SocketEvent::DISCONNECTED as i32;
        socket.monitor(&events, disconnected).expect("a monitor starts");
        socket.connect(&cable.address).expect("the cable listens");
        let monitor = near.socket(zmq::PAIR).expect("a context makes sockets");
        monitor.connect(&events).expect("the monitor is bound");
        let to = ends.to.clone();
        thread::spawn(move || {
            monitor.recv_bytes(0).expect("the connection ends");
            let _main_waits = to.send((which, Instant::now()));
        });
        sockets.push((socket, other));
        cables.push(cable);
    }
    thread::sleep(limit + Duration::from_millis(200));
    for cable in &cables {
        ends.last.push(cable.cut());
        thread::sleep(SPREAD / links as u32);
    }
    ends.lateness(limit)
}

/// A wire between two ends that can be cut: then it takes bytes and passes none.
struct Cable {
    address: String,
    cut: Arc<AtomicBool>,
    /// When a byte last went to the side that dialled.
    last: Arc<Mutex<(Instant, Instant)>>,
}

impl Cable {
    fn new(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("a bound listener has an address");
        let to = to.trim_start_matches("tcp://").to_owned();
        let cut = Arc::new(AtomicBool::new(false));
        let last = Arc::new(Mutex::new(never()));
        let cable =
            Self { address: format!("tcp://{address}"), cut: cut.clone(), last: last.clone() };
        thread::spawn(move || {
            let (near, _) = listener.accept().expect("the near end dials");
            let far = TcpStream::connect(to).expect("the far end listens");
            for end in [&near, &far] {
                end.set_nodelay(true).expect("a connected socket takes options");
            }
            let clone = |stream: &TcpStream| stream.try_clone().expect("a descriptor is left");
            let (near_reads, far_reads) = (clone(&near), clone(&far));
            let away = Arc::new(Mutex::new(never()));
            let cut_too = cut.clone();
            thread::spawn(move || pass(near_reads, far, &cut_too, &away));
            pass(far_reads, near, &cut, &last);
        });
        cable
    }

    /// Cuts, and returns when the last byte went through.
    fn cut(&self) -> (Instant, Instant) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.cut.store(true, Ordering::SeqCst);
        *last
    }
}

/// The value before any byte has been sent.
fn never() -> (Instant, Instant) {
    (Instant::now(), Instant::now())
}

fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    cut: &AtomicBool,
    last: &Mutex<(Instant, Instant)>,
) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if !cut.load(Ordering::SeqCst) {
            let before = Instant::now();
            if to.write_all(&buffer[..count]).is_err() {
                return;
            }
            *last = (before, Instant::now());
        }
    }
}

/// Over which time the last bytes are spread.
const SPREAD: Duration = Duration::from_millis(300);
