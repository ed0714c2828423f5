//! Waiting for peers, querying their state, pausing them and dialling at once.

use std::time::{Duration, Instant};

use peerbeat::node::{Direction, NodeEvent, RefusedReason};

use crate::both_roles;
use crate::common::*;

/// No machine is so busy that a wait in a test takes this long.
const LONG: Option<Duration> = Some(Duration::from_secs(60));
const SHORT: Option<Duration> = Some(Duration::from_millis(20));

/// An hour and more between dials.
const PATIENT: &str = "reconnect-time-min 3600\n reconnect-time-max 3600";

#[test]
fn a_peer_is_waited_for_until_it_is_up_and_no_longer_than_asked() {
    let (node, book, listener) = both_roles(PATIENT);
    let (server, friend) = (node.peer("server").unwrap(), node.peer("friend").unwrap());
    let began = Instant::now();
    assert!(!friend.wait_up(SHORT));
    assert!(began.elapsed() >= SHORT.unwrap());
    assert!(!friend.state().is_up() && friend.state().since.is_none());

    let mut mock = Mock::welcome(&listener, "server");
    assert!(server.wait_up(LONG));
    assert!(!node.wait_up(SHORT), "friend is missing");
    let dialled = Mock::greet(addr(&node), "friend");
    assert!(friend.wait_up(LONG) && node.wait_up(LONG));
    book.wait_up("friend", 1);
    let state = friend.state();
    assert!(state.is_up() && state.last_down.is_none());
    assert_eq!(state.direction, Some(Direction::Accepted));
    assert!(state.addr.is_some() && state.since.is_some());

    dialled.cut();
    book.wait_down("friend", 1);
    let state = friend.state();
    assert!(!state.is_up() && state.addr.is_none());
    assert_eq!(state.last_down.unwrap().reason.as_str(), "eof");
    // A node that stops lets go of those who wait.
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| friend.wait_up(None));
        node.shutdown();
        assert!(!waits.join().unwrap());
    });
    mock.expect_bye();
}

#[test]
fn a_paused_peer_is_not_connected_by_either_side_until_it_is_resumed() {
    let (node, book, listener) = both_roles(PATIENT);
    let (server, friend) = (node.peer("server").unwrap(), node.peer("friend").unwrap());
    let mut mock = Mock::welcome(&listener, "server");
    book.wait_up("server", 1);
    server.pause();
    friend.pause();
    assert_eq!(mock.expect_bye().0, 0);
    drop(mock);
    book.wait_down("server", 1);
    assert!(server.state().is_paused);

    let mut refused = Mock::dial(addr(&node));
    refused.say(&hello("friend", "", 0));
    assert_eq!(refused.expect_bye(), (6, "this peer is paused".to_owned()));
    assert_eq!(book.wait_refused(1).0, RefusedReason::ShuttingDown);
    // While paused not even a dial at once is made.
    server.dial_now();
    assert!(!server.wait_up(SHORT));

    friend.resume();
    server.resume();
    let _friend = Mock::greet(addr(&node), "friend");
    let _server = Mock::welcome(&listener, "server");
    assert!(node.wait_up(LONG));
}

#[test]
fn a_dial_now_does_not_wait_for_the_backoff() {
    let (node, book, listener) = both_roles(PATIENT);
    let server = node.peer("server").unwrap();
    for round in 1..=3 {
        Mock::accept(&listener).cut();
        let retries = |seen: &Seen| matches!(seen.event(), Some(NodeEvent::Retry { .. }));
        book.wait_count("retry", round, retries);
        assert_eq!(server.state().dialling, None);
        server.dial_now();
    }
    let _up = Mock::welcome(&listener, "server");
    assert!(server.wait_up(LONG));
}
