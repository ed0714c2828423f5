//! Figures: links over TLS compared with plain links and bare TLS, in the same run.
//!
//! `cargo run` prints throughput, round trip and processor time of a link over rustls, of a bare
//! rustls stream between two threads, and of a plain link; then the lateness of verdicts.

#[path = "../../common/accept.rs"]
mod accept;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use accept::accept;
use peerbeat::cable::Cable;
use peerbeat::link::{Inbox, Link, Role, Stream, open};
use peerbeat_tls::{Authority, LONG, ends, options};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection, StreamOwned};

const MESSAGES: u64 = 1_500_000;
const LENGTH: usize = 200;
const TRIPS: u32 = 20_000;
const VERDICTS: usize = 30;

fn main() {
    let authority = Authority::new();
    println!("| | M messages/s of {LENGTH} B | CPU, us a message | round trip, us (p50) |");
    println!("|---|---|---|---|");
    let (near, far, ()) = ends(&authority, |addr| (addr, ()));
    show("link over TLS (Layered + rustls)", over_link(near, far));
    let (near, far) = sockets(|addr| addr);
    show("link over plain TCP", over_link(near, far));
    show("bare rustls stream, one writes, one reads", bare(&authority));
    println!();
    println!("| verdict later than the limit, ms | p50 | max | early |");
    println!("|---|---|---|---|");
    let late = verdicts(|| {
        let (near, far, cable) = ends(&authority, |addr| {
            let cable = Cable::between(addr).expect("a cable");
            (cable.addr(), cable)
        });
        (near, far, cable)
    });
    show_late("link over TLS", late);
    let late = verdicts(|| {
        let mut cable = None;
        let (near, far) =
            sockets(|addr| cable.insert(Cable::between(addr).expect("a cable")).addr());
        (near, far, cable.expect("it was made"))
    });
    show_late("link over plain TCP", late);
}

/// Messages a second, processor seconds a message, seconds a round trip.
type Figures = (f64, f64, f64);

fn show(what: &str, (rate, cpu, trip): Figures) {
    println!("| {what} | {:.2} | {:.2} | {:.0} |", rate / 1e6, cpu * 1e6, trip * 1e6);
}

fn sockets(between: impl FnOnce(SocketAddr) -> SocketAddr) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = between(listener.local_addr().expect("an address"));
    let near = TcpStream::connect(addr).expect("it listens");
    let far = accept(&listener);
    for socket in [&near, &far] {
        socket.set_nodelay(true).expect("a socket");
    }
    (near, far)
}

fn link<S: Stream>(stream: S, heartbeat_ms: u64, slack_ms: u64) -> (Link<S>, Inbox) {
    open(stream, Role::NoHandshake, &options(heartbeat_ms, slack_ms)).expect("a link")
}

fn over_link<S: Stream>(near: S, far: S) -> Figures {
    let (near, far) = (link(near, 1000, 10_000), link(far, 1000, 10_000));
    let message = [7; LENGTH];
    let (began, cpu) = (Instant::now(), cpu_time());
    thread::scope(|scope| {
        scope.spawn(|| (0..MESSAGES).for_each(|_| near.0.send(&message).expect("room")));
        (0..MESSAGES).for_each(|_| drop(far.1.recv(Some(LONG)).expect("a message")));
    });
    let (took, cpu) = (began.elapsed(), cpu_time() - cpu);
    let mut trips = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..TRIPS {
                far.0.send(&far.1.recv(Some(LONG)).expect("a message")).expect("room");
            }
        });
        for _ in 0..TRIPS {
            let began = Instant::now();
            near.0.send(&message).expect("room");
            drop(near.1.recv(Some(LONG)).expect("a message"));
            trips.push(began.elapsed());
        }
    });
    figures(took, cpu, trips)
}

fn figures(took: Duration, cpu: f64, mut trips: Vec<Duration>) -> Figures {
    trips.sort();
    let trip = trips[trips.len() / 2].as_secs_f64();
    (MESSAGES as f64 / took.as_secs_f64(), cpu / MESSAGES as f64, trip)
}

/// The same without links: batches of 64 KiB one way, then single messages there and back.
fn bare(authority: &Authority) -> Figures {
    let (near, far) = sockets(|addr| addr);
    let name = ServerName::try_from("server").expect("a name");
    let near_tls = ClientConnection::new(authority.client("client"), name).expect("a client");
    let far_tls = ServerConnection::new(authority.server("server")).expect("a server");
    let (mut near, mut far) = (StreamOwned::new(near_tls, near), StreamOwned::new(far_tls, far));
    let batch = vec![7; 64 << 10];
    let total = MESSAGES as usize * (LENGTH + 5);
    let (began, cpu) = (Instant::now(), cpu_time());
    let mut trips = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut left, mut buffer) = (total, vec![0; 64 << 10]);
            while left > 0 {
                let room = left.min(buffer.len());
                left -= far.read(&mut buffer[..room]).expect("bytes");
            }
            let mut message = [0; LENGTH];
            far.write_all(&[1]).expect("room");
            for _ in 0..TRIPS {
                far.read_exact(&mut message).expect("a message");
                far.write_all(&message).expect("room");
            }
        });
        let mut left = total;
        while left > 0 {
            let count = left.min(batch.len());
            near.write_all(&batch[..count]).expect("room");
            left -= count;
        }
        near.read_exact(&mut [0]).expect("it has all");
        let (took, cpu) = (began.elapsed(), cpu_time() - cpu);
        let mut message = [0; LENGTH];
        for _ in 0..TRIPS {
            let began = Instant::now();
            near.write_all(&message).expect("room");
            near.read_exact(&mut message).expect("a message");
            trips.push(began.elapsed());
        }
        figures(took, cpu, trips.clone())
    })
}

/// How much later than the limit each verdict on a pulled cable came, in milliseconds.
fn verdicts<S: Stream>(make: impl Fn() -> (S, S, Cable)) -> Vec<f64> {
    let one = |_| {
        let (near, far, cable) = make();
        let (near, _far) = (link(near, 100, 200), link(far, 100, 60_000));
        thread::sleep(Duration::from_millis(150));
        cable.pull();
        let down = near.0.wait_down(LONG).expect("it ends");
        assert_eq!(down.reason.as_str(), "silent", "{down}");
        (down.silence.as_secs_f64() - 0.3) * 1e3
    };
    (0..VERDICTS).map(one).collect()
}

fn show_late(what: &str, mut late: Vec<f64>) {
    late.sort_by(f64::total_cmp);
    let early = late.iter().filter(|late| **late < 0.0).count();
    let (middle, last) = (late[late.len() / 2], late[late.len() - 1]);
    println!("| {what} | {middle:.2} | {last:.2} | {early} |");
}

/// The processor time of this process, in seconds.
fn cpu_time() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}
