//! Which value comes into force, for every pair of values that two ends may have.

use super::line::{Line, Packet};
use super::{EDGES, at, ms, settings};
use peerbeat::liveness::{Action, FixedIntervals, Liveness, Settings, Time, agree};
use std::time::Duration;

const UNSET: Option<u64> = None;
const OFF: Option<u64> = Some(0);

fn with_value(heartbeat_time: Option<u64>) -> Settings {
    settings(0, 2000).heartbeat_time(heartbeat_time.map(ms))
}

// lesson 2
#[test]
fn all_pairs_of_unset_off_and_value_end_at_the_smaller_value_on_both_sides() {
    let pairs = [
        (UNSET, UNSET, None),
        (UNSET, OFF, None),
        (OFF, UNSET, None),
        (OFF, OFF, None),
        (UNSET, Some(3000), Some(3000)),
        (OFF, Some(3000), Some(3000)),
        (Some(3000), UNSET, Some(3000)),
        (Some(3000), OFF, Some(3000)),
        (Some(3000), Some(3000), Some(3000)),
        (Some(3000), Some(5000), Some(3000)),
        (Some(5000), Some(3000), Some(3000)),
    ];
    for (left, right, expected) in pairs {
        let mut line = Line::new([with_value(left), with_value(right)]).with_delay(ms(20));
        line.run(ms(60_000));
        let expected = expected.map(ms);
        for end in &line.ends {
            assert_eq!(end.in_force(), [expected; 2], "{left:?} and {right:?}");
            assert_eq!(
                end.liveness.silence_timer().limit(),
                expected.map(|value| value + ms(2000))
            );
            assert_eq!((end.down, end.actions.len()), (None, 0), "{left:?} and {right:?}");
            assert_eq!(end.sent.is_empty(), expected.is_none(), "{left:?} and {right:?}");
        }
    }
}

// lesson 2
#[test]
fn what_each_side_says_first_is_its_own_and_what_it_adopted_second() {
    let mut line = Line::new([settings(5000, 2000), settings(3000, 2000)]).with_delay(ms(20));
    line.run(ms(100));
    assert_eq!(line.ends[0].beats(), [(at(0), 5000), (at(20), 3000)]);
    assert_eq!(line.ends[1].beats(), [(at(0), 3000)]);

    let mut line = Line::new([settings(0, 2000), settings(3000, 2000)]).with_delay(ms(20));
    line.run(ms(100));
    assert_eq!(line.ends[0].beats(), [(at(20), 3000)]);
    let (when, adopted) = line.ends[0].adopted[0];
    assert_eq!((when, adopted.from, adopted.to), (at(20), None, ms(3000)));
    assert!(line.ends[1].adopted.is_empty());
}

#[test]
fn a_busy_sender_still_announces_its_value_to_a_silent_receiver() {
    let mut line = Line::new([settings(3000, 2000), settings(0, 2000)]).with_delay(ms(20));
    for _ in 0..1000 {
        line.send_data(0);
        line.run(ms(10));
    }
    assert_eq!(line.ends[0].beats(), [(at(0), 3000)], "the announcement, and none while busy");
    assert_eq!(line.ends[1].in_force(), [Some(ms(3000)); 2]);
    // And the receiver sends by it.
    assert_eq!(
        line.ends[1].beats(),
        [(at(20), 3000), (at(3020), 3000), (at(6020), 3000), (at(9020), 3000)]
    );
}

#[test]
fn an_end_that_is_busy_announces_a_value_that_it_adopted() {
    let mut line = Line::new([settings(5000, 2000), settings(300, 2000)]).with_delay(ms(20));
    for _ in 0..100 {
        line.send_data(0);
        line.run(ms(10));
    }
    assert_eq!(line.ends[0].beats(), [(at(0), 5000), (at(20), 300)]);
}

// lessons 1, 3, 5
#[test]
fn every_boundary_value_meets_every_other() {
    let values = EDGES.into_iter().filter(|value| *value == 0 || *value >= 100);
    for left in values.clone() {
        for right in values.clone() {
            let mut line =
                Line::new([with_value(Some(left.into())), with_value(Some(right.into()))]);
            line = line.with_delay(ms(5));
            line.run(ms(3000));
            let smaller = [left, right].into_iter().filter(|value| *value > 0).min();
            let smaller = smaller.map(|value| ms(value.into()));
            for end in &line.ends {
                assert_eq!(end.in_force(), [smaller; 2], "{left} and {right}");
                assert!(end.down.is_none() && end.actions.is_empty(), "{left} and {right}");
                assert!(end.beats().len() <= 2 + 3000 / 100);
            }
        }
    }
}

#[test]
fn floors_keep_each_side_at_what_it_can_bear() {
    // The left asks for 10 ms, the right takes no less than 100: it says so, and the left keeps its
    // own, smaller value. The slack must cover the difference.
    let left = settings(10, 2000).heartbeat_time_min(ms(1));
    let mut line = Line::new([left, settings(0, 2000)]).with_delay(ms(1));
    line.run(ms(10_000));
    assert_eq!(line.ends[0].in_force(), [Some(ms(10)); 2]);
    assert_eq!(line.ends[1].in_force(), [Some(ms(100)); 2]);
    assert!(line.ends.iter().all(|end| end.down.is_none()));
    assert!(line.ends[1].beats().len() <= 101);
}

// lesson 1
#[test]
fn a_hostile_peer_that_keeps_lowering_its_value_cannot_make_us_flood() {
    let mut line = Line::new([settings(5000, 2000), settings(0, 2000)]);
    let mut now = Time::ZERO;
    let mut value = u32::MAX;
    while now < at(20_000) {
        // Written by hand into the left end: a value lower by a little, every two milliseconds.
        value = value.saturating_sub(430_000).max(1);
        line.ends[0].liveness.handle_received(line.now);
        line.ends[0].liveness.handle_heartbeat(value, line.now);
        line.run(ms(2));
        now = line.now;
    }
    let beats = line.ends[0].beats();
    assert!(beats.len() <= 2 + 20_000 / 100, "{} heartbeats in 20 s", beats.len());
    let hasty = beats.windows(2).filter(|pair| pair[1].0.since(pair[0].0) < ms(100)).count();
    assert!(hasty <= 1, "{hasty} of them within a floor");
}

// lesson 44
#[test]
fn what_a_connection_adopted_dies_with_it() {
    let mut line = Line::new([settings(5000, 2000), settings(300, 2000)]);
    line.run(ms(1000));
    assert_eq!(line.ends[0].in_force(), [Some(ms(300)); 2]);
    let again = Line::new([line.ends[0].settings, settings(0, 2000)]);
    assert_eq!(again.ends[0].in_force(), [Some(ms(5000)); 2]);
}

// lesson 8
#[test]
fn a_heartbeat_with_a_value_of_zero_is_life_and_changes_nothing() {
    let mut line = Line::new([settings(1000, 500), settings(0, 500)]);
    line.cut = [true; 2];
    for _ in 0..100 {
        line.run(ms(1000));
        assert!(line.ends[0].down.is_none());
        line.ends[0].liveness.handle_received(line.now);
        let heard = line.ends[0].liveness.handle_heartbeat(0, line.now);
        assert_eq!(heard, Default::default());
    }
    assert_eq!(line.ends[0].in_force(), [Some(ms(1000)); 2]);
    let kept: Duration = ms(1000);
    assert!(
        line.ends[0].sent.iter().all(|(_, p)| *p == Packet::Heartbeat(kept.as_millis() as u32))
    );
}

/// Values that a foreign handshake settled, one for each direction.
fn given(send: Option<u64>, expect: Option<u64>) -> Settings {
    let given = FixedIntervals { send: send.map(ms), expect: expect.map(ms) };
    settings(5000, 2000).given(Some(given))
}

// lessons 2, 6
#[test]
fn given_values_hold_for_their_direction_alone() {
    let values = [UNSET, OFF, Some(300), Some(9000)];
    for send in values {
        for expect in values {
            let host = Liveness::new(&given(send, expect), Time::ZERO);
            let in_force = |value: Option<u64>| value.filter(|value| *value > 0).map(ms);
            assert_eq!(host.heartbeat_timer().in_force(), in_force(send));
            assert_eq!(host.silence_timer().in_force(), in_force(expect));
            let due = in_force(send).map_or(Time::NEVER, |value| Time::ZERO + value);
            assert_eq!(host.heartbeat_timer().due(), due, "nothing is announced");
            let limit = in_force(expect).map(|value| value + ms(2000));
            assert_eq!(host.silence_timer().limit(), limit);
        }
    }
}

// lesson 6
#[test]
fn if_nothing_is_negotiated_nothing_is_adopted_announced_or_expected_again() {
    let mut host = Liveness::new(&given(Some(5000), Some(4000)), Time::ZERO);
    assert!(!given(None, None).negotiates() && settings(1, 1).negotiates());
    for value in EDGES {
        assert_eq!(host.handle_heartbeat(value, at(0)).adopted, None);
        assert_eq!(host.handle_heartbeat(value, at(0)).clamped, None);
    }
    assert_eq!(host.silence_timer().received(), None);
    assert_eq!(host.poll(at(0)), Action::Wait { until: at(5000) });
    // Our own smaller value makes us send sooner; the peer does not hear of it.
    assert!(host.lower(ms(1000), at(0)));
    assert_eq!(host.poll(at(0)), Action::Wait { until: at(1000) });
    assert_eq!(host.poll(at(1000)), Action::SendHeartbeat { value_ms: 1000 });
    host.handle_heartbeat_sent(1000, at(1000));
    assert_eq!(host.poll(at(1000)), Action::Wait { until: at(2000) });
    assert_eq!(host.silence_timer().silent_at(), at(6000));
}

#[test]
fn without_negotiation_the_heartbeat_time_is_both_directions_unless_values_were_given() {
    let both = Some(FixedIntervals { send: Some(ms(5000)), expect: Some(ms(5000)) });
    assert_eq!(settings(5000, 2000).without_negotiation().given, both);
    assert_eq!(settings(5000, 2000).without_negotiation().slack, ms(2000));
    let one = given(None, Some(70));
    assert_eq!(one.without_negotiation(), one);
}

#[test]
fn what_two_ends_agree_on_is_what_a_link_of_them_ends_at() {
    let values = [None, Some(0), Some(50), Some(200), Some(1000)];
    let floors = [50, 100, 500];
    let side = |value, floor| with_value(value).heartbeat_time_min(ms(floor));
    let sides = || values.iter().flat_map(|value| floors.map(|floor| side(*value, floor)));
    let foreign = settings(300, 2000).heartbeat_time(Some(ms(300)));
    let foreign = foreign.without_negotiation();
    for a in sides().chain([foreign]) {
        for b in sides().chain([foreign]) {
            let mut line = Line::new([a, b]).with_delay(ms(20));
            line.run(ms(20_000));
            let held = line.ends.each_ref().map(|end| end.liveness.heartbeat_timer().in_force());
            assert_eq!(<[_; 2]>::from(agree(&a, &b)), held, "{a:?} and {b:?}");
        }
    }
}
