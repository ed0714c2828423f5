//! How late the verdict on a silent peer is: a frozen peer, a stuck sender, dropped
//! packets.
//!
//! *Frozen*: the peer's socket stays open, sends one last message and nothing more. Lateness is
//! from the instant after that write returned, plus the limit, to the handler's `LinkEvent::Down`;
//! a verdict before the instant of the write plus the limit is early, and there must be none.
//! *Decided* is the part of it up to the decision, p50 and p99, before the link's threads end.
//! *Stuck*: the same while our sender thread is stuck in a write that the peer does not read.
//! *Dropped*: the peer goes on sending and the packets vanish, from one instant on (this program
//! again, in a network namespace of its own with `iptables`); counted from the last message that
//! our handler saw.
//!
//! All links of all limits run side by side, their ends spread evenly. `--long` adds the limits 17
//! s and 60 s, `--links N` a limit, `--only frozen|stuck|dropped`.

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::table::{digits, percentile};
use common::{Args, Table, heading, ours, pair, proc, raw};
use peerbeat::link::{Down, DownReason, Link, LinkEvent, LinkHandler, LinkOptions, SendError};
use peerbeat::protocol::Native;

fn main() {
    let args = Args::parse();
    if args.has("dropped-here") {
        return dropped(&args);
    }
    println!("# Lateness of the verdict");
    let noise = proc::Noise::start();
    if args.wants("frozen") {
        heading("Frozen peer (target: never early, p50 at most 0.3 ms, p99 at most 1 ms)");
        let links = args.number("links", if args.quick() { 10 } else { 100 });
        measure(&args, links, |link, peer| end_of_life(link, peer, false));
    }
    if args.wants("stuck") {
        heading("Our sender stuck in a write (target: at most 2 kernel ticks + 5 ms)");
        let links = args.number("links", if args.quick() { 2 } else { 12 });
        measure(&args, links, |link, peer| end_of_life(link, peer, true));
    }
    if args.wants("dropped") {
        heading("Dropped packets (targets as for a frozen peer)");
        in_own_network();
    }
    noise.report();
}

/// The limits, each as heartbeat-time and slack.
fn limits(args: &Args) -> Vec<LinkOptions> {
    let mut limits = vec![(100, 200), (500, 500), (1000, 2000)];
    if args.quick() {
        limits.truncate(2);
    }
    if args.has("long") {
        limits.extend([(15_000, 2000), (55_000, 5000)]);
    }
    let millis = Duration::from_millis;
    limits.into_iter().map(|(beat, slack)| ours::options(millis(beat), millis(slack))).collect()
}

fn limit(options: &LinkOptions) -> Duration {
    options.liveness.heartbeat_time.unwrap_or_default() + options.liveness.slack
}

/// Tells the main thread of the end, and when the last message came.
struct Reporter {
    which: usize,
    last_message: Instant,
    to: mpsc::Sender<(usize, Instant, Instant, Down)>,
}

impl LinkHandler for Reporter {
    fn on_message(&mut self, _: &Link, _: &[u8]) {
        self.last_message = Instant::now();
    }

    fn on_event(&mut self, _: &Link, event: &LinkEvent) {
        if let LinkEvent::Down(down) = event {
            let report = (self.which, self.last_message, Instant::now(), down.clone());
            let _main_waits = self.to.send(report);
        }
    }
}

/// Lets `end_of_life` begin the silence of many links and prints how late the verdicts were. It
/// returns the instants before and after the last write of the peer.
fn measure(
    args: &Args,
    links: usize,
    end_of_life: fn(&Link, &mut TcpStream) -> (Instant, Instant),
) {
    let limits = limits(args);
    let (to, reports) = mpsc::channel();
    let mut last_bytes = Vec::new();
    let mut peers = Vec::new();
    let began = Instant::now();
    for turn in 0..links {
        for options in &limits {
            let at = began + SPREAD * turn as u32 / links as u32;
            thread::sleep(at.saturating_duration_since(Instant::now()));
            let (stream, mut peer) = pair();
            let which = last_bytes.len();
            let reporter = Reporter { which, last_message: Instant::now(), to: to.clone() };
            let link = Link::start_with(stream, Native::default(), options, reporter);
            let link = link.expect("a link starts");
            last_bytes.push(end_of_life(&link, &mut peer));
            peers.push(peer);
        }
    }
    let mut rows = vec![Row::default(); limits.len()];
    for _ in 0..last_bytes.len() {
        let (which, _, at, down) = reports.recv().expect("every link ends");
        let (before, after) = last_bytes[which];
        let row = &mut rows[which % limits.len()];
        row.add(limit(&limits[which % limits.len()]), before, after, at, &down);
    }
    print(&limits, &rows);
}

#[derive(Clone, Debug, Default)]
struct Row {
    millis: Vec<f64>,
    /// The same up to the decision: what follows is waking the reader, which ends the link's
    /// threads and calls the handler.
    decided: Vec<f64>,
    early: usize,
    other: usize,
}

impl Row {
    fn add(&mut self, limit: Duration, before: Instant, after: Instant, at: Instant, down: &Down) {
        let late = at.saturating_duration_since(after + limit);
        self.millis.push(late.as_nanos() as f64 / 1e6);
        self.decided.push(down.silence.saturating_sub(limit).as_nanos() as f64 / 1e6);
        self.early += usize::from(at < before + limit || down.silence < limit);
        self.other += usize::from(down.reason != DownReason::Silent);
    }
}

fn print(limits: &[LinkOptions], rows: &[Row]) {
    let head = ["limit s", "links", "early", "not `silent`", "p50 ms", "p99 ms", "most", "decided"];
    let mut table = Table::new(head);
    for (options, row) in limits.iter().zip(rows) {
        let (mut millis, mut decided) = (row.millis.clone(), row.decided.clone());
        millis.sort_by(f64::total_cmp);
        decided.sort_by(f64::total_cmp);
        table.row([
            digits(limit(options).as_secs_f64()),
            millis.len().to_string(),
            row.early.to_string(),
            row.other.to_string(),
            digits(percentile(&millis, 50.0)),
            digits(percentile(&millis, 99.0)),
            digits(percentile(&millis, 100.0)),
            format!(
                "{}, {}",
                digits(percentile(&decided, 50.0)),
                digits(percentile(&decided, 99.0))
            ),
        ]);
    }
    table.print();
}

/// The peer's last message; then our side floods it if the sender is to get stuck.
fn end_of_life(link: &Link, peer: &mut TcpStream, stuck: bool) -> (Instant, Instant) {
    let mut message = Vec::new();
    raw::frame(b"last", &mut message);
    let before = Instant::now();
    peer.write_all(&message).expect("a fresh socket takes a few bytes");
    let after = Instant::now();
    if stuck {
        // The peer's silence has begun a little before the write got stuck, so it is the reason.
        thread::sleep(Duration::from_millis(5));
        let large = vec![7; 256 << 10];
        while link.try_send(&large) != Err(SendError::Full) {}
    }
    (before, after)
}

/// Runs this program again in a network in which it may drop packets.
fn in_own_network() {
    let own = std::env::current_exe().expect("a running program has a path");
    let words: Vec<String> = std::env::args().skip(1).collect();
    let status = Command::new("unshare")
        .args(["-Urn", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(own)
        .args(words)
        .arg("--dropped-here")
        .status();
    if !status.is_ok_and(|status| status.success()) {
        println!("not measured: it needs unshare, ip and iptables");
    }
}

fn dropped(args: &Args) {
    let limits = limits(args);
    let links = args.number("links", if args.quick() { 5 } else { 50 });
    let (to, reports) = mpsc::channel();
    let mut peers = Vec::new();
    for which in 0..links * limits.len() {
        let (stream, peer) = pair();
        let reporter = Reporter { which, last_message: Instant::now(), to: to.clone() };
        let options = &limits[which % limits.len()];
        Link::start_with(stream, Native::default(), options, reporter).expect("a link starts");
        peers.push(peer);
    }
    let ended = Arc::new(AtomicBool::new(false));
    let sending = thread::spawn({
        let ended = Arc::clone(&ended);
        move || send_on(&mut peers, &ended)
    });
    thread::sleep(Duration::from_millis(500));
    let drop = Command::new("iptables").args(["-A", "INPUT", "-p", "tcp", "-j", "DROP"]).status();
    if !drop.is_ok_and(|status| status.success()) {
        std::process::exit(1);
    }
    let mut rows = vec![Row::default(); limits.len()];
    for _ in 0..links * limits.len() {
        let (which, last, at, down) = reports.recv().expect("every link ends");
        let limit = limit(&limits[which % limits.len()]);
        // Our handler saw the message a little after the byte came: no verdict is early by that.
        let byte = at - down.silence.min(at - last);
        rows[which % limits.len()].add(limit, byte, last, at, &down);
    }
    ended.store(true, Ordering::Relaxed);
    sending.join().expect("the peers send on");
    print(&limits, &rows);
}

/// Sends a message on every socket in turn, each one five times a second: when all vanish, the
/// limits end one after the other, not all at once, which is the work of the benchmark `lost`.
fn send_on(peers: &mut [TcpStream], ended: &AtomicBool) {
    let mut message = Vec::new();
    raw::frame(b"more", &mut message);
    let apart = Duration::from_millis(200) / peers.len() as u32;
    let mut next = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        for peer in peers.iter_mut() {
            next += apart;
            thread::sleep(next.saturating_duration_since(Instant::now()));
            // Once our end is shut the packets that would say so are dropped, too.
            let _vanishes = peer.set_nonblocking(true).and_then(|()| peer.write(&message));
        }
    }
}

/// Over which time the ends of the links are spread. With 100 links no limit is a multiple of the
/// time between two of them: a verdict would coincide with the making of another link.
const SPREAD: Duration = Duration::from_millis(1700);
