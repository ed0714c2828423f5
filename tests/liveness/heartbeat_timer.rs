//! When we must send: H1, H3, and the sending half of H2.

use super::{Dice, EDGES, NS, always, at, ms, settings};
use peerbeat::liveness::{DueHeartbeat, HeartbeatTimer, Settings, Time};
use std::time::Duration;

fn fills(value: Duration) -> Option<DueHeartbeat> {
    Some(DueHeartbeat { value, even_busy: false })
}

fn announces(value: Duration) -> Option<DueHeartbeat> {
    Some(DueHeartbeat { value, even_busy: true })
}

/// A side that has announced its heartbeat-time at the start.
fn announced(settings: &Settings) -> HeartbeatTimer {
    let mut timer = HeartbeatTimer::new(settings, Time::ZERO);
    let beat = timer.poll(Time::ZERO).expect("the announcement is due at once");
    timer.handle_heartbeat_sent(beat.value, Time::ZERO);
    timer
}

#[test]
fn a_configured_side_announces_at_once_when_the_link_is_established() {
    let start = at(77);
    let timer = HeartbeatTimer::new(&settings(5000, 2000), start);
    assert_eq!(timer.due(), start);
    assert_eq!(timer.poll(start - NS), None);
    assert_eq!(timer.poll(start), announces(ms(5000)));
    assert_eq!(timer.last_sent(), start);
}

#[test]
fn a_side_without_a_value_sends_nothing() {
    for undefined in [None, Some(Duration::ZERO)] {
        let timer = HeartbeatTimer::new(&settings(0, 1).heartbeat_time(undefined), at(0));
        assert_eq!((timer.in_force(), timer.due()), (None, Time::NEVER));
        assert_eq!(timer.poll(Time::NEVER - NS), None);
    }
}

// lessons 7, 9
#[test]
fn a_heartbeat_is_due_exactly_one_heartbeat_time_after_the_last_byte() {
    let mut timer = announced(&settings(5000, 2000));
    timer.handle_sent(at(1234) + NS);
    let due = at(6234) + NS;
    assert_eq!(timer.due(), due);
    assert_eq!(timer.poll(due - NS), None);
    assert_eq!(timer.poll(due), fills(ms(5000)));
    assert_eq!(timer.poll(due + NS), fills(ms(5000)));
}

// lesson 9
#[test]
fn the_first_heartbeat_after_the_announcement_takes_no_longer_than_the_others() {
    let mut timer = announced(&settings(5000, 2000));
    for beat in 1..=3 {
        assert_eq!(timer.due(), at(5000 * beat));
        timer.handle_heartbeat_sent(ms(5000), at(5000 * beat));
    }
}

// lesson 9
#[test]
fn under_random_traffic_no_gap_between_sends_is_longer_than_promised() {
    let mut dice = Dice(9);
    let mut timer = announced(&settings(1000, 500));
    let (mut now, mut last) = (Time::ZERO, Time::ZERO);
    for _ in 0..10_000 {
        let data = now + ms(dice.below(2000));
        while timer.due() <= data {
            now = timer.due();
            assert_eq!(timer.poll(now), fills(ms(1000)));
            assert_eq!(now.since(last), ms(1000));
            timer.handle_heartbeat_sent(ms(1000), now);
            last = now;
        }
        now = data;
        assert!(now.since(last) <= ms(1000));
        timer.handle_sent(now);
        last = now;
    }
}

// lesson 15
#[test]
fn each_part_of_a_large_write_postpones_the_next_heartbeat() {
    let mut timer = announced(&settings(1000, 500));
    let mut now = Time::ZERO;
    for _ in 0..100 {
        now = now + (ms(1000) - NS);
        assert_eq!(timer.poll(now), None, "a heartbeat inside a transfer");
        timer.handle_sent(now);
    }
    assert_eq!(timer.due(), now + ms(1000));
}

// lessons 11, 12
#[test]
fn late_means_send_now_and_once_then_rearm() {
    for settings in [settings(1000, 500), always(1000, 500)] {
        let mut timer = announced(&settings);
        let late = at(37_123);
        assert!(timer.poll(late).is_some());
        timer.handle_heartbeat_sent(ms(1000), late);
        assert_eq!(timer.poll(late), None);
        assert_eq!(timer.due(), late + ms(1000));
        assert_eq!(timer.poll(late + ms(1000) - NS), None);
        assert!(timer.poll(late + ms(1000)).is_some());
    }
}

#[test]
fn a_heartbeat_stays_due_until_bytes_were_accepted() {
    let mut timer = announced(&settings(1000, 500));
    for late in 1000..3000 {
        assert_eq!(timer.poll(at(late)), fills(ms(1000)));
    }
    timer.handle_sent(at(3000));
    assert_eq!(timer.poll(at(3000)), None);
    assert_eq!(timer.due(), at(4000));
}

#[test]
fn a_smaller_value_is_adopted_in_force_at_once_and_announced_at_once() {
    let mut timer = announced(&settings(5000, 2000));
    assert!(timer.adopt(3000, Time::ZERO));
    assert_eq!(timer.in_force(), Some(ms(3000)));
    timer.handle_sent(at(10));
    assert_eq!(timer.poll(at(10)), announces(ms(3000)));
    timer.handle_heartbeat_sent(ms(3000), at(10));
    assert_eq!(timer.poll(at(10)), None);
    assert_eq!(timer.due(), at(3010));
}

#[test]
fn larger_equal_and_zero_values_are_not_adopted() {
    let mut timer = announced(&settings(5000, 2000));
    for value in [0, 5000, 5001, u32::MAX] {
        assert!(!timer.adopt(value, Time::ZERO), "{value}");
        assert_eq!((timer.in_force(), timer.due()), (Some(ms(5000)), at(5000)));
    }
}

#[test]
fn an_undefined_side_takes_what_the_peer_says_and_answers_at_once() {
    let mut timer = HeartbeatTimer::new(&settings(0, 2000), at(0));
    assert!(!timer.adopt(0, Time::ZERO));
    assert_eq!(timer.due(), Time::NEVER);
    assert!(timer.adopt(7000, Time::ZERO));
    assert_eq!(timer.poll(at(1)), announces(ms(7000)));
}

// lessons 1, 3
#[test]
fn every_value_of_the_peers_becomes_a_legal_one() {
    for received in EDGES {
        for configured in [0, 1, 50, 100, 5000, u64::from(u32::MAX)] {
            let mut timer = HeartbeatTimer::new(&settings(configured, 2000), at(0));
            let changed = timer.adopt(received, Time::ZERO);
            let raised = u64::from(received.max(100));
            let lowers = received > 0 && (configured == 0 || raised < configured);
            let expected = if lowers { raised } else { configured };
            assert_eq!(changed, lowers, "{received} at {configured}");
            assert_eq!(timer.in_force(), (expected > 0).then(|| ms(expected)));
            if let Some(beat) = timer.poll(at(0)) {
                assert_eq!(u64::from(beat.value_ms()), expected);
                timer.handle_heartbeat_sent(beat.value, at(0));
                assert_eq!(timer.due(), at(expected));
            }
        }
    }
}

// lessons 1, 12
#[test]
fn after_a_change_the_next_announcement_waits_for_one_floor() {
    let mut timer = announced(&settings(5000, 2000));
    assert!(timer.adopt(4000, Time::ZERO));
    timer.handle_heartbeat_sent(ms(4000), at(10));
    assert!(timer.adopt(3000, Time::ZERO));
    let allowed = at(110);
    assert_eq!(timer.due(), allowed);
    assert_eq!(timer.poll(allowed - NS), None);
    // The throttled news is the latest.
    assert!(timer.adopt(2000, Time::ZERO));
    assert_eq!(timer.poll(allowed), announces(ms(2000)));
    timer.handle_heartbeat_sent(ms(2000), allowed);
    assert_eq!(timer.due(), at(2110));
}

// lesson 1
#[test]
fn a_peer_that_lowers_its_value_with_every_heartbeat_gets_one_answer_a_floor() {
    let mut timer = announced(&settings(5000, 2000));
    let mut beats = 0;
    for step in 0..5000u32 {
        let now = at(step.into());
        timer.adopt(5000 - step, Time::ZERO);
        if let Some(beat) = timer.poll(now) {
            assert_eq!(beat.value, ms(u64::from(5000 - step).max(100)));
            timer.handle_heartbeat_sent(beat.value, now);
            beats += 1;
        }
        assert_eq!(timer.poll(now), None, "two heartbeats at one instant");
    }
    assert!(beats <= 2 + 5000 / 100, "{beats} heartbeats in 5 s");
}

#[test]
fn a_heartbeat_that_carries_the_old_value_leaves_the_new_one_to_be_announced() {
    let mut timer = announced(&settings(5000, 2000));
    let written = timer.poll(at(5000)).expect("due");
    assert!(timer.adopt(1000, Time::ZERO));
    timer.handle_heartbeat_sent(written.value, at(5000));
    assert_eq!(timer.poll(at(5000)), announces(ms(1000)));
}

#[test]
fn a_heartbeat_for_an_idle_line_announces_as_well() {
    // 20 ms, below the floor of 100 ms that announcements wait for.
    let mut timer = announced(&settings(20, 2000));
    assert!(timer.lower(ms(19), Time::ZERO));
    timer.handle_heartbeat_sent(ms(19), at(0));
    assert!(timer.lower(ms(10), Time::ZERO));
    assert_eq!(timer.poll(at(10) - NS), None);
    assert_eq!(timer.poll(at(10)), fills(ms(10)));
    timer.handle_heartbeat_sent(ms(10), at(10));
    assert_eq!(timer.due(), at(20));
}

// lesson 8
#[test]
fn lowering_our_own_value_is_in_force_for_sending_and_announced_at_once() {
    let mut timer = announced(&settings(5000, 2000));
    assert!(timer.lower(ms(2000), Time::ZERO));
    assert_eq!(timer.in_force(), Some(ms(2000)));
    assert_eq!(timer.poll(at(1)), announces(ms(2000)));
    for refused in [ms(2000), ms(2001), ms(5000), Duration::MAX] {
        assert!(!timer.lower(refused, Time::ZERO), "{refused:?}");
    }
    assert_eq!(timer.in_force(), Some(ms(2000)));
}

// lesson 1
#[test]
fn lowering_to_nothing_is_refused_and_floods_no_peer() {
    let mut timer = announced(&settings(5000, 2000));
    assert!(!timer.lower(Duration::ZERO, Time::ZERO));
    assert_eq!(timer.due(), at(5000));
    assert!(timer.lower(NS, Time::ZERO));
    assert_eq!(timer.in_force(), Some(ms(1)));
}

// lesson 3
#[test]
fn values_are_kept_as_they_travel_in_whole_milliseconds() {
    let table = [
        (Duration::ZERO, None),
        (NS, Some(1)),
        (ms(1) - NS, Some(1)),
        (ms(2) - NS, Some(1)),
        (ms(2), Some(2)),
        (Duration::from_micros(5_000_999), Some(5000)),
        (Duration::from_millis(u32::MAX.into()), Some(u32::MAX)),
        (Duration::from_millis(u64::from(u32::MAX) + 1), Some(u32::MAX)),
        (Duration::MAX, Some(u32::MAX)),
    ];
    for (value, kept) in table {
        let configured = settings(0, 2000).heartbeat_time(Some(value));
        let timer = HeartbeatTimer::new(&configured, at(0));
        let kept = kept.map(|kept| Duration::from_millis(kept.into()));
        assert_eq!(timer.in_force(), kept, "configured {value:?}");
        let mut timer = HeartbeatTimer::new(&settings(0, 2000), at(0));
        assert_eq!(timer.lower(value, Time::ZERO), kept.is_some());
        assert_eq!(timer.in_force(), kept, "lowered to {value:?}");
    }
}

#[test]
fn the_floor_is_raised_to_what_can_travel() {
    let table = [
        (Duration::ZERO, 1),
        (NS, 1),
        (ms(1), 1),
        (ms(1) + NS, 2),
        (Duration::from_micros(1500), 2),
        (ms(100), 100),
        (Duration::MAX, u32::MAX),
    ];
    for (floor, expected) in table {
        let floored = settings(0, 2000).heartbeat_time_min(floor);
        let mut timer = HeartbeatTimer::new(&floored, at(0));
        assert!(timer.adopt(1, Time::ZERO));
        let beat = timer.poll(at(0)).expect("announced");
        assert_eq!(beat.value_ms(), expected, "floor {floor:?}");
        assert_eq!(beat.value, Duration::from_millis(expected.into()));
    }
}

#[test]
fn a_floor_of_nothing_still_bounds_the_announcements() {
    let mut timer = announced(&settings(5000, 2000).heartbeat_time_min(ms(0)));
    timer.adopt(4000, Time::ZERO);
    timer.handle_heartbeat_sent(ms(4000), at(0));
    timer.adopt(3000, Time::ZERO);
    assert_eq!(timer.due(), at(1));
}

#[test]
fn always_sends_one_every_heartbeat_time_data_or_not() {
    let mut timer = announced(&always(1000, 500));
    for beat in 1..=50 {
        for step in 1..10 {
            let now = at(1000 * (beat - 1) + 100 * step);
            timer.handle_sent(now);
            assert_eq!(timer.poll(now), None);
        }
        assert_eq!(timer.poll(at(1000 * beat) - NS), None);
        assert_eq!(timer.poll(at(1000 * beat)), announces(ms(1000)));
        timer.handle_heartbeat_sent(ms(1000), at(1000 * beat));
    }
}

#[test]
fn idle_sends_none_while_data_flows() {
    let mut timer = announced(&settings(1000, 500));
    for step in 1..1000 {
        assert_eq!(timer.poll(at(999 * step)), None);
        timer.handle_sent(at(999 * step));
    }
}

#[test]
fn time_that_runs_backwards_moves_nothing_back() {
    let mut timer = announced(&settings(1000, 500));
    timer.handle_sent(at(800));
    timer.handle_sent(at(300));
    assert_eq!(timer.last_sent(), at(800));
    let mut timer = announced(&always(1000, 500));
    timer.handle_heartbeat_sent(ms(1000), at(800));
    timer.handle_heartbeat_sent(ms(1000), at(300));
    assert_eq!(timer.due(), at(1800));
}

// lesson 3
#[test]
fn the_end_of_time_is_reached_without_a_panic() {
    let edge = Time::NEVER - ms(1);
    let mut timer = HeartbeatTimer::new(&settings(5000, 2000), edge);
    timer.handle_heartbeat_sent(ms(5000), edge);
    assert_eq!(timer.due(), Time::NEVER);
    assert_eq!(timer.poll(edge), None);
}

#[test]
fn a_beat_says_its_value_in_the_unit_of_the_wire() {
    let table = [(ms(0), 0), (ms(5000), 5000), (Duration::MAX, u32::MAX), (ms(2) - NS, 1)];
    for (value, expected) in table {
        assert_eq!(DueHeartbeat { value, even_busy: false }.value_ms(), expected);
    }
}

#[test]
fn times_add_subtract_and_compare_without_wrapping() {
    let time = Time::from_nanos(5);
    assert_eq!((time + NS).as_nanos(), 6);
    assert_eq!((time - NS).as_nanos(), 4);
    assert_eq!(time - Duration::MAX, Time::ZERO);
    assert_eq!(time + Duration::MAX, Time::NEVER);
    assert_eq!(Time::NEVER + NS, Time::NEVER);
    assert_eq!(Time::ZERO - NS, Time::ZERO);
    assert_eq!(time.since(Time::from_nanos(2)), Duration::from_nanos(3));
    assert_eq!(time.since(Time::from_nanos(6)), Duration::ZERO);
    assert_eq!(Time::default(), Time::ZERO);
    assert!(Time::ZERO < time && time < Time::NEVER);
    let origin = std::time::Instant::now();
    assert_eq!(Time::between(origin, origin + ms(7)), at(7));
    assert_eq!(Time::between(origin + ms(7), origin), Time::ZERO);
}
