//! What idle links cost.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::Link;
use peerbeat::protocol::Native;

use crate::alone::alone;
use crate::mock::{heartbeat, tcp_pair};
use crate::rig::{ms, notes, options};

/// How many links, if the process may hold that many descriptors and threads; both ends are ours.
const LINKS: usize = 1000;
/// The heartbeat-time of each, and for how many of them it is watched.
const INTERVAL: Duration = Duration::from_secs(2);
const INTERVALS: u32 = 2;

/// The number that the documentation of `link` promises: three for each of its two threads. One
/// that polls every 100 ms would come to 20 in this heartbeat-time; measured, of both: 2.
const WAKEUPS_A_LINK: f64 = 6.0;
/// What a thousand of them may take of one core, in percent; measured: 1.5.
const CPU_PERCENT: u32 = 25;

// lesson 53
#[test]
fn a_thousand_idle_links_wake_up_six_times_an_interval_and_do_nothing_else() {
    if !alone("idle::a_thousand_idle_links_wake_up_six_times_an_interval_and_do_nothing_else") {
        return;
    }
    let mut idle = options(INTERVAL.as_millis() as u64, 120_000);
    idle.name = "idle".to_owned();
    // Half of the threads that are left are for the tests beside this one.
    let count = LINKS.min((descriptors_max() - 100) / 2).min(threads_left() / 4);
    let (links, peers): (Vec<Link>, Vec<TcpStream>) = (0..count)
        .map(|_| {
            let (near, far) = tcp_pair();
            let (notes, _log) = notes(|_, _| {});
            (Link::start_with(near, Native::default(), &idle, notes).unwrap(), far)
        })
        .unzip();
    thread::sleep(ms(500));
    let (woken, spent, began) = (wakeups(), cpu(), Instant::now());
    for _ in 0..INTERVALS {
        for mut peer in &peers {
            peer.write_all(&heartbeat(INTERVAL.as_millis() as u32)).unwrap();
        }
        thread::sleep(INTERVAL);
    }
    let took = began.elapsed();
    let spent = cpu() - spent;
    let woken = wakeups() - woken;
    println!("{count} links, {took:.1?}: {woken} wake-ups, {spent:?} of CPU");
    assert!(links.iter().all(Link::is_up));
    let a_link = woken as f64 / count as f64 / took.div_duration_f64(INTERVAL);
    assert!(a_link <= WAKEUPS_A_LINK, "{a_link} wake-ups of a link in an interval");
    assert!(a_link >= 0.5, "{a_link} wake-ups of a link: this counts something else");
    let allowed = took * CPU_PERCENT / 100;
    assert!(spent < allowed, "{spent:?} of CPU in {took:?}");
}

fn descriptors_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}

/// The threads that the control group has left.
fn threads_left() -> usize {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let left = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let root = match controllers.split(',').any(|name| name == "pids") {
            true => "/sys/fs/cgroup/pids",
            false => "/sys/fs/cgroup",
        };
        let number = |name: &str| -> Option<usize> {
            std::fs::read_to_string(format!("{root}{path}/{name}")).ok()?.trim().parse().ok()
        };
        Some(number("pids.max")?.saturating_sub(number("pids.current")?))
    };
    groups.lines().filter_map(left).min().unwrap_or(usize::MAX)
}

/// Voluntary context switches of the threads of all links here.
fn wakeups() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |path: std::path::PathBuf| {
        let name = std::fs::read_to_string(path.join("comm")).ok()?;
        let status = std::fs::read_to_string(path.join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("voluntary"))?;
        let count: u64 = line.split_whitespace().last()?.parse().unwrap();
        name.starts_with("pb-").then_some(count)
    };
    // A thread that ends meanwhile, one of the harness, counts for nothing: those of links live.
    tasks.filter_map(|task| of(task.ok()?.path())).sum()
}

/// What this process has spent so far, in user and kernel; a tick of Linux's is 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    ms(ticks * 10)
}
