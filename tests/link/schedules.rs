//! Small links over a pipe, to try every interleaving of their threads: as short as possible, and
//! without sockets.
//!
//! Under `cargo test` they run once. Under Miri the clock is virtual and each seed is another
//! schedule, which is also checked for data races, weak-memory effects and deadlocks: `.ci/deep
//! miri`.

use std::thread;

use peerbeat::link::{DownReason, Inbox, Link, RecvError};
use peerbeat::protocol::Native;

use crate::mock::LONG;
use crate::pipe::{Pipe, pipe};
use crate::rig::{ms, notes, options};

/// Two links on the ends of a pipe, which puts received messages into inboxes.
fn pair(capacity: usize) -> [(Link<Pipe>, Inbox); 2] {
    let (one, two) = pipe(capacity);
    [one, two].map(|end| {
        let inbox = Inbox::default();
        // Miri's clock takes this for a slow machine.
        let options = options(5_000, 60_000).close_timeout(LONG);
        (Link::start_with(end, Native::default(), &options, inbox.clone()).unwrap(), inbox)
    })
}

#[test]
fn two_threads_send_two_receive_and_the_end_comes_last() {
    let [(near, _near_inbox), (_far, inbox)] = pair(7);
    let mut seen = thread::scope(|scope| {
        let takes = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut seen = Vec::new();
                loop {
                    match inbox.recv(Some(LONG)) {
                        Ok(message) => seen.push(message),
                        Err(error) => return (seen, error),
                    }
                }
            })
        });
        thread::scope(|scope| {
            for name in [b'a', b'b'] {
                let near = &near;
                scope.spawn(move || (0..2).for_each(|place| near.send(&[name, place]).unwrap()));
            }
        });
        near.close();
        let mut all = Vec::new();
        for (seen, error) in takes.map(|take| take.join().unwrap()) {
            assert!(matches!(error, RecvError::Down(_)), "{error:?}");
            all.extend(seen);
        }
        all
    });
    seen.sort();
    assert_eq!(seen, [[b'a', 0], [b'a', 1], [b'b', 0], [b'b', 1]]);
}

#[test]
fn both_ends_are_ended_at_once_from_many_threads_and_each_has_one_account() {
    let [(near, near_inbox), (far, far_inbox)] = pair(1000);
    let accounts = thread::scope(|scope| {
        scope.spawn(|| near.close());
        scope.spawn(|| near.end(DownReason::Replaced, None));
        scope.spawn(|| far.close());
        let _may_be_down = near.send(b"perhaps");
        let waits = [&near, &near, &far, &far]
            .map(|link| scope.spawn(|| link.wait_down(LONG).expect("it ends")));
        waits.map(|wait| wait.join().unwrap())
    });
    assert_eq!((&accounts[0], &accounts[2]), (&accounts[1], &accounts[3]));
    for inbox in [near_inbox, far_inbox] {
        while inbox.recv(Some(LONG)).is_ok() {}
    }
    let word = accounts[0].reason.as_str();
    assert!(["local", "replaced", "closed", "eof", "io"].contains(&word), "{word}");
}

#[test]
fn reader_and_sender_pass_the_verdict_on_silence_once_and_never_early() {
    let (ours, _theirs) = pipe(1000);
    let (notes, log) = notes(|_, _| {});
    let _link = Link::start_with(ours, Native::default(), &options(300, 200), notes).unwrap();
    let (_, down) = log.until_down();
    assert_eq!(down.reason, DownReason::Silent);
    assert!(down.silence >= ms(500), "{down:?}");
    assert!(log.so_far().is_empty(), "nothing comes after the end");
}

#[test]
fn a_write_that_is_stuck_and_an_end_meet() {
    let (ours, _theirs) = pipe(3);
    let (notes, log) = notes(|_, _| {});
    let link = Link::start_with(ours, Native::default(), &options(0, 60_000), notes).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| link.send(b"more than fits"));
        scope.spawn(|| link.send(b"and again"));
        link.end(DownReason::Replaced, None);
    });
    assert_eq!(log.down().1.reason, DownReason::Replaced);
    let down = link.down().expect("it is down");
    assert!(down.unsent_frames <= 2 && down.unsent_bytes <= 33, "{down:?}");
}
