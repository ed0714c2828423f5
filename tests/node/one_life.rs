//! One life at a time for each name, whatever reloads do: up, messages and down of a link are over
//! before those of the next one begin, and what is set holds for the living link and the next one
//! alike.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use peerbeat::node::{Node, NodeEvent, NodeHandler, Peer};

use crate::common::*;

const WITH: &str = "
    datasrc-name hub
    datasrc-port auto
    datasrc-interface 127.0.0.1
    datasrc-heartbeat-time 60
    add-peer
        remote-name x
    end-peer";
const WITHOUT: &str = "
    datasrc-name hub
    datasrc-port auto
    datasrc-interface 127.0.0.1
    datasrc-heartbeat-time 60";

/// Holds its thread at the message `hold` until it is let go.
#[derive(Clone, Default)]
struct Held {
    book: Recorder,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Held {
    fn let_go(&self) {
        *self.gate.0.lock().unwrap() = true;
        self.gate.1.notify_all();
    }
}

impl NodeHandler for Held {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        self.book.on_message(peer, payload);
        if payload == b"hold" {
            let (open, changed) = (&self.gate.0, &self.gate.1);
            // A test that has failed lets no thread go, and must still end.
            let held = changed.wait_timeout_while(open.lock().unwrap(), PATIENCE, |open| !*open);
            drop(held.unwrap());
        }
        self.book.on_message(peer, payload);
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        self.book.on_event(peer, event);
    }
}

#[test]
fn a_peer_that_is_taken_out_and_brought_back_comes_up_after_it_is_down() {
    let held = Held::default();
    let node = Node::start(config(WITH), held.clone()).unwrap();
    let mut first = Mock::greet(addr(&node), "x");
    held.book.wait_up("x", 1);
    first.say(&data(b"hold"));
    let message = |seen: &Seen| matches!(seen.what, What::Message(_));
    held.book.wait_count("message", 1, message);
    for text in [WITHOUT, WITH, WITHOUT, WITH] {
        node.reload(config(text)).unwrap();
    }
    let mut second = Mock::dial(addr(&node));
    second.say(&hello("x", "", 0));
    let briefly = Some(Duration::from_millis(300));
    second.stream.set_read_timeout(briefly).unwrap();
    let early = second.stream.read(&mut [0; 100]);
    assert!(early.is_err(), "it was answered while the old one's handler is busy: {early:?}");
    second.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    held.let_go();
    second.expect_hello();
    held.book.wait_up("x", 2);
    second.say(&data(b"and on"));
    held.book.wait_count("messages", 4, message);
    drop(node);
    held.book.assert_ordered();
}

#[test]
fn what_is_set_while_a_link_comes_up_is_in_force_on_it() {
    let (node, book) = start(WITH);
    let peer = node.peer("x").unwrap();
    for round in 1..=50 {
        let slack = Duration::from_millis(3000 + round);
        let address = addr(&node);
        let greeting = thread::spawn(move || Mock::greet(address, "x"));
        let setting = {
            let peer = peer.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_micros(round * 20));
                let _ = peer.set_slack(slack);
            })
        };
        let mock = greeting.join().unwrap();
        setting.join().unwrap();
        book.wait_up("x", round as usize);
        let text = peer.explain().expect("it is up").to_string();
        let expected = format!("slack {slack:?}");
        assert!(text.contains(&expected), "round {round}: no {expected:?} in {text}");
        drop(mock);
        book.wait_down("x", round as usize);
    }
}
