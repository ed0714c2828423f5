//! Connections that are refused, each with its BYE, and their effect on the others.

use std::io::Write;
use std::time::{Duration, Instant};

use peerbeat::link::LinkEvent;
use peerbeat::node::{Node, NodeEvent, RefusedReason};

use crate::common::*;

const TEXT: &str = "
    datasrc-name us
    datasrc-port auto
    datasrc-interface 127.0.0.1
    datasrc-heartbeat-time 60
    peer-accept-wait-time 0.5
    add-peer
        remote-name friend
    end-peer";

/// A node with a friend, so that each test sees that the friend's link does not notice.
struct House {
    node: Node,
    book: Recorder,
    friend: Mock,
}

impl House {
    fn new() -> Self {
        let (node, book) = start(TEXT);
        let friend = Mock::greet(addr(&node), "friend");
        book.wait_up("friend", 1);
        Self { node, book, friend }
    }

    fn stranger(&self) -> Mock {
        Mock::dial(addr(&self.node))
    }

    /// Sends `bytes` and asserts the BYE and the event that come of it.
    #[track_caller]
    fn assert_refused(&self, bytes: &[u8], code: u8, reason: RefusedReason, words: &str) {
        let before = self.book.count(|seen| seen.refused().is_some());
        let mut stranger = self.stranger();
        stranger.say(bytes);
        let (found, text) = stranger.expect_bye();
        assert_eq!(found, code, "{text}");
        stranger.expect_end();
        drop(stranger);
        let (found, detail) = self.book.wait_refused(before + 1);
        assert_eq!(found, reason, "{detail}");
        assert!(detail.contains(words), "{detail:?} does not say {words:?}");
        assert_eq!(reason.bye_code().map(|code| code.0), Some(code));
    }

    /// Asserts that the friend still exchanges messages both ways.
    fn assert_unharmed(mut self) {
        self.friend.say(&data(b"still here"));
        self.book
            .wait_count("message", 1, |seen| seen.what == What::Message(b"still here".to_vec()));
        self.node.peer("friend").unwrap().send(b"so are we").unwrap();
        assert_eq!(self.friend.expect_data(), b"so are we");
        assert_eq!(self.book.count(|seen| seen.down().is_some()), 0);
        drop(self.node);
        self.book.assert_ordered();
    }
}

#[test]
fn a_peer_that_is_not_configured_is_refused_by_name_label_and_id() {
    let house = House::new();
    let words = "label \"la\\u{202e}bel\", the id 7 or the name \"nobody\"";
    let bytes = hello("nobody", "la\u{202e}bel", 7);
    house.assert_refused(&bytes, 1, RefusedReason::UnknownPeer, words);
    house.assert_unharmed();
}

#[test]
fn another_version_and_anything_but_hello_are_refused() {
    let house = House::new();
    let mut version = hello("friend", "", 0);
    version[9] = 2;
    house.assert_refused(&version, 3, RefusedReason::Version, "version 2");
    let mut magic = hello("friend", "", 0);
    magic[5] = b'X';
    house.assert_refused(&magic, 4, RefusedReason::Protocol, "XBHB");
    // lesson 24: nothing is taken before the handshake is done
    house.assert_refused(&data(b"x"), 4, RefusedReason::Protocol, "DATA where HELLO");
    house.assert_refused(&heartbeat(1), 4, RefusedReason::Protocol, "HEARTBEAT where HELLO");
    house.assert_refused(&bye(0, ""), 4, RefusedReason::Protocol, "BYE where HELLO");
    house.assert_refused(&frame(0x77, b""), 4, RefusedReason::Protocol, "where HELLO");
    house.assert_refused(&frame(HELLO, b"PBHB"), 4, RefusedReason::Protocol, "HELLO with 4");
    house.assert_refused(&[0, 0, 0, 0], 4, RefusedReason::Protocol, "length 0");
    house.assert_refused(&[0, 0, 4, 1], 4, RefusedReason::Protocol, "length 1025");
    house.assert_refused(&hello("", "", 0), 4, RefusedReason::Protocol, "name is empty");
    house.assert_refused(&hello("a\nb", "", 0), 4, RefusedReason::Protocol, "control character");
    let mut utf8 = hello("friend", "", 0);
    utf8[16] = 0xff;
    house.assert_refused(&utf8, 4, RefusedReason::Protocol, "not UTF-8");
    house.assert_unharmed();
}

#[test]
fn other_programs_are_distinguished() {
    let house = House::new();
    let get = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    house.assert_refused(get, 4, RefusedReason::Protocol, "HTTP");
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    house.assert_refused(tls, 4, RefusedReason::Protocol, "TLS");
    // Random bytes, more than a HELLO can have, so that some are unread when it is refused.
    let mut seed = 88172645463325252_u64;
    for _ in 0..50 {
        let noise: Vec<u8> = (0..2000)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed as u8 | 0x40
            })
            .collect();
        let mut stranger = house.stranger();
        stranger.say(&noise);
        let (code, text) = stranger.expect_bye();
        assert!(code == 4 && text.contains("allowed: up to 1024"), "{code}: {text}");
    }
    house.assert_unharmed();
}

#[test]
fn a_second_hello_ends_the_link_and_longer_hellos_do_not() {
    let (node, book) = start(TEXT);
    let mut longer = hello("friend", "", 0);
    longer.extend_from_slice(&[9; 50]);
    longer[3] += 50;
    let mut friend = Mock::dial(addr(&node));
    friend.say(&longer);
    friend.expect_hello();
    book.wait_up("friend", 1);
    friend.say(&hello("friend", "", 0));
    assert_eq!(friend.expect_bye().0, 4);
    assert_eq!(book.wait_down("friend", 1).reason.as_str(), "protocol");
}

#[test]
fn what_came_with_the_hello_belongs_to_the_link() {
    let (node, book) = start(TEXT);
    let mut friend = Mock::dial(addr(&node));
    let mut bytes = hello("friend", "", 0);
    bytes.extend(data(b"first"));
    bytes.extend(&data(b"second")[..7]);
    friend.say(&bytes);
    friend.expect_hello();
    friend.say(&data(b"second")[7..]);
    book.wait_count("messages", 2, |seen| matches!(seen.what, What::Message(_)));
    book.assert_ordered();
}

// lesson 24: no beats before the link is established, on either side
#[test]
fn during_the_handshake_no_heartbeat_goes_out() {
    let (listener, port) = listener();
    let (node, _book) = start(&format!(
        "datasrc-port auto
        datasrc-interface 127.0.0.1
        datasrc-heartbeat-time 0.1
        peer-accept-wait-time 1
        add-peer
            remote-name friend
        end-peer
        add-peer
            remote-name server
            addr 127.0.0.1
            port {port}
            connect-timeout 1
        end-peer"
    ));
    let mut silent = Mock::dial(addr(&node));
    let mut dialled = Mock::accept(&listener);
    dialled.expect_hello();
    // Ten heartbeat-times later the goodbye is the first that the one hears, and the end the other.
    let first = silent.frame().map(|(kind, payload)| (kind, payload[0]));
    assert_eq!(first, Some((BYE, 5)));
    let second = dialled.frame();
    assert!(matches!(second, None | Some((BYE, _))), "{second:?}");
}

// lesson 24: early beats from the peer
#[test]
fn heartbeats_that_come_with_the_hello_are_taken_by_the_link() {
    let (listener, port) = listener();
    let text = TEXT.replace(
        "add-peer",
        &format!(
            "add-peer\n remote-name server\n addr 127.0.0.1\n port {port}\n end-peer\n add-peer"
        ),
    );
    let (node, book) = start(&text);
    let early = |name| [hello(name, "", 0), heartbeat(30_000).repeat(3)].concat();
    let mut dialled = Mock::accept(&listener);
    dialled.expect_hello();
    dialled.say(&early("server"));
    let mut friend = Mock::dial(addr(&node));
    friend.say(&early("friend"));
    for peer in ["server", "friend"] {
        book.wait_up(peer, 1);
        book.wait_count("the value", 1, |seen| {
            let to = |event: &NodeEvent| match event {
                NodeEvent::Link(LinkEvent::HeartbeatTime { to, .. }) => {
                    *to == Duration::from_secs(30)
                }
                _ => false,
            };
            seen.peer == peer && seen.event().is_some_and(to)
        });
    }
    assert_eq!(book.count(|seen| seen.down().is_some() || seen.refused().is_some()), 0);
}

// lesson 24: the handshake has a deadline of its own
#[test]
fn silence_and_drips_are_cut_at_the_same_deadline() {
    let house = House::new();
    let began = Instant::now();
    let mut silent = house.stranger();
    let mut dripping = house.stranger();
    let mut half = house.stranger();
    half.say(&hello("friend", "", 0)[..20]);
    let drops = hello(&"x".repeat(255), "", 0);
    let mut drip = drops.iter();
    while began.elapsed() < Duration::from_millis(450) {
        let _ = dripping.stream.write_all(&[*drip.next().unwrap()]);
        std::thread::sleep(Duration::from_millis(10));
    }
    for stranger in [&mut silent, &mut dripping, &mut half] {
        let (code, text) = stranger.expect_bye();
        assert_eq!((code, text.as_str()), (5, "no whole HELLO arrived in time"));
        assert!(began.elapsed() >= Duration::from_millis(500), "cut after {:?}", began.elapsed());
        stranger.expect_end();
    }
    house.book.wait_refused(3);
    let slow = |seen: &Seen| seen.refused().is_some_and(|(r, _)| r == RefusedReason::TooSlow);
    assert_eq!(house.book.count(slow), 3);
    house.assert_unharmed();
}

#[test]
fn a_dialler_that_leaves_before_hello_is_reported_as_gone() {
    let house = House::new();
    house.stranger().cut();
    assert_eq!(house.book.wait_refused(1).0, RefusedReason::Gone);
    let mut half = house.stranger();
    half.say(&hello("friend", "", 0)[..9]);
    half.cut();
    assert_eq!(house.book.wait_refused(2).0, RefusedReason::Gone);
    house.assert_unharmed();
}

// A connection that its peer has given up must not take the place of the one it made instead.
#[test]
fn a_hello_from_a_connection_that_is_closed_already_replaces_nothing() {
    // The end comes right behind the HELLO; that the node looks between the two is bad luck.
    for _attempt in 0..50 {
        let house = House::new();
        let mut gone = house.stranger();
        gone.say(&hello("friend", "", 0));
        gone.cut();
        let harmed = house.book.wait_for("an answer", |book| {
            let answered =
                book.iter().any(|seen| seen.refused().is_some() || seen.down().is_some());
            answered.then(|| book.iter().any(|seen| seen.down().is_some()))
        });
        if !harmed {
            assert_eq!(house.book.wait_refused(1).0, RefusedReason::Gone);
            house.assert_unharmed();
            return;
        }
    }
    panic!("none of 50 was turned away");
}
