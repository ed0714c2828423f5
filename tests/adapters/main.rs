//! Other protocols over a link, other streams below it, and hosts with a loop of their own.
//!
//! The adapters are the examples themselves; their peers are small scripts of raw bytes, with
//! heartbeat times shortened; for STOMP a real RabbitMQ as well. Its start and its whole seconds
//! take longest, and the others run beside it.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod broker;
mod faults;
mod fix;
mod framings;
mod given;
mod mock;
mod polling;
mod rabbitmq;
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
    #[path = "poll.rs"]
    pub(crate) mod poll;
    #[path = "soupbintcp.rs"]
    pub(crate) mod soupbintcp;
    #[path = "stomp.rs"]
    pub(crate) mod stomp;
}
