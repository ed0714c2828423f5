//! A peer that reads nothing while its heartbeats come: `write-stalled`, with everything counted.

use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{Down, DownReason, Link, SendError, Stats};
use peerbeat::liveness::Mode;
use peerbeat::protocol::Native;

use crate::mock::{DATA, HEARTBEAT, heartbeat};
use crate::pipe::pipe;
use crate::rig::{Rig, assert_soon, fill, fill_narrow, ms, notes, options};

/// Our heartbeats are this long.
const BEAT: u64 = 33;

/// Bytes of data that were accepted and that the kernel has not taken, from the outside.
fn missing(accepted: u64, stats: &Stats) -> u64 {
    accepted - (stats.bytes_sent - BEAT * stats.heartbeats_sent)
}

fn pending(down: &Down) -> Duration {
    match down.reason {
        DownReason::WriteStalled { pending } => pending,
        _ => panic!("{down:?}"),
    }
}

#[test]
fn a_peer_that_stops_reading_is_dead_though_its_heartbeats_come() {
    // lesson 20
    let (rig, _door) = Rig::narrow(&options(100, 1400));
    let beating = rig.mock.beat(100, ms(30));
    thread::sleep(ms(100));
    let began = Instant::now();
    let threads: Vec<_> = (0..4)
        .map(|name| {
            let link = rig.link.clone();
            thread::spawn(move || {
                let mut taken = 0u64;
                loop {
                    match link.send(&vec![name; 100_000]) {
                        Ok(()) => taken += 1,
                        Err(e) => return (taken, e, Instant::now()),
                    }
                }
            })
        })
        .collect();
    let (at, down) = rig.log.down();
    assert!(pending(&down) >= ms(1500), "{down:?}");
    assert!(at - began >= ms(1500));
    assert_soon(began + ms(1500), at, "the verdict");
    assert!(down.silence < ms(1500), "{down:?}");
    drop(beating);
    let mut taken = 0;
    for thread in threads {
        let (messages, error, woken) = thread.join().unwrap();
        assert_eq!(error, SendError::Down(down.reason.clone()));
        assert_soon(at, woken, "the end of a send");
        taken += messages;
    }
    let stats = rig.link.stats();
    assert_eq!(stats.messages_accepted, taken);
    assert_eq!(down.unsent_bytes, missing(taken * 100_005, &stats));
    assert_eq!(down.unsent_frames, down.unsent_bytes.div_ceil(100_005));
    assert_eq!(stats.queued_bytes, 0);
}

#[test]
fn what_was_accepted_and_not_sent_is_counted_to_the_byte() {
    // Through a pipe that takes exactly so many bytes, in every state that a message can be in.
    for (capacity, mode) in
        [(0, Mode::Idle), (4, Mode::Idle), (333, Mode::Idle), (50, Mode::Always)]
    {
        let (ours, theirs) = pipe(capacity);
        // Long enough that a busy machine fills the queue and sends the beats within it.
        let mut options = options(50, 950);
        options.liveness.mode = mode;
        options.queue_bytes = 2000;
        let (notes, log) = notes(|_, _| {});
        let link = Link::start_with(ours, Native::default(), &options, notes).unwrap();
        let sent = fill(&link, 100);
        let beats = thread::spawn(move || {
            while peerbeat::link::Stream::write(&theirs, &heartbeat(50)).is_ok() {
                thread::sleep(ms(20));
            }
            theirs
        });
        let (_, down) = log.down();
        pending(&down);
        let theirs = beats.join().unwrap();
        let arrived = theirs.read_all();
        let (whole, part) = data_in(&arrived);
        assert_eq!(down.unsent_frames, sent.len() as u64 - whole, "{capacity} {mode:?} {down:?}");
        let accepted = sent.len() as u64 * 105;
        assert_eq!(down.unsent_bytes, accepted - whole * 105 - part, "{capacity} {mode:?}");
        assert_eq!(link.stats().bytes_sent, arrived.len() as u64);
    }
}

/// Whole data frames of 105 bytes, and the bytes of a partial one.
fn data_in(mut bytes: &[u8]) -> (u64, u64) {
    let mut whole = 0;
    while bytes.len() >= 5 {
        let length = 4 + u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        let kind = bytes[4];
        if bytes.len() < length {
            break;
        }
        whole += u64::from(kind == DATA);
        assert!(kind == DATA || kind == HEARTBEAT);
        bytes = &bytes[length..];
    }
    // The fourth byte tells a heartbeat of 33 bytes from a data frame of 105.
    let is_data = bytes.get(3).is_none_or(|low| *low == 101);
    (whole, if is_data { bytes.len() as u64 } else { 0 })
}

#[test]
fn without_a_value_in_force_a_stuck_write_has_no_limit() {
    let (mut rig, door) = Rig::narrow(&options(0, 50).queue_bytes(50_000));
    let sent = fill_narrow(&rig.link, 10_000);
    thread::sleep(ms(500));
    assert!(rig.link.is_up());
    door.open();
    for message in &sent {
        assert!(rig.mock.frame().payload == *message);
    }
}

#[test]
fn a_value_heard_while_a_write_is_stuck_limits_it() {
    // lesson 5
    let (rig, _door) = Rig::narrow(&options(0, 100).queue_bytes(50_000));
    fill_narrow(&rig.link, 10_000);
    let before = Instant::now();
    let beating = rig.mock.beat(100, ms(30));
    let (at, down) = rig.log.down();
    assert!(pending(&down) >= ms(200));
    assert_soon(before + ms(200), at, "the verdict");
    drop(beating);
}

// lesson 21: no write is fatal while the kernel takes anything at all
#[test]
fn a_few_bytes_taken_restart_the_limit() {
    let (ours, theirs) = pipe(10);
    let options = options(100, 1400);
    let (notes, log) = notes(|_, _| {});
    let link = Link::start_with(ours, Native::default(), &options, notes).unwrap();
    let beats = |span: Duration| {
        let until = Instant::now() + span;
        while Instant::now() < until && link.is_up() {
            if peerbeat::link::Stream::write(&theirs, &heartbeat(100)).is_err() {
                break;
            }
            thread::sleep(ms(30));
        }
    };
    link.try_send(&[0; 2000]).unwrap();
    let mut last = Instant::now();
    for _ in 0..3 {
        beats(ms(1000));
        assert!(link.is_up(), "{:?}", link.down());
        last = Instant::now();
        peerbeat::link::Stream::read(&theirs, &mut [0; 1]).unwrap();
    }
    beats(ms(6000));
    let (at, down) = log.down();
    assert!(pending(&down) >= ms(1500) && at - last >= ms(1500), "{down:?} {:?}", at - last);
    assert_soon(last + ms(1500), at, "the verdict");
}
