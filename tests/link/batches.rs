//! Several messages in one go, and queues of several links within one budget.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use peerbeat::link::{
    Batch, DownReason, Link, LinkOptions, QueueBudget, SendAllError, SendError, Stream,
};
use peerbeat::protocol::Native;

use crate::mock::{DATA, LONG, Mock, frame};
use crate::rig::{PASSES, Rig, numbered, options, wait_for};

fn link(options: &LinkOptions) -> (Link, Mock) {
    let (stream, mock) = Mock::pair();
    let ignore = |_: &Link, _: &[u8]| {};
    (Link::start_with(stream, Native::default(), options, ignore).unwrap(), mock)
}

fn quiet() -> LinkOptions {
    options(0, 60_000)
}

#[test]
fn send_all_sends_everything_in_order_however_much_it_is() {
    let options = quiet().queue_bytes(20_000);
    for count in [0, 1, 3, 5000] {
        let (link, mut mock) = link(&options);
        let messages: Vec<_> = (0..count).map(|place| numbered(place, 40)).collect();
        thread::scope(|scope| {
            scope.spawn(|| {
                for message in &messages {
                    assert_eq!(mock.no_heartbeat().payload, *message);
                }
            });
            assert_eq!(link.send_all(&messages), Ok(()));
        });
        assert_eq!(link.stats().messages_accepted, count as u64);
        link.end(DownReason::Replaced, None);
    }
}

#[test]
fn send_all_stops_at_what_cannot_be_sent_and_says_where() {
    let (stream, mut mock) = Mock::pair();
    let ignore = |_: &Link, _: &[u8]| {};
    let link = Link::start_with(stream, Native::with_frame_max(100), &quiet(), ignore).unwrap();
    let messages = [vec![1; 10], vec![2; 20], vec![3; 200], vec![4; 10]];
    let stopped = link.send_all(&messages).unwrap_err();
    assert_eq!(stopped.sent, 2);
    assert!(matches!(stopped.error, SendError::Unfit(_)), "{stopped}");
    for message in &messages[..2] {
        assert_eq!(mock.no_heartbeat().payload, *message);
    }
    link.end(DownReason::Replaced, None);
    let down = SendError::Down(DownReason::Replaced);
    assert_eq!(link.send_all(&messages), Err(SendAllError { sent: 0, error: down }));
}

/// A socket that notes which thread wrote how much.
struct Noting(TcpStream, Arc<Mutex<Vec<(ThreadId, usize)>>>);

impl Stream for Noting {
    as_socket! { 0: read shutdown timeouts }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = Stream::write(&self.0, bytes)?;
        self.1.lock().unwrap().push((thread::current().id(), written));
        Ok(written)
    }
}

// A sender thread that starts late takes along what is held back by then, so a link tries again.
#[test]
fn a_batch_is_written_when_it_is_dropped_and_not_before() {
    let was_held_back = || {
        let (stream, mut mock) = Mock::pair();
        let noted = Arc::<Mutex<Vec<_>>>::default();
        let stream = Noting(stream, Arc::clone(&noted));
        let ignore = |_: &Link<Noting>, _: &[u8]| {};
        let link = Link::start_with(stream, Native::default(), &quiet(), ignore).unwrap();
        let own = || -> usize {
            let mine = |&&(by, _): &&(ThreadId, usize)| by == thread::current().id();
            noted.lock().unwrap().iter().filter(mine).map(|&(_, bytes)| bytes).sum()
        };
        let mut batch = Batch::new();
        for place in 0..20 {
            batch.try_send(&link, &numbered(place, 40)).unwrap();
        }
        assert_eq!((own(), link.stats().messages_accepted), (0, 20));
        drop(batch);
        for place in 0..20 {
            assert_eq!(mock.no_heartbeat().payload, numbered(place, 40));
        }
        own() == 20 * 45
    };
    assert!((0..100).any(|_| was_held_back()), "a batch is written by whom it is dropped");
}

#[test]
fn a_send_meanwhile_takes_a_batch_along_in_order() {
    let (link, mut mock) = link(&quiet());
    let mut batch = Batch::new();
    batch.try_send(&link, b"first").unwrap();
    link.send(b"second").unwrap();
    assert_eq!(mock.no_heartbeat().payload, b"first");
    assert_eq!(mock.no_heartbeat().payload, b"second");
    batch.try_send(&link, b"third").unwrap();
    assert!(batch.flush().is_empty());
    assert_eq!(mock.no_heartbeat().payload, b"third");
}

#[test]
fn a_batch_reports_a_link_that_has_ended() {
    let ((good, mut mock), (bad, _gone)) = (link(&quiet()), link(&quiet()));
    let mut batch = Batch::new();
    batch.try_send(&bad, b"lost").unwrap();
    batch.try_send(&good, b"kept").unwrap();
    bad.end(DownReason::Replaced, None);
    let refused = batch.try_send(&bad, b"late");
    assert_eq!(refused, Err(SendError::Down(DownReason::Replaced)));
    drop(batch);
    assert_eq!(mock.no_heartbeat().payload, b"kept");
    // A sender thread that started late may have taken it along before the end.
    let lost = bad.wait_down(LONG).unwrap().unsent_frames;
    assert_eq!(lost + bad.stats().bytes_sent / frame(DATA, b"lost").len() as u64, 1);
}

/// Sends until the stream is stuck and there is no room.
fn stick<S: Stream>(rig: &Rig<S>) {
    wait_for("the stream is stuck, the queue full", || {
        while rig.link.try_send(&[7; 1000]).is_ok() {}
        rig.link.stats().bytes_sent == PASSES as u64
    });
}

#[test]
fn stuck_links_share_a_budget_fairly_and_each_may_hold_one_message() {
    let budget = QueueBudget::new(1 << 20);
    let options = quiet().queue_budget(budget.clone());
    let rigs: Vec<_> = (0..10).map(|_| Rig::narrow(&options)).collect();
    let mut held = [0; 10];
    // The first takes much, being there before the others, and gives nothing back.
    for (rig, _) in &rigs {
        stick(rig);
    }
    for _ in 0..100 {
        for (rig, _) in &rigs {
            let _full = rig.link.try_send(&[7; 1000]);
        }
    }
    for ((rig, _), held) in rigs.iter().zip(&mut held) {
        assert_eq!(rig.link.try_send(&[7; 1000]), Err(SendError::Full));
        *held = rig.link.stats().queued_bytes;
    }
    let sum: usize = held.iter().sum();
    // What a direct write left is the one message that each may hold.
    assert!(sum <= (1 << 20) + 10 * 1005, "{held:?}");
    assert!(sum > 1 << 19, "most of it is used: {held:?}");
    assert!(budget.used() <= 1 << 20);
    let (first, _) = &rigs[0];
    first.link.end(DownReason::Replaced, None);
    first.link.wait_down(LONG).expect("it ends");
    // What an ended link held is there for the others, also for one that waits.
    rigs[9].0.link.send(&[7; 1000]).unwrap();
    for (rig, _) in &rigs {
        rig.link.end(DownReason::Replaced, None);
        rig.link.wait_down(LONG).expect("it ends");
    }
    wait_for("the budget to be given back", || budget.used() == 0);
}

#[test]
fn a_thread_that_waits_for_room_gets_what_another_link_gives_back() {
    let options = quiet().queue_budget(QueueBudget::new(200_000));
    let ((one, _door), (other, _other_door)) = (Rig::narrow(&options), Rig::narrow(&options));
    for rig in [&one, &other] {
        stick(rig);
    }
    thread::scope(|scope| {
        let waits = scope.spawn(|| other.link.send_timeout(&[7; 1000], LONG));
        one.link.end(DownReason::Replaced, None);
        assert_eq!(waits.join().unwrap(), Ok(()));
    });
    other.link.end(DownReason::Replaced, None);
}

#[test]
fn a_batch_that_fills_a_buffer_is_written_at_once() {
    let (link, mock) = link(&quiet());
    let mut batch = Batch::new();
    let drains = thread::spawn(move || {
        let mut bytes = vec![0; 3000 * frame(DATA, &[0; 40]).len()];
        (&mock.stream).read_exact(&mut bytes).unwrap();
    });
    for place in 0..3000 {
        batch.try_send(&link, &numbered(place, 40)).unwrap();
    }
    // By this thread, or by the sender's that took it along.
    wait_for("a full buffer to be written", || link.stats().bytes_sent >= 60 << 10);
    drop(batch);
    drains.join().unwrap();
}

#[test]
fn what_a_batch_holds_back_is_not_in_its_own_way() {
    let (link, mut mock) = link(&quiet().queue_bytes(20_000));
    let mut batch = Batch::new();
    batch.try_send(&link, &[1; 5000]).unwrap();
    // Both together are more than the queue may hold; the socket has room for them.
    batch.try_send(&link, &[2; 18_000]).unwrap();
    batch.try_send(&link, &[3; 100]).unwrap();
    drop(batch);
    for (byte, length) in [(1, 5000), (2, 18_000), (3, 100)] {
        assert_eq!(mock.no_heartbeat().payload, vec![byte; length]);
    }
}

#[test]
fn what_a_batch_holds_back_is_in_the_way_of_no_other_send() {
    const WAIT: Duration = Duration::from_secs(5);
    type Send = fn(&Link) -> bool;
    let ways: [Send; 4] = [
        |link| link.try_send(&[2; 18_000]).is_ok(),
        |link| link.send_timeout(&[2; 18_000], WAIT).is_ok(),
        |link| link.send_all(&[[2; 18_000]]).is_ok(),
        |link| link.wait_room(18_000, WAIT).is_ok() && link.try_send(&[2; 18_000]).is_ok(),
    ];
    for way in ways {
        let (link, mut mock) = link(&quiet().queue_bytes(20_000));
        let mut batch = Batch::new();
        batch.try_send(&link, &[1; 5000]).unwrap();
        assert!(way(&link));
        batch.try_send(&link, &[3; 100]).unwrap();
        drop(batch);
        for (byte, length) in [(1, 5000), (2, 18_000), (3, 100)] {
            assert_eq!(mock.no_heartbeat().payload, vec![byte; length]);
        }
    }
}

#[test]
fn batches_that_take_turns_on_a_link_keep_it_once() {
    let (link, mut mock) = link(&quiet());
    let (mut one, mut other) = (Batch::new(), Batch::new());
    for _ in 0..3 {
        one.try_send(&link, b"one").unwrap();
        other.try_send(&link, b"other").unwrap();
    }
    assert_eq!(format!("{one:?}").matches("Link").count(), 1, "{one:?}");
    drop((one, other));
    for _ in 0..3 {
        assert_eq!(mock.no_heartbeat().payload, b"one");
        assert_eq!(mock.no_heartbeat().payload, b"other");
    }
}
