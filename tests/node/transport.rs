//! Nodes over a transport of the program: what it proves, what it refuses, how long it may take.

use std::io::{self, Read};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use peerbeat::link::{Socket, Stream, Until};
use peerbeat::node::{
    Connected, Dial, DialFailedReason, Node, NodeEvent, NodeOptions, RefusedReason, Transport,
};

use crate::common::*;

const TEXT: &str = "
    datasrc-name us
    datasrc-port auto
    datasrc-interface 127.0.0.1
    datasrc-heartbeat-time 60
    peer-accept-wait-time 0.5
    add-peer
        remote-name friend
        remote-label their-label
    end-peer
    add-peer
        remote-name other
    end-peer";

fn start_over(text: &str, options: NodeOptions) -> (Node, Recorder) {
    let recorder = Recorder::default();
    let node = Node::start_with(config(text), recorder.clone(), options).unwrap();
    (node, recorder)
}

/// Every connection has proven this name.
struct Proves(&'static str);

impl Transport for Proves {
    fn connect(&self, dial: &Dial<'_>) -> io::Result<Connected> {
        Ok(Connected::new(dial.connect()?).verified_name(self.0))
    }

    fn accept(&self, socket: Socket, _: Instant) -> io::Result<Connected> {
        Ok(Connected::new(socket).verified_name(self.0))
    }
}

#[test]
fn a_hello_with_another_name_than_the_proven_one_is_refused() {
    let (node, book) = start_over(TEXT, NodeOptions::default().transport(Proves("other")));
    let mut liar = Mock::dial(addr(&node));
    liar.say(&hello("friend", "", 0));
    assert_eq!(liar.expect_bye().0, 1);
    let (reason, detail) = book.wait_refused(1);
    assert_eq!(reason, RefusedReason::Name);
    assert_eq!(detail, "HELLO says \"friend\", proven is \"other\"");

    // The label of a peer with another name does not help.
    let mut liar = Mock::dial(addr(&node));
    liar.say(&hello("other", "their-label", 0));
    liar.expect_hello();
    book.wait_up("other", 1);
    assert_eq!(book.count(|seen| seen.peer == "friend"), 0);
}

#[test]
fn without_a_proven_name_a_label_is_all_it_takes() {
    let (node, book) = start(TEXT);
    let mut peer = Mock::dial(addr(&node));
    peer.say(&hello("other", "their-label", 0));
    peer.expect_hello();
    book.wait_up("friend", 1);
}

#[test]
fn a_dialled_peer_that_proves_another_name_is_a_dial_that_failed() {
    for (proven, said, wanted, is_good) in [
        ("friend", "friend", "friend", true),
        ("friend", "friend", "", true),
        ("friend", "other", "", false),
        ("other", "friend", "friend", false),
        ("other", "other", "friend", false),
    ] {
        let (listener, port) = listener();
        let name = if wanted.is_empty() { String::new() } else { format!("remote-name {wanted}") };
        let text = format!("add-peer\naddr 127.0.0.1\nport {port}\n{name}\nend-peer");
        let (_node, book) = start_over(&text, NodeOptions::default().transport(Proves(proven)));
        let mut mock = Mock::accept(&listener);
        mock.expect_hello();
        mock.say(&hello(said, "", 0));
        if is_good {
            book.wait_count("up", 1, |seen| seen.is_up());
            continue;
        }
        assert_eq!(mock.expect_bye().0, 1, "{proven} {said} {wanted}");
        let failed = |seen: &Seen| {
            let reason = DialFailedReason::Name;
            matches!(seen.event(), Some(NodeEvent::DialFailed { reason: r, .. }) if *r == reason)
        };
        book.wait_count("dial-failed", 1, failed);
        assert_eq!(book.count(Seen::is_up), 0);
    }
}

/// A handshake that never ends: it waits for a whole kilobyte, however slowly it comes.
#[derive(Default)]
struct Endless {
    began: Arc<AtomicU32>,
}

impl Transport for Endless {
    fn accept(&self, socket: Socket, deadline: Instant) -> io::Result<Connected> {
        self.began.fetch_add(1, Ordering::SeqCst);
        Until::new(&socket, deadline).read_exact(&mut [0; 1024])?;
        Ok(Connected::new(socket))
    }
}

#[test]
fn a_transport_handshake_that_drips_is_too_slow_at_the_deadline() {
    let (node, book) = start_over(TEXT, NodeOptions::default().transport(Endless::default()));
    let (began, stranger) = (Instant::now(), Mock::dial(addr(&node)));
    let refused = || book.count(|seen| seen.refused().is_some()) > 0;
    while !refused() && began.elapsed() < Duration::from_secs(30) {
        let _gone = stranger.stream.write(b"x");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (reason, detail) = book.wait_refused(1);
    assert_eq!(reason, RefusedReason::TooSlow, "{detail}");
    assert!(began.elapsed() >= Duration::from_millis(500));
    assert_eq!(node.stats().refusals, 1);
}

#[test]
fn one_that_is_in_its_transport_handshake_makes_room_as_a_silent_one_does() {
    let transport = Endless::default();
    let began = Arc::clone(&transport.began);
    let mut options = NodeOptions::default().transport(transport);
    options.handshakes_max = 1;
    let text = TEXT.replace("peer-accept-wait-time 0.5", "peer-accept-wait-time 600");
    let (node, book) = start_over(&text, options);
    let first = Mock::dial(addr(&node));
    wait_for("the first is served", || began.load(Ordering::SeqCst) == 1);
    let second = Mock::dial(addr(&node));
    let (reason, _) = book.wait_refused(1);
    assert_eq!(reason, RefusedReason::TooMany);
    wait_for("the second is served", || began.load(Ordering::SeqCst) == 2);
    // A stop does not wait for it either.
    node.shutdown();
    node.join();
    drop((first, second));
}

/// Panics, then fails, then works.
struct Moody(AtomicU32);

impl Transport for Moody {
    fn accept(&self, socket: Socket, _: Instant) -> io::Result<Connected> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("on purpose"),
            1 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "cut")),
            2 => Err(io::Error::other("a certificate without a signature")),
            _ => Ok(Connected::new(socket)),
        }
    }
}

#[test]
fn a_transport_that_panics_or_fails_refuses_one_connection_and_no_more() {
    let transport = Moody(AtomicU32::new(0));
    let (node, book) = start_over(TEXT, NodeOptions::default().transport(transport));
    for (number, reason, words) in [
        (1, RefusedReason::Protocol, "the transport panicked"),
        (2, RefusedReason::Gone, "cut"),
        (3, RefusedReason::Protocol, "a certificate without a signature"),
    ] {
        Mock::dial(addr(&node)).expect_end();
        let (found, detail) = book.wait_refused(number);
        assert_eq!(found, reason);
        assert!(detail.contains(words), "{detail}");
    }
    let _other = Mock::greet(addr(&node), "other");
    book.wait_up("other", 1);
}

/// A proxy's client: it is given names, not addresses.
struct Proxy(u16, Arc<Mutex<Vec<String>>>);

impl Transport for Proxy {
    fn connect(&self, dial: &Dial<'_>) -> io::Result<Connected> {
        assert_eq!(dial.addr, None);
        self.1.lock().unwrap().push(dial.address.to_string());
        Ok(Connected::new(Socket::from(std::net::TcpStream::connect(("127.0.0.1", self.0))?)))
    }

    fn resolves(&self) -> bool {
        true
    }
}

#[test]
fn a_transport_that_resolves_is_given_the_name() {
    let ((listener, port), asked) = (listener(), Arc::default());
    let text = "add-peer\nremote-name far\naddr far.invalid\nport 7\nend-peer";
    let options = NodeOptions::default().transport(Proxy(port, Arc::clone(&asked)));
    let (node, book) = start_over(text, options);
    let _mock = Mock::welcome(&listener, "far");
    book.wait_up("far", 1);
    assert_eq!(*asked.lock().unwrap(), ["far.invalid:7"]);
    let state = node.peer("far").unwrap().state();
    assert_eq!(state.addr.unwrap().to_string(), "far.invalid:7");
}

/// A socket that panics in one of its methods.
struct Fragile {
    socket: Socket,
    panics_in: &'static str,
    has_panicked: Arc<AtomicBool>,
}

impl Fragile {
    fn socket(&self, method: &str) -> &Socket {
        if self.panics_in == method {
            self.has_panicked.store(true, Ordering::SeqCst);
            panic!("on purpose");
        }
        &self.socket
    }
}

impl Stream for Fragile {
    fn can_peek(&self) -> bool {
        self.socket("can_peek").can_peek()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket("read").read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket("write").write(bytes)
    }

    fn set_blocking(&self) -> io::Result<()> {
        self.socket("set_blocking").set_blocking()
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket("set_nodelay").set_nodelay(nodelay)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.socket("set_read_timeout").set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.socket("set_write_timeout").set_write_timeout(timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket("shutdown").shutdown(how)
    }

    fn is_readable(&self) -> io::Result<bool> {
        self.socket("is_readable").is_readable()
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        // No mistake of the stream's is found while another one unwinds.
        if !std::thread::panicking() {
            self.socket("drop");
        }
    }
}

/// The first of its streams panics in this method.
struct FirstPanics(&'static str, AtomicBool, Arc<AtomicBool>);

impl FirstPanics {
    fn options(panics_in: &'static str) -> NodeOptions {
        Self::watched(panics_in).0
    }

    /// With whether it has panicked.
    fn watched(panics_in: &'static str) -> (NodeOptions, Arc<AtomicBool>) {
        let has_panicked = Arc::<AtomicBool>::default();
        let transport = Self(panics_in, AtomicBool::new(true), Arc::clone(&has_panicked));
        (NodeOptions::default().transport(transport), has_panicked)
    }

    fn connected(&self, socket: Socket) -> Connected {
        let panics_in = if self.1.swap(false, Ordering::SeqCst) { self.0 } else { "" };
        Connected::new(Fragile { socket, panics_in, has_panicked: Arc::clone(&self.2) })
    }
}

impl Transport for FirstPanics {
    fn connect(&self, dial: &Dial<'_>) -> io::Result<Connected> {
        Ok(self.connected(dial.connect()?))
    }

    fn accept(&self, socket: Socket, _: Instant) -> io::Result<Connected> {
        Ok(self.connected(socket))
    }

    fn resolves(&self) -> bool {
        let panics = self.0 == "resolves" && self.1.swap(false, Ordering::SeqCst);
        assert!(!panics, "on purpose");
        false
    }
}

/// A peer to dial, and to dial again at once.
fn far_at(port: u16) -> String {
    format!(
        "add-peer\naddr 127.0.0.1\nport {port}\nremote-name far\n\
         reconnect-time-min 0.01\nreconnect-time-max 0.01\nend-peer"
    )
}

/// What a handshake calls.
const GREETING: [&str; 5] =
    ["read", "write", "set_blocking", "set_read_timeout", "set_write_timeout"];

#[test]
fn a_stream_that_panics_costs_one_dial_and_the_next_one_is_made() {
    for method in GREETING.into_iter().chain(["set_nodelay"]) {
        let (listener, port) = listener();
        let (node, book) = start_over(&far_at(port), FirstPanics::options(method));
        Mock::accept(&listener).expect_end();
        let failed = |seen: &Seen| match seen.event() {
            Some(NodeEvent::DialFailed { detail, .. }) => detail.contains("the stream panicked"),
            _ => false,
        };
        book.wait_count(method, 1, failed);
        let _mock = Mock::welcome(&listener, "far");
        book.wait_up("far", 1);
        drop(node);
        book.assert_ordered();
    }
}

#[test]
fn a_stream_that_panics_costs_one_connection_that_was_accepted() {
    for method in GREETING {
        let (node, book) = start_over(TEXT, FirstPanics::options(method));
        let mut first = Mock::dial(addr(&node));
        first.say(&hello("other", "", 0));
        first.expect_end();
        let (_, detail) = book.wait_refused(1);
        assert!(detail.contains("the stream panicked"), "{method}: {detail}");
        let _other = Mock::greet(addr(&node), "other");
        book.wait_up("other", 1);
    }
}

#[test]
fn a_stream_that_panics_in_a_link_ends_that_link() {
    for method in ["can_peek", "is_readable", "drop"] {
        let (listener, port) = listener();
        let (options, has_panicked) = FirstPanics::watched(method);
        let (_node, book) = start_over(&far_at(port), options);
        let first = Mock::welcome(&listener, "far");
        book.wait_up("far", 1);
        first.cut();
        book.wait_down("far", 1);
        let _second = Mock::welcome(&listener, "far");
        book.wait_up("far", 2);
        wait_for(method, || has_panicked.load(Ordering::SeqCst));
    }
}

#[test]
fn a_stream_that_panics_when_it_is_woken_does_not_keep_a_node_from_its_end() {
    let (listener, port) = listener();
    let (options, has_panicked) = FirstPanics::watched("shutdown");
    let (node, book) = start_over(&far_at(port), options);
    let mut mock = Mock::accept(&listener);
    mock.expect_hello();
    node.shutdown();
    // Another thread wakes it. What could not be woken ends with the connection.
    wait_for("shutdown", || has_panicked.load(Ordering::SeqCst));
    mock.cut();
    let (ended, end) = channel();
    std::thread::spawn(move || {
        node.join();
        let _gone = ended.send(());
    });
    assert_eq!(end.recv_timeout(PATIENCE), Ok(()), "the node has not ended");
    book.wait_count("stopped", 1, |seen| matches!(seen.event(), Some(NodeEvent::Stopped)));
}

#[test]
fn a_transport_that_panics_when_asked_whether_it_resolves_costs_one_dial() {
    let (listener, port) = listener();
    let (_node, book) = start_over(&far_at(port), FirstPanics::options("resolves"));
    let _mock = Mock::welcome(&listener, "far");
    book.wait_up("far", 1);
    let failed = |seen: &Seen| match seen.event() {
        Some(NodeEvent::DialFailed { detail, .. }) => detail.contains("the transport panicked"),
        _ => false,
    };
    assert_eq!(book.count(failed), 1, "{:?}", book.all());
}

/// A socket that is reset right after the welcome, and reports it once: to the first call that
/// polls or reads.
struct ResetOnce {
    socket: Socket,
    says_to_look: bool,
    /// The welcome was read.
    is_welcome: AtomicBool,
    has_said: AtomicBool,
}

impl ResetOnce {
    fn say(&self) -> io::Result<()> {
        match self.has_said.swap(true, Ordering::SeqCst) {
            true => Ok(()),
            false => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
}

impl Stream for ResetOnce {
    fn can_peek(&self) -> bool {
        true
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_welcome.load(Ordering::SeqCst) {
            return self.say().map(|()| 0);
        }
        let count = self.socket.read(buffer)?;
        self.is_welcome.store(true, Ordering::SeqCst);
        Ok(count)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.socket.set_write_timeout(timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    fn is_readable(&self) -> io::Result<bool> {
        if self.says_to_look {
            self.say()?;
        }
        Ok(true)
    }
}

struct Resets {
    says_to_look: bool,
}

impl Transport for Resets {
    fn connect(&self, dial: &Dial<'_>) -> io::Result<Connected> {
        let (socket, says_to_look) = (dial.connect()?, self.says_to_look);
        let (is_welcome, has_said) = Default::default();
        Ok(Connected::new(ResetOnce { socket, says_to_look, is_welcome, has_said }))
    }
}

#[test]
fn a_reset_that_comes_before_the_peer_is_up_is_no_end_of_stream() {
    for says_to_look in [true, false] {
        let (listener, port) = listener();
        let options = NodeOptions::default().transport(Resets { says_to_look });
        let (_node, book) = start_over(&far_at(port), options);
        let mut mock = Mock::accept(&listener);
        mock.expect_hello();
        mock.say(&[hello("far", "", 0), data(b"with the welcome")].concat());
        let down = book.wait_down("far", 1);
        assert_eq!(down.reason.as_str(), "io", "{down}");
        assert_eq!(book.count(|seen| matches!(seen.what, What::Message(_))), 1);
    }
}
