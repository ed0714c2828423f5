//! Other protocols over a link, other streams below it, and hosts with a loop of their own.
//!
//! The adapters are the examples themselves; their peers are small scripts of raw bytes, with
//! heartbeat times shortened; for STOMP a real RabbitMQ as well. Its start and its whole-second
//! timeouts take longest, and the other tests run in parallel.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

#[path = "../common/accept.rs"]
mod accept;
#[path = "../common/basics.rs"]
mod basics;
mod broker;
mod faults;
mod fix;
mod framings;
mod given;
mod iec104;
mod mock;
mod polling;
mod rabbitmq;
#[path = "../common/skip.rs"]
mod skip;
mod soupbintcp;
mod stomp;
#[cfg(unix)]
mod streams;

/// The examples, as their users would take them.
#[allow(dead_code, clippy::duplicate_mod)]
#[path = "../examples"]
mod examples {
    #[path = "fix.rs"]
    pub(crate) mod fix;
    #[path = "iec104.rs"]
    pub(crate) mod iec104;
    #[path = "poll.rs"]
    pub(crate) mod poll;
    #[path = "soupbintcp.rs"]
    pub(crate) mod soupbintcp;
    #[path = "stomp.rs"]
    pub(crate) mod stomp;
}
