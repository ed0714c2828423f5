//! The invariants of the simulator, held by real links over real sockets: what two links recorded
//! is judged by the same code as a run of `sim`.
//!
//! Random scripts, each drawn from a seed, drive pairs of links through a cable that delays,
//! splits, freezes, cuts and resets, while the links' own faults are switched. Many run at once,
//! because links mostly wait. "Too late" is asserted only if it happens twice while ticking threads
//! show that this process gets CPU time; until then the script is run again.
//!
//! For a few hundred: `cargo test --release --test links_laws -- --ignored --nocapture`;
//! `LINKS_SEED=1000 LINKS_SCRIPTS=2000` selects others and more.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used)]

#[path = "common/accept.rs"]
mod accept;
#[path = "links_laws/laws.rs"]
mod laws;
#[path = "links_laws/script.rs"]
mod script;
#[path = "links_laws/seen.rs"]
mod seen;
#[path = "links_laws/stage.rs"]
mod stage;
#[path = "links_laws/ticker.rs"]
mod ticker;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use laws::Broken;
use script::Script;
use stage::Record;
use ticker::Ticker;

/// What many scripts came to.
#[derive(Debug, Default)]
struct Sum {
    scripts: u64,
    /// Ends of links by their reason.
    ends: BTreeMap<&'static str, u64>,
    heartbeats: usize,
    messages: usize,
    /// Runs that were made again because something came too late.
    again: u64,
    /// Scripts that never had a quiet machine: only what no load excuses was judged.
    starved: u64,
    failures: Vec<String>,
}

impl Sum {
    fn add(&mut self, record: &Record) {
        for (end, way) in record.ends.iter().zip(&record.ways) {
            let down = end.downs[0].as_ref().expect("the stage waits for it");
            *self.ends.entry(down.reason.as_str()).or_default() += 1;
            let is_beat = |frame: &&seen::Frame| matches!(frame, seen::Frame::Heartbeat { .. });
            let is_message = |frame: &&seen::Frame| matches!(frame, seen::Frame::Data(_));
            self.messages += way.frames.iter().filter(is_message).count();
            self.heartbeats += way.frames.iter().filter(is_beat).count();
        }
    }
}

/// Runs both connections of a script under the laws.
fn run_once(script: &Script, seed: u64, sum: &Mutex<Sum>) -> Result<(), Broken> {
    let mut judged = Ok(());
    for (index, act) in script.acts.iter().enumerate() {
        let nonce = (seed as u32) << 1 | index as u32;
        let record = stage::run(script.ends, act, nonce);
        let broken = laws::judge(&record);
        sum.lock().unwrap().add(&record);
        // What no load excuses is reported before what it may.
        judged = match (judged, broken) {
            (Err(Broken { upward: true, .. }), Err(worse)) if !worse.upward => Err(worse),
            (Ok(()), broken) => broken,
            (judged, _) => judged,
        };
    }
    judged
}

/// Runs a script until it is judged.
fn run(seed: u64, length: u64, ticker: &Ticker, sum: &Mutex<Sum>) {
    let script = Script::random(seed, length);
    let mut breaches = 0;
    for _ in 0..TRIES {
        let began = Instant::now();
        let judged = run_once(&script, seed, sum);
        let worst = ticker.worst_since(began);
        let broken = match judged {
            Ok(()) => return sum.lock().unwrap().scripts += 1,
            Err(broken) => broken,
        };
        breaches += u32::from(worst < STARVED);
        if !broken.upward || breaches == 2 {
            let Broken { detail, .. } = broken;
            return sum.lock().unwrap().failures.push(format!(
                "broken by seed {seed}: {detail}\n(the worst wait of the test itself was \
                 {worst:?} late)\n{script:?}\nagain: LINKS_SEED={seed} LINKS_SCRIPTS=1 LINKS_LENGTH={length} cargo \
                 test --release --test links_laws -- --ignored --nocapture\n"
            ));
        }
        let mut sum = sum.lock().unwrap();
        sum.again += 1;
        println!("seed {seed} again, the worst wait was {worst:?} late: {}", broken.detail);
    }
    sum.lock().unwrap().starved += 1;
}

/// Runs scripts from `first` on, so many at once.
fn campaign(first: u64, count: u64, length: u64, at_once: u64) -> Sum {
    let (ticker, sum, next) = (Ticker::start(), Mutex::new(Sum::default()), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..at_once.min(count) {
            // Not all at the same beat.
            thread::sleep(Duration::from_millis(5));
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    run(first + index, length, &ticker, &sum);
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap();
    println!("the worst wait of the test itself was {:?} late", ticker.worst());
    assert!(sum.failures.is_empty(), "\n{}\n", sum.failures.join("\n"));
    assert!(sum.scripts > sum.starved, "this machine had no time to judge: {sum:?}");
    sum
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn a_few_random_scripts_break_no_law() {
    let sum = campaign(0, 10, number("LINKS_LENGTH", SHORT), 10);
    assert!(sum.heartbeats > 100 && sum.messages > 100, "{sum:?}");
}

#[test]
#[ignore = "a minute"]
fn hundreds_of_random_scripts_break_no_law() {
    let (first, count) = (number("LINKS_SEED", 1000), number("LINKS_SCRIPTS", 400));
    let began = Instant::now();
    let sum = campaign(first, count, number("LINKS_LENGTH", LONG), 48);
    println!("seeds {first} to {}, {:.1} s", first + count - 1, began.elapsed().as_secs_f64());
    println!("{sum:#?}");
    assert!(count < 100 || sum.ends.len() >= 5, "some reason for an end was never seen: {sum:?}");
}

#[test]
fn a_seed_names_its_script_exactly() {
    for seed in 0..50 {
        let [first, second] = [(); 2].map(|()| format!("{:?}", Script::random(seed, LONG)));
        assert_eq!(first, second);
        assert_ne!(first, format!("{:?}", Script::random(seed + 50, LONG)));
    }
}

/// How long things happen on a connection, in milliseconds.
const LONG: u64 = 1800;
const SHORT: u64 = 500;
/// How often a script is run on a machine that has no time for it.
const TRIES: u32 = 5;
/// A wait that ends so late shows that we were starved.
const STARVED: Duration = Duration::from_millis(40);
