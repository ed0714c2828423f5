//! The peer in Python against the node, in both roles.

use crate::harness::{Folder, Running};
use crate::script::{PEER, Peer, python};

/// A node that knows the peer and sends back what it gets; it dials if there is a port.
fn node(folder: &Folder, heartbeat_time: &str, port: Option<u16>) -> Running {
    let place = port.map_or("datasrc-port auto".to_owned(), |_| "datasrc-port 0".to_owned());
    let addr = port.map_or(String::new(), |port| format!(" addr 127.0.0.1\n port {port}\n"));
    let text = format!(
        "datasrc-name hub\ndatasrc-interface 127.0.0.1\n{place}\nadd-peer\n remote-name python\n\
         {addr} heartbeat-time {heartbeat_time}\n heartbeat-slack-time 2\n\
         reconnect-time-min 0.1\n reconnect-time-max 0.1\nend-peer\n"
    );
    std::fs::write(folder.path("hub.conf"), text).unwrap();
    folder.start("run hub.conf --json --echo --show-data")
}

fn is_value(record: &crate::json::Value, ms: f64) -> bool {
    record.str("event") == "heartbeat-time" && record.number("to_ms") == ms
}

#[test]
fn both_implementations_read_the_same_vectors() {
    let Some(mut command) = python("the vectors in Python") else { return };
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/protocol/vectors.txt");
    let output = command.args([PEER, "vectors", file]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = text.lines().last().unwrap_or_default();
    let count: usize = last.split(' ').next().unwrap().parse().unwrap_or_default();
    assert!(count > 40 && last.ends_with(" 0 wrong"), "{text}{errors}");
}

#[test]
fn a_peer_in_python_dials_the_node_talks_and_closes_in_order() {
    let folder = Folder::new();
    let mut hub = node(&folder, "10", None);
    let line = format!("dial 127.0.0.1:{} --value 0", hub.port());
    let Some(mut peer) = Peer::start("a peer in Python that dials", &line) else { return };
    assert_eq!(peer.wait_for("up"), "hub");
    // The value came with HELLO.
    assert_eq!(peer.wait_for("value"), "10000");
    hub.wait_for("up");
    peer.ask("value 700");
    hub.wait_until("its value", |record| is_value(record, 700.0));
    for number in 0..100 {
        peer.ask(&format!("send price {number}"));
    }
    // What is accepted before the drain arrives, and so does what comes back meanwhile.
    peer.ask("drain");
    let down = hub.wait_for("down");
    assert_eq!(down.str("reason"), "closed", "{down:?}");
    let data = hub.seen.iter().filter(|record| record.str("event") == "data").count();
    assert_eq!(data, 100);
    assert_eq!(peer.wait_for("down"), "local");
}

#[test]
fn a_peer_in_python_is_dialled_sends_back_and_hears_of_the_end() {
    let line = "listen 0 --value 800 --echo --peers hub";
    let Some(mut peer) = Peer::start("a peer in Python that listens", line) else { return };
    let folder = Folder::new();
    let mut hub = node(&folder, "10", Some(peer.port()));
    assert_eq!(peer.wait_for("up"), "hub");
    hub.wait_for("up");
    hub.wait_until("its value", |record| is_value(record, 800.0));
    peer.ask("send tick");
    // The node sends it back, and the peer does so again.
    for _ in 0..3 {
        assert_eq!(peer.wait_for("data"), "tick");
        hub.wait_for("data");
    }
    hub.signal("TERM");
    let down = peer.wait_for("down");
    assert!(down.starts_with("closed 6") || down.starts_with("closed 0"), "{down}");
}

#[test]
fn each_finds_the_other_silent_and_never_early() {
    let line = "listen 0 --value 500 --slack 1500";
    let Some(mut peer) = Peer::start("silence in Python", line) else { return };
    let folder = Folder::new();
    let mut hub = node(&folder, "10", Some(peer.port()));
    peer.wait_for("up");
    hub.wait_until("its value", |record| is_value(record, 500.0));
    hub.signal("STOP");
    let down = peer.wait_for("down silent");
    assert!(down.parse::<u32>().unwrap() >= 2000, "{down}");
    hub.signal("CONT");
    hub.wait_for("down");

    // It dials again.
    peer.wait_for("up");
    hub.wait_until("its value", |record| is_value(record, 500.0));
    peer.signal("STOP");
    let down = hub.wait_for("down");
    assert_eq!((down.str("reason"), down.number("limit_ms")), ("silent", 2500.0), "{down:?}");
    assert!(down.number("silent_ms") >= 2500.0, "{down:?}");
}

#[test]
fn a_stranger_is_refused_in_both_directions() {
    let folder = Folder::new();
    let mut hub = node(&folder, "1", None);
    let line = format!("dial 127.0.0.1:{} --name somebody", hub.port());
    let Some(mut peer) = Peer::start("a stranger in Python", &line) else { return };
    let down = peer.wait_for("down refused");
    assert!(down.starts_with("1 "), "{down}");
    assert_eq!(hub.wait_for("refused").str("name"), "somebody");

    let mut picky = Peer::start("a picky peer in Python", "listen 0 --peers nobody").unwrap();
    let folder = Folder::new();
    let mut hub = node(&folder, "1", Some(picky.port()));
    let failed = hub.wait_for("dial-failed");
    assert!(failed.str("detail").contains("peer not known here"), "{failed:?}");
}
