//! Idle links in one process, their other ends in a second: how they are run, and what is counted.
//!
//! A program that has such designs runs itself as `--role far` and as `--role near`. The far one
//! prints its address. The near one makes its links, lets them settle, and prints one line of
//! [`Figures`].

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::proc::{self, Use};

/// What one near process said of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Context switches a heartbeat pair.
    pub(crate) switches: f64,
    /// Those of them that were not voluntary: on a shared machine others cause them.
    pub(crate) preempted: f64,
    /// CPU microseconds a heartbeat pair.
    pub(crate) cpu: f64,
    /// Resident KiB a link.
    pub(crate) kib: f64,
    /// Heartbeat pairs of those that were due.
    pub(crate) pairs: f64,
    /// Links that ended.
    pub(crate) deaths: f64,
}

impl Figures {
    fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace().map(|word| word.parse().unwrap_or(f64::NAN));
        let mut next = || words.next().unwrap_or(f64::NAN);
        Self {
            switches: next(),
            preempted: next(),
            cpu: next(),
            kib: next(),
            pairs: next(),
            deaths: next(),
        }
    }
}

/// Runs one far and one near process for [`Figures`].
pub(crate) fn measure(near: &str, far: &str, count: usize, seconds: usize) -> Figures {
    Figures::parse(&run(near, far, count, seconds))
}

/// Runs one far and one near process and returns what the near one printed.
pub(crate) fn run(near: &str, far: &str, count: usize, seconds: usize) -> String {
    let (count, seconds) = (count.to_string(), seconds.to_string());
    let mut far = start(&["--role", "far", "--design", far, "--count", &count]);
    let mut output = BufReader::new(far.stdout.take().expect("its output is a pipe"));
    let mut address = String::new();
    output.read_line(&mut address).expect("it says where it listens");
    let address = address.trim();
    let words = ["--role", "near", "--design", near, "--count", &count, "--address", address];
    let near = start(&[&words[..], &["--seconds", &seconds]].concat());
    let output = near.wait_with_output().expect("the near process ends");
    far.kill().expect("the far process is there");
    far.wait().expect("the far process ends");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn start(words: &[&str]) -> Child {
    let mut command = proc::again(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("this program starts again")
}

/// The far process's listener, and the line that the near one waits for.
pub(crate) fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    println!("{}", listener.local_addr().expect("a bound listener has an address"));
    listener
}

/// The next connection to the far process; if its descriptors run out, this waits.
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        let accepted = listener.accept().and_then(|(stream, _)| {
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        if let Ok(stream) = accepted {
            return stream;
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// A pause after every fiftieth link: links that are made in one instant would beat in step.
pub(crate) fn pace(made: usize) {
    if made % 50 == 49 {
        thread::sleep(Duration::from_millis(10));
    }
}

/// In the near process, its links being made: lets them settle, counts for `seconds`, and prints
/// the figures. `beats` says how many heartbeats were sent and received so far, `ended` how many
/// links ended; `before_kib` was resident before the first one.
pub(crate) fn report(
    count: usize,
    seconds: usize,
    before_kib: u64,
    beats: impl Fn() -> u64,
    ended: impl Fn() -> u64,
) {
    thread::sleep(SETTLE);
    let (used, beats_before, began) = (Use::of_threads(), beats(), Instant::now());
    thread::sleep(Duration::from_secs(seconds as u64));
    let elapsed = began.elapsed().as_secs_f64();
    let pairs = (beats() - beats_before) as f64 / 2.0;
    let used = Use::of_threads().since(&used);
    println!(
        "{} {} {} {} {} {}",
        used.switches as f64 / pairs,
        used.preempted as f64 / pairs,
        used.cpu.as_nanos() as f64 / 1e3 / pairs,
        proc::resident_kib().saturating_sub(before_kib) as f64 / count as f64,
        pairs / elapsed / count as f64,
        ended(),
    );
}

/// From the last link made to the first count.
const SETTLE: Duration = Duration::from_secs(3);
