//! A peer that connects while it is connected, and peers that share a description.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use peerbeat::node::{Node, NodeEvent, NodeHandler, Peer, RefusedReason};

use crate::common::*;

const TEXT: &str = "
    datasrc-name us
    datasrc-port auto
    datasrc-interface 127.0.0.1
    peer-accept-wait-time 1
    add-peer
        remote-name friend
    end-peer";

#[test]
fn a_returning_peer_replaces_its_stale_link() {
    let (node, book) = start(TEXT);
    let mut links = vec![Mock::greet(addr(&node), "friend")];
    for round in 1..=20 {
        book.wait_up("friend", round);
        let mut newer = Mock::greet(addr(&node), "friend");
        let (code, text) = links.last_mut().unwrap().expect_bye();
        assert_eq!((code, text.as_str()), (0, "replaced by a newer connection"));
        assert_eq!(book.wait_down("friend", round).reason.as_str(), "replaced");
        newer.say(&data(&[round as u8]));
        book.wait_count("message", round, |seen| matches!(seen.what, What::Message(_)));
        links.push(newer);
    }
    drop(node);
    book.assert_ordered();
}

#[test]
fn with_reject_new_peers_the_connected_one_stays() {
    let (node, book) = start(&format!("datasrc-reject-new-peers\n{TEXT}"));
    let mut first = Mock::greet(addr(&node), "friend");
    book.wait_up("friend", 1);
    let mut second = Mock::dial(addr(&node));
    second.say(&hello("friend", "", 0));
    assert_eq!(second.expect_bye().0, 2);
    let (reason, detail) = book.wait_refused(1);
    assert_eq!(reason, RefusedReason::AlreadyConnected);
    assert!(detail.contains("datasrc-reject-new-peers"), "{detail}");
    assert_eq!(book.count(|seen| seen.refused().is_some() && seen.peer == "friend"), 1);
    first.say(&data(b"still here"));
    book.wait_count("message", 1, |seen| matches!(seen.what, What::Message(_)));
    // When the first is gone, another one may come.
    first.cut();
    book.wait_down("friend", 1);
    Mock::greet(addr(&node), "friend");
    book.wait_up("friend", 2);
}

#[test]
fn peers_that_look_alike_are_filled_in_the_order_of_the_file() {
    let (node, book) = start(
        "datasrc-port auto
        datasrc-interface 127.0.0.1
        add-peer
            remote-name one
            remote-label feed
        end-peer
        add-peer
            remote-name two
            remote-label feed
        end-peer",
    );
    let greet = |name: &str| {
        let mut mock = Mock::dial(addr(&node));
        mock.say(&hello(name, "feed", 0));
        mock.expect_hello();
        mock
    };
    let first = greet("a");
    book.wait_up("one", 1);
    let _second = greet("b");
    book.wait_up("two", 1);
    first.cut();
    book.wait_down("one", 1);
    let _third = greet("c");
    book.wait_up("one", 2);
    // All are up: the first that matches is replaced.
    let _fourth = greet("d");
    book.wait_up("one", 3);
    assert_eq!(book.wait_down("one", 2).reason.as_str(), "replaced");
    drop(node);
    book.assert_ordered();
}

/// Does not return from a message until it is let go.
struct Stuck {
    book: Recorder,
    gate: Arc<Mutex<()>>,
}

impl NodeHandler for Stuck {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        self.book.add(Some(peer), What::Message(payload.to_vec()));
        drop(self.gate.lock().unwrap());
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        self.book.add(peer, What::Event(event.clone()));
    }
}

#[test]
fn a_returning_peer_waits_for_the_old_links_handler_but_not_without_a_limit() {
    let (book, gate) = (Recorder::default(), Arc::new(Mutex::new(())));
    let stuck = Stuck { book: book.clone(), gate: Arc::clone(&gate) };
    let node = Node::start(config(TEXT), stuck).unwrap();
    let closed = gate.lock().unwrap();
    let mut first = Mock::greet(addr(&node), "friend");
    first.say(&data(b"stuck"));
    book.wait_count("message", 1, |seen| matches!(seen.what, What::Message(_)));

    let mut refused = Mock::dial(addr(&node));
    refused.say(&hello("friend", "", 0));
    assert_eq!(refused.expect_bye().0, 2);
    let (reason, detail) = book.wait_refused(1);
    assert_eq!(reason, RefusedReason::AlreadyConnected, "{detail}");
    // The old link was ended all the same, and while its end is not reported, nothing is up.
    first.expect_end();
    assert_eq!(book.count(|seen| seen.down().is_some()), 0);
    assert!(!node.peer("friend").unwrap().is_up());

    let mut waiting = Mock::dial(addr(&node));
    waiting.say(&hello("friend", "", 0));
    std::thread::sleep(Duration::from_millis(50));
    drop(closed);
    waiting.expect_hello();
    book.wait_up("friend", 2);
    assert_eq!(book.wait_down("friend", 1).reason.as_str(), "replaced");
    drop(node);
    book.assert_ordered();
}
