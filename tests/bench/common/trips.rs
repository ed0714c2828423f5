//! One run of round trips: over a blocking socket, and over links whose handlers answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::Link;

use super::table::percentile;
use super::{ours, pair};

/// The percentiles of one run, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trips {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Trips {
    pub(crate) fn of(mut micros: Vec<f64>) -> Self {
        micros.sort_by(f64::total_cmp);
        Self { p50: percentile(&micros, 50.0), p99: percentile(&micros, 99.0) }
    }
}

/// Microseconds since an instant.
pub(crate) fn micros_since(began: Instant) -> f64 {
    began.elapsed().as_nanos() as f64 / 1e3
}

/// Two threads, each `read_exact` then `write_all` of one frame.
pub(crate) fn raw(trips: usize) -> Trips {
    between(pair(), trips)
}

/// The same with a read timeout on both ends: what a limit in the kernel costs by itself.
pub(crate) fn raw_timed(trips: usize) -> Trips {
    let ends = pair();
    for end in [&ends.0, &ends.1] {
        let timeout = Some(Duration::from_secs(1));
        end.set_read_timeout(timeout).expect("a connected socket takes options");
    }
    between(ends, trips)
}

fn between((mut near, mut far): (TcpStream, TcpStream), trips: usize) -> Trips {
    let echo = thread::spawn(move || {
        let mut frame = [0; FRAME];
        for _ in 0..trips + WARM_UP {
            far.read_exact(&mut frame).expect("a frame arrives");
            far.write_all(&frame).expect("the other end reads");
        }
    });
    let mut micros = Vec::with_capacity(trips + WARM_UP);
    let mut frame = [7; FRAME];
    for _ in 0..trips + WARM_UP {
        let began = Instant::now();
        near.write_all(&frame).expect("the other end reads");
        near.read_exact(&mut frame).expect("the frame returns");
        micros.push(micros_since(began));
    }
    echo.join().expect("the echo read all");
    Trips::of(micros.split_off(WARM_UP))
}

/// Two links whose handlers answer on their reader threads.
pub(crate) fn in_handlers(trips: usize) -> Trips {
    let (done, finished) = mpsc::channel();
    let mut micros = Vec::with_capacity(trips + WARM_UP);
    let mut began = Instant::now();
    let ping = move |link: &Link, payload: &[u8]| {
        micros.push(micros_since(began));
        if micros.len() == trips + WARM_UP {
            let _main_waits = done.send(std::mem::take(&mut micros));
            return;
        }
        began = Instant::now();
        link.send(payload).expect("the peer reads on");
    };
    let links = ours::links(&ours::every_second(), ping, pong);
    links.0.send(&[7; 64]).expect("the peer reads on");
    let mut micros = finished.recv().expect("all trips end");
    ours::close(links);
    Trips::of(micros.split_off(WARM_UP))
}

/// A handler that sends back what came.
pub(crate) fn pong(link: &Link, payload: &[u8]) {
    link.send(payload).expect("the peer reads on");
}

/// A 64-byte message on the wire.
pub(crate) const FRAME: usize = 69;
/// Trips that are not counted.
pub(crate) const WARM_UP: usize = 200;
