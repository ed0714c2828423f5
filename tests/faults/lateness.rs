//! How late verdicts are: a table of measurements, of which only "never early" is asserted.
//!
//! Run it on a machine that does nothing else, see the crate's head. Links of one limit run at the
//! same time, each begun a little after the one before, so that their verdicts do not meet; if the
//! limit is long, the faults are tried at the same time too. A row is printed once it is known.
//!
//! Late is counted from the last byte that the peer wrote or, if packets are dropped or the peer is
//! frozen, from the last byte that the link read; for a stuck write from the last byte that the
//! kernel took, seen from outside in steps of 0.2 ms.

use std::net::TcpStream;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{Link, LinkEvent};
use peerbeat::protocol::Native;

use crate::child::Process;
use crate::mock::{Beating, Mock, frame, heartbeat, tcp_pair};
use crate::network::{carry_all, drop_to_all, own_network};
use crate::rig::{Log, Seen, ms, notes, options};

/// Limits in milliseconds, and how many links of each.
const LIMITS: [(u64, usize); 5] =
    [(300, 100), (1000, 100), (3000, 100), (10_000, 40), (30_000, 20)];

/// What one link showed.
struct Trial {
    /// How long after its last sign of life the link was dead.
    after: Duration,
    word: &'static str,
    stalled: bool,
}

/// What is done to a link; returns the instant of the last sign of life, if we know it.
type Fault = fn(&Link, &Mock, u64) -> Option<Instant>;

/// A link of this limit, a slack of a third of it.
fn link(stream: TcpStream, limit_ms: u64) -> (Link, Log) {
    let (notes, log) = notes(|_, _| {});
    let slack = limit_ms / 3;
    let options = options(limit_ms - slack, slack).queue_bytes(1 << 20);
    (Link::start_with(stream, Native::default(), &options, notes).unwrap(), log)
}

/// Waits for the end and returns how long after `last` it came, or after the last byte that was
/// read.
fn measure(log: &Log, last: Option<Instant>) -> Trial {
    let (seen, down, at) = log.until_down_at(Duration::from_secs(120));
    let stalled = seen.iter().any(|seen| matches!(seen, Seen::Event(LinkEvent::Stalled { .. })));
    let after = last.map_or(down.silence, |last| at - last);
    Trial { after, word: down.reason.as_str(), stalled }
}

/// Runs a fault on many links of one limit at once.
fn run(limit_ms: u64, count: usize, fault: Fault) -> Vec<Trial> {
    let trials = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for index in 0..count {
            let trials = &trials;
            scope.spawn(move || {
                thread::sleep(ms(7 * index as u64 + index as u64 % 4));
                let (stream, mock) = Mock::pair();
                let (link, log) = link(stream, limit_ms);
                let last = fault(&link, &mock, limit_ms);
                let trial = measure(&log, last);
                trials.lock().unwrap().push(trial);
            });
        }
    });
    trials.into_inner().unwrap()
}

fn half_a_frame(_: &Link, mock: &Mock, limit_ms: u64) -> Option<Instant> {
    thread::sleep(ms(limit_ms / 10));
    Some(mock.say(&frame(3, &[0; 100])[..50]))
}

fn nothing_more(_: &Link, mock: &Mock, limit_ms: u64) -> Option<Instant> {
    thread::sleep(ms(limit_ms / 10));
    Some(mock.say(&heartbeat(60_000)))
}

/// Sends until nothing is taken any more.
fn stuff(link: &Link) {
    while link.try_send(&[0; 200_000]).is_ok() {}
}

/// The peer sends nothing and reads nothing, and our sender is in a write from early on.
fn stuck_sender(link: &Link, mock: &Mock, limit_ms: u64) -> Option<Instant> {
    thread::sleep(ms(limit_ms / 10));
    stuff(link);
    Some(mock.say(&heartbeat(60_000)))
}

/// The peer's heartbeats come, but it reads nothing: from the last byte that the kernel took.
fn reads_nothing(link: &Link, mock: &Mock, limit_ms: u64) -> Option<Instant> {
    let beat = heartbeat(60_000);
    let beating = Beating::start(mock.stream.try_clone().unwrap(), beat, ms(limit_ms / 5));
    let sends = link.clone();
    let sender = thread::spawn(move || while sends.send(&[0; 200_000]).is_ok() {});
    let (mut sent, mut last, mut before) = (0, Instant::now(), Instant::now());
    while link.is_up() {
        // Taken after the look before this one began, at the earliest.
        let looked = Instant::now();
        // The end itself counts as a byte.
        if let Some(queued) = queued(mock).filter(|_| link.is_up()) {
            if queued > sent {
                last = before;
            }
            (sent, before) = (queued, looked);
        }
        thread::sleep(Duration::from_micros(100));
    }
    sender.join().unwrap();
    drop(beating);
    Some(last)
}

/// Bytes that the kernel has taken from the link and that were not acknowledged yet: it grows only
/// if the kernel takes more.
fn queued(mock: &Mock) -> Option<u64> {
    let link = mock.stream.peer_addr().unwrap().port();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_links = words.get(1)?.ends_with(&format!(":{link:04X}"));
        let (sending, _) = words.get(4)?.split_once(':')?;
        is_links.then(|| u64::from_str_radix(sending, 16).ok()).flatten()
    })
}

/// A peer in a process that is frozen, all its links at once.
fn frozen(limit_ms: u64, count: usize) -> Vec<Trial> {
    let period = limit_ms / 8;
    let process = Process::start("peer", &["60000".to_owned(), period.to_string()]);
    let address = process.line().1;
    let links: Vec<_> = (0..count)
        .map(|_| {
            thread::sleep(ms(7));
            link(TcpStream::connect(&address).unwrap(), limit_ms)
        })
        .collect();
    thread::sleep(ms(limit_ms / 3));
    process.signal("STOP");
    links.iter().map(|(_, log)| measure(log, None)).collect()
}

/// Packets dropped towards us, and from us too if `both`.
fn dropped(limit_ms: u64, count: usize, both: bool) -> Vec<Trial> {
    let links: Vec<_> = (0..count)
        .map(|_| {
            thread::sleep(ms(7));
            let (one, two) = tcp_pair();
            let ports = [&one, &two].map(|end| end.local_addr().unwrap().port());
            let beat = heartbeat(60_000);
            let beating = Beating::start(two, beat, ms(limit_ms / 8));
            (link(one, limit_ms), ports, beating)
        })
        .collect();
    thread::sleep(ms(limit_ms / 3));
    let towards_us = links.iter().map(|(_, ports, _)| ports[0]);
    let from_us = links.iter().map(|(_, ports, _)| ports[1]).filter(|_| both);
    drop_to_all(&towards_us.chain(from_us).collect::<Vec<_>>());
    links.iter().map(|((_, log), ..)| measure(log, None)).collect()
}

/// One row of the table.
fn row(limit_ms: u64, fault: &str, trials: &[Trial], word: &str) {
    let limit = ms(limit_ms);
    let mut late: Vec<f64> = trials
        .iter()
        .filter(|trial| trial.word == word)
        .map(|trial| (trial.after.as_secs_f64() - limit.as_secs_f64()) * 1000.0)
        .collect();
    late.sort_by(f64::total_cmp);
    let early = late.iter().filter(|late| **late < 0.0).count();
    let other = trials.len() - late.len();
    let stalled = trials.iter().filter(|trial| trial.stalled).count();
    let Some(last) = late.len().checked_sub(1) else {
        println!("| {} s | {fault} | 0 | | | | | | {other} |", limit_ms as f64 / 1000.0);
        return;
    };
    let [min, p50, p99, max] = [0, 50, 99, 100].map(|percent| late[last * percent / 100]);
    println!(
        "| {} s | {fault} | {} | {min:.2} | {p50:.2} | {p99:.2} | {max:.2} | {early} | {other} | \
         {stalled} |",
        limit_ms as f64 / 1000.0,
        late.len(),
    );
    assert_eq!(early, 0, "{fault}: early");
}

#[test]
#[ignore = "measures for minutes, on a machine that does nothing else"]
fn lateness() {
    if !own_network("lateness::lateness") {
        return;
    }
    println!("| limit | fault | trials | min | p50 | p99 | max ms late | early | other | stalls |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let only = std::env::var("LIMIT_MAX_MS").ok().and_then(|max| max.parse().ok());
    for (limit, count) in LIMITS {
        if limit > only.unwrap_or(u64::MAX) {
            break;
        }
        let rows: [&(dyn Fn() + Sync); 6] = [
            &|| row(limit, "nothing more", &run(limit, count, nothing_more), "silent"),
            &|| row(limit, "half a frame", &run(limit, count, half_a_frame), "silent"),
            &|| row(limit, "frozen peer", &frozen(limit, count), "silent"),
            &|| row(limit, "dropped both ways", &dropped(limit, count, true), "silent"),
            &|| row(limit, "dropped towards us", &dropped(limit, count, false), "silent"),
            &|| {
                let trials = run(limit, count / 4, stuck_sender);
                row(limit, "silent, our sender stuck", &trials, "silent");
            },
        ];
        if limit < LONG_MS {
            for row in rows {
                row();
                // A port may come again.
                carry_all();
            }
        } else {
            thread::scope(|scope| rows.iter().for_each(|row| drop(scope.spawn(row))));
        }
        carry_all();
        // Few at a time: looking from outside takes a core.
        let rounds = (12_000 / limit).clamp(1, 5);
        let trials: Vec<_> = (0..rounds).flat_map(|_| run(limit, 2, reads_nothing)).collect();
        row(limit, "reading nothing", &trials, "write-stalled");
    }
}

/// Faults with a limit of so many milliseconds or more are tried all at once.
const LONG_MS: u64 = 10_000;
