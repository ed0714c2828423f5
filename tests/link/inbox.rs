//! Receiving by asking, over real sockets on the loopback interface.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{DownReason, Inbox, Link, LinkOptions, RecvError};
use peerbeat::liveness::Settings;
use peerbeat::protocol::Native;

use crate::accept::accept;
use crate::rig::options;

const SOON: Duration = Duration::from_millis(200);
const LONG: Option<Duration> = Some(Duration::from_secs(20));
const NOW: Option<Duration> = Some(Duration::ZERO);

fn streams() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, accept(&listener))
}

fn start(stream: TcpStream, options: &LinkOptions, inbox: &Inbox) -> Link {
    Link::start_with(stream, Native::default(), options, inbox.clone()).unwrap()
}

/// A link whose messages come into the inbox, and its peer's end.
fn pair(options: &LinkOptions, inbox: &Inbox) -> (Link, Link) {
    let (near, far) = streams();
    (start(near, options, inbox), start(far, options, &Inbox::default()))
}

#[test]
fn messages_come_in_order_and_the_end_after_the_last() {
    let inbox = Inbox::default();
    let (_link, peer) = pair(&LinkOptions::default(), &inbox);
    assert_eq!(inbox.recv(NOW), Err(RecvError::TimedOut));
    for number in 0..1000_u32 {
        peer.send(&number.to_be_bytes()).unwrap();
    }
    peer.send(b"").unwrap();
    peer.close();
    peer.wait_down(SOON * 50).unwrap();
    for number in 0..1000_u32 {
        assert_eq!(inbox.recv(LONG).unwrap(), number.to_be_bytes());
    }
    assert_eq!(inbox.recv(LONG).unwrap(), b"");
    for _ in 0..2 {
        let Err(RecvError::Down(down)) = inbox.recv(LONG) else { panic!() };
        assert_eq!(down.reason.as_str(), "closed");
    }
}

#[test]
fn a_message_too_long_for_the_buffer_is_kept() {
    let inbox = Inbox::default();
    let (_link, peer) = pair(&LinkOptions::default(), &inbox);
    peer.send(b"four").unwrap();
    let mut buffer = [0; 4];
    let small = inbox.recv_into(&mut buffer[..3], LONG);
    assert_eq!(small, Err(RecvError::TooSmall { length: 4 }));
    assert_eq!(inbox.recv_into(&mut buffer, NOW), Ok(4));
    assert_eq!(&buffer, b"four");
}

#[test]
fn a_borrowed_message_holds_other_threads_and_never_its_own() {
    let inbox = Inbox::default();
    let (_link, peer) = pair(&LinkOptions::default(), &inbox);
    peer.send(b"one").unwrap();
    peer.send(b"two").unwrap();
    let one = inbox.borrow(LONG).unwrap();
    assert_eq!(inbox.recv(None), Err(RecvError::Borrowed));
    thread::scope(|scope| {
        let other = scope.spawn(|| inbox.recv(LONG));
        let late = scope.spawn(|| inbox.recv(Some(SOON)));
        assert_eq!(late.join().unwrap(), Err(RecvError::TimedOut));
        assert_eq!(&*one, b"one");
        let began = Instant::now();
        drop(one);
        assert_eq!(other.join().unwrap().unwrap(), b"two");
        assert!(began.elapsed() < SOON * 50, "woken after {:?}", began.elapsed());
    });
}

// lesson 32
#[test]
fn a_full_inbox_holds_the_reader_and_the_peer_is_not_blamed() {
    let settings = Settings::default()
        .heartbeat_time(Some(Duration::from_millis(100)))
        .slack(Duration::from_secs(1));
    let options = LinkOptions::default().liveness(settings);
    let inbox = Inbox::new(1000);
    let (link, peer) = pair(&options, &inbox);
    for _ in 0..100 {
        peer.send(&[7; 100]).unwrap();
    }
    let began = Instant::now();
    while !inbox.stats().is_holding {
        assert!(began.elapsed() < SOON * 50, "{:?}", inbox.stats());
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_secs(3));
    let stats = inbox.stats();
    assert!(stats.messages == 9 && stats.bytes <= 1000, "{stats:?}");
    assert!(stats.held > Duration::from_millis(2900), "{stats:?}");
    assert!(link.is_up() && peer.is_up());
    for _ in 0..100 {
        assert_eq!(inbox.recv(LONG).unwrap(), [7; 100]);
    }
    assert!(link.is_up() && !inbox.stats().is_holding);
}

#[test]
fn a_message_larger_than_the_bound_is_taken_in_alone() {
    let inbox = Inbox::new(1000);
    let (_link, peer) = pair(&LinkOptions::default(), &inbox);
    peer.send(&[1; 10]).unwrap();
    peer.send(&[2; 50_000]).unwrap();
    peer.send(&[3; 10]).unwrap();
    for (byte, length) in [(1, 10), (2, 50_000), (3, 10)] {
        assert_eq!(inbox.recv(LONG).unwrap(), vec![byte; length]);
    }
}

// lessons 42, 45
#[test]
fn every_waiter_is_woken_when_the_link_ends() {
    for local in [false, true] {
        let inbox = Inbox::default();
        let (link, peer) = pair(&LinkOptions::default(), &inbox);
        thread::scope(|scope| {
            let waiting: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (inbox.recv(None), Instant::now()))).collect();
            thread::sleep(SOON);
            let began = Instant::now();
            if local {
                link.end(DownReason::Replaced, None)
            } else {
                peer.close()
            }
            for waiting in waiting {
                let (result, woken) = waiting.join().unwrap();
                assert!(matches!(result, Err(RecvError::Down(_))), "{result:?}");
                assert!(woken - began < SOON * 50, "woken after {:?}", woken - began);
            }
        });
    }
}

#[test]
fn a_held_reader_lets_go_when_the_link_ends_and_what_arrived_stays() {
    let inbox = Inbox::new(100);
    let (link, peer) = pair(&LinkOptions::default(), &inbox);
    for _ in 0..10 {
        peer.send(&[7; 50]).unwrap();
    }
    let began = Instant::now();
    while !inbox.stats().is_holding {
        assert!(began.elapsed() < SOON * 50);
        thread::sleep(Duration::from_millis(1));
    }
    link.end(DownReason::Replaced, None);
    assert!(link.wait_down(SOON * 50).is_some());
    assert_eq!(inbox.recv(NOW).unwrap(), [7; 50]);
    assert_eq!(inbox.recv(NOW).unwrap(), [7; 50]);
    assert!(matches!(inbox.recv(LONG), Err(RecvError::Down(_))));
}

#[test]
fn closing_wakes_all_waiters_at_once_and_keeps_what_arrived() {
    let inbox = Inbox::default();
    let (link, peer) = pair(&LinkOptions::default(), &inbox);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| inbox.recv(None));
        thread::sleep(SOON);
        inbox.close();
        assert_eq!(waiting.join().unwrap(), Err(RecvError::Closed));
    });
    assert!(link.is_up());
    peer.send(b"late").unwrap();
    let began = Instant::now();
    while inbox.stats().messages == 0 && began.elapsed() < SOON * 50 {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(inbox.recv(NOW).unwrap(), b"late");
    assert_eq!(inbox.recv(None), Err(RecvError::Closed));
}

#[test]
fn messages_that_come_together_wake_as_many_threads() {
    let inbox = Inbox::default();
    let (near, mut far) = streams();
    // This peer sends no heartbeats, and an emulator takes seconds for it all.
    let _link = start(near, &options(0, 60_000), &inbox);
    for _ in 0..50 {
        thread::scope(|scope| {
            let take = || inbox.recv(LONG).unwrap();
            let waiting = [scope.spawn(take), scope.spawn(take)];
            thread::sleep(Duration::from_millis(2));
            let began = Instant::now();
            far.write_all(b"\0\0\0\x02\x031\0\0\0\x02\x032").unwrap();
            let mut taken = waiting.map(|waiting| waiting.join().unwrap());
            taken.sort();
            assert_eq!(taken, [b"1", b"2"]);
            assert!(began.elapsed() < SOON * 50, "woken after {:?}", began.elapsed());
        });
    }
}

#[test]
fn room_wakes_the_reader_at_once() {
    // With a look every 20 ms alone it would be 22 s, each time. A machine that is busy may need as
    // long itself, but not each time; wine takes milliseconds for each message.
    let took = || {
        let inbox = Inbox::new(1000);
        let (_link, peer) = pair(&LinkOptions::default(), &inbox);
        thread::scope(|scope| {
            scope.spawn(|| (0..10_000).for_each(|_| peer.send(&[7; 100]).unwrap()));
            let began = Instant::now();
            for _ in 0..10_000 {
                assert_eq!(inbox.recv(LONG).unwrap(), [7; 100]);
            }
            began.elapsed()
        })
    };
    assert!((0..4).any(|_| took() < Duration::from_secs(18) || cfg!(windows)));
}

#[test]
fn many_threads_take_every_message_once() {
    const MESSAGES: usize = 20_000;
    let inbox = Inbox::new(10_000);
    let (_link, peer) = pair(&LinkOptions::default(), &inbox);
    let seen: Vec<_> = (0..MESSAGES).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for taker in 0..4 {
            let (inbox, seen) = (&inbox, &seen);
            scope.spawn(move || {
                let mut last = None;
                loop {
                    let message = match taker % 2 {
                        0 => inbox.recv(LONG),
                        _ => inbox.borrow(LONG).map(|message| message.to_vec()),
                    };
                    let Ok(message) = message else { return };
                    let number = usize::from_ne_bytes(message.try_into().unwrap());
                    assert!(last < Some(number), "{number} after {last:?}");
                    last = Some(number);
                    seen[number].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 0..MESSAGES {
            peer.send(&number.to_ne_bytes()).unwrap();
        }
        peer.close();
    });
    assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) == 1));
}
