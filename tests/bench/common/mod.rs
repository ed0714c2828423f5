//! What the benchmarks share: arguments, alternation, tables, and the raw socket as the limit.
//!
//! A figure counts only against its limit in the same run: the contenders take turns, round after
//! round, and a ratio is made inside a round and only then summarised. So a machine that slows down
//! or is shared changes both sides of a ratio alike.
//!
//! Invariant: every contender moves the same messages and its receiver checks every one of them.

#![allow(dead_code, unused_imports, reason = "each benchmark uses a part of this")]

pub(crate) mod idle;
pub(crate) mod ours;
pub(crate) mod proc;
pub(crate) mod proto;
pub(crate) mod raw;
pub(crate) mod table;
pub(crate) mod trips;

use std::io::IsTerminal;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

pub(crate) use table::{Spread, Table, heading, percentile, ratio};

/// What the command line asks for. `cargo bench --bench NAME -- ARGUMENTS`.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    words: Vec<String>,
}

impl Args {
    pub(crate) fn parse() -> Self {
        // cargo itself adds `--bench`.
        Self { words: std::env::args().skip(1).filter(|word| word != "--bench").collect() }
    }

    /// Whether `--name` is on the command line.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.words.iter().any(|word| word.strip_prefix("--") == Some(name))
    }

    /// The word after `--name`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let at = self.words.iter().position(|word| word.strip_prefix("--") == Some(name))?;
        self.words.get(at + 1).map(String::as_str)
    }

    /// The number after `--name`, or `default`.
    pub(crate) fn number(&self, name: &str, default: usize) -> usize {
        let Some(word) = self.value(name) else { return default };
        word.parse().unwrap_or_else(|_| panic!("--{name} {word}: a number is wanted"))
    }

    /// A few seconds instead of a few minutes: for a look, and for a check against rot.
    pub(crate) fn quick(&self) -> bool {
        self.has("quick")
    }

    /// How many rounds of taking turns: `--rounds N`, default 11.
    pub(crate) fn rounds(&self) -> usize {
        self.number("rounds", if self.quick() { 1 } else { 11 })
    }

    /// `count` messages, or a tenth of them in a quick run.
    pub(crate) fn scaled(&self, count: u64) -> u64 {
        if self.quick() { (count / 10).max(1) } else { count }
    }

    /// Whether to run the part of this name: all of them unless `--only PART`.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.value("only").is_none_or(|only| only == part)
    }
}

/// What one run of one contender cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Messages that arrived.
    pub(crate) messages: u64,
    /// Wall time from the first send to the last arrival.
    pub(crate) wall: Duration,
    /// CPU time of the whole process, both ends.
    pub(crate) cpu: Duration,
}

impl Cost {
    /// Runs `body`, which moves `messages`, and says what it cost.
    pub(crate) fn of(messages: u64, body: impl FnOnce()) -> Self {
        let (cpu, began) = (proc::cpu(), Instant::now());
        body();
        Self { messages, wall: began.elapsed(), cpu: proc::cpu().saturating_sub(cpu) }
    }

    /// Millions of messages a second.
    pub(crate) fn rate(&self) -> f64 {
        self.messages as f64 / self.wall.as_secs_f64() / 1e6
    }

    /// CPU seconds a million messages.
    pub(crate) fn cpu_a_million(&self) -> f64 {
        self.cpu.as_secs_f64() / self.messages as f64 * 1e6
    }
}

/// A contender: what it is called, and one run of it.
pub(crate) type Contender<'a, T> = (&'a str, Box<dyn FnMut() -> T + 'a>);

/// Lets the contenders take turns and returns each one's results in the order of the rounds. The
/// order within a round turns around every time, so none always runs behind the same neighbour.
pub(crate) fn alternate<T>(rounds: usize, contenders: &mut [Contender<'_, T>]) -> Vec<Vec<T>> {
    let mut results: Vec<Vec<T>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        let count = contenders.len();
        for turn in 0..count {
            let which = if round % 2 == 0 { turn } else { count - 1 - turn };
            progress(&format!("round {}/{rounds}: {}", round + 1, contenders[which].0));
            results[which].push(contenders[which].1());
        }
    }
    progress("");
    results
}

/// Says on a terminal what is going on, in one line that the next one replaces.
pub(crate) fn progress(doing: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{doing:<70}\r");
    }
}

/// Two ends of a connection over loopback, `TCP_NODELAY` on both.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("a bound listener has an address");
    let dialled = TcpStream::connect(address).expect("loopback accepts");
    let (accepted, _) = listener.accept().expect("a connection waits");
    for end in [&dialled, &accepted] {
        end.set_nodelay(true).expect("a connected socket takes options");
    }
    (dialled, accepted)
}

/// Fills the front of a message with its number; the receiver adds the numbers up.
pub(crate) fn number(payload: &mut [u8], sequence: u64) {
    payload[..8].copy_from_slice(&sequence.to_le_bytes());
}

/// The number at the front of a message.
pub(crate) fn number_of(payload: &[u8]) -> u64 {
    payload.first_chunk().map_or(0, |head| u64::from_le_bytes(*head))
}

/// What a receiver must have seen: messages numbered from 0.
#[derive(Debug)]
pub(crate) struct Tally {
    size: usize,
    left: u64,
    sum: u64,
    expected: u64,
}

impl Tally {
    pub(crate) fn new(size: usize, messages: u64) -> Self {
        let expected = (0..messages).fold(0, |sum: u64, number| sum.wrapping_add(number));
        Self { size, left: messages, sum: 0, expected }
    }

    /// Counts a message; returns true if it was the last.
    #[inline]
    pub(crate) fn count(&mut self, payload: &[u8]) -> bool {
        assert_eq!(payload.len(), self.size);
        self.sum = self.sum.wrapping_add(number_of(payload));
        self.left -= 1;
        if self.left == 0 {
            assert_eq!(self.sum, self.expected, "a message came twice, or garbled");
        }
        self.left == 0
    }
}
