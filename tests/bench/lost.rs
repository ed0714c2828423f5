//! A thousand links, a hundred of them lost at the same instant.
//!
//! The hundred are sockets of this process that send their last message back to back and then
//! nothing, so a hundred limits end within a millisecond: the worst case. The other ends of the
//! nine hundred are in a second process (this program again), read our heartbeats, and report at
//! the end how late those came by our clock. Heartbeats every second, slack 1 s. `--links N` and
//! `--lost N`.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::table::{digits, percentile};
use common::{Args, heading, ours, pair, proc, raw};
use peerbeat::link::{Down, DownReason, Link, LinkEvent, LinkHandler};
use peerbeat::protocol::{Decoder, Frame, Framing, Heartbeat, Native};

fn main() {
    let args = Args::parse();
    if args.has("far") {
        return far(args.number("count", 1));
    }
    println!("# Many lost at once");
    let noise = proc::Noise::start();
    let links = args.number("links", if args.quick() { 200 } else { 1000 });
    let lost = args.number("lost", links / 10);
    heading(&format!("{links} links, {lost} of them lost at once"));
    println!(
        "Target: every verdict as in the verdict benchmark (p99 at most 1 ms), the others undisturbed.\n"
    );
    let (mut child, address) = start_far(links - lost);
    let (to, reports) = mpsc::channel();
    let options = ours::options(Duration::from_secs(1), Duration::from_secs(1));
    let start = |which: usize, stream: TcpStream| {
        let reporter = Reporter { which, to: to.clone() };
        Link::start_with(stream, Native::default(), &options, reporter).expect("a link starts")
    };
    let mut others = Vec::new();
    let mut peers = Vec::new();
    for which in 0..links {
        if which < lost {
            let (near, peer) = pair();
            start(which, near);
            peers.push(peer);
        } else {
            let stream = TcpStream::connect(&address).expect("the second process listens");
            stream.set_nodelay(true).expect("a connected socket takes options");
            others.push(start(which, stream));
        }
        if which % lost == 0 {
            send_all(&mut peers);
        }
    }
    for _ in 0..6 {
        send_all(&mut peers);
        thread::sleep(Duration::from_millis(500));
    }
    let last = send_all(&mut peers);
    judge(&reports, &last);
    drop(others);
    // The second process speaks once its standard input ends.
    drop(child.stdin.take());
    let mut words = String::new();
    if let Some(output) = &mut child.stdout {
        output.read_to_string(&mut words).expect("the second process speaks plainly");
    }
    println!("{words}");
    child.wait().expect("the second process ends");
    noise.report();
}

/// Waits for the verdicts on those whose last message went out at `last`, and prints how late they
/// were; all other ends, then and soon after, are wrong.
fn judge(reports: &mpsc::Receiver<(usize, Instant, Down)>, last: &[(Instant, Instant)]) {
    let limit = Duration::from_secs(2);
    let mut millis = Vec::new();
    let mut early = 0;
    let mut wrong = 0;
    while millis.len() < last.len() {
        let (which, at, down) = reports.recv().expect("every lost link is reported");
        wrong += usize::from(which >= last.len() || down.reason != DownReason::Silent);
        let Some((before, after)) = last.get(which) else { continue };
        early += usize::from(at < *before + limit);
        millis.push(at.saturating_duration_since(*after + limit).as_nanos() as f64 / 1e6);
    }
    thread::sleep(Duration::from_secs(3));
    wrong += reports.try_iter().count();
    millis.sort_by(f64::total_cmp);
    println!("verdicts: {}, early: {early}, false or for another reason: {wrong}", millis.len());
    println!(
        "late by p50 {} ms, p99 {} ms, most {} ms",
        digits(percentile(&millis, 50.0)),
        digits(percentile(&millis, 99.0)),
        digits(percentile(&millis, 100.0))
    );
}

struct Reporter {
    which: usize,
    to: mpsc::Sender<(usize, Instant, Down)>,
}

impl LinkHandler for Reporter {
    fn on_message(&mut self, _: &Link, _: &[u8]) {}

    fn on_event(&mut self, _: &Link, event: &LinkEvent) {
        if let LinkEvent::Down(down) = event {
            let _main_waits = self.to.send((self.which, Instant::now(), down.clone()));
        }
    }
}

/// Sends a message on all of them and returns the instants before and after each write.
fn send_all(peers: &mut [TcpStream]) -> Vec<(Instant, Instant)> {
    let mut message = Vec::new();
    raw::frame(b"last", &mut message);
    let mut send = |peer: &mut TcpStream| {
        let before = Instant::now();
        peer.write_all(&message).expect("our own links read");
        (before, Instant::now())
    };
    peers.iter_mut().map(&mut send).collect()
}

fn start_far(count: usize) -> (Child, String) {
    let mut command: Command = proc::again(&["--far", "--count", &count.to_string()]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("this program starts again");
    let mut output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
    let mut address = String::new();
    output.read_line(&mut address).expect("it says where it listens");
    child.stdout = Some(output.into_inner());
    (child, address.trim().to_owned())
}

/// The second process: answers heartbeats with heartbeats, and says how late ours came.
fn far(count: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    println!("{}", listener.local_addr().expect("a bound listener has an address"));
    let (to, lateness) = mpsc::channel();
    for _ in 0..count {
        let (stream, _) = listener.accept().expect("a connection comes");
        let to = to.clone();
        let answer = move || answer_beats(stream, &to);
        thread::Builder::new().stack_size(64 << 10).spawn(answer).expect("a thread starts");
    }
    let mut wait = String::new();
    std::io::stdin().read_line(&mut wait).expect("standard input ends");
    let mut millis: Vec<f64> = lateness.try_iter().collect();
    millis.sort_by(f64::total_cmp);
    println!(
        "the others' heartbeats: {}, early: {}, late by p50 {} ms, p99 {} ms, most {} ms",
        millis.len(),
        millis.iter().filter(|late| **late < -0.001).count(),
        digits(percentile(&millis, 50.0)),
        digits(percentile(&millis, 99.0)),
        digits(percentile(&millis, 100.0)),
    );
}

/// Answers every heartbeat with one; in silence the other end's limit would end the link.
fn answer_beats(mut stream: TcpStream, to: &mpsc::Sender<f64>) {
    let mut decoder = Decoder::new(Native::default());
    let mut answer = Vec::new();
    let beat = Heartbeat { heartbeat_time_ms: 1000, timing: None };
    Native::default().encode_heartbeat(&beat, &mut answer);
    let mut before = None;
    while let Ok(count @ 1..) = stream.read(decoder.spare()) {
        decoder.handle_filled(count);
        while let Ok(Some(frame)) = decoder.poll_frame() {
            let Frame::Heartbeat(Heartbeat { timing: Some(timing), .. }) = frame else { continue };
            if let Some(before) = before.replace(timing.sent_us) {
                let _main_waits = to.send((timing.sent_us - before) as f64 / 1e3 - 1e3);
            }
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }
}
