//! More strangers than places: whatever they do, none of them keeps a peer out, and the reports
//! about them stay readable. Lessons 66 and 72.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use peerbeat::node::{Node, NodeEvent, NodeHandler, NodeOptions, Peer, RefusedReason};

use crate::common::*;

const TEXT: &str = "
    datasrc-name us
    datasrc-port auto
    datasrc-interface 127.0.0.1
    datasrc-heartbeat-time 60
    peer-accept-wait-time 60
    add-peer
        remote-name friend
    end-peer";

/// A node with so many places for handshakes.
fn node(places: usize, handler: impl NodeHandler) -> Node {
    let mut options = NodeOptions::default();
    options.handshakes_max = places;
    Node::start_with(config(TEXT), handler, options).unwrap()
}

/// So many strangers, who have all connected and said these bytes.
fn crowd(node: &Node, count: usize, bytes: &[u8]) -> Vec<Mock> {
    let strangers = (0..count).map(|_| Mock::dial(addr(node)));
    let said = strangers.map(|mut stranger| {
        stranger.say(bytes);
        stranger
    });
    said.collect()
}

#[test]
fn the_oldest_that_is_silent_makes_room_and_hears_why() {
    let book = Recorder::default();
    let node = node(3, book.clone());
    let mut silent = crowd(&node, 3, b"");
    let _friend = Mock::greet(addr(&node), "friend");
    book.wait_up("friend", 1);
    assert_eq!(silent.remove(0).expect_bye(), (7, "3 handshakes are under way".to_owned()));
    let (reason, detail) = book.wait_refused(1);
    assert_eq!((reason, &*detail), (RefusedReason::TooMany, "3 handshakes are under way"));
    // The friend has left its place to its link.
    let mut third = crowd(&node, 1, b"").remove(0);
    assert_eq!(book.count(|seen| seen.refused().is_some()), 1);
    for left in &mut silent {
        left.say(&hello("nobody", "", 0));
        assert_eq!(left.expect_bye().0, 1, "it has kept its place");
    }
    third.say(&hello("nobody", "", 0));
    assert_eq!(third.expect_bye().0, 1);
}

#[test]
fn neither_drips_nor_unread_refusals_keep_a_peer_out() {
    let half = &hello("friend", "", 0)[..9];
    for (bytes, rounds) in [(half, 3), (&b"GET / HTTP/1.1\r\n"[..], 3), (&hello("x", "", 0), 3)] {
        let book = Recorder::default();
        let node = node(4, book.clone());
        for round in 1..=rounds {
            let crowd = crowd(&node, 12, bytes);
            let friend = Mock::greet(addr(&node), "friend");
            book.wait_up("friend", round);
            drop(friend);
            book.wait_down("friend", round);
            drop(crowd);
        }
    }
}

/// Lets go of the events of strangers one by one, on request.
struct Slow {
    book: Recorder,
    go: Mutex<Receiver<()>>,
}

impl Slow {
    fn new() -> (Self, Recorder, Sender<()>) {
        let (sender, go) = channel();
        let book = Recorder::default();
        (Self { book: book.clone(), go: Mutex::new(go) }, book, sender)
    }
}

impl NodeHandler for Slow {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        self.book.on_message(peer, payload);
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        if matches!(event, NodeEvent::Refused { .. }) {
            let go = self.go.lock().unwrap_or_else(PoisonError::into_inner);
            // The sender is dropped when all may go.
            let _all = go.recv_timeout(PATIENCE);
        }
        self.book.on_event(peer, event);
    }
}

#[test]
fn a_handler_that_is_slow_for_strangers_keeps_no_peer_out() {
    let (slow, book, go) = Slow::new();
    let node = node(2, slow);
    for mut stranger in crowd(&node, 20, &hello("nobody", "", 0)) {
        stranger.expect_bye();
    }
    let held = crowd(&node, 20, b"");
    let _friend = Mock::greet(addr(&node), "friend");
    book.wait_up("friend", 1);
    assert_eq!(book.count(|seen| seen.refused().is_some()), 0);
    drop((go, held));
    book.wait_refused(1);
}

// lesson 72
#[test]
fn a_flood_of_refusals_is_reported_at_a_bounded_rate_and_counted() {
    let book = Recorder::default();
    let node = node(8, book.clone());
    let began = std::time::Instant::now();
    for _ in 0..10 {
        for mut stranger in crowd(&node, 10, &hello("nobody", "", 0)) {
            stranger.expect_end();
        }
    }
    let seconds = began.elapsed().as_secs() as usize + 1;
    node.shutdown();
    node.join();
    let refusals = node.stats().refusals;
    let counts: Vec<u64> = book
        .all()
        .iter()
        .filter_map(|seen| match seen.event() {
            Some(NodeEvent::Refused { count, .. }) => Some(*count),
            _ => None,
        })
        .collect();
    assert_eq!((refusals, counts.iter().sum::<u64>()), (100, 100), "{counts:?}");
    // Ten as they come, one a second beyond that, and what was left at the end.
    assert!(counts.len() <= 10 + seconds + 1, "{} in {seconds} s", counts.len());
    book.assert_ordered();
}

/// HELLO with flags bit 1.
fn probe(name: &str) -> Vec<u8> {
    let mut bytes = hello(name, "", 0);
    bytes[10] |= 2;
    bytes
}

#[test]
fn a_probe_learns_name_and_heartbeat_time_and_no_peer_notices() {
    let book = Recorder::default();
    let node = node(2, book.clone());
    let mut friend = Mock::greet(addr(&node), "friend");
    book.wait_up("friend", 1);
    let events = book.all().len();
    let mut timed = 60_000_u32.to_be_bytes().to_vec();
    for number in [7_u64, 0, 0] {
        timed.extend_from_slice(&number.to_be_bytes());
    }
    // With the name of a live peer, too: no link is replaced.
    let mut mock = Mock::dial(addr(&node));
    mock.say(&probe("friend"));
    let (kind, payload) = mock.frame().expect("a HELLO");
    assert_eq!(kind, HELLO);
    assert_eq!(&payload[10..], b"\x02us\x00\x00\x00\xea\x60");
    mock.say(&frame(HEARTBEAT, &timed));
    let (kind, payload) = mock.frame().expect("a heartbeat");
    assert_eq!((kind, payload.len(), &payload[..4]), (HEARTBEAT, 28, &b"\x00\x00\xea\x60"[..]));
    assert_eq!(payload[12..20], 7_u64.to_be_bytes(), "our clock comes back");
    assert_eq!(mock.expect_bye(), (0, String::new()));
    // Without a heartbeat, or with a short one, it gets a short one.
    for bytes in [probe("x"), [probe("x"), heartbeat(1)].concat()] {
        let mut mock = Mock::dial(addr(&node));
        mock.say(&bytes);
        mock.expect_hello();
        assert_eq!(mock.frame(), Some((HEARTBEAT, b"\x00\x00\xea\x60".to_vec())));
        assert_eq!(mock.expect_bye().0, 0);
    }
    let mut rude = Mock::dial(addr(&node));
    rude.say(&[probe("x"), data(b"in")].concat());
    rude.expect_hello();
    assert_eq!(rude.expect_bye().0, 4);
    assert_eq!((node.stats().probes, node.stats().refusals), (4, 0));
    assert_eq!(book.all().len(), events, "{:?}", book.all());
    friend.say(&data(b"still here"));
    book.wait_count("message", 1, |seen| matches!(seen.what, What::Message(_)));
}

#[test]
fn probes_that_are_not_answered_are_refused_like_strangers() {
    let book = Recorder::default();
    let mut options = NodeOptions::default();
    options.answer_probes = false;
    let node = Node::start_with(config(TEXT), book.clone(), options).unwrap();
    for name in ["x", "friend"] {
        let mut mock = Mock::dial(addr(&node));
        mock.say(&probe(name));
        assert_eq!(mock.expect_bye().0, 1);
        mock.expect_end();
    }
    book.wait_refused(2);
    assert_eq!(node.stats().probes, 0);
    assert_eq!(book.count(Seen::is_up), 0);
}

#[test]
fn probes_do_not_keep_a_peer_out() {
    let book = Recorder::default();
    let node = node(3, book.clone());
    let mut asking = crowd(&node, 10, &probe("x"));
    let _friend = Mock::greet(addr(&node), "friend");
    book.wait_up("friend", 1);
    for mock in &mut asking {
        mock.expect_end();
    }
}

// Each of the two programs redials when its link is replaced.
#[test]
fn two_programs_of_one_name_are_reported_as_that_once() {
    let book = Recorder::default();
    let node = node(8, book.clone());
    let mut links = Vec::new();
    for round in 1..=6 {
        links.push(Mock::greet(addr(&node), "friend"));
        book.wait_up("friend", round);
    }
    let contested = |seen: &Seen| match seen.event() {
        Some(NodeEvent::Warning { detail }) if detail.starts_with("contested: 127.0.0.1:") => {
            seen.peer == "friend" && detail.matches("127.0.0.1:").count() == 2
        }
        _ => false,
    };
    drop(node);
    assert_eq!(book.count(contested), 1, "{:?}", book.all());
}

#[test]
#[cfg(target_os = "linux")]
fn the_thread_that_reads_an_accepted_peer_is_called_after_it() {
    let (sender, names) = channel();
    let on_message = move |_: &Peer, _: &[u8]| {
        let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap_or_default();
        let _gone = sender.send(name.trim().to_owned());
    };
    let node = node(8, on_message);
    let mut friend = Mock::greet(addr(&node), "friend");
    friend.say(&data(b"x"));
    assert_eq!(names.recv_timeout(PATIENCE).as_deref(), Ok("pb-r:friend"));
}
