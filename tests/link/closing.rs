//! We end the link: in order, in bounded time, whatever the peer does.

use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{DownReason, Link, Options, SendError};
use peerbeat::protocol::{Bye, ByeCode, Native};

use crate::mock::{BYE, DATA, Got, LONG, frame, heartbeat, tcp_pair};
use crate::rig::{Rig, Told, assert_soon, fill, ms, notes, numbered, options};

fn local() -> DownReason {
    DownReason::Local { detail: String::new() }
}

#[test]
fn close_writes_what_was_accepted_and_then_bye() {
    let options = Options { close_timeout: LONG, ..options(60_000, 60_000) };
    let mut rig = Rig::new(&options);
    let sent = fill(&rig.link, 50_000);
    let began = Instant::now();
    rig.link.close();
    assert!(began.elapsed() < ms(500), "close waited {:?}", began.elapsed());
    assert!(matches!(rig.link.send(b"too late"), Err(SendError::Down(_))));
    let (frames, end) = rig.mock.rest();
    let data: Vec<_> = frames.iter().filter(|frame| frame.kind == DATA).collect();
    assert_eq!(data.len(), sent.len());
    assert!(data.iter().zip(&sent).all(|(frame, message)| frame.payload == **message));
    let last = frames.last().unwrap();
    assert_eq!((last.kind, &last.payload[..]), (BYE, &[0][..]));
    assert_eq!(end, Got::Eof);
    let down = rig.log.down().1;
    assert_eq!(down.reason, local());
    assert_eq!((down.unsent_frames, down.unsent_bytes), (0, 0));
}

#[test]
fn close_inside_the_handler_ends_the_link() {
    // lesson 46
    let mut rig = Rig::acting(&options(60_000, 60_000), |link, told| {
        if matches!(told, Told::Message(_)) {
            link.send(b"answer").unwrap();
            link.close();
            link.close();
            assert_eq!(link.wait_down(LONG), None, "it would wait for itself");
        }
    });
    rig.mock.say(&frame(DATA, b"please close").repeat(3));
    let (frames, end) = rig.mock.rest();
    assert_eq!(frames.iter().filter(|frame| frame.kind == DATA).count(), 1);
    assert_eq!(frames.last().unwrap().kind, BYE);
    assert_eq!(end, Got::Eof);
    let (told, down) = rig.log.until_down();
    assert_eq!((told.len(), down.reason), (1, local()), "{told:?}");
}

#[test]
fn close_from_both_ends_at_once_is_clean_on_both() {
    // lesson 40
    for _ in 0..50 {
        let (one, two) = tcp_pair();
        let options = options(100, 5000);
        let links = [one, two].map(|stream| {
            let (notes, log) = notes(|_, _| {});
            (Link::start(stream, Native::default(), &[], &options, notes).unwrap(), log)
        });
        thread::scope(|scope| {
            for (link, _) in &links {
                scope.spawn(|| link.close());
            }
        });
        for (link, log) in links {
            let (_, down) = log.until_down();
            let word = down.reason.word();
            assert!(word == "local" || word == "closed", "{down}");
            assert_eq!(link.wait_down(LONG), Some(down));
            assert!(log.events().is_empty());
        }
    }
}

#[test]
fn end_with_a_bye_drops_what_is_queued_and_says_why() {
    let options = Options { queue_bytes: 3_000_000, ..options(60_000, 60_000) };
    let mut rig = Rig::new(&options);
    let sent = fill(&rig.link, 70_000);
    // Give the kernel room for the rest of the frame that is partly out, and the goodbye.
    let first = rig.mock.no_heartbeat();
    assert!(first.payload == sent[0]);
    let bye = Bye { code: ByeCode::TOO_MANY, text: "enough" };
    let detail = "too many".to_owned();
    rig.link.end(DownReason::Local { detail: detail.clone() }, Some(&bye));
    let (frames, end) = rig.mock.rest();
    let down = rig.log.down().1;
    assert_eq!(down.reason, DownReason::Local { detail });
    let data = frames.iter().filter(|frame| frame.kind == DATA);
    let arrived = 1 + data.enumerate().fold(0, |count, (place, frame)| {
        assert!(frame.payload == numbered(place + 1, 70_000));
        count + 1
    });
    assert!(down.unsent_frames > 10, "{down:?}");
    assert_eq!(down.unsent_frames, (sent.len() - arrived) as u64);
    let last = frames.last().unwrap();
    assert_eq!((last.kind, &last.payload[..]), (BYE, &b"\x07enough"[..]));
    assert_eq!((end, rig.mock.held()), (Got::Eof, 0));
}

#[test]
fn abrupt_end_is_seen_by_the_peer_at_once_and_has_no_bye() {
    let mut rig = Rig::new(&options(60_000, 60_000));
    let began = Instant::now();
    rig.link.end(DownReason::Replaced, None);
    let (frames, end) = rig.mock.rest();
    assert!(frames.iter().all(|frame| frame.kind != BYE));
    assert_eq!(end, Got::Eof);
    assert_soon(began, Instant::now(), "the end");
    assert_eq!(rig.log.down().1.reason, DownReason::Replaced);
}

#[test]
fn a_panic_of_the_handlers_ends_the_link_as_local_with_a_bye() {
    let mut rig = Rig::acting(&options(60_000, 60_000), |_, told| {
        if matches!(told, Told::Message(_)) {
            panic!("on purpose: the handler's mistake");
        }
    });
    // More than one read takes, so that bytes are unread at the end.
    rig.mock.say(&frame(DATA, &[1; 50_000]).repeat(20));
    let (frames, end) = rig.mock.rest();
    assert_eq!(frames.last().expect("a BYE").kind, BYE);
    assert_eq!(end, Got::Eof);
    let down = rig.link.wait_down(LONG).expect("it ends");
    assert_eq!(down.reason.word(), "local");
    assert!(down.to_string().contains("panicked"), "{down}");
}

#[test]
fn stopping_does_not_wait_for_the_interval() {
    // lesson 48
    let rig = Rig::new(&options(3_600_000, 3_600_000));
    thread::sleep(ms(50));
    let began = Instant::now();
    rig.link.close();
    let (at, _) = rig.log.down();
    assert!(at - began < ms(1000), "{:?}", at - began);
}

#[test]
fn wait_down_waits_no_longer_than_told() {
    let rig = Rig::new(&options(60_000, 60_000));
    let began = Instant::now();
    assert_eq!(rig.link.wait_down(ms(150)), None);
    assert!(began.elapsed() >= ms(150));
    let link = rig.link.clone();
    let waits = thread::spawn(move || link.wait_down(Duration::MAX));
    thread::sleep(ms(20));
    rig.link.close();
    assert_eq!(waits.join().unwrap().unwrap().reason, local());
}

#[test]
fn a_reader_dropped_without_a_run_ends_the_link() {
    let (stream, mut mock) = crate::mock::Mock::pair();
    let options = options(50, 100);
    let (link, reader) = Link::establish(stream, Native::default(), &[], &options).unwrap();
    mock.say(&heartbeat(50));
    mock.frame();
    drop(reader);
    let down = link.down().expect("ended when the reader was dropped");
    assert_eq!(down.reason, local());
    assert!(!link.is_up());
    let (_, end) = mock.rest();
    assert!(matches!(end, Got::Eof | Got::Reset), "{end:?}");
    assert!(matches!(link.send(b"x"), Err(SendError::Down(_))));
}

#[test]
fn bytes_read_with_the_handshake_are_the_first_that_are_told() {
    let (stream, mock) = crate::mock::Mock::pair();
    let mut first = frame(DATA, b"one");
    first.extend_from_slice(&frame(DATA, b"two")[..4]);
    let (notes, log) = notes(|_, _| {});
    let _link =
        Link::start(stream, Native::default(), &first, &options(60_000, 5000), notes).unwrap();
    assert_eq!(log.message(), b"one");
    mock.say(&frame(DATA, b"two")[4..]);
    assert_eq!(log.message(), b"two");
}
