//! What Linux reports about a process: CPU, context switches, memory, and the noise around it.
//!
//! Everything is read from `/proc`, so nothing here needs more than std.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// CPU time of this process so far, threads that have ended included, to the kernel's 10 ms.
pub(crate) fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(number).sum();
    Duration::from_millis(ticks * 10)
}

/// What the living threads of a process have used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Use {
    /// CPU time, to the nanosecond.
    pub(crate) cpu: Duration,
    /// Context switches, voluntary and not.
    pub(crate) switches: u64,
    /// Those of them that were not voluntary: another thread wanted the core.
    pub(crate) preempted: u64,
    /// How many threads there are.
    pub(crate) threads: u64,
}

impl Use {
    /// Adds up what `/proc/self/task` says.
    pub(crate) fn of_threads() -> Self {
        Self::of_threads_but(None)
    }

    /// The same without the calling thread, which only counts: with hundreds of threads to look at
    /// that is no small part of what they use.
    pub(crate) fn of_other_threads() -> Self {
        let own = fs::read_link("/proc/thread-self").ok();
        Self::of_threads_but(own.as_deref().and_then(Path::file_name))
    }

    fn of_threads_but(own: Option<&OsStr>) -> Self {
        let mut total = Self::default();
        let Ok(tasks) = fs::read_dir("/proc/self/task") else { return total };
        for task in tasks.flatten().filter(|task| Some(task.file_name().as_os_str()) != own) {
            // A thread may end while we look.
            let Ok(stat) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
            let nanos = stat.split_whitespace().next().and_then(number).unwrap_or(0);
            total.cpu += Duration::from_nanos(nanos);
            total.switches += field(&status, "voluntary_ctxt_switches:");
            let preempted = field(&status, "nonvoluntary_ctxt_switches:");
            total.switches += preempted;
            total.preempted += preempted;
            total.threads += 1;
        }
        total
    }

    /// What was used since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            switches: self.switches.saturating_sub(earlier.switches),
            preempted: self.preempted.saturating_sub(earlier.preempted),
            threads: self.threads,
        }
    }
}

/// Resident memory of this process, in KiB.
pub(crate) fn resident_kib() -> u64 {
    field(&fs::read_to_string("/proc/self/status").unwrap_or_default(), "VmRSS:")
}

/// How busy the whole machine was: (busy, all) in ticks since it started.
pub(crate) fn machine() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(number).collect();
    let all: u64 = ticks.iter().sum();
    // The fourth and fifth are idle and waiting for disks.
    (all - ticks.iter().skip(3).take(2).sum::<u64>(), all)
}

/// Tells what others did to the machine while a benchmark ran.
#[derive(Debug)]
pub(crate) struct Noise {
    machine: (u64, u64),
    own: Duration,
}

impl Noise {
    pub(crate) fn start() -> Self {
        Self { machine: machine(), own: own_and_children() }
    }

    /// Prints which part of the machine others used since the start.
    pub(crate) fn report(&self) {
        let (busy, all) = machine();
        let all = (all - self.machine.1).max(1) as f64;
        let busy = (busy - self.machine.0) as f64;
        let own = own_and_children().saturating_sub(self.own).as_millis() as f64 / 10.0;
        let others = ((busy - own) / all * 100.0).max(0.0);
        println!("\nOther processes and interrupts used {others:.0} % of the machine meanwhile.");
    }
}

fn own_and_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(4).filter_map(number).sum();
    Duration::from_millis(ticks * 10)
}

/// This program again, with `arguments`.
pub(crate) fn again(arguments: &[&str]) -> Command {
    let own = std::env::current_exe().expect("a running program has a path");
    let mut command = Command::new(own);
    command.args(arguments);
    command
}

/// This program again, all of it on the last core; `None` without `taskset`.
pub(crate) fn again_on_one_core(arguments: &[&str]) -> Option<Command> {
    Command::new("taskset").arg("--version").output().ok()?;
    let own = std::env::current_exe().expect("a running program has a path");
    let last = std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
    let mut command = Command::new("taskset");
    command.args(["-c", &last.to_string()]).arg(own).args(arguments);
    Some(command)
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()).and_then(number).unwrap_or(0)
}

fn number(word: &str) -> Option<u64> {
    word.parse().ok()
}
