//! One way: messages a second and CPU a million, against the raw socket.
//!
//! Everything runs in one process over one loopback connection, both ends; a run's time is from the
//! first send to the arrival of the last message, and every message's length and number is checked.
//! `--only rate|calls|sides|size|threads` runs a part, `--rounds N`, `--messages N` (of `calls`),
//! `--quick`. `--alone` runs one contender once and nothing else, for a profiler: `--threads N
//! --size N --messages N`, or `--call try_send|send_all|batch|raw --group N`.

mod common;

use std::time::Duration;

use common::raw::{self, Reading};
use common::{Args, Contender, Cost, Spread, Table, alternate, heading, ours, proc, ratio};
use peerbeat::link::{Batch, Link, SendError};

fn main() {
    let args = Args::parse();
    if args.has("alone") {
        let (threads, size) = (args.number("threads", 1) as u64, args.number("size", 64));
        let count = args.number("messages", 10_000_000) as u64;
        let group = args.number("group", 1);
        let cost = match args.value("call") {
            Some("try_send") => ours::in_groups(group, size, count, try_send),
            Some("send_all") => ours::in_groups(group, size, count, send_all),
            Some("batch") => ours::in_groups(group, size, count, batch),
            Some("raw") => raw::batched(threads, size, count, Reading::Frames),
            _ => ours::one_way(threads, size, count),
        };
        println!("{:.3} M/s, CPU {:.4} s a million", cost.rate(), cost.cpu_a_million());
        return;
    }
    let noise = proc::Noise::start();
    println!("# Throughput");
    if args.wants("rate") {
        small_messages(&args);
        large_messages(&args);
    }
    if args.wants("calls") {
        calls(&args);
    }
    if args.wants("sides") {
        sides(&args);
    }
    if args.wants("size") {
        growth_with_size(&args);
    }
    if args.wants("threads") {
        growth_with_threads(&args);
    }
    noise.report();
}

/// Rows 1, 2 and 6.
fn small_messages(args: &Args) {
    heading("64 bytes one way");
    println!(
        "raw-batched = frames encoded into 64 KiB, one write each; read 64 KiB at a time and the\n\
         frames walked, every message checked. raw-bytes = the same sender, the reader only counts.\n\
         Targets: 1 thread at least 0.4 of raw-batched (moonshot 0.6).\n"
    );
    let count = args.scaled(5_000_000);
    let mut contenders: Vec<Contender<'_, Cost>> = vec![
        ("raw-batched", Box::new(|| raw::batched(1, 64, count, Reading::Frames))),
        ("raw-bytes", Box::new(|| raw::batched(1, 64, count, Reading::Bytes))),
        ("raw-batched, 4 threads", Box::new(|| raw::batched(4, 64, count, Reading::Frames))),
        ("peerbeat, 1 thread", Box::new(|| ours::one_way(1, 64, count))),
        ("peerbeat, 4 threads", Box::new(|| ours::one_way(4, 64, count))),
    ];
    print_costs(&mut contenders, args.rounds());
}

/// Row 3.
fn large_messages(args: &Args) {
    for (size, count) in [(1 << 10, 1_000_000), (16 << 10, 80_000)] {
        heading(&format!("{} KiB one way", size >> 10));
        println!("raw-pieces = as many bytes in writes of 64 KiB. Target: at least 0.8 of it.\n");
        let count = args.scaled(count);
        let mut contenders: Vec<Contender<'_, Cost>> = vec![
            ("raw-pieces", Box::new(move || raw::pieces(size, count))),
            ("raw-batched", Box::new(move || raw::batched(1, size, count, Reading::Frames))),
            ("peerbeat, 1 thread", Box::new(move || ours::one_way(1, size, count))),
            ("peerbeat, 4 threads", Box::new(move || ours::one_way(4, size, count))),
        ];
        print_costs(&mut contenders, args.rounds());
    }
}

/// The ways of sending many messages on one link.
fn calls(args: &Args) {
    heading("64 bytes one way, 1 thread: a message a call, and several");
    println!(
        "Targets: a message a call 0.7 of raw-batched; 4 to 100 a call 0.9, and no two modes:\n\
         the range tells.\n"
    );
    let count = args.scaled(args.number("messages", 5_000_000) as u64);
    let mut contenders: Vec<Contender<'_, Cost>> = vec![
        ("raw-batched", Box::new(move || raw::batched(1, 64, count, Reading::Frames))),
        ("send", Box::new(move || ours::one_way(1, 64, count))),
        ("try_send", Box::new(move || ours::in_groups(1, 64, count, try_send))),
        ("send_all of 1", Box::new(move || ours::in_groups(1, 64, count, send_all))),
        ("send_all of 4", Box::new(move || ours::in_groups(4, 64, count, send_all))),
        ("send_all of 16", Box::new(move || ours::in_groups(16, 64, count, send_all))),
        ("send_all of 100", Box::new(move || ours::in_groups(100, 64, count, send_all))),
        ("batch of 4", Box::new(move || ours::in_groups(4, 64, count, batch))),
        ("batch of 16", Box::new(move || ours::in_groups(16, 64, count, batch))),
        ("batch of 100", Box::new(move || ours::in_groups(100, 64, count, batch))),
    ];
    print_costs(&mut contenders, args.rounds());
}

/// Which side limits: each of ours against the raw other side.
fn sides(args: &Args) {
    heading("64 bytes one way, 1 thread: one side ours, the other raw");
    let count = args.scaled(args.number("messages", 5_000_000) as u64);
    let mut contenders: Vec<Contender<'_, Cost>> = vec![
        ("raw-batched", Box::new(move || raw::batched(1, 64, count, Reading::Frames))),
        ("raw to peerbeat", Box::new(move || ours::from_raw(64, count))),
        ("try_send to raw", Box::new(move || ours::to_raw(1, 64, count, try_send))),
        ("send_all of 4 to raw", Box::new(move || ours::to_raw(4, 64, count, send_all))),
        ("send_all of 100 to raw", Box::new(move || ours::to_raw(100, 64, count, send_all))),
        ("try_send", Box::new(move || ours::in_groups(1, 64, count, try_send))),
        ("send_all of 4", Box::new(move || ours::in_groups(4, 64, count, send_all))),
        ("send_all of 100", Box::new(move || ours::in_groups(100, 64, count, send_all))),
    ];
    print_costs(&mut contenders, args.rounds());
}

fn try_send(link: &Link, payloads: &[Vec<u8>]) {
    for payload in payloads {
        while link.try_send(payload) == Err(SendError::Full) {
            link.wait_room(payload.len(), WAIT_MAX).expect("the peer reads on");
        }
    }
}

fn send_all(link: &Link, payloads: &[Vec<u8>]) {
    link.send_all(payloads).expect("the peer reads on");
}

fn batch(link: &Link, payloads: &[Vec<u8>]) {
    let mut batch = Batch::new();
    for payload in payloads {
        while batch.try_send(link, payload) == Err(SendError::Full) {
            link.wait_room(payload.len(), WAIT_MAX).expect("the peer reads on");
        }
    }
}

/// Runs the contenders and prints each against the first.
fn print_costs(contenders: &mut [Contender<'_, Cost>], rounds: usize) {
    let results = alternate(rounds, contenders);
    let first = format!("x {}", contenders[0].0);
    let mut table = Table::new(["contender", "M/s", "CPU s a million", &first, "CPU x"]);
    for ((name, _), costs) in contenders.iter().zip(&results) {
        table.row([
            (*name).to_owned(),
            Spread::of(costs.iter().map(Cost::rate)).to_string(),
            Spread::of(costs.iter().map(Cost::cpu_a_million)).to_string(),
            ratio(costs, &results[0], Cost::rate).to_string(),
            ratio(costs, &results[0], Cost::cpu_a_million).to_string(),
        ]);
    }
    table.print();
}

fn growth_with_size(args: &Args) {
    heading("Growth with message size, 1 thread");
    let mut table = Table::new(["bytes", "M/s", "GB/s", "CPU s a million", "x raw-pieces"]);
    for size in [8, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10] {
        let count = args.scaled((1_000_000_000 / (size as u64 + 60)).min(6_000_000));
        let mut contenders: Vec<Contender<'_, Cost>> = vec![
            ("raw-pieces", Box::new(move || raw::pieces(size, count))),
            ("peerbeat", Box::new(move || ours::one_way(1, size, count))),
        ];
        let results = alternate(args.rounds().min(5), &mut contenders);
        let bytes = |cost: &Cost| cost.rate() * size as f64 / 1e3;
        table.row([
            size.to_string(),
            Spread::of(results[1].iter().map(Cost::rate)).to_string(),
            Spread::of(results[1].iter().map(bytes)).to_string(),
            Spread::of(results[1].iter().map(Cost::cpu_a_million)).to_string(),
            ratio(&results[1], &results[0], Cost::rate).to_string(),
        ]);
    }
    table.print();
}

fn growth_with_threads(args: &Args) {
    heading("Growth with sending threads, 64 bytes");
    let count = args.scaled(4_000_000);
    let mut table = Table::new(["threads", "M/s", "CPU s a million", "x raw-batched, as many"]);
    for threads in [1, 2, 4, 8, 16] {
        let mut contenders: Vec<Contender<'_, Cost>> = vec![
            ("raw", Box::new(move || raw::batched(threads, 64, count, Reading::Frames))),
            ("peerbeat", Box::new(move || ours::one_way(threads, 64, count))),
        ];
        let results = alternate(args.rounds().min(5), &mut contenders);
        table.row([
            threads.to_string(),
            Spread::of(results[1].iter().map(Cost::rate)).to_string(),
            Spread::of(results[1].iter().map(Cost::cpu_a_million)).to_string(),
            ratio(&results[1], &results[0], Cost::rate).to_string(),
        ]);
    }
    table.print();
}

/// For how long a full queue may stay full.
const WAIT_MAX: Duration = Duration::from_secs(10);
