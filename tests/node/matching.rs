//! Which peer a HELLO belongs to, if several match, and addresses that no node can dial.

use peerbeat::config::{Config, ConfigOptions};
use peerbeat::node::{Node, Peer, ReloadError, StartError};

use crate::common::*;

#[test]
fn of_several_that_match_a_free_one_comes_first_then_the_stronger_way_then_the_first() {
    let (node, book) = start(
        "datasrc-port auto
        datasrc-interface 127.0.0.1
        add-peer
            remote-name feed
        end-peer
        add-peer
            label feed
            remote-name by-label
        end-peer
        add-peer
            remote-id 7
            remote-name by-id
        end-peer
        add-peer
            remote-label feed
            remote-name by-remote-label
        end-peer",
    );
    let greet = || {
        let mut mock = Mock::dial(addr(&node));
        mock.say(&hello("feed", "feed", 7));
        mock.expect_hello();
        mock
    };
    let mut open = Vec::new();
    for expected in ["by-remote-label", "by-id", "by-label", "feed"] {
        open.push(greet());
        book.wait_up(expected, 1);
    }
    // None is free: the strongest is replaced.
    open.push(greet());
    book.wait_down("by-remote-label", 1);
    book.wait_up("by-remote-label", 2);
}

#[test]
fn a_unix_address_is_refused_at_the_start_and_not_dialled_in_silence() {
    let text = "add-peer\nremote-name local\naddr unix:/run/local.sock\nend-peer";
    let config = Config::parse(text, &ConfigOptions::default()).unwrap();
    let ignore = |_: &Peer, _: &[u8]| {};
    let error = Node::start(config.clone(), ignore).map(drop).unwrap_err();
    assert!(matches!(&error, StartError::Address { .. }));
    let reason = "peer \"local\" has the address unix:/run/local.sock, and this node dials TCP \
                  only; remove it";
    assert_eq!(error.to_string(), format!("cannot start: {reason}"));

    let node = Node::start(Config::parse("", &ConfigOptions::default()).unwrap(), ignore).unwrap();
    let error = node.reload(config).map(drop).unwrap_err();
    assert!(matches!(&error, ReloadError::Address { .. }));
    assert_eq!(error.to_string(), format!("nothing was changed: {reason}"));
}
