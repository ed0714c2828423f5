//! What a saturated hub does to the links beside it, and what it holds when no one reads.

use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{Down, Link, LinkEvent, QueueBudget, SendError};

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
        let mut table = Table::new([
            "hub",
            "verdicts",
            "early",
            "p50 ms",
            "p99 ms",
            "most",
            "heartbeats",
            "p99.9 ms late",
            "most",
            "later than slack / 2",
        ]);
        let mut waits = Table::new(["hub", "bare waits of", "p50 ms", "p99 ms", "most"]);
        for is_saturated in [false, true] {
            let (mut verdicts, mut beats) = (Vec::new(), Vec::new());
            let mut bare: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
            for round in 0..rounds(args) {
                progress(&format!("round {round}, saturated: {is_saturated}"));
                let seen = beside(args, links, is_saturated);
                verdicts.extend(seen.0);
                beats.extend(seen.1);
                bare[0].extend(seen.2.iter().map(|late| late[0]));
                bare[1].extend(seen.2.iter().map(|late| late[1]));
            }
            verdicts.sort_by(f64::total_cmp);
            let millis = |duration: Duration| duration.as_nanos() as f64 / 1e6;
            let worst = |figure: fn(&peerbeat::link::Stats) -> Duration| {
                digits(beats.iter().map(|stats| millis(figure(stats))).fold(0.0, f64::max))
            };
            let hub = if is_saturated { "saturated" } else { "idle" };
            for (what, mut late) in ["a condition variable", "a read"].into_iter().zip(bare) {
                late.sort_by(f64::total_cmp);
                let at = |percent| digits(percentile(&late, percent));
                waits.row([hub.to_owned(), what.to_owned(), at(50.0), at(99.0), at(100.0)]);
            }
            table.row([
                hub.to_owned(),
                verdicts.len().to_string(),
                verdicts.iter().filter(|late| **late < 0.0).count().to_string(),
                digits(percentile(&verdicts, 50.0)),
                digits(percentile(&verdicts, 99.0)),
                digits(percentile(&verdicts, 100.0)),
                beats.iter().map(|stats| stats.heartbeats_sent).sum::<u64>().to_string(),
                worst(|stats| stats.own_lateness.p999),
                worst(|stats| stats.own_lateness.max),
                beats.iter().map(|stats| stats.own_late).sum::<u64>().to_string(),
            ]);
        }
        table.print();
        println!("\nThreads that do nothing else than wait for as long, in the same process:\n");
        waits.print();
    }
}

/// How late the verdicts were, in milliseconds, what the idle links did, and how late bare waits
/// were.
type Beside = (Vec<f64>, Vec<peerbeat::link::Stats>, Vec<[f64; 2]>);

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
        let (idle, silent) = (idle_links(), silent_links());
        let limit = (BEAT + SLACK).as_nanos() as f64 / 1e6;
        let late = silent.iter().map(|down| down.silence.as_nanos() as f64 / 1e6 - limit);
        let late = late.collect();
        let stats = idle.iter().map(Link::stats).collect();
        let bare = bare.join().expect("the waits end");
        ended.store(true, Ordering::Relaxed);
        (late, stats, bare)
    })
}

/// How late, in milliseconds, a wait on a condition variable and a read with a timeout end that
/// are as long as the limit of the silent links: what the machine allows.
fn bare_waits() -> Vec<[f64; 2]> {
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
    let end = |thread: thread::JoinHandle<f64>| thread.join().expect("a wait ends");
    threads.into_iter().map(|(wait, read)| [end(wait), end(read)]).collect()
}

/// Links on which only heartbeats go out; their peers read and answer nothing, and are forgiven.
fn idle_links() -> Vec<Link> {
    let options = ours::options(BEAT, Duration::from_secs(60));
    let start = |_| {
        let (near, mut far) = pair();
        thread::spawn(move || {
            let mut buffer = [0; 256];
            while far.read(&mut buffer).is_ok_and(|count| count > 0) {}
        });
        ours::start(near, &options, |_: &Link, _: &[u8]| {})
    };
    (0..LINKS).map(start).collect()
}

/// The ends of links whose peers are silent, over some seconds.
fn silent_links() -> Vec<Down> {
    let options = ours::options(BEAT, SLACK);
    let (to, ends) = mpsc::channel();
    let mut peers: Vec<TcpStream> = Vec::new();
    let began = Instant::now();
    for turn in 0..VERDICTS {
        let at = began + SPREAD * turn / VERDICTS;
        thread::sleep(at.saturating_duration_since(Instant::now()));
        let (near, far) = pair();
        let to = to.clone();
        let on_event = move |_: &Link, event: &LinkEvent| {
            if let LinkEvent::Down(down) = event {
                let _main_waits = to.send(down.clone());
            }
        };
        let handler = (|_: &Link, _: &[u8]| {}, on_event);
        let native = peerbeat::protocol::Native::default();
        Link::start_with(near, native, &options, handler).expect("a link starts");
        peers.push(far);
    }
    (0..VERDICTS).map(|_| ends.recv().expect("every link ends")).collect()
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
