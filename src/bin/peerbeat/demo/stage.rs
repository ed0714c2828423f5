//! The stage: two nodes, what they report, and the timeline a person reads.
//!
//! Reports arrive over a channel, each with the instant at which it was made. Every wait has a
//! deadline, so that a broken library makes the demo fail and not hang.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peerbeat::config::Config;
use peerbeat::journal::Journal;
use peerbeat::link::{Cause, LinkEvent};
use peerbeat::node::{Node, NodeEvent, NodeHandler, Peer, StartError};
use peerbeat::protocol::Escaped;
use peerbeat::text::{Measured, Seconds};

use crate::output;
use crate::text::{COLUMNS, wrapped};

/// One of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Feed,
    Hub,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Hub => "hub",
        }
    }
}

/// Something that a node reported.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) side: Side,
    pub(super) report: Report,
}

/// What it reported.
#[derive(Clone, Debug)]
pub(super) enum Report {
    Event(NodeEvent),
    Message(Vec<u8>),
}

impl Seen {
    /// The event, if it is one of `side`.
    pub(super) fn event_of(&self, side: Side) -> Option<&NodeEvent> {
        match &self.report {
            Report::Event(event) if self.side == side => Some(event),
            _ => None,
        }
    }
}

/// The handler of one node: passes everything on.
pub(super) struct EventSender {
    side: Side,
    seen: Sender<Seen>,
}

impl EventSender {
    fn pass(&self, report: Report) {
        let at = Instant::now();
        // The receiver is gone once the demo is over.
        let _ = self.seen.send(Seen { at, side: self.side, report });
    }
}

impl NodeHandler for EventSender {
    fn on_message(&self, _peer: &Peer, payload: &[u8]) {
        self.pass(Report::Message(payload.to_vec()));
    }

    fn on_event(&self, _peer: Option<&Peer>, event: &NodeEvent) {
        self.pass(Report::Event(event.clone()));
    }
}

/// A journal in memory.
#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<Vec<u8>>>);

impl Recorded {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The timeline and all that was reported so far.
pub(super) struct Stage {
    /// Of the feed's run, if it is to be drawn.
    journal: Option<Recorded>,
    start: Instant,
    sender: Sender<Seen>,
    receiver: Receiver<Seen>,
    seen: Vec<Seen>,
    colours: bool,
    written: io::Result<()>,
}

impl Stage {
    pub(super) fn new(is_recorded: bool) -> Self {
        let (sender, receiver) = channel();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            journal: is_recorded.then(Recorded::default),
            start: Instant::now(),
            sender,
            receiver,
            seen: Vec::new(),
            colours: io::stdout().is_terminal() && !no_color,
            written: Ok(()),
        }
    }

    /// Starts the node of this side; what it does is reported here, and recorded if it is drawn.
    pub(super) fn start(&self, config: Config, side: Side) -> Result<Node, StartError> {
        let handler = EventSender { side, seen: self.sender.clone() };
        let Some(recorded) = &self.journal else { return Node::start(config, handler) };
        let journal = Journal::to(recorded.clone(), config.name());
        Node::start(config, journal.around(handler).stats_every(Some(RECORD_EVERY)))
    }

    /// What was recorded of both nodes.
    pub(super) fn journal(&self) -> Vec<u8> {
        let recorded = self.journal.as_ref();
        recorded.map(|recorded| recorded.lock().clone()).unwrap_or_default()
    }

    /// A mark in what was reported: all later reports are [`since`](Self::since) it.
    pub(super) fn mark(&self) -> usize {
        self.seen.len()
    }

    /// The reports since a mark.
    pub(super) fn since(&self, mark: usize) -> &[Seen] {
        &self.seen[mark..]
    }

    /// Waits until the reports since `mark` satisfy `enough`; returns false if they did not in
    /// time.
    pub(super) fn wait(
        &mut self,
        mark: usize,
        limit: Duration,
        enough: impl Fn(&[Seen]) -> bool,
    ) -> bool {
        let deadline = Instant::now() + limit;
        while !enough(self.since(mark)) {
            if !self.has_reader() {
                return false;
            }
            match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(seen) => {
                    let line = match &seen.report {
                        Report::Event(event) => line_of(event),
                        _ => None,
                    };
                    if let Some(line) = line {
                        self.tell(seen.at, seen.side.name(), &line);
                    }
                    self.seen.push(seen);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }

    /// Lets time pass, and prints what is reported in it.
    pub(super) fn pass(&mut self, time: Duration) {
        self.wait(self.mark(), time, |_| false);
    }

    /// Time since the demo began.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// A line of the timeline, at an instant.
    pub(super) fn tell(&mut self, at: Instant, who: &str, what: &str) {
        let since = at.saturating_duration_since(self.start);
        let (seconds, millis) = (since.as_secs(), since.subsec_millis());
        let line = format!("  +{seconds:02}.{millis:03} s  {who:<5}  {what}");
        self.say(&wrapped(&line, COLUMNS, INDENT));
    }

    /// A line of the timeline, now.
    pub(super) fn tell_now(&mut self, who: &str, what: &str) {
        self.tell(Instant::now(), who, what);
    }

    /// The headline of a step.
    pub(super) fn head(&mut self, text: &str) {
        let text = self.paint("1", text);
        self.say(&format!("\n{text}"));
    }

    /// A line.
    pub(super) fn say(&mut self, line: &dyn Display) {
        if self.written.is_ok() {
            self.written = output::write(&format!("{line}\n"));
        }
    }

    /// Text in a colour, if the terminal shows colours.
    pub(super) fn paint(&self, code: &str, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// Whether the output is still read.
    pub(super) fn has_reader(&self) -> bool {
        self.written.is_ok()
    }

    /// What became of the output.
    pub(super) fn into_written(self) -> io::Result<()> {
        self.written
    }
}

/// An event in the words of the timeline; `None` = it adds nothing to the story.
fn line_of(event: &NodeEvent) -> Option<String> {
    Some(match event {
        NodeEvent::Up { remote_name, .. } => {
            format!("up: connected to the {}", Escaped(remote_name))
        }
        NodeEvent::Link(LinkEvent::HeartbeatTime { from, to, cause: Cause::Peer }) => {
            let before = from.map_or("none".to_owned(), |from| Seconds(from).to_string());
            format!("heartbeat-time is {} now (was: {before}), the other end said so", Seconds(*to))
        }
        NodeEvent::Link(LinkEvent::Late { silence, .. }) => {
            format!("late: nothing heard for {}, a first warning", Measured(*silence))
        }
        NodeEvent::Link(LinkEvent::Recovered { silence, .. }) => {
            format!("recovered: heard again after {}", Measured(*silence))
        }
        NodeEvent::Link(LinkEvent::Stalled { late }) => {
            format!("stalled: this machine was too busy for {}, no peer is blamed", Measured(*late))
        }
        NodeEvent::Down(down) => match down.limit {
            Some(limit) if down.reason.as_str() == "silent" => format!(
                "DOWN: silent for {}, the limit is {}",
                Measured(down.silence),
                Seconds(limit)
            ),
            _ => format!("down: {}: {}", down.reason.as_str(), Escaped(&down.reason.to_string())),
        },
        NodeEvent::DialFailed { reason, detail, .. } => {
            format!("redial failed: {}: {}", reason.as_str(), Escaped(detail))
        }
        NodeEvent::Refused { reason, detail, .. } => {
            format!("refused a connection: {}: {}", reason.as_str(), Escaped(detail))
        }
        NodeEvent::Warning { detail } => format!("warning: {}", Escaped(detail)),
        _ => return None,
    })
}

/// How finely the silences of a picture are known.
const RECORD_EVERY: Duration = Duration::from_millis(20);
/// Further lines of an event begin under its words.
const INDENT: usize = 20;
