//! SIGSTOP and SIGCONT: a frozen peer is dead in time; we, frozen ourselves, blame nobody.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use peerbeat::link::{DownReason, Link, SendError};
use peerbeat::protocol::Native;

use crate::child::Process;
use crate::mock::{Beating, heartbeat};
use crate::rig::{Log, assert_soon, ms, notes, options};

/// A child with so many links, and our ends of them.
fn links(count: usize, heartbeat_ms: u64, slack_ms: u64) -> (Process, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let numbers = [count as u64, heartbeat_ms, slack_ms].map(|number| number.to_string());
    let process = Process::start("links", &[&[address], &numbers[..]].concat());
    let ends = (0..count).map(|_| listener.accept().unwrap().0).collect();
    assert_eq!(process.line().1, "ready");
    (process, ends)
}

fn beat_all(ends: &[TcpStream]) -> Vec<Beating> {
    let beat = |end: &TcpStream| Beating::start(end.try_clone().unwrap(), heartbeat(100), ms(30));
    ends.iter().map(beat).collect()
}

/// A link to a peer in a process of its own, whose heartbeats come.
fn frozen_peer(heartbeat_ms: u64, slack_ms: u64) -> (Process, Link, Log) {
    let process = Process::start("peer", &[heartbeat_ms.to_string(), "20".to_owned()]);
    let stream = TcpStream::connect(process.line().1).unwrap();
    let (notes, log) = notes(|_, _| {});
    let options = options(heartbeat_ms, slack_ms);
    let link = Link::start(stream, Native::default(), &[], &options, notes).unwrap();
    thread::sleep(ms(200));
    assert!(link.stats().heartbeats_received > 0);
    (process, link, log)
}

#[test]
fn our_process_stopped_for_three_limits_blames_no_healthy_peer() {
    // lesson 33. A reader that was at work when the process was stopped, not in a wait, has nothing
    // to tell; on a busy machine another stop finds all of them waiting.
    assert!((0..3).any(|_| stop_for_three_limits() == 20), "not all were told of the stop");
}

/// Stops a process with 20 links to healthy peers, and returns how many of them were told.
fn stop_for_three_limits() -> usize {
    let (process, ends) = links(20, 100, 300);
    let beating = beat_all(&ends);
    thread::sleep(ms(300));
    process.signal("STOP");
    thread::sleep(ms(1200));
    process.signal("CONT");
    let lines: Vec<String> = process.listen(ms(900)).into_iter().map(|(_, line)| line).collect();
    for (index, peer) in beating.iter().enumerate() {
        // On a busy machine a peer of ours may itself be silent for a slack.
        let down = lines.iter().find(|line| line.starts_with(&format!("down {index} ")));
        let gap = peer.longest_gap();
        assert!(down.is_none() || gap >= ms(300), "{down:?} with a gap of {gap:?}: {lines:?}");
    }
    let told = |index: &usize| lines.contains(&format!("stalled {index}"));
    (0..20).filter(told).count()
}

#[test]
fn a_peer_that_died_while_we_were_stopped_is_dead_after_one_slack() {
    // lesson 33
    let (process, ends) = links(20, 100, 300);
    let beating = beat_all(&ends);
    thread::sleep(ms(300));
    process.signal("STOP");
    drop(beating);
    thread::sleep(ms(1200));
    // Read what our heartbeats left, so that nothing resets: the peers say nothing more.
    let resumed = process.signal("CONT");
    let mut dead = Vec::new();
    while dead.len() < 20 {
        let (at, line) = process.line();
        if line.starts_with("down") {
            assert!(line.ends_with("silent early 0"), "{line}");
            assert!(at - resumed >= ms(300), "{line} {:?} after the resume", at - resumed);
            assert_soon(resumed + ms(700), at, &line);
            dead.push(line);
        }
    }
}

#[test]
fn after_a_stop_there_is_one_heartbeat_and_no_burst() {
    // lesson 12
    let (process, mut ends) = links(1, 100, 5000);
    let mut mock = crate::mock::Mock::over(ends.remove(0));
    mock.frame();
    process.signal("STOP");
    thread::sleep(ms(1000));
    process.signal("CONT");
    let frames = mock.listen(ms(500));
    let sent: Vec<u64> = frames.iter().map(|frame| frame.timing()[0]).collect();
    assert!(sent.len() >= 2, "{sent:?}");
    assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 100_000), "{sent:?}");
    let stop = sent.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(sent.len() <= 7, "{} heartbeats, the longest gap {stop} us", sent.len());
}

#[test]
fn a_frozen_peer_is_dead_in_time_and_not_early() {
    let (process, link, log) = frozen_peer(100, 300);
    let frozen = process.signal("STOP");
    let (at, down) = log.down();
    assert_eq!(down.reason, DownReason::Silent);
    assert!(down.silence >= ms(400), "{down:?}");
    assert_soon(frozen + ms(400), at, "the verdict");
    assert!(!link.is_up());
}

#[test]
fn a_peer_frozen_for_less_than_the_limit_lives() {
    let (process, link, log) = frozen_peer(100, 2500);
    process.signal("STOP");
    thread::sleep(ms(900));
    process.signal("CONT");
    thread::sleep(ms(400));
    assert!(link.is_up(), "{:?}", link.down());
    assert_eq!(log.events(), []);
}

#[test]
fn a_peer_frozen_in_the_middle_of_our_bulk_is_dead_in_time_and_frees_the_writers() {
    // lesson 20
    let (process, link, log) = frozen_peer(100, 300);
    let writers: Vec<_> = (0..3)
        .map(|_| {
            let link = link.clone();
            thread::spawn(move || {
                let message = vec![0; 1 << 20];
                loop {
                    if let Err(error) = link.send(&message) {
                        return (error, Instant::now());
                    }
                }
            })
        })
        .collect();
    thread::sleep(ms(200));
    let frozen = process.signal("STOP");
    let (at, down) = log.down();
    // The silence and the stuck write have the same limit, and either may be first.
    let word = down.reason.word();
    assert!(word == "silent" || word == "write-stalled", "{down}");
    assert_soon(frozen + ms(400), at, "the verdict");
    for writer in writers {
        let (error, woken) = writer.join().unwrap();
        assert_eq!(error, SendError::Down(down.reason.clone()));
        assert!(woken.saturating_duration_since(at) < ms(1000));
    }
    assert!(down.unsent_frames > 0);
}
