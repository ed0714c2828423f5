//! One publisher, many peers: one thread sends every tick to N links, whose other ends live in a
//! second process.
//!
//! *raw-each* writes every tick to every socket. *raw-batched* keeps a 64 KiB buffer a socket and
//! writes it when the next tick does not fit, and at the end: the limit of what batching can give,
//! with no bound on how old a byte may get. All receivers check the number of every message and
//! how long it took from the hub's send to their handler.
//!
//! `--only PART` runs one of rate, paced, bursts, crowd, fan-in, beside, full; `--links
//! 10,100,1000`, `--rounds N`, `--messages N` (of a run at full speed), `--periods 10000,900` (of
//! `paced`, in microseconds), `--designs raw-batched,peerbeat`, `--quick`.
//! *peerbeat* has peerbeat at both ends; *peerbeat-to-raw* has the receivers of the raw designs, so
//! that what the hub costs is told apart from what its peers do on the same machine.

mod beside;
#[path = "../common/mod.rs"]
mod common;
mod fan_in;
mod hub;
mod receive;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Args, Contender, Spread, Table, alternate, heading, proc, ratio};
use hub::{Design, Run, Work, publish};

fn main() {
    let args = Args::parse();
    match args.value("role") {
        Some("receive") => return receive::run(&args),
        Some("send") => return fan_in::send(&args),
        _ => {}
    }
    let noise = proc::Noise::start();
    println!("# Fan-out");
    if args.wants("rate") {
        rate(&args);
    }
    if args.wants("paced") {
        paced(&args);
    }
    if args.wants("bursts") {
        bursts(&args);
    }
    if args.wants("crowd") {
        crowd(&args);
    }
    if args.wants("fan-in") {
        fan_in::measure(&args);
    }
    if args.wants("beside") {
        beside::measure(&args);
    }
    if args.wants("full") {
        beside::fill(&args);
    }
    noise.report();
}

/// As fast as one thread can.
fn rate(args: &Args) {
    for links in counts(args, "10,100,1000") {
        heading(&format!("{links} links, 64 bytes, as fast as one thread can"));
        let ticks = messages(args) / links as u64;
        let work = |design| {
            // A write a message is so slow that a part of the work is enough to see it.
            let ticks = if design == Design::RawEach { ticks / 20 } else { ticks };
            Work::at_full_speed(links, ticks)
        };
        print_rates(&run(args, &EVERY, work));
    }
}

/// Peers that do not keep up, several publishers, two hubs: against one publisher in the same run.
fn crowd(args: &Args) {
    for links in counts(args, "100") {
        heading(&format!("{links} links, 64 bytes, at full speed, in other company"));
        let plain = Work::at_full_speed(links, messages(args) / links as u64);
        let quarter = (plain.ticks / 4).max(1);
        let works = [
            ("one publisher", plain),
            ("beside a stuck and a slow peer", Work { has_bad_peers: true, ..plain }),
            ("four publishers", Work { publishers: 4, ticks: quarter, ..plain }),
            ("two hubs", Work { hubs: 2, ..plain }),
        ];
        let rounds = rounds(args);
        let mut contenders: Vec<Contender<'_, Run>> = Vec::new();
        for (name, work) in works {
            contenders.push((name, Box::new(move || publish(Design::Peerbeat, &work))));
        }
        let results = alternate(rounds, &mut contenders);
        let names = works.map(|(name, _)| name);
        print_table(&names.into_iter().zip(results).collect::<Vec<_>>(), "one publisher");
    }
}

fn print_rates(results: &[(Design, Vec<Run>)]) {
    let named: Vec<_> =
        results.iter().map(|(design, runs)| (design.as_str(), runs.clone())).collect();
    print_table(&named, Design::RawBatched.as_str());
}

fn print_table(results: &[(&str, Vec<Run>)], limit: &str) {
    let against = format!("x {limit}");
    let head = ["design", "M deliveries/s", "hub CPU us each", &against, "slowest link", "p50 us"];
    let mut table = Table::new(head);
    let limit = results.iter().find(|(name, _)| *name == limit);
    for (name, runs) in results {
        table.row([
            (*name).to_owned(),
            spread(runs, Run::rate),
            spread(runs, Run::cpu_each),
            limit.map_or(String::new(), |(_, limit)| ratio(runs, limit, Run::rate).to_string()),
            spread(runs, |run| run.slowest),
            spread(runs, |run| run.p50),
        ]);
    }
    table.print();
}

/// A tick at fixed times. A buffer that is written when it is full says nothing about a quiet hub.
fn paced(args: &Args) {
    for links in counts(args, "100") {
        let periods = args.value("periods").unwrap_or("10000,2500,1400,1000,900").split(',');
        for micros in periods.map(|word| word.parse::<u64>().expect("--periods N,N,...")) {
            heading(&format!("{links} links, a tick each {} ms", micros as f64 / 1e3));
            let period = Duration::from_micros(micros);
            let ticks = args.scaled(args.number("micros", 2_000_000) as u64) / micros;
            let plain = Work::at_full_speed(links, ticks.max(10));
            let results = run(args, &AT_ONCE, |_| Work { period, pause: period, ..plain });
            let mut table = Table::new([
                "design",
                "hub CPU us each",
                "CPU x raw-each",
                "p50 us",
                "p50 x raw-each",
                "p99 us",
                "p99 x raw-each",
                "max us",
            ]);
            for (design, runs) in &results {
                table.row([
                    design.as_str().to_owned(),
                    spread(runs, Run::cpu_each),
                    ratio(runs, &results[0].1, Run::cpu_each).to_string(),
                    spread(runs, |run| run.p50),
                    ratio(runs, &results[0].1, |run| run.p50).to_string(),
                    spread(runs, |run| run.p99),
                    ratio(runs, &results[0].1, |run| run.p99).to_string(),
                    spread(runs, |run| run.max),
                ]);
            }
            table.print();
        }
    }
}

/// The first tick after a pause and the last one of a burst, at the link that gets it last.
/// *raw-batched* writes its buffers at the end of the burst, which only a program knows.
fn bursts(args: &Args) {
    for links in counts(args, "10,100,1000") {
        heading(&format!("{links} links, bursts; from a tick's first send to its last arrival"));
        let mut table =
            Table::new(["pause ms", "ticks", "design", "first us", "last us", "last x raw-each"]);
        for (pause, ticks) in [(5, 1), (15, 10), (60, 10), (60, 1000)] {
            let bursts = if args.quick() || links * ticks >= 100_000 { 2 } else { 10 };
            let ticks = if args.quick() { ticks.min(100) } else { ticks } as u64;
            let pause = Duration::from_millis(pause);
            let plain = Work::at_full_speed(links, ticks);
            let results = run(args, &IN_BURSTS, |_| Work { bursts, pause, ..plain });
            for (design, runs) in &results {
                table.row([
                    pause.as_millis().to_string(),
                    ticks.to_string(),
                    design.as_str().to_owned(),
                    spread(runs, |run| run.first),
                    spread(runs, |run| run.last),
                    ratio(runs, &results[0].1, |run| run.last).to_string(),
                ]);
            }
        }
        table.print();
    }
}

fn messages(args: &Args) -> u64 {
    args.scaled(args.number("messages", 4_000_000) as u64)
}

fn rounds(args: &Args) -> usize {
    args.number("rounds", if args.quick() { 1 } else { 5 })
}

fn counts(args: &Args, all: &str) -> Vec<usize> {
    let quick = if args.quick() { "10" } else { all };
    let words = args.value("links").unwrap_or(quick).split(',');
    words.map(|word| word.parse().expect("--links N,N,...")).collect()
}

fn spread(runs: &[Run], figure: impl Fn(&Run) -> f64) -> String {
    Spread::of(runs.iter().map(figure)).to_string()
}

/// The designs in turns, each with its own work.
fn run(args: &Args, designs: &[Design], work: impl Fn(Design) -> Work) -> Vec<(Design, Vec<Run>)> {
    let asked = args.value("designs");
    let is_asked = |design: &Design| {
        asked.is_none_or(|asked| asked.split(',').any(|word| word == design.as_str()))
    };
    let designs: Vec<Design> = designs.iter().copied().filter(is_asked).collect();
    let mut contenders: Vec<Contender<'_, Run>> = Vec::new();
    for &design in &designs {
        let work = work(design);
        contenders.push((design.as_str(), Box::new(move || publish(design, &work))));
    }
    let results = alternate(rounds(args), &mut contenders);
    designs.into_iter().zip(results).collect()
}

/// Wall-clock time: the only one that two processes share in std.
fn nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

const SIZE: usize = 64;
/// At full speed, in bursts, and those that send every tick at once.
const EVERY: [Design; 3] = [Design::RawEach, Design::RawBatched, Design::Peerbeat];
const IN_BURSTS: [Design; 4] =
    [Design::RawEach, Design::RawBatched, Design::PeerbeatToRaw, Design::Peerbeat];
const AT_ONCE: [Design; 3] = [Design::RawEach, Design::PeerbeatToRaw, Design::Peerbeat];
