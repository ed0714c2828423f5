//! Waits that end late, early or by a signal: our own delay never counts against a peer.

use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{DownReason, Link, LinkEvent, LinkOptions, Stream};
use peerbeat::protocol::Native;

use crate::mock::{DATA, frame, heartbeat};
use crate::pipe::{Faults, Pipe, pipe};
use crate::rig::{Log, Seen, ms, notes, options};

/// A link over a pipe whose waits go wrong, the other end, and the log.
fn faulty(
    capacity: usize,
    options: &LinkOptions,
    faults: Faults,
    act: impl FnMut(&Link<Pipe>, &Seen) + Send + 'static,
) -> (Link<Pipe>, Pipe, Log) {
    let (ours, theirs) = pipe(capacity);
    ours.fail(faults);
    let (notes, log) = notes(act);
    let link = Link::start_with(ours, Native::default(), options, notes).unwrap();
    (link, theirs, log)
}

fn stalled(event: &LinkEvent) -> Option<Duration> {
    match event {
        LinkEvent::Stalled { late } => Some(*late),
        _ => None,
    }
}

#[test]
fn after_our_own_stall_the_peer_has_one_more_slack() {
    // lesson 33
    let faults = Faults { late_read: ms(900), ..Faults::default() };
    let began = Instant::now();
    let (_link, _theirs, log) = faulty(10_000, &options(100, 300), faults, |_, _| {});
    let (_, late) = log.event(stalled);
    assert!(late >= ms(600), "{late:?}");
    let (dead, down) = log.down();
    assert_eq!(down.reason, DownReason::Silent);
    assert!(dead - began >= ms(1200).max(late + ms(300)), "{:?}, stalled {late:?}", dead - began);
}

#[test]
fn a_handler_that_sleeps_over_the_grace_does_not_use_it_up() {
    // lessons 32, 33: what arrives meanwhile is read before the verdict
    let faults = Faults { late_read: ms(900), ..Faults::default() };
    let (link, theirs, log) = faulty(10_000, &options(100, 300), faults, |_, seen| {
        if matches!(seen, Seen::Event(LinkEvent::Stalled { .. })) {
            thread::sleep(ms(500));
        }
    });
    log.event(stalled);
    thread::sleep(ms(100));
    Stream::write(&theirs, &[frame(DATA, b"alive"), heartbeat(100)].concat()).unwrap();
    assert_eq!(log.message(), b"alive");
    assert!(link.is_up());
}

#[test]
fn a_coarse_clock_in_the_kernel_is_not_our_stall() {
    // lesson 38: long socket timeouts are rounded up by as much as an eighth
    let faults = Faults { coarse_reads: true, ..Faults::default() };
    // A machine that is busy may really hold us up, but not each time.
    let is_told = || {
        let (_link, _theirs, log) = faulty(10_000, &options(2600, 100), faults, |_, _| {});
        let (seen, down) = log.until_down();
        assert_eq!(down.reason, DownReason::Silent);
        seen.iter().any(|seen| matches!(seen, Seen::Event(LinkEvent::Stalled { .. })))
    };
    assert!((0..3).any(|_| !is_told()));
}

#[test]
fn a_storm_of_signals_does_not_put_off_the_verdict() {
    let faults = Faults { signals: true, ..Faults::default() };
    let began = Instant::now();
    let (_link, theirs, log) = faulty(10_000, &options(100, 700), faults, |_, _| {});
    thread::sleep(ms(100));
    let last = Instant::now();
    Stream::write(&theirs, &heartbeat(100)).unwrap();
    let (at, down) = log.down();
    assert_eq!(down.reason, DownReason::Silent);
    assert!(at - last >= ms(800), "{:?}", at - last);
    assert!(at - began < ms(15_000), "{:?}", at - began);
}

#[test]
fn a_write_that_woke_late_looks_once_more_before_it_blames_the_peer() {
    // The kernel reports the timeout without another look at the buffer. The peer reads after nine
    // tenths of the limit; the wait that was to end before that ends after the limit.
    let faults = Faults { late_writes: ms(720), ..Faults::default() };
    let (link, theirs, _log) = faulty(100, &options(600, 2400), faults, |_, _| {});
    Stream::read(&theirs, &mut [0; 33]).unwrap();
    link.try_send(&[7; 200]).unwrap();
    let began = Instant::now();
    let mut all = 0;
    while began.elapsed() < ms(5700) && all < 205 {
        Stream::write(&theirs, &heartbeat(600)).unwrap();
        if began.elapsed() > ms(2700) {
            theirs.set_read_timeout(ms(1)).unwrap();
            all += Stream::read(&theirs, &mut [0; 1000]).unwrap_or_default();
        }
        thread::sleep(ms(10));
    }
    assert!(link.is_up(), "{:?}", link.down());
    assert!(all >= 205, "{all} bytes");
}

#[test]
fn our_own_stall_in_a_write_gives_the_peer_one_more_slack() {
    // lesson 33: the limit is 2.2 s, the wait ends at 3 s, the peer reads at 3.6 s
    let faults = Faults { late_write: ms(3000), ..Faults::default() };
    let (link, theirs, _log) = faulty(100, &options(200, 2000), faults, |_, _| {});
    Stream::read(&theirs, &mut [0; 33]).unwrap();
    link.try_send(&[7; 200]).unwrap();
    let began = Instant::now();
    while began.elapsed() < ms(3600) {
        Stream::write(&theirs, &heartbeat(200)).unwrap();
        thread::sleep(ms(10));
    }
    let mut all = 0;
    while all < 205 {
        let count = Stream::read(&theirs, &mut [0; 1000]).unwrap();
        assert!(count > 0, "{:?}", link.down());
        all += count;
    }
    assert!(link.is_up(), "{:?}", link.down());
}
