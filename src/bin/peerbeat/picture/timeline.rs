//! The history of every peer, as intervals of time.
//!
//! Built from the records of a journal, in order. A silence is known exactly only if a record
//! mentions it; nothing is invented for the time between records.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::record::{Record, Value};
use crate::text::{Count, Escaped, Measured, Seconds};

/// What a stretch of time was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Never,
    Up,
    Late,
    Down,
    /// This process was stopped.
    Stopped,
}

/// A stretch of time in one state.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) kind: Kind,
    pub(super) from: Duration,
    pub(super) to: Duration,
    /// What is written under it, if there is room.
    pub(super) label: String,
    /// What a pointer over it shows.
    pub(super) title: String,
}

/// One peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) stretches: Vec<Stretch>,
    pub(super) losses: u64,
    /// Known silences: when they began, and until when they are known to have lasted.
    pub(super) silences: Vec<(Duration, Duration)>,
    pub(super) heartbeat_time: Option<Duration>,
    pub(super) verdicts: Vec<Verdict>,
    failed_dials: u64,
    kind: Option<Kind>,
}

/// The end of a link by silence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) at: Duration,
    pub(super) silence: Duration,
    pub(super) limit: Duration,
    pub(super) heartbeat_time: Duration,
    pub(super) slack: Duration,
}

/// All peers of a journal.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    pub(super) node: String,
    pub(super) rows: BTreeMap<String, Row>,
    pub(super) from: Option<Duration>,
    pub(super) to: Duration,
    /// Ends that were no goodbye, by reason.
    pub(super) losses: BTreeMap<String, u64>,
}

impl Timeline {
    pub(super) fn handle(&mut self, record: &Record) {
        if self.from.is_none() {
            self.from = Some(record.at);
        }
        self.to = self.to.max(record.at);
        if let Some(node) = record.text("node") {
            node.clone_into(&mut self.node);
        }
        let Some(name) = record.text("peer") else { return };
        if !self.rows.contains_key(name) && self.rows.len() >= ROWS_MAX {
            return;
        }
        let from = self.from.unwrap_or(record.at);
        let row = self.rows.entry(name.to_owned()).or_insert_with(|| Row::begin(from));
        row.handle(record);
        if record.event == "down" && !is_goodbye(record) {
            row.losses += 1;
            let reason = record.text("reason").unwrap_or_default().to_owned();
            *self.losses.entry(reason).or_default() += 1;
        }
    }

    /// Ends what is still open.
    pub(super) fn finish(&mut self) {
        for row in self.rows.values_mut() {
            if row.kind == Some(Kind::Never) && row.failed_dials > 0 {
                if let Some(last) = row.stretches.last_mut() {
                    last.label =
                        format!("{}: {}", Count(row.failed_dials, "failed dial"), last.label);
                }
            }
            row.close(self.to);
        }
    }

    /// How the latest verdict compares with its limit: the largest excess of all.
    pub(super) fn worst_excess(&self) -> Option<Duration> {
        let verdicts = self.rows.values().flat_map(|row| &row.verdicts);
        verdicts.map(|verdict| verdict.silence.saturating_sub(verdict.limit)).max()
    }
}

impl Row {
    fn begin(at: Duration) -> Self {
        let mut row = Self::default();
        row.turn(Kind::Never, at, String::new(), "never connected".to_owned());
        row
    }

    /// How bad it was, to choose among many: losses, then time that was not up.
    pub(super) fn badness(&self) -> (u64, Duration) {
        let not_up = self.stretches.iter().filter(|stretch| stretch.kind != Kind::Up);
        (self.losses, not_up.map(|stretch| stretch.to.saturating_sub(stretch.from)).sum())
    }

    fn close(&mut self, at: Duration) {
        if let Some(last) = self.stretches.last_mut() {
            last.to = last.to.max(at);
        }
    }

    fn turn(&mut self, kind: Kind, at: Duration, label: String, title: String) {
        self.close(at);
        self.kind = Some(kind);
        self.stretches.push(Stretch { kind, from: at, to: at, label, title });
    }

    fn handle(&mut self, record: &Record) {
        let at = record.at;
        let text = |key| Escaped(record.text(key).unwrap_or_default()).to_string();
        match &*record.event {
            "up" => {
                let title = format!("up: {} {}", text("direction"), text("addr"));
                self.turn(Kind::Up, at, String::new(), title);
                self.silences.push((at, at));
            }
            "heartbeat-time" => self.heartbeat_time = record.ms("to_ms"),
            "data" => self.silences.push((at, at)),
            "late" => {
                let silence = record.ms("silent_ms").unwrap_or_default();
                self.silence(at, silence);
                self.turn(Kind::Late, at, String::new(), "late".to_owned());
            }
            "recovered" => {
                let silence = record.ms("silent_ms").unwrap_or_default();
                let label = format!("late {}, recovered", Measured(silence));
                if let Some(last) = self.stretches.last_mut().filter(|s| s.kind == Kind::Late) {
                    last.label.clone_from(&label);
                    last.title.clone_from(&label);
                }
                self.silence(at, silence);
                self.turn(Kind::Up, at, String::new(), format!("up: {label}"));
                self.silences.push((at, at));
            }
            "stalled" => {
                let late = record.ms("late_ms").unwrap_or_default();
                let words = format!("stopped {}", Measured(late));
                let title = format!("this process was {words}; the peer is not blamed");
                let kind = self.kind.unwrap_or(Kind::Up);
                self.turn(Kind::Stopped, at.saturating_sub(late), words, title);
                self.turn(kind, at, String::new(), "up".to_owned());
            }
            "down" => self.handle_down(record),
            "dial-failed" => {
                self.failed_dials += 1;
                if self.kind == Some(Kind::Never) {
                    if let Some(last) = self.stretches.last_mut() {
                        last.label = text("detail");
                        last.title = format!("never connected: {}", text("detail"));
                    }
                }
            }
            "stats" => self.handle_stats(record),
            _ => {}
        }
    }

    fn handle_down(&mut self, record: &Record) {
        let at = record.at;
        let reason = Escaped(record.text("reason").unwrap_or_default()).to_string();
        let detail = Escaped(record.text("detail").unwrap_or_default()).to_string();
        let silence = record.ms("silent_ms").unwrap_or_default();
        self.silence(at, silence);
        let limit = record.ms("limit_ms");
        let mut title = format!("down: {reason}: {detail}; silent for {}", Measured(silence));
        if let Some(limit) = limit {
            title += &format!(", limit {}", Seconds(limit));
        }
        let label = match &*reason {
            "silent" => format!("silent {}", Measured(silence)),
            _ => reason.clone(),
        };
        if let (true, Some(limit)) = (reason == "silent", limit) {
            let heartbeat_time = record.ms("heartbeat_time_ms").unwrap_or(limit);
            let slack = record.ms("slack_ms").unwrap_or_default();
            self.verdicts.push(Verdict { at, silence, limit, heartbeat_time, slack });
        }
        self.turn(Kind::Down, at, label, title);
    }

    fn handle_stats(&mut self, record: &Record) {
        let is_connected = record.get("connected") == Some(&Value::Bool(true));
        if is_connected && self.kind == Some(Kind::Never) {
            // The journal begins when the peer was up already.
            let from = record.at.saturating_sub(record.ms("up_ms").unwrap_or_default());
            let begin = self.stretches.first().map_or(from, |first| first.from);
            self.stretches.clear();
            self.turn(Kind::Up, from.max(begin), String::new(), "up".to_owned());
        }
        if is_connected {
            if let Some(silence) = record.ms("silent_ms") {
                self.silence(record.at, silence);
            }
            self.heartbeat_time = record.ms("heartbeat_time_ms").or(self.heartbeat_time);
        }
    }

    /// At `at` nothing had been heard for `silence`.
    fn silence(&mut self, at: Duration, silence: Duration) {
        let from = at.saturating_sub(silence);
        match self.silences.last_mut() {
            // The same silence, seen once more.
            Some((begun, until)) if from.abs_diff(*begun) < SAME_BYTE_MAX => {
                *until = (*until).max(at)
            }
            _ => self.silences.push((from, at)),
        }
    }
}

/// Ends that are not alarming.
fn is_goodbye(record: &Record) -> bool {
    matches!(record.text("reason"), Some("closed" | "local" | "replaced"))
}

const ROWS_MAX: usize = 100_000;
/// Two records speak of the same last byte if they put it no further apart.
const SAME_BYTE_MAX: Duration = Duration::from_millis(5);
