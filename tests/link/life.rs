//! A live peer, in every way that could look like death: no link is closed.

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use peerbeat::link::{Down, DownReason, LinkEvent};
use peerbeat::protocol::Native;

use crate::mock::{Got, HEARTBEAT, frame, heartbeat};
use crate::rig::{Rig, Seen, ms, options, wait_for};

#[test]
fn one_byte_of_a_big_frame_every_half_interval_is_life() {
    // lessons 25, 36
    let rig = Rig::new(&options(200, 300));
    let bytes = frame(3, &[9; 1000]);
    for byte in &bytes[..20] {
        rig.mock.say(&[*byte]);
        thread::sleep(ms(100));
    }
    assert!(rig.link.is_up());
    rig.mock.say(&bytes[20..]);
    assert_eq!(rig.log.message(), [9; 1000]);
}

#[test]
fn a_handler_that_sleeps_ten_limits_kills_no_link_and_starves_no_heartbeat() {
    // lessons 17, 18, 32
    let mut rig = Rig::acting(&options(50, 450), |_, seen| {
        if matches!(seen, Seen::Message(_)) {
            thread::sleep(ms(5000));
        }
    });
    let beating = rig.mock.beat(50, ms(25));
    rig.mock.say(&frame(3, b"sleep"));
    rig.log.message();
    let frames = rig.mock.listen(ms(5400));
    assert!(rig.link.is_up(), "{:?}", rig.link.down());
    assert!(frames.len() >= 20, "{} heartbeats in 5400 ms", frames.len());
    let longest = frames.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap();
    // One that waits for the handler leaves a gap of 5 s.
    assert!(longest < ms(3000), "a gap of {longest:?} in our heartbeats");
    let events = rig.log.events();
    let bad = |event: &LinkEvent| matches!(event, LinkEvent::Late { .. } | LinkEvent::Flooding);
    assert!(!events.iter().any(bad), "{events:?}");
    // The peer's silence counts from the handler's return.
    let last = beating.stop();
    let (at, down) = rig.log.down();
    assert_eq!(down.reason, DownReason::Silent);
    assert!(at - last >= ms(500));
}

#[test]
fn a_handler_that_sleeps_over_a_silence_does_not_make_it_the_peers() {
    // lesson 32: the peer says nothing in that time, and has one whole limit after it
    let (returns, back) = mpsc::channel();
    let rig = Rig::acting(&options(100, 100), move |_, seen| {
        if matches!(seen, Seen::Message(_)) {
            thread::sleep(ms(700));
            returns.send(Instant::now()).unwrap();
        }
    });
    rig.mock.say(&frame(3, b"sleep"));
    let (at, down) = rig.log.down();
    assert_eq!(down.reason, DownReason::Silent);
    let back = back.recv().unwrap();
    assert!(at - back >= ms(200), "{:?} after the handler", at - back);
}

#[test]
fn a_handler_that_sleeps_in_an_event_kills_no_link() {
    // The handler gets the event between the wait and the look at the socket.
    let rig = Rig::acting(&options(100, 300), |_, seen| {
        if matches!(seen, Seen::Event(LinkEvent::Late { .. })) {
            thread::sleep(ms(900));
        }
    });
    rig.mock.say(&heartbeat(100));
    rig.log.event(|event| matches!(event, LinkEvent::Late { .. }).then_some(()));
    let beating = rig.mock.beat(100, ms(20));
    thread::sleep(ms(1200));
    assert!(rig.link.is_up(), "{:?}", rig.link.down());
    drop(beating);
}

/// The bytes of a message that a copy in the wrong place would change.
fn pattern(length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..251).collect::<Vec<u8>>().repeat(length / 251 + 1);
    bytes.truncate(length);
    bytes
}

#[test]
fn a_64_mib_frame_to_a_slow_reader_that_reads_stays_up() {
    // lesson 15
    let framing = Native::with_frame_max(80 << 20);
    let message = pattern(64 << 20);
    let mut rig = Rig::with(&options(100, 1900), framing, |_, _| {});
    let beating = rig.mock.beat(100, ms(30));
    rig.link.send(&message).unwrap();
    // 64 MiB in pieces of 512 KiB, 50 ms apart: more than three limits.
    let mut received = Vec::with_capacity(65 << 20);
    let mut piece = vec![0; 512 << 10];
    while received.len() < (64 << 20) {
        let count = std::io::Read::read(&mut rig.mock.stream, &mut piece).unwrap();
        assert!(count > 0, "{:?}", rig.link.down());
        received.extend_from_slice(&piece[..count]);
        thread::sleep(ms(50));
    }
    assert!(rig.link.is_up(), "{:?}", rig.link.down());
    drop(beating);
    // Heartbeats come before or after the frame, not inside.
    let head = ((64 << 20) + 1u32).to_be_bytes();
    let start = received.windows(5).take(100).position(|five| five[..4] == head).unwrap();
    let body = &received[start + 5..];
    let length = body.len().min(message.len());
    assert!(body[..length] == message[..length], "the frame has changed on its way");
}

#[test]
fn a_64_mib_frame_from_a_slow_writer_stays_up() {
    let framing = Native::with_frame_max(80 << 20);
    let message = pattern(64 << 20);
    let bytes = frame(3, &message);
    let rig = Rig::with(&options(100, 1900), framing, |_, _| {});
    for piece in bytes.chunks(512 << 10) {
        rig.mock.say(piece);
        thread::sleep(ms(50));
    }
    // It took more than a limit, so if it arrives whole the link stayed up.
    assert!(rig.log.message() == message, "the frame has changed on its way");
}

#[test]
fn a_peer_that_reads_in_fits_is_not_stalled() {
    // lesson 21
    // Each pause is over half the limit, and each fit lets the kernel accept a little.
    let mut rig = Rig::new(&options(200, 3800));
    let beating = rig.mock.beat(200, ms(50));
    let link = rig.link.clone();
    let sends = thread::spawn(move || {
        let message = vec![5; 100_000];
        (0..200).map(|_| link.send(&message)).collect::<Result<Vec<_>, _>>().map(|all| all.len())
    });
    for _ in 0..3 {
        thread::sleep(ms(2200));
        let mut piece = vec![0; 3 << 20];
        std::io::Read::read_exact(&mut rig.mock.stream, &mut piece).unwrap();
        assert!(rig.link.is_up(), "{:?}", rig.link.down());
    }
    // The rest in one go; we have lost the frames' edges, so by count.
    let mut left: usize = 200 * 100_005 - 3 * (3 << 20);
    let mut piece = vec![0; 1 << 20];
    while left > 0 {
        let count = std::io::Read::read(&mut rig.mock.stream, &mut piece).unwrap();
        assert!(count > 0, "{:?}", rig.link.down());
        left = left.saturating_sub(count);
    }
    assert_eq!(sends.join().unwrap(), Ok(200));
    drop(beating);
}

// lessons 31, 33: what the kernel holds is read before the clock is asked
#[test]
fn a_reader_that_is_run_late_does_not_blame_the_peer_or_itself() {
    let (stream, mut mock) = crate::mock::Mock::pair();
    let options = options(100, 200);
    let (link, reader) =
        peerbeat::link::Link::establish(stream, Native::default(), &options).unwrap();
    thread::sleep(ms(900));
    mock.say(&frame(3, b"after all"));
    let (mut handler, log) = crate::rig::notes(|_, _| {});
    let reads = thread::spawn(move || reader.run(&mut handler));
    wait_for("the message", || link.stats().messages_received == 1);
    link.close();
    let seen: Vec<_> = log.so_far();
    assert!(matches!(&seen[..], [Seen::Message(bytes)] if bytes == b"after all"), "{seen:?}");
    let down: Down = reads.join().unwrap();
    assert_eq!(down.reason.as_str(), "local");
    let (frames, end) = mock.rest();
    assert!(frames.iter().filter(|frame| frame.kind == HEARTBEAT).count() >= 3);
    assert_eq!(end, Got::Eof);
}

#[test]
fn any_byte_ends_a_silence_that_was_nearly_too_long() {
    // lesson 26: data, an unknown frame and a part of a frame count as a heartbeat does
    let rig = Rig::new(&options(100, 1400));
    for bytes in [frame(3, b""), frame(99, b"of a later version"), vec![0, 0]] {
        thread::sleep(ms(900));
        rig.mock.say(&bytes);
    }
    thread::sleep(ms(900));
    assert!(rig.link.is_up(), "{:?}", rig.link.down());
}

#[test]
fn our_heartbeats_go_on_while_the_peer_is_late() {
    // lesson 41
    let rig = Rig::new(&options(50, 4000));
    rig.mock.say(&heartbeat(50));
    rig.log.event(|event| matches!(event, LinkEvent::Late { .. }).then_some(()));
    let sent = || rig.link.stats().heartbeats_sent;
    let before = sent();
    wait_for("heartbeats to a late peer", || sent() >= before + 10 || !rig.link.is_up());
    assert!(rig.link.is_up());
}
