//! SIGSTOP and SIGCONT: a frozen peer is reported down in time, and a process that was frozen
//! itself closes no healthy link.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{DownReason, Link, SendError};
use peerbeat::protocol::Native;

use crate::accept::accept;
use crate::child::Process;
use crate::mock::{Beating, LONG, heartbeat};
use crate::rig::{Log, assert_soon, ms, notes, options, wait_for};

/// The slack of one try after the other: a machine that is too busy for one bears the next.
const SLACKS_MS: [u64; 4] = [300, 600, 1200, 2400];

/// A child with so many links, and our ends of them; `None` if one was lost before it was ready.
fn links(count: usize, heartbeat_ms: u64, slack_ms: u64) -> Option<(Process, Vec<TcpStream>)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let numbers = [count as u64, heartbeat_ms, slack_ms].map(|number| number.to_string());
    let process = Process::start("links", &[&[address], &numbers[..]].concat());
    let ends = (0..count).map(|_| accept(&listener)).collect();
    (process.line().1 == "ready").then_some((process, ends))
}

fn beat_all(ends: &[TcpStream]) -> Vec<Beating> {
    let beat = |end: &TcpStream| Beating::start(end.try_clone().unwrap(), heartbeat(100), ms(30));
    ends.iter().map(beat).collect()
}

/// A child with 20 links to healthy peers, which it is to be stopped in the midst of.
fn healthy_links(slack_ms: u64) -> Option<(Process, Vec<Beating>, Vec<TcpStream>)> {
    let (process, ends) = links(20, 100, slack_ms)?;
    let beating = beat_all(&ends);
    // A gap is known once there were two heartbeats: the silence at the beginning is over.
    let began = Instant::now();
    while beating.iter().any(|peer| peer.longest_gap() < ms(10)) {
        assert!(began.elapsed() < LONG, "not all peers beat");
        thread::sleep(ms(1));
    }
    thread::sleep(ms(300));
    Some((process, beating, ends))
}

/// Waits for so long; returns true if the child had given up a link before the stop: the machine
/// was too busy for our peers, and nothing is shown.
fn lost_one_before_the_stop(process: &Process, stopped_for: Duration) -> bool {
    let lines = process.listen(stopped_for);
    lines.iter().any(|(_, line)| line.starts_with("down"))
}

/// A link to a peer in a process of its own, whose heartbeats come.
fn frozen_peer(heartbeat_ms: u64, slack_ms: u64) -> (Process, Link, Log) {
    let process = Process::start("peer", &[heartbeat_ms.to_string(), "20".to_owned()]);
    let stream = TcpStream::connect(process.line().1).unwrap();
    let (notes, log) = notes(|_, _| {});
    let options = options(heartbeat_ms, slack_ms);
    let link = Link::start_with(stream, Native::default(), &options, notes).unwrap();
    wait_for("a heartbeat of the peer's", || link.stats().heartbeats_received > 0);
    (process, link, log)
}

#[test]
fn our_process_stopped_for_three_limits_blames_no_healthy_peer() {
    // lesson 33. A reader that was at work when the process was stopped, not in a wait, has nothing
    // to tell; on a busy machine another stop finds all of them waiting.
    let all_report = |slack_ms| stop_for_three_limits(slack_ms) == Some(20);
    assert!(SLACKS_MS.into_iter().any(all_report), "not all reported the stop");
}

/// Stops a process with 20 links to healthy peers, and returns how many reported the stop; `None`
/// if not all lived to be stopped.
fn stop_for_three_limits(slack_ms: u64) -> Option<usize> {
    let (process, beating, _ends) = healthy_links(slack_ms)?;
    process.signal("STOP");
    if lost_one_before_the_stop(&process, ms(3 * (100 + slack_ms))) {
        return None;
    }
    process.signal("CONT");
    let lines: Vec<String> =
        process.listen(ms(600 + slack_ms)).into_iter().map(|(_, line)| line).collect();
    for (index, peer) in beating.into_iter().enumerate() {
        // On a busy machine one of our peers may itself be silent for a slack, to the last.
        let down = lines.iter().find(|line| line.starts_with(&format!("down {index} ")));
        let gap = peer.longest_gap().max(peer.stop().elapsed());
        assert!(down.is_none() || gap >= ms(slack_ms), "{down:?} with a gap of {gap:?}: {lines:?}");
    }
    let reported = |index: &usize| lines.contains(&format!("stalled {index}"));
    Some((0..20).filter(reported).count())
}

#[test]
fn a_peer_that_died_while_we_were_stopped_is_dead_after_one_slack() {
    // lesson 33
    assert!(SLACKS_MS.into_iter().any(stop_and_die), "links were lost before each of the stops");
}

/// Stops a process with 20 links, ends their peers meanwhile, and sees each of them given up;
/// `false` if not all lived to be stopped.
fn stop_and_die(slack_ms: u64) -> bool {
    let Some((process, beating, _ends)) = healthy_links(slack_ms) else { return false };
    process.signal("STOP");
    drop(beating);
    if lost_one_before_the_stop(&process, ms(3 * (100 + slack_ms))) {
        return false;
    }
    // Read what our heartbeats left, so that nothing resets: the peers say nothing more.
    let resumed = process.signal("CONT");
    let mut dead = Vec::new();
    while dead.len() < 20 {
        let (at, line) = process.line();
        if line.starts_with("down") {
            assert!(line.ends_with("silent early 0"), "{line}");
            assert!(at - resumed >= ms(slack_ms), "{line} {:?} after the resume", at - resumed);
            assert_soon(resumed + ms(400 + slack_ms), at, &line);
            dead.push(line);
        }
    }
    true
}

#[test]
fn after_a_stop_there_is_one_heartbeat_and_no_burst() {
    // lesson 12
    let began = Instant::now();
    let (process, mut ends) = links(1, 100, 5000).expect("it lives");
    let mut mock = crate::mock::Mock::over(ends.remove(0));
    let first = mock.frame();
    process.signal("STOP");
    let stopped = Instant::now();
    thread::sleep(ms(1000));
    let stopped = process.signal("CONT") - stopped;
    let mut frames = vec![first];
    frames.extend(mock.listen(ms(500)));
    while frames.len() < 3 {
        frames.push(mock.frame());
    }
    let ran = began.elapsed() - stopped;
    let sent: Vec<u64> = frames.iter().map(|frame| frame.timing()[0]).collect();
    assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 100_000), "{sent:?}");
    let stop = sent.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(stop >= 900_000, "the stop shows: {sent:?}");
    // One was announced, one was due at the end of the stop, the others in the time that it ran.
    let most = 2 + ran.as_millis() / 100;
    assert!(sent.len() as u128 <= most, "{} heartbeats in {ran:?}: {sent:?}", sent.len());
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
    let word = down.reason.as_str();
    assert!(word == "silent" || word == "write-stalled", "{down}");
    assert_soon(frozen + ms(400), at, "the verdict");
    for writer in writers {
        let (error, woken) = writer.join().unwrap();
        assert_eq!(error, SendError::Down(down.reason.clone()));
        assert_soon(at, woken, "the end of a send");
    }
    assert!(down.unsent_frames > 0);
}
