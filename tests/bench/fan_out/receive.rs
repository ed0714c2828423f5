//! The second process: the other end of every connection, and what all of them saw.

use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use peerbeat::link::Link;

use super::common::{self, Args, Spread, number_of, ours, raw};
use super::{SIZE, nanos};

/// Receives what the arguments say, and prints what was seen.
pub(crate) fn run(args: &Args) {
    let (links, bursts) = (args.number("links", 1), args.number("bursts", 1));
    let publishers = args.number("publishers", 1);
    let messages = (bursts * args.number("ticks", 1) * publishers) as u64;
    let address = args.value("address").expect("--address HOST:PORT").to_owned();
    let (done, finished) = mpsc::channel();
    let seen = Arc::new(Seen::new(bursts));
    let mut kept = Vec::new();
    for _ in 0..links {
        let stream = TcpStream::connect(&address).expect("the hub listens");
        stream.set_nodelay(true).expect("a connected socket takes options");
        let mut end = End::new(&seen, publishers, messages, &done);
        if args.has("raw") {
            let read = move || end.read(stream);
            thread::Builder::new().stack_size(64 << 10).spawn(read).expect("a thread a socket");
        } else {
            let handler = move |_: &Link, payload: &[u8]| end.handle(payload);
            kept.push(ours::start(stream, &ours::every_second(), handler));
        }
    }
    // If a receiver panics there is nothing to wait for.
    drop(done);
    println!("ready");
    let mut ends: Vec<f64> =
        (0..links).map(|_| finished.recv().expect("every link ends")).collect();
    ends.sort_by(f64::total_cmp);
    println!("{}", seen.report(&ends));
    // The hub counts what it used before it stops us: until then the links live.
    thread::sleep(Duration::from_secs(60));
}

/// What all receivers saw together.
pub(crate) struct Seen {
    first_sent: AtomicU64,
    latencies: Mutex<Vec<u32>>,
    /// The longest way of the first and of the last tick, a burst.
    edges: Vec<[AtomicU64; 2]>,
}

impl Seen {
    pub(crate) fn new(bursts: usize) -> Self {
        Self {
            first_sent: AtomicU64::new(u64::MAX),
            latencies: Mutex::default(),
            edges: (0..bursts).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect(),
        }
    }

    pub(crate) fn report(&self, ends: &[f64]) -> String {
        let latencies = self.latencies.lock().expect("no receiver panics");
        let mut micros: Vec<f64> = latencies.iter().map(|nanos| f64::from(*nanos) / 1e3).collect();
        micros.sort_by(f64::total_cmp);
        let edge = |which: usize| {
            let longest = self.edges.iter().map(|edges| edges[which].load(Ordering::Relaxed));
            Spread::of(longest.map(|nanos| nanos as f64 / 1e3)).median
        };
        let began = self.first_sent.load(Ordering::Relaxed) as f64;
        let last = ends.last().copied().unwrap_or(began);
        let slowest = (Spread::of(ends.iter().copied()).median - began) / (last - began);
        let at = |percent| common::percentile(&micros, percent);
        format!("{last} {} {} {} {} {} {slowest}", at(50.0), at(99.0), at(100.0), edge(0), edge(1))
    }
}

/// One receiver.
pub(crate) struct End {
    seen: Arc<Seen>,
    /// The next number of each publisher.
    next: Vec<u64>,
    left: u64,
    done: mpsc::Sender<f64>,
}

impl End {
    /// One that says so to `done` when it has had `left` messages of so many publishers.
    pub(crate) fn new(
        seen: &Arc<Seen>,
        publishers: usize,
        left: u64,
        done: &mpsc::Sender<f64>,
    ) -> Self {
        Self { seen: Arc::clone(seen), next: vec![0; publishers], left, done: done.clone() }
    }

    pub(crate) fn handle(&mut self, payload: &[u8]) {
        let next = &mut self.next[usize::from(payload[21])];
        let number = *next;
        assert_eq!(number_of(payload), number, "a message is missing");
        *next += 1;
        let edges = payload[16];
        // At full speed a look at the clock for every message would be what is measured.
        if edges != 0 || number & SAMPLED == 0 {
            self.measure(payload, edges);
        }
        self.left -= 1;
        if self.left == 0 {
            let _hub_waits = self.done.send(nanos() as f64);
        }
    }

    fn measure(&self, payload: &[u8], edges: u8) {
        let sent = payload[8..16].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let burst = payload[17..21].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let took = nanos().saturating_sub(sent);
        self.seen.first_sent.fetch_min(sent, Ordering::Relaxed);
        for (which, longest) in self.seen.edges[burst as usize].iter().enumerate() {
            if edges & (1 << which) != 0 {
                longest.fetch_max(took, Ordering::Relaxed);
            }
        }
        let took = u32::try_from(took).unwrap_or(u32::MAX);
        self.seen.latencies.lock().expect("no receiver panics").push(took);
    }

    pub(crate) fn read(&mut self, mut stream: TcpStream) {
        let mut walk = raw::Walk::new(raw::HEAD + SIZE);
        loop {
            match stream.read(walk.spare()) {
                Ok(count) if count > 0 => {
                    walk.handle_filled(count, |payload| {
                        self.handle(payload);
                        false
                    });
                }
                _ => return,
            }
        }
    }
}

/// A receiver looks at the clock for messages whose number has none of these bits.
const SAMPLED: u64 = 15;
