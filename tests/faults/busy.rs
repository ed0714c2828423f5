//! A starved machine: every core spins, and no peer is declared dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::mock::{Mock, heartbeat};
use crate::rig::{ms, notes, options};

/// Keeps all cores busy while it lives.
struct Spinning {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Spinning {
    fn start() -> Self {
        let cores = thread::available_parallelism().map_or(2, |cores| cores.get());
        let stop = Arc::new(AtomicBool::new(false));
        let spin = |stop: Arc<AtomicBool>| move || while !stop.load(Ordering::Relaxed) {};
        let threads = (0..cores).map(|_| thread::spawn(spin(Arc::clone(&stop)))).collect();
        Self { stop, threads }
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// Beats by hand for `span`, and returns the longest pause of its own since `began`, and an instant
/// from before the last write.
fn beat(mock: &Mock, began: Instant, span: Duration) -> (Duration, Instant) {
    let (mut last, mut longest) = (began, Duration::ZERO);
    while began.elapsed() < span {
        let before = Instant::now();
        if std::io::Write::write_all(&mut &mock.stream, &heartbeat(100)).is_err() {
            break;
        }
        // From before one write to after the next: the link's silence was no longer.
        longest = longest.max(last.elapsed());
        last = before;
        thread::sleep(ms(100));
    }
    (longest, last)
}

#[test]
fn busy_cores_kill_no_link_whose_peer_beats() {
    // Twenty heartbeat-times on four links at once. If the mock itself did not get to beat for most
    // of the limit the round proves nothing, and is tried again.
    let _spinning = Spinning::start();
    for attempt in 0..3 {
        let pauses: Vec<(bool, Duration)> = thread::scope(|scope| {
            let rounds: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let (stream, mock) = Mock::pair();
                        let (notes, _log) = notes(|_, _| {});
                        let began = Instant::now();
                        let link = peerbeat::link::Link::start_with(
                            stream,
                            peerbeat::protocol::Native::default(),
                            &options(100, 400),
                            notes,
                        );
                        let link = link.unwrap();
                        let (longest, last) = beat(&mock, began, ms(2000));
                        (link.is_up(), longest.max(last.elapsed()))
                    })
                })
                .collect();
            rounds.into_iter().map(|round| round.join().unwrap()).collect()
        });
        let starved = pauses.iter().any(|(_, longest)| *longest > ms(400));
        if pauses.iter().all(|(lives, _)| *lives) {
            return;
        }
        assert!(starved, "a link died whose peer paused for no longer than {pauses:?}");
        eprintln!("attempt {attempt}: the mock was starved as well: {pauses:?}");
    }
    panic!(
        "the mock was starved in every attempt, so nothing was shown: run it on a quieter machine"
    );
}
