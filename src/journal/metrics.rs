//! The numbers of a node in Prometheus' text format.
//!
//! A string; serving it, or writing it to a file, is up to the program. Every reason has its line
//! from the start, with 0, or an alert would miss the first increase.

use std::fmt::Write;
use std::time::Duration;

use crate::link::{LinkState, Percentiles, Stats};
use crate::node::{Node, PeerStats};

/// The numbers of a node's peers, in Prometheus' text format (version 0.0.4).
///
/// ```
/// # use peerbeat::config::{Config, ConfigOptions};
/// # use peerbeat::node::{Node, Peer};
/// # let text = "datasrc-name hub\ndatasrc-interface 127.0.0.1\ndatasrc-port auto\n\
/// #             add-peer\nremote-name feed07\nend-peer";
/// # let config = Config::parse(text, &ConfigOptions::default())?;
/// # let node = Node::start(config, |_: &Peer, _: &[u8]| {})?;
/// let text = peerbeat::journal::prometheus(&node);
/// assert!(text.contains("peerbeat_up{node=\"hub\",peer=\"feed07\"} 0\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Two alerts that every deployment wants, and one for a program that is gone with its file
/// (`peerbeat run --metrics` and node_exporter's textfile collector):
///
/// ```yaml
/// groups:
///   - name: peerbeat
///     rules:
///       - alert: PeerDown
///         expr: peerbeat_up == 0
///         for: 30s
///         annotations:
///           summary: "{{ $labels.peer }} is not connected to {{ $labels.node }}"
///       - alert: PeerNearItsLimit
///         expr: peerbeat_silence_seconds / peerbeat_limit_seconds > 0.8
///         annotations:
///           summary: "{{ $labels.peer }} has used {{ $value | humanizePercentage }} of its limit"
///       - alert: MetricsAreOld
///         expr: time() - node_textfile_mtime_seconds{file=~".*peerbeat.*"} > 60
/// ```
pub fn prometheus(node: &Node) -> String {
    let config = node.config();
    let peers = node.peers();
    let rows: Vec<Row> = peers
        .iter()
        .map(|peer| Row {
            labels: format!("node=\"{}\",peer=\"{}\"", label(config.name()), label(peer.name())),
            stats: peer.stats(),
            state: peer.state().link,
            limit: peer.explain().and_then(|explained| explained.limit),
        })
        .collect();
    let mut text = Text { text: String::new(), rows: &rows };
    text.states();
    text.counts();
    text.measures();
    let version = env!("CARGO_PKG_VERSION");
    text.head("peerbeat_build_info", "The version of the library", "gauge");
    let _ = writeln!(text.text, "peerbeat_build_info{{version=\"{version}\"}} 1");
    text.text
}

/// What there is of one peer.
struct Row {
    labels: String,
    stats: PeerStats,
    state: Option<LinkState>,
    limit: Option<Duration>,
}

struct Text<'a> {
    text: String,
    rows: &'a [Row],
}

impl Text<'_> {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let _ = writeln!(self.text, "{name}{{{labels}}} {value}");
    }

    /// One sample a peer; a peer without the number has none.
    fn each(&mut self, name: &str, help: &str, number: impl Fn(&Row) -> Option<f64>) {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        self.head(name, help, kind);
        for row in self.rows {
            if let Some(value) = number(row) {
                self.sample(name, &row.labels, value);
            }
        }
    }

    /// Two samples a peer: what came in and what went out.
    fn both(&mut self, name: &str, help: &str, numbers: impl Fn(&Row) -> (u64, u64)) {
        self.head(name, help, "counter");
        for row in self.rows {
            let (received, sent) = numbers(row);
            for (direction, value) in [("in", received), ("out", sent)] {
                let labels = format!("{},direction=\"{direction}\"", row.labels);
                self.sample(name, &labels, value as f64);
            }
        }
    }

    fn states(&mut self) {
        self.each("peerbeat_up", "1 while the peer is connected", |row| {
            Some(f64::from(u8::from(row.state.is_some())))
        });
        self.each("peerbeat_silence_seconds", "Time since the last byte from the peer", |row| {
            Some(row.state.as_ref()?.silence.as_secs_f64())
        });
        self.each("peerbeat_limit_seconds", "Silence of this length means down", |row| {
            Some(row.limit?.as_secs_f64())
        });
        self.each("peerbeat_queue_bytes", "Bytes that wait to be sent", |row| {
            Some(row.stats.link.as_ref().map_or(0.0, |link| link.queued_bytes as f64))
        });
    }

    fn counts(&mut self) {
        let name = "peerbeat_downs_total";
        self.head(name, "Ends of links by reason", "counter");
        for row in self.rows {
            for (reason, count) in row.stats.downs.by_reason() {
                let labels = format!("{},reason=\"{reason}\"", row.labels);
                self.sample(name, &labels, count as f64);
            }
        }
        let count =
            |number: fn(&PeerStats) -> u64| move |row: &Row| Some(number(&row.stats) as f64);
        self.each("peerbeat_connects_total", "Links that came up", count(|stats| stats.connects));
        let dials = count(|stats| stats.dial_failures);
        self.each("peerbeat_dial_failures_total", "Dials that failed", dials);
        let refusals = count(|stats| stats.refusals);
        self.each("peerbeat_refusals_total", "Connections of the peer that were refused", refusals);
        let stalls = count(|stats| stats.total.stalls);
        self.each("peerbeat_stalls_total", "Times this process was stopped or starved", stalls);
        let late = count(|stats| stats.total.own_late);
        self.each("peerbeat_own_late_total", "Own heartbeats later than half the slack", late);
        let late = count(|stats| stats.total.peer_late);
        self.each("peerbeat_late_total", "Silences of the peer that were late", late);
        self.both("peerbeat_messages_total", "Messages", |row| {
            (row.stats.total.messages_received, row.stats.total.messages_accepted)
        });
        self.both("peerbeat_bytes_total", "Bytes, heartbeats included", |row| {
            (row.stats.total.bytes_received, row.stats.total.bytes_sent)
        });
        self.both("peerbeat_heartbeats_total", "Heartbeats", |row| {
            (row.stats.total.heartbeats_received, row.stats.total.heartbeats_sent)
        });
    }

    fn measures(&mut self) {
        self.percentiles("peerbeat_round_trip_seconds", "Round trips of heartbeats", |link| {
            &link.round_trips
        });
        let help = "How much later than it promised the peer was heard";
        self.percentiles("peerbeat_peer_lateness_seconds", help, |link| &link.peer_lateness);
        let help = "How much later than due own heartbeats were written";
        self.percentiles("peerbeat_own_lateness_seconds", help, |link| &link.own_lateness);
    }

    /// Of the link of now; nothing while there is none, or nothing was measured.
    fn percentiles(&mut self, name: &str, help: &str, of: impl Fn(&Stats) -> &Percentiles) {
        self.head(name, help, "summary");
        for row in self.rows {
            let Some(measured) = row.stats.link.as_ref().map(&of) else { continue };
            let Percentiles { count, p50, p99, p999, .. } = measured;
            if *count == 0 {
                continue;
            }
            for (quantile, value) in [("0.5", p50), ("0.99", p99), ("0.999", p999)] {
                let labels = format!("{},quantile=\"{quantile}\"", row.labels);
                self.sample(name, &labels, value.as_secs_f64());
            }
            self.sample(&format!("{name}_count"), &row.labels, *count as f64);
        }
    }
}

/// The value of a label.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
