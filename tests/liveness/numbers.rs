//! What the rules can say of themselves: how late our own beats are, and how many were not needed.

use super::{NS, at, ms, settings};
use peerbeat::liveness::{HeartbeatTimer, Mode, Time};

fn announced(heartbeat_time: u64, mode: Mode) -> HeartbeatTimer {
    let mut timer = HeartbeatTimer::new(&settings(heartbeat_time, 500).mode(mode), Time::ZERO);
    assert_eq!(timer.lateness(at(9000)), None, "nothing is promised yet");
    timer.handle_heartbeat_sent(ms(heartbeat_time), Time::ZERO);
    timer
}

// lesson 56
#[test]
fn lateness_counts_from_the_instant_at_which_the_heartbeat_was_due() {
    let mut timer = announced(1000, Mode::Idle);
    for (now, late) in [(at(1000) - NS, ms(0)), (at(1000), ms(0)), (at(1000) + NS, NS)] {
        assert_eq!(timer.lateness(now), Some(late));
    }
    timer.handle_sent(at(900));
    assert_eq!(timer.lateness(at(2000)), Some(ms(100)));

    let mut always = announced(1000, Mode::Always);
    always.handle_sent(at(900));
    assert_eq!(always.lateness(at(2000)), Some(ms(1000)));
}

// lesson 56
#[test]
fn a_value_that_the_peer_does_not_know_yet_promises_nothing() {
    let mut timer = announced(5000, Mode::Idle);
    timer.lower(ms(100), Time::ZERO);
    assert_eq!(timer.lateness(at(4000)), None);
    timer.handle_heartbeat_sent(ms(100), at(4000));
    assert_eq!(timer.lateness(at(4101)), Some(ms(1)));
    assert_eq!(HeartbeatTimer::new(&settings(0, 500), Time::ZERO).lateness(at(1)), None);
}

#[test]
fn heartbeats_that_data_made_needless_are_counted_by_whole_heartbeat_times() {
    let mut timer = announced(1000, Mode::Idle);
    assert_eq!(timer.suppressed(), 0);
    for sent in [at(600), at(1000) - NS] {
        timer.handle_sent(sent);
        assert_eq!(timer.suppressed(), 0);
    }
    timer.handle_sent(at(1000));
    assert_eq!(timer.suppressed(), 1);
    timer.handle_sent(at(5999));
    assert_eq!(timer.suppressed(), 5);
    timer.handle_heartbeat_sent(ms(1000), at(6999));
    assert_eq!(timer.suppressed(), 0);

    let mut always = announced(1000, Mode::Always);
    always.handle_sent(at(5999));
    assert_eq!(always.suppressed(), 0);
}
