//! What arrived is handed on before any end is reported, and what was accepted is delivered by an
//! orderly close, or its loss is counted. Lessons 58, 59, 74, 75.

use std::io::Write;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use peerbeat::link::{DownReason, Link, LinkEvent, LinkOptions, SendError, Stream};
use peerbeat::protocol::{Bye, ByeCode, Decoded, Framing, Heartbeat, Native, ProtocolError};

use crate::accept::accept;
use crate::mock::{DATA, LONG, bye, frame, heartbeat};
use crate::pipe::pipe;
use crate::rig::{Log, Rig, Seen, ms, notes, options, wait_for};

/// Two links on one connection, and what each reports.
fn pair(
    options: [&LinkOptions; 2],
    act: impl FnMut(&Link<TcpStream>, &Seen) + Send + 'static,
) -> ([Link; 2], [Log; 2]) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = accept(&listener);
    let (near_notes, near_log) = notes(|_, _| {});
    let (far_notes, far_log) = notes(act);
    let start = |stream, options, notes| {
        Link::start_with(stream, Native::default(), options, notes).unwrap()
    };
    let links = [start(near, options[0], near_notes), start(far, options[1], far_notes)];
    (links, [near_log, far_log])
}

fn messages(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| matches!(seen, Seen::Message(_))).count()
}

// lesson 58
#[test]
fn all_that_arrived_is_handed_on_with_its_goodbye_though_every_write_fails() {
    let mut batch = frame(DATA, b"of a batch").repeat(300);
    batch.extend(bye(0, b"that was all"));
    let (theirs, ours) = pipe(batch.len());
    ours.break_writes();
    // All of it is there before the link is: how fast this thread writes decides nothing.
    let mut rest = &batch[..];
    while !rest.is_empty() {
        rest = &rest[Stream::write(&theirs, rest).unwrap()..];
    }
    let (notes, log) = notes(|link: &Link<_>, seen| {
        if matches!(seen, Seen::Message(_)) {
            let _broken = link.send(b"an answer");
            thread::sleep(ms(1));
        }
    });
    let options = options(20, 60_000);
    let _link = Link::start_with(ours, Native::default(), &options, notes).unwrap();
    let (seen, down) = log.until_down();
    assert_eq!((messages(&seen), down.reason.as_str()), (300, "closed"), "{down}");
}

// lesson 58
#[test]
fn a_batch_that_ends_in_order_is_read_whole_by_a_slow_handler_that_answers() {
    let rig = Rig::acting(&options(20, 60_000), |link, seen| {
        if matches!(seen, Seen::Message(_)) {
            let _broken = link.send(b"an answer");
            thread::sleep(ms(1));
        }
    });
    let mut batch = frame(DATA, &[7; 100]).repeat(300);
    batch.extend(bye(0, b"done"));
    let mut stream = rig.mock.stream.try_clone().unwrap();
    stream.write_all(&batch).unwrap();
    rig.log.message();
    // Closed with what we sent unread: our next write draws a reset.
    drop((stream, rig.mock));
    let (seen, down) = rig.log.until_down();
    assert_eq!((messages(&seen) + 1, down.reason.as_str()), (300, "closed"), "{down}");
}

// lessons 59, 75
#[test]
fn a_close_waits_until_a_slow_peer_has_read_all() {
    // Two thousand short sleeps are long ones on a busy machine.
    let near = options(20, 600_000).close_timeout(LONG * 10).close_max(LONG * 10);
    let (links, logs) = pair([&near, &options(20, 600_000)], |_, seen| {
        if matches!(seen, Seen::Message(_)) {
            thread::sleep(Duration::from_micros(200));
        }
    });
    let [link, _peer] = &links;
    for _ in 0..2000 {
        link.send(&[1; 1000]).unwrap();
    }
    link.close();
    let (seen, down) = logs[1].until_down();
    assert_eq!((messages(&seen), down.reason.as_str()), (2000, "closed"));
    let down = logs[0].down().1;
    assert_eq!(down.reason, DownReason::Local { detail: String::new() });
    assert_eq!((down.unsent_frames, down.unconfirmed_bytes), (0, Some(0)), "{down:?}");
}

// lesson 59
#[test]
fn what_a_peer_that_vanishes_may_not_have_read_is_counted() {
    let rig = Rig::new(&options(60_000, 60_000));
    // The heartbeat that announces our value goes out by itself, before or after the message.
    wait_for("our value is out", || rig.link.stats().heartbeats_sent == 1);
    rig.link.send(&[1; 1000]).unwrap();
    wait_for("it is out", || rig.link.stats().queued_bytes == 0);
    let sent = rig.link.stats().bytes_sent;
    rig.link.close();
    let down = rig.log.down().1;
    // The mock keeps its end open, and echoes nothing.
    assert_eq!(down.unconfirmed_bytes, Some(sent + 6), "all of it and the goodbye: {down:?}");
}

#[test]
fn two_drains_at_once_lose_nothing() {
    let patient = options(20, 60_000).close_timeout(LONG).close_max(LONG);
    // A side that is said goodbye accepts nothing more and closes: the far one hears of nothing
    // until both drains have begun, and the near one begins first.
    let (begun, held) = mpsc::channel::<()>();
    let (links, logs) = pair([&patient, &patient], move |_, seen| {
        if matches!(seen, Seen::Message(_)) {
            let _both_drain = held.recv();
        }
    });
    for link in &links {
        for _ in 0..500 {
            link.send(&[2; 700]).unwrap();
        }
    }
    let counts = thread::scope(|scope| {
        let drains = links.each_ref().map(|link| {
            let drain = scope.spawn(|| link.drain(LONG));
            wait_for("the drain to begin", || !link.is_up());
            drain
        });
        drop(begun);
        drains.map(|drain| drain.join().unwrap())
    });
    assert_eq!(counts, [true; 2], "each saw the other's end of stream");
    for log in &logs {
        let (seen, down) = log.until_down();
        assert_eq!((messages(&seen), down.reason.as_str()), (500, "local"));
        assert_eq!((down.unsent_frames, down.undelivered_frames), (0, 0));
    }
}

#[test]
fn a_drain_of_a_link_whose_peer_says_nothing_ends_in_its_time() {
    let rig = Rig::new(&options(60_000, 60_000));
    let began = std::time::Instant::now();
    assert!(!rig.link.drain(ms(200)), "the mock keeps its end open");
    assert!(began.elapsed() >= ms(195));
    assert!(began.elapsed() < ms(20_000), "{:?}", began.elapsed());
}

#[test]
fn what_arrived_before_an_end_of_this_side_is_counted() {
    let (returns, held) = mpsc::channel::<()>();
    let rig = Rig::acting(&options(60_000, 60_000), move |_, seen| {
        if matches!(seen, Seen::Message(_)) {
            let _test_is_over = held.recv();
        }
    });
    rig.mock.say(&frame(DATA, b"in hand").repeat(20));
    rig.log.message();
    rig.link.end(DownReason::Replaced, None);
    drop(returns);
    let (seen, down) = rig.log.until_down();
    assert_eq!((messages(&seen), down.reason), (0, DownReason::Replaced));
    assert_eq!(down.undelivered_frames, 19);
}

#[test]
fn what_arrived_before_our_write_stalled_is_handed_on_or_counted_though_the_handler_is_busy() {
    let rig = Rig::acting(&options(60, 240), |_, seen| {
        if matches!(seen, Seen::Message(_)) {
            thread::sleep(ms(30));
        }
    });
    rig.mock.say(&frame(DATA, &[9; 1000]).repeat(50));
    rig.log.message();
    // The peer reads nothing of this.
    while rig.link.try_send(&[1; 1 << 20]).is_ok() {}
    let (seen, down) = rig.log.until_down();
    assert_eq!(down.reason.as_str(), "write-stalled");
    assert_eq!(1 + messages(&seen) as u64 + down.undelivered_frames, 50, "{down:?}");
}

#[test]
fn what_arrived_before_a_link_was_replaced_is_handed_on_or_counted_though_the_handler_is_busy() {
    let rig = Rig::acting(&options(60_000, 60_000), |_, seen| {
        if matches!(seen, Seen::Message(_)) {
            thread::sleep(ms(10));
        }
    });
    rig.mock.say(&frame(DATA, &[9; 1000]).repeat(50));
    rig.log.message();
    let bye = Bye { code: ByeCode::CLOSE, text: "replaced by a newer connection" };
    rig.link.end(DownReason::Replaced, Some(&bye));
    let (seen, down) = rig.log.until_down();
    assert_eq!(down.reason, DownReason::Replaced);
    assert_eq!(1 + messages(&seen) as u64 + down.undelivered_frames, 50, "{down:?}");
}

#[test]
fn a_frame_limit_below_a_heartbeat_is_no_limit_of_heartbeats() {
    for frame_max in [1, 16, 28] {
        let (near, far) = crate::mock::tcp_pair();
        let ends = [near, far].map(|stream| {
            let (notes, log) = notes(|_, _| {});
            let framing = Native::with_frame_max(frame_max);
            let options = options(20, 60_000).frame_max(frame_max);
            (Link::start_with(stream, framing, &options, notes).unwrap(), log)
        });
        for (link, _) in &ends {
            wait_for("three heartbeats", || link.stats().heartbeats_received >= 3);
            // The type is a byte of the frame.
            assert_eq!(link.send(&vec![7; frame_max - 1]), Ok(()));
            assert!(matches!(link.send(&vec![7; frame_max]), Err(SendError::Unfit(_))));
        }
        for (_, log) in &ends {
            assert_eq!(log.message(), vec![7; frame_max - 1]);
        }
    }
}

/// The native protocol, of which one message panics when it is half encoded.
struct Bomb;

impl Framing for Bomb {
    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        Native::default().decode(bytes)
    }

    fn encode_data(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        Native::default().encode_data(payload, out)?;
        match payload {
            b"bomb" => {
                out.truncate(out.len() - 2);
                panic!("on purpose: half a frame is encoded");
            }
            b"bad" => Err(ProtocolError::Foreign { detail: "on purpose".to_owned() }),
            _ => Ok(()),
        }
    }

    fn encode_heartbeat(&self, heartbeat: &Heartbeat, out: &mut Vec<u8>) {
        Native::default().encode_heartbeat(heartbeat, out);
    }
}

#[test]
fn a_message_that_panics_half_encoded_leaves_nothing_behind() {
    let (stream, mut mock) = crate::mock::Mock::pair();
    let ignore = |_: &Link<TcpStream, Bomb>, _: &[u8]| {};
    let link = Link::start_with(stream, Bomb, &options(0, 60_000), ignore).unwrap();
    for payload in [&b"bomb"[..], b"bad", b"good", b"bomb", b"good"] {
        let _result = catch_unwind(AssertUnwindSafe(|| link.send(payload)));
    }
    for _ in 0..2 {
        assert_eq!(mock.no_heartbeat().payload, b"good");
    }
    assert_eq!(link.stats().messages_accepted, 2);
}

#[test]
fn what_was_accepted_before_a_message_that_panics_is_written() {
    let (stream, mut mock) = crate::mock::Mock::pair();
    let ignore = |_: &Link<TcpStream, Bomb>, _: &[u8]| {};
    let link = Link::start_with(stream, Bomb, &options(0, 60_000), ignore).unwrap();
    // The sender thread has had its first look, and sleeps.
    thread::sleep(ms(300));
    let all = || link.send_all(&[&b"good"[..], b"bomb"]);
    assert!(catch_unwind(AssertUnwindSafe(all)).is_err());
    assert_eq!(link.stats().messages_accepted, 1);
    // LONG passes without it: no heartbeat comes, and no other message.
    wait_for("what is accepted has a writer", || link.stats().queued_messages == 0);
    assert_eq!(mock.no_heartbeat().payload, b"good");
}

/// A socket that panics in a write of a message.
struct Falls(TcpStream, bool);

impl Stream for Falls {
    as_socket! { 0: read shutdown timeouts }

    fn write(&self, bytes: &[u8]) -> std::io::Result<usize> {
        assert!(!self.1, "on purpose");
        Stream::write(&self.0, bytes)
    }
}

#[test]
fn a_link_that_panics_in_a_flush_leaves_the_others_of_the_batch_theirs() {
    let start = |falls| {
        let (stream, mock) = crate::mock::Mock::pair();
        let ignore = |_: &Link<Falls>, _: &[u8]| {};
        let stream = Falls(stream, falls);
        (Link::start_with(stream, Native::default(), &options(0, 60_000), ignore).unwrap(), mock)
    };
    let panics = || {
        let ((falls, _mock), (whole, mock)) = (start(true), start(false));
        let mut batch = peerbeat::link::Batch::new();
        batch.try_send(&falls, b"lost").unwrap();
        batch.try_send(&whole, b"good").unwrap();
        let flushed = catch_unwind(AssertUnwindSafe(|| batch.flush()));
        flushed.is_err().then_some((batch, whole, mock))
    };
    // A sender thread that starts late takes along what is held back.
    let (mut batch, whole, mut mock) = (0..100).find_map(|_| panics()).expect("one of a hundred");
    batch.try_send(&whole, b"more").unwrap();
    batch.flush();
    drop(batch);
    wait_for("what is accepted has a writer", || whole.stats().queued_messages == 0);
    assert_eq!(mock.no_heartbeat().payload, b"good");
}

#[test]
fn a_value_is_heard_before_the_data_it_came_with_is_handed_on() {
    let (to, values) = mpsc::channel();
    let rig = Rig::acting(&options(60_000, 60_000), move |link, seen| {
        if matches!(seen, Seen::Message(_)) {
            to.send(link.heartbeat_time()).unwrap();
        }
    });
    rig.mock.say(&[frame(DATA, b"first"), heartbeat(100)].concat());
    assert_eq!(values.recv_timeout(LONG).unwrap(), Some(ms(100)));
}

// lesson 74
#[test]
fn a_hung_handler_is_seen_at_both_ends() {
    let hangs = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&hangs);
    let both = options(50, 250);
    let (links, logs) = pair([&both, &both], move |_, seen| {
        if matches!(seen, Seen::Message(_)) && counts.fetch_add(1, Ordering::SeqCst) == 0 {
            thread::sleep(ms(2000));
        }
    });
    links[0].send(b"hang").unwrap();
    wait_for("it hangs", || links[1].state().handler_held > ms(400));
    let behind = |event: &LinkEvent| match event {
        LinkEvent::NotReading { behind } => Some(*behind),
        _ => None,
    };
    let (_, behind) = logs[0].event(behind);
    assert!(behind > ms(300), "{behind:?}");
    let held = |event: &LinkEvent| match event {
        LinkEvent::HandlerBusy { held } => Some(*held),
        _ => None,
    };
    let (_, held) = logs[1].event(held);
    assert!(held >= ms(2000), "{held:?}");
    wait_for("it is back", || links[1].state().handler_held == Duration::ZERO);
    assert!(links.iter().all(Link::is_up));
}
