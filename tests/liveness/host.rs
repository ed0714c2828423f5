//! Both halves in one value, as a host with a loop of its own sees them.

use super::{EDGES, NS, always, at, ms, settings};
use peerbeat::liveness::{Action, HeartbeatTimer, Liveness, Time};

/// A host whose announcement is out.
fn announced(heartbeat_time: u64, slack: u64) -> Liveness {
    let mut host = Liveness::new(&settings(heartbeat_time, slack), Time::ZERO);
    send_heartbeat(&mut host, Time::ZERO);
    host
}

fn send_heartbeat(host: &mut Liveness, now: Time) {
    let Action::SendHeartbeat { value_ms } = host.poll(now) else {
        panic!("no heartbeat is due at {now:?}")
    };
    host.handle_heartbeat_sent(value_ms, now);
}

fn wait(until: Time) -> Action {
    Action::Wait { until }
}

// lesson 18
#[test]
fn a_host_gets_the_nearest_of_beat_and_verdict() {
    let mut host = announced(5000, 2000);
    assert_eq!(host.poll(at(0)), wait(at(5000)));
    host.handle_sent(at(2000));
    assert_eq!(host.poll(at(2000)), wait(at(6000)));
    assert_eq!(host.poll(at(6000)), Action::Late { silence: ms(6000) });
    assert_eq!(host.poll(at(6000)), wait(at(7000)));
    assert_eq!(host.heartbeat_timer().due(), at(7000));
    assert_eq!(host.silence_timer().silent_at(), at(7000));
}

// lessons 14, 29
#[test]
fn what_is_received_never_postpones_what_must_be_sent() {
    let mut host = announced(1000, 500);
    for now in (0..1000).step_by(10) {
        host.handle_received(at(now));
        host.handle_heartbeat(1000, at(now));
        assert!(matches!(host.poll(at(now)), Action::Wait { until } if until == at(1000)));
    }
    assert_eq!(host.poll(at(1000)), Action::SendHeartbeat { value_ms: 1000 });
}

// lessons 14, 29, 30
#[test]
fn what_is_sent_never_postpones_the_verdict() {
    let mut host = announced(1000, 500);
    let limit = at(1500);
    let mut now = Time::ZERO;
    while now + ms(10) < limit {
        now = now + ms(10);
        host.handle_sent(now);
        if let Action::Silent { .. } = host.poll(now) {
            panic!("dead at {now:?}");
        }
    }
    host.handle_sent(limit - NS);
    assert_eq!(host.poll(limit - NS), wait(limit));
    host.handle_sent(limit);
    assert_eq!(host.poll(limit), Action::Silent { silence: ms(1500), limit: ms(1500) });
}

// lessons 20, 21
#[test]
fn a_heartbeat_that_the_kernel_does_not_take_hides_no_verdict() {
    let mut host = announced(1000, 500);
    assert_eq!(host.poll(at(1000)), Action::SendHeartbeat { value_ms: 1000 });
    // The kernel takes nothing, and the host is to come back at a later time, not at once.
    assert_eq!(host.poll(at(1000)), wait(at(1250)));
    assert_eq!(host.poll(at(1250)), Action::Late { silence: ms(1250) });
    assert_eq!(host.poll(at(1250)), wait(at(1500)));
    assert_eq!(host.poll(at(1500)), Action::Silent { silence: ms(1500), limit: ms(1500) });
}

// lesson 12
#[test]
fn a_heartbeat_is_asked_for_once_until_it_is_reported() {
    let mut host = announced(1000, 60_000);
    assert_eq!(host.poll(at(1000)), Action::SendHeartbeat { value_ms: 1000 });
    for now in (1000..30_000).step_by(100) {
        assert!(matches!(host.poll(at(now)), Action::Wait { .. }), "a second one at {now}");
    }
    host.handle_heartbeat_sent(1000, at(30_000));
    assert_eq!(host.poll(at(30_000)), wait(at(31_000)));
}

#[test]
fn a_heartbeat_that_data_made_needless_is_asked_for_again_when_the_line_is_idle() {
    let mut host = announced(1000, 60_000);
    assert_eq!(host.poll(at(1000)), Action::SendHeartbeat { value_ms: 1000 });
    host.handle_sent(at(1001));
    assert_eq!(host.poll(at(1001)), wait(at(2001)));
    assert_eq!(host.poll(at(2001)), Action::SendHeartbeat { value_ms: 1000 });
}

#[test]
fn a_heartbeat_that_carries_news_is_not_replaced_by_data() {
    let mut host = announced(5000, 60_000);
    host.handle_received(at(10));
    host.handle_heartbeat(1000, at(10));
    assert_eq!(host.poll(at(10)), Action::SendHeartbeat { value_ms: 1000 });
    for now in 10..100 {
        host.handle_sent(at(now));
        assert!(matches!(host.poll(at(now)), Action::Wait { .. }), "asked for twice");
    }
    host.handle_heartbeat_sent(1000, at(100));
    assert_eq!(host.poll(at(100)), wait(at(1100)));
}

#[test]
fn always_asks_for_one_while_data_flows() {
    let mut host = Liveness::new(&always(1000, 60_000), Time::ZERO);
    send_heartbeat(&mut host, Time::ZERO);
    host.handle_sent(at(999));
    assert_eq!(host.poll(at(1000)), Action::SendHeartbeat { value_ms: 1000 });
}

// lessons 12, 33
#[test]
fn a_host_that_was_stopped_hears_of_it_and_sends_one_heartbeat() {
    let mut host = announced(1000, 500);
    assert_eq!(host.poll(at(0)), wait(at(1000)));
    // Stopped for three limits; nothing had arrived.
    let back = at(4500);
    assert_eq!(host.poll(back), Action::Stalled { late: ms(3500) });
    assert_eq!(host.poll(back), Action::Late { silence: ms(4500) });
    send_heartbeat(&mut host, back);
    assert_eq!(host.poll(back), wait(back + ms(500)));
    let verdict = Action::Silent { silence: ms(5000), limit: ms(1500) };
    assert_eq!(host.poll(back + ms(500)), verdict);
}

// lesson 33
#[test]
fn a_host_that_was_stopped_and_finds_bytes_blames_no_peer() {
    let mut host = announced(1000, 500);
    assert_eq!(host.poll(at(0)), wait(at(1000)));
    let back = at(4500);
    // It reads what the kernel holds before it asks.
    assert_eq!(host.handle_received(back), None);
    send_heartbeat(&mut host, back);
    assert_eq!(host.poll(back), wait(back + ms(1000)));
    assert_eq!(host.silence_timer().silent_at(), back + ms(1500));
}

#[test]
fn a_poll_that_was_not_awaited_is_no_stall() {
    let mut host = announced(1000, 60_000);
    assert_eq!(host.poll(at(0)), wait(at(1000)));
    assert_eq!(host.poll(at(1000)), Action::SendHeartbeat { value_ms: 1000 });
    // The host was to act, not to wait: how long that took is its own affair. Late at 1 s and half
    // of 60 s.
    assert_eq!(host.poll(at(20_000)), wait(at(31_000)));
}

// lesson 55
#[test]
fn the_end_of_a_late_silence_is_reported() {
    let mut host = announced(1000, 500);
    host.handle_sent(at(900));
    assert_eq!(host.poll(at(1250)), Action::Late { silence: ms(1250) });
    assert_eq!(host.handle_received(at(1499)), Some(ms(1499)));
    assert_eq!(host.handle_received(at(1499)), None);
}

// lesson 5
#[test]
fn an_adopted_value_reaches_both_halves() {
    let mut host = announced(5000, 2000);
    host.handle_received(at(10));
    let heard = host.handle_heartbeat(300, at(10));
    assert_eq!(
        heard.adopted.map(|adopted| (adopted.from, adopted.to)),
        Some((Some(ms(5000)), ms(300)))
    );
    assert_eq!(host.heartbeat_timer().in_force(), Some(ms(300)));
    assert_eq!(host.silence_timer().in_force(), Some(ms(300)));
    assert_eq!(host.silence_timer().received(), Some(ms(300)));
    assert_eq!(host.silence_timer().limit(), Some(ms(2300)));
    assert_eq!(host.silence_timer().last_received(), at(10));
    send_heartbeat(&mut host, at(10));
    assert_eq!(host.heartbeat_timer().last_sent(), at(10));
    assert_eq!(host.poll(at(10)), wait(at(310)));
}

// lesson 1
#[test]
fn no_value_of_the_peers_makes_a_host_spin_or_flood() {
    for received in EDGES {
        for configured in [0, 100, 5000] {
            let mut host = Liveness::new(&settings(configured, 2000), Time::ZERO);
            let (mut now, mut beats, mut polls) = (Time::ZERO, 0u64, 0u64);
            host.handle_received(now);
            host.handle_heartbeat(received, now);
            let end = at(10_000);
            while now < end {
                polls += 1;
                match host.poll(now) {
                    Action::SendHeartbeat { value_ms } => {
                        host.handle_heartbeat_sent(value_ms, now);
                        beats += 1;
                    }
                    Action::Wait { until } => {
                        assert!(until > now, "asked to wait for the past");
                        now = until.min(end);
                        host.handle_received(now);
                    }
                    action => panic!("{received} at {configured}: {action:?}"),
                }
            }
            assert!(beats <= 1 + 10_000 / 100, "{received} at {configured}: {beats} heartbeats");
            assert!(polls <= 2 * beats + 3, "{polls} polls for {beats} heartbeats");
        }
    }
}

// lesson 13
#[test]
fn a_quiet_peer_costs_no_more_than_three_wake_ups_an_interval() {
    let mut host = announced(1000, 200_000);
    let (mut now, mut polls) = (Time::ZERO, 0);
    while now < at(100_000) {
        polls += 1;
        match host.poll(now) {
            Action::Wait { until } => now = until,
            Action::SendHeartbeat { value_ms } => host.handle_heartbeat_sent(value_ms, now),
            action => panic!("{action:?}"),
        }
    }
    assert!(polls <= 300, "{polls} in 100 intervals");
}

// lesson 8
#[test]
fn a_smaller_value_of_our_own_is_announced_at_once_and_binds_the_peer_once_it_answers() {
    let mut host = announced(5000, 2000);
    assert!(!host.lower(ms(5000), at(100)) && !host.lower(ms(0), at(100)));
    assert!(host.lower(ms(1000), at(100)));
    assert_eq!(host.heartbeat_timer().in_force(), Some(ms(1000)));
    assert_eq!(host.poll(at(500)), Action::SendHeartbeat { value_ms: 1000 });
    host.handle_heartbeat_sent(1000, at(600));
    assert_eq!(
        (host.heartbeat_timer().promise(), host.silence_timer().limit()),
        (Some(ms(5000)), Some(ms(7000)))
    );
    host.handle_received(at(700));
    host.handle_heartbeat(1000, at(700));
    assert_eq!(
        (host.heartbeat_timer().promise(), host.silence_timer().limit()),
        (Some(ms(1000)), Some(ms(3000)))
    );
    host.handle_sent(at(3699));
    assert!(matches!(host.poll(at(3699)), Action::Late { .. }));
    assert_eq!(host.poll(at(3700)), Action::Silent { silence: ms(3000), limit: ms(3000) });
}

// lesson 8
#[test]
fn a_first_value_of_our_own_gives_the_peer_10_s_and_the_slack_to_answer() {
    let mut host = Liveness::new(&settings(0, 2000), Time::ZERO);
    assert_eq!(host.poll(at(1_000_000)), wait(Time::NEVER));
    assert!(host.lower(ms(1000), at(1_000_000)));
    send_heartbeat(&mut host, at(1_000_000));
    host.handle_sent(at(1_011_999));
    assert!(matches!(host.poll(at(1_012_000) - NS), Action::Late { .. }));
    assert!(matches!(host.poll(at(1_012_000)), Action::Silent { .. }));
}

#[test]
fn a_write_of_which_the_kernel_takes_nothing_for_the_limit_is_write_stalled() {
    let mut host = announced(5000, 2000);
    host.handle_sent(at(1000));
    host.handle_pending(at(1000));
    host.handle_pending(at(1500));
    for beat in 1..8 {
        // The peer's heartbeats come all the while.
        host.handle_received(at(beat * 1000));
    }
    assert_eq!(host.poll(at(7900)), Action::SendHeartbeat { value_ms: 5000 });
    assert_eq!(host.poll(at(8000) - NS), wait(at(8000)));
    assert_eq!(host.clone().poll(at(8000)), Action::WriteStalled { pending: ms(7000) });
    // A byte that it takes in time begins the limit again; when nothing waits there is none.
    host.handle_sent(at(8000) - NS);
    host.handle_pending(at(8000) - NS);
    host.handle_received(at(14_000));
    assert!(!matches!(host.poll(at(14_900)), Action::WriteStalled { .. }));
    host.handle_sent(at(14_950));
    host.handle_received(at(20_000));
    assert!(!matches!(host.poll(at(24_000)), Action::WriteStalled { .. }));
}

// lesson 8
#[test]
fn a_pending_write_is_never_judged_by_less_than_it_began_with() {
    let mut host = announced(5000, 2000);
    host.handle_pending(at(100));
    for step in 0..100u64 {
        // A peer that lowers again and again while it reads nothing.
        let now = at(200 + step * 60);
        host.handle_received(now);
        host.handle_heartbeat(4000 - step as u32, now);
    }
    host.set_slack(ms(10), at(6000));
    host.handle_received(at(7000));
    assert_eq!(host.heartbeat_timer().stalled_at(), at(7100));
    // A larger one holds at once, counted from the last byte.
    host.set_slack(ms(4000), at(7000));
    assert_eq!(host.heartbeat_timer().stalled_at(), at(100) + ms(3901 + 4000));
    host.handle_sent(at(7500));
    host.handle_pending(at(7500));
    assert_eq!(host.heartbeat_timer().stalled_at(), at(7500) + ms(3901 + 4000));
}

// lesson 33
#[test]
fn a_pending_write_has_one_grace_however_often_we_are_stopped() {
    let mut timer = HeartbeatTimer::new(&settings(5000, 2000), Time::ZERO);
    timer.handle_pending(at(0));
    assert_eq!(timer.handle_write_waited(at(6000), at(8000)), Some(ms(2000)));
    assert_eq!(timer.stalled_at(), at(10_000));
    assert_eq!(timer.handle_write_waited(at(8500), at(9900)), Some(ms(1400)), "still reported");
    assert_eq!((timer.stalled_at(), timer.stalled(at(10_000) - NS)), (at(10_000), None));
    assert_eq!(timer.stalled(at(10_000)), Some(ms(10_000)));
    // The next pending write has one of its own.
    timer.handle_sent(at(9999));
    timer.handle_pending(at(9999));
    assert!(timer.handle_write_waited(at(15_000), at(20_000)).is_some());
    assert_eq!(timer.stalled_at(), at(22_000));
}
