//! How `run` ends, and that a slow or broken reader of its output does not block it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Folder, PATIENCE, exit_code};
use crate::json::Value;

/// Listens, and waits for a peer.
const HUB: &str = "\
datasrc-name       hub
datasrc-interface  127.0.0.1
datasrc-port       auto
add-peer
    remote-name  feed
end-peer
";

const FEED: &str = "\
datasrc-name feed
add-peer
    remote-name hub
    addr        127.0.0.1
    port        ${PORT}
    reconnect-time-min 0.05
    reconnect-time-max 0.1
end-peer
";

fn folder() -> Folder {
    Folder::with(&[("hub.conf", HUB), ("feed.conf", FEED)])
}

fn spawn(folder: &Folder, line: &str) -> Child {
    let mut command = folder.command(line);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn stderr(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_in_order() {
    // lesson 76: the handler is also what process 1 of a container needs
    let folder = folder();
    for signal in ["INT", "TERM"] {
        let mut hub = folder.start("run hub.conf --json");
        let port = hub.port();
        let mut feed = folder.start(&format!("run feed.conf --json --define PORT={port}"));
        feed.wait_for("up");
        feed.signal(signal);
        assert_eq!(hub.wait_for("down").str("reason"), "closed", "{signal}");
        let (code, stderr, seen) = feed.end();
        assert_eq!((code, &*stderr), (Some(0), ""), "{signal}");
        let names: Vec<&str> = seen.iter().map(|record| record.str("event")).collect();
        assert_eq!(names.last(), Some(&"stopped"), "{names:?}");
        assert!(names.contains(&"stats"), "the numbers before the end: {names:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = folder();
    let mut hub = spawn(&folder, "run hub.conf --json");
    let mut line = String::new();
    let mut stdout = BufReader::new(hub.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let pid = hub.id();
    // Of two different ones none is swallowed while the other is pending. It is stopped meanwhile,
    // or it may have ended in order before the second one comes.
    let kill = format!("kill -STOP {pid}; kill -INT {pid}; kill -TERM {pid}; kill -CONT {pid}");
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let code = exit_code(&mut hub);
    assert!(matches!(code, Some(130 | 143)), "{code:?}");
}

#[test]
fn the_end_of_stdin_ends_it_if_asked_to() {
    let folder = folder();
    let mut hub = spawn(&folder, "run hub.conf --until-eof");
    let mut stdout = BufReader::new(hub.stdout.take().unwrap());
    let mut text = String::new();
    stdout.read_line(&mut text).unwrap();
    hub.stdin.as_mut().unwrap().write_all(b"clsoe feed\nclose fede\n").unwrap();
    drop(hub.stdin.take());
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!(exit_code(&mut hub), Some(0));
    let last: Vec<&str> = text.lines().rev().take(3).collect();
    assert_eq!(last[1], "-- summary", "{text}");
    assert_eq!(last[0], "feed  up 0 times; messages 0 in 0 out", "{text}");
    let complaints = "peerbeat run: unknown words \"clsoe feed\": did you mean close?\n\
                      peerbeat run: no peer \"fede\": did you mean feed?\n";
    assert_eq!(stderr(&mut hub), complaints);
}

#[test]
fn a_line_on_stdin_dials_now() {
    let feed = FEED.replace("0.05", "10000").replace("max 0.1", "max 10000");
    let folder = Folder::with(&[("feed.conf", &feed)]);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut feed = spawn(&folder, &format!("run feed.conf --json --define PORT={gone}"));
    let mut lines = BufReader::new(feed.stdout.take().unwrap()).lines();
    let mut wait_for = |event: &str| {
        while Value::parse(&lines.next().unwrap().unwrap()).str("event") != event {}
    };
    wait_for("retry");
    let mut stdin = feed.stdin.take().unwrap();
    writeln!(stdin, "dial").unwrap();
    wait_for("dialling");
    wait_for("retry");
    writeln!(stdin, "dial hub").unwrap();
    wait_for("dialling");
    let _ = feed.kill();
    let _ = feed.wait();
}

#[test]
fn metrics_are_written_whole() {
    let folder = folder();
    let ended = folder.peerbeat("run hub.conf --metrics hub.prom --duration 0.3 --json");
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    let text = std::fs::read_to_string(folder.path("hub.prom")).unwrap();
    assert!(text.contains("\npeerbeat_up{node=\"hub\",peer=\"feed\"} 0\n"), "{text}");
    assert!(text.ends_with("} 1\n") && text.contains("\npeerbeat_build_info{version=\""), "{text}");
    assert!(!folder.path("hub.prom.tmp").exists());
    let ended = folder.peerbeat("run hub.conf --metrics no/such/folder --duration 0.3 --json");
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("peerbeat run: --metrics: no/such/folder: "));
}

#[test]
fn a_reader_that_does_not_read_holds_nothing() {
    // lesson 68
    let folder = folder();
    // A busy machine takes longer to fill a pipe.
    let lost = ["1.5", "6", "20"].into_iter().find_map(|seconds| {
        let line = format!("run hub.conf --json --stats-every 0.001 --duration {seconds}");
        let mut hub = spawn(&folder, &line);
        assert_eq!(exit_code(&mut hub), Some(0));
        let complaint = stderr(&mut hub);
        let is_lost = complaint.contains(" lost: stdout did not take them in time");
        is_lost.then(|| hub.stdout.take().unwrap())
    });
    // What was written is whole lines, up to the last.
    let mut text = String::new();
    lost.expect("lines are lost").read_to_string(&mut text).unwrap();
    let (whole, _cut) = text.rsplit_once('\n').unwrap();
    for line in whole.lines() {
        Value::parse(line);
    }
}

// lesson 68
#[cfg(unix)]
#[test]
fn a_non_blocking_stdout_is_waited_for() {
    use std::os::fd::OwnedFd;
    let folder = folder();
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let mut command = folder.command("run hub.conf --json --stats-every 0.001 --duration 1");
    command.stdout(Stdio::from(OwnedFd::from(theirs)));
    let mut hub = command.stderr(Stdio::piped()).spawn().unwrap();
    // The command holds its end of the pair as well.
    drop(command);
    // Read late: by then it is full.
    std::thread::sleep(Duration::from_millis(500));
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(exit_code(&mut hub), Some(0));
    assert_eq!(stderr(&mut hub), "");
    let records: Vec<Value> = text.lines().map(Value::parse).collect();
    assert!(records.iter().any(|record| record.str("event") == "listening"));
    assert_eq!(records.last().unwrap().str("event"), "stopped");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_complaint_and_no_end() {
    let folder = folder();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = folder.command("run hub.conf --json --stats-every 0.05 --duration 0.5");
    let mut hub = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(exit_code(&mut hub), Some(0));
    let complaints = stderr(&mut hub);
    assert!(complaints.starts_with("peerbeat: stdout: No space left on device"), "{complaints}");
    assert!(complaints.contains(" lines lost: stdout did not take"), "{complaints}");
}

#[cfg(unix)]
#[test]
fn a_service_manager_is_notified() {
    // A socket's path has room for some hundred bytes: the checkout's may be longer.
    let path = std::env::temp_dir().join(format!("peerbeat-notify-{}", std::process::id()));
    let _left_by_a_killed_run = std::fs::remove_file(&path);
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    tells(&folder(), &manager, path.to_str().unwrap());
    std::fs::remove_file(&path).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_manager_without_a_file_is_notified() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("peerbeat-test-{}", std::process::id());
    let addr = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let manager = std::os::unix::net::UnixDatagram::bind_addr(&addr).unwrap();
    tells(&folder(), &manager, &format!("@{name}"));
}

#[cfg(unix)]
fn tells(folder: &Folder, manager: &std::os::unix::net::UnixDatagram, name: &str) {
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut text = [0; 256];
        let count = manager.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..count]).into_owned()
    };
    let mut command = folder.command("run hub.conf --json --until-eof");
    command.env("NOTIFY_SOCKET", name).stdin(Stdio::piped());
    let mut hub = command.stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!([next(), next()], ["READY=1", "STATUS=0 of 1 up"]);
    let mut line = String::new();
    BufReader::new(hub.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let addr: std::net::SocketAddr = Value::parse(line.trim()).str("addr").parse().unwrap();
    let port = addr.port();
    let feed = folder.start(&format!("run feed.conf --json --define PORT={port}"));
    assert_eq!(next(), "STATUS=1 of 1 up");
    drop(feed);
    assert_eq!(next(), "STATUS=0 of 1 up");
    drop(hub.stdin.take());
    let until = Instant::now() + PATIENCE;
    while next() != "STOPPING=1" {
        assert!(Instant::now() < until);
    }
    drop(hub.stdout.take());
    assert_eq!(exit_code(&mut hub), Some(0));
}
