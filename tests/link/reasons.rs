//! One link, one reason: whichever side or call ends it first, everyone gets the same reason.

use std::sync::{Arc, Barrier};
use std::thread;

use peerbeat::link::{DownReason, LinkEvent, SendError};
use peerbeat::protocol::{Bye, ByeCode};

use crate::mock::{DATA, LONG, frame};
use crate::rig::{Rig, SOON, Seen, assert_soon, ms, options};

fn named(name: usize) -> DownReason {
    DownReason::Local { detail: format!("by {name}") }
}

#[test]
fn of_many_ends_at_once_one_reason_stays() {
    for round in 0..24 {
        let rig = Rig::new(&options(50, 60_000));
        let start = Arc::new(Barrier::new(8));
        thread::scope(|scope| {
            for name in 0..8 {
                let (link, start) = (rig.link.clone(), Arc::clone(&start));
                scope.spawn(move || {
                    start.wait();
                    match (name + round) % 4 {
                        0 => link.close(),
                        1 => link.end(named(name), None),
                        2 => {
                            let bye = Bye { code: ByeCode::CLOSE, text: "" };
                            link.end(named(name), Some(&bye));
                        }
                        _ => while link.send(b"in between").is_ok() {},
                    }
                });
            }
        });
        let (seen, down) = rig.log.until_down();
        assert!(seen.is_empty(), "{seen:?}");
        assert_eq!(down.reason.as_str(), "local");
        assert_eq!(rig.link.wait_down(LONG), Some(down.clone()));
        assert_eq!(rig.link.send(b"after"), Err(SendError::Down(down.reason.clone())));
        rig.link.end(named(99), None);
        rig.link.close();
        assert_eq!(rig.link.down(), Some(down));
    }
}

#[test]
fn an_end_inside_the_handler_reports_nothing_more() {
    let rig = Rig::acting(&options(60_000, 5000), |link, seen| {
        if matches!(seen, Seen::Message(_)) {
            link.end(named(1), None);
            link.end(named(2), None);
        }
    });
    rig.mock.say(&frame(DATA, b"x").repeat(100));
    let (seen, down) = rig.log.until_down();
    assert_eq!((seen.len(), down.reason), (1, named(1)));
}

#[test]
fn end_from_another_thread_while_the_handler_is_busy_returns_at_once() {
    let rig = Rig::acting(&options(60_000, 5000), |_, seen| {
        if matches!(seen, Seen::Message(_)) {
            thread::sleep(SOON + ms(2000));
        }
    });
    rig.mock.say(&frame(DATA, b"x").repeat(100));
    rig.log.message();
    let began = std::time::Instant::now();
    rig.link.end(named(1), None);
    assert!(!rig.link.is_up());
    assert_soon(began, std::time::Instant::now(), "end");
    let (seen, down) = rig.log.until_down();
    assert!(seen.is_empty(), "after the end: {seen:?}");
    assert_eq!(down.reason, named(1));
}

#[test]
fn senders_that_were_writing_get_the_links_own_reason() {
    let rig = Rig::new(&options(100, 900));
    let link = rig.link.clone();
    // A stuck write has its own limit, and that is to be reached so much later.
    thread::sleep(ms(500));
    let waits = thread::spawn(move || {
        loop {
            if let Err(error) = link.send(&[0; 500_000]) {
                return error;
            }
        }
    });
    let (seen, down) = rig.log.until_down();
    assert_eq!(down.reason, DownReason::Silent);
    assert_eq!(waits.join().unwrap(), SendError::Down(down.reason));
    let is_expected =
        |event: &LinkEvent| matches!(event, LinkEvent::Late { .. } | LinkEvent::QueueHigh { .. });
    let is_odd = |seen: &Seen| !matches!(seen, Seen::Event(event) if is_expected(event));
    assert!(!seen.iter().any(is_odd), "{seen:?}");
}

#[test]
fn a_direct_write_cut_off_by_the_end_gives_the_links_reason() {
    // Threads that write directly, each time on an idle line, when the link is ended under them.
    for round in 0..200 {
        let rig = Rig::new(&options(0, 100));
        let mut reads = rig.mock.stream.try_clone().unwrap();
        let reader = thread::spawn(move || std::io::copy(&mut reads, &mut std::io::sink()));
        let link = rig.link.clone();
        let sends = thread::spawn(move || {
            loop {
                if let Err(error) = link.send(&[0; 200_000]) {
                    return error;
                }
            }
        });
        thread::sleep(ms(round % 3));
        rig.link.end(DownReason::Replaced, None);
        assert_eq!(sends.join().unwrap(), SendError::Down(DownReason::Replaced));
        let _either = reader.join().unwrap();
    }
}
