//! One-way latency of bursts of 1, 10 and 100 messages, 1,000 bursts a second, and their CPU.
//!
//! Compared with two designs of a sender, [`common::proto`]: *direct*, one write by the caller for
//! every message, and *swap*, a thread that writes what has gathered. Latency is counted from the
//! instant at which the burst was ready until the handler, so it includes the time for which `send`
//! holds up the caller; *own* is counted from each message's own call of `send`. `--rounds N`,
//! `--bursts N` a run, `--quick`. `--alone --size N` runs peerbeat once and nothing else, for a
//! profiler.

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::proc::{self, Use};
use common::proto::{self, Direct, Sender, Swap};
use common::table::percentile;
use common::{Args, Contender, Spread, Table, alternate, heading, ours, pair, ratio};
use peerbeat::link::Link;

fn main() {
    let args = Args::parse();
    if args.has("alone") {
        println!("{:?}", peerbeat(args.number("size", 100), args.number("bursts", 5000)));
        return;
    }
    let noise = proc::Noise::start();
    println!("# Bursts, 1,000 a second, 64-byte messages");
    let bursts = args.number("bursts", args.scaled(600) as usize);
    for size in [1, 10, 100] {
        let target = match size {
            100 => "better than swap in p50 and p99, at most its CPU",
            _ => "p50 and p99 at most 1.15 x direct",
        };
        heading(&format!("Bursts of {size} (target: {target})"));
        let mut contenders: Vec<Contender<'_, Run>> = vec![
            ("direct", Box::new(move || prototype(|end| Box::new(Direct::new(end)), size, bursts))),
            ("swap", Box::new(move || prototype(|end| Box::new(Swap::new(end)), size, bursts))),
            ("peerbeat", Box::new(move || peerbeat(size, bursts))),
        ];
        print(&mut contenders, args.rounds());
    }
    noise.report();
}

/// What one run showed, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Run {
    p50: f64,
    p99: f64,
    own_p50: f64,
    own_p99: f64,
    /// CPU a burst, both ends.
    cpu: f64,
}

fn print(contenders: &mut [Contender<'_, Run>], rounds: usize) {
    let results = alternate(rounds, contenders);
    let mut table = Table::new(["contender", "p50 us", "p99 us", "own p50", "own p99", "CPU us"]);
    let mut ratios = Table::new(["peerbeat x", "p50", "p99", "own p50", "own p99", "CPU"]);
    for ((name, _), runs) in contenders.iter().zip(&results) {
        let of = |figure: fn(&Run) -> f64| Spread::of(runs.iter().map(figure)).to_string();
        let name = (*name).to_owned();
        table.row([
            name.clone(),
            of(|run| run.p50),
            of(|run| run.p99),
            of(|run| run.own_p50),
            of(|run| run.own_p99),
            of(|run| run.cpu),
        ]);
        let ours = &results[results.len() - 1];
        let by = |figure: fn(&Run) -> f64| ratio(ours, runs, figure).to_string();
        if name != "peerbeat" {
            ratios.row([
                name,
                by(|run| run.p50),
                by(|run| run.p99),
                by(|run| run.own_p50),
                by(|run| run.own_p99),
                by(|run| run.cpu),
            ]);
        }
    }
    table.print();
    println!();
    ratios.print();
}

/// Takes the latencies of all messages on the receiving thread, and hands them over at the end.
struct Recorder {
    origin: Instant,
    latencies: Vec<[f64; 2]>,
    left: usize,
    done: mpsc::Sender<Vec<[f64; 2]>>,
}

impl Recorder {
    fn handle(&mut self, payload: &[u8]) {
        let now = self.origin.elapsed().as_nanos() as u64;
        let (burst, own) = (word(payload, 0), word(payload, 8));
        self.latencies.push([(now - burst) as f64 / 1e3, (now - own) as f64 / 1e3]);
        self.left -= 1;
        if self.left == 0 {
            let _main_waits = self.done.send(std::mem::take(&mut self.latencies));
        }
    }
}

fn word(payload: &[u8], at: usize) -> u64 {
    common::number_of(&payload[at..])
}

/// Sends the bursts and makes a [`Run`] of what the recorder saw.
fn run(
    origin: Instant,
    finished: &mpsc::Receiver<Vec<[f64; 2]>>,
    size: usize,
    bursts: usize,
    send: impl Fn(&[u8]),
) -> Run {
    let before = Use::of_threads();
    let mut payload = [7; 64];
    let mut next = Instant::now();
    for _ in 0..bursts {
        next += Duration::from_millis(1);
        thread::sleep(next.saturating_duration_since(Instant::now()));
        common::number(&mut payload, origin.elapsed().as_nanos() as u64);
        for _ in 0..size {
            common::number(&mut payload[8..], origin.elapsed().as_nanos() as u64);
            send(&payload);
        }
    }
    let latencies = finished.recv().expect("all messages arrive");
    let cpu = Use::of_threads().since(&before).cpu.as_nanos() as f64 / 1e3 / bursts as f64;
    let sorted = |which: usize| {
        let mut values: Vec<f64> = latencies.iter().map(|both| both[which]).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (whole, own) = (sorted(0), sorted(1));
    Run {
        p50: percentile(&whole, 50.0),
        p99: percentile(&whole, 99.0),
        own_p50: percentile(&own, 50.0),
        own_p99: percentile(&own, 99.0),
        cpu,
    }
}

fn recorder(messages: usize) -> (Recorder, mpsc::Receiver<Vec<[f64; 2]>>) {
    let (done, finished) = mpsc::channel();
    let latencies = Vec::with_capacity(messages);
    (Recorder { origin: Instant::now(), latencies, left: messages, done }, finished)
}

fn prototype(make: fn(std::net::TcpStream) -> Box<dyn Sender>, size: usize, bursts: usize) -> Run {
    let (near, far) = pair();
    let (mut recorder, finished) = recorder(size * bursts);
    let origin = recorder.origin;
    let reader = proto::read(far, move |payload| recorder.handle(payload));
    let sender = make(near);
    let run = run(origin, &finished, size, bursts, |payload| sender.send(payload));
    sender.close();
    reader.join().expect("the reader ends");
    run
}

fn peerbeat(size: usize, bursts: usize) -> Run {
    let (mut recorder, finished) = recorder(size * bursts);
    let origin = recorder.origin;
    let receive = move |_: &Link, payload: &[u8]| recorder.handle(payload);
    let links = ours::links(&ours::every_second(), |_: &Link, _: &[u8]| {}, receive);
    let send = |payload: &[u8]| links.0.send(payload).expect("the peer reads on");
    let run = run(origin, &finished, size, bursts, send);
    ours::close(links);
    run
}
