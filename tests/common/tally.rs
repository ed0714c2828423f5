//! Numbered messages, and a check that all arrived, each once and in order.
//!
//! The sender numbers what was accepted, and nothing else, from 0. So every number that does not
//! arrive is a message that was lost.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a receiver counts. One thread adds, any thread looks.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    next: AtomicU64,
    received: AtomicU64,
    /// Numbers that were passed over.
    lost: AtomicU64,
    /// Numbers that came again or late.
    doubled: AtomicU64,
    /// Numbers that were passed over between two connections, if that may happen.
    between: AtomicU64,
}

impl Tally {
    /// Counts a message. The first of a connection, `is_first`, may leave out what the end of the
    /// last one cost.
    pub(crate) fn add(&self, payload: &[u8], is_first: bool) {
        let number = u64::from_be_bytes(payload[..8].try_into().unwrap());
        let next = self.next.load(Ordering::Relaxed);
        if number < next {
            self.doubled.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let gap = if is_first { &self.between } else { &self.lost };
        gap.fetch_add(number - next, Ordering::Relaxed);
        self.next.store(number + 1, Ordering::Relaxed);
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages that arrived, each counted once.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// The number that is to come next.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn doubled(&self) -> u64 {
        self.doubled.load(Ordering::Relaxed)
    }

    pub(crate) fn between(&self) -> u64 {
        self.between.load(Ordering::Relaxed)
    }
}

/// A message of `size` bytes, at least 8, with its number.
pub(crate) fn numbered(number: u64, size: usize) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.resize(size.max(8), 0x5a);
    message
}

#[test]
fn a_tally_sees_what_is_lost_and_what_is_doubled() {
    let tally = Tally::default();
    for (number, is_first) in [(0, true), (1, false), (4, false), (4, false), (7, true)] {
        tally.add(&numbered(number, 0), is_first);
    }
    let seen = [tally.received(), tally.next(), tally.lost(), tally.doubled(), tally.between()];
    assert_eq!(seen, [4, 8, 2, 1, 2]);
}
