//! Which value comes into force, for every pair of what two ends may be told.

use super::line::{Line, Packet};
use super::{EDGES, at, ms, settings};
use peerbeat::liveness::{Settings, Time};
use std::time::Duration;

const UNSET: Option<u64> = None;
const OFF: Option<u64> = Some(0);

fn told(heartbeat_time: Option<u64>) -> Settings {
    Settings { heartbeat_time: heartbeat_time.map(ms), ..settings(0, 2000) }
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
        let mut line = Line::new([told(left), told(right)]).with_delay(ms(20));
        line.run(ms(60_000));
        let expected = expected.map(ms);
        for end in &line.ends {
            assert_eq!(end.in_force(), [expected; 2], "{left:?} and {right:?}");
            assert_eq!(end.liveness.watch().limit(), expected.map(|value| value + ms(2000)));
            assert_eq!((end.down, end.told.len()), (None, 0), "{left:?} and {right:?}");
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
fn a_busy_sender_still_tells_a_silent_receiver_its_value() {
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
fn an_end_that_is_busy_tells_a_value_that_it_adopted() {
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
            let mut line = Line::new([told(Some(left.into())), told(Some(right.into()))]);
            line = line.with_delay(ms(5));
            line.run(ms(3000));
            let smaller = [left, right].into_iter().filter(|value| *value > 0).min();
            let smaller = smaller.map(|value| ms(value.into()));
            for end in &line.ends {
                assert_eq!(end.in_force(), [smaller; 2], "{left} and {right}");
                assert!(end.down.is_none() && end.told.is_empty(), "{left} and {right}");
                assert!(end.beats().len() <= 2 + 3000 / 100);
            }
        }
    }
}

#[test]
fn floors_keep_each_side_at_what_it_can_bear() {
    // The left asks for 10 ms, the right takes no less than 100: it says so, and the left keeps its
    // own, smaller value. The slack must cover the difference.
    let left = Settings { heartbeat_time_min: ms(1), ..settings(10, 2000) };
    let mut line = Line::new([left, settings(0, 2000)]).with_delay(ms(1));
    line.run(ms(10_000));
    assert_eq!(line.ends[0].in_force(), [Some(ms(10)); 2]);
    assert_eq!(line.ends[1].in_force(), [Some(ms(100)); 2]);
    assert!(line.ends.iter().all(|end| end.down.is_none()));
    assert!(line.ends[1].beats().len() <= 101);
}

// lesson 1
#[test]
fn a_hostile_peer_that_lowers_its_value_for_ever_cannot_make_us_flood() {
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
