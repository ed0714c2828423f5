//! How soon a dead peer is found.
//!
//! The cut comes at every instant, including between a change and its announcement. Counted from
//! the last byte, or from the moment of the first limit.

use crate::world::{May, Seen, World, run};

/// The longest silence of either side until its verdict.
#[track_caller]
fn found_after(world: &World) -> [u8; 2] {
    seen(world).found_after
}

#[track_caller]
fn seen(world: &World) -> Seen {
    let (explored, seen) = run(world);
    if let Some((law, path)) = explored.broken {
        panic!("{law}\n{path}\nin {world:?}");
    }
    seen
}

fn cut(world: World, may: May) -> World {
    World { acts: 2, may: May { cut: true, ..may }, ..world }
}

#[test]
fn a_peer_that_is_cut_off_is_found_after_promise_and_slack() {
    for (value, slack) in [([4, 4], [1, 2]), ([2, 2], [3, 2]), ([2, 4], [2, 2])] {
        let world = cut(World { value, slack, ..World::default() }, World::default().may);
        let value = value.into_iter().min().unwrap();
        assert_eq!(found_after(&world), [value + slack[0], value + slack[1]]);
    }
}

#[test]
fn a_peer_that_is_cut_off_at_an_unconfirmed_change_is_found_after_the_old_limit() {
    let may = May { lower_to: vec![1], sides: [true, false], ..World::default().may };
    let world = cut(World { value: [4, 4], slack: [2, 2], ..World::default() }, may);
    assert_eq!(found_after(&world), [4 + 2, 4 + 2]);
}

#[test]
fn after_a_first_value_the_setter_finds_a_dead_peer_after_ten_seconds_and_the_other_never() {
    let may = May { lower_to: vec![2], sides: [true, false], ..World::default().may };
    let world = cut(World { value: [0, 0], slack: [2, 2], ..World::default() }, may);
    // The other side, if it has heard of the value, after that and its slack.
    let seen = seen(&world);
    assert_eq!(seen.found_after, [10 + 2, 2 + 2]);
    assert!(seen.never_found[1]);
}

#[test]
fn no_change_of_slack_moves_a_verdict_beyond_the_greatest_limit() {
    let may = May { slack_to: vec![1, 3], ..World::default().may };
    for acts in [3, 8] {
        let world = World { slack: [3, 3], acts, ..cut(World::default(), may.clone()) };
        let may = May { sides: [true, false], ..world.may.clone() };
        assert_eq!(found_after(&World { may, ..world })[0], 4 + 3);
    }
}

/// At the latest the last byte and the limit, or the waking and the slack.
#[test]
fn after_a_stop_of_our_own_a_dead_peer_is_found_within_a_slack() {
    for stop in [1, 4, 20] {
        let may = May { stop_process: vec![stop], sides: [true, false], ..World::default().may };
        let world = cut(World { slack: [2, 2], ..World::default() }, may);
        // It stops right before its verdict is due: a stop of a tick changes nothing.
        let wakes = 4 + 2 - 1 + stop;
        let at_the_latest = if wakes > 4 + 2 { wakes + 2 } else { 4 + 2 };
        assert_eq!(found_after(&world)[0], at_the_latest, "stopped for {stop}");
    }
}
