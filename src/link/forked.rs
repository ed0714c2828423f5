//! Whether this is a forked child of the process that made something.
//!
//! A child has copies of its parent's links and nodes but none of their threads: it must neither
//! join nor shut anything. Process ids alone do not distinguish parent and child if the child is
//! in a namespace of its own; the C functions bring a number that a fork moves.

use std::process;
use std::sync::OnceLock;

/// What counts forks, if anything does.
static COUNT: OnceLock<fn() -> u32> = OnceLock::new();

/// Has `count` asked as well: it returns another number in a child than in its parent.
#[cfg(feature = "capi")]
pub(crate) fn count_by(count: fn() -> u32) {
    let _first = COUNT.set(count);
}

/// A process, as a thing remembers the one that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    id: u32,
    /// `None` if forks were not counted when it was made.
    count: Option<u32>,
}

impl Process {
    /// This process.
    pub(crate) fn current() -> Self {
        Self { id: process::id(), count: COUNT.get().map(|count| count()) }
    }

    /// Whether the current process is a forked child of this one. A system call.
    pub(crate) fn is_parent(&self) -> bool {
        let now = COUNT.get().map(|count| count());
        process::id() != self.id || self.count.is_some() && self.count != now
    }
}
