//! Two processes that share only their configuration files connect, and each learns in time that
//! the other is gone.

use crate::harness::{Folder, Running};
use crate::json::Value;

/// An adapter as upstream's templates have it: it dials by name, and its own name carries the host.
const ADAPTER: &str = "\
datasrc-name         %a-%h
datasrc-local-label  %a
add-peer
    remote-name         transformer1
    addr                127.0.0.1
    port                ${PORT}
    heartbeat-time      0
    heartbeat-slack-time 0.4
    reconnect-time-min  0.05
    reconnect-time-max  0.2
end-peer
";

/// A server that waits for it, and knows it by its label.
const SERVER: &str = "\
datasrc-name       transformer1
datasrc-interface  127.0.0.1
datasrc-port       auto
add-peer
    remote-name    PricingAdapter1
    remote-label   PricingAdapter1
    heartbeat-time 0.4
    heartbeat-slack-time 2
end-peer
";

/// The adapter's own slack is short. The server's is not: a second lies between what is late and
/// what is dead, and a process that sleeps through both says only the latter.
const ADAPTERS_LIMIT_MS: f64 = 800.0;
const SERVERS_LIMIT_MS: f64 = 2400.0;

struct Pair {
    server: Running,
    adapter: Running,
    _folder: Folder,
}

/// Starts both and waits until they are connected.
fn meet(server_options: &str, adapter_options: &str) -> Pair {
    let folder = Folder::with(&[("server.conf", SERVER), ("adapter.conf", ADAPTER)]);
    let mut server = folder.start(&format!("run server.conf --json {server_options}"));
    let port = server.port();
    let mut adapter = folder.start(&format!(
        "run adapter.conf --json --app-name PricingAdapter1 --define PORT={port} {adapter_options}"
    ));
    let up = server.wait_for("up");
    assert_eq!(up.str("peer"), "PricingAdapter1");
    assert_eq!(up.str("direction"), "accepted");
    assert_eq!(up.str("remote_label"), "PricingAdapter1");
    assert!(up.str("remote_name").starts_with("PricingAdapter1-"), "{up:?}");
    let up = adapter.wait_for("up");
    assert_eq!(up.str("peer"), "transformer1");
    assert_eq!((up.str("direction"), up.str("remote_name")), ("dialled", "transformer1"));
    Pair { server, adapter, _folder: folder }
}

#[test]
fn they_meet_by_label_and_one_heartbeat_time_is_enough() {
    let mut pair = meet("", "");
    let learnt = pair.adapter.wait_for("heartbeat-time");
    assert_eq!(learnt.get("from_ms"), &Value::Null);
    assert_eq!((learnt.number("to_ms"), learnt.str("cause")), (400.0, "peer"));
}

#[test]
fn a_frozen_peer_is_silent_and_comes_back() {
    let mut pair = meet("", "");
    pair.adapter.wait_for("heartbeat-time");
    pair.adapter.signal("STOP");
    let late = pair.server.wait_for("late");
    assert!(late.number("silent_ms") >= 1400.0, "early: {late:?}");
    let down = pair.server.wait_for("down");
    assert_eq!((down.str("peer"), down.str("reason")), ("PricingAdapter1", "silent"));
    assert_eq!(down.number("limit_ms"), SERVERS_LIMIT_MS);
    assert_eq!(down.number("heartbeat_time_ms"), 400.0);
    assert_eq!(down.number("slack_ms"), 2000.0);
    assert!(down.number("silent_ms") >= SERVERS_LIMIT_MS, "early: {down:?}");
    pair.adapter.signal("CONT");
    let down = pair.adapter.wait_for("down");
    assert_ne!(down.str("reason"), "local", "{down:?}");
    pair.adapter.wait_for("up");
    pair.server.wait_for("up");
}

#[test]
fn a_frozen_process_does_not_blame_its_healthy_peer() {
    let mut pair = meet("", "");
    // The adapter learns its limit from the server and takes the verdict.
    pair.adapter.wait_for("heartbeat-time");
    pair.server.signal("STOP");
    let down = pair.adapter.wait_for("down");
    assert_eq!(down.str("reason"), "silent");
    assert!(down.number("silent_ms") >= ADAPTERS_LIMIT_MS, "early: {down:?}");
    pair.server.signal("CONT");
    // The connection is really gone; what the server must not say is that its peer was silent.
    let down = pair.server.wait_for("down");
    assert_ne!(down.str("reason"), "silent", "{down:?}");
    pair.server.wait_for("up");
}

#[test]
fn a_killed_peer_is_eof() {
    let mut pair = meet("", "");
    pair.adapter.signal("KILL");
    let down = pair.server.wait_for("down");
    // Bytes that the killed process had not read turn its FIN into a RST.
    assert!(["eof", "io"].contains(&down.str("reason")), "{down:?}");
    assert!(!pair.server.seen.iter().any(|record| record.str("event") == "late"));
}

#[test]
fn the_end_of_the_duration_is_a_goodbye_and_the_last_line() {
    let Pair { mut server, adapter, _folder } = meet("", "--duration 1.5");
    let down = server.wait_for("down");
    assert_eq!(down.str("reason"), "closed");
    let (code, stderr, seen) = adapter.end();
    assert_eq!((code, &*stderr), (Some(0), ""));
    let last = seen.last().expect("a last line");
    assert_eq!(
        (last.str("event"), last.keys().join(" ")),
        ("stopped", "v at node event level".to_owned())
    );
}

#[test]
fn messages_are_echoed_and_shown() {
    let mut pair = meet("--echo", "--show-data --send-every 0.05 --send-size 1000");
    for _ in 0..5 {
        let data = pair.adapter.wait_for("data");
        assert_eq!((data.str("peer"), data.number("bytes")), ("transformer1", 1000.0));
    }
    let shown = pair.server.seen.iter().any(|record| record.str("event") == "data");
    assert!(!shown, "the server was not asked to show data");
}

#[test]
fn every_record_has_exactly_the_fields_of_its_event() {
    let Pair { server, adapter: mut dialler, _folder } = meet("", "--send-every 0.1");
    dialler.wait_for("heartbeat-time");
    server.signal("KILL");
    dialler.wait_for("down");
    dialler.wait_for("retry");
    dialler.wait_for("dial-failed");
    let down = "peer reason detail silent_ms limit_ms heartbeat_time_ms slack_ms \
                unsent_frames unsent_bytes unconfirmed_bytes undelivered_frames up_ms";
    for record in server.seen.iter().chain(&dialler.seen) {
        let fields = match record.str("event") {
            "listening" => "addr",
            "dialling" => "peer addr",
            "up" => "peer addr direction remote_name remote_label",
            "heartbeat-time" => "peer from_ms to_ms cause",
            "late" | "recovered" => "peer silent_ms",
            "stalled" => "peer late_ms",
            "down" => down,
            "dial-failed" => "peer addr reason detail",
            "retry" => "peer in_ms",
            "stats" => continue,
            other => panic!("{other} was not expected"),
        };
        assert_eq!(record.keys().join(" "), format!("v at node event level {fields}"));
        assert_eq!(record.number("v"), 1.0);
        let is_server = record.str("node") == "transformer1";
        assert!(is_server || record.str("node").starts_with("PricingAdapter1-"), "{record:?}");
        assert_is_time(record.str("at"));
    }
    let times: Vec<&str> = dialler.seen.iter().map(|record| record.str("at")).collect();
    assert!(times.is_sorted(), "lines are in the order of their times: {times:?}");
}

fn assert_is_time(at: &str) {
    let shape: String = at.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000000Z", "{at}");
}

#[test]
fn two_that_are_refused_say_so() {
    let folder = Folder::with(&[("server.conf", SERVER), ("adapter.conf", ADAPTER)]);
    let mut server = folder.start("run server.conf --json");
    let port = server.port();
    let stranger = format!("run adapter.conf --json --app-name Stranger --define PORT={port}");
    let mut adapter = folder.start(&stranger);
    let refused = server.wait_for("refused");
    assert_eq!(refused.keys().join(" "), "v at node event level addr name reason count");
    assert!(refused.str("name").starts_with("Stranger-"), "{refused:?}");
    assert_eq!(refused.str("reason"), "unknown-peer");
    let failed = adapter.wait_for("dial-failed");
    assert_eq!((failed.str("peer"), failed.str("reason")), ("transformer1", "refused"));
    assert!(adapter.wait_for("retry").number("in_ms") <= 200.0);
}
