//! The heartbeat-time in HELLO: both ends start at the smaller value, whatever their handlers do in
//! the first seconds.

use std::thread;
use std::time::Duration;

use peerbeat::link::{Cause, LinkEvent};
use peerbeat::node::{Node, NodeEvent, NodeHandler, Peer};

use crate::both_roles;
use crate::common::*;

/// HELLO with a heartbeat-time behind the label.
fn hello_of(name: &str, value_ms: u32) -> Vec<u8> {
    let mut bytes = hello(name, "", 0);
    bytes[3] += 4;
    bytes.extend_from_slice(&value_ms.to_be_bytes());
    bytes
}

/// The heartbeat-time that the next frame, a HELLO, carries.
fn said(mock: &mut Mock) -> u32 {
    let (kind, payload) = mock.frame().expect("a HELLO, not the end");
    assert_eq!(kind, HELLO, "{payload:?}");
    let (_, value) = payload.split_last_chunk().expect("it is longer than that");
    u32::from_be_bytes(*value)
}

/// The events of a peer's link, without its messages.
fn events(book: &Recorder, peer: &str) -> Vec<NodeEvent> {
    let seen = book.all().into_iter().filter(|seen| seen.peer == peer);
    seen.filter_map(|seen| seen.event().cloned()).collect()
}

#[test]
fn the_heartbeat_time_of_a_hello_is_in_force_from_the_start_whichever_side_dialled() {
    let (node, book, listener) =
        both_roles("datasrc-heartbeat-time 30\n datasrc-heartbeat-slack-time 60");
    let mut server = Mock::accept(&listener);
    assert_eq!(said(&mut server), 30_000);
    server.say(&hello_of("server", 2_500));
    let mut friend = Mock::dial(addr(&node));
    friend.say(&hello_of("friend", 2_500));
    assert_eq!(said(&mut friend), 30_000);
    for (name, mock) in [("server", &mut server), ("friend", &mut friend)] {
        book.wait_up(name, 1);
        let (kind, payload) = mock.frame().expect("an announcement");
        assert_eq!((kind, &payload[..4]), (HEARTBEAT, &2_500_u32.to_be_bytes()[..]), "{name}");
        let changed = |seen: &Seen| {
            matches!(seen.event(), Some(NodeEvent::Link(LinkEvent::HeartbeatTime { .. })))
        };
        book.wait_count("change", 1, |seen| seen.peer == name && changed(seen));
        let events = events(&book, name);
        let up = events.iter().position(|event| matches!(event, NodeEvent::Up { .. }));
        let (from, to) = (Some(Duration::from_secs(30)), Duration::from_millis(2_500));
        let adopted = NodeEvent::Link(LinkEvent::HeartbeatTime { from, to, cause: Cause::Peer });
        assert_eq!(events.get(up.expect("it is up") + 1), Some(&adopted), "{name}: {events:?}");
    }
    drop(node);
    book.assert_ordered();
}

#[test]
fn a_hello_that_asks_for_nothing_or_for_more_changes_nothing() {
    let (node, book, _listener) =
        both_roles("datasrc-heartbeat-time 30\n datasrc-heartbeat-slack-time 60");
    for (round, value) in [0, 30_000, 30_001, u32::MAX].into_iter().enumerate() {
        let mut friend = Mock::dial(addr(&node));
        friend.say(&hello_of("friend", value));
        assert_eq!(said(&mut friend), 30_000);
        book.wait_up("friend", round + 1);
        friend.say(&data(b"mark"));
        let mark = |seen: &Seen| matches!(seen.what, What::Message(_));
        book.wait_count("message", round + 1, mark);
        drop(friend);
        book.wait_down("friend", round + 1);
    }
    let changed =
        |event: &NodeEvent| matches!(event, NodeEvent::Link(LinkEvent::HeartbeatTime { .. }));
    assert!(!events(&book, "friend").iter().any(changed));
}

#[test]
fn a_hello_under_the_floor_gets_the_floor_and_is_reported() {
    let (node, book, _listener) =
        both_roles("datasrc-heartbeat-time 30\n datasrc-heartbeat-slack-time 60");
    let mut friend = Mock::dial(addr(&node));
    friend.say(&hello_of("friend", 1));
    assert_eq!(said(&mut friend), 30_000);
    let (kind, payload) = friend.frame().expect("an announcement");
    assert_eq!((kind, &payload[..4]), (HEARTBEAT, &100_u32.to_be_bytes()[..]));
    let clamped =
        |seen: &Seen| matches!(seen.event(), Some(NodeEvent::Link(LinkEvent::Clamped { .. })));
    book.wait_count("clamped", 1, clamped);
}

/// Takes its time for `Up`, and passes all on.
struct Slow(Recorder, Duration);

impl NodeHandler for Slow {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        self.0.on_message(peer, payload);
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        if matches!(event, NodeEvent::Up { .. }) {
            thread::sleep(self.1);
        }
        self.0.on_event(peer, event);
    }
}

#[test]
fn a_handler_that_is_slow_for_up_does_not_get_its_link_killed() {
    // One side has a limit of 0.5 s, the other side's own value is 30 s or none at all.
    for value in ["30", "0"] {
        let book = Recorder::default();
        let slow = Node::start(
            config(&format!(
                "datasrc-name slow
                datasrc-port auto
                datasrc-interface 127.0.0.1
                datasrc-heartbeat-time {value}
                add-peer
                    remote-name quick
                end-peer"
            )),
            Slow(book.clone(), Duration::from_millis(1500)),
        );
        let slow = slow.expect("it starts");
        let (quick, quick_book) = start(&format!(
            "datasrc-name quick
            add-peer
                remote-name slow
                addr 127.0.0.1
                port {}
                heartbeat-time 0.2
                heartbeat-slack-time 0.3
            end-peer",
            addr(&slow).port()
        ));
        book.wait_up("quick", 1);
        quick_book.wait_up("slow", 1);
        assert_eq!(quick_book.count(|seen| seen.down().is_some()), 0, "with {value}");
        let peer = slow.peer("quick").expect("it is configured");
        assert!(peer.is_up(), "with {value}");
        drop(quick);
    }
}
