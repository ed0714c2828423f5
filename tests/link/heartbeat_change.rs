//! A smaller heartbeat-time for a living link, over real sockets on the loopback interface.
//! Lessons 5 and 8.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use peerbeat::link::{Cause, Down, HeartbeatChange, Link, LinkEvent, LinkHandler, LinkOptions};
use peerbeat::liveness::{FixedIntervals, Settings};
use peerbeat::protocol::Native;

use crate::accept::accept;

const SLACK: Duration = Duration::from_millis(300);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Sends what a link reports, with the time, to the test.
struct Teller(mpsc::Sender<(Instant, Seen)>);

#[derive(Debug, PartialEq)]
enum Seen {
    Event(LinkEvent),
    Down(Box<Down>),
}

impl LinkHandler for Teller {
    fn on_message(&mut self, _link: &Link, _payload: &[u8]) {}

    fn on_event(&mut self, _link: &Link, event: &LinkEvent) {
        if let LinkEvent::Down(down) = event {
            let _gone = self.0.send((Instant::now(), Seen::Down(Box::new(down.clone()))));
            return;
        }
        let _gone = self.0.send((Instant::now(), Seen::Event(event.clone())));
    }
}

type Events = mpsc::Receiver<(Instant, Seen)>;

fn start(stream: TcpStream, heartbeat_time: Option<u64>) -> (Link, Events) {
    start_with(stream, heartbeat_time, SLACK)
}

fn start_with(stream: TcpStream, heartbeat_time: Option<u64>, slack: Duration) -> (Link, Events) {
    let liveness = Settings::default()
        .heartbeat_time(heartbeat_time.map(millis))
        .slack(slack)
        .heartbeat_time_min(millis(10));
    let options = LinkOptions::default().liveness(liveness);
    let (teller, events) = mpsc::channel();
    let link = Link::start_with(stream, Native::default(), &options, Teller(teller)).unwrap();
    (link, events)
}

fn streams() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, accept(&listener))
}

fn next(events: &Events) -> (Instant, Seen) {
    events.recv_timeout(millis(20_000)).expect("an event within 20 s")
}

fn changed(from: Option<u64>, to: u64, cause: Cause) -> Seen {
    let (from, to) = (from.map(millis), millis(to));
    Seen::Event(LinkEvent::HeartbeatTime { from, to, cause })
}

/// Reads a heartbeat off a raw socket and returns its value.
fn read_beat(stream: &mut TcpStream) -> u32 {
    let mut frame = [0; 33];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame[..5], [0, 0, 0, 29, 2]);
    u32::from_be_bytes(frame[5..9].try_into().unwrap())
}

// lessons 5, 8
#[test]
fn a_smaller_value_reaches_both_ends_at_once_and_is_reported_once() {
    let (near, far) = streams();
    let (link, events) = start_with(near, Some(15_000), millis(5000));
    let (peer, peer_events) = start_with(far, Some(15_000), millis(5000));
    let began = Instant::now();
    assert_eq!(link.set_heartbeat_time(millis(200)), Ok(HeartbeatChange::InForce));
    assert_eq!(link.heartbeat_time(), Some(millis(200)));
    assert_eq!(next(&peer_events).1, changed(Some(15_000), 200, Cause::Peer));
    assert_eq!(next(&events).1, changed(Some(15_000), 200, Cause::Local));
    // The next heartbeats were due after 15 s.
    assert!(began.elapsed() < millis(5000), "{:?}", began.elapsed());
    // Both live on at the new pace, and nothing is reported twice.
    std::thread::sleep(millis(1000));
    assert!(link.is_up() && peer.is_up());
    while link.stats().heartbeats_sent < 4 {
        assert!(began.elapsed() < millis(20_000), "{:?}", link.stats());
        std::thread::sleep(millis(20));
    }
    assert!(events.try_recv().is_err() && peer_events.try_recv().is_err());
    drop(peer);
}

#[test]
fn a_larger_value_and_none_wait_for_the_next_connection() {
    let (near, _far) = streams();
    let (link, events) = start(near, Some(5000));
    for value in [millis(5001), millis(0), Duration::MAX] {
        assert_eq!(link.set_heartbeat_time(value), Ok(HeartbeatChange::NextConnection));
        assert_eq!(link.heartbeat_time(), Some(millis(5000)));
    }
    assert_eq!(link.set_heartbeat_time(millis(5000)), Ok(HeartbeatChange::InForce));
    assert!(events.try_recv().is_err());
}

#[test]
fn an_ended_link_says_why() {
    let (near, mut far) = streams();
    let (link, _events) = start(near, Some(5000));
    // Closing with the announcement unread would be a reset.
    assert_eq!(read_beat(&mut far), 5000);
    drop(far);
    link.wait_down(millis(20_000)).unwrap();
    assert_eq!(link.set_heartbeat_time(millis(100)).unwrap_err().as_str(), "eof");
}

#[test]
fn a_silent_peer_that_has_not_announced_it_is_judged_by_the_old_value() {
    let (near, mut far) = streams();
    let (link, events) = start_with(near, Some(2700), millis(1300));
    assert_eq!(read_beat(&mut far), 2700);
    // A sign of life shortly before, so that the new limit could be used up early.
    std::thread::sleep(millis(500));
    far.write_all(&[0, 0, 0, 1, 3]).unwrap();
    let began = Instant::now();
    assert_eq!(link.set_heartbeat_time(millis(100)), Ok(HeartbeatChange::InForce));
    // On a slow machine the next of the old value is out before it.
    while read_beat(&mut far) != 100 {}
    let mut changes = Vec::new();
    let (at, down) = loop {
        match next(&events) {
            (at, Seen::Down(down)) => break (at, down),
            (_, change @ Seen::Event(LinkEvent::HeartbeatTime { .. })) => changes.push(change),
            (_, Seen::Event(_)) => {}
        }
    };
    assert_eq!(changes, [changed(Some(2700), 100, Cause::Local)]);
    assert_eq!((down.reason.as_str(), down.limit), ("silent", Some(millis(4000))));
    assert_eq!(down.heartbeat_time, Some(millis(100)));
    assert!(at - began >= millis(4000) - millis(5), "killed after {:?}", at - began);
    assert!(at - began < millis(20_000), "killed after {:?}", at - began);
}

// lesson 8
#[test]
fn a_first_value_of_all_binds_the_peer_once_it_has_answered() {
    let (near, mut far) = streams();
    let (link, events) = start(near, None);
    assert_eq!(link.set_heartbeat_time(millis(100)), Ok(HeartbeatChange::InForce));
    assert_eq!(read_beat(&mut far), 100);
    assert_eq!(next(&events).1, changed(None, 100, Cause::Local));
    // Its application is busy: three limits of the new value.
    std::thread::sleep(millis(1200));
    assert!(link.is_up());
    let answered = Instant::now();
    far.write_all(&[0, 0, 0, 5, 2, 0, 0, 0, 100]).unwrap();
    let (at, down) = loop {
        match next(&events) {
            (at, Seen::Down(down)) => break (at, down),
            (_, event) => {
                // The machine may hold us up.
                let may_come = matches!(
                    event,
                    Seen::Event(
                        LinkEvent::Late { .. }
                            | LinkEvent::Recovered { .. }
                            | LinkEvent::Stalled { .. }
                    )
                );
                assert!(may_come, "{event:?}")
            }
        }
    };
    assert_eq!((down.reason.as_str(), down.limit), ("silent", Some(millis(400))));
    assert!(at - answered >= millis(400) - millis(5), "{:?}", at - answered);
}

#[test]
fn if_the_protocol_gives_the_values_only_our_sending_follows() {
    let (near, mut far) = streams();
    let given = FixedIntervals { send: Some(millis(60_000)), expect: Some(millis(60_000)) };
    let liveness = Settings::default().slack(SLACK).given(Some(given));
    let options = LinkOptions::default().liveness(liveness);
    let (teller, events) = mpsc::channel();
    let link = Link::start_with(near, Native::default(), &options, Teller(teller)).unwrap();
    assert_eq!(link.set_heartbeat_time(millis(50)), Ok(HeartbeatChange::InForce));
    for _ in 0..10 {
        assert_eq!(read_beat(&mut far), 50);
    }
    assert!(link.is_up() && events.try_recv().is_err());
}
