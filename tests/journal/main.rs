//! The journal around a handler, and the metrics, of two nodes that are connected.
//!
//! The output is read back by parsers of JSON and of Prometheus' text format.

#![allow(clippy::unwrap_used)] // also in the helpers of tests, which Clippy does not know as such

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use peerbeat::config::{Config, ConfigOptions};
use peerbeat::journal::{Journal, prometheus};
use peerbeat::node::{Node, NodeEvent, Peer};

const PATIENCE: Duration = Duration::from_secs(60);

/// A file in memory; while it is full, nothing can be written.
#[derive(Clone, Default)]
struct File {
    text: Arc<Mutex<String>>,
    is_full: Arc<Mutex<bool>>,
}

impl File {
    fn lines(&self) -> Vec<String> {
        self.text.lock().unwrap().lines().map(str::to_owned).collect()
    }

    fn wait_for(&self, what: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.lines().into_iter().find(|line| line.contains(what)) {
                return line;
            }
            assert!(Instant::now() < until, "no {what} in {:#?}", self.lines());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if *self.is_full.lock().unwrap() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.text.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn parse(text: &str) -> Config {
    Config::parse(text, &ConfigOptions::default()).unwrap()
}

const HUB: &str = "\
datasrc-name       hub
datasrc-interface  127.0.0.1
datasrc-port       auto
add-peer
    remote-name     feed
    heartbeat-time  0.1
    heartbeat-slack-time 30
end-peer
add-peer
    remote-name     \"ab\\\\sent\"
end-peer
";

/// A hub with a journal, and a feed that is connected to it.
fn connected(file: &File) -> (Node, Node) {
    let journal = Journal::to(file.clone(), "hub");
    let handler = journal.around(|_: &Peer, _: &[u8]| {});
    let handler = handler.show_data(true).stats_every(Some(Duration::from_millis(20)));
    let hub = Node::start(parse(HUB), handler).unwrap();
    let port = hub.local_addrs()[0].port();
    let feed = format!(
        "datasrc-name feed\nadd-peer\nremote-name hub\naddr 127.0.0.1\nport {port}\nend-peer"
    );
    let feed = Node::start(parse(&feed), |_: &Peer, _: &[u8]| {}).unwrap();
    file.wait_for("\"event\":\"up\"");
    (hub, feed)
}

#[test]
fn a_wrapped_handler_writes_events_messages_and_numbers() {
    let file = File::default();
    let (hub, feed) = connected(&file);
    let until = Instant::now() + PATIENCE;
    while feed.peer("hub").unwrap().try_send(b"tick").is_err() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
    let data = file.wait_for("\"event\":\"data\"");
    assert!(data.ends_with(r#""peer":"feed","bytes":4}"#), "{data}");
    let stats = file.wait_for("\"messages_received\":1,");
    assert!(stats.contains(r#""node":"hub","event":"stats""#), "{stats}");
    feed.shutdown();
    feed.join();
    let down = file.wait_for("\"event\":\"down\"");
    assert!(down.contains("\"reason\":\"closed\""), "{down}");
    hub.shutdown();
    hub.join();
    let lines = file.lines();
    assert!(lines[0].contains("\"event\":\"listening\""), "{}", lines[0]);
    // The numbers end with the node: whatever is written from here on would be one too many.
    let stopped = lines.iter().position(|line| line.contains("\"event\":\"stopped\"")).unwrap();
    assert!(lines.len() - stopped <= 3, "{:#?}", &lines[stopped..]);
    let count = file.lines().len();
    drop((hub, feed));
    assert!(file.lines().len() <= count + 2);
    let times: Vec<&str> = lines.iter().map(|line| &line[12..39]).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn lines_that_cannot_be_written_are_counted_and_delay_nothing() {
    let file = File::default();
    let (hub, feed) = connected(&file);
    *file.is_full.lock().unwrap() = true;
    feed.shutdown();
    feed.join();
    // The link's end comes through although nothing can be written.
    let until = Instant::now() + PATIENCE;
    while hub.peer("feed").unwrap().is_up() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(50));
    *file.is_full.lock().unwrap() = false;
    let lost = file.wait_for("\"event\":\"lost\"");
    assert!(lost.contains("\"level\":\"error\",\"lines\":"), "{lost}");
    hub.shutdown();
    hub.join();
}

/// A disk with room for so many bytes, and what it holds.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (room, holds) = &mut *self.0.lock().unwrap();
        let count = bytes.len().min(*room - holds.len());
        if count == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        holds.extend(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_cut_by_a_full_disk_is_ended_before_the_next_one() {
    let disk = Disk::default();
    let journal = Journal::to(disk.clone(), "hub");
    let write_with_room = |room: usize| {
        let mut disk = disk.0.lock().unwrap();
        disk.0 = disk.1.len() + room;
        drop(disk);
        journal.event(None, &NodeEvent::Stopped);
    };
    write_with_room(1000);
    write_with_room(10);
    // Room for the record of the loss, and for nothing behind it.
    write_with_room(1 + 110);
    assert_eq!(journal.lost().0, 2);
    write_with_room(1000);
    let text = String::from_utf8(disk.0.lock().unwrap().1.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let is_whole = |line: &&str| line.starts_with('{') && line.ends_with('}');
    let is_record: Vec<bool> = lines.iter().map(is_whole).collect();
    assert_eq!(is_record, [true, false, true, false, true, true], "{text}");
    for lost in [lines[2], lines[4]] {
        assert!(lost.ends_with(r#""event":"lost","level":"error","lines":1}"#), "{text}");
    }
    assert!(lines[5].contains("\"event\":\"stopped\""), "{text}");
}

/// Families with their kind, and samples by name and labels: the text format, strictly.
fn read_metrics(text: &str) -> BTreeMap<String, f64> {
    let mut kinds = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut samples = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let name = help.split_once(' ').unwrap().0;
            assert!(helped.insert(name.to_owned()), "twice: {line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(["counter", "gauge", "summary"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(helped.contains(name), "no help: {line}");
            assert!(kinds.insert(name.to_owned(), kind).is_none(), "twice: {line}");
            current = name.to_owned();
        } else {
            let (name, rest) = line.split_once('{').unwrap();
            assert_eq!(name.strip_suffix("_count").unwrap_or(name), current, "{line}");
            let (labels, value) = rest.rsplit_once("} ").unwrap();
            assert!(labels.split("\",").all(|label| label.contains("=\"")), "{line}");
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite() && value >= 0.0, "{line}");
            let key = format!("{name}{{{labels}}}");
            assert!(samples.insert(key, value).is_none(), "twice: {line}");
        }
    }
    samples
}

#[test]
fn metrics_can_be_read_and_have_every_reason() {
    let file = File::default();
    let (hub, _feed) = connected(&file);
    file.wait_for("\"heartbeats_received\":2,");
    let text = prometheus(&hub);
    let samples = read_metrics(&text);
    let get = |key: &str| *samples.get(key).unwrap_or_else(|| panic!("no {key} in {text}"));
    assert_eq!(get(r#"peerbeat_up{node="hub",peer="feed"}"#), 1.0);
    assert_eq!(get(r#"peerbeat_limit_seconds{node="hub",peer="feed"}"#), 30.1);
    assert!(get(r#"peerbeat_silence_seconds{node="hub",peer="feed"}"#) < 30.1);
    assert!(get(r#"peerbeat_heartbeats_total{node="hub",peer="feed",direction="in"}"#) >= 2.0);
    assert_eq!(get(r#"peerbeat_up{node="hub",peer="ab\\sent"}"#), 0.0);
    assert!(!text.contains(r#"peerbeat_silence_seconds{node="hub",peer="ab"#));
    let reasons = samples.keys().filter(|key| key.starts_with("peerbeat_downs_total"));
    assert_eq!(reasons.count(), 2 * 8);
    check_with_promtool(&["check", "metrics"], &text);
}

#[test]
fn the_alert_rules_of_the_docs_are_rules() {
    let source = include_str!("../../src/journal/metrics.rs");
    let rules = source.split_once("/// ```yaml\n").unwrap().1.split_once("/// ```").unwrap().0;
    let rules: String = rules.lines().map(|line| format!("{}\n", &line[4..])).collect();
    assert_eq!(rules.matches("- alert:").count(), 3);
    // It takes rules from a file alone.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rules.yml");
    std::fs::write(&file, &rules).unwrap();
    check_with_promtool(&["check", "rules", file.to_str().unwrap()], &rules);
}

/// Prometheus' own opinion, on a machine that has it.
fn check_with_promtool(arguments: &[&str], text: &str) {
    let promtool = Command::new("promtool").args(arguments).stdin(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else {
        println!("no promtool here: checked by the parser of this test alone");
        return;
    };
    // What does not read it has its file.
    let _ = promtool.stdin.take().unwrap().write_all(text.as_bytes());
    assert!(promtool.wait().unwrap().success(), "{text}");
}
