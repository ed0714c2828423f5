//! A thread that only ticks: how late it is tells how starved this process is.
//!
//! It cannot tell that another thread had its core in time, but where it was late nothing that is
//! measured upwards says anything about the links.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The ticking thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
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
        let ticking = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            while !ticking.stops.load(Ordering::Relaxed) {
                let due = Instant::now() + TICK;
                thread::sleep(TICK);
                let now = Instant::now();
                let late = now.saturating_duration_since(due);
                if late > TICK / 2 {
                    ticking.late.lock().unwrap().push((now, late));
                }
            }
        });
        Self { shared, thread: Some(thread) }
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

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a ticker does not panic");
        }
    }
}

const TICK: Duration = Duration::from_millis(5);
