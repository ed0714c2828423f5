//! Two nodes that dial each other settle on one link and stay with it.

use std::ops::Range;
use std::time::Duration;

use peerbeat::node::{Direction, Node, NodeEvent};

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

struct Pair {
    nodes: [Node; 2],
    books: [Recorder; 2],
}

fn pair(first: &str, second: &str, round: u32) -> Pair {
    let [one, two] = free_ports();
    let (left, left_book) = start(&text(first, one, second, two));
    // Sometimes together, sometimes one after the other.
    std::thread::sleep(Duration::from_micros(u64::from(round) * 150));
    let (right, right_book) = start(&text(second, two, first, one));
    left_book.wait_up(second, 1);
    right_book.wait_up(first, 1);
    // A message each way on what is there now, whichever side had to redial meanwhile.
    for (from, book) in [(&left, &right_book), (&right, &left_book)] {
        book.wait_for("message", |seen| {
            let _ = from.peers()[0].try_send(b"hello");
            seen.iter().any(|seen| matches!(seen.what, What::Message(_))).then_some(())
        });
    }
    Pair { nodes: [left, right], books: [left_book, right_book] }
}

fn last_direction(book: &Recorder) -> Direction {
    let book = book.all();
    let direction = |seen: &Seen| match seen.event() {
        Some(NodeEvent::Up { direction, .. }) => Some(*direction),
        _ => None,
    };
    book.iter().rev().find_map(direction).unwrap()
}

/// Twenty pairs, five at a time: all at once take more descriptors than some machines have.
fn assert_settle(first: &str, second: &str) {
    (0..4).for_each(|rounds| assert_pairs_settle(first, second, 5 * rounds..5 * rounds + 5));
}

fn assert_pairs_settle(first: &str, second: &str, rounds: Range<u32>) {
    let pairs: Vec<_> = rounds.map(|round| pair(first, second, round)).collect();
    let ups = || -> Vec<[usize; 2]> {
        pairs.iter().map(|pair| pair.books.each_ref().map(|book| book.count(Seen::is_up))).collect()
    };
    let before = ups();
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(ups(), before, "it flaps");
    assert!(before.iter().flatten().all(|ups| *ups <= 2), "{before:?}");
    for Pair { nodes, books } in &pairs {
        assert!(nodes.iter().all(|node| node.peers()[0].is_up()));
        // One link: dialled by one, accepted by the other.
        assert_ne!(last_direction(&books[0]), last_direction(&books[1]));
    }
    for Pair { nodes, books } in pairs {
        drop(nodes);
        books.iter().for_each(Recorder::assert_ordered);
    }
}

#[test]
fn two_that_dial_each_other_settle_on_one_link() {
    assert_settle("alpha", "beta");
}

#[test]
fn equal_names_settle_too() {
    assert_settle("same", "same");
}

/// Both lose the link at once and dial again within 10 ms, so their dials cross in every way.
fn assert_settle_again(first: &str, second: &str) {
    let [one, two] = free_ports();
    let quick = |text: String| text.replace("time-min 0.02", "time-min 0.01");
    let quick = |text| quick(text).replace("time-max 0.3", "time-max 0.01");
    let (left, left_book) = start(&quick(text(first, one, second, two)));
    let (right, right_book) = start(&quick(text(second, two, first, one)));
    let (of_left, of_right) = (&left.peers()[0], &right.peers()[0]);
    for round in 0..100_u8 {
        for (from, book) in [(of_left, &right_book), (of_right, &left_book)] {
            book.wait_for("this round's message", |seen| {
                let _ = from.try_send(&[round]);
                seen.iter().any(|seen| seen.what == What::Message(vec![round])).then_some(())
            });
        }
        of_left.close();
        of_right.close();
    }
    let settled = || of_left.is_up() && of_right.is_up();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let before = left_book.count(Seen::is_up);
        std::thread::sleep(Duration::from_millis(500));
        if settled() && left_book.count(Seen::is_up) == before {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "it flaps: {:#?}", left_book.all());
    }
    let ups = left_book.count(Seen::is_up);
    assert!(ups <= 120, "{ups} links for 100 losses");
    drop((left, right));
    left_book.assert_ordered();
    right_book.assert_ordered();
}

#[test]
fn after_a_hundred_losses_they_have_settled_a_hundred_times() {
    assert_settle_again("alpha", "beta");
}

#[test]
fn equal_names_settle_after_losses_too() {
    assert_settle_again("same", "same");
}

#[test]
fn a_node_that_dials_itself_refuses_itself() {
    let [port] = free_ports();
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
    assert_eq!(book.wait_down("b", 1).reason.as_str(), "replaced");
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
    assert!(
        !book.all().iter().any(|seen| matches!(seen.event(), Some(NodeEvent::DialFailed { .. })))
    );
    assert_eq!(book.count(|seen| matches!(seen.event(), Some(NodeEvent::Dialling { .. }))), 1);
    back.cut();
    book.wait_down("a", 1);
    book.wait_count("dialling", 2, |seen| matches!(seen.event(), Some(NodeEvent::Dialling { .. })));
    drop(node);
    book.assert_ordered();
    let direction = book.all().iter().find_map(|seen| match seen.event() {
        Some(NodeEvent::Up { direction, .. }) => Some(*direction),
        _ => None,
    });
    assert_eq!(direction, Some(Direction::Accepted));
}
