//! One thread that goes round many links: what is queued for it leaves in order, whole, and without
//! any help, whatever happens to one of the links.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use peerbeat::link::{DownReason, Link, LinkOptions, SendError, Stream};
use peerbeat::protocol::Native;

#[cfg(target_os = "linux")]
use crate::alone::alone;
use crate::mock::{LONG, Mock, tcp_pair};
use crate::rig::{notes, options, wait_for};

/// Links whose peers read everything: their messages of 8 bytes, publisher and number, must come in
/// order. The peer's thread returns how many there were.
struct Crowd<S: Stream> {
    links: Vec<Link<S>>,
    peers: Vec<thread::JoinHandle<u64>>,
}

impl<S: Stream> Crowd<S> {
    /// No heartbeat ever helps a forgotten message out.
    fn start(count: usize, wrap: impl FnMut(TcpStream) -> S) -> Self {
        Self::start_with(count, &options(0, 60_000), wrap)
    }

    fn start_with(
        count: usize,
        options: &LinkOptions,
        mut wrap: impl FnMut(TcpStream) -> S,
    ) -> Self {
        let (mut links, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (near, far) = tcp_pair();
            peers.push(thread::spawn(move || read_in_order(far)));
            let ignore = |_: &Link<S>, _: &[u8]| {};
            links.push(Link::start_with(wrap(near), Native::default(), options, ignore).unwrap());
        }
        Self { links, peers }
    }

    fn publish(&self, publisher: u32, ticks: u32) -> u64 {
        let mut accepted = 0;
        for tick in 0..ticks {
            let payload = [publisher.to_be_bytes(), tick.to_be_bytes()].concat();
            for link in &self.links {
                accepted += u64::from(link.send(&payload).is_ok());
            }
        }
        accepted
    }

    /// Closes all and returns what arrived.
    fn close(self) -> u64 {
        for link in &self.links {
            link.close();
        }
        let arrived = self.peers.into_iter().map(|peer| peer.join().unwrap()).sum();
        for link in &self.links {
            let _account = link.wait_down(LONG).expect("it ends");
        }
        arrived
    }
}

fn read_in_order(mut far: TcpStream) -> u64 {
    let (mut next, mut count) = ([0u32; 4], 0);
    let mut head = [0; 5];
    // A link that has ended may cut off a frame; one that is closed says goodbye first.
    while far.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes(*head.first_chunk().unwrap()) as usize - 1;
        let mut payload = vec![0; length];
        if far.read_exact(&mut payload).is_err() {
            break;
        }
        if head[4] == crate::mock::DATA {
            let number = |at: usize| u32::from_be_bytes(*payload[at..].first_chunk().unwrap());
            let next = &mut next[number(0) as usize];
            assert_eq!(number(4), *next, "a message is missing, or comes too early");
            *next += 1;
            count += 1;
        }
    }
    count
}

fn plain(stream: TcpStream) -> TcpStream {
    stream
}

/// Threads that go round, in this process.
#[cfg(target_os = "linux")]
fn rounds() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "pb-fan").count()
}

#[test]
#[cfg(target_os = "linux")]
fn a_busy_publisher_has_one_thread_that_goes_round_and_ends_with_the_last_link() {
    if !alone("fans::a_busy_publisher_has_one_thread_that_goes_round_and_ends_with_the_last_link") {
        return;
    }
    let crowd = Crowd::start(20, plain);
    let most = crowd.publish(0, 1);
    assert_eq!((most, rounds()), (20, 0), "one tick is no fan");
    let mut ticks = 1;
    // A machine that has no time for us makes rests that we did not take.
    while rounds() == 0 {
        assert!(ticks < 100_000, "a thread that never rests gets help");
        for tick in ticks..ticks + 100u32 {
            let payload = [[0; 4], tick.to_be_bytes()].concat();
            crowd.links.iter().for_each(|link| link.send(&payload).unwrap());
        }
        ticks += 100;
    }
    assert_eq!(rounds(), 1);
    assert_eq!(crowd.close(), 20 * u64::from(ticks));
    wait_for("the thread that goes round to end", || rounds() == 0);
}

#[test]
fn what_is_queued_at_the_end_of_a_burst_leaves_by_itself() {
    let crowd = Crowd::start(8, plain);
    for burst in 0..5 {
        for tick in burst * 500..(burst + 1) * 500u32 {
            let payload = [[0; 4], tick.to_be_bytes()].concat();
            crowd.links.iter().for_each(|link| link.send(&payload).unwrap());
        }
        // Nothing else is sent, and there are no heartbeats.
        let bytes = u64::from((burst + 1) * 500) * 13;
        let is_out = || crowd.links.iter().all(|link| link.stats().bytes_sent == bytes);
        wait_for("the burst to leave", is_out);
    }
    assert_eq!(crowd.close(), 8 * 2500);
}

#[test]
fn four_publishers_on_the_same_links_keep_their_order() {
    let crowd = Crowd::start(12, plain);
    let accepted: u64 = thread::scope(|scope| {
        let publish = |name| {
            scope.spawn({
                let crowd = &crowd;
                move || crowd.publish(name, 3000)
            })
        };
        let threads = [0, 1, 2, 3].map(publish);
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(accepted, 4 * 12 * 3000);
    assert_eq!(crowd.close(), accepted);
}

#[test]
fn two_hubs_in_one_process_do_not_meet() {
    let crowds = [(); 2].map(|()| Crowd::start(6, plain));
    thread::scope(|scope| {
        for crowd in &crowds {
            scope.spawn(move || crowd.publish(0, 3000));
        }
    });
    assert_eq!(crowds.map(Crowd::close), [6 * 3000; 2]);
}

#[test]
fn a_stuck_peer_of_a_fan_ends_by_its_limit_and_holds_up_no_other() {
    let crowd = Crowd::start(8, plain);
    let (stuck, mock) = Mock::pair();
    let _beating = mock.beat(100, Duration::from_millis(30));
    let (notes, log) = notes(|_, _| {});
    let stuck = Link::start_with(stuck, Native::default(), &options(100, 400), notes).unwrap();
    let mut ticks = 0u32;
    let end = loop {
        let payload = [[0; 4], ticks.to_be_bytes()].concat();
        crowd.links.iter().for_each(|link| link.send(&payload).unwrap());
        ticks += 1;
        match stuck.try_send(&[7; 4000]) {
            Ok(()) | Err(SendError::Full) => {}
            Err(end) => break end,
        }
    };
    let down = log.down().1;
    assert!(matches!(down.reason, DownReason::WriteStalled { .. }), "{down}");
    assert_eq!(end, SendError::Down(down.reason));
    assert_eq!(crowd.close(), 8 * u64::from(ticks));
}

#[test]
fn links_that_end_in_the_middle_of_a_round_count_what_they_did_not_write() {
    let crowd = Crowd::start(10, plain);
    let done = AtomicBool::new(false);
    let accepted: Vec<u64> = thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut accepted = vec![0; 10];
            let mut tick = 0u32;
            while !done.load(Ordering::Relaxed) {
                let payload = [[0; 4], tick.to_be_bytes()].concat();
                for (link, accepted) in crowd.links.iter().zip(&mut accepted) {
                    *accepted += u64::from(link.send(&payload).is_ok());
                }
                tick += 1;
            }
            accepted
        });
        for link in &crowd.links {
            thread::sleep(Duration::from_millis(20));
            link.end(DownReason::Replaced, None);
        }
        done.store(true, Ordering::Relaxed);
        publisher.join().unwrap()
    });
    for ((link, peer), accepted) in crowd.links.iter().zip(crowd.peers).zip(accepted) {
        let down = link.wait_down(LONG).expect("it ends");
        let arrived = peer.join().unwrap();
        // The last one may be with the kernel in part, which loses it.
        assert!(arrived <= accepted - down.unsent_frames, "{arrived} of {accepted}: {down}");
        assert_eq!(link.stats().messages_accepted, accepted);
    }
}

/// A socket that panics in a write on request.
struct Panicking(TcpStream, &'static AtomicBool);

impl Stream for Panicking {
    as_socket! { 0: read shutdown timeouts }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!self.1.load(Ordering::Relaxed), "a mistake of the stream's");
        Stream::write(&self.0, bytes)
    }
}

#[test]
fn a_stream_that_panics_in_a_fan_ends_its_link_alone() {
    static PANICS: AtomicBool = AtomicBool::new(false);
    static NEVER: AtomicBool = AtomicBool::new(false);
    let mut count = 0;
    let crowd = Crowd::start(8, |stream| {
        count += 1;
        Panicking(stream, if count == 3 { &PANICS } else { &NEVER })
    });
    let (bad, good) = (&crowd.links[2], &crowd.links[7]);
    let mut tick = 0u32;
    let mut send = || {
        let payload = [[0; 4], tick.to_be_bytes()].concat();
        for link in &crowd.links {
            // In a direct write the panic is the caller's.
            let sends = std::panic::AssertUnwindSafe(|| link.send(&payload));
            let _down_or_panicked = std::panic::catch_unwind(sends);
        }
        tick += 1;
    };
    (0..2000).for_each(|_| send());
    PANICS.store(true, Ordering::Relaxed);
    while bad.is_up() {
        send();
    }
    (0..2000).for_each(|_| send());
    assert!(good.is_up());
    let down = bad.wait_down(LONG).expect("it ends");
    assert!(matches!(down.reason, DownReason::Io { .. }), "{down}");
    let good = good.clone();
    crowd.close();
    assert_eq!(good.down().unwrap().unsent_frames, 0);
    assert_eq!(good.stats().messages_accepted, u64::from(tick));
}

/// A socket that is slow, and takes only a part of what is long.
struct Halving(TcpStream);

impl Stream for Halving {
    as_socket! { 0: read shutdown timeouts }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        thread::sleep(Duration::from_micros(100));
        let taken = if bytes.len() > 3000 { bytes.len() / 2 } else { bytes.len() };
        Stream::write(&self.0, &bytes[..taken])
    }
}

#[test]
fn what_a_slow_socket_leaves_is_written_without_help() {
    // A short queue, so that its callers write batches too.
    let crowd = Crowd::start_with(6, &options(0, 60_000).queue_bytes(8192), Halving);
    let mut sent = 0;
    for burst in 1..=20u32 {
        while sent < burst * 3000 {
            let payload = [[0; 4], sent.to_be_bytes()].concat();
            crowd.links.iter().for_each(|link| link.send(&payload).unwrap());
            sent += 1;
        }
        // Nothing else is sent, and there are no heartbeats.
        let bytes = u64::from(sent) * 13;
        let is_out = || crowd.links.iter().all(|link| link.stats().bytes_sent == bytes);
        wait_for("the burst to leave", is_out);
    }
    assert_eq!(crowd.close(), 6 * u64::from(sent));
}
