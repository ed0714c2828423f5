//! The slack of a living link, its numbers, and the advice drawn from them, over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Instant;

use peerbeat::link::{Advice, Faults, HeartbeatChange, Link, LinkOptions, Source, Stats};
use peerbeat::liveness::Settings;
use peerbeat::protocol::Native;

use crate::basics::{PATIENCE, ms, wait_for};
use crate::mock::tcp_pair;

fn start_with(stream: TcpStream, time: Option<u64>, slack: u64, faults: Option<Faults>) -> Link {
    let liveness = Settings::default()
        .heartbeat_time(time.map(ms))
        .slack(ms(slack))
        .heartbeat_time_min(ms(10));
    let options = LinkOptions::default().liveness(liveness).faults(faults);
    Link::start_with(stream, Native::default(), &options, |_: &Link, _: &[u8]| ()).unwrap()
}

fn start(stream: TcpStream, time: Option<u64>, slack: u64) -> Link {
    start_with(stream, time, slack, None)
}

/// Waits until the numbers are so.
#[track_caller]
fn wait(link: &Link, is: impl Fn(&Stats) -> bool) -> Stats {
    let began = Instant::now();
    loop {
        let stats = link.stats();
        if is(&stats) {
            return stats;
        }
        assert!(began.elapsed() < PATIENCE, "{stats:?}");
        sleep(ms(5));
    }
}

// lesson 8
#[test]
fn a_greater_slack_saves_a_silent_peer_at_once() {
    // A machine that is busy may sleep through it, but not each time.
    let start = || {
        let (near, far) = tcp_pair();
        let began = Instant::now();
        let link = start(near, Some(300), 300);
        sleep(ms(450));
        link.set_slack(ms(1500)).is_ok().then_some((link, far, began))
    };
    let (link, far, began) = (0..5).find_map(|_| start()).expect("one of five in time");
    assert_eq!(link.slack(), ms(1500));
    let down = link.wait_down(PATIENCE).unwrap();
    assert_eq!(down.reason.as_str(), "silent");
    assert_eq!((down.slack, down.limit), (ms(1500), Some(ms(1800))));
    assert!(down.silence >= ms(1800) && began.elapsed() >= ms(1795), "{down:?}");
    drop(far);
}

// lesson 8
#[test]
fn a_smaller_slack_spares_the_silence_under_way_and_judges_the_next() {
    let (near, mut far) = tcp_pair();
    let link = start(near, Some(300), 1500);
    let began = Instant::now();
    sleep(ms(600));
    link.set_slack(ms(200)).unwrap();
    sleep(ms(300));
    // By the new slack it would have been dead for 0.4 s. This byte begins the next silence.
    assert!(link.is_up());
    far.write_all(&[0, 0, 0, 1, 3]).unwrap();
    let heard = began.elapsed();
    let down = link.wait_down(PATIENCE).unwrap();
    assert_eq!((down.reason.as_str(), down.slack), ("silent", ms(200)));
    assert_eq!(down.limit, Some(ms(500)));
    assert!(down.silence >= ms(500) && down.silence < ms(1800), "{down:?}");
    assert!(heard >= ms(900));
    assert!(link.set_slack(ms(1)).is_err());
}

// lesson 8
#[test]
fn a_stuck_write_is_not_judged_by_a_slack_that_was_lowered_meanwhile() {
    let (near, mut far) = tcp_pair();
    let faults = Faults::default();
    let link = start_with(near, Some(400), 1600, Some(faults.clone()));
    let beats = std::thread::spawn(move || {
        // It beats and reads nothing.
        while far.write_all(&[0, 0, 0, 5, 2, 0, 0, 1, 144]).is_ok() {
            sleep(ms(100));
        }
    });
    sleep(ms(100));
    faults.stall_writer(true);
    let began = Instant::now();
    link.send(b"stuck").unwrap();
    sleep(ms(700));
    link.set_slack(ms(1000)).unwrap();
    let down = link.wait_down(PATIENCE).unwrap();
    assert_eq!(down.reason.as_str(), "write-stalled");
    assert!(began.elapsed() >= ms(2000), "killed after {:?}", began.elapsed());
    beats.join().unwrap();
}

#[test]
fn an_idle_link_measures_beats_lateness_and_round_trips() {
    let (near, far) = tcp_pair();
    let (link, peer) = (start(near, Some(40), 5000), start(far, Some(40), 5000));
    // Neither of the two sides has its turn when the other has.
    let stats = wait(&link, |stats| {
        stats.peer_lateness.count >= 10
            && stats.own_lateness.count >= 5
            && stats.round_trips.count > 3
    });
    assert!(stats.heartbeats_sent >= 5 && stats.heartbeats_received >= 10, "{stats:?}");
    assert!(stats.largest_silence >= ms(40), "{stats:?}");
    assert!(stats.round_trip.is_some() && stats.round_trip_min <= stats.round_trip, "{stats:?}");
    assert!(stats.round_trips.max < PATIENCE && stats.up >= ms(400), "{stats:?}");
    // A heartbeat may wait at this moment, a message does not.
    assert_eq!((stats.heartbeats_suppressed, stats.queued_messages), (0, 0));
    link.close();
    let ended = peer.wait_down(PATIENCE).map(|_| peer.stats()).unwrap();
    assert_eq!(ended.up, peer.stats().up, "the clock of an ended link has stopped");
}

#[test]
fn data_makes_heartbeats_needless_and_they_are_counted() {
    let (near, far) = tcp_pair();
    let before = Instant::now();
    let (link, peer) = (start(near, Some(100), 5000), start(far, Some(100), 5000));
    let began = Instant::now();
    while began.elapsed() < ms(1000) {
        link.send(b"tick").unwrap();
        sleep(ms(5));
    }
    let stats = link.stats();
    let due = stats.heartbeats_suppressed + stats.heartbeats_sent;
    let may_be = before.elapsed().as_millis() / 100 + 2;
    assert!(stats.heartbeats_suppressed >= 1 && u128::from(due) <= may_be, "{stats:?}");
    // The peer was idle: no data made its heartbeats needless.
    assert_eq!(peer.stats().heartbeats_suppressed, 0);
}

// lessons 54, 56
#[test]
fn a_late_sender_can_prove_its_own_lateness_and_the_receiver_that_the_peer_was_late() {
    let (near, far) = tcp_pair();
    let faults = Faults::default();
    let late = start_with(near, Some(100), 900, Some(faults.clone()));
    let other = start(far, None, 60_000);
    wait(&late, |stats| stats.own_lateness.count >= 1);
    let mut held = 0;
    wait_for("the receiver saw that as well", || {
        faults.hold_heartbeats(true);
        sleep(ms(700));
        faults.hold_heartbeats(false);
        held += 1;
        let sent = wait(&late, |stats| stats.own_late >= held).heartbeats_sent;
        // On a busy machine it may have read the last heartbeat before that late as well.
        wait(&other, |stats| stats.heartbeats_received >= sent).peer_lateness.max > ms(450)
    });
    assert!(late.stats().own_lateness.max > ms(450), "{:?}", late.stats());
    assert!(late.explain().advice.iter().any(|advice| matches!(advice, Advice::OwnLate { .. })));
    let seen = other.stats();
    assert!(seen.largest_silence >= ms(550), "{seen:?}");

    let explained = other.explain();
    assert_eq!(explained.source, Source::Peer);
    let least = explained.smallest_slack.unwrap();
    assert!(least > seen.peer_lateness.max, "{explained:?}");
    // A slack that the measured silence would have passed is called small.
    other.set_slack(ms(100)).unwrap();
    let advice = other.explain().advice;
    assert!(advice.iter().any(|advice| matches!(advice, Advice::MoreSlack { .. })), "{advice:?}");

    // After the end the numbers still say whose fault it may have been.
    late.close();
    late.wait_down(PATIENCE).unwrap();
    assert!(late.stats().own_lateness.max > ms(450), "{:?}", late.stats());
}

#[test]
fn silences_that_were_late_are_counted() {
    let (near, far) = tcp_pair();
    let faults = Faults::default();
    let late = start_with(near, Some(100), 60_000, Some(faults.clone()));
    let other = start(far, Some(100), 1_000);
    wait(&late, |stats| stats.heartbeats_sent >= 1);
    for count in 1..=2 {
        faults.hold_heartbeats(true);
        wait(&other, |stats| stats.peer_late >= count);
        let before = late.stats().heartbeats_sent;
        faults.hold_heartbeats(false);
        wait(&late, |stats| stats.heartbeats_sent > before);
        wait(&other, |stats| stats.largest_silence >= ms(600));
        assert_eq!(other.stats().peer_late, count, "one for a silence, however long it is");
    }
    assert!(other.is_up());
}

#[test]
fn a_value_in_force_is_explained_by_who_asked_for_it() {
    let (near, far) = tcp_pair();
    let (link, peer) = (start(near, Some(5000), 2000), start(far, Some(3000), 2000));
    wait(&link, |stats| stats.heartbeats_received >= 1);
    wait(&peer, |stats| stats.heartbeats_received >= 1);
    let explained = link.explain();
    assert_eq!((explained.source, explained.configured), (Source::Peer, Some(ms(5000))));
    assert_eq!((explained.in_force, explained.received), (Some(ms(3000)), Some(ms(3000))));
    assert_eq!((explained.slack, explained.limit), (ms(2000), Some(ms(5000))));
    assert!(matches!(explained.advice[..], [Advice::TooFew { .. }]), "{explained:?}");
    assert_eq!(peer.explain().source, Source::Configured);
    assert_eq!(link.set_heartbeat_time(ms(1000)), Ok(HeartbeatChange::InForce));
    let explained = link.explain();
    assert_eq!((explained.source, explained.in_force), (Source::Set, Some(ms(1000))));
    assert_eq!(explained.limit, Some(ms(5000)), "the peer is still held to the old one");
    let text = explained.to_string();
    assert!(text.starts_with("heartbeat-time 1s: set here while the link was up\n"), "{text}");
    assert!(text.contains("limit 5s = 3s + slack 2s\n"), "{text}");
}

#[test]
fn a_link_without_heartbeats_is_explained_with_advice() {
    let (near, mut far) = tcp_pair();
    let link = start(near, None, 2000);
    let explained = link.explain();
    assert_eq!((explained.source, explained.limit), (Source::Nobody, None));
    assert_eq!(explained.advice, [Advice::NoLimit]);
    assert!(explained.to_string().contains("advice: no heartbeat-time is in force"));
    link.close();
    let _goodbye = far.read_to_end(&mut Vec::new());
}

#[test]
fn a_slack_far_above_what_was_needed_is_called_needless() {
    let (near, far) = tcp_pair();
    let (link, _peer) = (start(near, Some(10), 60_000), start(far, Some(10), 60_000));
    wait(&link, |stats| stats.peer_lateness.count >= 100);
    let explained = link.explain();
    let Some(Advice::LessSlack { enough, limit }) = explained.advice.last() else {
        panic!("{explained:?}")
    };
    assert!(*enough >= ms(50) && *enough < ms(15_000), "{explained:?}");
    assert_eq!(*limit, ms(10) + *enough);
}
