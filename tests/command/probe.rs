//! `probe`: a node, and five kinds of listener that are not nodes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::harness::{Ended, Folder};
use crate::json::Value;

const HUB: &str = "\
datasrc-name       hub
datasrc-interface  127.0.0.1
datasrc-port       auto
datasrc-heartbeat-time 5
add-peer
    remote-name  feed
end-peer
";

fn result(ended: &Ended) -> Value {
    Value::parse(ended.stdout.trim_end())
}

/// A listener that does this with each connection.
fn listener(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let (listener, port) = crate::basics::listener();
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    port
}

#[test]
fn a_node_says_who_it_is_and_is_not_disturbed() {
    let folder = Folder::with(&[("hub.conf", HUB)]);
    let mut hub = folder.start("run hub.conf --json");
    let port = hub.port();
    let ended = folder.peerbeat(&format!("probe 127.0.0.1:{port} --json --count 2 --timeout 30"));
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
    assert_eq!(ended.stdout.lines().count(), 2);
    let first = Value::parse(ended.stdout.lines().next().unwrap());
    assert_eq!((first.str("result"), first.str("name")), ("peerbeat", "hub"));
    assert_eq!((first.number("version"), first.number("heartbeat_time_ms")), (1.0, 5000.0));
    assert!(first.number("round_trip_ms") >= 0.0 && first.number("connect_ms") >= 0.0);
    let ended = folder.peerbeat(&format!("probe 127.0.0.1:{port} --timeout 30"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for words in ["connect  ", "yes, version 1; answered after", "\"hub\"", "5 s", "round trip"] {
        assert!(ended.stdout.contains(words), "no {words} in {}", ended.stdout);
    }
    let refused = hub.seen.iter().any(|record| record.str("event") == "refused");
    assert!(!refused, "a probe is reported to no one: {:?}", hub.seen);
}

#[test]
fn what_else_listens_is_named() {
    let http = listener(|mut stream| {
        // It waits for the end of a line, as servers do.
        let mut bytes = [0; 256];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            if bytes[..count].contains(&b'\n') {
                let _ = stream.write_all(b"HTTP/1.0 404 Not Found\r\n\r\n");
                return;
            }
        }
    });
    let tls = listener(|mut stream| {
        let mut bytes = [0; 256];
        let count = stream.read(&mut bytes).unwrap_or_default();
        if bytes[..count].starts_with(&[0x16, 3]) {
            let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 40]);
        }
    });
    let ssh = listener(|mut stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n");
        let _ = stream.read(&mut [0; 256]);
    });
    let page = listener(|mut stream| {
        let _ = stream.read(&mut [0; 256]);
        let _ = stream.write_all(b"<!DOCTYPE HTML>\n<html>");
    });
    let silent = listener(|mut stream| while let Ok(1..) = stream.read(&mut [0; 256]) {});
    let closed = listener(drop);
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let table = [
        (http, "http"),
        (page, "http"),
        (tls, "tls"),
        (ssh, "ssh"),
        (silent, "silent"),
        (closed, "closed"),
        (refused, "unreachable"),
    ];
    let folder = Folder::new();
    for (port, expected) in table {
        // On a busy machine what listens may not answer in half a second.
        let is_found = |timeout| {
            let words = format!("probe 127.0.0.1:{port} --json --timeout {timeout}");
            let ended = folder.peerbeat(&words);
            assert_eq!((ended.code, &*ended.stderr), (Some(1), ""), "{expected}: {ended:?}");
            result(&ended).str("result") == expected
        };
        assert!(["0.5", "2", "8"].into_iter().any(is_found), "not {expected}");
    }
}
