//! `run --stats-every`: the numbers of every peer at intervals.

use crate::harness::Folder;
use crate::json::Value;

const HUB: &str = "\
datasrc-name       hub
datasrc-interface  127.0.0.1
datasrc-port       auto
add-peer
    remote-name     feed
    heartbeat-time  0.1
    heartbeat-slack-time 5
end-peer
add-peer
    remote-name     absent
end-peer
";

const FEED: &str = "\
datasrc-name feed
add-peer
    remote-name     hub
    addr            127.0.0.1
    port            ${PORT}
    heartbeat-time  0
end-peer
";

#[test]
fn numbers_of_every_peer_come_as_records() {
    let folder = Folder::with(&[("hub.conf", HUB), ("feed.conf", FEED)]);
    let mut hub = folder.start("run hub.conf --json --stats-every 0.1");
    let port = hub.port();
    let _feed = folder.start(&format!("run feed.conf --define PORT={port}"));
    let of =
        |record: &Value, peer: &str| record.str("event") == "stats" && record.str("peer") == peer;
    let measured = hub.wait_until("stats of feed with a lateness", |record| {
        of(record, "feed")
            && !matches!(record.get("peer_lateness"), Value::Null)
            && record.number("heartbeats_received") >= 2.0
    });
    assert_eq!(measured.get("connected"), &Value::Bool(true));
    assert_eq!(measured.number("limit_ms"), 5100.0);
    assert_eq!(measured.number("connects"), 1.0);
    assert!(measured.get("peer_lateness").number("p999_ms") >= 0.0);
    assert!(measured.number("smallest_slack_ms") >= 50.0);

    let absent = hub.wait_until("stats of absent", |record| of(record, "absent"));
    assert_eq!(absent.get("connected"), &Value::Bool(false));
    assert_eq!((absent.get("up_ms"), absent.get("own_lateness")), (&Value::Null, &Value::Null));
    assert_eq!(absent.get("downs").number("silent"), 0.0);
    assert_eq!(absent.keys(), measured.keys());
}

#[test]
fn numbers_come_as_lines_too() {
    let folder = Folder::with(&[("hub.conf", HUB)]);
    let ended = folder.peerbeat("run hub.conf --stats-every 0.05 --duration 0.5");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // Long lines are cut at blanks.
    let words: Vec<&str> = ended.stdout.split_whitespace().collect();
    let text = words.join(" ");
    assert!(text.contains(" absent stats: sent 0 messages (0 bytes)"), "{}", ended.stdout);
    assert!(text.contains("; not connected"), "{}", ended.stdout);
    assert!(ended.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ended.stdout);
}

#[test]
fn the_interval_is_checked_like_every_other() {
    let ended = Folder::new().peerbeat("run a.conf --stats-every 0");
    assert_eq!((ended.code, &*ended.stdout), (Some(2), ""));
    let complaint = "peerbeat run: --stats-every: found \"0\", expected seconds, 0.001 to 86400";
    assert!(ended.stderr.starts_with(complaint), "{}", ended.stderr);
}
