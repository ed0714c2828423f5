//! The hub: how each design sends a tick to all of its links, and one run of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{Link, SendError};

use super::common::proc::{self, Use};
use super::common::{number, ours, pair, raw};
use super::{SIZE, nanos};

/// What the hub does: `bursts` of `ticks` after a pause each, a tick a period.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) links: usize,
    /// Threads that each send all of this over the same links,
    pub(crate) publishers: usize,
    /// and parts into which the links are divided, each with publishers of its own.
    pub(crate) hubs: usize,
    pub(crate) bursts: usize,
    pub(crate) ticks: u64,
    pub(crate) period: Duration,
    pub(crate) pause: Duration,
    /// Two more links: a peer that reads nothing, and one that reads now and then.
    pub(crate) has_bad_peers: bool,
}

impl Work {
    /// One publisher that sends `ticks` as fast as it can.
    pub(crate) fn at_full_speed(links: usize, ticks: u64) -> Self {
        Self {
            links,
            publishers: 1,
            hubs: 1,
            bursts: 1,
            ticks: ticks.max(1),
            period: Duration::ZERO,
            pause: Duration::ZERO,
            has_bad_peers: false,
        }
    }
}

/// What one run showed. Times are microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    deliveries: f64,
    wall: f64,
    cpu: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    pub(crate) first: f64,
    pub(crate) last: f64,
    /// The rate of the slowest link against the median one's.
    pub(crate) slowest: f64,
}

impl Run {
    /// Millions of deliveries a second.
    pub(crate) fn rate(&self) -> f64 {
        self.deliveries / self.wall
    }

    /// CPU of the hub, in microseconds a delivery.
    pub(crate) fn cpu_each(&self) -> f64 {
        self.cpu / self.deliveries
    }

    pub(crate) fn parse(line: &str, work: &Work, began: u64, used: Use) -> Self {
        let words: Vec<f64> =
            line.split_whitespace().map(|word| word.parse().expect("numbers")).collect();
        let [ended, p50, p99, max, first, last, slowest] = words[..] else { panic!("{line}") };
        let ticks = work.bursts as f64 * work.ticks as f64 * work.publishers as f64;
        Self {
            deliveries: work.links as f64 * ticks,
            wall: (ended - began as f64) / 1e3,
            cpu: used.cpu.as_nanos() as f64 / 1e3,
            p50,
            p99,
            max,
            first,
            last,
            slowest,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Design {
    RawEach,
    RawBatched,
    Peerbeat,
    /// peerbeat, its peers being the raw sockets of the others: what the hub alone makes of it.
    PeerbeatToRaw,
}

impl Design {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RawEach => "raw-each",
            Self::RawBatched => "raw-batched",
            Self::Peerbeat => "peerbeat",
            Self::PeerbeatToRaw => "peerbeat-to-raw",
        }
    }

    fn has_raw_receivers(self) -> bool {
        self != Self::Peerbeat
    }
}

/// The hub's end of every connection of one publisher.
enum Hub {
    Each(Vec<TcpStream>),
    Batched(Vec<(TcpStream, Vec<u8>)>),
    /// The links, and those of bad peers.
    Links(Vec<Link>, Vec<Link>),
}

impl Hub {
    fn send(&mut self, payload: &[u8], bytes: &[u8]) {
        match self {
            Self::Each(streams) => {
                for mut stream in streams.iter() {
                    stream.write_all(bytes).expect("the receiver reads on");
                }
            }
            Self::Batched(streams) => {
                for (stream, buffer) in streams {
                    if buffer.len() + bytes.len() > raw::BUFFER {
                        stream.write_all(buffer).expect("the receiver reads on");
                        buffer.clear();
                    }
                    buffer.extend_from_slice(bytes);
                }
            }
            Self::Links(links, bad) => {
                for link in links.iter() {
                    match link.try_send(payload) {
                        Err(SendError::Full) => link.send(payload),
                        other => other,
                    }
                    .expect("the receiver reads on");
                }
                for link in bad.iter() {
                    let _full_or_down = link.try_send(payload);
                }
            }
        }
    }

    fn flush(&mut self) {
        if let Self::Batched(streams) = self {
            for (stream, buffer) in streams {
                stream.write_all(buffer).expect("the receiver reads on");
                buffer.clear();
            }
        }
    }
}

fn quiet(_: &Link, _: &[u8]) {}

/// One run: starts the receivers, publishes, and reads what they saw.
pub(crate) fn publish(design: Design, work: &Work) -> Run {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("a bound listener has an address");
    let (mut child, mut output) = start_receivers(design, work, &address.to_string());
    let accept = |_| {
        let (stream, _) = listener.accept().expect("the receivers dial");
        stream.set_nodelay(true).expect("a connected socket takes options");
        stream
    };
    let streams: Vec<TcpStream> = (0..work.links).map(accept).collect();
    let bad = if work.has_bad_peers { bad_peers() } else { Vec::new() };
    let hubs = hubs(design, work, streams, &bad);
    let mut line = String::new();
    output.read_line(&mut line).expect("the receivers say that they are ready");
    assert_eq!(line.trim(), "ready");
    thread::sleep(SETTLE);

    let (used, began) = (Use::of_other_threads(), nanos());
    // What a thread has used is counted while it lives: the publishers end after the count.
    let (counted, all_counted) = std::sync::mpsc::channel::<()>();
    let all_counted = std::sync::Mutex::new(all_counted);
    let used = thread::scope(|scope| {
        for (index, mut hub) in hubs.into_iter().enumerate() {
            let all_counted = &all_counted;
            scope.spawn(move || {
                send_all(&mut hub, work, (index % work.publishers) as u8);
                drop(all_counted.lock().map(|counted| counted.recv()));
                hub
            });
        }
        line.clear();
        output.read_line(&mut line).expect("the receivers say what they saw");
        let used = Use::of_other_threads().since(&used);
        drop(counted);
        used
    });
    child.kill().expect("the receivers are there");
    child.wait().expect("the receivers end");
    Run::parse(&line, work, began, used)
}

/// What each publisher sends on.
fn hubs(design: Design, work: &Work, streams: Vec<TcpStream>, bad: &[Link]) -> Vec<Hub> {
    let batched = |stream| (stream, Vec::with_capacity(raw::BUFFER));
    match design {
        Design::RawEach => vec![Hub::Each(streams)],
        Design::RawBatched => vec![Hub::Batched(streams.into_iter().map(batched).collect())],
        Design::Peerbeat | Design::PeerbeatToRaw => {
            // A raw peer is silent.
            let slack = Duration::from_secs(if design == Design::Peerbeat { 2 } else { 600 });
            let options = ours::options(Duration::from_secs(1), slack);
            let start = |stream| ours::start(stream, &options, quiet);
            let links: Vec<Link> = streams.into_iter().map(start).collect();
            let parts = links.chunks(work.links.div_ceil(work.hubs));
            let publishers = |part: &[Link]| {
                let hub = |_| Hub::Links(part.to_vec(), bad.to_vec());
                (0..work.publishers).map(hub).collect::<Vec<_>>()
            };
            parts.flat_map(publishers).collect()
        }
    }
}

/// A peer that reads nothing, and one that reads 16 KiB in 10 ms.
fn bad_peers() -> Vec<Link> {
    let options = ours::every_second();
    let (stuck, (slow, mut far)) = (pair(), pair());
    thread::spawn(move || {
        let mut buffer = vec![0; 16 << 10];
        while far.read(&mut buffer).is_ok_and(|count| count > 0) {
            thread::sleep(Duration::from_millis(10));
        }
    });
    let links = [stuck.0, slow].map(|stream| ours::start(stream, &options, quiet));
    // The other end of the stuck one stays open for as long as the process lives.
    std::mem::forget(stuck.1);
    links.to_vec()
}

fn start_receivers(design: Design, work: &Work, address: &str) -> (Child, BufReader<ChildStdout>) {
    let numbers = [
        ("--links", work.links as u64),
        ("--publishers", work.publishers as u64),
        ("--bursts", work.bursts as u64),
        ("--ticks", work.ticks),
    ];
    let mut command = proc::again(&["--role", "receive", "--address", address]);
    for (name, number) in numbers {
        command.args([name, &number.to_string()]);
    }
    if design.has_raw_receivers() {
        command.arg("--raw");
    }
    let mut child = command.stdout(Stdio::piped()).spawn().expect("this program starts again");
    let output = child.stdout.take().expect("its output is a pipe");
    (child, BufReader::new(output))
}

fn send_all(hub: &mut Hub, work: &Work, publisher: u8) {
    let mut payload = vec![7; SIZE];
    payload[21] = publisher;
    let mut bytes = Vec::new();
    let mut sequence = 0;
    for burst in 0..work.bursts {
        thread::sleep(work.pause);
        let began = Instant::now();
        for tick in 0..work.ticks {
            if !work.period.is_zero() {
                let due = began + work.period * tick as u32;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            number(&mut payload, sequence);
            sequence += 1;
            payload[8..16].copy_from_slice(&nanos().to_le_bytes());
            payload[16] = u8::from(tick == 0) | u8::from(tick + 1 == work.ticks) << 1;
            payload[17..21].copy_from_slice(&(burst as u32).to_le_bytes());
            bytes.clear();
            raw::frame(&payload, &mut bytes);
            hub.send(&payload, &bytes);
        }
        hub.flush();
    }
}

/// From the last connection to the first tick.
const SETTLE: Duration = Duration::from_millis(300);
