//! What a saturated hub does to the links beside it, and what it holds when no one reads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use peerbeat::link::{DownReason, Link, LinkEvent, QueueBudget, SendError};
use peerbeat::protocol::{Decoder, Frame, Heartbeat, Native};

use super::common::table::{digits, percentile};
use super::common::{Args, Table, heading, ours, pair, proc, progress};
use super::hub::{self, Design, Work};
use super::{counts, messages, rounds};

/// Verdicts on peers that are silent, and heartbeats of links that are idle, in a process that
/// publishes to others as fast as it can.
pub(crate) fn measure(args: &Args) {
    for links in counts(args, "100") {
        heading(&format!("Beside a hub that is saturated by {links} links"));
        println!(
            "Targets: verdicts p99 2 ms late, none early; heartbeats p99.9 8 ms late, none later\n\
             than half the slack ({} ms).\n",
            SLACK.as_millis() / 2
        );
        let head = ["hub", "what, ms late", "count", "early", "p50", "p99", "p99.9", "most"];
        let mut table = Table::new(head);
        let mut later = Vec::new();
        for is_saturated in [false, true] {
            let mut all = Beside::default();
            for round in 0..rounds(args) {
                progress(&format!("round {round}, saturated: {is_saturated}"));
                all.add(beside(args, links, is_saturated));
            }
            let hub = if is_saturated { "saturated" } else { "idle" };
            let is_later = |late: &&f64| **late > millis(SLACK / 2);
            let count = all.heartbeats.iter().filter(is_later).count();
            later.push(format!("{hub}: {count}"));
            for (what, mut late) in [
                ("verdict", all.verdicts),
                ("handler of the verdict", all.handled),
                ("heartbeat", all.heartbeats),
                ("bare condition variable", all.bare_waits),
                ("bare read", all.bare_reads),
            ] {
                late.sort_by(f64::total_cmp);
                let at = |percent| digits(percentile(&late, percent));
                table.row([
                    hub.to_owned(),
                    what.to_owned(),
                    late.len().to_string(),
                    late.iter().filter(|late| **late < 0.0).count().to_string(),
                    at(50.0),
                    at(99.0),
                    at(99.9),
                    at(100.0),
                ]);
            }
        }
        table.print();
        println!(
            "\nA verdict is counted from the last byte; its handler from the instant before the\n\
             peer's write. Heartbeats by their own timestamps. Bare ones are threads of the same\n\
             process that only wait for as long as the limit. Heartbeats later than slack / 2: {}.",
            later.join(", ")
        );
    }
}

/// How late everything was, in milliseconds.
#[derive(Default)]
struct Beside {
    verdicts: Vec<f64>,
    handled: Vec<f64>,
    heartbeats: Vec<f64>,
    bare_waits: Vec<f64>,
    bare_reads: Vec<f64>,
}

impl Beside {
    fn add(&mut self, other: Self) {
        self.verdicts.extend(other.verdicts);
        self.handled.extend(other.handled);
        self.heartbeats.extend(other.heartbeats);
        self.bare_waits.extend(other.bare_waits);
        self.bare_reads.extend(other.bare_reads);
    }
}

fn beside(args: &Args, links: usize, is_saturated: bool) -> Beside {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        if is_saturated {
            scope.spawn(|| {
                // Long, so that little of the time goes into its beginning.
                let work = Work::at_full_speed(links, 10 * messages(args) / links as u64);
                while !ended.load(Ordering::Relaxed) {
                    hub::publish(Design::Peerbeat, &work);
                }
            });
            // Its receivers start.
            thread::sleep(Duration::from_millis(500));
        }
        let bare = scope.spawn(bare_waits);
        let (idle, heartbeats) = idle_links();
        let (verdicts, handled) = silent_links().into_iter().unzip();
        ended.store(true, Ordering::Relaxed);
        // So that their peers come to an end.
        idle.iter().for_each(|link| link.end(DownReason::Silent, None));
        let heartbeats = heartbeats.into_iter().flat_map(end).collect();
        let (bare_waits, bare_reads) = bare.join().expect("a thread ends").into_iter().unzip();
        Beside { verdicts, handled, heartbeats, bare_waits, bare_reads }
    })
}

/// How late, in milliseconds, a wait on a condition variable and a read with a timeout end that
/// are as long as the limit of the silent links: what the machine allows.
fn bare_waits() -> Vec<(f64, f64)> {
    let (began, limit) = (Instant::now(), BEAT + SLACK);
    let late = move |began: Instant| (began.elapsed().as_secs_f64() - limit.as_secs_f64()) * 1e3;
    let waits = move || {
        let lock = Mutex::new(());
        let guard = lock.lock().expect("nobody else has it");
        let began = Instant::now();
        drop(Condvar::new().wait_timeout_while(guard, limit, |()| true));
        late(began)
    };
    let reads = move || {
        let (mut near, _far) = pair();
        near.set_read_timeout(Some(limit)).expect("a timeout that is not zero");
        let began = Instant::now();
        assert!(near.read(&mut [0]).is_err(), "nothing comes");
        late(began)
    };
    let start = |turn| {
        // Between two of the silent links.
        let at = began + SPREAD * turn / VERDICTS + SPREAD / VERDICTS / 2;
        thread::sleep(at.saturating_duration_since(Instant::now()));
        (thread::spawn(waits), thread::spawn(reads))
    };
    let threads: Vec<_> = (0..VERDICTS).map(start).collect();
    threads.into_iter().map(|(wait, read)| (end(wait), end(read))).collect()
}

/// Links on which only heartbeats go out. Their peers answer nothing and are forgiven, and return
/// how late the heartbeats were sent.
fn idle_links() -> (Vec<Link>, Vec<JoinHandle<Vec<f64>>>) {
    let options = ours::options(BEAT, Duration::from_secs(60));
    let start = |_| {
        let (near, far) = pair();
        let peer = thread::spawn(move || heartbeats_late(far));
        (ours::start(near, &options, |_: &Link, _: &[u8]| {}), peer)
    };
    (0..LINKS).map(start).unzip()
}

fn heartbeats_late(mut stream: TcpStream) -> Vec<f64> {
    let (mut late, mut last) = (Vec::new(), None);
    let mut decoder = Decoder::new(Native::default());
    while let Ok(count @ 1..) = stream.read(decoder.spare()) {
        decoder.handle_filled(count);
        while let Some(frame) = decoder.poll_frame().expect("what our link sends") {
            let Frame::Heartbeat(Heartbeat { timing, .. }) = frame else { continue };
            let sent_us = timing.expect("our link sends its clock").sent_us;
            if let Some(last) = last.replace(sent_us) {
                late.push((sent_us - last) as f64 / 1e3 - millis(BEAT));
            }
        }
    }
    late
}

/// How late the verdicts on links were whose peers fall silent, over some seconds, and how late
/// their handlers learned of it.
fn silent_links() -> Vec<(f64, f64)> {
    let options = ours::options(BEAT, SLACK);
    let (to, ends) = mpsc::channel();
    let mut peers: Vec<(TcpStream, Instant)> = Vec::new();
    let mut heartbeat = Vec::new();
    Heartbeat { heartbeat_time_ms: BEAT.as_millis() as u32, timing: None }.encode(&mut heartbeat);
    let began = Instant::now();
    for turn in 0..VERDICTS {
        let at = began + SPREAD * turn / VERDICTS;
        thread::sleep(at.saturating_duration_since(Instant::now()));
        let (near, mut far) = pair();
        let to = to.clone();
        let on_event = move |_: &Link, event: &LinkEvent| {
            if let LinkEvent::Down(down) = event {
                let _main_waits = to.send((turn, Instant::now(), down.silence));
            }
        };
        let handler = (|_: &Link, _: &[u8]| {}, on_event);
        Link::start_with(near, Native::default(), &options, handler).expect("a link starts");
        let before = Instant::now();
        far.write_all(&heartbeat).expect("a fresh socket takes a few bytes");
        peers.push((far, before));
    }
    let limit = BEAT + SLACK;
    let ended = |_| {
        let (turn, at, silence) = ends.recv().expect("every link ends");
        let handled = at.saturating_duration_since(peers[turn as usize].1);
        (millis(silence) - millis(limit), millis(handled) - millis(limit))
    };
    (0..VERDICTS).map(ended).collect()
}

fn end<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("a thread ends")
}

fn millis(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}

/// Links whose peers read nothing, with one budget for the queues of all.
pub(crate) fn fill(args: &Args) {
    for links in counts(args, "1000") {
        heading(&format!("{links} links, none of whose peers reads, with a budget for all queues"));
        let mut table = Table::new([
            "budget MiB",
            "queued MiB",
            "least of a link KiB",
            "most KiB",
            "resident MiB more",
            "sends refused",
        ]);
        for mib in [16, 64] {
            let row = filled(links, mib << 20);
            table.row([
                mib.to_string(),
                row[0].clone(),
                row[1].clone(),
                row[2].clone(),
                row[3].clone(),
                row[4].clone(),
            ]);
        }
        table.print();
    }
}

fn filled(count: usize, bytes: usize) -> [String; 5] {
    let budget = QueueBudget::new(bytes);
    // None of them is to end meanwhile.
    let options = ours::options(Duration::from_secs(60), Duration::from_secs(600));
    let options = options.queue_budget(budget);
    let (mut peers, mut links) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (near, far) = pair();
        links.push(ours::start(near, &options, |_: &Link, _: &[u8]| {}));
        peers.push(far);
    }
    let before = proc::resident_kib();
    let payload = [7; 1024];
    let (mut refused, mut in_a_row) = (0_u64, 0);
    // A kernel finds a little room now and then: full is what has refused for several rounds.
    while in_a_row < 20 * count {
        for link in &links {
            match link.try_send(&payload) {
                Ok(()) => in_a_row = 0,
                Err(error) => {
                    assert_eq!(error, SendError::Full, "no link ends");
                    refused += 1;
                    in_a_row += 1;
                }
            }
        }
    }
    let after = proc::resident_kib();
    let queued: Vec<f64> =
        links.iter().map(|link| link.stats().queued_bytes as f64 / 1024.0).collect();
    let all = queued.iter().sum::<f64>() / 1024.0;
    [
        digits(all),
        digits(queued.iter().copied().fold(f64::INFINITY, f64::min)),
        digits(queued.iter().copied().fold(0.0, f64::max)),
        digits(after.saturating_sub(before) as f64 / 1024.0),
        refused.to_string(),
    ]
}

/// What the links beside the hub promise and forgive.
const BEAT: Duration = Duration::from_millis(100);
const SLACK: Duration = Duration::from_millis(200);
/// Idle links, and silent ones, which begin over so long.
const LINKS: usize = 20;
const VERDICTS: u32 = 100;
const SPREAD: Duration = Duration::from_secs(4);
