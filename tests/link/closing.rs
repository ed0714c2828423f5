//! We end the link: in order, in bounded time, whatever the peer does.

use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{DownReason, Link, SendError};
use peerbeat::protocol::{Bye, ByeCode, Native};

use crate::mock::{BYE, DATA, Got, LONG, frame, heartbeat, tcp_pair};
use crate::pipe::pipe;
use crate::rig::{Rig, Seen, assert_soon, fill, fill_narrow, ms, notes, numbered, options};

fn local() -> DownReason {
    DownReason::Local { detail: String::new() }
}

#[test]
fn close_writes_what_was_accepted_and_then_bye() {
    let options = options(60_000, 60_000).close_timeout(LONG);
    let mut rig = Rig::new(&options);
    let sent = fill(&rig.link, 50_000);
    let began = Instant::now();
    rig.link.close();
    assert_soon(began, Instant::now(), "close");
    assert!(matches!(rig.link.send(b"too late"), Err(SendError::Down(_))));
    let (frames, end) = rig.mock.rest();
    let data: Vec<_> = frames.iter().filter(|frame| frame.kind == DATA).collect();
    assert_eq!(data.len(), sent.len());
    assert!(data.iter().zip(&sent).all(|(frame, message)| frame.payload == **message));
    let last = frames.last().unwrap();
    assert_eq!((last.kind, &last.payload[..]), (BYE, &[0][..]));
    assert_eq!(end, Got::Eof);
    assert!(rig.link.down().is_none(), "it waits for the peer's end of stream");
    rig.mock.stream.shutdown(std::net::Shutdown::Both).unwrap();
    let down = rig.log.down().1;
    assert_eq!(down.reason, local());
    assert_eq!((down.unsent_frames, down.unsent_bytes), (0, 0));
    assert_eq!(down.unconfirmed_bytes, Some(0), "the peer ended its stream on our goodbye");
}

#[test]
fn close_inside_the_handler_ends_the_link() {
    // lesson 46
    let mut rig = Rig::acting(&options(60_000, 60_000), |link, seen| {
        if matches!(seen, Seen::Message(_)) {
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
    let (seen, down) = rig.log.until_down();
    assert_eq!((seen.len(), down.reason), (1, local()), "{seen:?}");
}

#[test]
fn close_from_both_ends_at_once_is_clean_on_both() {
    // lesson 40
    for _ in 0..50 {
        let (one, two) = tcp_pair();
        let options = options(100, 5000);
        let links = [one, two].map(|stream| {
            let (notes, log) = notes(|_, _| {});
            (Link::start_with(stream, Native::default(), &options, notes).unwrap(), log)
        });
        thread::scope(|scope| {
            for (link, _) in &links {
                scope.spawn(|| link.close());
            }
        });
        for (link, log) in links {
            let (seen, down) = log.until_down();
            let word = down.reason.as_str();
            assert!(word == "local" || word == "closed", "{down}");
            assert_eq!(link.wait_down(LONG), Some(down));
            let after = log.so_far();
            assert!(seen.is_empty() && after.is_empty(), "{seen:?} {after:?}");
        }
    }
}

#[test]
fn end_with_a_bye_drops_what_is_queued_and_says_why() {
    let options = options(60_000, 60_000).queue_bytes(3_000_000);
    let (mut rig, door) = Rig::narrow(&options);
    let sent = fill_narrow(&rig.link, 70_000);
    let first = rig.mock.no_heartbeat();
    assert!(first.payload == sent[0]);
    // At the end there is room for the rest of the frame that is partly out, and the goodbye.
    let link = rig.link.clone();
    door.open_when(move || !link.is_up(), 71_000);
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
fn a_goodbye_is_written_even_if_the_sender_comes_to_it_late() {
    // Its time was over before the sender thread had any: on a starved machine that is usual.
    let (ours, theirs) = pipe(1000);
    ours.slow_writes(ms(120));
    let (notes, log) = notes(|_: &Link<_>, _| {});
    let link = Link::start_with(ours, Native::default(), &options(60_000, 100), notes).unwrap();
    thread::sleep(ms(40));
    link.end(DownReason::Replaced, Some(&Bye { code: ByeCode::ALREADY_CONNECTED, text: "new" }));
    let all = theirs.read_all();
    assert!(all.ends_with(b"\x00\x00\x00\x05\x04\x02new"), "{all:?}");
    assert_eq!(log.down().1.reason, DownReason::Replaced);
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
    // The end waits no longer than it promises for what the peer still sends; if the mock was
    // starved for longer it was right to reset, and the try proves nothing.
    let mut tries = (0..5).map(|_| {
        let mut rig = Rig::acting(&options(60_000, 60_000), |_, seen| {
            if matches!(seen, Seen::Message(_)) {
                panic!("on purpose: the handler's mistake");
            }
        });
        // More than one read takes, so that bytes are unread at the end.
        let flood = frame(DATA, &[1; 50_000]).repeat(20);
        let _perhaps_cut_off = std::io::Write::write_all(&mut rig.mock.stream, &flood);
        thread::sleep(ms(100));
        let (frames, end) = rig.mock.rest();
        let down = rig.link.wait_down(LONG).expect("it ends");
        assert_eq!(down.reason.as_str(), "local");
        assert!(down.to_string().contains("panicked"), "{down}");
        // A reset may destroy the BYE.
        end == Got::Eof && frames.last().is_some_and(|frame| frame.kind == BYE)
    });
    assert!(tries.any(|has_bye| has_bye));
}

#[test]
fn stopping_does_not_wait_for_the_interval() {
    // lesson 48
    let rig = Rig::new(&options(3_600_000, 3_600_000));
    thread::sleep(ms(50));
    let began = Instant::now();
    rig.link.close();
    let (at, _) = rig.log.down();
    assert_soon(began, at, "the end");
}

#[test]
fn wait_down_waits_no_longer_than_asked() {
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
#[cfg(target_os = "linux")]
fn a_thread_that_waits_for_the_end_is_not_woken_by_traffic() {
    let mut rig = Rig::new(&options(60_000, 60_000));
    let link = rig.link.clone();
    let waits = thread::spawn(move || {
        let before = switches();
        let ended = link.wait_down(LONG).is_some();
        (ended, switches() - before)
    });
    thread::sleep(ms(50));
    for _ in 0..500 {
        rig.link.send(b"tick").unwrap();
        assert_eq!(rig.mock.no_heartbeat().payload, b"tick");
    }
    rig.link.close();
    let (ended, woken) = waits.join().unwrap();
    assert!(ended && woken < 50, "woken {woken} times");
}

/// How often the calling thread has waited so far.
#[cfg(target_os = "linux")]
fn switches() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary")).unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn a_reader_dropped_without_a_run_ends_the_link() {
    let (stream, mut mock) = crate::mock::Mock::pair();
    let options = options(50, 100);
    let (link, reader) = Link::establish(stream, Native::default(), &options).unwrap();
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
fn bytes_read_with_the_handshake_are_the_first_messages() {
    let (stream, mock) = crate::mock::Mock::pair();
    let mut first = frame(DATA, b"one");
    first.extend_from_slice(&frame(DATA, b"two")[..4]);
    let (notes, log) = notes(|_, _| {});
    let options = options(60_000, 5000).received(first);
    let _link = Link::start_with(stream, Native::default(), &options, notes).unwrap();
    assert_eq!(log.message(), b"one");
    mock.say(&frame(DATA, b"two")[4..]);
    assert_eq!(log.message(), b"two");
}

#[test]
fn close_with_a_stuck_peer_ends_in_bounded_time_and_counts() {
    // lesson 42; even if the write under way would have waited for longer than that
    for (heartbeat_ms, stuck_for) in [(0, 20), (0, 300), (60_000, 200)] {
        let (rig, _door) = Rig::narrow(&options(heartbeat_ms, 2000));
        let beating = rig.mock.beat(0, ms(50));
        let sent = fill_narrow(&rig.link, 100_000);
        thread::sleep(ms(stuck_for));
        let accepted = rig.link.stats().bytes_sent;
        let began = Instant::now();
        rig.link.close();
        let (at, down) = rig.log.down();
        assert_eq!(down.reason, local());
        assert_soon(began, at, "the end");
        assert!(rig.link.stats().bytes_sent >= accepted);
        assert!(down.unsent_frames > 50 && down.unsent_frames < sent.len() as u64);
        drop(beating);
    }
}

#[test]
fn no_end_has_to_wait_for_a_stuck_write() {
    // lesson 45: the pipe refuses write timeouts over 50 ms, whatever the limit is
    for heartbeat_ms in [0, 60_000] {
        let (ours, _theirs) = pipe(10);
        let (notes, log) = notes(|_: &Link<_>, _| {});
        let options = options(heartbeat_ms, 10_000);
        let link = Link::start_with(ours, Native::default(), &options, notes).unwrap();
        link.try_send(&[0; 100]).unwrap();
        thread::sleep(ms(500));
        link.close();
        assert_eq!(log.down().1.reason, local());
    }
}

#[test]
fn bye_arrives_even_with_data_unread_on_our_side() {
    // A socket that is closed with bytes unread resets, and a reset destroys what is on its way.
    for _ in 0..10 {
        let mut rig = Rig::new(&options(60_000, 60_000));
        let stream = rig.mock.stream.try_clone().unwrap();
        let floods = thread::spawn(move || {
            let bytes = frame(DATA, &[1; 10_000]).repeat(10);
            while std::io::Write::write_all(&mut &stream, &bytes).is_ok() {}
        });
        rig.log.message();
        rig.link.send(b"last words").unwrap();
        rig.link.close();
        assert_eq!(rig.mock.no_heartbeat().payload, b"last words");
        assert_eq!(rig.mock.no_heartbeat().kind, BYE);
        let closed = Instant::now();
        assert_eq!(rig.log.down().1.reason, local());
        // A thread that only writes learns of the end as well, and not after the kernel's minute.
        floods.join().unwrap();
        assert_soon(closed, Instant::now(), "the end for a peer that only writes");
    }
}
