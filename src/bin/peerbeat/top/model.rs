//! The state of all peers, added up from the records of a journal.
//!
//! Everything on the screen comes from here, and everything here from records: a live node, a
//! journal that grows and one of last week look the same. Times are those of the records.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::record::{Record, Value};
use crate::text::{Escaped, Measured};

/// How a peer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// It was never connected.
    #[default]
    Never,
    Up,
    Late,
    Down,
}

/// The numbers of a peer's `stats`, as far as they are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) beat: Option<Duration>,
    pub(crate) slack: Option<Duration>,
    pub(crate) limit: Option<Duration>,
    pub(crate) configured: Option<Duration>,
    pub(crate) received: Option<Duration>,
    pub(crate) source: Option<String>,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) round_trip_min: Option<Duration>,
    pub(crate) largest_silence: Option<Duration>,
    pub(crate) queued_bytes: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    pub(crate) connects: u64,
    pub(crate) dial_failures: u64,
    /// p50, p99, p99.9 and the largest, of the peer and of this side.
    pub(crate) peer_lateness: Option<[Duration; 4]>,
    pub(crate) own_lateness: Option<[Duration; 4]>,
    pub(crate) advice: Vec<String>,
}

/// Messages and bytes a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) messages_in: f64,
    pub(crate) bytes_in: f64,
    pub(crate) messages_out: f64,
    pub(crate) bytes_out: f64,
}

/// One peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerRow {
    pub(crate) state: State,
    pub(crate) since: Duration,
    pub(crate) addr: String,
    pub(crate) direction: String,
    pub(crate) remote_name: String,
    /// How long it was silent, and when that was so.
    pub(crate) silence: Option<(Duration, Duration)>,
    pub(crate) numbers: Numbers,
    pub(crate) rates: Rates,
    /// Ends by reason.
    pub(crate) ends: BTreeMap<String, u64>,
    pub(crate) last_loss: String,
    /// What the dialling came to last.
    pub(crate) dialling: String,
    /// The last silences, as parts of the limit, one a second at most.
    pub(crate) silences: VecDeque<f64>,
    stats_at: Option<Duration>,
}

/// Something that happened, for the list of the last events.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) at: Duration,
    pub(crate) peer: String,
    pub(crate) text: String,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) node: String,
    pub(crate) peers: BTreeMap<String, PeerRow>,
    pub(crate) events: VecDeque<Happened>,
    /// Ends that were no goodbye, by reason.
    pub(crate) losses: BTreeMap<String, u64>,
    pub(crate) first: Option<Duration>,
    pub(crate) last: Duration,
    /// Lines that were no records.
    pub(crate) skipped: u64,
    pub(crate) has_stopped: bool,
}

impl Model {
    /// Takes a line of a journal.
    pub(crate) fn handle_line(&mut self, line: &str) {
        match Record::parse(line) {
            Some(record) => self.handle(&record),
            None if line.trim().is_empty() => {}
            None => self.skipped += 1,
        }
    }

    /// A peer that is known before anything was heard of it.
    pub(crate) fn add_peer(&mut self, name: &str) {
        if self.peers.len() < PEERS_MAX {
            self.peers.entry(name.to_owned()).or_default();
        }
    }

    fn handle(&mut self, record: &Record) {
        if self.first.is_none() {
            self.first = Some(record.at);
        }
        self.last = self.last.max(record.at);
        if let Some(node) = record.text("node") {
            node.clone_into(&mut self.node);
        }
        self.has_stopped = record.event == "stopped";
        if let Some(name) = record.text("peer") {
            self.add_peer(name);
            if let Some(peer) = self.peers.get_mut(name) {
                peer.handle(record);
            }
        }
        if record.event == "down" && !is_goodbye(record) {
            let reason = record.text("reason").unwrap_or_default().to_owned();
            *self.losses.entry(reason).or_default() += 1;
        }
        if let Some(text) = described(record) {
            let peer = record.text("peer").unwrap_or("-").to_owned();
            self.events.push_back(Happened { at: record.at, peer, text });
            if self.events.len() > EVENTS_MAX {
                self.events.pop_front();
            }
        }
    }

    pub(crate) fn count(&self, state: State) -> usize {
        self.peers.values().filter(|peer| peer.state == state).count()
    }

    /// The sums of all rates.
    pub(crate) fn rates(&self) -> Rates {
        self.peers.values().fold(Rates::default(), |sum, peer| Rates {
            messages_in: sum.messages_in + peer.rates.messages_in,
            bytes_in: sum.bytes_in + peer.rates.bytes_in,
            messages_out: sum.messages_out + peer.rates.messages_out,
            bytes_out: sum.bytes_out + peer.rates.bytes_out,
        })
    }
}

impl PeerRow {
    /// How long it has been silent at `now`; `None` if it is not connected or nothing is known.
    pub(crate) fn silence_at(&self, now: Duration) -> Option<Duration> {
        let (silence, at) = self.silence?;
        matches!(self.state, State::Up | State::Late).then(|| silence + now.saturating_sub(at))
    }

    pub(crate) fn losses(&self) -> u64 {
        self.ends.iter().filter(|(reason, _)| !ORDERLY.contains(&&***reason)).map(|(_, n)| n).sum()
    }

    fn handle(&mut self, record: &Record) {
        match &*record.event {
            "stats" => self.handle_stats(record),
            "dialling" => {
                let addr = record.text("addr").unwrap_or_default();
                if self.state != State::Up {
                    addr.clone_into(&mut self.addr);
                }
                self.dialling = format!("dialling {addr}");
            }
            "up" => {
                self.turn(State::Up, record.at);
                record.text("addr").unwrap_or_default().clone_into(&mut self.addr);
                record.text("direction").unwrap_or_default().clone_into(&mut self.direction);
                record.text("remote_name").unwrap_or_default().clone_into(&mut self.remote_name);
                self.silence = Some((Duration::ZERO, record.at));
                self.dialling.clear();
            }
            "heartbeat-time" => self.numbers.beat = record.ms("to_ms"),
            "late" => {
                self.turn(State::Late, record.at);
                self.hear(record);
            }
            "recovered" => {
                self.turn(State::Up, record.at);
                self.note(record.ms("silent_ms").unwrap_or_default());
                self.silence = Some((Duration::ZERO, record.at));
            }
            "down" => {
                self.turn(State::Down, record.at);
                self.note(record.ms("silent_ms").unwrap_or_default());
                self.silence = None;
                self.numbers.limit = record.ms("limit_ms").or(self.numbers.limit);
                self.numbers.queued_bytes = 0;
                self.rates = Rates::default();
                let reason = record.text("reason").unwrap_or_default();
                *self.ends.entry(reason.to_owned()).or_default() += 1;
                if !is_goodbye(record) {
                    reason.clone_into(&mut self.last_loss);
                }
            }
            "dial-failed" => {
                let reason = record.text("reason").unwrap_or_default();
                let detail = record.text("detail").unwrap_or_default();
                self.numbers.dial_failures += 1;
                self.dialling = format!("{reason}: {detail}");
            }
            _ => {}
        }
    }

    fn handle_stats(&mut self, record: &Record) {
        let before = std::mem::take(&mut self.numbers);
        let is_connected = record.get("connected") == Some(&Value::Bool(true));
        let percentiles = |key| {
            let object = record.get(key)?;
            let ms = |key| object.get(key)?.ms();
            Some([ms("p50_ms")?, ms("p99_ms")?, ms("p999_ms")?, ms("max_ms")?])
        };
        self.numbers = Numbers {
            beat: record.ms("heartbeat_time_ms").or(before.beat.filter(|_| !is_connected)),
            slack: record.ms("slack_ms"),
            limit: record.ms("limit_ms").or(before.limit.filter(|_| !is_connected)),
            configured: record.ms("configured_ms"),
            received: record.ms("received_ms"),
            source: record.text("source").map(str::to_owned),
            round_trip: record.ms("round_trip_last_ms"),
            round_trip_min: record.ms("round_trip_min_ms"),
            largest_silence: record.ms("largest_silence_ms"),
            queued_bytes: record.count("queued_bytes"),
            bytes_in: record.count("bytes_received"),
            bytes_out: record.count("bytes_sent"),
            messages_in: record.count("messages_received"),
            messages_out: record.count("messages_sent"),
            connects: record.count("connects"),
            dial_failures: record.count("dial_failures"),
            peer_lateness: percentiles("peer_lateness"),
            own_lateness: percentiles("own_lateness"),
            advice: match record.get("advice") {
                Some(Value::Array(advice)) => advice.iter().filter_map(sentence).collect(),
                _ => Vec::new(),
            },
        };
        if let Some(Value::Object(downs)) = record.get("downs") {
            // The journal may have begun late: its numbers know more than its events.
            let counts = downs.iter().filter_map(|(reason, count)| {
                let count = count.number().filter(|count| *count > 0.0)?;
                Some((reason.clone(), count as u64))
            });
            self.ends = counts.collect();
        }
        self.measure(&before, record.at);
        match (is_connected, self.state) {
            (true, State::Never | State::Down) => {
                let up = record.ms("up_ms").unwrap_or_default();
                self.turn(State::Up, record.at.saturating_sub(up));
            }
            (false, State::Up | State::Late) => self.turn(State::Down, record.at),
            _ => {}
        }
        self.hear(record);
    }

    fn measure(&mut self, before: &Numbers, at: Duration) {
        let Some(since) = self.stats_at.replace(at).filter(|since| *since < at) else { return };
        let seconds = (at - since).as_secs_f64();
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        self.rates = Rates {
            messages_in: rate(self.numbers.messages_in, before.messages_in),
            bytes_in: rate(self.numbers.bytes_in, before.bytes_in),
            messages_out: rate(self.numbers.messages_out, before.messages_out),
            bytes_out: rate(self.numbers.bytes_out, before.bytes_out),
        };
    }

    /// The silence that a record reports.
    fn hear(&mut self, record: &Record) {
        if let Some(silence) = record.ms("silent_ms") {
            self.silence = Some((silence, record.at));
            self.note(silence);
        }
    }

    fn note(&mut self, silence: Duration) {
        let Some(limit) = self.numbers.limit.filter(|limit| !limit.is_zero()) else { return };
        self.silences.push_back(silence.as_secs_f64() / limit.as_secs_f64());
        if self.silences.len() > SILENCES_MAX {
            self.silences.pop_front();
        }
    }

    fn turn(&mut self, state: State, at: Duration) {
        let stays_up =
            matches!((self.state, state), (State::Up, State::Late) | (State::Late, State::Up));
        if !stays_up {
            self.since = at;
        }
        self.state = state;
    }
}

fn sentence(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// Ends that are not alarming.
fn is_goodbye(record: &Record) -> bool {
    ORDERLY.contains(&record.text("reason").unwrap_or_default())
}

/// An event in a few words; `None` if it is not worth a line.
fn described(record: &Record) -> Option<String> {
    let text = |key| Escaped(record.text(key).unwrap_or_default()).to_string();
    let time = |key| Measured(record.ms(key).unwrap_or_default()).to_string();
    Some(match &*record.event {
        "up" => format!("up: {} {}", text("direction"), text("addr")),
        "late" => format!("late: silent for {}", time("silent_ms")),
        "recovered" => format!("recovered after {}", time("silent_ms")),
        "down" => match record.ms("limit_ms") {
            Some(limit) if record.text("reason") == Some("silent") => {
                format!("DOWN silent: {}, limit {}", time("silent_ms"), Measured(limit))
            }
            _ => format!("DOWN {}: {}", text("reason"), text("detail")),
        },
        "dial-failed" => format!("dial failed: {}: {}", text("reason"), text("detail")),
        "refused" => {
            format!("refused: {} \"{}\": {}", text("addr"), text("name"), text("reason"))
        }
        "stalled" => format!("this process was stopped: {} late", time("late_ms")),
        "warning" => format!("warning: {}", text("detail")),
        "handler-busy" => format!("handler busy for {}", time("held_ms")),
        "not-reading" => format!("not reading: {} behind", time("behind_ms")),
        "queue-high" => format!("queue over 80 %: {} bytes", record.count("queued_bytes")),
        "queue-low" => "queue has room again".to_owned(),
        "lost" => format!("{} lines of the journal lost", record.count("lines")),
        "stopped" => "the node has stopped".to_owned(),
        _ => return None,
    })
}

const ORDERLY: [&str; 3] = ["closed", "local", "replaced"];
const EVENTS_MAX: usize = 500;
const SILENCES_MAX: usize = 60;
/// A journal that names more is not a journal.
const PEERS_MAX: usize = 100_000;
