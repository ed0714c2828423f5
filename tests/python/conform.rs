//! `peerbeat conform` passes both implementations, and finds every deliberate fault.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::harness::{Ended, Folder, exit_code};
use crate::json::Value;
use crate::script::{PEER, Peer};

/// What the sides under test are set to, in both languages, and what `conform` is given for it.
const SETTINGS: &str = "--value 10000 --slack 1000 --handshake 2000 --echo";
const GIVEN: &str = "--name tester --slack 1 --handshake 2 --tolerance 4";

fn config(port: Option<u16>) -> String {
    let addr = port.map_or(String::new(), |port| format!(" addr 127.0.0.1\n port {port}\n"));
    let listens = if port.is_some() { "0" } else { "auto" };
    format!(
        "datasrc-name hub\ndatasrc-interface 127.0.0.1\ndatasrc-port {listens}\n\
         peer-accept-wait-time 2\nadd-peer\n remote-name tester\n{addr} heartbeat-time 10\n \
         heartbeat-slack-time 1\n connect-timeout 2\n reconnect-time-min 0.05\n \
         reconnect-time-max 0.05\nend-peer\n"
    )
}

#[track_caller]
fn passes(ended: &Ended) {
    let is_result = |line: &&str| !line.starts_with("ok ") && !line.starts_with("skip ");
    let lines: Vec<_> = ended.stdout.lines().filter(is_result).collect();
    assert_eq!(ended.code, Some(0), "{}\n{}", lines.join("\n"), ended.stderr);
    let last = ended.stdout.lines().last().unwrap_or_default();
    assert!(last.contains(" 0 failed"), "{last}");
    let passed = ended.stdout.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(passed >= 28, "{}", ended.stdout);
}

#[test]
fn the_node_that_accepts_conforms() {
    let folder = Folder::with(&[("hub.conf", &config(None))]);
    let mut hub = folder.start("run hub.conf --json --echo");
    let ended = folder.peerbeat(&format!("conform 127.0.0.1:{} {GIVEN}", hub.port()));
    passes(&ended);
    assert!(ended.stdout.contains(" 0 skipped"), "{}", ended.stdout);
}

#[test]
fn the_node_that_dials_conforms() {
    let folder = Folder::new();
    let mut command = folder.command(&format!("conform 127.0.0.1:0 --listen {GIVEN}"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
    assert!(port.is_some(), "{line}");
    std::fs::write(folder.path("hub.conf"), config(port)).unwrap();
    let _hub = folder.start("run hub.conf --json --echo");
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    stderr.read_to_string(&mut line).unwrap();
    passes(&Ended { code: exit_code(&mut child), stdout, stderr: line });
}

#[test]
fn the_peer_in_python_conforms() {
    let line = format!("listen 0 {SETTINGS}");
    let Some(mut peer) = Peer::start("conform against Python", &line) else { return };
    let ended = Folder::new().peerbeat(&format!("conform 127.0.0.1:{} {GIVEN}", peer.port()));
    passes(&ended);
    assert!(ended.stdout.contains(" 0 skipped"), "{}", ended.stdout);
}

/// The faults that the peer can be given, with the rules that they break.
fn faults() -> Vec<(String, String)> {
    let source = std::fs::read_to_string(PEER).unwrap();
    let table = source.split("FAULTS = {\n").nth(1).unwrap().split("\n}").next().unwrap();
    let lines = table.lines().map(|line| line.trim().split('"').collect::<Vec<_>>());
    lines
        .map(|words| (words[1].to_owned(), words[3].split(':').next().unwrap().to_owned()))
        .collect()
}

#[test]
fn every_fault_of_the_peer_is_found_where_it_is() {
    let faults = faults();
    assert!(faults.len() >= 12, "{faults:?}");
    // Some at a time: each waits for most of its life.
    for some in faults.chunks(10) {
        std::thread::scope(|scope| {
            for (fault, rule) in some {
                scope.spawn(move || is_found(fault, rule));
            }
        });
    }
}

fn is_found(fault: &str, rule: &str) {
    let line = format!("listen 0 {SETTINGS} --fault {fault}");
    let Some(mut peer) = Peer::start("faults of the peer in Python", &line) else { return };
    let rule = if rule.starts_with('P') { "P" } else { rule };
    let port = peer.port();
    let ended = Folder::new().peerbeat(&format!("conform 127.0.0.1:{port} {GIVEN} --only {rule}"));
    let failed: Vec<_> =
        ended.stdout.lines().filter(|line| line.starts_with(&format!("FAILED {rule}"))).collect();
    assert!(ended.code == Some(1) && !failed.is_empty(), "{fault}: {ended:?}");
    for detail in ["expected ", "got "] {
        assert!(ended.stdout.contains(detail), "{fault}: {}", ended.stdout);
    }
}

#[test]
fn results_come_as_tap_and_as_json_too() {
    let folder = Folder::with(&[("hub.conf", &config(None))]);
    let mut hub = folder.start("run hub.conf --json");
    let port = hub.port();
    let tap = folder.peerbeat(&format!("conform 127.0.0.1:{port} {GIVEN} --only S6 --tap"));
    assert_eq!(
        (tap.code, &*tap.stdout),
        (Some(0), "TAP version 13\n1..1\nok 1 - S6 another version\n")
    );
    let none = folder.peerbeat(&format!("conform 127.0.0.1:{port} {GIVEN} --only no-such-rule"));
    assert_eq!(none.code, Some(1), "no check is no success: {none:?}");

    // A name that it does not know is welcome nowhere.
    let line = format!("conform 127.0.0.1:{port} --name nobody --only F2 --tolerance 4");
    let ended = folder.peerbeat(&format!("{line} --json"));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let records: Vec<_> = ended.stdout.lines().map(Value::parse).collect();
    assert_eq!(records.len(), 2, "{ended:?}");
    for record in records {
        assert_eq!((record.number("v"), record.str("result")), (1.0, "failed"), "{record:?}");
        assert!(record.str("got").starts_with("BYE 1 "), "{record:?}");
        assert_eq!(record.str("expected"), "HELLO");
        assert!(record.str("bytes").starts_with("000000"), "{record:?}");
    }
    let tap = folder.peerbeat(&format!("{line} --tap"));
    assert!(
        tap.stdout.contains("not ok 1 - F2 types that are not known\n  ---\n  expected: \"HELLO\"")
    );
}
