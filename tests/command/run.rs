//! `run` by itself: the errors it prints, and how it ends.
//!
//! Its peers are raw sockets that do what no node would do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use peerbeat::protocol::{Bye, ByeCode, Hello};

use crate::accept::accept;
use crate::basics::listener;
use crate::harness::{Folder, PATIENCE, exit_code};

const DIALLER: &str = "\
datasrc-name feed
add-peer
    remote-name  hub
    addr         127.0.0.1
    port         ${PORT}
    reconnect-time-min 0.02
    reconnect-time-max 0.02
    heartbeat-time 0
    send-queue-bytes 1024
end-peer
";

/// A raw peer for one connection: it welcomes the dialler.
fn welcome(listener: &TcpListener, label: &str) -> TcpStream {
    let mut stream = accept(listener);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    let mut hello = vec![0; u32::from_be_bytes(head) as usize];
    stream.read_exact(&mut hello).unwrap();
    let mut answer = Vec::new();
    Hello::default().name("hub").label(label).encode(&mut answer).unwrap();
    stream.write_all(&answer).unwrap();
    stream
}

#[test]
fn a_port_in_use_is_a_failure_that_names_it() {
    let (_listener, port) = listener();
    let folder =
        Folder::with(&[("a.conf", &format!("datasrc-interface 127.0.0.1\ndatasrc-port {port}\n"))]);
    let ended = folder.peerbeat("run a.conf --duration 5");
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains(&port.to_string()), "{}", ended.stderr);
}

#[test]
fn warnings_are_complaints_and_no_obstacle() {
    let folder =
        Folder::with(&[("a.conf", "datasrc-name x\ndatasrc-port auto\nadd-peer\nend-peer\n")]);
    for call in ["run a.conf --duration 0 --json", "run a.conf --duration 0"] {
        let ended = folder.peerbeat(call);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.starts_with("warning: a.conf:3: add-peer: "), "{}", ended.stderr);
        assert!(ended.stdout.contains("stopped"), "{}", ended.stdout);
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let (listener, port) = listener();
    drop(listener);
    let folder = Folder::with(&[("a.conf", DIALLER)]);
    for json in ["--json", ""] {
        let mut command = folder.command(&format!("run a.conf {json} --define PORT={port}"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        drop(stdout);
        assert_eq!(exit_code(&mut child), Some(0));
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(stderr, "");
    }
}

#[test]
fn text_of_a_peer_cannot_move_the_cursor() {
    let folder = Folder::with(&[("a.conf", DIALLER)]);
    for json in ["--json", ""] {
        let (listener, port) = listener();
        let peer = std::thread::spawn(move || {
            let mut stream = welcome(&listener, "\u{1b}[2J\r\n\u{202e}x");
            let mut bye = Vec::new();
            Bye { code: ByeCode(99), text: "\u{1b}]0;title\u{7}" }.encode(&mut bye);
            stream.write_all(&bye).unwrap();
            let _ = stream.read(&mut [0; 16]);
        });
        let call = format!("run a.conf {json} --duration 1 --define PORT={port}");
        let ended = folder.peerbeat(&call);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        peer.join().unwrap();
        assert!(ended.stdout.contains("[2J"), "the label is shown: {}", ended.stdout);
        assert!(ended.stdout.contains("closed, code 99"), "{}", ended.stdout);
        let bare = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!ended.stdout.contains(bare), "{:?}", ended.stdout);
    }
}

#[test]
fn messages_that_find_no_room_are_counted_at_the_end() {
    let (listener, port) = listener();
    let folder = Folder::with(&[("a.conf", DIALLER)]);
    let peer = std::thread::spawn(move || {
        // It reads nothing: the kernel's buffers fill, then the queue.
        let stream = welcome(&listener, "");
        std::thread::sleep(Duration::from_secs(4));
        drop(stream);
    });
    let ended = folder.peerbeat(&format!(
        "run a.conf --duration 3 --send-every 0.005 --send-size 1000000 --define PORT={port}"
    ));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let complaint = ended.stderr.lines().last().unwrap_or_default();
    assert!(complaint.starts_with("peerbeat run: --send-every: "), "{ended:?}");
    assert!(complaint.contains(" not sent: "), "{complaint}");
    assert!(!complaint.contains(" 0 because the send queue was full"), "{complaint}");
    peer.join().unwrap();
}
