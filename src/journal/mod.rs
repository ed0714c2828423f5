//! The journal: what happens to a node's peers, one JSON object a line.
//!
//! `peerbeat run --json` prints it, a program of yours can write the same, and `peerbeat top`,
//! `peerbeat picture` and any log shipper read it, live or afterwards. A [`Journal`] is wrapped
//! around the handler that you have, or used by itself:
//!
//! ```no_run
//! use peerbeat::config::{Config, ConfigOptions};
//! use peerbeat::journal::Journal;
//! use peerbeat::node::{Node, NodeHandler, Peer};
//! use std::fs::File;
//!
//! struct Prices;
//!
//! impl NodeHandler for Prices {
//!     fn on_message(&self, peer: &Peer, payload: &[u8]) {
//!         println!("{}: {} bytes", peer.name(), payload.len());
//!     }
//! }
//!
//! let config = Config::load("hub.conf", &ConfigOptions::default())?;
//! let file = File::options().create(true).append(true).open("hub.journal")?;
//! let journal = Journal::to(file, config.name());
//! let node = Node::start(config, journal.around(Prices))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The file grows until it is rotated; with `copytruncate` no program has to be notified. A
//! writer that fails loses lines, which are counted, and never holds up or ends a link. A writer
//! that blocks blocks the thread that has something to say: give one that does not, if the disk or
//! pipe may.
//!
//! # The schema
//!
//! Names and meanings stay; fields and events may be added, so skip what you do not know. Every
//! object has `v` (1), `at` (RFC 3339 in UTC, microseconds), `node` (the node's name), `event` and
//! `level` (`debug`, `info`, `warn` or `error`), and if they apply `peer` (its name in the
//! configuration) and `addr`. Times end in `_ms`: milliseconds with up to three decimals, cut and
//! never rounded up, null if there is none.
//!
//! | event | further fields | meaning |
//! |---|---|---|
//! | `listening` | `addr` | the node listens there; before everything else |
//! | `dialling` | `peer` `addr` | a dial begins |
//! | `up` | `peer` `addr` `direction` `remote_name` `remote_label` | connected; `direction` is `dialled` or `accepted`, the rest is what the peer calls itself |
//! | `heartbeat-time` | `peer` `from_ms` `to_ms` `cause` | the value in force changed, by the `peer` or `local`ly |
//! | `late` | `peer` `silent_ms` `count` | silence has passed heartbeat-time and half the slack: a warning; of more than ten `late` and `recovered` in ten seconds one a second is reported, the latest, with the number it represents |
//! | `recovered` | `peer` `silent_ms` `count` | that silence has ended |
//! | `stalled` | `peer` `late_ms` | this process itself was stopped or starved; the peer got one more slack |
//! | `handler-busy` | `peer` `held_ms` | our own handler held the reader for longer than the limit |
//! | `not-reading` | `peer` `behind_ms` | the peer's application does not read; the age of the heartbeat that it should have read |
//! | `queue-high` | `peer` `queued_bytes` `count` | over 80 % of the send queue is taken; reported at the rate of `late`, in turn with `queue-low` |
//! | `queue-low` | `peer` `queued_bytes` `count` | no more than half of it is taken again |
//! | `clamped` | `peer` `asked_ms` `floor_ms` | the peer asked for less than `heartbeat-time-min` and got that |
//! | `data` | `peer` `bytes` | a message arrived; only if asked for |
//! | `down` | `peer` `reason` `detail` `silent_ms` `limit_ms` `heartbeat_time_ms` `slack_ms` `unsent_frames` `unsent_bytes` `unconfirmed_bytes` `undelivered_frames` `up_ms` | the link ended; for `reason` see [`DownReason`](crate::link::DownReason) |
//! | `refused` | `addr` `name` `reason` `count` | a connection to us was refused; of many in a short time one is reported, with their count; for `reason` see [`RefusedReason`](crate::node::RefusedReason) |
//! | `dial-failed` | `peer` `addr` `reason` `detail` | for `reason` see [`DialFailedReason`](crate::node::DialFailedReason) |
//! | `retry` | `peer` `in_ms` | the next dial begins after that |
//! | `warning` | `peer` `detail` | something that a person should look at |
//! | `stats` | `peer` and those below | the numbers of a peer, every 5 s unless set otherwise |
//! | `lost` | `lines` | so many lines before this one could not be written |
//! | `stopped` | | the node has stopped; the last line |
//!
//! `stats` counts over all links that a peer had: `messages_sent`, `bytes_sent`, `heartbeats_sent`,
//! `heartbeats_suppressed`, `messages_received`, `bytes_received`, `heartbeats_received`,
//! `connects`, `downs` (an object: each reason and how often), `dial_failures`, `refusals`,
//! `own_late`, `peer_late`, `stalls`. Of the link of now, null or 0 without one: `connected`,
//! `up_ms`, `silent_ms` (how long the peer has been silent), `queued_messages`, `queued_bytes`,
//! `heartbeat_time_ms`, `slack_ms`, `limit_ms`, `smallest_slack_ms`, `largest_silence_ms`,
//! `longest_stall_ms`, `round_trip_last_ms`, `round_trip_min_ms`, and `own_lateness`,
//! `peer_lateness` and `round_trip`, each an object with `count`, `p50_ms`, `p99_ms`, `p999_ms` and
//! `max_ms`. `source` says where the heartbeat-time in force comes from, `configured_ms` and
//! `received_ms` are what this side and the peer asked for, and `advice` is a list of sentences.

mod handler;
mod json;
mod metrics;
mod numbers;
mod record;
mod time;

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use crate::node::{NodeEvent, NodeHandler, Peer};
use crate::protocol::Escaped;
use crate::recover::Recover;
pub use handler::JournalHandler;
pub use metrics::prometheus;

/// Writes what happens, one JSON object a line. Clones write to the same place.
///
/// ```
/// use peerbeat::config::{Config, ConfigOptions};
/// use peerbeat::journal::Journal;
/// use peerbeat::node::{Node, Peer};
///
/// let config = "datasrc-name hub\ndatasrc-interface 127.0.0.1\ndatasrc-port auto";
/// let config = Config::parse(config, &ConfigOptions::default())?;
/// let journal = Journal::to(std::io::stdout(), config.name());
/// let node = Node::start(config, journal.around(|_: &Peer, _: &[u8]| {}))?;
/// // {"v":1,"at":"2026-11-28T21:00:00.000000Z","node":"hub","event":"listening","level":"info",...
/// # drop(node);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    node: String,
    sink: Mutex<Sink>,
}

struct Sink {
    writer: Box<dyn Write + Send>,
    error: Option<io::Error>,
    /// Lines that could not be written since the last that could.
    lost: u64,
    lost_ever: u64,
    /// The last line was cut short, so the next begins with the end of it.
    is_torn: bool,
}

impl Sink {
    fn write_line(&mut self, line: &str) -> io::Result<()> {
        let mut text = String::new();
        if self.is_torn {
            text.push('\n');
        }
        text += line;
        text.push('\n');
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match self.writer.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let (taken, left) = rest.split_at(count);
                    self.is_torn = !taken.ends_with(b"\n");
                    rest = left;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.writer.flush()
    }
}

impl Journal {
    /// A journal of the node of this name, into a writer; each line is written whole, and flushed.
    pub fn to(writer: impl Write + Send + 'static, node: impl Into<String>) -> Self {
        let sink =
            Sink { writer: Box::new(writer), error: None, lost: 0, lost_ever: 0, is_torn: false };
        Self { shared: Arc::new(Shared { node: node.into(), sink: Mutex::new(sink) }) }
    }

    /// A handler that writes every event, and then calls yours.
    pub fn around<H: NodeHandler>(&self, handler: H) -> JournalHandler<H> {
        JournalHandler::new(self.clone(), handler)
    }

    /// Writes an event; `peer` is the name of the one that it is about.
    pub fn event(&self, peer: Option<&str>, event: &NodeEvent) {
        self.write(|at, node| record::event(at, node, peer, event));
    }

    /// Writes that a message arrived.
    pub fn data(&self, peer: &str, bytes: usize) {
        self.write(|at, node| record::data(at, node, peer, bytes as u64));
    }

    /// Writes the numbers of a peer.
    pub fn stats(&self, peer: &Peer) {
        // Asked for before the writer is held: that takes the link's lock.
        let numbers = numbers::Numbers::of(peer);
        self.write(|at, node| numbers::record(at, node, peer.name(), &numbers));
    }

    /// How many lines could not be written, ever, and the last error if there was one since this
    /// was last asked.
    pub fn lost(&self) -> (u64, Option<io::Error>) {
        let mut sink = self.lock();
        (sink.lost_ever, sink.error.take())
    }

    /// Writes a line, made of the time and the node's name with the writer held, so that lines are
    /// in the order of their times.
    fn write(&self, line: impl FnOnce(&str, &str) -> String) {
        let mut sink = self.lock();
        let at = time::written(SystemTime::now());
        let mut written = Ok(());
        if sink.lost > 0 {
            let lost = record::lost(&at, &self.shared.node, sink.lost);
            written = sink.write_line(&lost).map(|()| sink.lost = 0);
        }
        let line = line(&at, &self.shared.node);
        if let Err(error) = written.and_then(|()| sink.write_line(&line)) {
            sink.lost += 1;
            sink.lost_ever += 1;
            sink.error = Some(error);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sink> {
        self.shared.sink.lock().recover()
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("node", &self.shared.node).finish_non_exhaustive()
    }
}
