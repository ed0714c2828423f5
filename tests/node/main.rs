//! Nodes with real sockets on the loopback: one file for each part of a node's life.
//!
//! The clocks are real: that nothing comes too early may be asserted exactly, but waits for things
//! to come are generous.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod alive;
mod both_dial;
mod crowds;
mod dialling;
mod failover;
mod handlers;
mod hello;
mod matching;
mod meeting;
mod one_life;
mod publishing;
mod reload;
mod replacing;
mod stopping;
mod strangers;
mod transport;
#[cfg(unix)]
mod unix;
mod waiting;

use std::net::TcpListener;

use peerbeat::node::Node;

use common::{Recorder, listener, start};

/// A node with these items that dials `server` and is dialled by `friend`, and the place where
/// `server` listens.
fn both_roles(items: &str) -> (Node, Recorder, TcpListener) {
    let (listener, port) = listener();
    let (node, book) = start(&format!(
        "datasrc-name us
        datasrc-port auto
        datasrc-interface 127.0.0.1
        {items}
        add-peer
            remote-name server
            addr 127.0.0.1
            port {port}
        end-peer
        add-peer
            remote-name friend
        end-peer"
    ));
    (node, book, listener)
}
