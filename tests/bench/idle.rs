//! Idle links, heartbeats every second each way, N of them in one process.
//!
//! This program runs itself twice for every figure: the far process holds the other ends, the near
//! one makes the links, lets them settle, and counts over some seconds what its threads used:
//! context switches and CPU a heartbeat pair (one sent, one received), resident memory a link.
//! *bare* is the smallest program of two threads a link: a timed read into 8 KiB, a timed wait and
//! a write. From 8,000 links on the far ends are plain sockets of one thread, since two processes
//! of threads do not fit the machine. `--past-limit` adds links until the system refuses and checks
//! the others.
//!
//! `--counts 100,1000,5000`, `--seconds N` counted, `--rounds N`, `--quick`.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::idle::{self, Figures};
use common::proc::{self, Use};
use common::{Args, Spread, Table, heading, ours, progress, raw};
use peerbeat::link::{Link, LinkEvent, LinkHandler};
use peerbeat::protocol::{Framing, Heartbeat, Native};

fn main() {
    let args = Args::parse();
    match args.value("role") {
        Some("far") => far(&args),
        Some("near") => near(&args),
        _ => orchestrate(&args),
    }
}

fn orchestrate(args: &Args) {
    println!("# Idle links");
    let noise = proc::Noise::start();
    if args.has("past-limit") {
        heading("Past the machine's limit (target: a clear error, and what runs goes on)");
        println!("{}", idle::run("peerbeat", "sockets", 40_000, 1).trim());
        return;
    }
    heading("Heartbeats every second both ways; a pair = one sent, one received");
    println!(
        "Targets: no false death, at most 2.5 switches a pair, CPU a pair at most 1.2 x bare and\n\
         flat in N, at most 24 KiB resident a link.\n"
    );
    let mut table = Table::new([
        "links",
        "design",
        "switches a pair",
        "preempted",
        "CPU us a pair",
        "KiB a link",
        "pairs of due",
        "false deaths",
        "CPU x bare",
    ]);
    let counts = args.value("counts").unwrap_or(if args.quick() { "100" } else { "100,1000,5000" });
    for count in counts.split(',') {
        let count: usize = count.parse().expect("--counts N,N,...");
        rows(&mut table, args, count);
    }
    table.print();
    noise.report();
}

fn rows(table: &mut Table, args: &Args, count: usize) {
    let designs = ["bare", "peerbeat"];
    let mut results = [Vec::new(), Vec::new()];
    let seconds = args.number("seconds", if args.quick() { 2 } else { 5 });
    for round in 0..args.number("rounds", 1) {
        for (design, results) in designs.iter().zip(&mut results) {
            progress(&format!("{count} links, {design}, round {}", round + 1));
            let far = if count >= 8000 { "sockets" } else { design };
            results.push(idle::measure(design, far, count, seconds));
        }
    }
    for (design, figures) in designs.iter().zip(&results) {
        let of = |figure: fn(&Figures) -> f64| Spread::of(figures.iter().map(figure)).to_string();
        let against = figures.iter().zip(&results[0]).map(|(a, b)| a.cpu / b.cpu);
        table.row([
            count.to_string(),
            (*design).to_owned(),
            of(|figures| figures.switches),
            of(|figures| figures.preempted),
            of(|figures| figures.cpu),
            of(|figures| figures.kib),
            of(|figures| figures.pairs),
            of(|figures| figures.deaths),
            Spread::of(against).to_string(),
        ]);
    }
}

/// Heartbeats of all links of this process that are not counted by [`Link::stats`].
static SENT: AtomicU64 = AtomicU64::new(0);
static RECEIVED: AtomicU64 = AtomicU64::new(0);
/// Links that ended.
static ENDED: AtomicU64 = AtomicU64::new(0);

struct Quiet;

impl LinkHandler for Quiet {
    fn on_message(&mut self, _: &Link, _: &[u8]) {}

    fn on_event(&mut self, _: &Link, event: &LinkEvent) {
        if let LinkEvent::Down(_) = event {
            ENDED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn near(args: &Args) {
    let count = args.number("count", 1);
    let address = args.value("address").expect("the near process is given an address");
    let bare_design = args.value("design") == Some("bare");
    let before = proc::resident_kib();
    let options = ours::every_second();
    let mut links = Vec::with_capacity(count);
    for made in 0..count {
        let Some(stream) = connect(address, made) else { return past_limit(&links) };
        if bare_design {
            bare(stream);
            continue;
        }
        match Link::start_with(stream, Native::default(), &options, Quiet) {
            Ok(link) => links.push(link),
            Err(error) => {
                println!("link {made} was refused: {error}");
                return past_limit(&links);
            }
        }
        idle::pace(made);
    }
    let beats = || {
        let counted = SENT.load(Ordering::Relaxed) + RECEIVED.load(Ordering::Relaxed);
        let stats = links.iter().map(Link::stats);
        counted + stats.map(|stats| stats.heartbeats_sent + stats.heartbeats_received).sum::<u64>()
    };
    let ended = || ENDED.load(Ordering::Relaxed);
    idle::report(count, args.number("seconds", 5), before, beats, ended);
}

fn connect(address: &str, made: usize) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).and_then(|stream| {
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    stream.inspect_err(|error| println!("connection {made} was refused: {error}")).ok()
}

/// After a refusal: the links that were made still beat.
fn past_limit(links: &[Link]) {
    println!("threads of this process: {}", Use::of_threads().threads);
    let beats = || links.iter().map(|link| link.stats().heartbeats_sent).collect::<Vec<_>>();
    let before = beats();
    thread::sleep(Duration::from_secs(4));
    let moved = beats().iter().zip(&before).filter(|(after, before)| after > before).count();
    let ended = ENDED.load(Ordering::Relaxed);
    println!("4 s later {moved} of {} links sent heartbeats, {ended} ended", links.len());
}

fn far(args: &Args) {
    let listener = idle::listen();
    let sockets = Arc::new(Mutex::new(Vec::new()));
    let design = args.value("design").unwrap_or("peerbeat");
    if design == "sockets" {
        let sockets = Arc::clone(&sockets);
        thread::spawn(move || beat_all(&sockets));
    }
    let mut links = Vec::new();
    loop {
        let stream = idle::accept(&listener);
        match design {
            "sockets" => sockets.lock().unwrap_or_else(PoisonError::into_inner).push(stream),
            "bare" => bare(stream),
            _ => {
                let options = ours::every_second();
                let link = Link::start_with(stream, Native::default(), &options, Quiet);
                links.push(link.expect("a link starts"));
            }
        }
    }
}

/// A heartbeat a second on every socket, from one thread; nothing is read, so little arrives that
/// the sockets' own buffers hold it.
fn beat_all(sockets: &Mutex<Vec<TcpStream>>) {
    let mut beat = Vec::new();
    Native::default().encode_heartbeat(&HEARTBEAT, &mut beat);
    let mut next = Instant::now();
    for tenth in (0..10).cycle() {
        next += Duration::from_millis(100);
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
        for mut socket in sockets.iter().skip(tenth).step_by(10) {
            // Fails if the near process has ended; then this one is about to be.
            let _ended = socket.write(&beat);
        }
    }
}

/// The smallest link of two threads.
fn bare(stream: TcpStream) {
    let stream = Arc::new(stream);
    let writing = Arc::clone(&stream);
    // As DESIGN has it: who sends would set the time of the last byte under this lock.
    let state = Arc::new((Mutex::new(Instant::now()), Condvar::new()));
    let spawn = |body: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().stack_size(64 << 10).spawn(body).expect("a thread starts")
    };
    spawn(Box::new(move || bare_writer(&writing, &state)));
    spawn(Box::new(move || bare_reader(&stream)));
}

fn bare_writer(mut stream: &TcpStream, (last_sent, changed): &(Mutex<Instant>, Condvar)) {
    let mut beat = Vec::new();
    Native::default().encode_heartbeat(&HEARTBEAT, &mut beat);
    let mut last = last_sent.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let due = *last + Duration::from_secs(1);
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            if stream.write_all(&beat).is_err() {
                return;
            }
            SENT.fetch_add(1, Ordering::Relaxed);
            *last = Instant::now();
            continue;
        }
        last = changed.wait_timeout(last, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn bare_reader(mut stream: &TcpStream) {
    let timeout = Some(Duration::from_secs(3));
    stream.set_read_timeout(timeout).expect("a connected socket takes options");
    let mut buffer = vec![0; 8 << 10];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let beats = count / (raw::HEAD + 4 + 24);
        RECEIVED.fetch_add(beats as u64, Ordering::Relaxed);
    }
    ENDED.fetch_add(1, Ordering::Relaxed);
}

/// With the clock readings that a link's heartbeats carry.
const HEARTBEAT: Heartbeat = Heartbeat {
    heartbeat_time_ms: 1000,
    timing: Some(peerbeat::protocol::Timing { sent_us: 1, echo_us: 0, echo_age_us: 0 }),
};
