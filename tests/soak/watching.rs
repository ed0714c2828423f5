//! What is watched from outside: memory over time, and whether this process gets to run at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::held::resident_kib;
use crate::peers::SLACK;

/// Resident memory, a sample a second.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<usize>);

impl Samples {
    pub(crate) fn take(&mut self, elapsed: Duration) {
        if elapsed.as_secs() as usize >= self.0.len() {
            self.0.push(resident_kib());
        }
    }

    /// The medians of the second quarter of the time, when all is warm, and of the last one.
    fn medians(&self) -> [usize; 2] {
        let quarter = self.0.len() / 4;
        [quarter..2 * quarter, 3 * quarter..self.0.len()].map(|range| {
            let mut part = self.0[range].to_vec();
            part.sort_unstable();
            part.get(part.len() / 2).copied().unwrap_or_default()
        })
    }

    pub(crate) fn summary(&self) -> String {
        let [warm, last] = self.medians();
        format!("median {warm} KiB in the second quarter, {last} KiB in the last")
    }

    pub(crate) fn assert_flat(&self) {
        if self.0.len() < WARM {
            println!("memory is not judged: all is warm only after some minutes");
            return;
        }
        let [warm, last] = self.medians();
        // What the allocator keeps for hundreds of threads comes and goes.
        assert!(last <= warm + warm / 8 + (4 << 10), "memory grows: {}", self.summary());
    }
}

/// When this process was kept from running, and for how long.
pub(crate) type Pauses = Arc<Mutex<Vec<(Instant, Duration)>>>;

/// A thread that sleeps a little, again and again, and notices when that takes long.
#[derive(Debug)]
pub(crate) struct Starving {
    pub(crate) seen: Pauses,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    longest: Arc<Mutex<Duration>>,
}

impl Starving {
    pub(crate) fn start() -> Self {
        let (seen, stop) = (Pauses::default(), Arc::new(AtomicBool::new(false)));
        let longest = Arc::new(Mutex::new(Duration::ZERO));
        let (seen_too, stop_too, most) =
            (Arc::clone(&seen), Arc::clone(&stop), Arc::clone(&longest));
        let thread = thread::spawn(move || {
            while !stop_too.load(Ordering::Relaxed) {
                let began = Instant::now();
                thread::sleep(NAP);
                let late = began.elapsed().saturating_sub(NAP);
                let mut most = most.lock().unwrap();
                *most = late.max(*most);
                if late > SLACK / 2 {
                    seen_too.lock().unwrap().push((Instant::now(), late));
                }
            }
        });
        Self { seen, stop, thread: Some(thread), longest }
    }

    pub(crate) fn longest(&self) -> Duration {
        *self.longest.lock().unwrap()
    }
}

impl Drop for Starving {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Samples that are skipped before memory is judged: every peer must have been through some faults.
const WARM: usize = 300;
const NAP: Duration = Duration::from_millis(20);
