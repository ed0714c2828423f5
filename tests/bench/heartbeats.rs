//! How late our own heartbeats are, idle and with 8 spinning threads beside them.
//!
//! A heartbeat carries the time of its sending by the sender's clock, so the gap between two of one
//! link is known to the microsecond, whenever it is read: lateness is that gap less the
//! heartbeat-time. *Arrival* is the same by the clock of the reading end, whose own waking up is in
//! it. `--links N`, `--seconds N`, `--quick`.

mod common;

use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::table::{digits, percentile};
use common::{Args, Table, heading, ours, pair, proc, progress};
use peerbeat::link::Link;
use peerbeat::protocol::{Decoder, Frame, Native};

fn main() {
    let args = Args::parse();
    println!("# Lateness of heartbeats");
    let noise = proc::Noise::start();
    heading("Targets: never early, p99 at most 1 ms idle and 20 ms with 8 spinning threads");
    let mut table = Table::new([
        "beside them",
        "every",
        "heartbeats",
        "early",
        "p50 ms",
        "p99 ms",
        "most ms",
        "arrival p99 ms",
    ]);
    for spinning in [0, 8] {
        let intervals: &[u64] = if args.quick() { &[100] } else { &[100, 1000] };
        for &millis in intervals {
            let (sent, arrived) = measure(&args, spinning, Duration::from_millis(millis));
            table.row([
                format!("{spinning} threads"),
                format!("{millis} ms"),
                sent.len().to_string(),
                // Both ends of a gap are cut to the microsecond.
                sent.iter().filter(|late| **late < -0.001).count().to_string(),
                digits(percentile(&sent, 50.0)),
                digits(percentile(&sent, 99.0)),
                digits(percentile(&sent, 100.0)),
                digits(percentile(&arrived, 99.0)),
            ]);
        }
    }
    table.print();
    noise.report();
}

/// Lateness by the sender's clock and by arrival, in milliseconds, sorted.
fn measure(args: &Args, spinning: usize, every: Duration) -> (Vec<f64>, Vec<f64>) {
    progress(&format!("{spinning} spinning threads, every {every:?}"));
    let links = args.number("links", 50);
    let seconds = args.number("seconds", if args.quick() { 1 } else { 10 });
    // The peer does not answer: the slack keeps the links alive.
    let options = ours::options(every, Duration::from_secs(3600));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut readers = Vec::new();
        let mut held = Vec::new();
        for _ in 0..links {
            let (near, far) = pair();
            let ignore = |_: &Link, _: &[u8]| {};
            let link = Link::start_with(near, Native::default(), &options, ignore);
            held.push(link.expect("a link starts"));
            readers.push(read_beats(far, every));
            // Spread over the interval, as links that were not all made at once are.
            thread::sleep(every / links as u32);
        }
        for _ in 0..spinning {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        thread::sleep(Duration::from_secs(seconds as u64));
        for link in &held {
            link.close();
        }
        stop.store(true, Ordering::Relaxed);
        let (mut sent, mut arrived) = (Vec::new(), Vec::new());
        for reader in readers {
            let (own, other) = reader.join().expect("a reader ends with its link");
            sent.extend(own);
            arrived.extend(other);
        }
        sent.sort_by(f64::total_cmp);
        arrived.sort_by(f64::total_cmp);
        (sent, arrived)
    })
}

/// Reads heartbeats until the end, and returns by how much each came late in milliseconds: by its
/// sender's clock, and by ours.
fn read_beats(mut far: TcpStream, every: Duration) -> JoinHandle<(Vec<f64>, Vec<f64>)> {
    thread::spawn(move || {
        let (mut sent, mut arrived) = (Vec::new(), Vec::new());
        let mut before: Option<(u64, Instant)> = None;
        let mut decoder = Decoder::new(Native::default());
        while let Ok(count @ 1..) = far.read(decoder.spare()) {
            let now = Instant::now();
            decoder.handle_filled(count);
            while let Ok(Some(frame)) = decoder.poll_frame() {
                let Frame::Heartbeat(beat) = frame else { continue };
                let sent_us = beat.timing.map_or(0, |timing| timing.sent_us);
                if let Some((sent_before, at_before)) = before.replace((sent_us, now)) {
                    let gap = Duration::from_micros(sent_us - sent_before);
                    sent.push(lateness(gap, every));
                    arrived.push(lateness(now - at_before, every));
                }
            }
        }
        (sent, arrived)
    })
}

fn lateness(gap: Duration, every: Duration) -> f64 {
    (gap.as_secs_f64() - every.as_secs_f64()) * 1e3
}
