//! When silence is late and when it kills: H4.

use super::{EDGES, NS, at, ms, settings};
use peerbeat::liveness::{Settings, SilenceTimer, Time, Verdict};
use std::time::Duration;

fn silent(silence: Duration, limit: Duration) -> Verdict {
    Verdict::Silent { silence, limit }
}

fn wait(next: Time) -> Verdict {
    Verdict::Wait { next }
}

/// A timer that has said that the peer is late, at `now`.
fn late(timer: &mut SilenceTimer, now: Time) {
    assert!(matches!(timer.poll(now), Verdict::Late { .. }), "not late at {now:?}");
}

#[test]
fn silence_kills_at_the_limit_and_not_one_nanosecond_early() {
    for (heartbeat_time, slack) in [(5000, 2000), (100, 1), (1, 0), (300, 86_400_000)] {
        let limit = ms(heartbeat_time + slack);
        let mut timer = SilenceTimer::new(&settings(heartbeat_time, slack), Time::ZERO);
        let heard = at(1234) + NS;
        timer.handle_received(heard);
        assert_eq!((timer.limit(), timer.silent_at()), (Some(limit), heard + limit));
        if slack > 0 {
            late(&mut timer, heard + limit - NS);
            assert_eq!(timer.poll(heard + limit - NS), wait(heard + limit));
        } else {
            assert_eq!(timer.poll(heard + limit - NS), wait(heard + limit));
        }
        assert_eq!(timer.poll(heard + limit), silent(limit, limit));
        assert_eq!(timer.poll(heard + limit + NS), silent(limit + NS, limit));
    }
}

#[test]
fn a_peer_that_never_says_a_word_dies_one_limit_after_the_start() {
    let start = at(50);
    let mut timer = SilenceTimer::new(&settings(5000, 2000), start);
    assert_eq!(timer.last_received(), start);
    late(&mut timer, start + ms(7000) - NS);
    assert_eq!(timer.poll(start + ms(7000)), silent(ms(7000), ms(7000)));
}

// lesson 55
#[test]
fn late_is_said_once_a_silence_and_its_end_once() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    assert_eq!(timer.poll(at(6000) - NS), wait(at(6000)));
    assert_eq!(timer.poll(at(6000)), Verdict::Late { silence: ms(6000) });
    assert_eq!(timer.poll(at(6000)), wait(at(7000)));
    assert_eq!(timer.poll(at(6999)), wait(at(7000)));
    assert_eq!(timer.handle_received(at(6999)), Some(ms(6999)));
    assert_eq!(timer.handle_received(at(7001)), None);
    assert_eq!(timer.poll(at(7001)), wait(at(13_001)));
    assert_eq!(timer.poll(at(13_001)), Verdict::Late { silence: ms(6000) });
}

#[test]
fn a_silence_that_ends_before_it_is_late_is_not_worth_a_word() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    assert_eq!(timer.handle_received(at(6000)), None);
    assert_eq!(timer.poll(at(6000)), wait(at(12_000)));
}

#[test]
fn without_slack_there_is_no_late() {
    let mut timer = SilenceTimer::new(&settings(5000, 0), Time::ZERO);
    assert_eq!(timer.poll(at(5000) - NS), wait(at(5000)));
    assert_eq!(timer.poll(at(5000)), silent(ms(5000), ms(5000)));
}

// lessons 16, 25, 26, 27
#[test]
fn one_byte_is_as_much_life_as_a_heartbeat() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    let mut now = Time::ZERO;
    for _ in 0..100 {
        now = now + ms(2500);
        assert_eq!(timer.poll(now), wait(now + ms(3500)));
        timer.handle_received(now);
    }
    // Also one that comes at the very last moment, however often.
    for _ in 0..100 {
        now = now + (ms(7000) - NS);
        late(&mut timer, now);
        assert_eq!(timer.handle_received(now), Some(ms(7000) - NS));
    }
}

// lesson 28
#[test]
fn asking_moves_nothing() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    for now in 0..6000 {
        assert_eq!(timer.poll(at(now)), wait(at(6000)));
        assert_eq!(timer.handle_waited(at(now), at(now)), None);
    }
    late(&mut timer, at(6500));
    assert_eq!(timer.poll(at(7000)), silent(ms(7000), ms(7000)));
}

#[test]
fn without_a_value_there_is_no_limit() {
    let mut timer = SilenceTimer::new(&settings(0, 2000), Time::ZERO);
    assert_eq!((timer.in_force(), timer.limit()), (None, None));
    assert_eq!(timer.silent_at(), Time::NEVER);
    timer.handle_received(at(1));
    assert_eq!(timer.poll(Time::NEVER - NS), wait(Time::NEVER));
    // A heartbeat of 0 brings none.
    let heard = timer.handle_heartbeat(0, at(2));
    assert_eq!(heard, Default::default());
    assert_eq!((timer.limit(), timer.received()), (None, None));
}

#[test]
fn the_first_heartbeat_brings_the_limit() {
    let mut timer = SilenceTimer::new(&settings(0, 2000), Time::ZERO);
    let now = at(1_000_000);
    timer.handle_received(now);
    let adopted = timer.handle_heartbeat(5000, now).adopted.expect("adopted");
    assert_eq!((adopted.from, adopted.to), (None, ms(5000)));
    late(&mut timer, now + ms(7000) - NS);
    assert_eq!(timer.poll(now + ms(7000)), silent(ms(7000), ms(7000)));
}

// lesson 5
#[test]
fn after_adoption_every_deadline_follows_the_new_value() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    timer.handle_received(at(100));
    let heard = timer.handle_heartbeat(1000, at(100));
    let adopted = heard.adopted.expect("adopted");
    assert_eq!((adopted.from, adopted.to), (Some(ms(5000)), ms(1000)));
    assert_eq!((heard.clamped, heard.flooding), (None, false));
    assert_eq!(timer.in_force(), Some(ms(1000)));
    assert_eq!((timer.limit(), timer.silent_at()), (Some(ms(3000)), at(3100)));
    assert_eq!(timer.poll(at(100)), wait(at(2100)));
    assert_eq!(timer.poll(at(2100)), Verdict::Late { silence: ms(2000) });
    assert_eq!(timer.poll(at(3100)), silent(ms(3000), ms(3000)));
}

#[test]
fn larger_heartbeat_time_is_not_adopted_but_remembered_as_received() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    for value in [5000, 5001, u32::MAX] {
        assert_eq!(timer.handle_heartbeat(value, at(0)).adopted, None);
        assert_eq!(timer.received(), Some(Duration::from_millis(value.into())));
        assert_eq!(timer.in_force(), Some(ms(5000)));
    }
    timer.handle_heartbeat(0, at(0));
    assert_eq!(timer.received(), Some(Duration::from_millis(u32::MAX.into())));
}

// lessons 1, 3
#[test]
fn no_value_of_the_peers_kills_within_floor_and_slack() {
    for received in EDGES {
        for configured in [0, 100, 101, 5000, u64::from(u32::MAX)] {
            let mut timer = SilenceTimer::new(&settings(configured, 2000), Time::ZERO);
            timer.handle_received(at(10));
            timer.handle_heartbeat(received, at(10));
            let raised = (received > 0).then(|| u64::from(received.max(100)));
            let held = (configured > 0).then_some(configured);
            let expected = [raised, held].into_iter().flatten().min().map(ms);
            assert_eq!(timer.in_force(), expected, "{received} at {configured}");
            assert_eq!(timer.limit(), expected.map(|value| value + ms(2000)));
            let verdict = timer.poll(at(10) + ms(2100) - NS);
            assert!(!matches!(verdict, Verdict::Silent { .. }), "{received} at {configured}");
            let end = timer.silent_at();
            assert_eq!(end, expected.map_or(Time::NEVER, |value| at(2010) + value));
        }
    }
}

#[test]
fn a_value_under_the_floor_is_raised_and_reported_once() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    assert_eq!(timer.handle_heartbeat(100, at(0)).clamped, None);
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    let heard = timer.handle_heartbeat(99, at(0));
    assert_eq!(heard.clamped, Some(ms(99)));
    assert_eq!(heard.adopted.map(|adopted| adopted.to), Some(ms(100)));
    for again in [99, 98, 1] {
        assert_eq!(timer.handle_heartbeat(again, at(0)), Default::default());
        assert_eq!(timer.received(), Some(ms(again.into())));
    }
    assert_eq!(timer.in_force(), Some(ms(100)));
}

#[test]
fn a_value_under_the_floor_that_asks_for_nothing_new_is_not_reported() {
    // We hold 50 ms of our own: the peer's 60 changes nothing, its 40 is under the floor.
    let mut timer = SilenceTimer::new(&settings(50, 2000), Time::ZERO);
    for (value, clamped) in [(60, None), (50, None), (49, Some(ms(49)))] {
        let heard = timer.handle_heartbeat(value, at(0));
        assert_eq!((heard.clamped, heard.adopted), (clamped, None), "{value}");
    }
    assert_eq!(timer.in_force(), Some(ms(50)));
}

// lesson 4
#[test]
fn the_limit_is_heartbeat_time_plus_slack_at_every_ratio() {
    for ratio in 1..=100 {
        for (heartbeat_time, slack) in [(100, 100 * ratio), (100 * ratio, 100)] {
            let mut timer = SilenceTimer::new(&settings(heartbeat_time, slack), Time::ZERO);
            let limit = ms(heartbeat_time + slack);
            late(&mut timer, Time::ZERO + limit - NS);
            assert_eq!(timer.poll(Time::ZERO + limit), silent(limit, limit));
        }
    }
}

// lesson 32
#[test]
fn while_our_handler_holds_the_reader_no_silence_is_counted() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    timer.handle_received(at(1000));
    // The handler slept ten limits.
    timer.handle_held(ms(70_000));
    let back = at(71_000);
    assert_eq!(timer.silent_at(), back + ms(7000));
    assert_eq!((timer.silence(back), timer.silence(back + ms(7))), (ms(0), ms(7)));
    assert_eq!(timer.poll(back), wait(back + ms(6000)));
    assert_eq!(timer.poll(back + ms(6000) - NS), wait(back + ms(6000)));
    assert_eq!(timer.poll(back + ms(6000)), Verdict::Late { silence: ms(76_000) });
    assert_eq!(timer.poll(back + ms(7000) - NS), wait(back + ms(7000)));
    assert_eq!(timer.poll(back + ms(7000)), silent(ms(77_000), ms(7000)));
    // Bytes end it like any other silence.
    timer.handle_received(back + ms(7000));
    assert_eq!(timer.silent_at(), back + ms(14_000));
    assert_eq!(timer.last_received(), back + ms(7000));
}

// lesson 32
#[test]
fn only_the_time_in_the_handler_is_not_counted() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    // Three frames of one read, each handled for a while; what lies between counts.
    for held in [ms(100), ms(0), ms(250)] {
        timer.handle_held(held);
    }
    assert_eq!(timer.silent_at(), at(7350));
    timer.handle_held(Duration::MAX);
    assert_eq!(timer.silent_at(), Time::NEVER);
    timer.handle_received(at(10));
    assert_eq!(timer.silent_at(), at(7010));
}

// lesson 32
#[test]
fn a_handler_that_returns_at_once_buys_a_silent_peer_no_time() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    assert_eq!(timer.poll(at(6000)), Verdict::Late { silence: ms(6000) });
    timer.handle_held(NS);
    assert_eq!(timer.silent_at(), at(7000) + NS);
}

// lesson 8
#[test]
fn a_value_of_our_own_binds_the_peer_once_it_has_announced_one_that_is_not_greater() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    assert!(timer.lower(ms(1000), at(100)));
    assert_eq!(timer.in_force(), Some(ms(1000)));
    assert_eq!((timer.promise(), timer.silent_at()), (Some(ms(5000)), at(7000)));
    // The peer speaks, but has not heard of it.
    timer.handle_received(at(5000));
    timer.handle_heartbeat(5000, at(5000));
    assert_eq!((timer.limit(), timer.silent_at()), (Some(ms(7000)), at(12_000)));
    // It has: the silence that begins with its answer is judged by it.
    timer.handle_received(at(6000));
    assert_eq!(timer.handle_heartbeat(1000, at(6000)).adopted, None, "no change of the peer's own");
    assert_eq!((timer.promise(), timer.silent_at()), (Some(ms(1000)), at(9000)));
    assert_eq!(timer.poll(at(9000) - NS), Verdict::Late { silence: ms(3000) - NS });
    assert_eq!(timer.poll(at(9000) - NS), wait(at(9000)));
    assert_eq!(timer.poll(at(9000)), silent(ms(3000), ms(3000)));
}

// lesson 8
#[test]
fn a_peer_whose_floor_is_higher_keeps_to_the_old_promise() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    assert!(timer.lower(ms(1000), at(100)));
    for beat in 1..4u64 {
        timer.handle_received(at(beat * 2000));
        timer.handle_heartbeat(2000, at(beat * 2000));
        assert_eq!((timer.in_force(), timer.promise()), (Some(ms(1000)), Some(ms(5000))));
    }
}

#[test]
fn larger_equal_and_zero_values_of_our_own_change_nothing() {
    for value in [ms(0), ms(5000), ms(5001), Duration::MAX] {
        let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
        assert!(!timer.lower(value, at(10)));
        assert_eq!(timer.in_force(), Some(ms(5000)), "{value:?}");
    }
}

#[test]
fn of_several_values_of_our_own_the_first_is_confirmed_by_its_own_answer() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    assert!(timer.lower(ms(3000), at(10)) && timer.lower(ms(1000), at(20)));
    let mut hear = |value, at| {
        timer.handle_received(at);
        timer.handle_heartbeat(value, at);
        timer.promise()
    };
    assert_eq!(hear(5000, at(30)), Some(ms(5000)));
    assert_eq!(hear(3000, at(40)), Some(ms(3000)));
    assert_eq!(hear(1000, at(50)), Some(ms(1000)));
}

// lesson 8
#[test]
fn a_first_value_of_our_own_holds_the_peer_to_10_s_from_then_until_it_answers() {
    let mut timer = SilenceTimer::new(&settings(0, 2000), Time::ZERO);
    assert_eq!(timer.poll(at(100_000)), wait(Time::NEVER));
    assert!(timer.lower(Duration::from_micros(1_000_999), at(100_000)));
    assert_eq!((timer.in_force(), timer.silent_at()), (Some(ms(1000)), at(112_000)));
    // Setting it lower still does not start it again.
    assert!(timer.lower(ms(500), at(105_000)));
    assert_eq!(timer.silent_at(), at(112_000));
    timer.handle_received(at(106_000));
    timer.handle_heartbeat(500, at(106_000));
    assert_eq!(timer.silent_at(), at(108_500));
}

#[test]
fn what_the_peer_has_announced_before_binds_it_at_once() {
    // It asked for less than our floor of 0.1 s, and a value between the two is set.
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    timer.handle_received(at(10));
    timer.handle_heartbeat(50, at(10));
    assert_eq!(timer.in_force(), Some(ms(100)));
    assert!(timer.lower(ms(70), at(20)));
    // But not in the silence under way.
    assert_eq!((timer.promise(), timer.silent_at()), (Some(ms(100)), at(2110)));
    timer.handle_received(at(30));
    assert_eq!((timer.promise(), timer.silent_at()), (Some(ms(70)), at(2100)));
}

// lesson 8
#[test]
fn a_slack_that_goes_down_and_up_again_does_not_put_off_the_verdict() {
    let mut timer = SilenceTimer::new(&settings(1000, 3000), Time::ZERO);
    for change in 1..100 {
        timer.set_slack(ms(if change % 2 == 0 { 3000 } else { 1000 }), at(change * 30));
        assert_eq!(timer.silent_at(), at(4000));
    }
}

// lesson 7
#[test]
fn more_than_ten_heartbeats_a_floor_interval_are_reported_once() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    for beat in 1..=10 {
        assert!(!timer.handle_heartbeat(5000, at(beat)).flooding);
    }
    assert!(timer.handle_heartbeat(5000, at(100) - NS).flooding);
    for beat in 1..10_000 {
        let heard = timer.handle_heartbeat(5000, at(100 + beat / 50));
        assert!(!heard.flooding, "reported twice");
    }
    assert_eq!(timer.silent_at(), at(7000), "not a reason to kill, and not life of its own");
}

// lesson 7
#[test]
fn ten_heartbeats_a_floor_interval_are_not_reported() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    for window in 0..100 {
        for beat in 0..10 {
            assert!(!timer.handle_heartbeat(5000, at(100 * window + 10 * beat)).flooding);
        }
    }
}

// lessons 7, 33
#[test]
fn heartbeats_that_queued_while_we_were_stopped_are_no_flood() {
    let mut timer = SilenceTimer::new(&settings(100, 2000), Time::ZERO);
    timer.handle_heartbeat(100, at(0));
    // Stopped for 5 s; the peer's 50 heartbeats are read in one instant.
    for _ in 0..50 {
        assert!(!timer.handle_heartbeat(100, at(5000)).flooding);
    }
    // What is left of them may come in a later read.
    for _ in 0..50 {
        assert!(!timer.handle_heartbeat(100, at(5100)).flooding);
    }
    // The allowance is gone soon after.
    for window in 2..10 {
        assert!(!timer.handle_heartbeat(100, at(5000 + 100 * window)).flooding);
    }
    let floods = (0..11).filter(|_| timer.handle_heartbeat(100, at(6000)).flooding).count();
    assert_eq!(floods, 1);
}

#[test]
fn a_floor_of_nothing_and_extremes_of_time_make_no_panic() {
    for slack in [Duration::ZERO, NS, Duration::MAX] {
        for value in [None, Some(NS), Some(Duration::MAX)] {
            let extreme = Settings::default()
                .heartbeat_time(value)
                .slack(slack)
                .heartbeat_time_min(Duration::ZERO);
            for start in [Time::ZERO, Time::NEVER - NS] {
                let mut timer = SilenceTimer::new(&extreme, start);
                for received in EDGES {
                    timer.handle_received(start);
                    timer.handle_heartbeat(received, start);
                    timer.handle_waited(start, Time::NEVER);
                    timer.lower(Duration::MAX, start);
                    let _ = timer.poll(start);
                }
                assert!(timer.limit().is_some_and(|limit| limit >= slack));
            }
        }
    }
}

#[test]
fn time_that_runs_backwards_is_no_silence() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), at(10_000));
    timer.handle_received(at(3000));
    assert_eq!(timer.last_received(), at(10_000));
    assert_eq!(timer.poll(at(2000)), wait(at(16_000)));
}
