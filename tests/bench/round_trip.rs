//! Round trips of 64 bytes, both ends on one core and on all, against a blocking socket.
//!
//! *raw*: two threads, each `read_exact` then `write_all` of one 69-byte frame; *timed reads*:
//! with a read timeout set, which is what a limit in the kernel costs by itself. *peerbeat*: the
//! handlers answer on their reader threads. *from a thread*: a program's thread sends and waits
//! for its handler to wake it, one more wake-up each way round. `--rounds N`, `--trips N`,
//! `--quick`; the run on one core is this program again under `taskset`. `--alone` runs peerbeat
//! once and nothing else, for a profiler.

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use common::trips::{Trips, WARM_UP, in_handlers, micros_since, pong, raw, raw_timed};
use common::{Args, Contender, Spread, Table, alternate, heading, ours, proc, ratio};
use peerbeat::link::Link;

fn main() {
    let args = Args::parse();
    if args.has("here") {
        return measure(&args);
    }
    if args.has("alone") {
        println!("p50 {:.2} us", in_handlers(args.number("trips", 100_000)).p50);
        return;
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

fn measure(args: &Args) {
    let trips = args.number("trips", args.scaled(4000) as usize);
    let mut contenders: Vec<Contender<'_, Trips>> = vec![
        ("raw", Box::new(move || raw(trips))),
        ("raw, timed reads", Box::new(move || raw_timed(trips))),
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
