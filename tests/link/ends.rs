//! How the peer ends a link, and what we report about it.

use std::thread;
use std::time::Instant;

use peerbeat::link::{Down, DownReason, Link, SendError, Stream};
use peerbeat::protocol::{ByeCode, Native};

use crate::mock::{BYE, DATA, Frame, Got, LONG, Mock, bye, frame, heartbeat, timed_heartbeat};
use crate::pipe::pipe;
use crate::rig::{Rig, assert_soon, ms, notes, options, wait_for};

fn word(down: &Down) -> &'static str {
    down.reason.as_str()
}

#[test]
fn bytes_that_break_the_protocol_end_the_link_and_are_answered_with_bye_4() {
    let hello = frame(1, b"PBHB\x01\x00\x00\x00\x00\x00\x04name\x00");
    let cases: [(&str, Vec<u8>); 12] = [
        ("length 0", vec![0, 0, 0, 0]),
        ("length above the limit", vec![1, 0, 0, 1]),
        ("greatest length", vec![0xff; 4]),
        ("second HELLO", hello),
        ("empty HEARTBEAT", frame(2, b"")),
        ("short HEARTBEAT", frame(2, &[0, 0, 1])),
        ("empty BYE", frame(BYE, b"")),
        ("BYE that is not UTF-8", bye(0, [0xc3, 0x28])),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("text", b"hello there, I am no peer of yours".to_vec()),
        ("bad after good", [frame(DATA, b"fine"), heartbeat(100), vec![0; 4]].concat()),
    ];
    for (name, bytes) in cases {
        let mut rig = Rig::new(&options(60_000, 5000));
        rig.mock.frame();
        let said = rig.mock.say(&bytes);
        let (at, down) = rig.log.down();
        assert_eq!(word(&down), "protocol", "{name}: {down}");
        assert_soon(said, at, name);
        let (frames, end) = rig.mock.rest();
        let last = frames.last().unwrap_or_else(|| panic!("{name}: no BYE"));
        assert_eq!((last.kind, last.payload[0]), (BYE, 4), "{name}");
        assert!(last.payload.len() > 5, "{name}: says nothing");
        assert_eq!(end, Got::Eof, "{name}");
    }
}

#[test]
fn what_a_later_version_may_send_is_accepted() {
    let rig = Rig::new(&options(60_000, 5000));
    let mut longer = timed_heartbeat(30_000, [1, 0, 0]);
    longer[3] += 5;
    longer.extend_from_slice(b"later");
    let bytes = [
        frame(5, b"a type of a later version"),
        frame(0, b""),
        frame(255, &[0; 70_000]),
        longer,
        frame(2, &[0, 0, 0x4e, 0x20, 9, 9, 9]),
        frame(DATA, b"still understood"),
    ];
    rig.mock.say(&bytes.concat());
    assert_eq!(rig.log.message(), b"still understood");
    assert_eq!(rig.link.heartbeat_time(), Some(ms(20_000)));
    assert_eq!(rig.link.stats().heartbeats_received, 2);
}

#[test]
fn the_end_of_the_stream_is_eof() {
    let rig = Rig::new(&options(60_000, 5000));
    rig.mock.say(&frame(DATA, b"last words"));
    let finished = Instant::now();
    rig.mock.finish();
    let (seen, down) = rig.log.until_down();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(down.reason, DownReason::Eof);
    assert_soon(finished, Instant::now(), "eof");
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_eof_and_yields_no_message() {
    let rig = Rig::new(&options(60_000, 5000));
    rig.mock.say(&frame(DATA, b"cut off")[..8]);
    rig.mock.finish();
    let (seen, down) = rig.log.until_down();
    assert!(seen.is_empty() && down.reason == DownReason::Eof, "{seen:?} {down}");
}

#[test]
fn a_reset_is_io() {
    let mut rig = Rig::new(&options(0, 5000));
    rig.link.send(b"unread").unwrap();
    let mut one = [0];
    rig.mock.stream.peek(&mut one).unwrap();
    // Linux resets a connection that is closed with bytes unread.
    rig.mock = Mock::pair().1;
    let down = rig.log.down().1;
    assert_eq!(word(&down), "io", "{down}");
    let DownReason::Io { kind, message } = &down.reason else { unreachable!() };
    assert_eq!(*kind, std::io::ErrorKind::ConnectionReset);
    assert!(!message.is_empty());
}

#[test]
fn a_bye_is_closed_with_its_code_and_escaped_text() {
    // lesson 54
    let rig = Rig::new(&options(60_000, 5000));
    rig.mock.say(&bye(6, "down for \x1b[31mmaintenance\nx".as_bytes()));
    let down = rig.log.down().1;
    let text = "down for \x1b[31mmaintenance\nx".to_owned();
    assert_eq!(down.reason, DownReason::Closed { code: ByeCode::SHUTTING_DOWN, text });
    let shown = down.reason.to_string();
    assert_eq!(shown, "shutting down: down for \\u{1b}[31mmaintenance\\nx");

    let rig = Rig::new(&options(60_000, 5000));
    rig.mock.say(&bye(200, b""));
    assert_eq!(rig.log.down().1.reason.to_string(), "closed, code 200");
}

#[test]
fn messages_before_a_bye_arrive_and_none_after_it() {
    let rig = Rig::new(&options(60_000, 5000));
    rig.mock.say(&[frame(DATA, b"before"), bye(0, b""), frame(DATA, b"after")].concat());
    let (seen, down) = rig.log.until_down();
    assert_eq!(word(&down), "closed");
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[test]
fn a_bye_is_found_behind_a_write_that_failed() {
    // Our write fails before the reader has come to the goodbye that explains it.
    let (ours, theirs) = pipe(1000);
    ours.break_writes();
    Stream::write(&theirs, &frame(DATA, b"and then")).unwrap();
    let (notes, log) = notes(|link: &Link<_>, _| {
        if link.is_up() {
            let failed = link.send(b"an answer");
            assert!(matches!(failed, Err(SendError::Down(_))), "{failed:?}");
            thread::sleep(ms(20));
        }
    });
    let _link = Link::start_with(ours, Native::default(), &options(0, 5000), notes).unwrap();
    Stream::write(&theirs, &bye(0, b"so long")).unwrap();
    let down = log.down().1;
    assert_eq!(word(&down), "closed", "{down}");
}

#[test]
fn a_write_that_fails_with_nothing_to_explain_it_is_io() {
    let (ours, _theirs) = pipe(1000);
    ours.break_writes();
    let (notes, log) = notes(|_: &Link<_>, _| {});
    let link = Link::start_with(ours, Native::default(), &options(0, 5000), notes).unwrap();
    let began = Instant::now();
    let Err(SendError::Down(reason)) = link.send(b"lost") else { panic!("accepted") };
    assert_eq!(reason.as_str(), "io");
    let (at, down) = log.down();
    assert_eq!(down.reason, reason);
    assert_eq!((down.unsent_frames, down.unsent_bytes), (0, 0), "the caller got the error");
    assert_soon(began, at, "the end");
}

#[test]
fn a_tcp_bye_wins_over_the_reset_that_follows_it() {
    // BYE, then a close with our data unread: the kernel resets. The reader finds the BYE first.
    for round in 0..20 {
        let (stream, mock) = Mock::pair();
        let (notes, log) = notes(|_, _| {});
        let link = Link::start_with(stream, Native::default(), &options(0, 5000), notes).unwrap();
        let sender = link.clone();
        let sends = thread::spawn(move || while sender.send(b"unread").is_ok() {});
        mock.stream.peek(&mut [0]).unwrap();
        thread::sleep(ms(round % 5));
        mock.say(&bye(0, b"so long"));
        drop(mock);
        let down = log.down().1;
        assert_eq!(word(&down), "closed", "round {round}: {down}");
        sends.join().unwrap();
    }
}

#[test]
fn the_account_of_an_end_is_true() {
    // lesson 54
    let mut rig = Rig::new(&options(200, 5000));
    rig.mock.say(&heartbeat(150));
    wait_for("hearing it", || rig.link.stats().heartbeats_received == 1);
    thread::sleep(ms(300));
    rig.link.send(b"something").unwrap();
    thread::sleep(ms(50));
    rig.mock.finish();
    let (at, down) = rig.log.down();
    assert_eq!(down.heartbeat_time, Some(ms(150)));
    assert_eq!((down.limit, down.slack), (Some(ms(5150)), ms(5000)));
    assert!(down.up >= ms(350) && down.up <= at - rig.before, "{down:?}");
    assert!(down.silence >= ms(200) && down.silence <= down.up, "{down:?}");
    assert!(down.last_sent_age <= down.silence, "{down:?}");
    assert_eq!((down.unsent_frames, down.unsent_bytes), (0, 0));
    assert_eq!(rig.link.down(), Some(down));
    let (frames, _) = rig.mock.rest();
    let data: Vec<&Frame> = frames.iter().filter(|frame| frame.kind == DATA).collect();
    assert_eq!(data.len(), 1);
    assert_eq!(rig.link.wait_down(LONG), rig.link.down());
}

#[test]
fn a_reset_is_io_even_if_a_write_meets_it_first() {
    // The kernel reports an error of the socket once, to the call that comes first.
    for round in 0..30 {
        let (stream, mock) = Mock::pair();
        let (notes, log) = notes(|_, _| {});
        let link = Link::start_with(stream, Native::default(), &options(0, 5000), notes).unwrap();
        let sender = link.clone();
        let sends = thread::spawn(move || while sender.send(&[0; 50_000]).is_ok() {});
        mock.stream.peek(&mut [0]).unwrap();
        thread::sleep(ms(round % 10));
        drop(mock);
        let down = log.down().1;
        assert_eq!(word(&down), "io", "round {round}: {down}");
        sends.join().unwrap();
    }
}
