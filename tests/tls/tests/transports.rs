//! The transports on the page about encrypting that are not TLS: a source address and options of
//! the socket, and a SOCKS5 proxy, good and bad.

#[path = "../../common/accept.rs"]
mod accept;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use accept::accept;
use peerbeat::config::{Config, ConfigOptions};
use peerbeat::node::{
    DialFailedReason, Endpoint, Node, NodeEvent, NodeHandler, NodeOptions, Peer, Transport,
};
use peerbeat_tls::{LONG, Socks5, SourceAddress};

/// Reports failed dials.
struct Failures(Mutex<Sender<(DialFailedReason, String)>>);

impl NodeHandler for Failures {
    fn on_message(&self, _: &Peer, _: &[u8]) {}

    fn on_event(&self, _: Option<&Peer>, event: &NodeEvent) {
        if let NodeEvent::DialFailed { reason, detail, .. } = event {
            let _over = self.0.lock().unwrap().send((*reason, detail.clone()));
        }
    }
}

type Failed = Receiver<(DialFailedReason, String)>;

fn start(text: &str, transport: Option<impl Transport>) -> (Node, Failed) {
    let (send, failed) = channel();
    let mut options = NodeOptions::default();
    if let Some(transport) = transport {
        options = options.transport(transport);
    }
    let config = Config::parse(text, &ConfigOptions::default()).unwrap();
    let handler = Failures(Mutex::new(send));
    (Node::start_with(config, handler, options).unwrap(), failed)
}

const HUB: &str = "datasrc-name hub\ndatasrc-interface 127.0.0.1\ndatasrc-port auto\n\
                   add-peer\nremote-name feed\nend-peer";

fn feed(host: &str, port: u16) -> String {
    format!(
        "datasrc-name feed\nadd-peer\nremote-name hub\naddr {host}\nport {port}\n\
         connect-timeout 1\nreconnect-time-max 0.5\nend-peer"
    )
}

fn meet(hub: &Node, feed: &Node) {
    assert!(feed.peer("hub").unwrap().wait_up(Some(LONG)));
    assert!(hub.peer("feed").unwrap().wait_up(Some(LONG)));
}

#[test]
#[cfg(target_os = "linux")]
fn a_node_dials_from_an_address_of_its_choice() {
    let source = "127.0.0.7".parse().unwrap();
    let (hub, _) = start(HUB, Some(SourceAddress(source)));
    let port = hub.local_addrs()[0].port();
    let (feed, _) = start(&feed("127.0.0.1", port), Some(SourceAddress(source)));
    meet(&hub, &feed);
    // It is reported with the event, which comes a moment after the link.
    let until = Instant::now() + LONG;
    let addr = loop {
        match hub.peer("feed").unwrap().state().addr {
            Some(Endpoint::Tcp(addr)) => break addr,
            other => assert!(Instant::now() < until, "{other:?}"),
        }
        thread::yield_now();
    };
    assert_eq!(addr.ip(), source);
}

/// A proxy that answers with these bytes instead of its own, if there are any, and tells for which
/// names it was asked.
fn proxy(instead: Option<&'static [u8]>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, names) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let asked = Arc::clone(&names);
    thread::spawn(move || {
        // Ends by a panic when no dial has come for long; the test is over then.
        loop {
            let (socket, asked) = (accept(&listener), Arc::clone(&asked));
            thread::spawn(move || serve(socket, instead, &asked));
        }
    });
    (addr, names)
}

fn serve(mut socket: TcpStream, instead: Option<&[u8]>, asked: &Mutex<Vec<String>>) {
    let mut greeting = [0; 3];
    socket.read_exact(&mut greeting).unwrap();
    assert_eq!(greeting, [5, 1, 0]);
    if let Some(bytes) = instead {
        let _gone = socket.write_all(bytes);
        let _until_it_goes = socket.read_to_end(&mut Vec::new());
        return;
    }
    socket.write_all(&[5, 0]).unwrap();
    let mut head = [0; 5];
    socket.read_exact(&mut head).unwrap();
    assert_eq!(head[..4], [5, 1, 0, 3]);
    let mut name = vec![0; usize::from(head[4]) + 2];
    socket.read_exact(&mut name).unwrap();
    let port = name.split_off(name.len() - 2);
    asked.lock().unwrap().push(String::from_utf8(name).unwrap());
    let port = u16::from_be_bytes([port[0], port[1]]);
    let Ok(target) = TcpStream::connect(("127.0.0.1", port)) else {
        let _gone = socket.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]);
        return;
    };
    // It is bound to a name of nine letters.
    socket.write_all(b"\x05\0\0\x03\x09proxy.lan\x12\x34").unwrap();
    let (mut from, mut to) = (socket.try_clone().unwrap(), target.try_clone().unwrap());
    thread::spawn(move || {
        let _over = io::copy(&mut from, &mut to);
        let _over = to.shutdown(std::net::Shutdown::Write);
    });
    let (mut from, mut to) = (target, socket);
    let _over = io::copy(&mut from, &mut to);
    let _over = to.shutdown(std::net::Shutdown::Write);
}

#[test]
fn a_node_dials_through_a_proxy_that_resolves_the_name() {
    let (hub, _) = start(HUB, None::<Socks5>);
    let (proxy, names) = proxy(None);
    let port = hub.local_addrs()[0].port();
    let (feed, _) = start(&feed("hub.invalid", port), Some(Socks5(proxy)));
    meet(&hub, &feed);
    feed.peer("hub").unwrap().send(&[7; 100_000]).unwrap();
    assert!(feed.drain(LONG), "the hub has read all");
    assert_eq!(names.lock().unwrap()[0], "hub.invalid");
}

#[test]
fn what_is_wrong_with_a_proxy_is_a_failed_dial() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let all: [(Option<&[u8]>, DialFailedReason, &str); 5] = [
        (None, DialFailedReason::Connect, "code 5"),
        (Some(&[5, 0xff]), DialFailedReason::Connect, "password"),
        (Some(b"HTTP/1.1 400"), DialFailedReason::Protocol, "no SOCKS5 proxy"),
        (Some(&[5, 0, 5, 0, 0, 9]), DialFailedReason::Protocol, "no SOCKS5 proxy"),
        (Some(&[5, 0, 5]), DialFailedReason::Timeout, ""),
    ];
    for (instead, reason, words) in all {
        let (addr, _names) = proxy(instead);
        let (_feed, failed) = start(&feed("hub.invalid", free), Some(Socks5(addr)));
        let (found, detail) = failed.recv_timeout(LONG).unwrap();
        assert_eq!(found, reason, "{detail}");
        assert!(detail.contains(words), "{detail}");
    }
}
