//! One publisher, many peers: one thread sends every tick to N links, whose other ends live in a
//! second process.
//!
//! *raw-each* writes every tick to every socket. *raw-batched* keeps a 64 KiB buffer a socket and
//! writes it when the next tick does not fit, and at the end: the limit of what batching can give,
//! with no bound on how old a byte may get. All receivers check the number of every message and
//! how long it took from the hub's send to their handler.
//!
//! `--only rate`, `--only paced`, `--only bursts` run a part; `--links 10,100,1000`, `--rounds N`,
//! `--quick`.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::proc::{self, Use};
use common::{
    Args, Contender, Spread, Table, alternate, heading, number, number_of, ours, ratio, raw,
};
use peerbeat::link::{Link, SendError};

fn main() {
    let args = Args::parse();
    if args.value("role") == Some("receive") {
        return receive(&args);
    }
    let noise = proc::Noise::start();
    println!("# Fan-out");
    if args.wants("rate") {
        rate(&args);
    }
    if args.wants("paced") {
        paced(&args);
    }
    if args.wants("bursts") {
        bursts(&args);
    }
    noise.report();
}

/// As fast as one thread can.
fn rate(args: &Args) {
    for links in counts(args, "10,100,1000") {
        heading(&format!("{links} links, 64 bytes, as fast as one thread can"));
        let ticks = (args.scaled(4_000_000) / links as u64).max(1);
        let work = Work { links, bursts: 1, ticks, period: Duration::ZERO, pause: Duration::ZERO };
        // A write a message is so slow that a tenth of the work is enough to see it.
        let slow = Work { ticks: (ticks / 10).max(1), ..work };
        let results = run(args, [slow, work, work]);
        let mut table = Table::new([
            "design",
            "M deliveries/s",
            "hub CPU us each",
            "x raw-batched",
            "slowest link",
        ]);
        for (design, runs) in DESIGNS.iter().zip(&results) {
            table.row([
                design.as_str().to_owned(),
                spread(runs, Run::rate),
                spread(runs, Run::cpu_each),
                ratio(runs, &results[1], Run::rate).to_string(),
                spread(runs, |run| run.slowest),
            ]);
        }
        table.print();
    }
}

/// A tick at fixed times.
fn paced(args: &Args) {
    for links in counts(args, "100") {
        for micros in [10_000, 2_500, 1_400, 1_000, 900] {
            heading(&format!("{links} links, a tick each {} ms", micros as f64 / 1e3));
            let period = Duration::from_micros(micros);
            let ticks = args.scaled(2_000_000) / micros;
            let work = Work { links, bursts: 1, ticks: ticks.max(10), period, pause: period };
            let results = run(args, [work; 3]);
            let mut table = Table::new([
                "design",
                "hub CPU us each",
                "CPU x raw-each",
                "p50 us",
                "p99 us",
                "max us",
            ]);
            for (design, runs) in DESIGNS.iter().zip(&results) {
                // A buffer that is written when it is full says nothing about a quiet hub.
                if *design == Design::RawBatched {
                    continue;
                }
                table.row([
                    design.as_str().to_owned(),
                    spread(runs, Run::cpu_each),
                    ratio(runs, &results[0], Run::cpu_each).to_string(),
                    spread(runs, |run| run.p50),
                    spread(runs, |run| run.p99),
                    spread(runs, |run| run.max),
                ]);
            }
            table.print();
        }
    }
}

/// The first tick after a pause and the last one of a burst, at the link that gets it last.
fn bursts(args: &Args) {
    for links in counts(args, "10,100,1000") {
        heading(&format!("{links} links, bursts; from a tick's first send to its last arrival"));
        let mut table =
            Table::new(["pause ms", "ticks", "design", "first us", "last us", "last x raw-each"]);
        for (pause, ticks) in [(5, 1), (15, 10), (60, 10), (60, 1000)] {
            let bursts = if args.quick() || links * ticks > 100_000 { 2 } else { 10 };
            let ticks = if args.quick() { ticks.min(100) } else { ticks } as u64;
            let pause = Duration::from_millis(pause);
            let work = Work { links, bursts, ticks, period: Duration::ZERO, pause };
            let results = run(args, [work; 3]);
            for (design, runs) in DESIGNS.iter().zip(&results) {
                if *design == Design::RawBatched {
                    continue;
                }
                table.row([
                    pause.as_millis().to_string(),
                    ticks.to_string(),
                    design.as_str().to_owned(),
                    spread(runs, |run| run.first),
                    spread(runs, |run| run.last),
                    ratio(runs, &results[0], |run| run.last).to_string(),
                ]);
            }
        }
        table.print();
    }
}

fn counts(args: &Args, all: &str) -> Vec<usize> {
    let quick = if args.quick() { "10" } else { all };
    let words = args.value("links").unwrap_or(quick).split(',');
    words.map(|word| word.parse().expect("--links N,N,...")).collect()
}

fn spread(runs: &[Run], figure: impl Fn(&Run) -> f64) -> String {
    Spread::of(runs.iter().map(figure)).to_string()
}

/// The three designs in turns, each with its own work.
fn run(args: &Args, work: [Work; 3]) -> Vec<Vec<Run>> {
    let rounds = args.number("rounds", if args.quick() { 1 } else { 5 });
    let mut contenders: Vec<Contender<'_, Run>> = Vec::new();
    for (design, work) in DESIGNS.into_iter().zip(work) {
        contenders.push((design.as_str(), Box::new(move || publish(design, &work))));
    }
    alternate(rounds, &mut contenders)
}

/// What the hub does: `bursts` of `ticks` after a pause each, a tick a period.
#[derive(Clone, Copy, Debug)]
struct Work {
    links: usize,
    bursts: usize,
    ticks: u64,
    period: Duration,
    pause: Duration,
}

/// What one run showed. Times are microseconds.
#[derive(Clone, Copy, Debug)]
struct Run {
    deliveries: f64,
    wall: f64,
    cpu: f64,
    p50: f64,
    p99: f64,
    max: f64,
    first: f64,
    last: f64,
    /// The rate of the slowest link against the median one's.
    slowest: f64,
}

impl Run {
    fn rate(&self) -> f64 {
        self.deliveries / self.wall
    }

    fn cpu_each(&self) -> f64 {
        self.cpu / self.deliveries
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Design {
    RawEach,
    RawBatched,
    Peerbeat,
}

const DESIGNS: [Design; 3] = [Design::RawEach, Design::RawBatched, Design::Peerbeat];

impl Design {
    fn as_str(self) -> &'static str {
        match self {
            Self::RawEach => "raw-each",
            Self::RawBatched => "raw-batched",
            Self::Peerbeat => "peerbeat",
        }
    }
}

/// The hub's end of every connection.
enum Hub {
    Each(Vec<TcpStream>),
    Batched(Vec<(TcpStream, Vec<u8>)>),
    Links(Vec<Link>),
}

impl Hub {
    fn new(design: Design, streams: Vec<TcpStream>) -> Self {
        let batched = |stream| (stream, Vec::with_capacity(raw::BUFFER));
        match design {
            Design::RawEach => Self::Each(streams),
            Design::RawBatched => Self::Batched(streams.into_iter().map(batched).collect()),
            Design::Peerbeat => {
                let options = ours::every_second();
                Self::Links(
                    streams
                        .into_iter()
                        .map(|stream| ours::start(stream, &options, quiet))
                        .collect(),
                )
            }
        }
    }

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
            Self::Links(links) => {
                for link in links.iter() {
                    match link.try_send(payload) {
                        Err(SendError::Full) => link.send(payload),
                        other => other,
                    }
                    .expect("the receiver reads on");
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
fn publish(design: Design, work: &Work) -> Run {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("a bound listener has an address");
    let (mut child, mut output) = start_receivers(design, work, &address.to_string());
    let accept = |_| {
        let (stream, _) = listener.accept().expect("the receivers dial");
        stream.set_nodelay(true).expect("a connected socket takes options");
        stream
    };
    let streams = (0..work.links).map(accept).collect();
    let mut hub = Hub::new(design, streams);
    let mut line = String::new();
    output.read_line(&mut line).expect("the receivers say that they are ready");
    assert_eq!(line.trim(), "ready");
    thread::sleep(SETTLE);

    let (used, began) = (Use::of_threads(), nanos());
    send_all(&mut hub, work);
    line.clear();
    output.read_line(&mut line).expect("the receivers say what they saw");
    let used = Use::of_threads().since(&used);
    child.kill().expect("the receivers are there");
    child.wait().expect("the receivers end");
    parse(&line, work, began, used)
}

fn start_receivers(design: Design, work: &Work, address: &str) -> (Child, BufReader<ChildStdout>) {
    let (links, bursts, ticks) =
        (work.links.to_string(), work.bursts.to_string(), work.ticks.to_string());
    let words = ["--role", "receive", "--design", design.as_str(), "--address", address];
    let mut command = proc::again(&words);
    command.args(["--links", &links, "--bursts", &bursts, "--ticks", &ticks]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("this program starts again");
    let output = child.stdout.take().expect("its output is a pipe");
    (child, BufReader::new(output))
}

fn send_all(hub: &mut Hub, work: &Work) {
    let mut payload = vec![7; SIZE];
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

fn parse(line: &str, work: &Work, began: u64, used: Use) -> Run {
    let words: Vec<f64> =
        line.split_whitespace().map(|word| word.parse().expect("numbers")).collect();
    let [ended, p50, p99, max, first, last, slowest] = words[..] else { panic!("{line}") };
    Run {
        deliveries: work.links as f64 * work.bursts as f64 * work.ticks as f64,
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

/// The second process: the other end of every connection.
fn receive(args: &Args) {
    let (links, bursts) = (args.number("links", 1), args.number("bursts", 1));
    let messages = bursts as u64 * args.number("ticks", 1) as u64;
    let address = args.value("address").expect("--address HOST:PORT").to_owned();
    let (done, finished) = mpsc::channel();
    let seen = Arc::new(Seen::new(bursts));
    let mut kept = Vec::new();
    for _ in 0..links {
        let stream = TcpStream::connect(&address).expect("the hub listens");
        stream.set_nodelay(true).expect("a connected socket takes options");
        let mut end = End { seen: Arc::clone(&seen), next: 0, messages, done: done.clone() };
        if args.value("design") == Some("peerbeat") {
            let handler = move |_: &Link, payload: &[u8]| end.handle(payload);
            kept.push(ours::start(stream, &ours::every_second(), handler));
        } else {
            let read = move || end.read(stream);
            thread::Builder::new().stack_size(64 << 10).spawn(read).expect("a thread a socket");
        }
    }
    println!("ready");
    let mut ends: Vec<f64> =
        (0..links).map(|_| finished.recv().expect("every link ends")).collect();
    ends.sort_by(f64::total_cmp);
    println!("{}", seen.report(&ends));
    // The hub counts what it used before it stops us: until then the links live.
    thread::sleep(Duration::from_secs(60));
}

/// What all receivers saw together.
struct Seen {
    first_sent: AtomicU64,
    latencies: Mutex<Vec<u32>>,
    /// The longest way of the first and of the last tick, a burst.
    edges: Vec<[AtomicU64; 2]>,
}

impl Seen {
    fn new(bursts: usize) -> Self {
        Self {
            first_sent: AtomicU64::new(u64::MAX),
            latencies: Mutex::default(),
            edges: (0..bursts).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect(),
        }
    }

    fn report(&self, ends: &[f64]) -> String {
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
struct End {
    seen: Arc<Seen>,
    next: u64,
    messages: u64,
    done: mpsc::Sender<f64>,
}

impl End {
    fn handle(&mut self, payload: &[u8]) {
        assert_eq!(number_of(payload), self.next, "a message is missing");
        let edges = payload[16];
        // At full speed a look at the clock for every message would be what is measured.
        if edges != 0 || self.next & SAMPLED == 0 {
            self.measure(payload, edges);
        }
        self.next += 1;
        if self.next == self.messages {
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

    fn read(&mut self, mut stream: TcpStream) {
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

/// Wall-clock time: the only one that two processes share in std.
fn nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

const SIZE: usize = 64;
/// A receiver looks at the clock for messages whose number has none of these bits.
const SAMPLED: u64 = 7;
/// From the last connection to the first tick.
const SETTLE: Duration = Duration::from_millis(300);
