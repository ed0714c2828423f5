//! Rules that were believed right: the model finds what is wrong with each.
//!
//! The same worlds pass with the rules as they are.

use crate::world::{May, Wording, World, run};

#[track_caller]
fn breaks(wording: Wording, world: World, law: &str) {
    let right = run(&World { wording: Wording::AsItIs, ..world.clone() }).0;
    if let Some((law, path)) = right.broken {
        panic!("as the rules are: {law}\n{path}");
    }
    let wrong = run(&World { wording, ..world }).0;
    let (broken, path) = wrong.broken.expect("nothing was found");
    println!("{wording:?}: {broken}\n{path}");
    assert_eq!(broken, law);
}

const KILLED: &str = "a living peer was called dead";
const NOT_FOUND: &str = "a dead peer was not found in time";

/// A program that moves its slack between 3 and 1 puts the verdict off for as long as it does.
#[test]
fn a_limit_that_counts_from_its_change_never_finds_a_dead_peer() {
    let may = May { slack_to: vec![1, 3], cut: true, sides: [true, false], ..World::default().may };
    let world = World { slack: [3, 3], acts: 6, may, ..World::default() };
    breaks(Wording::ShrinksFromTheChange, world, NOT_FOUND);
}

/// What was pending began with a larger limit, and is judged by less.
#[test]
fn a_limit_that_shrinks_at_once_kills_a_living_peer() {
    let hold_handler = vec![5];
    let may = May {
        slack_to: vec![1],
        hold_handler,
        change_only_while_stuck: true,
        ..World::default().may
    };
    let (streams, slack, acts) = ([true, false], [4, 4], 2);
    breaks(Wording::ShrinksAtOnce, World { streams, slack, acts, may, ..World::default() }, KILLED);
}

/// The peer's handler is held: it could not have heard.
#[test]
fn a_lowered_value_that_binds_at_once_kills_a_living_peer() {
    let may = May { lower_to: vec![1], hold_handler: vec![8], ..World::default().may };
    let world = World { acts: 2, may, ..World::default() };
    breaks(Wording::LoweredBindsAtOnce, world, KILLED);
}

#[test]
fn a_pending_write_that_follows_the_value_at_once_kills_a_living_peer() {
    let (lower_to, hold_handler) = (vec![1], vec![4]);
    let may = May { lower_to, hold_handler, change_only_while_stuck: true, ..World::default().may };
    let (streams, slack, acts) = ([true, false], [3, 3], 2);
    let world = World { streams, slack, acts, may, ..World::default() };
    breaks(Wording::WritesFollowTheValue, world, KILLED);
}
