//! Which slack is enough, what floors do, what a handler, a stop and a pause may cost.
//!
//! Each bound is asked from both sides: with it no schedule breaks a link, and a tick short of it
//! some schedule does.

use crate::world::{May, World, run};

/// The worlds of a grid, in turn.
fn worlds(values: &[u8], slacks: &[u8], delays: &[(u8, u8)]) -> Vec<World> {
    let mut worlds = Vec::new();
    for first in values {
        for second in values.iter().filter(|second| *first > 0 || **second > 0) {
            for (slack, delay) in slacks.iter().flat_map(|s| delays.iter().map(move |d| (s, d))) {
                let (value, slack, delay) = ([*first, *second], [*slack; 2], *delay);
                worlds.push(World { value, slack, delay, ..World::default() });
            }
        }
    }
    worlds
}

fn small() -> Vec<World> {
    worlds(&[0, 2, 4], &[0, 1, 2], &[(1, 1), (1, 2), (3, 4)])
}

fn large() -> Vec<World> {
    worlds(&[0, 2, 3, 4, 6], &[0, 1, 2, 3], &[(1, 1), (1, 2), (1, 3), (1, 4), (3, 5)])
}

impl World {
    fn jitter(&self) -> u8 {
        self.delay.1 - self.delay.0
    }

    /// What side `side` ends at.
    fn settled(&self, side: usize) -> u8 {
        let (own, theirs) = (self.value[side], self.value[1 - side]);
        let theirs = if theirs > 0 { theirs.max(self.floor[side]) } else { 0 };
        [own, theirs].into_iter().filter(|value| *value > 0).min().unwrap_or(0)
    }

    /// The first silence of the accepting side is a round trip: its HELLO there, a heartbeat back.
    fn outlasts_a_round_trip(&self, late: u8) -> bool {
        self.settled(1) + self.slack[1] >= 2 * self.delay.1 + late
    }

    /// What the peer's floor makes of our value, beyond our value.
    fn excess(&self, side: usize) -> u8 {
        self.settled(1 - side).saturating_sub(self.settled(side))
    }
}

/// Explores, and says which of what `expected` promises did not hold.
#[track_caller]
fn hold(worlds: impl IntoIterator<Item = (World, bool)>) -> usize {
    let (mut states, mut kept, mut broke) = (0, 0, 0);
    for (world, expected) in worlds {
        let explored = run(&world).0;
        states += explored.states;
        match (&explored.broken, expected) {
            (None, true) => kept += 1,
            (Some(_), false) => broke += 1,
            (None, false) => panic!("nothing broke {world:?}"),
            (Some((law, path)), true) => panic!("{law}\n{path}\nin {world:?}"),
        }
    }
    println!("{states} states, {kept} worlds kept their links, {broke} could not");
    assert!(kept > 0);
    broke
}

fn jitter_of_wires_and_senders(worlds: Vec<World>) {
    let asked = worlds.into_iter().flat_map(|world| {
        [0, 1].map(|late| {
            let may = May { send_late: late > 0, ..world.may.clone() };
            let enough =
                world.slack[0] >= world.jitter() + late && world.outlasts_a_round_trip(late);
            (World { may, acts: 2 * late, ..world.clone() }, enough)
        })
    });
    assert!(hold(asked) > 0);
}

#[test]
fn a_slack_of_the_jitter_and_the_senders_lateness_is_enough_and_no_less() {
    jitter_of_wires_and_senders(small());
}

#[test]
#[ignore = "larger bounds of the model"]
fn a_slack_of_the_jitter_and_the_senders_lateness_is_enough_in_large() {
    jitter_of_wires_and_senders(large());
}

fn floors(worlds: Vec<World>) {
    let asked = worlds.into_iter().flat_map(|world| {
        [[0, 3], [3, 0], [3, 3], [5, 0], [0, 5]].map(|floor| {
            let world = World { floor, ..world.clone() };
            let enough =
                (0..2).all(|side| world.slack[side] >= world.jitter() + world.excess(side));
            let enough = enough && world.outlasts_a_round_trip(0);
            (world, enough)
        })
    });
    assert!(hold(asked) > 0);
}

#[test]
fn a_floor_costs_what_it_adds_to_the_value() {
    floors(worlds(&[0, 2, 4], &[0, 1, 2, 3], &[(1, 1), (1, 2)]));
}

#[test]
#[ignore = "larger bounds of the model"]
fn a_floor_costs_what_it_adds_to_the_value_in_large() {
    floors(large());
}

/// The worlds whose slack is enough.
fn enough(worlds: Vec<World>) -> impl Iterator<Item = World> {
    worlds
        .into_iter()
        .filter(|world| world.slack[0] >= world.jitter() && world.outlasts_a_round_trip(0))
}

/// Changes on both sides, crossing and repeated, with handlers held and data between them.
fn changes(worlds: Vec<World>, acts: u8, lower_to: &[u8], hold_handler: &[u8]) {
    let asked = enough(worlds).map(|world| {
        let (lower_to, hold_handler) = (lower_to.to_vec(), hold_handler.to_vec());
        let may = May { lower_to, hold_handler, ..world.may.clone() };
        (World { acts, may, ..world }, true)
    });
    hold(asked);
}

#[test]
fn no_change_and_no_held_handler_kills_a_living_peer() {
    changes(worlds(&[0, 4], &[1], &[(1, 2)]), 2, &[2], &[8]);
}

#[test]
#[ignore = "larger bounds of the model"]
fn no_change_and_no_held_handler_kills_a_living_peer_in_large() {
    changes(worlds(&[0, 2, 4], &[1, 2], &[(1, 2), (2, 3)]), 3, &[1, 3], &[5, 12]);
}

#[test]
fn slack_that_goes_up_and_down_kills_no_living_peer() {
    let asked = enough(worlds(&[0, 4], &[1, 3], &[(1, 2)])).map(|world| {
        let (lower_to, slack_to) = (vec![1], vec![1, 3]);
        let may = May { lower_to, slack_to, ..world.may.clone() };
        (World { acts: 2, may, ..world }, true)
    });
    hold(asked);
}

#[test]
fn a_stop_of_the_process_kills_no_living_peer() {
    let asked = enough(worlds(&[0, 4], &[1], &[(1, 2)])).map(|world| {
        let (stop_process, lower_to) = (vec![2, 12], vec![1]);
        let may = May { stop_process, lower_to, ..world.may.clone() };
        (World { acts: 2, may, ..world }, true)
    });
    hold(asked);
}

/// The kernel of a paused machine holds nothing, so that on waking there is nothing to read first.
#[test]
fn a_pause_of_the_machine_is_safe_up_to_the_slack_less_the_jitter() {
    let asked = [(1, 1), (1, 2), (1, 3)].into_iter().flat_map(|delay| {
        (1..=4).flat_map(move |slack| {
            (1..=5).map(move |pause| {
                let may = May {
                    stop_process: vec![pause],
                    stops_are_pauses: true,
                    ..World::default().may
                };
                // A stop is noticed as one only beyond what an ordinary late wake-up may be.
                let (acts, grace_above) = (1, 60);
                let world =
                    World { delay, slack: [slack; 2], acts, grace_above, may, ..World::default() };
                let enough = pause + world.jitter() <= slack;
                (world, enough)
            })
        })
    });
    let asked = asked.filter(|(world, _)| world.slack[0] >= world.jitter());
    assert!(hold(asked) > 0);
}

/// Neither side has a value, one side sets the first, and the other's handler holds its reader.
#[test]
fn a_first_value_set_while_the_peer_is_held_has_ten_seconds_for_hold_and_round_trip() {
    let asked = [(1, 1), (1, 2)].into_iter().flat_map(|delay: (u8, u8)| {
        let safe = 9 + 1 - 2 * delay.1;
        [safe, safe + 1].map(|hold| {
            let may = May { lower_to: vec![2], hold_handler: vec![hold], ..World::default().may };
            let world = World {
                value: [0; 2],
                slack: [3; 2],
                first_promise: 6,
                delay,
                acts: 2,
                may,
                ..World::default()
            };
            // A handler that begins a tick before the value arrives has one tick behind it.
            let enough = hold + 2 * delay.1 - 1 <= 6 + 3;
            (world, enough)
        })
    });
    assert!(hold(asked) > 0);
}

/// A peer whose HELLO carries no value learns ours from the first heartbeat, which waits unread.
#[test]
fn without_the_field_of_hello_a_peer_that_is_held_from_the_start_is_called_dead() {
    for (tells, expected) in [(true, true), (false, false)] {
        let may = May { hold_handler: vec![12], sides: [false, true], ..World::default().may };
        let world = World {
            value: [4, 0],
            tells_in_hello: [true, tells],
            acts: 1,
            may,
            ..World::default()
        };
        hold_one(world, expected);
    }
}

#[track_caller]
fn hold_one(world: World, expected: bool) {
    let broken = run(&world).0.broken;
    assert_eq!(broken.is_none(), expected, "{world:?}\n{broken:?}");
}

/// A stream towards a handler that is held: the write waits for the hold and a round trip.
#[test]
fn streaming_to_a_held_handler_is_safe_while_hold_and_round_trip_fit_the_limit() {
    let asked = [(1, 1), (1, 2), (2, 3)].into_iter().flat_map(|delay: (u8, u8)| {
        (1..=8).map(move |hold| {
            let sides = [false, true];
            let may = May { hold_handler: vec![hold], sides, ..World::default().may };
            let streams = [true, false];
            let world = World { streams, slack: [3; 2], delay, acts: 1, may, ..World::default() };
            // It begins before the frame comes, and the write is stuck from the tick after.
            let enough = hold + 2 * delay.1 - 2 <= 4 + 3;
            (world, enough)
        })
    });
    assert!(hold(asked) > 0);
}

#[test]
fn a_change_is_announced_at_most_twice() {
    let may = May { lower_to: vec![1, 2], ..World::default().may };
    for value in [[0, 0], [0, 4], [4, 3]] {
        let world = World { value, acts: 3, delay: (1, 1), may: may.clone(), ..World::default() };
        let (explored, seen) = run(&world);
        assert_eq!(explored.broken, None, "{world:?}");
        // Beside them one a side at the start, if it has a value.
        assert!(seen.announced <= 2, "{} for {value:?}", seen.announced);
    }
}
