//! Random operations on three nodes that dial each other: sends, closes, changed values, reloads
//! that take peers out and give them other addresses, restarts, strangers of all kinds, handlers
//! that are slow and that panic.
//!
//! What must hold whatever happens: the invariants that the simulator judges nodes by, one call at
//! a time for a name, messages of a sender in order, and after a quiet moment every pair is
//! connected again; at the end no thread and no descriptor is left. `PEERBEAT_STRESS_SECONDS` and
//! `PEERBEAT_STRESS_SEED` set its length and its seed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/held.rs"]
#[expect(dead_code, reason = "the soak uses all of it")]
mod held;

mod strangers;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use peerbeat::node::Node;

use common::PATIENCE;
use held::{Held, held, left_above};
use world::{NODES, Rng, World};

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}: {text:?} is no number"))
}

#[test]
fn random_operations_break_no_promise() {
    // The panics are made on purpose; everything else is reported as usual.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<&str>() != Some(&world::ON_PURPOSE) {
            usual(panic);
        }
    }));
    let seed = number("PEERBEAT_STRESS_SEED", 1);
    let until = Instant::now() + Duration::from_secs(number("PEERBEAT_STRESS_SECONDS", 4));
    let before = held();
    let mut round = 0;
    while round == 0 || Instant::now() < until {
        println!("seed {seed}, round {round}");
        run(Rng::new(seed + 1000 * round), until.min(Instant::now() + Duration::from_secs(4)));
        round += 1;
    }
    let left = left_above(before, PATIENCE);
    assert_eq!(left, Held { threads: 0, descriptors: 0 }, "something is left behind");
}

fn run(mut rng: Rng, until: Instant) {
    let world = Arc::new(World::new());
    for index in 0..NODES {
        world.start(index, &mut rng);
    }
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (world, mut rng) = (&world, rng.split());
            scope.spawn(move || {
                while Instant::now() < until {
                    world.act(&mut rng);
                }
            });
        }
    });
    world.calm_down();
    wait_connected(&world);
    let nodes: Vec<Node> = (0..NODES).filter_map(|index| world.take(index)).collect();
    for node in &nodes {
        let began = Instant::now();
        node.shutdown();
        assert!(node.join());
        assert!(began.elapsed() < Duration::from_secs(25), "the stop took {:?}", began.elapsed());
    }
    world.assert_kept();
}

/// Waits until every node is connected with every other.
fn wait_connected(world: &World) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lonely = world.lonely();
        if lonely.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "not connected again: {lonely:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
