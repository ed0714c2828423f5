//! Idle links, a heartbeat a second each way, N in one process and their other ends in a second
//!: peerbeat, tokio and libzmq.
//!
//! *tokio*: a runtime of two threads, a task a link that reads, beats and keeps a deadline.
//! *libzmq*: one ROUTER with N connections, heartbeats every second; it does not say how many it
//! sent, so one pair a link and second is assumed. Its side answers pings as well as sending them.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{Link, LinkEvent, LinkHandler};
use peerbeat::protocol::Native;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{interval_at, sleep_until};

use crate::common::{Args, idle, ours, proc};
use crate::rivals;

static BEATS: AtomicU64 = AtomicU64::new(0);
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

fn link(stream: TcpStream) -> Link {
    let options = ours::every_second();
    Link::start_with(stream, Native::default(), &options, Quiet).expect("a link starts")
}

pub(crate) fn far(args: &Args) {
    let design = args.value("design").unwrap_or_default();
    if design == "libzmq" {
        let context = zmq::Context::new();
        let router = rivals::zmq::socket(&context, zmq::ROUTER);
        println!("{}", rivals::zmq::bind(&router));
        loop {
            thread::sleep(Duration::from_secs(3600));
        }
    }
    let listener = idle::listen();
    let runtime = (design == "tokio").then(runtime);
    let mut links = Vec::new();
    loop {
        let stream = idle::accept(&listener);
        match &runtime {
            Some(runtime) => drop(runtime.spawn(task(stream))),
            None => links.push(link(stream)),
        }
    }
}

pub(crate) fn near(args: &Args) {
    let address = args.value("address").expect("the near process is given an address");
    let (count, seconds) = (args.number("count", 1), args.number("seconds", 5));
    let before = proc::resident_kib();
    let ended = || ENDED.load(Ordering::Relaxed);
    match args.value("design") {
        Some("libzmq") => near_zmq(address, count, seconds, before),
        Some("tokio") => {
            let runtime = runtime();
            for made in 0..count {
                runtime.spawn(task(connect(address)));
                idle::pace(made);
            }
            idle::report(count, seconds, before, || BEATS.load(Ordering::Relaxed), ended);
        }
        _ => {
            let make = |made: usize| {
                let link = link(connect(address));
                idle::pace(made);
                link
            };
            let links: Vec<Link> = (0..count).map(make).collect();
            let beats = || {
                let stats = links.iter().map(Link::stats);
                stats.map(|stats| stats.heartbeats_sent + stats.heartbeats_received).sum()
            };
            idle::report(count, seconds, before, beats, ended);
        }
    }
}

fn near_zmq(address: &str, count: usize, seconds: usize, before: u64) {
    let context = zmq::Context::new();
    let router = rivals::zmq::socket(&context, zmq::ROUTER);
    let disconnected = zmq::SocketEvent::DISCONNECTED as i32;
    router.monitor("inproc://events", disconnected).expect("a monitor starts");
    let monitor = context.socket(zmq::PAIR).expect("a context makes sockets");
    monitor.connect("inproc://events").expect("the monitor is bound");
    thread::spawn(move || {
        while monitor.recv_multipart(0).is_ok() {
            ENDED.fetch_add(1, Ordering::Relaxed);
        }
    });
    for made in 0..count {
        router.connect(address).expect("the other end is bound");
        idle::pace(made);
    }
    let began = Instant::now();
    let beats = || (began.elapsed().as_secs_f64() * 2.0 * count as f64) as u64;
    idle::report(count, seconds, before, beats, || ENDED.load(Ordering::Relaxed));
    // Contexts wait for their sockets; the process is done.
    std::process::exit(0);
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the far process listens");
    stream.set_nodelay(true).expect("a connected socket takes options");
    stream
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime starts")
}

async fn task(stream: TcpStream) {
    let (mut read, mut write) = rivals::tokio::stream(stream).into_split();
    let second = Duration::from_secs(1);
    let mut due = interval_at(tokio::time::Instant::now() + second, second);
    let silent = sleep_until(tokio::time::Instant::now() + 3 * second);
    tokio::pin!(silent);
    let mut buffer = vec![0; 4096];
    loop {
        tokio::select! {
            count = read.read(&mut buffer) => {
                if !matches!(count, Ok(1..)) {
                    break;
                }
                BEATS.fetch_add(1, Ordering::Relaxed);
                silent.as_mut().reset(tokio::time::Instant::now() + 3 * second);
            }
            _ = due.tick() => {
                if write.write_all(&[7; 33]).await.is_err() {
                    break;
                }
                BEATS.fetch_add(1, Ordering::Relaxed);
            }
            () = &mut silent => break,
        }
    }
    ENDED.fetch_add(1, Ordering::Relaxed);
}
