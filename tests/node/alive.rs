//! What the links of a node promise, whichever side dialled and whatever the other peers do.

use std::time::{Duration, Instant};

use peerbeat::node::NodeEvent;

use crate::both_roles;
use crate::common::*;

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// The value of the next frame, which must be a heartbeat, and the sender's clock in it, in
/// microseconds.
fn beat(mock: &mut Mock) -> (u32, u64) {
    let (kind, payload) = mock.frame().expect("a heartbeat, not the end");
    assert_eq!((kind, payload.len()), (HEARTBEAT, 28), "{payload:?}");
    let value = u32::from_be_bytes(payload[..4].try_into().unwrap());
    (value, u64::from_be_bytes(payload[4..12].try_into().unwrap()))
}

// lesson 19
#[test]
fn a_blackholed_dial_delays_no_other_peers_heartbeats() {
    let (blackhole, port) = blackhole();
    let (node, book) = start(&format!(
        "datasrc-port auto
        datasrc-interface 127.0.0.1
        datasrc-heartbeat-time 0.1
        datasrc-heartbeat-slack-time 60
        add-peer
            remote-name blackhole
            addr 127.0.0.1
            port {port}
            connect-timeout 30
        end-peer
        add-peer
            remote-name friend
        end-peer"
    ));
    book.wait_count("dial", 1, |seen| matches!(seen.event(), Some(NodeEvent::Dialling { .. })));
    let mut friend = Mock::greet(addr(&node), "friend");
    book.wait_up("friend", 1);
    let mut last = beat(&mut friend).1;
    for _ in 0..20 {
        let (_, sent) = beat(&mut friend);
        // Each on time by the node's own clock; a thread shared with the dial would be 30 s late.
        assert!(sent - last >= 100_000, "{} us after the one before", sent - last);
        assert!(sent - last < 10_000_000, "{} us after the one before", sent - last);
        last = sent;
    }
    let failed = |seen: &Seen| matches!(seen.event(), Some(NodeEvent::DialFailed { .. }));
    assert_eq!(book.count(failed), 0, "the dial is still out");
    drop((node, blackhole));
}

/// What has no limit but the slack, and dials again at once.
const TIMING: &str = "
    datasrc-heartbeat-time 30
    datasrc-heartbeat-slack-time 0.5
    reconnect-time-min 0.01
    reconnect-time-max 0.01";

// lessons 30, 44, 52: nothing ends the connection, and what was adopted dies with it
#[test]
fn a_peer_that_falls_silent_is_down_whichever_side_dialled_and_its_next_link_starts_afresh() {
    let (node, book, listener) = both_roles(TIMING);
    let limit = secs(0.2 + 0.5);
    let mut silent = Vec::new();
    for round in 1..=3 {
        let server = Mock::welcome(&listener, "server");
        let friend = Mock::greet(addr(&node), "friend");
        for (name, mut mock) in [("server", server), ("friend", friend)] {
            book.wait_up(name, round);
            assert_eq!(beat(&mut mock).0, 30_000, "{name}, link {round}: what is configured");
            let said = Instant::now();
            mock.say(&heartbeat(200));
            silent.push((name, said, mock));
        }
        for (name, said, _) in silent.iter().rev().take(2) {
            let down = book.wait_down(name, round);
            assert_eq!(down.reason.as_str(), "silent", "{name}");
            assert_eq!((down.heartbeat_time, down.limit), (Some(secs(0.2)), Some(limit)));
            assert!(said.elapsed() >= limit, "{name} was called dead after {:?}", said.elapsed());
        }
    }
    book.assert_ordered();
}

/// How long the second of two small messages takes to follow the first, from the later half of the
/// rounds: the kernel delays its acknowledgements only after a few.
fn followers(dials: bool, extra: &str) -> Vec<Duration> {
    let (listener, port) = listener();
    let dialled = if dials { format!("addr 127.0.0.1\nport {port}") } else { String::new() };
    let (node, book) = start(&format!(
        "datasrc-port auto
        datasrc-interface 127.0.0.1
        datasrc-heartbeat-time 60
        {extra}
        add-peer
            remote-name friend
            {dialled}
        end-peer"
    ));
    let mut friend = match dials {
        true => Mock::welcome(&listener, "friend"),
        false => Mock::greet(addr(&node), "friend"),
    };
    book.wait_up("friend", 1);
    let peer = node.peer("friend").unwrap();
    let rounds = (1..=40).map(|round| {
        // A conversation: the kernel hopes to send its acknowledgement with the answer.
        friend.say(&data(b"ask"));
        book.wait_count("ask", round, |seen| matches!(seen.what, What::Message(_)));
        peer.send(b"one").unwrap();
        std::thread::sleep(Duration::from_millis(1));
        let began = Instant::now();
        peer.send(b"two").unwrap();
        assert_eq!(friend.expect_data(), b"one");
        assert_eq!(friend.expect_data(), b"two");
        began.elapsed()
    });
    rounds.skip(20).collect()
}

// lesson 51: delayed acknowledgements come after 40 ms
#[test]
fn small_messages_do_not_wait_for_the_acknowledgement_of_others() {
    let quick = |times: &[Duration]| times.iter().filter(|took| **took < secs(0.03)).count();
    for dials in [false, true] {
        let times = followers(dials, "");
        assert!(quick(&times) >= times.len() / 2, "{times:?}");
        if cfg!(target_os = "linux") {
            let held = followers(dials, "datasrc-tcp-nodelay-off");
            assert!(quick(&held) < held.len() / 2, "this test sees nothing: {held:?}");
        }
    }
}
