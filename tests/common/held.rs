//! The system resources that this process holds: peerbeat's threads, descriptors, memory.
//!
//! Counted for the whole process, so tests that compare run one after the other.

use std::fs;
use std::time::{Duration, Instant};

/// Peerbeat's threads, and descriptors. The threads of the test harness come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) threads: usize,
    pub(crate) descriptors: usize,
}

/// What is held now.
pub(crate) fn held() -> Held {
    let names = fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        // One that ends in this moment has no name any more.
        fs::read_to_string(task.unwrap().path().join("comm")).ok()
    });
    let threads = names.filter(|name| name.starts_with("pb-")).count();
    Held { threads, descriptors: fs::read_dir("/proc/self/fd").unwrap().count() }
}

/// Waits until no more than `most` is held, and returns how much more is if that takes too long:
/// the system takes a moment to clear away.
pub(crate) fn left_above(most: Held, patience: Duration) -> Held {
    let until = Instant::now() + patience;
    loop {
        let now = held();
        let more = Held {
            threads: now.threads.saturating_sub(most.threads),
            descriptors: now.descriptors.saturating_sub(most.descriptors),
        };
        if more == (Held { threads: 0, descriptors: 0 }) || Instant::now() >= until {
            return more;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The resident memory of this process in KiB.
pub(crate) fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
