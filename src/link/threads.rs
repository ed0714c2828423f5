//! Makes a thread, or names the limit of the system that prevents it.
//!
//! `pthread_create` returns "resource temporarily unavailable" for four different limits. The
//! process knows how many threads it has, so the smallest limit that is close to that number is the
//! one; if none is, it is one that counts more than this process.
//!
//! A thread is refused early if memory maps run short: a new std thread that cannot map its signal
//! stack aborts the whole process (measured: at the 8185th link). Each thread takes four maps; a
//! thousand are left for the rest of the program, which is a guess.

use std::cell::Cell;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

use super::limits::number;

/// Makes a thread with a name that `ps` shows.
///
/// # Errors
/// The limit that is in the way, with its name.
pub(crate) fn spawn(
    name: &str,
    stack_size: usize,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let maps_max = number("/proc/sys/vm/max_map_count", "");
    if maps_max.is_some_and(|most| MAPS * running() + MAPS_FREE.min(most / 8) > most) {
        return Err(named(&io::ErrorKind::OutOfMemory.into()));
    }
    // std refuses a name with a NUL by panicking.
    let builder = Builder::new().name(name.replace('\0', " ")).stack_size(stack_size);
    builder.spawn(body).map_err(|error| named(&error))
}

/// The number of the calling thread, which no other thread of the process ever has.
///
/// std's `thread::current()` allocates in a thread that std has not started, such as those of a C
/// program, and memory checkers report that as lost.
pub(crate) fn own_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    thread_local!(static OWN: Cell<u64> = const { Cell::new(0) });
    OWN.with(|own| {
        if own.get() == 0 {
            own.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
        }
        own.get()
    })
}

/// Gives the calling thread another name, if the system has a way: std names a thread only when
/// it makes it.
pub(crate) fn rename(name: &str) {
    if cfg!(target_os = "linux") {
        // The kernel cuts it to 15 bytes. Without /proc the name is only less telling.
        let _ = fs::write("/proc/thread-self/comm", name.replace('\0', " "));
    }
}

fn named(error: &io::Error) -> io::Error {
    let limits = [
        (number("/proc/self/limits", "Max processes"), "ulimit -u"),
        (number("/sys/fs/cgroup/pids.max", ""), "pids.max of its control group"),
        (number("/proc/sys/kernel/threads-max", ""), "kernel.threads-max"),
        (number("/proc/sys/vm/max_map_count", "").map(|maps| maps / MAPS), "vm.max_map_count / 4"),
    ];
    io::Error::new(error.kind(), describe(error, running(), &limits))
}

fn describe(error: &io::Error, threads: u64, limits: &[(Option<u64>, &str)]) -> String {
    let known = limits.iter().filter_map(|(limit, name)| Some(((*limit)?, *name)));
    let near = known.filter(|(limit, _)| threads >= limit / 10 * 8).min();
    let limit = match (near, limits.first()) {
        (Some((limit, name)), _) => format!("limit {limit} by {name}, {threads} are running"),
        (None, Some((Some(limit), name))) => {
            format!("limit {limit} by {name}, or that of the container or of memory")
        }
        _ => "limit of processes and threads, ulimit -u".to_owned(),
    };
    format!("no thread left ({limit}): {error}; raise that limit")
}

/// The threads of this process; 0 if the system does not say.
fn running() -> u64 {
    number("/proc/self/status", "Threads:").unwrap_or(0)
}

/// Maps of memory that a thread takes: its stack, the stack of its signals, a guard for each.
const MAPS: u64 = 4;
/// Maps for the rest of the program.
const MAPS_FREE: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_limit_is_named() {
        let why = io::Error::other("why");
        let limits = [(Some(96_551), "ulimit -u"), (None, "pids.max"), (Some(16_382), "maps / 4")];
        let text = |threads, limits| describe(&why, threads, limits);
        assert_eq!(
            text(16_300, &limits[..]),
            "no thread left (limit 16382 by maps / 4, 16300 are running): why; raise that limit"
        );
        assert_eq!(
            text(7, &limits[..]),
            "no thread left (limit 96551 by ulimit -u, or that of the container or of memory): why; \
             raise that limit"
        );
        let unknown =
            "no thread left (limit of processes and threads, ulimit -u): why; raise that limit";
        assert_eq!(text(7, &[(None, "ulimit -u")]), unknown);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_systems_numbers_are_found() {
        assert!(running() >= 1);
        assert!(number("/proc/sys/vm/max_map_count", "") > Some(MAPS_FREE));
    }
}
