//! `run`: the node of a configuration file, and a line for everything that happens to its peers.
//!
//! The node's threads print; this thread only sends and counts where asked to, and waits for the
//! end. A line is flushed at once, and stamped while the output is held, so that lines are in the
//! order of their times. Messages that could not be sent or echoed are counted and told at the end.

mod line;
mod numbers;
mod record;

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peerbeat::config::Config;
use peerbeat::link::SendError;
use peerbeat::node::{Event, Handler, Node, Peer};
use peerbeat::protocol::Escaped;
use peerbeat::text::Count;

use crate::args::RunOptions;
use crate::output::{self, complain};
use crate::{FAILED, WRONG_USAGE, clock};

/// Runs the node until `--duration` is over or nobody reads what it prints.
pub(crate) fn run(options: RunOptions) -> ExitCode {
    let config = match options.reading.load(&options.file) {
        Ok(config) => config,
        Err(errors) => {
            complain(&errors);
            return ExitCode::from(WRONG_USAGE);
        }
    };
    for warning in config.warnings() {
        complain(&format_args!("warning: {warning}"));
    }
    if config.port().is_none() && config.peers().iter().all(|peer| peer.addresses().is_empty()) {
        let file = options.file.to_string_lossy();
        complain(&format_args!(
            "{}: found nothing to run: it neither listens (datasrc-port) nor dials (add-peer with \
             port), allowed: one of them or both",
            Escaped(&file)
        ));
        return ExitCode::from(WRONG_USAGE);
    }
    let run = Arc::new(Run::new(options, &config));
    match Node::start(config, Reporter(Arc::clone(&run))) {
        Ok(node) => run.drive(&node),
        Err(error) => {
            complain(&format_args!("peerbeat run: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

/// What the node's threads and the main thread share.
struct Run {
    options: RunOptions,
    /// Columns that the peers' names take.
    width: usize,
    /// What became of the output; guards it, too.
    output: Mutex<io::Result<()>>,
    /// Told when `output` became an error.
    failed: Condvar,
    sent: Outcome,
    echoed: Outcome,
}

impl Run {
    fn new(options: RunOptions, config: &Config) -> Self {
        let width = |peer: &peerbeat::config::PeerConfig| peer.name().chars().count();
        Self {
            options,
            width: config.peers().iter().map(width).max().unwrap_or_default().min(WIDTH_MAX),
            output: Mutex::new(Ok(())),
            failed: Condvar::new(),
            sent: Outcome::default(),
            echoed: Outcome::default(),
        }
    }

    fn drive(&self, node: &Node) -> ExitCode {
        self.tick_until_the_end(node);
        node.shutdown();
        node.join();
        self.sent.report("--send-every", "not sent");
        self.echoed.report("--echo", "not echoed");
        let written = std::mem::replace(&mut *self.lock(), Ok(()));
        output::exit_code(written, ExitCode::SUCCESS)
    }

    /// Sends every `--send-every` and counts every `--stats-every`, until `--duration` is over or
    /// the output is closed.
    fn tick_until_the_end(&self, node: &Node) {
        let start = Instant::now();
        let end = self.options.duration.and_then(|duration| start.checked_add(duration));
        let mut sends = Ticks::new(self.options.send_every, start);
        let mut stats = Ticks::new(self.options.stats_every, start);
        let mut output = self.lock();
        while output.is_ok() {
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                return;
            }
            let (sends_now, counts_now) = (sends.take(now), stats.take(now));
            if sends_now || counts_now {
                drop(output);
                if sends_now {
                    self.send(node);
                }
                if counts_now {
                    self.say_stats(node);
                }
                output = self.lock();
                continue;
            }
            let until = [end, sends.next, stats.next].into_iter().flatten().min();
            output = self.wait(output, until);
        }
    }

    /// Sends one message to every peer that is up.
    fn send(&self, node: &Node) {
        let payload = payload(self.sent.tried(), self.options.send_size);
        for peer in node.peers().iter().filter(|peer| peer.is_up()) {
            self.sent.count(&peer.try_send(&payload));
        }
    }

    /// Prints the numbers of every peer.
    fn say_stats(&self, node: &Node) {
        for peer in node.peers() {
            let (stats, explained) = (peer.stats(), peer.explain());
            self.say(|at| match self.options.json {
                true => numbers::record(at, peer.name(), &stats, explained.as_ref()),
                false => {
                    let text = numbers::line(&stats, explained.as_ref());
                    line::of(at, self.width, Some(peer.name()), &text)
                }
            });
        }
    }

    /// Prints one line, made by `line` of the time it is printed at.
    fn say(&self, line: impl FnOnce(&str) -> String) {
        let mut output = self.lock();
        if output.is_err() {
            return;
        }
        let mut text = line(&clock::now());
        text.push('\n');
        *output = output::write(&text);
        if output.is_err() {
            self.failed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, io::Result<()>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        output: MutexGuard<'a, io::Result<()>>,
        until: Option<Instant>,
    ) -> MutexGuard<'a, io::Result<()>> {
        match until {
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                let woken = self.failed.wait_timeout(output, left);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.failed.wait(output).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// The node's handler: prints, and echoes where asked to.
struct Reporter(Arc<Run>);

impl Handler for Reporter {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        let run = &self.0;
        if run.options.show_data {
            let bytes = payload.len() as u64;
            run.say(|at| match run.options.json {
                true => record::data(at, peer.name(), bytes),
                false => line::of(at, run.width, Some(peer.name()), &line::data(bytes)),
            });
        }
        if run.options.echo {
            run.echoed.count(&peer.try_send(payload));
        }
    }

    fn on_event(&self, peer: Option<&Peer>, event: &Event) {
        let run = &self.0;
        let name = peer.map(Peer::name);
        run.say(|at| match run.options.json {
            true => record::event(at, name, event),
            false => line::of(at, run.width, name, &line::event(event)),
        });
    }
}

/// What became of messages.
#[derive(Default)]
struct Outcome {
    done: AtomicU64,
    full: AtomicU64,
    failed: AtomicU64,
}

impl Outcome {
    fn count(&self, result: &Result<(), SendError>) {
        let counter = match result {
            Ok(()) => &self.done,
            Err(SendError::Full) => &self.full,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn tried(&self) -> u64 {
        [&self.done, &self.full, &self.failed].iter().map(|n| n.load(Ordering::Relaxed)).sum()
    }

    /// Tells what was lost, where something was.
    fn report(&self, option: &str, what: &str) {
        let full = self.full.load(Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        if full + failed > 0 {
            complain(&format_args!(
                "peerbeat run: {option}: {} of {} {what}: {full} where the send queue was full, \
                 {failed} where the link went down",
                full + failed,
                Count(self.tried(), "message")
            ));
        }
    }
}

/// A message of `size` bytes that begins with its number.
fn payload(number: u64, size: usize) -> Vec<u8> {
    let mut payload = format!("{number} ").into_bytes();
    payload.resize(size, b'.');
    payload
}

/// What comes again and again, where it was asked for.
struct Ticks {
    every: Option<Duration>,
    next: Option<Instant>,
}

impl Ticks {
    fn new(every: Option<Duration>, start: Instant) -> Self {
        Self { every, next: every.and_then(|every| start.checked_add(every)) }
    }

    /// Whether a tick is due. The next one comes an interval after this one was due; where that is
    /// past already (we were stopped), one interval from now: no burst makes up for what was
    /// missed.
    fn take(&mut self, now: Instant) -> bool {
        let (Some(every), Some(due)) = (self.every, self.next.filter(|due| now >= *due)) else {
            return false;
        };
        let next = due.checked_add(every).filter(|next| *next > now);
        self.next = next.or_else(|| now.checked_add(every));
        true
    }
}

/// Names longer than this are shown whole and only spoil the columns.
const WIDTH_MAX: usize = 24;
