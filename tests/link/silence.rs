//! A peer that falls silent: reported down in time, and never early.

use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{DownReason, Link, LinkEvent};
use peerbeat::protocol::Native;

use crate::mock::{DATA, Got, HEARTBEAT, Mock, frame, heartbeat};
use crate::pipe::pipe;
use crate::rig::{Rig, assert_soon, ms, notes, options};

/// Asserts that the link died of silence: not before `limit` after `last`, and soon after it.
fn assert_silent(rig: &Rig, last: Instant, limit: Duration) {
    let (at, down) = rig.log.down();
    assert_eq!(down.reason, DownReason::Silent, "{down:?}");
    assert!(at - last >= limit, "died {:?} early", limit - (at - last));
    assert!(down.silence >= limit, "{down:?}");
    assert_eq!(down.limit, Some(limit));
    assert_soon(last + limit, at, "the verdict");
}

// lesson 30
#[test]
fn a_silent_peer_is_dead_at_the_limit_and_never_before() {
    let rigs: Vec<_> = (0..8)
        .map(|i| {
            let rig = Rig::new(&options(100, 400 + 20 * i));
            thread::sleep(ms(7));
            let last = rig.mock.say(&heartbeat(100));
            (rig, last, ms(500 + 20 * i))
        })
        .collect();
    for (rig, last, limit) in rigs {
        assert_silent(&rig, last, limit);
    }
}

#[test]
fn a_peer_that_never_says_a_byte_is_dead_at_the_limit() {
    let rig = Rig::new(&options(100, 100));
    assert_silent(&rig, rig.before, ms(200));
}

#[test]
fn half_a_frame_and_then_nothing_is_silence() {
    for piece in [&frame(3, b"market data")[..7], &[0, 0], &heartbeat(5000)[..8]] {
        let rig = Rig::new(&options(100, 700));
        thread::sleep(ms(50));
        let last = rig.mock.say(piece);
        assert_silent(&rig, last, ms(800));
    }
}

#[test]
fn our_own_sending_does_not_hide_the_peers_silence() {
    // lesson 29
    let mut rig = Rig::new(&options(100, 500));
    let last = rig.mock.say(&heartbeat(100));
    let link = rig.link.clone();
    let sends = thread::spawn(move || {
        let mut sent = 0;
        while link.send(b"tick").is_ok() {
            sent += 1;
            thread::sleep(ms(2));
        }
        sent
    });
    assert_silent(&rig, last, ms(600));
    assert!(sends.join().unwrap() > 10);
    let (frames, _) = rig.mock.rest();
    assert!(frames.iter().filter(|frame| frame.payload == b"tick").count() > 10);
}

#[test]
fn a_write_that_is_stuck_does_not_delay_the_verdict_on_silence() {
    // lessons 20, 42, 52
    let rig = Rig::new(&options(100, 900));
    let last = rig.mock.say(&heartbeat(100));
    let link = rig.link.clone();
    // Its own limit is reached so much later.
    thread::sleep(ms(500));
    let stuck = thread::spawn(move || {
        let message = vec![0; 1 << 20];
        while link.send(&message).is_ok() {}
        Instant::now()
    });
    assert_silent(&rig, last, ms(1000));
    let woken = stuck.join().unwrap();
    assert_soon(last + ms(1000), woken, "waking the blocked thread");
}

#[test]
fn without_a_value_in_force_there_is_no_limit_until_one_is_heard() {
    let rig = Rig::new(&options(0, 50));
    thread::sleep(ms(400));
    assert!(rig.link.is_up());
    rig.mock.say(&frame(3, b"data sets no value"));
    thread::sleep(ms(200));
    assert!(rig.link.is_up());
    let last = rig.mock.say(&heartbeat(100));
    assert_silent(&rig, last, ms(150));
}

#[test]
fn the_limit_follows_a_smaller_value_that_the_peer_sends() {
    // lesson 5
    let rig = Rig::new(&options(60_000, 100));
    let last = rig.mock.say(&heartbeat(100));
    assert_silent(&rig, last, ms(200));
}

#[test]
fn silence_that_kills_shuts_the_stream_without_a_bye() {
    // lesson 42
    let mut rig = Rig::new(&options(100, 100));
    let (at, _) = rig.log.down();
    let (frames, end) = rig.mock.rest();
    assert!(frames.iter().all(|frame| frame.kind == HEARTBEAT), "{frames:?}");
    assert_eq!(end, Got::Eof);
    assert_soon(at, Instant::now(), "the end of the stream");
    assert!(!rig.link.is_up());
}

#[test]
fn a_late_peer_is_reported_once_and_so_is_its_return() {
    // lesson 55
    let rig = Rig::new(&options(100, 3000));
    let last = rig.mock.say(&heartbeat(100));
    let (at, silence) = rig.log.event(|event| match event {
        LinkEvent::Late { silence, .. } => Some(*silence),
        _ => None,
    });
    assert!(at - last >= ms(1600) && silence >= ms(1600), "late at {:?}", at - last);
    thread::sleep(ms(100));
    rig.mock.say(&[0]);
    let (_, whole) = rig.log.event(|event| match event {
        LinkEvent::Recovered { silence, .. } => Some(*silence),
        LinkEvent::Late { .. } => panic!("late twice in one silence"),
        _ => None,
    });
    assert!(whole >= silence + ms(90), "{whole:?} after {silence:?}");
    assert!(rig.link.is_up());
}

#[test]
fn a_limit_far_below_a_kernel_tick_kills() {
    let mut options = options(1, 0);
    options.liveness.heartbeat_time_min = ms(1);
    let rig = Rig::new(&options);
    let (at, down) = rig.log.down();
    assert_eq!(down.reason, DownReason::Silent);
    assert!(at - rig.before >= ms(1) && down.silence >= ms(1));
}

// lesson 31
#[test]
fn bytes_that_came_in_time_count_even_if_the_reader_lost_the_processor() {
    let (ours, _theirs) = pipe(1000);
    // The first wait ends before the peer is late, at 192 ms; the limit is 240 ms.
    ours.lose_processor(&frame(DATA, b"tick"), ms(100));
    let (notes, log) = notes(|_, _| {});
    let _link = Link::start_with(ours, Native::default(), &options(200, 40), notes).unwrap();
    assert_eq!(log.message(), b"tick");
}

// lesson 32
#[test]
fn the_time_before_the_reader_runs_is_not_a_stall_and_not_the_peers() {
    let (stream, _mock) = Mock::pair();
    let (_link, reader) = Link::establish(stream, Native::default(), &options(100, 1000)).unwrap();
    thread::sleep(ms(1500));
    let (mut notes, log) = notes(|_, _| {});
    let before = Instant::now();
    let runs = thread::spawn(move || reader.run(&mut notes));
    let (_, first) = log.event(|event| Some(event.clone()));
    assert!(matches!(first, LinkEvent::Late { .. }), "{first:?}");
    assert_eq!(runs.join().unwrap().reason, DownReason::Silent);
    assert!(before.elapsed() >= ms(1100));
}
