//! Nodes with real sockets on the loopback: one file for each part of a node's life.
//!
//! Real clocks: that nothing comes too early may be asserted tightly, that it comes is waited for
//! with patience.

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
