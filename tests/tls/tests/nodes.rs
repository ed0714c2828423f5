//! Nodes over TLS: who is accepted, who is refused and with which message, and that the other links
//! go on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::config::{Config, ConfigOptions};
use peerbeat::node::{
    DialFailedReason, Node, NodeEvent, NodeHandler, NodeOptions, Peer, RefusedReason, Transport,
};
use peerbeat_tls::{Authority, LONG, TlsTransport};

/// Records what a node reports.
#[derive(Clone, Default)]
struct Book(Arc<(Mutex<Vec<String>>, Condvar)>);

impl NodeHandler for Book {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        self.add(format!("{}: message {}", peer.name(), payload.len()));
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        let words = match event {
            NodeEvent::Refused { name, reason, detail, .. } => {
                format!("refused {name:?}: {reason}: {detail}")
            }
            NodeEvent::DialFailed { reason, detail, .. } => format!("failed {reason}: {detail}"),
            NodeEvent::Down(down) => format!("down {}", down.reason.as_str()),
            event => event.as_str().to_owned(),
        };
        self.add(format!("{}: {words}", peer.map_or("", Peer::name)));
    }
}

impl Book {
    fn add(&self, line: String) {
        self.0.0.lock().unwrap().push(line);
        self.0.1.notify_all();
    }

    /// Waits for a line with these words.
    fn wait(&self, words: &str) -> String {
        let until = Instant::now() + LONG;
        let mut lines = self.0.0.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(words)) {
                return line.clone();
            }
            assert!(Instant::now() < until, "no {words:?} in {lines:#?}");
            lines = self.0.1.wait_timeout(lines, Duration::from_millis(100)).unwrap().0;
        }
    }

    fn has(&self, words: &str) -> bool {
        self.0.0.lock().unwrap().iter().any(|line| line.contains(words))
    }
}

fn start(text: &str, transport: Option<impl Transport>) -> (Node, Book) {
    let (book, mut options) = (Book::default(), NodeOptions::default());
    if let Some(transport) = transport {
        options = options.transport(transport);
    }
    let config = Config::parse(text, &ConfigOptions::default()).unwrap();
    (Node::start_with(config, book.clone(), options).unwrap(), book)
}

fn transport(authority: &Authority, name: &str) -> Option<TlsTransport> {
    Some(TlsTransport(authority.client(name), authority.server(name)))
}

const HUB: &str = "datasrc-name hub
    datasrc-interface 127.0.0.1
    datasrc-port auto
    peer-accept-wait-time 1
    add-peer
        remote-name feed
        heartbeat-time 0.5
    end-peer";

fn hub(authority: &Authority) -> (Node, Book) {
    start(HUB, transport(authority, "hub"))
}

fn feed_text(hub: &Node, name: &str) -> String {
    format!(
        "datasrc-name {name}\nadd-peer\nremote-name hub\naddr 127.0.0.1\nport {}\n\
         connect-timeout 5\nheartbeat-time 0.5\nreconnect-time-max 0.5\nend-peer",
        hub.local_addrs()[0].port()
    )
}

/// A good feed still gets in.
fn assert_unharmed(authority: &Authority, hub: &Node, book: &Book) {
    let (feed, _feed_book) = start(&feed_text(hub, "feed"), transport(authority, "feed"));
    book.wait("feed: up");
    assert!(feed.peer("hub").unwrap().wait_up(Some(LONG)));
    feed.peer("hub").unwrap().send(&[7; 262_144]).unwrap();
    book.wait("feed: message 262144");
}

#[test]
fn two_nodes_with_good_certificates_meet_talk_and_part() {
    let authority = Authority::new();
    let (hub, book) = hub(&authority);
    let (feed, feed_book) = start(&feed_text(&hub, "feed"), transport(&authority, "feed"));
    book.wait("feed: up");
    feed_book.wait("hub: up");
    for length in [0, 1, 70_000, 262_144] {
        feed.peer("hub").unwrap().send(&vec![7; length]).unwrap();
        book.wait(&format!("feed: message {length}"));
        hub.peer("feed").unwrap().send(&vec![7; length]).unwrap();
        feed_book.wait(&format!("hub: message {length}"));
    }
    thread::sleep(Duration::from_millis(1200));
    assert!(!book.has("down") && !feed_book.has("down"));
    drop(hub);
    feed_book.wait("hub: down closed");
}

#[test]
fn a_name_that_the_certificate_does_not_prove_is_refused() {
    let authority = Authority::new();
    let (hub, book) = hub(&authority);
    let (_liar, liar_book) = start(&feed_text(&hub, "feed"), transport(&authority, "mallory"));
    let line = book.wait("refused \"feed\"");
    assert!(line.contains("name: HELLO says \"feed\", proven is \"mallory\""), "{line}");
    liar_book.wait("failed refused");
    assert!(!book.has("feed: up"));
    assert_unharmed(&authority, &hub, &book);
}

#[test]
fn a_certificate_of_another_authority_or_an_old_one_is_refused_with_the_librarys_words() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (hub, book) = hub(&authority);
    // The client trusts the hub, and shows what it should not.
    let strange = authority.client_with(other.certificate("feed", false));
    let old = authority.client_with(authority.certificate("feed", true));
    for (client, words) in [(strange, "BadSignature"), (old, "certificate expired")] {
        let transport = TlsTransport(client, authority.server("feed"));
        let (_feed, feed_book) = start(&feed_text(&hub, "feed"), Some(transport));
        let line = book.wait(words);
        assert!(line.contains(RefusedReason::Protocol.as_str()), "{line}");
        feed_book.wait("hub: failed");
    }
    assert!(!book.has("feed: up"));
    assert_unharmed(&authority, &hub, &book);
}

#[test]
fn a_hub_with_a_wrong_or_old_certificate_is_not_connected() {
    let (authority, other) = (Authority::new(), Authority::new());
    let strange = authority.server_with(other.certificate("hub", false));
    let old = authority.server_with(authority.certificate("hub", true));
    let misnamed = authority.server("somebody");
    for (server, words) in
        [(strange, "BadSignature"), (old, "certificate expired"), (misnamed, "not valid for name")]
    {
        let transport_of_hub = TlsTransport(authority.client("hub"), server);
        let (hub, book) = start(HUB, Some(transport_of_hub));
        let (_feed, feed_book) = start(&feed_text(&hub, "feed"), transport(&authority, "feed"));
        let line = feed_book.wait(words);
        assert!(line.contains(DialFailedReason::Protocol.as_str()), "{line}");
        book.wait("refused");
        assert!(!book.has("feed: up") && !feed_book.has("hub: up"));
    }
}

#[test]
fn a_plain_peer_at_a_tls_port_and_the_reverse_end_in_words() {
    let authority = Authority::new();
    let (hub, book) = hub(&authority);
    let (_plain, plain_book) = start(&feed_text(&hub, "feed"), None::<TlsTransport>);
    let line = book.wait("refused");
    assert!(line.contains("protocol: the transport's handshake"), "{line}");
    plain_book.wait("hub: failed");

    let (plain_hub, plain_book) = start(HUB, None::<TlsTransport>);
    let (_feed, feed_book) = start(&feed_text(&plain_hub, "feed"), transport(&authority, "feed"));
    plain_book.wait("refused \"\": protocol");
    feed_book.wait("hub: failed protocol");
    assert_unharmed(&authority, &hub, &book);
}

#[test]
fn strangers_who_never_finish_the_handshake_are_too_slow_and_keep_no_peer_out() {
    let authority = Authority::new();
    let (hub, book) = hub(&authority);
    let addr = hub.local_addrs()[0];
    let began = Instant::now();
    // Silent ones, and one that drips the start of a ClientHello.
    let silent: Vec<_> = (0..40).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let mut drips = TcpStream::connect(addr).unwrap();
    thread::spawn(move || {
        for byte in [22, 3, 1, 2, 0].into_iter().chain([1; 500]) {
            if drips.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert_unharmed(&authority, &hub, &book);
    book.wait("refused \"\": too-slow");
    assert!(began.elapsed() >= Duration::from_millis(1000));
    for mut stream in silent {
        stream.set_read_timeout(Some(LONG)).unwrap();
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    }
    // A stop does not wait for those that are still at it.
    let _late: Vec<_> = (0..5).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let stopping = Instant::now();
    hub.shutdown();
    assert!(hub.join());
    assert!(stopping.elapsed() < Duration::from_secs(10), "{:?}", stopping.elapsed());
}

#[test]
fn garbage_at_a_tls_port_is_refused_and_no_more() {
    let authority = Authority::new();
    let (hub, book) = hub(&authority);
    for bytes in
        [b"GET / HTTP/1.1\r\n\r\n".repeat(5), vec![0; 1000], vec![0xff; 70_000], vec![22, 3, 1]]
    {
        let mut stream = TcpStream::connect(hub.local_addrs()[0]).unwrap();
        let _cut = stream.write_all(&bytes);
        let _end = stream.shutdown(std::net::Shutdown::Write);
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut rest = Vec::new();
        let _reset = stream.read_to_end(&mut rest);
    }
    book.wait("refused");
    assert_unharmed(&authority, &hub, &book);
}
