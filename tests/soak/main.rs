//! The soak: fifty peers that reconnect for an hour, while faults are drawn at random.
//!
//! ```text
//! cargo test --release --test soak -- --ignored --nocapture
//! ```
//!
//! `PEERBEAT_SOAK_SECONDS=180` makes it shorter, `PEERBEAT_SOAK_SEED=7` repeats a draw. One line
//! per minute shows what the process holds, how links ended, and what happened to the messages. At
//! the end all faults are off and all peers up. Then memory, threads and descriptors must be what
//! they were; no link may have ended without a fault, early, or for a reason that the fault does
//! not explain; and every message must have arrived once, unless its connection was destroyed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "../common/held.rs"]
mod held;
#[path = "../common/tally.rs"]
mod tally;

mod faults;
mod peers;
mod watching;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use faults::Faulting;
use held::{Held, held, left_above};
use peers::World;
use watching::{Samples, Starving};

/// Peers, each with a node and a cable of its own.
const COUNT: usize = 50;

fn number(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().unwrap_or_else(|e| panic!("{name}={value}: {e}")))
}

#[test]
#[ignore = "takes an hour; see the crate's head"]
fn soak() {
    let seconds = number("PEERBEAT_SOAK_SECONDS", 3600);
    let seed = number("PEERBEAT_SOAK_SEED", u64::from(std::process::id()));
    println!("soak: {COUNT} peers, {seconds} s, seed {seed}");
    let nothing = held();
    let starving = Starving::start();
    let world = World::start(COUNT, Arc::clone(&starving.seen));
    world.wait_all_up(Duration::from_secs(60));
    // Connections that were given up on the way are cleared away first.
    thread::sleep(Duration::from_secs(2));
    let before = held();
    println!("all up: {before:?}");

    let began = Instant::now();
    let mut samples = Samples::default();
    let mut faulting = Faulting::new(seed, COUNT);
    let mut next_line = 1;
    while began.elapsed().as_secs() < seconds {
        let tick = Instant::now();
        faulting.step(&world);
        world.send();
        samples.take(began.elapsed());
        if began.elapsed().as_secs() >= next_line * 60 {
            next_line += 1;
            println!("{}", world.line(began.elapsed(), faulting.tried()));
        }
        thread::sleep(TICK.saturating_sub(tick.elapsed()));
    }
    faulting.stop(&world);
    world.wait_all_up(Duration::from_secs(120));
    world.deliver_all(Duration::from_secs(60));
    let above = left_above(before, Duration::from_secs(60));
    println!("{}", world.line(began.elapsed(), faulting.tried()));
    println!("faults: {}", faulting.summary());
    println!("held above what was held before: {above:?}; memory: {}", samples.summary());
    println!("the longest that this process was kept from running: {:?}", starving.longest());
    let complaints = world.complaints(seconds);
    drop(world);
    drop(starving);
    let left = left_above(nothing, Duration::from_secs(30));
    println!("left behind in the end: {left:?}");

    let none = Held { threads: 0, descriptors: 0 };
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert_eq!((above, left), (none, none));
    assert!(faulting.tried() > 0, "no fault was tried");
    samples.assert_flat();
}

/// How often messages are sent and faults looked after.
const TICK: Duration = Duration::from_millis(100);

/// A counter that only grows, for figures.
fn get(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
