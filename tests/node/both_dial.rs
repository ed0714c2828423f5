//! Two nodes that dial each other settle on one link and stay with it.

use std::time::Duration;

use peerbeat::node::{Direction, Event, Node};

use crate::common::*;

fn text(ours: &str, our_port: u16, theirs: &str, their_port: u16) -> String {
    format!(
        "datasrc-name {ours}
        datasrc-port {our_port}
        datasrc-interface 127.0.0.1
        reconnect-time-min 0.02
        reconnect-time-max 0.3
        add-peer
            remote-name {theirs}
            addr 127.0.0.1
            port {their_port}
        end-peer"
    )
}

/// Two ports that were free a moment ago.
fn ports() -> (u16, u16) {
    let ((_first, one), (_second, two)) = (listener(), listener());
    (one, two)
}

fn settle(first: &str, second: &str, round: u32) {
    let (one, two) = ports();
    let (left, left_book) = start(&text(first, one, second, two));
    // Sometimes together, sometimes one after the other.
    std::thread::sleep(Duration::from_micros(u64::from(round) * 150));
    let (right, right_book) = start(&text(second, two, first, one));
    left_book.wait_up(second, 1);
    right_book.wait_up(first, 1);
    // A message each way on what is there now, whoever had to redial meanwhile.
    let exchange = |from: &Node, to: &str, book: &Recorder| {
        book.wait_for("message", |seen| {
            let _ = from.peer(to).unwrap().try_send(b"hello");
            seen.iter().any(|seen| matches!(seen.what, What::Message(_))).then_some(())
        });
    };
    exchange(&left, second, &right_book);
    exchange(&right, first, &left_book);
    let ups = |book: &Recorder| book.count(Seen::is_up);
    let before = (ups(&left_book), ups(&right_book));
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!((ups(&left_book), ups(&right_book)), before, "it flaps: {:#?}", left_book.all());
    assert!(before.0 <= 2 && before.1 <= 2, "{before:?}: {:#?}", left_book.all());
    assert!(left.peers()[0].is_up() && right.peers()[0].is_up());
    let direction = |book: &Recorder| {
        let book = book.all();
        let last = book.iter().rev().find(|seen| seen.is_up()).unwrap();
        match last.event() {
            Some(Event::Up { direction, .. }) => *direction,
            _ => panic!(),
        }
    };
    // One link: dialled by one, accepted by the other.
    assert_ne!(direction(&left_book), direction(&right_book));
    left.shutdown();
    right.shutdown();
    drop((left, right));
    left_book.assert_ordered();
    right_book.assert_ordered();
}

#[test]
fn two_that_dial_each_other_settle_on_one_link() {
    for round in 0..20 {
        settle("alpha", "beta", round);
    }
}

#[test]
fn equal_names_settle_too() {
    for round in 0..20 {
        settle("same", "same", round);
    }
}

#[test]
fn a_node_that_dials_itself_refuses_itself() {
    let (port, _) = ports();
    let (node, book) = start(&text("self", port, "self", port));
    book.wait_refused(3);
    drop(node);
    assert_eq!(book.count(Seen::is_up), 0);
}

/// A node that dials the test's listener and is dialled by the test: each side of the rule.
struct Crossing {
    node: Node,
    book: Recorder,
    out: Mock,
    back: Mock,
}

/// `ours` is the node's name; its HELLO is out when the peer called `theirs` says its own.
fn crossing(ours: &str, theirs: &str) -> Crossing {
    let (listener, port) = listener();
    let text = text(ours, 0, theirs, port).replace("datasrc-port 0", "datasrc-port auto");
    let (node, book) = start(&text);
    let mut out = Mock::accept(&listener);
    out.expect_hello();
    let mut back = Mock::dial(addr(&node));
    back.say(&hello(theirs, "", 0));
    Crossing { node, book, out, back }
}

#[test]
fn the_smaller_name_keeps_its_own_dial() {
    let Crossing { node, book, mut out, mut back } = crossing("a", "b");
    assert_eq!(back.expect_bye().0, 2);
    out.say(&hello("b", "", 0));
    book.wait_up("b", 1);
    // Just up: a dial that was on its way does not replace it.
    let mut late = Mock::dial(addr(&node));
    late.say(&hello("b", "", 0));
    assert_eq!(late.expect_bye().0, 2);
    // Later the peer must know better: it has lost the link.
    std::thread::sleep(Duration::from_millis(2100));
    let _returning = Mock::greet(addr(&node), "b");
    book.wait_up("b", 2);
    assert_eq!(book.wait_down("b", 1).reason.word(), "replaced");
    drop(node);
    book.assert_ordered();
}

#[test]
fn the_greater_name_gives_its_own_dial_up() {
    let Crossing { node, book, mut out, mut back } = crossing("b", "a");
    back.expect_hello();
    book.wait_up("a", 1);
    out.expect_end();
    // Its own dial leaves no trace, and none is made while the peer is up.
    assert!(!book.all().iter().any(|seen| matches!(seen.event(), Some(Event::DialFailed { .. }))));
    assert_eq!(book.count(|seen| matches!(seen.event(), Some(Event::Dialling { .. }))), 1);
    back.cut();
    book.wait_down("a", 1);
    book.wait_count("dialling", 2, |seen| matches!(seen.event(), Some(Event::Dialling { .. })));
    drop(node);
    book.assert_ordered();
    let direction = book.all().iter().find_map(|seen| match seen.event() {
        Some(Event::Up { direction, .. }) => Some(*direction),
        _ => None,
    });
    assert_eq!(direction, Some(Direction::Accepted));
}
