//! What tests with real sockets share: a peer made of raw bytes, and a handler that records its
//! calls.
//!
//! The bytes are written here literally and not by the library, so that a mistake in both
//! directions of its codec cannot hide.
// Each test binary uses a part of it, and helpers of tests may unwrap as tests do.
#![allow(dead_code, unused_imports, unreachable_pub, clippy::unwrap_used)]

pub mod accept;
#[path = "basics.rs"]
pub mod basics;
#[path = "frames.rs"]
pub mod frames;
pub mod skip;

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub(crate) use accept::accept;
use peerbeat::link::{Down, LinkEvent};
use peerbeat::node::{Node, NodeEvent, NodeHandler, Peer, RefusedReason};

pub use basics::{PATIENCE, config, free_ports, listener, ms, wait_for};
pub use frames::{BYE, DATA, HEARTBEAT, HELLO, bye, data, frame, heartbeat, hello};

/// The other end of a connection, in the test's own hands.
#[derive(Debug)]
pub struct Mock {
    pub stream: TcpStream,
}

impl Mock {
    /// Connects and says nothing.
    pub fn dial(addr: SocketAddr) -> Self {
        Self::new(TcpStream::connect(addr).expect("the node listens"))
    }

    /// Connects, says HELLO and takes the welcome.
    pub fn greet(addr: SocketAddr, name: &str) -> Self {
        let mut mock = Self::dial(addr);
        mock.say(&hello(name, "", 0));
        mock.expect_hello();
        mock
    }

    /// Takes the next connection and says nothing.
    pub fn accept(listener: &TcpListener) -> Self {
        Self::new(accept(listener))
    }

    /// Takes the next connection, its HELLO, and welcomes it.
    pub fn welcome(listener: &TcpListener, name: &str) -> Self {
        let mut mock = Self::accept(listener);
        mock.expect_hello();
        mock.say(&hello(name, "", 0));
        mock
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    pub fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the node takes it");
    }

    /// The next frame, or `None` if the stream ends or is reset.
    pub fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.fill(&mut head)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let mut payload = vec![0; length as usize - 1];
        self.fill(&mut payload)?;
        Some((head[4], payload))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came and nothing ended for {PATIENCE:?}")
            }
            Err(_) => None,
        }
    }

    /// Takes the HELLO that must come now; its name and label.
    pub fn expect_hello(&mut self) -> (String, String) {
        let (kind, payload) = self.frame().expect("HELLO, not the end");
        assert_eq!((kind, &payload[..5]), (HELLO, &b"PBHB\x01"[..]), "{payload:?}");
        let (count, rest) = (usize::from(payload[10]), &payload[11..]);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let label = &rest[count + 1..][..usize::from(rest[count])];
        (text(&rest[..count]), text(label))
    }

    /// Passes over heartbeats and data up to the BYE that must come; its code and text.
    pub fn expect_bye(&mut self) -> (u8, String) {
        loop {
            match self.frame() {
                Some((BYE, payload)) => {
                    return (payload[0], String::from_utf8(payload[1..].to_vec()).unwrap());
                }
                Some((HEARTBEAT | DATA, _)) => {}
                other => panic!("BYE was expected, not {other:?}"),
            }
        }
    }

    /// Passes over heartbeats to the data that must come.
    pub fn expect_data(&mut self) -> Vec<u8> {
        loop {
            match self.frame() {
                Some((DATA, payload)) => return payload,
                Some((HEARTBEAT, _)) => {}
                other => panic!("DATA was expected, not {other:?}"),
            }
        }
    }

    /// Waits for the end of the stream, in order or not.
    pub fn expect_end(&mut self) {
        while self.frame().is_some() {}
    }

    /// Ends the connection without a goodbye.
    pub fn cut(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A queue of connections that are not accepted, and that is full: the next ones get no answer.
#[derive(Debug)]
pub struct Blackhole {
    _listener: TcpListener,
}

/// Makes one, for as long as it lives; its port.
pub fn blackhole() -> (Blackhole, u16) {
    let (listener, port) = listener();
    let target = listener.local_addr().unwrap();
    // Closed by the dialling side each keeps its place, and takes no descriptor.
    let dial = || TcpStream::connect_timeout(&target, Duration::from_millis(200));
    let waiting = (0..10_000).take_while(|_| dial().is_ok()).count();
    assert!(waiting < 10_000, "the queue has no end");
    (Blackhole { _listener: listener }, port)
}

/// One call of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub at: Instant,
    /// Empty if it was about no peer.
    pub peer: String,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Event(NodeEvent),
    Message(Vec<u8>),
}

impl Seen {
    pub fn event(&self) -> Option<&NodeEvent> {
        match &self.what {
            What::Event(event) => Some(event),
            What::Message(_) => None,
        }
    }

    pub fn is_up(&self) -> bool {
        matches!(self.event(), Some(NodeEvent::Up { .. }))
    }

    pub fn down(&self) -> Option<&Down> {
        match self.event() {
            Some(NodeEvent::Down(down)) => Some(down),
            _ => None,
        }
    }

    pub fn refused(&self) -> Option<(RefusedReason, &str)> {
        match self.event() {
            Some(NodeEvent::Refused { reason, detail, .. }) => Some((*reason, detail)),
            _ => None,
        }
    }
}

/// A handler that writes everything down; clones share the book.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    book: Arc<(Mutex<Vec<Seen>>, Condvar)>,
}

impl Recorder {
    fn book(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.book.0.lock().unwrap()
    }

    pub fn add(&self, peer: Option<&Peer>, what: What) {
        let peer = peer.map(|peer| peer.name().to_owned()).unwrap_or_default();
        self.book().push(Seen { at: Instant::now(), peer, what });
        self.book.1.notify_all();
    }

    /// All that was written down so far.
    pub fn all(&self) -> Vec<Seen> {
        self.book().clone()
    }

    /// How often something was written down so far.
    pub fn count(&self, counts: impl Fn(&Seen) -> bool) -> usize {
        self.book().iter().filter(|seen| counts(seen)).count()
    }

    /// Waits until `look` finds in the whole book what it looks for.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&[Seen]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut book = self.book();
        loop {
            if let Some(found) = look(&book) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let text = book.iter().fold(String::new(), |mut text, seen| {
                    let _ = writeln!(text, "  {}: {:?}", seen.peer, seen.what);
                    text
                });
                drop(book);
                panic!("{what}: did not come in {PATIENCE:?}; what came:\n{text}");
            }
            // What is looked for may depend on more than the book: a message sent once more.
            let turn = left.min(Duration::from_millis(20));
            book = self.book.1.wait_timeout(book, turn).unwrap().0;
        }
    }

    /// Waits until `counts` has been true `count` times.
    #[track_caller]
    pub fn wait_count(&self, what: &str, count: usize, counts: impl Fn(&Seen) -> bool) {
        self.wait_for(what, |book| {
            (book.iter().filter(|seen| counts(seen)).count() >= count).then_some(())
        });
    }

    /// Waits until the peer has come up `times` times.
    #[track_caller]
    pub fn wait_up(&self, peer: &str, times: usize) {
        self.wait_count(&format!("up {times} of {peer}"), times, |s| s.peer == peer && s.is_up());
    }

    /// Waits until the peer has gone down `times` times; the account of the last of them.
    #[track_caller]
    pub fn wait_down(&self, peer: &str, times: usize) -> Down {
        self.wait_for(&format!("down {times} of {peer}"), |book| {
            let mut downs = book.iter().filter(|seen| seen.peer == peer).filter_map(Seen::down);
            downs.nth(times - 1).cloned()
        })
    }

    /// Waits for the `times`-th refusal, or the event that includes it; its reason and details.
    #[track_caller]
    pub fn wait_refused(&self, times: usize) -> (RefusedReason, String) {
        self.wait_for(&format!("refusal {times}"), |book| {
            let mut seen = 0;
            book.iter().filter_map(Seen::event).find_map(|event| match event {
                NodeEvent::Refused { reason, detail, count, .. } => {
                    seen += *count as usize;
                    (seen >= times).then(|| (*reason, detail.clone()))
                }
                _ => None,
            })
        })
    }

    /// Asserts the order of every peer's life: up, messages and changes, down, and `Stopped` last.
    pub fn assert_ordered(&self) {
        let book = self.all();
        let mut up = std::collections::HashSet::new();
        for (index, seen) in book.iter().enumerate() {
            let peer = seen.peer.clone();
            match &seen.what {
                What::Event(NodeEvent::Up { .. }) => {
                    assert!(up.insert(peer), "up twice: {book:#?}")
                }
                What::Event(NodeEvent::Down(_)) => {
                    assert!(up.remove(&peer), "down twice: {book:#?}")
                }
                What::Message(_)
                | What::Event(NodeEvent::Link(LinkEvent::HeartbeatTime { .. })) => {
                    assert!(up.contains(&peer), "message while down: {book:#?}");
                }
                What::Event(NodeEvent::Stopped) => {
                    assert_eq!((index + 1, up.len()), (book.len(), 0), "not the last: {book:#?}");
                }
                What::Event(_) => {}
            }
        }
    }
}

impl NodeHandler for Recorder {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        self.add(Some(peer), What::Message(payload.to_vec()));
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        self.add(peer, What::Event(event.clone()));
    }
}

/// A node of this configuration and its book.
pub fn start(text: &str) -> (Node, Recorder) {
    let recorder = Recorder::default();
    let node = Node::start(config(text), recorder.clone()).unwrap_or_else(|e| panic!("{e}"));
    (node, recorder)
}

/// The address of a node that listens on `127.0.0.1`.
pub fn addr(node: &Node) -> SocketAddr {
    node.local_addrs()[0]
}
