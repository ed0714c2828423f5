//! peerbeat beside libzmq, tokio, tungstenite and nng: the same work, in turns, in one run.
//!
//! `cargo run --release` measures all of it in some minutes and writes `RESULTS.md` and
//! `results.svg`; with `--only PART` it renews the sections of that part. `-- --quick` takes
//! seconds and writes nothing: it shows that all parts work. `--rounds N`, `--only
//! one-way|from-c|round-trip|fan-out|verdict|idle`, `--out FOLDER`.

#[path = "../../bench/common/mod.rs"]
mod common;
mod fan_out;
#[path = "../../bench/fan_out/hub.rs"]
#[allow(dead_code, reason = "the benchmark uses all of it")]
mod hub;
mod idle;
#[path = "../../bench/fan_out/receive.rs"]
mod receive;
mod report;
mod rivals;
mod svg;
mod verdict;

use std::time::Duration;

use common::idle::Figures;
use common::raw::{self, Reading};
use common::table::percentile;
use common::trips::{self, Trips};
use common::{Args, Contender, Cost, alternate, ours, proc};
use report::{OURS, Section};
use rivals::{from_c, nng, tokio, tungstenite, zmq};

fn main() {
    let args = Args::parse();
    match args.value("role") {
        Some("far") => return idle::far(&args),
        Some("near") => return idle::near(&args),
        Some("trips") => return print_trips(&args),
        Some("receive") => return receive::run(&args),
        Some("subscribe") => return fan_out::subscribe(&args),
        _ => {}
    }
    let noise = proc::Noise::start();
    let parts: [(&str, Part); 6] = [
        ("one-way", one_way),
        ("from-c", one_way_from_c),
        ("round-trip", round_trip),
        ("fan-out", fan_out::measure),
        ("verdict", lateness),
        ("idle", idle_links),
    ];
    let mut sections = Vec::new();
    for (name, measure) in parts {
        if args.wants(name) {
            for section in measure(&args) {
                print!("{section}");
                sections.push(section);
            }
        }
    }
    noise.report();
    let folder = args.value("out").or((!args.quick()).then_some(env!("CARGO_MANIFEST_DIR")));
    if let Some(folder) = folder {
        let write = if args.value("only").is_some() { report::renew } else { report::write };
        write(folder, &sections, args.rounds()).expect("the results can be written");
    }
}

/// What a fan-out's messages are long, and the clock that its two processes share.
const SIZE: usize = 64;

fn nanos() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Measures some rows.
type Part = fn(&Args) -> Vec<Section>;

/// Makes a section of what the contenders' rounds brought.
fn section<T>(
    (row, title, unit, more_is_better, target): (
        &'static str,
        &str,
        &'static str,
        bool,
        &'static str,
    ),
    contenders: &[Contender<'_, T>],
    results: &[Vec<T>],
    figure: impl Fn(&T) -> f64,
) -> Section {
    let figures = contenders
        .iter()
        .zip(results)
        .map(|((name, _), rounds)| ((*name).to_owned(), rounds.iter().map(&figure).collect()));
    let (title, figures) = (title.to_owned(), figures.collect());
    Section { row, title, unit, more_is_better, target, figures }
}

/// Rows 1, 2, 3 and 6.
fn one_way(args: &Args) -> Vec<Section> {
    let mut sections = Vec::new();
    let large = "at least 0.8 of raw in 64 KiB pieces";
    let works = [
        ("1", 1, 64, 2_000_000, "64 bytes one way, 1 thread", "4 x libzmq, 0.4 x raw-batched"),
        ("2", 4, 64, 2_000_000, "64 bytes one way, 4 threads", "3 x libzmq"),
        ("3", 1, 1 << 10, 500_000, "1 KiB one way, 1 thread", large),
        ("3", 1, 16 << 10, 40_000, "16 KiB one way, 1 thread", large),
    ];
    for (row, threads, size, count, title, target) in works {
        let count = args.scaled(count);
        let few = if size == 64 { count / 50 } else { count / 10 };
        let limit: Contender<'_, Cost> = match size {
            64 => (
                "raw-batched",
                Box::new(move || raw::batched(threads, size, count, Reading::Frames)),
            ),
            _ => ("raw-pieces", Box::new(move || raw::pieces(size, count))),
        };
        let mut contenders: Vec<Contender<'_, Cost>> = vec![
            limit,
            (OURS, Box::new(move || ours::one_way(threads, size, count))),
            ("libzmq", Box::new(move || zmq::one_way(threads, size, count / 2))),
            ("tokio, batched", Box::new(move || tokio::one_way(threads, size, count / 2))),
            (
                "tungstenite, batched",
                Box::new(move || tungstenite::one_way(threads, size, count / 2)),
            ),
            ("nng", Box::new(move || nng::one_way(threads, size, few))),
        ];
        let results = alternate(args.rounds(), &mut contenders);
        let about = (row, title, "million messages a second", true, target);
        sections.push(section(about, &contenders, &results, Cost::rate));
        if row == "1" {
            let about =
                ("6", "CPU, both ends", "CPU seconds a million messages", false, "0.25 x libzmq");
            sections.push(section(about, &contenders, &results, Cost::cpu_a_million));
        }
    }
    sections
}

/// Row 12: the sender is C.
fn one_way_from_c(args: &Args) -> Vec<Section> {
    let count = args.scaled(args.number("messages", 2_000_000) as u64);
    let mut contenders: Vec<Contender<'_, Cost>> = vec![
        (OURS, Box::new(move || from_c::peerbeat(count))),
        ("peerbeat, from Rust", Box::new(move || ours::one_way(1, 64, count))),
        ("libzmq", Box::new(move || from_c::zmq(count / 2))),
        ("nng", Box::new(move || from_c::nng(count / 50))),
    ];
    let results = alternate(args.rounds(), &mut contenders);
    let target = "0.8 x from Rust";
    let title = "64 bytes one way from C, 1 thread";
    let about = ("12", title, "million messages a second", true, target);
    vec![section(about, &contenders, &results, Cost::rate)]
}

fn trip_contenders(args: &Args) -> Vec<Contender<'static, Trips>> {
    let trips = args.number("trips", args.scaled(3000) as usize);
    vec![
        ("raw", Box::new(move || trips::raw(trips))),
        (OURS, Box::new(move || trips::in_handlers(trips))),
        ("libzmq", Box::new(move || zmq::round_trip(trips))),
        ("tokio", Box::new(move || tokio::round_trip(trips))),
        ("tungstenite", Box::new(move || tungstenite::round_trip(trips))),
        ("nng", Box::new(move || nng::round_trip(trips))),
    ]
}

/// Row 4: once on all cores, once as this program again on one.
fn round_trip(args: &Args) -> Vec<Section> {
    let mut contenders = trip_contenders(args);
    let spread = alternate(args.rounds(), &mut contenders);
    let words = ["--role", "trips", "--rounds", &args.rounds().to_string()].map(str::to_owned);
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    if args.quick() {
        words.push("--quick");
    }
    let mut sections = Vec::new();
    if let Some(mut pinned) = proc::again_on_one_core(&words) {
        let output = pinned.output().expect("taskset runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let parse =
            |line: &str| line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let results: Vec<Vec<f64>> = text.lines().map(parse).collect();
        let about = ("4", "Round trip on one core, p50", "microseconds", false, "1.1 x raw");
        let figures = contenders.iter().zip(results);
        let figures = figures.map(|((name, _), rounds)| ((*name).to_owned(), rounds)).collect();
        let (row, title, unit, more_is_better, target) = about;
        let title = title.to_owned();
        sections.push(Section { row, title, unit, more_is_better, target, figures });
    }
    let about = ("4", "Round trip on all cores, p50", "microseconds", false, "1.05 x raw");
    sections.push(section(about, &contenders, &spread, |trips| trips.p50));
    sections
}

/// On one core: a line a contender, a median a round.
fn print_trips(args: &Args) {
    for rounds in alternate(args.rounds(), &mut trip_contenders(args)) {
        let medians: Vec<String> = rounds.iter().map(|trips| trips.p50.to_string()).collect();
        println!("{}", medians.join(" "));
    }
}

/// Row 7. A round's figure is a percentile of its links.
fn lateness(args: &Args) -> Vec<Section> {
    let limits: &[u64] = if args.quick() { &[300] } else { &[300, 1000, 3000] };
    let links = if args.quick() { 4 } else { 40 };
    let mut sections = Vec::new();
    for &millis in limits {
        let limit = Duration::from_millis(millis);
        let mut contenders: Vec<Contender<'_, verdict::Lateness>> = vec![
            (OURS, Box::new(move || verdict::peerbeat(limit, links))),
            ("libzmq", Box::new(move || verdict::zmq(limit, links))),
            ("tokio", Box::new(move || verdict::tokio(limit, links))),
        ];
        let results = alternate(args.rounds().min(5), &mut contenders);
        let seconds = millis as f64 / 1e3;
        for (percent, target) in [(50.0, "at most 0.3 ms"), (99.0, "at most 1 ms")] {
            let title = format!("Lateness of the verdict, limit {seconds} s, p{percent}");
            let about = ("7", title.as_str(), "milliseconds", false, target);
            sections.push(section(about, &contenders, &results, |late| percentile(late, percent)));
        }
        for ((name, _), rounds) in contenders.iter().zip(&results) {
            let early = rounds.iter().flatten().filter(|late| **late < 0.0).count();
            println!("limit {seconds} s, {name}: {early} early");
            assert!(early == 0 || *name != OURS, "a verdict came early");
        }
    }
    sections
}

/// Row 9.
fn idle_links(args: &Args) -> Vec<Section> {
    let counts: &[usize] = if args.quick() { &[50] } else { &[100, 1000, 2000, 5000] };
    let seconds = if args.quick() { 1 } else { 5 };
    let rounds = args.number("idle-rounds", if args.quick() { 1 } else { 3 });
    let mut sections = Vec::new();
    for &count in counts {
        let run = |design: &'static str| -> Contender<'_, Figures> {
            let measure = move || common::idle::measure(design, design, count, seconds);
            (design, Box::new(measure))
        };
        let mut contenders = vec![run(OURS), run("libzmq"), run("tokio")];
        let results = alternate(rounds, &mut contenders);
        let title = |what: &str| format!("{count} idle links, {what}");
        let target = "under libzmq from 2000 links on";
        let cpu = title("CPU a heartbeat pair");
        let about = ("9", cpu.as_str(), "CPU microseconds", false, target);
        sections.push(section(about, &contenders, &results, |figures| figures.cpu));
        let switches = title("context switches a heartbeat pair");
        let about = ("9", switches.as_str(), "switches", false, "at most 2.5");
        sections.push(section(about, &contenders, &results, |figures| figures.switches));
        let memory = title("resident memory a link");
        let about = ("9", memory.as_str(), "KiB", false, "at most 24");
        sections.push(section(about, &contenders, &results, |figures| figures.kib));
        let deaths = results.iter().flatten().map(|figures| figures.deaths).sum::<f64>();
        assert!(deaths == 0.0, "{deaths} false deaths among {count} idle links");
    }
    sections
}
