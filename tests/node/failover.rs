//! Which address is dialled next, and which answers count as a failure. Lesson 63.

use std::io::{Read, Write};
use std::thread;

use peerbeat::node::{DialFailedReason, NodeEvent};

use crate::common::*;

/// A node that dials these ports in turn, and waits long after a round.
fn text(ports: &[u16]) -> String {
    let addresses: String =
        ports.iter().map(|port| format!("addr 127.0.0.1\nport {port}\n")).collect();
    format!(
        "datasrc-name us
        reconnect-time-min 86400
        reconnect-time-max 86400
        add-peer
            remote-name server
            {addresses}
        end-peer"
    )
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

// lesson 63
#[test]
fn a_first_address_that_welcomes_and_drops_does_not_keep_the_second_from_its_turn() {
    let ((first, one), (second, two)) = (listener(), listener());
    let (node, book) = start(&text(&[one, two]));
    drop(Mock::welcome(&first, "server"));
    let _stays = Mock::welcome(&second, "server");
    book.wait_up("server", 2);
    let waited = |seen: &Seen| matches!(seen.event(), Some(NodeEvent::Retry { .. }));
    assert_eq!(book.count(waited), 0, "{:?}", book.all());
    assert!(node.peer("server").is_some_and(|peer| peer.is_up()));
    drop(node);
    book.assert_ordered();
}

#[test]
fn when_no_address_lasts_the_round_is_over_and_the_next_one_waits() {
    let ((first, one), (second, two)) = (listener(), listener());
    let (_node, book) = start(&text(&[one, two]));
    drop(Mock::welcome(&first, "server"));
    drop(Mock::welcome(&second, "server"));
    book.wait_down("server", 2);
    let waits = |seen: &Seen| matches!(seen.event(), Some(NodeEvent::Retry { .. }));
    book.wait_count("retry", 1, waits);
    assert_eq!(book.count(waits), 1);
}

#[test]
fn an_echo_of_our_own_hello_is_no_peer() {
    let (listener, port) = listener();
    let echo = thread::spawn(move || {
        let mut stream = accept(&listener);
        let mut buffer = [0; 1000];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    });
    let (node, book) = start(&text(&[port]));
    let (reason, detail) = failed(&book, 1);
    assert_eq!(reason, DialFailedReason::Protocol, "{detail}");
    assert!(detail.starts_with("our own HELLO came back"), "{detail}");
    assert_eq!(book.count(Seen::is_up), 0);
    drop(node);
    echo.join().unwrap();
}

#[test]
fn other_addresses_of_a_reload_count_between_those_of_a_round() {
    let [(first, one), (second, two), (third, three)] = [(); 3].map(|()| listener());
    let (node, book) = start(&text(&[one, two]));
    let mut mock = Mock::accept(&first);
    mock.expect_hello();
    node.reload(config(&text(&[three]))).unwrap();
    mock.say(&bye(1, "not here"));
    let _server = Mock::welcome(&third, "server");
    book.wait_up("server", 1);
    second.set_nonblocking(true).unwrap();
    let dialled = second.incoming().next().and_then(Result::ok);
    assert!(dialled.is_none(), "an address of before was dialled");
}

#[test]
fn a_reload_that_keeps_the_addresses_does_not_disturb_a_round() {
    let ((first, one), (second, two)) = (listener(), listener());
    let (node, book) = start(&text(&[one, two]));
    let mut mock = Mock::accept(&first);
    mock.expect_hello();
    node.reload(config(&text(&[one, two]))).unwrap();
    mock.say(&bye(1, "not here"));
    let _server = Mock::welcome(&second, "server");
    book.wait_up("server", 1);
}
