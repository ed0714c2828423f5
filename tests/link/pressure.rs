//! Back-pressure: what a full queue does to those who send.

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use peerbeat::link::{Link, LinkEvent, LinkOptions, SendError};
use peerbeat::protocol::Native;

use crate::mock::{DATA, Got, LONG, Mock, frame, tcp_pair};
use crate::rig::{
    Rig, SOON, Seen, assert_soon, fill_narrow, ms, notes, numbered, options, wait_for,
};

fn small_queue() -> LinkOptions {
    options(60_000, 60_000).queue_bytes(100_000)
}

/// Reads all of `sent`, in order.
fn expect(mock: &mut Mock, sent: &[Vec<u8>]) {
    for (place, message) in sent.iter().enumerate() {
        assert!(mock.no_heartbeat().payload == *message, "message {place} of {}", sent.len());
    }
}

#[test]
fn a_full_queue_says_full_and_takes_nothing() {
    let (mut rig, door) = Rig::narrow(&small_queue());
    let sent = fill_narrow(&rig.link, 10_000);
    let stats = rig.link.stats();
    assert!(stats.queued_bytes <= 100_000 + 10_005, "{stats:?}");
    assert!(stats.queued_bytes > 80_000, "{stats:?}");
    assert_eq!(stats.messages_accepted, sent.len() as u64);
    assert_eq!(rig.link.try_send(&[0; 10_000]), Err(SendError::Full));
    door.open();
    expect(&mut rig.mock, &sent);
    rig.link.try_send(b"room again").unwrap();
    assert_eq!(rig.mock.no_heartbeat().payload, b"room again");
}

#[test]
fn a_queue_over_four_fifths_is_reported_and_that_it_has_room_again() {
    let (mut rig, door) = Rig::narrow(&small_queue());
    // The reader reports when a byte from the peer wakes it.
    let beating = rig.mock.beat(60_000, ms(20));
    let sent = fill_narrow(&rig.link, 10_000);
    let high = |event: &LinkEvent| match event {
        LinkEvent::QueueHigh { bytes, .. } => Some(*bytes),
        _ => None,
    };
    let (_, bytes) = rig.log.event(high);
    assert!((80_001..=110_005).contains(&bytes), "{bytes}");
    door.open();
    expect(&mut rig.mock, &sent);
    let (_, bytes) = rig.log.event(|event| match event {
        LinkEvent::QueueHigh { .. } => panic!("twice high"),
        LinkEvent::QueueLow { bytes, .. } => Some(*bytes),
        _ => None,
    });
    assert!(bytes <= 50_000, "{bytes}");
    beating.stop();
}

#[test]
fn send_waits_for_room_up_to_its_timeout() {
    let (mut rig, door) = Rig::narrow(&small_queue());
    let mut sent = fill_narrow(&rig.link, 10_000);
    let began = Instant::now();
    assert_eq!(rig.link.send_timeout(&[1; 50_000], ms(200)), Err(SendError::TimedOut));
    assert!(began.elapsed() >= ms(200));
    // Without it a send waits for 10 s.
    assert_soon(began, Instant::now(), "send_timeout");

    let link = rig.link.clone();
    let message = numbered(sent.len(), 90_000);
    sent.push(message.clone());
    let waits = thread::spawn(move || link.send(&message));
    thread::sleep(ms(100));
    assert!(!waits.is_finished());
    door.open();
    expect(&mut rig.mock, &sent);
    assert_eq!(waits.join().unwrap(), Ok(()));
}

#[test]
fn a_message_larger_than_the_queue_is_taken_only_while_nothing_waits() {
    let (mut rig, door) = Rig::narrow(&small_queue());
    let large = vec![1; 300_000];
    // While it is under way it waits as well.
    wait_for("the announcement", || rig.link.stats().heartbeats_sent == 1);
    let sent = fill_narrow(&rig.link, 10_000);
    assert_eq!(rig.link.try_send(&large), Err(SendError::Full));
    door.open();
    expect(&mut rig.mock, &sent);
    wait_for("nothing waits", || rig.link.stats().queued_bytes == 0);
    rig.link.try_send(&large).unwrap();
    assert!(rig.mock.no_heartbeat().payload == large);
    rig.link.send(&large).unwrap();
    assert!(rig.mock.no_heartbeat().payload == large);
}

#[test]
fn what_no_frame_can_carry_is_refused_and_nothing_is_sent() {
    let framing = Native::with_frame_max(1000);
    let mut rig = Rig::with(&options(0, 100), framing, |_, _| {});
    assert!(matches!(rig.link.send(&[0; 1000]), Err(SendError::Unfit(_))));
    rig.link.send(&[7; 999]).unwrap();
    assert_eq!(rig.mock.frame().payload, [7; 999]);
    rig.link.send(b"").unwrap();
    assert_eq!(rig.mock.frame().payload, b"");
    assert_eq!(rig.link.stats().messages_accepted, 2);
}

#[test]
fn on_the_readers_own_thread_nothing_waits_for_room() {
    // lesson 47
    let (to, from) = mpsc::channel();
    let rig = Rig::acting(&small_queue(), move |link, seen| {
        if matches!(seen, Seen::Message(_)) {
            let began = Instant::now();
            let last = loop {
                if let Err(error) = link.send(&[0; 10_000]) {
                    break error;
                }
            };
            to.send((last, began.elapsed())).unwrap();
        }
    });
    rig.mock.say(&frame(DATA, b"answer with more than there is room for"));
    let (last, took) = from.recv_timeout(LONG).unwrap();
    assert_eq!(last, SendError::Full);
    assert!(took < SOON, "{took:?}");
    assert!(rig.link.is_up());
}

#[test]
fn a_closing_link_wakes_those_who_wait_for_room() {
    // lesson 45
    let (rig, _door) = Rig::narrow(&small_queue());
    fill_narrow(&rig.link, 10_000);
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let link = rig.link.clone();
            thread::spawn(move || (link.send(&[0; 90_000]), Instant::now()))
        })
        .collect();
    thread::sleep(ms(50));
    let began = Instant::now();
    rig.link.close();
    for waits in waiting {
        let (result, woken) = waits.join().unwrap();
        assert!(matches!(result, Err(SendError::Down(_))), "{result:?}");
        assert_soon(began, woken, "the end of a send");
    }
}

#[test]
fn an_echo_storm_with_tiny_buffers_finishes() {
    // lesson 47: both ends write all they can; each reader hands on what it cannot send at once
    let options = options(100, 60_000).queue_bytes(1000);
    let (one, two) = tcp_pair();
    let (to, overflow) = mpsc::channel::<Vec<u8>>();
    let ends = to.clone();
    let (echo_notes, _log) = notes(move |link: &Link, seen| {
        if let Seen::Message(bytes) = seen {
            match link.try_send(bytes) {
                Ok(()) => {}
                Err(SendError::Full) => to.send(bytes.clone()).unwrap(),
                Err(e) => panic!("{e}"),
            }
        }
    });
    let echo = Link::start_with(one, Native::default(), &options, echo_notes).unwrap();
    let later = echo.clone();
    let sends_later = thread::spawn(move || {
        while let Some(bytes) = overflow.recv().ok().filter(|bytes| !bytes.is_empty()) {
            later.send(&bytes).unwrap();
        }
    });
    let (notes, log) = notes(|_, _| {});
    let storm = Link::start_with(two, Native::default(), &options, notes).unwrap();
    thread::scope(|scope| {
        for name in 0..4u8 {
            let storm = &storm;
            scope.spawn(move || (0..100).for_each(|_| storm.send(&[name; 100_000]).unwrap()));
        }
        for _ in 0..400 {
            assert_eq!(log.message().len(), 100_000);
        }
    });
    ends.send(Vec::new()).unwrap();
    sends_later.join().unwrap();
    assert!(echo.is_up() && storm.is_up());
}

#[test]
fn a_peer_that_reads_gets_everything_in_the_end() {
    let mut rig = Rig::new(&small_queue());
    let link = rig.link.clone();
    let sends = thread::spawn(move || {
        for place in 0..3000 {
            link.send(&numbered(place, 5000)).unwrap();
        }
        link.close();
    });
    let mut place = 0;
    loop {
        match rig.mock.next(LONG) {
            Got::Frame(frame) if frame.kind == DATA => {
                assert_eq!(frame.payload, numbered(place, 5000));
                place += 1;
                if place % 500 == 0 {
                    thread::sleep(ms(30));
                }
            }
            Got::Frame(_) => {}
            Got::Eof => break,
            other => panic!("{other:?}"),
        }
    }
    sends.join().unwrap();
    assert!(place > 2000, "{place} messages");
    let down = rig.log.down().1;
    assert_eq!(down.unsent_frames, 3000 - place as u64);
}
