//! If we ourselves were stopped: one slack more before the verdict, once a silence.

use super::{NS, at, ms, settings};
use peerbeat::liveness::{SilenceTimer, Time, Verdict};
use std::time::Duration;

fn timer() -> SilenceTimer {
    // Limit 7 s, tolerance 1 s.
    SilenceTimer::new(&settings(5000, 2000), Time::ZERO)
}

fn is_silent(timer: &mut SilenceTimer, now: Time) -> bool {
    // Late may be said first.
    let _ = timer.poll(now);
    matches!(timer.poll(now), Verdict::Silent { .. })
}

// lesson 33
#[test]
fn a_wait_that_ends_late_by_more_than_half_the_slack_or_250_ms_is_a_stall() {
    let table = [(0, 250), (1, 250), (499, 250), (500, 250), (502, 251), (2000, 1000)];
    for (slack, tolerance) in table {
        let settings = settings(5000, slack);
        assert_eq!(settings.stall_tolerance(), ms(tolerance), "slack {slack}");
        let until = at(3000);
        let mut timer = SilenceTimer::new(&settings, Time::ZERO);
        for late in [ms(0), NS, ms(tolerance) - NS, ms(tolerance)] {
            assert_eq!(timer.handle_waited(until, until + late), None, "slack {slack}");
        }
        let late = ms(tolerance) + NS;
        assert_eq!(timer.handle_waited(until, until + late), Some(late));
    }
    let odd = settings(5000, 0).slack(ms(501));
    assert_eq!(odd.stall_tolerance(), Duration::from_micros(250_500));
}

#[test]
fn a_wait_that_ends_early_or_had_no_end_is_no_stall() {
    let mut timer = timer();
    assert_eq!(timer.handle_waited(at(5000), at(10)), None);
    assert_eq!(timer.handle_waited(Time::NEVER, at(1_000_000)), None);
    assert!(is_silent(&mut timer, at(7000)));
}

// lesson 33
#[test]
fn after_a_stall_the_peer_has_exactly_one_slack_more() {
    let mut timer = timer();
    // Stopped for three limits.
    let back = at(27_000);
    assert_eq!(timer.handle_waited(at(6000), back), Some(ms(21_000)));
    assert_eq!(timer.silent_at(), back + ms(2000));
    assert_eq!(timer.poll(back), Verdict::Late { silence: ms(27_000) });
    assert_eq!(timer.poll(back), Verdict::Wait { next: back + ms(2000) });
    assert!(!is_silent(&mut timer, back + ms(2000) - NS));
    let verdict = Verdict::Silent { silence: ms(29_000), limit: ms(7000) };
    assert_eq!(timer.poll(back + ms(2000)), verdict);
}

// lesson 33
#[test]
fn a_dead_peer_is_dead_within_one_grace_however_often_we_are_stopped() {
    let mut timer = timer();
    assert!(timer.handle_waited(at(6000), at(8000)).is_some());
    for stop in [9000, 9500, 9900] {
        let late = timer.handle_waited(at(stop - 1500), at(stop));
        assert_eq!(late, Some(ms(1500)), "still reported");
        assert!(!is_silent(&mut timer, at(stop)));
    }
    assert!(timer.handle_waited(at(9950), at(20_000)).is_some());
    assert!(is_silent(&mut timer, at(20_000)), "a second grace in one silence");
}

// lesson 33
#[test]
fn bytes_of_the_peers_end_the_grace_and_allow_the_next() {
    let mut timer = timer();
    assert!(timer.handle_waited(at(6000), at(20_000)).is_some());
    timer.handle_received(at(20_000));
    assert_eq!(timer.silent_at(), at(27_000));
    assert!(timer.handle_waited(at(26_000), at(60_000)).is_some());
    assert_eq!(timer.silent_at(), at(62_000));
}

// lesson 33
#[test]
fn a_short_stall_early_in_a_silence_does_not_use_up_the_grace() {
    let mut timer = timer();
    assert!(timer.handle_waited(at(1000), at(3000)).is_some());
    assert_eq!(timer.silent_at(), at(7000), "the verdict does not move for it");
    assert!(timer.handle_waited(at(6000), at(12_000)).is_some());
    assert_eq!(timer.silent_at(), at(14_000));
    assert!(!is_silent(&mut timer, at(14_000) - NS));
    assert!(is_silent(&mut timer, at(14_000)));
}

// lesson 33
#[test]
fn a_stall_just_before_the_limit_moves_the_verdict_one_nanosecond_at_least() {
    let mut timer = timer();
    // Back exactly one slack before the limit: nothing to grant.
    assert!(timer.handle_waited(at(3000), at(5000)).is_some());
    assert_eq!(timer.silent_at(), at(7000));
    // And nothing used up.
    assert!(timer.handle_waited(at(6000), at(9000)).is_some());
    assert_eq!(timer.silent_at(), at(11_000));
    let mut timer = self::timer();
    assert!(timer.handle_waited(at(3000), at(5000) + NS).is_some());
    assert_eq!(timer.silent_at(), at(7000) + NS);
}

#[test]
fn without_a_limit_a_stall_is_reported_and_grants_nothing() {
    let mut timer = SilenceTimer::new(&settings(0, 2000), Time::ZERO);
    assert_eq!(timer.handle_waited(at(1000), at(60_000)), Some(ms(59_000)));
    assert_eq!(timer.silent_at(), Time::NEVER);
    timer.handle_received(at(60_000));
    timer.handle_heartbeat(5000, at(60_000));
    assert_eq!(timer.silent_at(), at(67_000));
}

// lessons 32, 33
#[test]
fn a_stall_after_the_handler_counts_from_the_handlers_end() {
    let mut timer = timer();
    timer.handle_held(ms(50_000));
    assert!(timer.handle_waited(at(52_000), at(53_500)).is_some());
    assert_eq!(timer.silent_at(), at(57_000));
    assert!(timer.handle_waited(at(56_000), at(58_000)).is_some());
    assert_eq!(timer.silent_at(), at(60_000));
}

// lesson 35
#[test]
fn after_a_suspend_the_peer_has_time_to_speak_whatever_the_clock_did() {
    let night = ms(8 * 3_600_000);
    // The clock went on, as on Windows: a stall of our own, and one slack for the peer to be heard.
    let mut timer = timer();
    let back = at(6000) + night;
    assert_eq!(timer.handle_waited(at(6000), back), Some(night));
    assert!(!is_silent(&mut timer, back + ms(2000) - NS));
    timer.handle_received(back + ms(2000) - NS);
    assert_eq!(timer.silent_at(), back + ms(9000) - NS);
    // And if nothing comes, it is over after that slack.
    let mut timer = self::timer();
    assert!(timer.handle_waited(at(6000), back).is_some());
    assert!(is_silent(&mut timer, back + ms(2000)));
    // The clock stopped, as on Linux and macOS: the night did not happen, and what was left of the
    // limit is left.
    let mut timer = self::timer();
    assert_eq!(timer.handle_waited(at(6000), at(6000) + NS), None);
    assert!(!is_silent(&mut timer, at(7000) - NS));
    assert!(is_silent(&mut timer, at(7000)));
}

// lessons 32, 33
#[test]
fn the_handler_does_not_use_up_the_grace_of_a_stall() {
    let mut timer = timer();
    assert!(timer.handle_waited(at(7000), at(20_000)).is_some());
    assert_eq!(timer.silent_at(), at(22_000));
    timer.handle_held(ms(30_000));
    assert_eq!(timer.silent_at(), at(52_000));
}

// lesson 33
#[test]
fn regression_a_limit_that_comes_into_force_in_a_stall_does_not_kill_at_its_end() {
    // There was no limit; the first one, 10 s + 2 s, counts from second 3, and then we slept.
    let mut timer = SilenceTimer::new(&settings(0, 2000), Time::ZERO);
    timer.lower(ms(1000), at(3000));
    assert_eq!(timer.silent_at(), at(15_000));
    assert_eq!(timer.handle_waited(at(3000), at(20_000)), Some(ms(17_000)));
    assert!(!is_silent(&mut timer, at(22_000) - NS));
    assert!(is_silent(&mut timer, at(22_000)));
}
