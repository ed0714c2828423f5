//! The end of a node: fast, whatever its threads are doing, and in order.

use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::node::{Node, NodeEvent, NodeOptions};

use crate::common::*;

/// Far below every interval of the configurations here, far above what a stop takes.
const SOON: Duration = Duration::from_secs(4);

fn assert_stops_soon(node: Node, book: &Recorder) {
    let began = Instant::now();
    node.shutdown();
    assert!(node.join());
    let took = began.elapsed();
    assert!(took < SOON, "the stop took {took:?}");
    book.assert_ordered();
    assert_eq!(book.all().last().unwrap().event(), Some(&NodeEvent::Stopped));
}

// lesson 48
#[test]
fn the_stop_does_not_wait_for_the_wait_between_dials() {
    let dead = { listener().1 };
    let (node, book) = start(&format!(
        "reconnect-time-min 3600
        reconnect-time-max 3600
        add-peer
            remote-name server
            port {dead}
        end-peer"
    ));
    book.wait_count("retry", 1, |seen| matches!(seen.event(), Some(NodeEvent::Retry { .. })));
    assert_stops_soon(node, &book);
}

// lesson 48
#[test]
fn the_stop_does_not_wait_for_handshakes_and_says_goodbye() {
    let (listener, port) = listener();
    let (node, book) = start(&format!(
        "datasrc-port auto
        datasrc-interface 127.0.0.1
        peer-accept-wait-time 3600
        add-peer
            remote-name friend
        end-peer
        add-peer
            remote-name server
            addr 127.0.0.1
            port {port}
            connect-timeout 3600
        end-peer"
    ));
    let mut dialled = Mock::accept(&listener);
    dialled.expect_hello();
    let ours = addr(&node);
    let mut silent = Mock::dial(ours);
    let mut half = Mock::dial(ours);
    half.say(&hello("friend", "", 0)[..9]);
    // The third is up, so the first two have their threads.
    let mut friend = Mock::greet(ours, "friend");
    book.wait_up("friend", 1);
    assert_stops_soon(node, &book);
    assert_eq!(dialled.expect_bye().0, 6);
    assert_eq!(silent.expect_bye().0, 6);
    assert_eq!(half.expect_bye().0, 6);
    assert_eq!(friend.expect_bye().0, 0);
}

// lessons 19 and 48: nothing can interrupt a connect, so nothing waits for it
#[test]
fn the_stop_does_not_wait_for_a_blackholed_dial() {
    let (blackhole, port) = blackhole();
    let (node, book) = start(&format!(
        "datasrc-port auto
        datasrc-interface 127.0.0.1
        add-peer
            remote-name blackhole
            addr 127.0.0.1
            port {port}
            connect-timeout 6
        end-peer
        add-peer
            remote-name friend
        end-peer"
    ));
    book.wait_count("dial", 1, |seen| matches!(seen.event(), Some(NodeEvent::Dialling { .. })));
    // Meanwhile others are served.
    let mut friend = Mock::greet(addr(&node), "friend");
    friend.say(&data(b"served"));
    book.wait_count("message", 1, |seen| matches!(seen.what, What::Message(_)));
    assert_stops_soon(node, &book);
    let calls = book.all().len();
    // The thread that is still in connect must touch nothing when it comes back.
    drop(blackhole);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(book.all().len(), calls);
}

#[test]
fn a_node_can_be_stopped_twice_from_many_threads_and_never_used() {
    let (node, book) = start("datasrc-port auto\ndatasrc-interface 127.0.0.1");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                node.shutdown();
                assert!(node.join());
            });
        }
    });
    assert!(node.join());
    assert_eq!(book.count(|seen| seen.event() == Some(&NodeEvent::Stopped)), 1);
    assert!(TcpStream::connect(addr(&node)).is_err(), "it still listens");
}

#[test]
fn the_port_is_free_again_after_the_stop() {
    let (node, book) = start("datasrc-port auto\ndatasrc-interface 127.0.0.1");
    let port = addr(&node).port();
    assert_stops_soon(node, &book);
    let text = format!("datasrc-port {port}\ndatasrc-interface 127.0.0.1");
    let (again, _) = start(&text);
    assert_eq!(addr(&again).port(), port);
}

// lesson 42: also with a peer that reads nothing and a queue that is full
#[test]
fn the_stop_does_not_wait_for_a_peer_that_reads_nothing() {
    let (node, book) = start(
        "datasrc-port auto
        datasrc-interface 127.0.0.1
        add-peer
            remote-name friend
            heartbeat-time 3600
        end-peer",
    );
    let friend = Mock::greet(addr(&node), "friend");
    book.wait_up("friend", 1);
    let peer = node.peer("friend").unwrap();
    let block = vec![0; 1 << 20];
    while peer.try_send(&block).is_ok() {}
    assert_stops_soon(node, &book);
    let down = book.wait_down("friend", 1);
    assert_eq!(down.reason.as_str(), "local");
    assert!(down.unsent_frames > 0);
    drop(friend);
}

#[test]
fn the_stop_takes_no_longer_than_a_close_may_in_all() {
    let mut options = NodeOptions::default();
    (options.close_timeout, options.close_max) = (Duration::MAX, Duration::from_millis(200));
    let text = "datasrc-port auto
        datasrc-interface 127.0.0.1
        add-peer
            remote-name friend
        end-peer";
    let book = Recorder::default();
    let node = Node::start_with(config(text), book.clone(), options).unwrap();
    // It reads everything, and does not end its stream.
    let mut friend = Mock::greet(addr(&node), "friend");
    book.wait_up("friend", 1);
    let began = Instant::now();
    assert_stops_soon(node, &book);
    assert!(began.elapsed() >= Duration::from_millis(200), "the close was given up early");
    assert_eq!(friend.expect_bye().0, 0);
}

#[test]
fn a_drained_peer_has_read_all_that_was_accepted() {
    let (node, book) = start(
        "datasrc-name us
        datasrc-port auto
        datasrc-interface 127.0.0.1
        add-peer
            remote-name friend
        end-peer",
    );
    let peer = node.peer("friend").unwrap();
    assert!(!peer.drain(Duration::ZERO), "it is not connected");
    let mut friend = Mock::greet(addr(&node), "friend");
    book.wait_up("friend", 1);
    for number in 0..100_u8 {
        peer.send(&[number]).unwrap();
    }
    let reading = thread::spawn(move || {
        let read: Vec<u8> = (0..100).map(|_| friend.expect_data()[0]).collect();
        friend.say(&data(b"last"));
        friend.expect_bye();
        read
    });
    assert!(peer.drain(PATIENCE));
    assert_eq!(reading.join().unwrap(), (0..100).collect::<Vec<u8>>());
    let last = |seen: &Seen| seen.what == What::Message(b"last".to_vec());
    book.wait_count("what came meanwhile", 1, last);
    book.wait_down("friend", 1);
}

/// A node with two friends that are connected, and its address.
fn befriended() -> (Node, Recorder, [Mock; 2]) {
    let (node, book) = start(
        "datasrc-name us
        datasrc-port auto
        datasrc-interface 127.0.0.1
        add-peer
            remote-name ann
        end-peer
        add-peer
            remote-name bob
        end-peer",
    );
    let friends = ["ann", "bob"].map(|name| {
        let friend = Mock::greet(addr(&node), name);
        book.wait_up(name, 1);
        friend
    });
    (node, book, friends)
}

#[test]
fn a_drained_node_has_delivered_all_and_drains_its_peers_side_by_side() {
    let (node, book, friends) = befriended();
    for peer in node.peers() {
        for number in 0..100_u8 {
            peer.send(&[number]).unwrap();
        }
    }
    // Each ends its side only once both were said goodbye: one after the other would be no end.
    let goodbyes = Arc::new(Barrier::new(2));
    let reading = friends.map(|mut friend| {
        let goodbyes = Arc::clone(&goodbyes);
        thread::spawn(move || {
            for number in 0..100_u8 {
                assert_eq!(friend.expect_data(), [number]);
            }
            friend.expect_bye();
            goodbyes.wait();
        })
    });
    assert!(node.drain(PATIENCE));
    for friend in reading {
        friend.join().unwrap();
    }
    assert!(node.join(), "the stop has begun");
    for name in ["ann", "bob"] {
        let down = book.wait_down(name, 1);
        let lost = (down.unsent_frames, down.unconfirmed_bytes);
        assert_eq!((down.reason.as_str(), lost), ("local", (0, Some(0))));
    }
}

#[test]
fn a_drain_of_a_node_ends_in_its_time_whatever_the_peers_do() {
    let (node, book, [mut ann, bob]) = befriended();
    let begun = Instant::now();
    let reading = thread::spawn(move || {
        ann.expect_bye();
    });
    assert!(!node.drain(Duration::from_millis(300)), "bob keeps his end open");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    reading.join().unwrap();
    assert_stops_soon(node, &book);
    drop(bob);
}

#[test]
fn a_drained_node_connects_with_no_peer_meanwhile() {
    let (node, book, [mut ann, mut bob]) = befriended();
    let (ours, handle) = (addr(&node), node.clone());
    let draining = thread::spawn(move || handle.drain(PATIENCE));
    ann.expect_bye();
    drop(ann);
    book.wait_down("ann", 1);
    let mut again = Mock::dial(ours);
    again.say(&hello("ann", "", 1));
    again.expect_bye();
    bob.expect_bye();
    drop(bob);
    assert!(draining.join().unwrap());
    assert!(node.join());
    let ups =
        book.all().iter().filter(|seen| matches!(seen.event(), Some(NodeEvent::Up { .. }))).count();
    assert_eq!(ups, 2, "no connection was let in");
}
