//! The dialling side: what failed dials report, and when the next dial comes.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use peerbeat::node::{DialFailedReason, Node, NodeEvent};

use crate::common::*;

fn text(port: u16, extra: &str) -> String {
    format!(
        "datasrc-name us
        reconnect-time-min 0.02
        reconnect-time-max 0.1
        add-peer
            remote-name server
            addr 127.0.0.1
            port {port}
            connect-timeout 30
            {extra}
        end-peer"
    )
}

/// A node that dials a listener in the test.
fn dialling(extra: &str) -> (TcpListener, Node, Recorder) {
    let (listener, port) = listener();
    let (node, book) = start(&text(port, extra));
    (listener, node, book)
}

fn failed(book: &Recorder, times: usize) -> (DialFailedReason, String) {
    book.wait_for(&format!("failed dial {times}"), |book| {
        let mut failures = book.iter().filter_map(|seen| match seen.event() {
            Some(NodeEvent::DialFailed { reason, detail, .. }) => Some((*reason, detail.clone())),
            _ => None,
        });
        failures.nth(times - 1)
    })
}

#[test]
fn a_goodbye_instead_of_a_welcome_is_reported_in_words() {
    let (listener, _node, book) = dialling("local-name adapter7\nlocal-label seven");
    let mut mock = Mock::accept(&listener);
    assert_eq!(mock.expect_hello(), ("adapter7".to_owned(), "seven".to_owned()));
    mock.say(&bye(1, "who\u{1b}[31m are you"));
    let (reason, detail) = failed(&book, 1);
    assert_eq!(reason, DialFailedReason::Refused);
    assert_eq!(detail, "peer not known here: \"who\\u{1b}[31m are you\"");
    book.wait_count("retry", 1, |seen| matches!(seen.event(), Some(NodeEvent::Retry { .. })));
    let mut again = Mock::accept(&listener);
    again.expect_hello();
    again.say(&bye(200, ""));
    assert_eq!(failed(&book, 2), (DialFailedReason::Refused, "closed, code 200".to_owned()));
}

#[test]
fn a_server_that_breaks_the_protocol_gets_a_bye_that_says_so() {
    let (listener, _node, book) = dialling("");
    let mut mock = Mock::accept(&listener);
    mock.expect_hello();
    mock.say(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_eq!(mock.expect_bye().0, 4);
    let (reason, detail) = failed(&book, 1);
    assert_eq!(reason, DialFailedReason::Protocol);
    assert!(detail.contains("HTTP"), "{detail}");

    let mut early = Mock::accept(&listener);
    early.expect_hello();
    early.say(&data(b"too early"));
    assert_eq!(early.expect_bye().0, 4);
    assert!(failed(&book, 2).1.contains("DATA where HELLO"));

    let mut version = hello("server", "", 0);
    version[9] = 9;
    let mut newer = Mock::accept(&listener);
    newer.expect_hello();
    newer.say(&version);
    assert_eq!(newer.expect_bye().0, 3);
    assert_eq!(failed(&book, 3).0, DialFailedReason::Protocol);

    let mut closing = Mock::accept(&listener);
    closing.expect_hello();
    closing.cut();
    assert_eq!(failed(&book, 4).0, DialFailedReason::Eof);
}

#[test]
fn a_server_that_says_nothing_is_left_at_the_connect_timeout() {
    let (listener, port) = listener();
    let began = Instant::now();
    let (_node, book) = start(&text(port, "").replace("timeout 30", "timeout 0.4"));
    let mut mock = Mock::accept(&listener);
    mock.expect_hello();
    assert_eq!(mock.expect_bye().0, 5);
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    mock.expect_end();
    assert_eq!(failed(&book, 1).0, DialFailedReason::Timeout);
}

#[test]
fn a_name_without_address_is_reported_as_such() {
    let (node, book) = start(&text(1, "").replace("addr 127.0.0.1", "addr no-such-host.invalid"));
    let (reason, _) = failed(&book, 1);
    assert_eq!(reason, DialFailedReason::Resolve);
    drop(node);
}

#[test]
fn another_name_than_the_one_dialled_is_a_warning() {
    let (listener, node, book) = dialling("");
    let _mock = Mock::welcome(&listener, "some\u{202e}body");
    book.wait_up("server", 1);
    let detail = book.wait_for("warning", |book| {
        book.iter().find_map(|seen| match seen.event() {
            Some(NodeEvent::Warning { detail }) => Some(detail.clone()),
            _ => None,
        })
    });
    assert!(detail.contains("\"server\"") && detail.contains("\"some\\u{202e}body\""), "{detail}");
    assert!(node.peer("server").unwrap().is_up());
}

#[test]
fn a_lost_link_is_dialled_again_and_so_is_a_closed_one() {
    let (listener, node, book) = dialling("");
    Mock::welcome(&listener, "server").cut();
    assert_eq!(book.wait_down("server", 1).reason.as_str(), "eof");
    let mut second = Mock::welcome(&listener, "server");
    book.wait_up("server", 2);
    node.peer("server").unwrap().close();
    assert_eq!(second.expect_bye().0, 0);
    assert_eq!(book.wait_down("server", 2).reason.as_str(), "local");
    let _third = Mock::welcome(&listener, "server");
    book.wait_up("server", 3);
    assert_eq!(book.count(|seen| matches!(seen.event(), Some(NodeEvent::Retry { .. }))), 2);
}

// lesson 49: a peer that accepts and closes does not bring a storm, and no dial comes before its
// wait
#[test]
fn accepting_and_closing_does_not_reset_the_waits() {
    let (listener, port) = listener();
    let text = text(port, "").replace("time-max 0.1", "time-max 20");
    let (node, book) = start(&text);
    // The ceiling grows to 2.56 s in 8 rounds, whatever the dice say.
    for _ in 0..8 {
        Mock::welcome(&listener, "server").cut();
    }
    let waits = |book: &[Seen]| -> Vec<Duration> {
        let events = book.iter().filter_map(Seen::event);
        events
            .filter_map(|e| if let NodeEvent::Retry { wait } = e { Some(*wait) } else { None })
            .collect()
    };
    let seen = book.wait_for("waits", |book| Some(waits(book)).filter(|waits| waits.len() >= 8));
    let ceiling = |round: usize| Duration::from_millis(20 << round);
    for (round, wait) in seen.iter().take(8).enumerate() {
        assert!(*wait <= ceiling(round), "{seen:?}");
    }
    // That no die shows less than 90 % in 8 throws has a chance of 1 in 10 to the 8th.
    let mut rounds = seen.iter().take(8).enumerate();
    assert!(rounds.any(|(round, wait)| *wait < ceiling(round) * 9 / 10), "no dice: {seen:?}");
    // That all of these stay below what a reset would allow has a chance of 1 in 2 to the 10th.
    assert!(seen.iter().any(|wait| *wait > Duration::from_millis(20)), "{seen:?}");
    drop(node);
    let book = book.all();
    // A wait begins after what it follows was reported, and before it is reported itself.
    let (mut before, mut due) = (None, None);
    let mut waited = 0;
    for entry in &book {
        match entry.event() {
            Some(NodeEvent::Down(_) | NodeEvent::DialFailed { .. }) => before = Some(entry.at),
            Some(NodeEvent::Retry { wait }) => due = before.map(|at| at + *wait),
            Some(NodeEvent::Dialling { .. }) => {
                assert!(due.is_none_or(|due| entry.at >= due), "too early: {book:#?}");
                waited += usize::from(due.is_some());
            }
            _ => {}
        }
    }
    assert!(waited >= 7, "{waited} of the waits were looked at: {book:#?}");
}

#[test]
fn a_program_can_have_the_next_dial_now() {
    let port = refused_port();
    let slow = text(port, "").replace("0.02", "10000").replace("max 0.1", "max 10000");
    let (node, book) = start(&slow);
    let is_retry = |seen: &Seen| matches!(seen.event(), Some(NodeEvent::Retry { .. }));
    book.wait_count("retry", 1, is_retry);
    let server = node.peer("server").unwrap();
    assert!(server.dial_now());
    failed(&book, 2);
    book.wait_count("retry", 2, is_retry);
    // It is asked for once, and again.
    assert!(server.dial_now());
    failed(&book, 3);
    node.shutdown();
    node.join();
    assert!(!server.dial_now());
}

/// A port that nothing listens on.
fn refused_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
