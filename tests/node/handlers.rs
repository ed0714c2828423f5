//! Handlers that do what handlers do: call everything, panic, keep handles.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use peerbeat::link::DownReason;
use peerbeat::node::{Node, NodeEvent, NodeHandler, Peer};

use crate::common::*;

const TEXT: &str = "
    datasrc-name us
    datasrc-port auto
    datasrc-interface 127.0.0.1
    add-peer
        remote-name friend
    end-peer
    add-peer
        remote-name other
    end-peer";

type Act = dyn Fn(&What, Option<&Peer>) + Send + Sync;

/// Writes down, then acts.
struct Acting {
    book: Recorder,
    act: Box<Act>,
}

impl NodeHandler for Acting {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        let what = What::Message(payload.to_vec());
        self.book.add(Some(peer), what.clone());
        (self.act)(&what, Some(peer));
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        let what = What::Event(event.clone());
        self.book.add(peer, what.clone());
        (self.act)(&what, peer);
    }
}

fn acting(act: impl Fn(&What, Option<&Peer>) + Send + Sync + 'static) -> (Node, Recorder) {
    let book = Recorder::default();
    let handler = Acting { book: book.clone(), act: Box::new(act) };
    (Node::start(config(TEXT), handler).unwrap(), book)
}

// lesson 46: everything is legal in a callback
#[test]
fn a_node_can_be_shut_down_from_a_handler() {
    let joined = Arc::new(AtomicBool::new(true));
    let joins = Arc::clone(&joined);
    let (node, book) = acting(move |what, peer| {
        if let (What::Message(_), Some(peer)) = (what, peer) {
            let node = peer.node();
            assert!(peer.send(b"last words").is_ok());
            peer.close();
            node.shutdown();
            joins.store(node.join(), Ordering::SeqCst);
        }
    });
    let mut friend = Mock::greet(addr(&node), "friend");
    friend.say(&data(b"stop"));
    assert_eq!(friend.expect_data(), b"last words");
    assert_eq!(friend.expect_bye().0, 0);
    assert!(node.join());
    assert!(!joined.load(Ordering::SeqCst), "join in a handler waits for itself");
    book.assert_ordered();
    assert_eq!(book.all().last().unwrap().event(), Some(&NodeEvent::Stopped));
}

// lesson 46: the last handle dropped inside a handler
#[test]
fn the_last_handle_can_be_dropped_in_a_handler() {
    let kept: Arc<Mutex<Option<Node>>> = Arc::default();
    let of_handler = Arc::clone(&kept);
    let (node, book) = acting(move |what, _| {
        if matches!(what, What::Message(_)) {
            drop(of_handler.lock().unwrap().take());
        }
    });
    let addr = addr(&node);
    *kept.lock().unwrap() = Some(node);
    let mut friend = Mock::greet(addr, "friend");
    friend.say(&data(b"drop"));
    assert_eq!(friend.expect_bye().0, 0);
    book.wait_count("stopped", 1, |seen| seen.event() == Some(&NodeEvent::Stopped));
    book.assert_ordered();
}

#[test]
fn every_event_can_close_its_peer() {
    let (node, book) = acting(|_, peer| {
        if let Some(peer) = peer {
            peer.close();
            let _ = peer.is_up();
            let _ = peer.try_send(b"x");
        }
    });
    for round in 1..=10 {
        let mut friend = Mock::greet(addr(&node), "friend");
        assert_eq!(friend.expect_bye().0, 0);
        book.wait_down("friend", round);
    }
    drop(node);
    book.assert_ordered();
}

#[test]
fn a_handler_that_panics_ends_its_link_and_nothing_else() {
    let (node, book) = acting(|what, _| {
        if *what == What::Message(b"panic".to_vec()) {
            panic!("on purpose");
        }
    });
    let mut other = Mock::greet(addr(&node), "other");
    book.wait_up("other", 1);
    for round in 1..=3 {
        let mut friend = Mock::greet(addr(&node), "friend");
        let mut bytes = data(b"panic");
        bytes.extend(data(b"never handed on"));
        friend.say(&bytes);
        assert_eq!(friend.expect_bye().0, 0);
        let down = book.wait_down("friend", round);
        let detail = "the handler panicked".to_owned();
        assert_eq!(down.reason, DownReason::Local { detail });
    }
    assert_eq!(book.count(|seen| seen.what == What::Message(b"never handed on".to_vec())), 0);
    other.say(&data(b"fine"));
    book.wait_count("message", 1, |seen| seen.what == What::Message(b"fine".to_vec()));
    drop(node);
    book.assert_ordered();
}

#[test]
fn a_handler_that_panics_at_everything_still_sees_the_whole_story() {
    let (node, book) = acting(|_, _| panic!("on purpose"));
    for round in 1..=3 {
        let mut friend = Mock::greet(addr(&node), "friend");
        friend.expect_bye();
        let detail = "the handler panicked".to_owned();
        assert_eq!(book.wait_down("friend", round).reason, DownReason::Local { detail });
    }
    Mock::dial(addr(&node)).cut();
    book.wait_refused(1);
    node.shutdown();
    assert!(node.join());
    book.assert_ordered();
    assert_eq!(book.all().last().unwrap().event(), Some(&NodeEvent::Stopped));
}

/// Keeps a handle on its node and its peers, which hold the handler: a cycle.
struct Keeping {
    node: Arc<OnceLock<Node>>,
    peers: Mutex<Vec<Peer>>,
    dropped: Arc<AtomicUsize>,
}

impl NodeHandler for Keeping {
    fn on_message(&self, _peer: &Peer, _payload: &[u8]) {}

    fn on_event(&self, peer: Option<&Peer>, _event: &NodeEvent) {
        self.peers.lock().unwrap().extend(peer.cloned());
        let _ = self.node.get().is_some();
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_handler_that_keeps_its_peers_is_freed_when_the_node_has_ended() {
    let (kept, dropped) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
    let handler =
        Keeping { node: Arc::clone(&kept), peers: Mutex::default(), dropped: Arc::clone(&dropped) };
    let node = Node::start(config(TEXT), handler).unwrap();
    kept.set(node.clone()).unwrap();
    let mut friend = Mock::greet(addr(&node), "friend");
    friend.frame();
    node.shutdown();
    assert!(node.join());
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

// lesson 46: a handler holds one peer's thread, not the node's
#[test]
fn a_slow_handler_delays_no_other_peer() {
    let gate = Arc::new(Mutex::new(()));
    let inner = Arc::clone(&gate);
    let (node, book) = acting(move |what, _| {
        if *what == What::Message(b"block".to_vec()) {
            drop(inner.lock().unwrap());
        }
    });
    let held = gate.lock().unwrap();
    let mut friend = Mock::greet(addr(&node), "friend");
    friend.say(&data(b"block"));
    book.wait_count("message", 1, |seen| matches!(seen.what, What::Message(_)));
    let mut other = Mock::greet(addr(&node), "other");
    other.say(&data(b"free"));
    book.wait_count("message", 1, |seen| seen.what == What::Message(b"free".to_vec()));
    node.peer("friend").unwrap().send(b"out").unwrap();
    assert_eq!(friend.expect_data(), b"out");
    drop(held);
    node.shutdown();
    assert!(node.join());
    std::thread::sleep(Duration::from_millis(1));
    book.assert_ordered();
}

// A handler that takes its time over `Up` does not cost the peer its link: what it sent is read
// first.
#[test]
fn a_slow_welcome_is_not_the_peers_silence() {
    let book = Recorder::default();
    let act = |what: &What, _: Option<&Peer>| {
        if matches!(what, What::Event(NodeEvent::Up { .. })) {
            std::thread::sleep(Duration::from_millis(2400));
        }
    };
    let handler = Acting { book: book.clone(), act: Box::new(act) };
    let text = format!("datasrc-heartbeat-time 0.1\ndatasrc-heartbeat-slack-time 0.7\n{TEXT}");
    let node = Node::start(config(&text), handler).unwrap();
    let mut friend = Mock::greet(addr(&node), "friend");
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2900) {
        friend.say(&heartbeat(100));
        std::thread::sleep(Duration::from_millis(30));
    }
    friend.say(&data(b"still here"));
    book.wait_count("message", 1, |seen| matches!(seen.what, What::Message(_)));
    drop(node);
    book.assert_ordered();
    assert_eq!(book.wait_down("friend", 1).reason.as_str(), "local");
}
