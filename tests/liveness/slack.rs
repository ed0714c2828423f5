//! Another slack while connected: no change kills a healthy peer, and none keeps a dead one.
//! Lesson 8.

use super::{NS, at, ms, settings};
use peerbeat::liveness::{Action, HeartbeatTimer, Liveness, SilenceTimer, Time, Verdict};

fn is_silent(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Silent { .. })
}

/// Asks until nothing but time changes the answer.
fn settled(timer: &mut SilenceTimer, now: Time) -> Verdict {
    match timer.poll(now) {
        Verdict::Late { .. } => timer.poll(now),
        other => other,
    }
}

// lesson 8
#[test]
fn a_greater_slack_holds_at_once_even_in_the_last_nanosecond() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    let old = at(7000);
    assert_eq!(settled(&mut timer, old - NS), Verdict::Wait { next: old });
    timer.set_slack(ms(3000), old - NS);
    assert_eq!((timer.slack(), timer.silent_at()), (ms(3000), at(8000)));
    assert!(!is_silent(timer.poll(old)));
    assert!(!is_silent(timer.poll(at(8000) - NS)));
    let silent = Verdict::Silent { silence: ms(8000), limit: ms(8000) };
    assert_eq!(timer.poll(at(8000)), silent);
}

// lesson 8
#[test]
fn a_smaller_slack_spares_the_silence_under_way_and_holds_from_the_next_byte() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    assert!(!is_silent(settled(&mut timer, at(6500))));
    timer.set_slack(ms(100), Time::ZERO);
    // By the new slack it would have been dead for 1.4 s.
    assert_eq!((timer.slack(), timer.silent_at()), (ms(2000), at(7000)));
    assert!(!is_silent(timer.poll(at(7000) - NS)));
    assert!(is_silent(timer.clone().poll(at(7000))), "a dead peer dies by the old limit");

    timer.handle_received(at(7000) - NS);
    let heard = at(7000) - NS;
    assert_eq!((timer.slack(), timer.limit()), (ms(100), Some(ms(5100))));
    assert!(!is_silent(settled(&mut timer, heard + ms(5100) - NS)));
    assert!(is_silent(timer.poll(heard + ms(5100))));
}

#[test]
fn of_several_in_one_silence_the_greatest_judges_it_and_the_last_one_the_next() {
    let mut timer = SilenceTimer::new(&settings(1000, 500), Time::ZERO);
    for slack in [2000, 100, 700] {
        timer.set_slack(ms(slack), Time::ZERO);
    }
    assert_eq!(timer.silent_at(), at(3000));
    timer.handle_received(at(10));
    assert_eq!(timer.silent_at(), at(1710));

    // Taken back before a byte came: nothing changes.
    timer.set_slack(ms(1), Time::ZERO);
    timer.set_slack(ms(700), Time::ZERO);
    timer.handle_received(at(20));
    assert_eq!(timer.silent_at(), at(1720));
}

// lesson 33
#[test]
fn what_counts_as_our_own_stall_follows_the_slack() {
    let mut timer = SilenceTimer::new(&settings(5000, 2000), Time::ZERO);
    let late = ms(1001);
    assert_eq!(timer.clone().handle_waited(Time::ZERO, Time::ZERO + late), Some(late));
    timer.set_slack(ms(4000), Time::ZERO);
    assert_eq!(timer.handle_waited(Time::ZERO, Time::ZERO + late), None);
    let late = ms(2000) + NS;
    assert_eq!(timer.handle_waited(Time::ZERO, Time::ZERO + late), Some(late));
    // A smaller one: only from the next byte on.
    timer.set_slack(ms(600), Time::ZERO);
    assert_eq!(timer.handle_waited(Time::ZERO, at(2000)), None);
    timer.handle_received(at(2000));
    assert_eq!(timer.handle_waited(at(2000), at(2300)), None);
    let late = ms(300) + NS;
    assert_eq!(timer.handle_waited(at(2000), at(2000) + late), Some(late));
}

#[test]
fn a_slack_set_again_and_again_does_not_put_off_the_verdict_on_a_stuck_write() {
    let mut timer = HeartbeatTimer::new(&settings(200, 5000), Time::ZERO);
    timer.handle_pending(Time::ZERO);
    for half_second in 1..=12 {
        timer.set_slack(ms(300), at(500 * half_second));
    }
    // It is judged by the limit that it began with, and only by that.
    assert_eq!((timer.stalled_at(), timer.slack()), (at(5200), ms(300)));
    assert_eq!(timer.stalled(at(5200) - NS), None);
    assert_eq!(timer.stalled(at(5200)), Some(ms(5200)));
    // The next one is judged by the slack that was set.
    timer.handle_sent(at(5100));
    timer.handle_pending(at(5100));
    timer.set_slack(ms(300), at(5400));
    assert_eq!(timer.stalled_at(), at(5600));
}

#[test]
fn a_slack_set_before_there_is_a_value_waits_for_it() {
    let mut timer = SilenceTimer::new(&settings(0, 2000), Time::ZERO);
    timer.set_slack(ms(3000), Time::ZERO);
    assert_eq!((timer.limit(), timer.silent_at()), (None, Time::NEVER));
    timer.handle_received(at(1));
    timer.handle_heartbeat(1000, at(1));
    assert_eq!(timer.silent_at(), at(4001));
}

#[test]
fn a_host_with_a_loop_of_its_own_is_asked_again_at_the_new_limit() {
    let mut liveness = Liveness::new(&settings(5000, 2000), Time::ZERO);
    liveness.handle_heartbeat_sent(5000, Time::ZERO);
    liveness.set_slack(ms(2500), Time::ZERO);
    liveness.handle_sent(at(4900));
    assert!(matches!(liveness.poll(at(6250)), Action::Late { .. }));
    assert_eq!(liveness.poll(at(6250)), Action::Wait { until: at(7500) });
    assert!(matches!(liveness.poll(at(7500)), Action::Silent { .. }));
}
