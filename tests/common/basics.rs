//! What any test may need: times, waiting, connections on the loopback.
//!
//! Every wait has a deadline, whose panic names what did not happen. Nothing is asserted to be
//! fast.
// Each test binary uses a part of it, and helpers of tests may unwrap as tests do.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::config::{Config, ConfigOptions};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Waits for what must become true.
#[track_caller]
pub fn wait_for(what: &str, mut is_true: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < until, "{what}: it did not happen");
        thread::sleep(ms(1));
    }
}

/// Listens on the loopback; its port.
pub fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Ports that were free a moment ago, each another one.
pub fn free_ports<const N: usize>() -> [u16; N] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Not of those that the system gives to connections: one of them could be taken by the time
    // that it is listened on.
    let next = || {
        let place = std::process::id() * 64 + NEXT.fetch_add(1, Ordering::Relaxed);
        12_000 + (place % 20_000) as u16
    };
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut ports = std::iter::repeat_with(next).filter(is_free);
    std::array::from_fn(|_| ports.next().unwrap())
}

/// A configuration from its text.
pub fn config(text: &str) -> Config {
    Config::parse(text, &ConfigOptions::default()).unwrap_or_else(|errors| panic!("{errors}"))
}
