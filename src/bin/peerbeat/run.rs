//! `run`: the node of a configuration file, and a line for each event of its peers.
//!
//! The node's threads hand lines to the output, which never holds them up; this thread sends and
//! counts if asked to, and waits for the end: a signal, the duration, the end of stdin, or a reader
//! that is gone. Messages that could not be sent or echoed are counted and reported at the end.

mod line;
mod metrics;
mod numbers;
mod status;
mod stdin;
mod summary;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use peerbeat::config::{Config, PeerConfig};
use peerbeat::journal::Journal;
use peerbeat::link::SendError;
use peerbeat::node::{Node, NodeEvent, NodeHandler, Peer};

use crate::args::RunOptions;
use crate::json::Object;
use crate::output::{self, Output, complain};
use crate::text::{Count, Escaped};
use crate::{FAILED, WRONG_USAGE, clock, signals};
use line::Lines;
use metrics::MetricsFile;
use status::Status;
use stdin::Stdin;

/// Runs the node until it is asked to end or its output is no longer read.
pub(crate) fn run(options: RunOptions) -> ExitCode {
    let config = match options.config.load(&options.file) {
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
    signals::catch();
    match start(options, config) {
        Ok((run, node)) => run.drive(node),
        Err(error) => {
            complain(&format_args!("peerbeat run: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

fn start(options: RunOptions, config: Config) -> Result<(Arc<Run>, Node), String> {
    let name = config.name().to_owned();
    let output = Output::start(dropped_line(options.json, name.clone()));
    let output = Arc::new(output.map_err(|error| format!("stdout: {error}"))?);
    let run = Arc::new(Run {
        journal: Journal::to(JournalOutput(Arc::clone(&output)), name),
        lines: Lines::new(config.peers().iter().map(PeerConfig::name)),
        status: Status::new(config.peers().len()),
        metrics: MetricsFile::new(options.metrics.clone()),
        output,
        options,
        sent: Outcome::default(),
        echoed: Outcome::default(),
    });
    let node = Node::start(config, Reporter(Arc::clone(&run)));
    Ok((run, node.map_err(|error| error.to_string())?))
}

/// What the node's threads and the main thread share.
struct Run {
    options: RunOptions,
    journal: Journal,
    lines: Lines,
    status: Status,
    metrics: MetricsFile,
    output: Arc<Output>,
    sent: Outcome,
    echoed: Outcome,
}

impl Run {
    fn drive(&self, node: Node) -> ExitCode {
        self.status.ready();
        self.tick_until_the_end(&node);
        self.status.stopping();
        let before = summary::before(&node);
        if self.options.json {
            node.peers().iter().for_each(|peer| self.journal.stats(peer));
        }
        node.shutdown();
        node.join();
        self.metrics.write(&node);
        if !self.options.json {
            self.output.say(|| summary::of(&node, &before));
        }
        self.sent.report("--send-every", "not sent");
        self.echoed.report("--echo", "not echoed");
        output::exit_code(self.output.finish(), ExitCode::SUCCESS)
    }

    /// Sends every `--send-every` and counts every `--stats-every`, until the end.
    fn tick_until_the_end(&self, node: &Node) {
        let start = Instant::now();
        let end = self.options.duration.and_then(|duration| start.checked_add(duration));
        let stats_every = match self.options.json {
            true => Some(self.options.stats_every.unwrap_or(STATS_EVERY)),
            false => self.options.stats_every,
        };
        let mut sends = Ticks::new(self.options.send_every, start);
        let mut stats = Ticks::new(stats_every, start);
        let metrics_every = self.options.metrics.is_some().then_some(METRICS_EVERY);
        let mut metrics = Ticks::new(metrics_every, start);
        self.metrics.write(node);
        let stdin = Stdin::start();
        while self.output.has_reader() && !signals::is_asked() {
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                return;
            }
            if stdin.obey(node) && self.options.until_eof {
                return;
            }
            if sends.take(now) {
                self.send(node);
            }
            if stats.take(now) {
                self.say_stats(node);
            }
            if metrics.take(now) {
                self.metrics.write(node);
            }
            let soon = now + SIGNAL_POLL;
            let until = [end, sends.next, stats.next, metrics.next].into_iter().flatten().min();
            self.output.wait_failed(until.map_or(soon, |until| until.min(soon)));
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
            if self.options.json {
                self.journal.stats(&peer);
                continue;
            }
            let (stats, explained) = (peer.stats(), peer.explain());
            self.say(Some(peer.name()), || numbers::line(&stats, explained.as_ref()));
        }
    }

    /// Prints a line for a person.
    fn say(&self, peer: Option<&str>, text: impl FnOnce() -> String) {
        self.output.say(|| self.lines.of(SystemTime::now(), peer, &text()));
    }
}

/// The node's handler: prints, and echoes if asked to.
struct Reporter(Arc<Run>);

impl NodeHandler for Reporter {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        let run = &self.0;
        match (run.options.show_data, run.options.json) {
            (false, _) => {}
            (true, true) => run.journal.data(peer.name(), payload.len()),
            (true, false) => run.say(Some(peer.name()), || line::data(payload.len() as u64)),
        }
        if run.options.echo {
            run.echoed.count(&peer.try_send(payload));
        }
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        let run = &self.0;
        let name = peer.map(Peer::name);
        match run.options.json {
            true => run.journal.event(name, event),
            false => run.say(name, || line::event(event)),
        }
        run.status.handle(peer, event);
    }
}

/// The journal's writer: each line goes to the output.
struct JournalOutput(Arc<Output>);

impl io::Write for JournalOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.say(|| text.trim_end_matches('\n').to_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line for lines that were not read in time.
fn dropped_line(json: bool, node: String) -> impl Fn(u64) -> String {
    move |lines| match json {
        true => Object::new()
            .number("v", 1_u64)
            .string("at", &clock::written(SystemTime::now()))
            .string("node", &node)
            .string("event", "lost")
            .string("level", "error")
            .number("lines", lines)
            .finish(),
        false => format!("-- {} lost: stdout did not take them in time", Count(lines, "line")),
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

    /// Reports what was lost, if anything was.
    fn report(&self, option: &str, what: &str) {
        let full = self.full.load(Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        if full + failed > 0 {
            complain(&format_args!(
                "peerbeat run: {option}: {} of {} {what}: {full} because the send queue was full, \
                 {failed} because the link went down",
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

/// Periodic work, if it was asked for.
struct Ticks {
    every: Option<Duration>,
    next: Option<Instant>,
}

impl Ticks {
    fn new(every: Option<Duration>, start: Instant) -> Self {
        Self { every, next: every.and_then(|every| start.checked_add(every)) }
    }

    /// Whether a tick is due. The next one comes an interval after this one was due; if that is
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

/// How often the file with the metrics is written.
const METRICS_EVERY: Duration = Duration::from_secs(15);
/// How often signals and stdin are looked at.
const SIGNAL_POLL: Duration = Duration::from_millis(100);
/// How often a journal has the numbers of all peers.
const STATS_EVERY: Duration = Duration::from_secs(5);
