//! Systems on which a socket of IPv6 takes no IPv4: a node listens on both or says why not.

use std::fs;
use std::net::TcpListener;

use peerbeat::config::{Config, ConfigOptions};
use peerbeat::node::{Node, NodeHandler, Peer};

use crate::network::own_network;
use crate::skip::say_skipped;

/// Makes IPv6 sockets take IPv6 alone, as they do on Windows and on the BSDs.
fn one_family(name: &str) -> bool {
    if !own_network(name) {
        return false;
    }
    let set = fs::write("/proc/sys/net/ipv6/bindv6only", "1");
    if let Err(why) = &set {
        say_skipped(name, &format!("net.ipv6.bindv6only cannot be set: {why}"));
    }
    set.is_ok()
}

fn start(port: u16) -> Result<Node, peerbeat::node::StartError> {
    let text = format!("datasrc-name node\ndatasrc-port {port}\n");
    let config = Config::parse(&text, &ConfigOptions::default()).unwrap();
    Node::start(config, Deaf)
}

struct Deaf;

impl NodeHandler for Deaf {
    fn on_message(&self, _: &Peer, _: &[u8]) {}
}

// lesson 67
#[test]
fn a_port_that_another_program_has_in_ipv4_is_refused() {
    if !one_family("one_family::a_port_that_another_program_has_in_ipv4_is_refused") {
        return;
    }
    let other = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let error = start(port).expect_err("half a listener is none").to_string();
    assert!(error.contains("another program listens on port"), "{error}");
    drop(other);
    let node = start(port).unwrap();
    let families: Vec<bool> = node.local_addrs().iter().map(|addr| addr.is_ipv4()).collect();
    assert_eq!(families, [false, true], "{:?}", node.local_addrs());
}
