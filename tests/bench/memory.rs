//! Allocations a message and memory after load, seen by a counting allocator.
//!
//! Both ends run in this process, so a count of 0 in steady state means none on either side. Each
//! part fills the queue to its bound and does its work once beforehand, so that buffers grow then.
//! The last part floods a link and prints how much memory it holds; with `--long` it goes on to
//! print, over a quiet minute, how that is returned. `--quick` counts fewer messages.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Args, Table, heading, ours, proc};
use peerbeat::link::Link;

#[global_allocator]
static COUNTING: Counting = Counting;

/// The system's allocator, with a count.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);
/// How many of a size, in powers of two.
static SIZES: [AtomicU64; 40] = [const { AtomicU64::new(0) }; 40];

// SAFETY: every call is passed to `System` as it came; the counters do not allocate.
#[allow(unsafe_code, reason = "an allocator can only be counted from inside one")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        let class = layout.size().max(1).ilog2() as usize;
        SIZES[class.min(SIZES.len() - 1)].fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `memory` came from `alloc` above, so from `System`, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn main() {
    let args = Args::parse();
    println!("# Memory");
    let noise = proc::Noise::start();
    heading("Allocations in steady state, both ends (target: none but for heartbeats)");
    let mut table = Table::new(["work", "messages", "heartbeats", "allocations", "of sizes"]);
    let many = args.scaled(2_000_000);
    one_way(&mut table, "64 B, as fast as it goes", 64, many, Pace::None);
    one_way(&mut table, "64 B, 1 every ms", 64, args.scaled(1000), Pace::Bursts(1));
    one_way(&mut table, "64 B, 100 every ms", 64, args.scaled(50_000), Pace::Bursts(100));
    one_way(&mut table, "16 KiB, as fast as it goes", 16 << 10, many / 50, Pace::None);
    round_trips(&mut table, args.scaled(50_000));
    heartbeats(&mut table, &args);
    table.print();
    if !args.quick() {
        after_load(args.has("long"));
    }
    noise.report();
}

/// What is counted between two instants. Counting itself allocates nothing.
struct Count {
    allocations: u64,
    sizes: [u64; 40],
    heartbeats: u64,
}

impl Count {
    /// From now on; `heartbeats` of both ends are allowed for apart.
    fn start(heartbeats: u64) -> Self {
        let sizes = std::array::from_fn(|class| SIZES[class].load(Ordering::Relaxed));
        Self { allocations: ALLOCATIONS.load(Ordering::Relaxed), sizes, heartbeats }
    }

    /// Adds a row for what was allocated since the start.
    fn report(self, table: &mut Table, work: &str, messages: u64, heartbeats: u64) {
        let now = Self::start(heartbeats);
        let count = now.allocations - self.allocations;
        let mut sizes = Vec::new();
        for (class, (after, before)) in now.sizes.iter().zip(&self.sizes).enumerate() {
            if after > before {
                sizes.push(format!("{} of {}..{} B", after - before, 1 << class, 2 << class));
            }
        }
        table.row([
            work.to_owned(),
            messages.to_string(),
            (now.heartbeats - self.heartbeats).to_string(),
            count.to_string(),
            sizes.join(", "),
        ]);
    }
}

/// Heartbeats that both ends sent.
fn beats(links: &(Link, Link)) -> u64 {
    links.0.stats().heartbeats_sent + links.1.stats().heartbeats_sent
}

/// Lets the receiver hold still until the sender's queue is full, some times over: after that both
/// buffers that take turns have the largest size that the queue's bound allows them.
fn fill(link: &Link, held: &AtomicBool, payload: &[u8]) -> u64 {
    let mut sent = 0;
    for _ in 0..6 {
        held.store(true, Ordering::Relaxed);
        while link.try_send(payload).is_ok() {
            sent += 1;
        }
        held.store(false, Ordering::Relaxed);
        while link.stats().queued_bytes > 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    sent
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    /// As fast as it goes.
    None,
    /// So many, then a millisecond's sleep.
    Bursts(u64),
}

fn one_way(table: &mut Table, work: &str, size: usize, messages: u64, pace: Pace) {
    let arrived = Arc::new(AtomicU64::new(0));
    let arriving = Arc::clone(&arrived);
    let held = Arc::new(AtomicBool::new(false));
    let holds = Arc::clone(&held);
    let receive = move |_: &Link, payload: &[u8]| {
        assert_eq!(payload.len(), size);
        while holds.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        arriving.fetch_add(1, Ordering::Relaxed);
    };
    let links = ours::links(&ours::every_second(), |_: &Link, _: &[u8]| {}, receive);
    let payload = vec![7; size];
    let send = |count: u64| {
        let until = arrived.load(Ordering::Relaxed) + count;
        for number in 0..count {
            links.0.send(&payload).expect("the peer reads on");
            match pace {
                Pace::Bursts(burst) if number % burst == burst - 1 => {
                    thread::sleep(Duration::from_millis(1));
                }
                _ => {}
            }
        }
        while arrived.load(Ordering::Relaxed) < until {
            thread::sleep(Duration::from_micros(200));
        }
    };
    let filled = fill(&links.0, &held, &payload);
    while arrived.load(Ordering::Relaxed) < filled {
        thread::sleep(Duration::from_millis(1));
    }
    send(messages);
    let count = Count::start(beats(&links));
    send(messages);
    count.report(table, work, messages, beats(&links));
    ours::close(links);
}

fn round_trips(table: &mut Table, trips: u64) {
    let arrived = Arc::new(AtomicU64::new(0));
    let (arriving, stopped) = (Arc::clone(&arrived), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&stopped);
    let ping = move |link: &Link, payload: &[u8]| {
        arriving.fetch_add(1, Ordering::Relaxed);
        if !stop.load(Ordering::Relaxed) {
            link.send(payload).expect("the peer reads on");
        }
    };
    let pong = |link: &Link, payload: &[u8]| link.send(payload).expect("the peer reads on");
    let links = ours::links(&ours::every_second(), ping, pong);
    links.0.send(&[7; 64]).expect("the peer reads on");
    let wait = |until: u64| {
        while arrived.load(Ordering::Relaxed) < until {
            thread::sleep(Duration::from_millis(1));
        }
    };
    wait(trips / 4);
    let count = Count::start(beats(&links));
    let began = arrived.load(Ordering::Relaxed);
    wait(began + trips);
    count.report(table, "64 B round trips in handlers", trips, beats(&links));
    stopped.store(true, Ordering::Relaxed);
    thread::sleep(Duration::from_millis(10));
    ours::close(links);
}

/// Not messages, but listed for completeness: what a heartbeat costs.
fn heartbeats(table: &mut Table, args: &Args) {
    let options = ours::options(Duration::from_millis(100), Duration::from_secs(2));
    let links = ours::links(&options, |_: &Link, _: &[u8]| {}, |_: &Link, _: &[u8]| {});
    thread::sleep(Duration::from_millis(550));
    let count = Count::start(beats(&links));
    thread::sleep(Duration::from_secs(if args.quick() { 1 } else { 5 }));
    count.report(table, "nothing", 0, beats(&links));
    ours::close(links);
}

/// How much memory a pair of links holds before, during and after a flood.
fn after_load(long: bool) {
    heading("Memory of a pair of links (target: back to its small size within a minute of quiet)");
    let held = || HELD.load(Ordering::Relaxed);
    let before = held();
    let arrived = Arc::new(AtomicU64::new(0));
    let arriving = Arc::clone(&arrived);
    let receive = move |_: &Link, payload: &[u8]| {
        arriving.fetch_add(payload.len() as u64, Ordering::Relaxed);
    };
    let links = ours::links(&ours::every_second(), |_: &Link, _: &[u8]| {}, receive);
    thread::sleep(Duration::from_millis(1500));
    let idle = held() - before;
    println!("idle: {} B", idle);
    let mut most = 0;
    let mut bytes = 0;
    for size in [64, 1 << 20] {
        let payload = vec![7; size];
        for _ in 0..(200 << 20) / size {
            links.0.send(&payload).expect("the peer reads on");
            bytes += size as u64;
            most = most.max(held() - before - size);
        }
    }
    while arrived.load(Ordering::Relaxed) < bytes {
        thread::sleep(Duration::from_millis(1));
    }
    println!("under load: up to {} KiB", most >> 10);
    println!("right after: {} KiB", (held() - before) >> 10);
    let (began, mut last) = (Instant::now(), held());
    while long && began.elapsed() < Duration::from_secs(65) {
        thread::sleep(Duration::from_millis(100));
        if held() != last {
            last = held();
            println!("{:.1} s later: {} B", began.elapsed().as_secs_f64(), last - before);
        }
    }
    ours::close(links);
}
