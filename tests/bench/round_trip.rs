//! Round trips of 64 bytes, both ends on one core and on all, against a blocking socket (row 4).
//!
//! *raw*: two threads, each `read_exact` then `write_all` of one 69-byte frame. *peerbeat*: the
//! handlers answer on their reader threads. *from a thread*: a program's thread sends and waits for
//! its handler to wake it, one more wake-up each way round. `--rounds N`, `--trips N`, `--quick`;
//! the run on one core is this program again under `taskset`.

mod common;

use std::io::{Read, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use common::{Args, Contender, Spread, Table, alternate, heading, ours, pair, percentile};
use common::{proc, ratio};
use peerbeat::link::Link;

fn main() {
    let args = Args::parse();
    if args.has("here") {
        return measure(&args);
    }
    println!("# Round trip");
    let noise = proc::Noise::start();
    let words: Vec<String> = std::env::args().skip(1).chain(["--here".to_owned()]).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match proc::again_on_one_core(&words) {
        Some(mut pinned) => {
            heading("Both ends on one core (target: p50 at most 1.1 of raw)");
            assert!(pinned.status().expect("taskset runs").success());
        }
        None => println!("No taskset here: not measured on one core."),
    }
    heading("On all cores (target: p50 at most 1.05 of raw)");
    measure(&args);
    noise.report();
}

/// The percentiles of one run, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Trips {
    p50: f64,
    p99: f64,
}

impl Trips {
    fn of(mut micros: Vec<f64>) -> Self {
        micros.sort_by(f64::total_cmp);
        Self { p50: percentile(&micros, 50.0), p99: percentile(&micros, 99.0) }
    }
}

fn measure(args: &Args) {
    let trips = args.number("trips", args.scaled(4000) as usize);
    let mut contenders: Vec<Contender<'_, Trips>> = vec![
        ("raw", Box::new(move || raw(trips))),
        ("peerbeat", Box::new(move || in_handlers(trips))),
        ("peerbeat, from a thread", Box::new(move || from_a_thread(trips))),
    ];
    let results = alternate(2 * args.rounds(), &mut contenders);
    let mut table = Table::new(["contender", "p50 us", "p99 us", "p50 x raw", "p99 x raw"]);
    for ((name, _), runs) in contenders.iter().zip(&results) {
        table.row([
            (*name).to_owned(),
            Spread::of(runs.iter().map(|trips| trips.p50)).to_string(),
            Spread::of(runs.iter().map(|trips| trips.p99)).to_string(),
            ratio(runs, &results[0], |trips| trips.p50).to_string(),
            ratio(runs, &results[0], |trips| trips.p99).to_string(),
        ]);
    }
    table.print();
}

fn micros_since(began: Instant) -> f64 {
    began.elapsed().as_nanos() as f64 / 1e3
}

fn raw(trips: usize) -> Trips {
    let (mut near, mut far) = pair();
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

fn in_handlers(trips: usize) -> Trips {
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

fn pong(link: &Link, payload: &[u8]) {
    link.send(payload).expect("the peer reads on");
}

fn from_a_thread(trips: usize) -> Trips {
    let main = thread::current();
    let (done, finished) = mpsc::channel();
    let ping = move |_: &Link, _: &[u8]| {
        let _main_waits = done.send(());
        main.unpark();
    };
    let links = ours::links(&ours::every_second(), ping, pong);
    let mut micros = Vec::with_capacity(trips + WARM_UP);
    for _ in 0..trips + WARM_UP {
        let began = Instant::now();
        links.0.send(&[7; 64]).expect("the peer reads on");
        finished.recv().expect("the message returns");
        micros.push(micros_since(began));
    }
    ours::close(links);
    Trips::of(micros.split_off(WARM_UP))
}

/// A 64-byte message on the wire.
const FRAME: usize = 69;
/// Trips that are not counted.
const WARM_UP: usize = 200;
