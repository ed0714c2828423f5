//! A peer that is a script, and a handler that records its calls.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use peerbeat::link::{Down, Link, LinkEvent, LinkHandler, Stream};
use peerbeat::protocol::Framing;

use crate::accept::accept;
pub(crate) use crate::basics::{PATIENCE, ms};

/// The other end, as bytes.
pub(crate) struct Peer {
    stream: TcpStream,
    /// What has arrived.
    pub(crate) bytes: Vec<u8>,
    /// When the last of it did.
    pub(crate) at: Instant,
}

impl Peer {
    /// Reads until `found` makes something of all that has arrived, and takes that many bytes away.
    pub(crate) fn read_until<T>(&mut self, found: impl Fn(&[u8]) -> Option<(usize, T)>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some((length, value)) = found(&self.bytes) {
                self.bytes.drain(..length);
                return value;
            }
            assert!(Instant::now() < until, "only {:?}", self.bytes.escape_ascii().to_string());
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).unwrap() {
                0 => panic!("the end after {:?}", self.bytes.escape_ascii().to_string()),
                count => self.bytes.extend_from_slice(&buffer[..count]),
            }
            self.at = Instant::now();
        }
    }

    /// Reads exactly these bytes.
    pub(crate) fn expect(&mut self, wanted: &[u8]) {
        self.read_until(|bytes| {
            let count = bytes.len().min(wanted.len());
            assert_eq!(
                bytes[..count].escape_ascii().to_string(),
                wanted[..count].escape_ascii().to_string()
            );
            (count == wanted.len()).then_some((count, ()))
        });
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        assert!(self.try_send(bytes), "the other end is gone");
    }

    /// Sends if the other end is still there; `false` = it is gone.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Reads and drops until the other end is gone.
    pub(crate) fn wait_for_end(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.bytes);
        let _reset_is_an_end = self.stream.read_to_end(&mut rest);
        rest
    }
}

/// Runs `script` as the peer that accepts one connection.
pub(crate) fn peer<T: Send + 'static>(
    script: impl FnOnce(&mut Peer) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let stream = accept(&listener);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        script(&mut Peer { stream, bytes: Vec::new(), at: Instant::now() })
    });
    (addr, thread)
}

/// One call of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Message(Vec<u8>),
    Event(LinkEvent),
    Down(Box<Down>),
}

pub(crate) struct Recorder(Sender<Seen>);

pub(crate) fn recorder() -> (Recorder, Seens) {
    let (to, seens) = channel();
    (Recorder(to), Seens(seens))
}

impl<S: Stream, F: Framing> LinkHandler<S, F> for Recorder {
    fn on_message(&mut self, _: &Link<S, F>, payload: &[u8]) {
        let _test_is_over = self.0.send(Seen::Message(payload.to_vec()));
    }

    fn on_event(&mut self, _: &Link<S, F>, event: &LinkEvent) {
        if let LinkEvent::Down(down) = event {
            let _test_is_over = self.0.send(Seen::Down(Box::new(down.clone())));
            return;
        }
        let _test_is_over = self.0.send(Seen::Event(event.clone()));
    }
}

/// The other side of a [`Recorder`].
pub(crate) struct Seens(pub(crate) Receiver<Seen>);

impl Seens {
    pub(crate) fn next(&self) -> Seen {
        self.0.recv_timeout(PATIENCE).expect("the handler was not called")
    }

    /// The next message; events are passed over.
    pub(crate) fn message(&self) -> Vec<u8> {
        loop {
            match self.next() {
                Seen::Message(bytes) => return bytes,
                Seen::Event(_) => {}
                Seen::Down(down) => panic!("{down:?}"),
            }
        }
    }

    /// The end; everything before it is passed over.
    pub(crate) fn down(&self) -> Down {
        loop {
            if let Seen::Down(down) = self.next() {
                return *down;
            }
        }
    }
}
