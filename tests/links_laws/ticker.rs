//! Threads that only tick: their lateness shows how starved this process is.
//!
//! There are several, because each core has its own queue, and one may be free while threads that
//! wait for another one starve. They cannot prove that every thread got its core in time, but if
//! one of them was late no upper bound that was measured says anything about the links.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The ticking threads; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stops: AtomicBool,
    /// Ticks that were noticeably late: when they came, and how late.
    late: Mutex<Vec<(Instant, Duration)>>,
}

impl Ticker {
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let threads = (0..TICKERS).map(|_| {
            let ticking = Arc::clone(&shared);
            thread::spawn(move || ticking.tick())
        });
        let threads = threads.collect();
        Self { shared, threads }
    }

    /// The latest tick since an instant.
    pub(crate) fn worst_since(&self, since: Instant) -> Duration {
        let late = self.shared.late.lock().unwrap();
        let late = late.iter().filter(|(at, _)| *at >= since);
        late.map(|(_, late)| *late).max().unwrap_or_default()
    }

    /// The latest tick of all.
    pub(crate) fn worst(&self) -> Duration {
        let late = self.shared.late.lock().unwrap();
        late.iter().map(|(_, late)| *late).max().unwrap_or_default()
    }
}

impl Shared {
    fn tick(&self) {
        while !self.stops.load(Ordering::Relaxed) {
            let due = Instant::now() + TICK;
            thread::sleep(TICK);
            let now = Instant::now();
            let late = now.saturating_duration_since(due);
            if late > TICK / 2 {
                self.late.lock().unwrap().push((now, late));
            }
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a ticker does not panic");
        }
    }
}

const TICK: Duration = Duration::from_millis(10);
const TICKERS: usize = 8;
